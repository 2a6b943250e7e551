"""Answers many askers at once: a bounded line, one running batch a model, and text as it is drawn.

Each pass of the loop gives every answer in progress one token, in one run through the model; those who wait
join the batch between two passes, so that a long answer holds up nobody. One thread does all of it. A
request's draws depend on its seed alone (up to rounding that a batch's shape brings); `NativeSampler` with
`Streams(seed)` draws the same. Leaves out how requests arrive (`pipeline/serving`).
"""

import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch
from torch import Tensor

from accord.domain.errors import AccordError, ConfigError, ModelError
from accord.domain.messages import FinishReason, Prompt
from accord.domain.streams import Streams
from accord.models.language_model import LanguageModel
from accord.rollouts.cached import CachedDecoder
from accord.rollouts.drawing import draw_tokens, row_uniforms
from accord.rollouts.llama import LlamaDecoder, covers
from accord.rollouts.native import Precision
from accord.rollouts.packing import has_fast_bf16
from accord.rollouts.running import RunningBatch
from accord.rollouts.sampler import SamplingConfig, check_request
from accord.rollouts.text_stream import TextStream


class LineFull(AccordError):
    """More requests wait than may; ask again later."""


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How much an engine takes on."""

    max_waiting: int = 64
    """Requests in line; one more is refused."""
    max_rows: int = 64
    """Answers in progress at one time, over all models."""

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)}; expected at least 1"
            for name in ("max_waiting", "max_rows")
            if getattr(self, name) < 1
        ]
        if problems:
            raise ConfigError("engine", problems)


@dataclass(frozen=True, kw_only=True)
class Request:
    """Something to be answered `n` times."""

    model: str
    """Name of a model that the engine has."""
    prompt: Prompt
    n: int = 1
    config: SamplingConfig
    seed: int = 0
    top_logprobs: int | None = None
    """Report each token's log-prob, and so many of the likeliest tokens'; None reports nothing."""


@dataclass(frozen=True)
class TokenReport:
    """A drawn token under the model's own distribution: temperature 1, nothing left out."""

    token_id: int
    logprob: float
    """Natural log."""
    likeliest: tuple[tuple[int, float], ...] = ()
    """(token, log-prob), the likeliest first."""


@dataclass(frozen=True)
class Piece:
    """What an answer has grown by; the last one of each says how it ended."""

    index: int
    """Which of the `n` answers."""
    text: str
    n_tokens: int
    """Tokens drawn for this answer so far, its end included."""
    tokens: tuple[TokenReport, ...] = ()
    finish: FinishReason | None = None


Event = Piece | AccordError
Sink = Callable[[Event], None]


@dataclass
class Ticket:
    """A request's place: its prompt's length, and the way to give it up."""

    n_prompt_tokens: int
    is_cancelled: bool = False

    def cancel(self) -> None:
        """Stop working on it; nothing more is sent after the pass that is under way."""
        self.is_cancelled = True


@dataclass
class Job:
    """A request in line or under way."""

    request: Request
    prompt_ids: list[int]
    ticket: Ticket
    sink: Sink


class Line:
    """Requests in the order they came, as many as may wait; any thread may add one or close it."""

    def __init__(self, models: Mapping[str, LanguageModel], config: EngineConfig):
        self.models, self.config = models, config
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._is_closed = False

    def __len__(self) -> int:
        with self._changed:
            return len(self._jobs)

    def submit(self, request: Request, sink: Sink) -> Ticket:
        """Put a request in line.

        Raises:
            ModelError: no such model.
            ConfigError: more answers than may run at one time.
            DataError: prompt and max_tokens do not fit the model's context.
            LineFull: too many wait, or the line is closed.
        """
        ids = checked_ids(request, self.models, self.config)
        ticket = Ticket(len(ids))
        with self._changed:
            if self._is_closed:
                raise LineFull("the engine is closing; it takes no further requests")
            if len(self._jobs) >= self.config.max_waiting:
                raise LineFull(f"{len(self._jobs)} requests wait already; ask again later")
            self._jobs.append(Job(request, ids, ticket, sink))
            self._changed.notify()
        return ticket

    def wait(self, *, is_busy: bool) -> bool:
        """Waits for a request unless there is work already; False once the line is closed."""
        with self._changed:
            while not (self._jobs or is_busy or self._is_closed):
                self._changed.wait()
            return not self._is_closed

    def admit(self, n_running: int) -> list[Job]:
        """Takes out whoever finds room, in order; who needs more room holds up those behind."""
        joining: list[Job] = []
        with self._changed:
            self._jobs = deque(job for job in self._jobs if not job.ticket.is_cancelled)
            room = self.config.max_rows - n_running
            while self._jobs and self._jobs[0].request.n <= room:
                joining.append(self._jobs.popleft())
                room -= joining[-1].request.n
        return joining

    def close(self) -> list[Job]:
        """Takes no more; who waits still."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
            return list(self._jobs)


@dataclass
class _Slot:
    job: Job
    index: int
    uniforms: Tensor
    stream: TextStream
    is_over: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it wants another token."""
        return not (self.is_over or self.job.ticket.is_cancelled)


class Answering(Protocol):
    """What a server needs of whatever answers its requests: `Engine`, or `VllmEngine`."""

    models: dict[str, LanguageModel]
    """By the name that requests give."""
    n_drawn: int
    """Tokens drawn since the start."""

    @property
    def n_waiting(self) -> int:
        """Requests in line now."""
        ...

    @property
    def n_running(self) -> int:
        """Answers in progress now."""
        ...

    def submit(self, request: Request, sink: Sink) -> Ticket:
        """Put a request in line; `sink` gets its pieces, in another thread, and must not block."""
        ...

    def close(self) -> None:
        """Give up what is under way."""
        ...


class Engine:
    """Runs models until closed; `submit` and `close` may be called from any thread."""

    def __init__(
        self,
        models: Mapping[str, LanguageModel],
        config: EngineConfig | None = None,
        *,
        precision: Precision = "auto",
    ):
        if not models:
            raise ConfigError("engine", ["there is no model to run"])
        self.models = dict(models)
        self.config = config if config is not None else EngineConfig()
        with torch.no_grad():
            self._batches: dict[str, RunningBatch[_Slot]] = {
                name: RunningBatch(_decoder(model, precision)) for name, model in models.items()
            }
        self._line = Line(self.models, self.config)
        self.n_drawn = 0
        """Tokens drawn since the start."""
        self._thread = threading.Thread(target=self._run, name="accord-engine", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests in line now."""
        return len(self._line)

    @property
    def n_running(self) -> int:
        """Answers in progress now."""
        return sum(batch.n_alive for batch in self._batches.values())

    def submit(self, request: Request, sink: Sink) -> Ticket:
        """Put a request in line; `sink` gets its pieces, in the engine's thread, and must not block.

        Raises what `Line.submit` raises.
        """
        return self._line.submit(request, sink)

    def close(self) -> None:
        """Give up what is under way and end the thread."""
        self._line.close()
        self._thread.join()

    def _run(self) -> None:
        reason = "the engine failed; the server's log says why"
        try:
            with torch.inference_mode():
                while self._line.wait(is_busy=self.n_running > 0):
                    for jobs in self._admit():
                        self._guarded(jobs, partial(self._join, jobs))
                    for name, batch in self._batches.items():
                        if batch.n_alive:
                            self._guarded(_jobs(batch), partial(self._step, name))
            reason = "the server is closing"
        finally:
            running = [job for batch in self._batches.values() for job in _jobs(batch)]
            for job in [*self._line.close(), *running]:
                job.sink(ModelError(reason))

    def _guarded(self, jobs: Sequence[Job], work: Callable[[], None]) -> None:
        """Work that fails (memory, a broken model) ends its own jobs alone, and whoever asked is told."""
        try:
            work()
        except (RuntimeError, ValueError, AccordError) as error:
            for job in jobs:
                job.ticket.cancel()
                job.sink(ModelError(f"{type(error).__name__}: {error}"))

    def _admit(self) -> list[list[Job]]:
        """Who joins now; jobs of one model and one n are prefilled together."""
        together: dict[tuple[str, int], list[Job]] = {}
        for job in self._line.admit(self.n_running):
            together.setdefault((job.request.model, job.request.n), []).append(job)
        return list(together.values())

    def _join(self, jobs: list[Job]) -> None:
        first = jobs[0].request
        model = self.models[first.model]
        slots = []
        for job in jobs:
            request = job.request
            uniforms = row_uniforms(
                [request.prompt],
                group=request.n,
                count=request.config.max_tokens,
                streams=Streams(request.seed),
            )
            slots += [
                _Slot(job, i, uniforms[i], TextStream(model.tokenizer, request.config.stop))
                for i in range(request.n)
            ]
        with torch.autocast(model.device.type, enabled=False):
            self._batches[first.model].join(
                [job.prompt_ids for job in jobs],
                slots,
                max_tokens=max(job.request.config.max_tokens for job in jobs),
            )

    def _step(self, name: str) -> None:
        """One token for each answer in progress on a model."""
        with torch.autocast(self.models[name].device.type, enabled=False):
            self._batches[name].step(self._draw)

    def _draw(self, slots: Sequence[_Slot], logits: Tensor) -> list[int]:
        tokens = torch.zeros(len(slots), dtype=torch.long, device=logits.device)
        is_alive = [slot.is_alive for slot in slots]
        by_config: dict[SamplingConfig, list[int]] = {}
        for place, slot in enumerate(slots):
            if is_alive[place]:
                by_config.setdefault(slot.job.request.config, []).append(place)
        for config, places in by_config.items():
            uniforms = torch.stack([slots[place].uniforms[slots[place].stream.n_tokens] for place in places])
            tokens[places] = draw_tokens(logits[places], uniforms, config).tokens
        drawn: list[int] = tokens.tolist()
        for place, (slot, token) in enumerate(zip(slots, drawn, strict=True)):
            if is_alive[place]:
                self.n_drawn += 1
                _take(slot, token, logits[place])
        return drawn


def checked_ids(request: Request, models: Mapping[str, LanguageModel], config: EngineConfig) -> list[int]:
    """The prompt's ids; raises what `submit` raises for a request that can never run."""
    model = models.get(request.model)
    if model is None:
        raise ModelError(f"there is no model {request.model!r}; there are: {', '.join(models)}")
    if request.n > config.max_rows:
        raise ConfigError("request", [f"n is {request.n}; at most {config.max_rows} run at once"])
    ids = model.tokenizer.prompt_ids(request.prompt)
    check_request([ids], group=request.n, config=request.config, context_tokens=model.context_tokens)
    return ids


def _jobs(batch: RunningBatch[_Slot]) -> list[Job]:
    """The jobs that have an answer in progress, each once."""
    return list({id(slot.job): slot.job for slot in batch.rows}.values())


def _decoder(model: LanguageModel, precision: Precision) -> LlamaDecoder | CachedDecoder:
    is_bf16 = precision == "bf16" or (precision == "auto" and has_fast_bf16(model.device))
    dtype = torch.bfloat16 if is_bf16 else torch.float32
    model.network.eval()
    return LlamaDecoder(model, dtype=dtype) if covers(model) else CachedDecoder(model)


def _take(slot: _Slot, token: int, logits: Tensor) -> None:
    """Note a drawn token and send what it adds."""
    request = slot.job.request
    text, has_stopped = slot.stream.push(token)
    is_over = slot.stream.n_tokens >= request.config.max_tokens
    finish = FinishReason.STOP if has_stopped else FinishReason.LENGTH if is_over else None
    if finish is not None:
        slot.is_over = True
        text += slot.stream.rest()
    tokens = () if request.top_logprobs is None else (_report(token, logits, request.top_logprobs),)
    if text or tokens or finish is not None:
        slot.job.sink(Piece(slot.index, text, slot.stream.n_tokens, tokens, finish))


def _report(token: int, logits: Tensor, count: int) -> TokenReport:
    logprobs = logits.float().log_softmax(-1)
    best = logprobs.topk(count) if count else None
    pairs = () if best is None else zip(best.indices.tolist(), best.values.tolist(), strict=True)
    return TokenReport(token, float(logprobs[token]), tuple(pairs))
