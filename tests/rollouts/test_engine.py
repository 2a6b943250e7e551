"""The engine: many askers, one loop; it sends what the sampler draws; who leaves holds up nobody."""

import threading
from queue import SimpleQueue

import pytest

from accord.domain import ConfigError, DataError, ModelError, Prompt, Streams
from accord.models.tiny import tiny_model
from accord.rollouts.engine import Engine, EngineConfig, LineFull, Piece, Request
from accord.rollouts.native import NativeSampler
from accord.rollouts.sampler import SamplingConfig
from accord.rollouts.text_stream import TextStream

from .hearing import collect

CONFIG = SamplingConfig(max_tokens=16)


@pytest.fixture(scope="module")
def model():
    return tiny_model(3)


@pytest.fixture
def engine(model):
    engine = Engine({"tiny": model})
    yield engine
    engine.close()


def request(text="hello", **fields):
    return Request(**{"model": "tiny", "prompt": Prompt.from_text(text), "config": CONFIG, **fields})


def sampled(model, text, config, seed, n=1):
    (group,) = NativeSampler(model).sample(
        [Prompt.from_text(text)], group=n, config=config, streams=Streams(seed)
    )
    return group


def test_requests_that_run_together_get_what_each_gets_alone(engine, model):
    asked = [
        (f"prompt {k} " * (k + 1), SamplingConfig(max_tokens=5 + 7 * k, temperature=0.5 + 0.2 * k), k)
        for k in range(6)
    ]
    queues = [SimpleQueue() for _ in asked]
    for (text, config, seed), queue in zip(asked, queues, strict=True):
        engine.submit(request(text, config=config, seed=seed), queue.put)
    for (text, config, seed), queue in zip(asked, queues, strict=True):
        (drawn,) = sampled(model, text, config, seed)
        texts, ends, _ = collect(queue)
        assert texts == [drawn.text]
        assert ends == {0: (drawn.finish_reason, len(drawn.token_ids))}


def test_one_more_than_may_wait_is_refused_and_the_others_are_answered(model):
    entered, leave = threading.Event(), threading.Event()

    def hold(event):
        entered.set()
        assert leave.wait(60)

    engine = Engine({"tiny": model}, EngineConfig(max_waiting=2, max_rows=1))
    try:
        engine.submit(request(), hold)  # it runs, and its sink keeps the loop
        assert entered.wait(60)
        queues = [SimpleQueue(), SimpleQueue()]
        for queue in queues:
            engine.submit(request(), queue.put)
        assert engine.n_waiting == 2
        with pytest.raises(LineFull, match="2 requests wait"):
            engine.submit(request(), print)
        leave.set()
        for queue in queues:
            collect(queue)
    finally:
        leave.set()
        engine.close()


def test_who_leaves_gets_nothing_more_and_makes_room(model):
    engine = Engine({"tiny": model}, EngineConfig(max_rows=1))
    try:
        left, tickets, stayed = [], [], SimpleQueue()
        known = threading.Event()

        def leaves_at_once(event):
            left.append(event)
            assert known.wait(60)
            tickets[0].cancel()

        config = SamplingConfig(max_tokens=1500)
        tickets.append(engine.submit(request(config=config, top_logprobs=0), leaves_at_once))
        engine.submit(request(), stayed.put)
        known.set()
        collect(stayed)
        assert len(left) == 1  # 1499 tokens were not drawn
        assert engine.n_running == 0
    finally:
        engine.close()


def test_a_sink_in_line_that_leaves_is_never_begun(model):
    engine = Engine({"tiny": model}, EngineConfig(max_rows=1))
    try:
        entered, leave, never = threading.Event(), threading.Event(), []
        engine.submit(request(), lambda event: entered.set() or leave.wait(60))
        assert entered.wait(60)
        engine.submit(request(), never.append).cancel()
        last = SimpleQueue()
        engine.submit(request(), last.put)
        leave.set()
        collect(last)
        assert never == []
    finally:
        engine.close()


def test_what_cannot_run_is_refused_before_it_waits(engine):
    with pytest.raises(ModelError, match="no model 'other'"):
        engine.submit(request(model="other"), print)
    with pytest.raises(ConfigError, match="at most 64"):
        engine.submit(request(n=65), print)
    with pytest.raises(DataError, match="context of 2048"):
        engine.submit(request(config=SamplingConfig(max_tokens=2048)), print)


def test_closing_tells_those_who_wait(model):
    engine = Engine({"tiny": model}, EngineConfig(max_rows=1))
    entered, leave, told = threading.Event(), threading.Event(), SimpleQueue()
    engine.submit(request(), lambda event: entered.set() or leave.wait(60))
    assert entered.wait(60)
    engine.submit(request(), told.put)
    closing = threading.Thread(target=engine.close)
    closing.start()
    leave.set()
    closing.join(60)
    event = told.get(timeout=60)
    assert isinstance(event, ModelError | Piece)
    with pytest.raises(LineFull, match="closing"):
        engine.submit(request(), print)


def ids_of(model, text):
    return model.tokenizer.completion_ids(text, ended=False)


def test_text_is_sent_in_whole_characters(model):
    stream = TextStream(model.tokenizer)
    parts = [stream.push(token)[0] for token in ids_of(model, "a€b")]
    # the euro sign has three bytes; nothing is certain until the third
    assert parts == ["a", "", "", "€", "b"]


def test_the_beginning_of_a_stop_string_is_held_until_it_is_none(model):
    stream = TextStream(model.tokenizer, ["END"])
    parts = [stream.push(token) for token in ids_of(model, "xENxEND")]
    assert parts == [
        ("x", False),
        ("", False),
        ("", False),
        ("ENx", False),
        ("", False),
        ("", False),
        ("", True),
    ]
    assert stream.rest() == ""


def test_what_was_held_comes_at_the_end(model):
    stream = TextStream(model.tokenizer, ["END"])
    assert [stream.push(token)[0] for token in ids_of(model, "xE")] == ["x", ""]
    assert stream.rest() == "E"


def test_a_turn_that_ends_is_a_stop_without_text(model):
    stream = TextStream(model.tokenizer)
    assert stream.push(model.tokenizer.eos_id) == ("", True)
    assert (stream.rest(), stream.n_tokens) == ("", 1)


def test_a_short_request_joins_a_long_one_that_runs_and_is_answered_first(model):
    engine = Engine({"tiny": model})
    runs = []
    decoder = engine._batches["tiny"].decoder
    plain = decoder.advance
    decoder.advance = lambda parts: runs.append([len(tokens) for _, tokens in parts]) or plain(parts)
    try:
        started, long, short, order = threading.Event(), SimpleQueue(), SimpleQueue(), []

        def sink(queue, name):
            def take(event):
                started.set()
                queue.put(event)
                if isinstance(event, Piece) and event.finish is not None:
                    order.append(name)

            return take

        config = SamplingConfig(max_tokens=600)
        engine.submit(request("a long story", config=config, seed=5, top_logprobs=0), sink(long, "long"))
        assert started.wait(60)
        engine.submit(request("short", seed=6, n=2), sink(short, "short"))
        short_texts, _, _ = collect(short, n=2)
        long_texts, _, _ = collect(long)
        assert order == ["short", "short", "long"]
        # they shared passes: no more of them than the long answer has tokens
        assert [1, 2] in runs
        assert len(runs) < 600
        (drawn,) = sampled(model, "a long story", config, 5)
        assert long_texts == [drawn.text]
        assert short_texts == [each.text for each in sampled(model, "short", CONFIG, 6, n=2)]
    finally:
        engine.close()


def test_who_leaves_a_shared_batch_changes_nothing_for_the_others(model):
    engine = Engine({"tiny": model})
    try:
        entered, leave = threading.Event(), threading.Event()
        first, others = [], [SimpleQueue() for _ in range(3)]

        def hold(event):
            first.append(event)
            entered.set()
            assert leave.wait(60)

        config = SamplingConfig(max_tokens=300)
        tickets = [engine.submit(request("goes", config=config, seed=9, top_logprobs=0), hold)]
        assert entered.wait(60)
        for k, queue in enumerate(others):
            engine.submit(request(f"stays {k}", config=SamplingConfig(max_tokens=20 + k), seed=k), queue.put)
        tickets[0].cancel()
        leave.set()
        for k, queue in enumerate(others):
            (drawn,) = sampled(model, f"stays {k}", SamplingConfig(max_tokens=20 + k), k)
            assert collect(queue)[0] == [drawn.text]
        assert len(first) == 1
    finally:
        leave.set()
        engine.close()


def test_a_model_that_breaks_tells_its_askers_and_goes_on(model):
    engine = Engine({"tiny": model})
    try:
        decoder = engine._batches["tiny"].decoder
        plain = decoder.advance

        def broken(parts):
            decoder.advance = plain
            raise RuntimeError("out of memory")

        decoder.advance = broken
        told, answered = SimpleQueue(), SimpleQueue()
        engine.submit(request(), told.put)
        with pytest.raises(ModelError, match="out of memory"):
            collect(told)
        engine.submit(request(seed=3), answered.put)
        (drawn,) = sampled(model, "hello", CONFIG, 3)
        assert collect(answered)[0] == [drawn.text]
    finally:
        engine.close()
