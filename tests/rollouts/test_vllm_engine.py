"""Serving through vLLM, against a stand-in with the call surface of `LLM.llm_engine`.

The real one is in `test_vllm_real.py`.
"""

import threading
from queue import SimpleQueue
from types import SimpleNamespace

import pytest
import torch

from accord.domain import ConfigError, FinishReason, MissingExtra, ModelError, Prompt
from accord.models.loading import load_model
from accord.models.tiny import tiny_model
from accord.rollouts.engine import EngineConfig, LineFull, Request
from accord.rollouts.sampler import SamplingConfig
from accord.rollouts.vllm_engine import VllmEngine

from .hearing import collect

CONFIG = SamplingConfig(max_tokens=12)


class SamplingParams:
    """Takes what vLLM's takes, and no other argument."""

    def __init__(
        self, *, n, temperature, top_p, top_k, min_p, max_tokens, stop_token_ids, ignore_eos, logprobs,
        seed, detokenize,
    ):  # fmt: skip
        assert n == 1
        assert ignore_eos
        assert detokenize is False
        self.temperature, self.max_tokens, self.logprobs = temperature, max_tokens, logprobs
        self.stop_token_ids = stop_token_ids
        self.generator = torch.Generator().manual_seed(seed % 2**32)


class Running:
    """Requests in progress: one token each a step, cumulative ids as vLLM gives them."""

    def __init__(self, model):
        self.model, self.requests, self.aborted, self.n_steps = model, {}, [], 0
        self.gate = threading.Semaphore(10**6)
        self.error, self.own_end = None, -1

    def add_request(self, request_id, prompt, params):
        assert isinstance(request_id, str)
        self.requests[request_id] = (list(prompt["prompt_token_ids"]), [], [], params)

    def abort_request(self, request_ids):
        self.aborted += request_ids
        for name in request_ids:
            self.requests.pop(name, None)

    def step(self):
        assert self.gate.acquire(timeout=60)
        if self.error is not None:
            raise self.error
        self.n_steps += 1
        outputs = []
        for name, (prompt, ids, steps, params) in list(self.requests.items()):
            with torch.no_grad():
                logits = self.model.network(torch.tensor([[*prompt, *ids]])).logits[0, -1].float()
            logprobs = logits.log_softmax(-1)
            if params.temperature == 0:
                token = int(logprobs.argmax())
            else:
                weights = (logits / params.temperature).softmax(-1)
                token = int(torch.multinomial(weights, 1, generator=params.generator))
            best = logprobs.topk(params.logprobs or 1).indices.tolist()
            ids.append(token)
            steps.append({one: SimpleNamespace(logprob=float(logprobs[one])) for one in {*best, token}})
            is_over = token in (*params.stop_token_ids, self.own_end) or len(ids) == params.max_tokens
            if is_over:
                del self.requests[name]
            is_end = token in (*params.stop_token_ids, self.own_end)
            drawn = SimpleNamespace(
                token_ids=list(ids),
                logprobs=list(steps) if params.logprobs is not None else None,
                finish_reason=("stop" if is_end else "length") if is_over else None,
            )
            outputs.append(SimpleNamespace(request_id=name, outputs=[drawn], finished=is_over))
        return outputs


class LLM:
    """An engine on weights read from a folder."""

    def __init__(self, model, tokenizer, **options):
        self.options = options
        self.llm_engine = Running(load_model(model))


LIBRARY = SimpleNamespace(LLM=LLM, SamplingParams=SamplingParams)


@pytest.fixture(scope="module")
def model():
    return tiny_model(3)


@pytest.fixture
def engine(model):
    engine = VllmEngine({"tiny": model}, library=LIBRARY)
    yield engine
    engine._vllm.gate.release(10**6)
    engine.close()


def request(text="hello", **fields):
    return Request(**{"model": "tiny", "prompt": Prompt.from_text(text), "config": CONFIG, **fields})


def ask(engine, *arguments, n=1, **fields):
    queue = SimpleQueue()
    engine.submit(request(*arguments, n=n, **fields), queue.put)
    return collect(queue, n)


def test_greedy_answers_are_the_models_own_with_its_logprobs(engine, model):
    config = SamplingConfig(max_tokens=12, temperature=0.0)
    (text,), ends, reports = ask(engine, "who are you", config=config, top_logprobs=2)
    ids = model.tokenizer.prompt_ids(Prompt.from_text("who are you"))
    for report in reports:
        with torch.no_grad():
            logprobs = model.network(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        assert report.token_id == int(logprobs.argmax())
        assert report.logprob == pytest.approx(float(logprobs.max()), abs=1e-5)
        assert len(report.likeliest) == 2
        assert report.likeliest[0] == (report.token_id, report.logprob)
        ids = [*ids, report.token_id]
    kind, n_tokens = ends[0]
    assert n_tokens == len(reports)
    assert kind == (FinishReason.LENGTH if n_tokens == 12 else FinishReason.STOP)
    assert text == model.tokenizer.decode([one.token_id for one in reports])


def test_equal_seeds_give_equal_answers_and_each_of_n_its_own(engine):
    first, *_ = ask(engine, n=3, seed=4)
    again, *_ = ask(engine, n=3, seed=4)
    other, *_ = ask(engine, n=3, seed=5)
    assert first == again != other
    assert len(set(first)) == 3


def test_a_stop_string_ends_the_answer_here_and_there(engine):
    free = SamplingConfig(max_tokens=40)
    (text,), *_ = ask(engine, config=free, seed=2)
    stop = next(one for one in text[2:] if one.isascii())
    (cut,), ends, _ = ask(engine, config=SamplingConfig(max_tokens=40, stop=(stop,)), seed=2)
    assert cut == text[: text.find(stop)]
    assert ends[0][0] is FinishReason.STOP
    assert len(engine._vllm.aborted) == 1
    assert engine.n_running == 0


def test_an_end_that_only_vllm_knows_is_an_end(engine):
    config = SamplingConfig(max_tokens=12, temperature=0.0)
    _, _, reports = ask(engine, config=config, top_logprobs=0)
    engine._vllm.own_end = reports[0].token_id
    _, ends, _ = ask(engine, config=config)
    assert ends[0] == (FinishReason.STOP, 1)


def test_who_leaves_is_given_up_and_those_who_run_beside_go_on(engine):
    engine._vllm.gate = threading.Semaphore(0)
    left, stays = [], SimpleQueue()
    came = threading.Event()
    config = SamplingConfig(max_tokens=500)
    ticket = engine.submit(
        request(config=config, top_logprobs=0), lambda event: (left.append(event), came.set())
    )
    engine.submit(request(seed=1), stays.put)
    engine._vllm.gate.release(1)
    assert came.wait(60)
    ticket.cancel()
    engine._vllm.gate.release(1000)
    collect(stays)
    assert len(left) <= 3  # the pass under way, and not one of the other 500
    assert len(engine._vllm.aborted) == 1


def test_the_line_is_bounded_and_what_cannot_run_is_refused(model):
    engine = VllmEngine({"tiny": model}, EngineConfig(max_waiting=1, max_rows=1), library=LIBRARY)
    engine._vllm.gate = threading.Semaphore(0)
    try:
        queues = [SimpleQueue(), SimpleQueue()]
        engine.submit(request(), queues[0].put)
        while not engine.n_running:
            threading.Event().wait(0.01)
        engine.submit(request(), queues[1].put)
        with pytest.raises(LineFull, match="1 requests wait"):
            engine.submit(request(), print)
        with pytest.raises(ConfigError, match="at most 1 run"):
            engine.submit(request(n=2), print)
        with pytest.raises(ModelError, match="no model 'other'"):
            engine.submit(request(model="other"), print)
        engine._vllm.gate.release(10**6)
        for queue in queues:
            collect(queue)
    finally:
        engine._vllm.gate.release(10**6)
        engine.close()


def test_a_failure_is_told_to_all_and_ends_the_engine(engine):
    engine._vllm.error = RuntimeError("no memory for the cache")
    queue = SimpleQueue()
    engine.submit(request(), queue.put)
    with pytest.raises(ModelError, match="no memory for the cache"):
        collect(queue)
    engine._thread.join(60)
    with pytest.raises(LineFull, match="closing"):
        engine.submit(request(), print)


def test_a_request_that_vllm_refuses_is_told_to_all_who_joined_with_it(engine):
    engine._vllm.gate = threading.Semaphore(0)
    queues = [SimpleQueue() for _ in range(3)]
    engine.submit(request(), queues[0].put)
    while not engine.n_running:
        threading.Event().wait(0.01)

    def refuse(*_):
        raise ValueError("the prompt is too odd")

    engine._vllm.add_request = refuse
    for queue in queues[1:]:  # both wait, and join in one pass
        engine.submit(request(), queue.put)
    engine._vllm.gate.release(1)
    for queue in queues:
        with pytest.raises(ModelError, match="too odd"):
            collect(queue)


def test_an_error_of_any_kind_leaves_nobody_waiting(engine, monkeypatch):
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    engine._vllm.error = KeyError("a kind that is not expected")
    queue = SimpleQueue()
    engine.submit(request(), queue.put)
    with pytest.raises(ModelError, match="log says why"):
        collect(queue)


def test_one_model_only_and_a_missing_library_is_named(model, monkeypatch):
    with pytest.raises(ConfigError, match="one model; 2 were given"):
        VllmEngine({"a": model, "b": model}, library=LIBRARY)
    monkeypatch.setitem(__import__("sys").modules, "vllm", None)
    with pytest.raises(MissingExtra, match="pip install vllm"):
        VllmEngine({"a": model})


def test_options_ask_for_the_models_own_logprobs(model, monkeypatch):
    made = []
    library = SimpleNamespace(
        LLM=lambda **options: made.append(options) or LLM(**options), SamplingParams=SamplingParams
    )
    VllmEngine({"tiny": model}, library=library, options={"enforce_eager": True}).close()
    assert made[0]["logprobs_mode"] == "raw_logprobs"
    assert made[0]["max_model_len"] == model.context_tokens
    assert made[0]["enforce_eager"] is True
