"""Answers many askers through vLLM, where it is installed: the interface of `engine`, vLLM's batching.

vLLM joins requests to its running batch by itself; here are the line before it, text as it is drawn, stop
strings, and leaving. One model, since an engine takes the memory it finds. One thread talks to it.
Not proven on a real installation yet; it uses `LLM.llm_engine` with `add_request`, `step`, `abort_request`.
"""

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accord.domain.errors import AccordError, ConfigError, ModelError
from accord.domain.messages import FinishReason
from accord.domain.streams import Streams
from accord.models.language_model import LanguageModel
from accord.rollouts.engine import (
    EngineConfig,
    LineFull,
    Piece,
    Request,
    Sink,
    Ticket,
    TokenReport,
    checked_ids,
)
from accord.rollouts.text_stream import TextStream
from accord.rollouts.vllm import ENGINE_DEFAULTS, completion_seeds, import_vllm, start_vllm

# Reported log-probs are the model's own, at temperature 1 and without filters, as the own engine gives them.
SERVING_DEFAULTS: Mapping[str, Any] = {**ENGINE_DEFAULTS, "logprobs_mode": "raw_logprobs"}


@dataclass
class _Job:
    request: Request
    prompt_ids: list[int]
    ticket: Ticket
    sink: Sink


@dataclass
class _Answer:
    job: _Job
    index: int
    stream: TextStream


class VllmEngine:
    """Runs one model through vLLM until closed; `submit` and `close` may be called from any thread."""

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        config: EngineConfig | None = None,
        *,
        options: Mapping[str, Any] | None = None,
        library: Any = None,
    ):
        """`options` go to vLLM over `SERVING_DEFAULTS`; `library` is the vllm module unless given."""
        if len(models) != 1:
            raise ConfigError("engine", [f"vLLM serves one model; {len(models)} were given"])
        self.models = dict(models)
        self.config = config if config is not None else EngineConfig()
        ((_, self._model),) = self.models.items()
        self._library = import_vllm() if library is None else library
        chosen = {**SERVING_DEFAULTS, "max_model_len": self._model.context_tokens, **(options or {})}
        self._vllm: Any = start_vllm(self._model, self._library, chosen).llm_engine
        self._waiting: deque[_Job] = deque()
        self._running: dict[str, _Answer] = {}
        self._changed = threading.Condition()
        self._is_closed = False
        self._n_added = 0
        self.n_drawn = 0
        self._thread = threading.Thread(target=self._run, name="accord-vllm", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests in line now."""
        with self._changed:
            return len(self._waiting)

    @property
    def n_running(self) -> int:
        """Answers in progress now."""
        with self._changed:
            return len(self._running)

    def submit(self, request: Request, sink: Sink) -> Ticket:
        """Put a request in line; see `Engine.submit`, which raises the same."""
        ids = checked_ids(request, self.models, self.config)
        ticket = Ticket(len(ids))
        with self._changed:
            if self._is_closed:
                raise LineFull("the engine is closing; it takes no further requests")
            if len(self._waiting) >= self.config.max_waiting:
                raise LineFull(f"{len(self._waiting)} requests wait already; ask again later")
            self._waiting.append(_Job(request, ids, ticket, sink))
            self._changed.notify()
        return ticket

    def close(self) -> None:
        """Give up what is under way and end the thread."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        reason = "the server is closing"
        try:
            while self._wait():
                self._leave()
                self._admit()
                if self._running:
                    for output in self._vllm.step():
                        self._take(output)
        except (RuntimeError, ValueError, AccordError) as error:
            reason = f"vLLM failed: {type(error).__name__}: {error}"
        with self._changed:
            self._is_closed = True  # after a failure nobody knows what the engine still holds
            left = [*self._waiting, *(answer.job for answer in self._running.values())]
        for job in {id(job): job for job in left}.values():
            job.sink(ModelError(reason))

    def _wait(self) -> bool:
        with self._changed:
            while not (self._waiting or self._running or self._is_closed):
                self._changed.wait()
            return not self._is_closed

    def _leave(self) -> None:
        """Stop working for whoever went away."""
        gone = [name for name, answer in self._running.items() if answer.job.ticket.is_cancelled]
        if gone:
            self._vllm.abort_request(gone)
        with self._changed:
            for name in gone:
                del self._running[name]

    def _admit(self) -> None:
        """Hand on who waits, in the order of the line, as far as there is room."""
        joining = []
        with self._changed:
            self._waiting = deque(job for job in self._waiting if not job.ticket.is_cancelled)
            room = self.config.max_rows - len(self._running)
            while self._waiting and self._waiting[0].request.n <= room:
                joining.append(self._waiting.popleft())
                room -= joining[-1].request.n
        for job in joining:
            request = job.request
            seeds = completion_seeds([request.prompt], request.n, Streams(request.seed))
            for index, seed in enumerate(seeds):
                name = str(self._n_added)
                self._n_added += 1
                stream = TextStream(self._model.tokenizer, request.config.stop)
                with self._changed:
                    self._running[name] = _Answer(job, index, stream)
                self._vllm.add_request(
                    name, {"prompt_token_ids": job.prompt_ids}, self._parameters(request, seed)
                )

    def _parameters(self, request: Request, seed: int) -> Any:
        config = request.config
        return self._library.SamplingParams(
            n=1,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k or -1,
            min_p=config.min_p,
            max_tokens=config.max_tokens,
            stop_token_ids=sorted(self._model.tokenizer.stop_ids),
            logprobs=request.top_logprobs,
            seed=seed,
            detokenize=False,  # text, half characters and stop strings are `TextStream`'s
        )

    def _take(self, output: Any) -> None:
        """Send what an answer has grown by."""
        answer = self._running.get(str(output.request_id))
        if answer is None:  # it left meanwhile
            return
        request, (drawn,) = answer.job.request, output.outputs
        known = answer.stream.n_tokens
        text, reports, has_stopped = "", [], False
        for place in range(known, len(drawn.token_ids)):
            token = int(drawn.token_ids[place])
            part, has_stopped = answer.stream.push(token)
            text += part
            self.n_drawn += 1
            if request.top_logprobs is not None:
                reports.append(_report(token, drawn.logprobs[place], request.top_logprobs))
            if has_stopped:
                break
        is_over = has_stopped or output.finished
        finish = None
        if is_over:
            finish = FinishReason.STOP if has_stopped else FinishReason.LENGTH
            text += answer.stream.rest()
            if not output.finished:  # a stop string, of which vLLM knows nothing
                self._vllm.abort_request([str(output.request_id)])
            with self._changed:
                del self._running[str(output.request_id)]
        if text or reports or finish is not None:
            answer.job.sink(Piece(answer.index, text, answer.stream.n_tokens, tuple(reports), finish))


def _report(token: int, step: Mapping[int, Any], count: int) -> TokenReport:
    by_logprob = sorted(
        ((int(one), float(each.logprob)) for one, each in step.items()), key=lambda pair: -pair[1]
    )
    return TokenReport(token, float(step[token].logprob), tuple(by_logprob[:count]))
