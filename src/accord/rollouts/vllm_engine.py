"""Answers many askers through vLLM, where it is installed: the interface of `engine`, vLLM's batching.

vLLM joins requests to its running batch by itself; here are the line before it, text as it is drawn, stop
strings, and leaving. One model. One thread talks to the engine, through `LLM.llm_engine` with `add_request`,
`step` and `abort_request`.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from accord.domain.errors import AccordError, ConfigError, ModelError
from accord.domain.messages import FinishReason
from accord.domain.streams import Streams
from accord.models.language_model import LanguageModel
from accord.rollouts.engine import (
    EngineConfig,
    Job,
    Line,
    Piece,
    Request,
    Sink,
    Ticket,
    TokenReport,
)
from accord.rollouts.text_stream import TextStream
from accord.rollouts.vllm import ENGINE_DEFAULTS, completion_seeds, import_vllm, start_vllm

# Reported log-probs are the model's own, at temperature 1 and without filters, as the own engine gives them.
SERVING_DEFAULTS: Mapping[str, Any] = {**ENGINE_DEFAULTS, "logprobs_mode": "raw_logprobs"}


@dataclass
class _Answer:
    job: Job
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
        chosen = {**SERVING_DEFAULTS, **(options or {})}
        self._vllm: Any = start_vllm(self._model, self._library, chosen).llm_engine
        self._line = Line(self.models, self.config)
        self._running: dict[str, _Answer] = {}
        self._n_added = 0
        self.n_drawn = 0
        self._thread = threading.Thread(target=self._run, name="accord-vllm", daemon=True)
        self._thread.start()

    @property
    def n_waiting(self) -> int:
        """Requests in line now."""
        return len(self._line)

    @property
    def n_running(self) -> int:
        """Answers in progress now."""
        return len(self._running)

    def submit(self, request: Request, sink: Sink) -> Ticket:
        """Put a request in line; raises what `Line.submit` raises."""
        return self._line.submit(request, sink)

    def close(self) -> None:
        """Give up what is under way and end the thread."""
        self._line.close()
        self._thread.join()

    def _run(self) -> None:
        reason = "vLLM failed; the server's log says why"
        try:
            while self._line.wait(is_busy=bool(self._running)):
                self._leave()
                self._admit()
                if self._running:
                    for output in self._vllm.step():
                        self._take(output)
            reason = "the server is closing"
        except (RuntimeError, ValueError, AccordError) as error:
            reason = f"vLLM failed: {type(error).__name__}: {error}"
        finally:  # closed after a failure too: nobody knows what the engine still holds
            left = [*self._line.close(), *(answer.job for answer in self._running.values())]
            for job in {id(job): job for job in left}.values():
                job.sink(ModelError(reason))

    def _leave(self) -> None:
        """Stop working for whoever went away."""
        gone = [name for name, answer in self._running.items() if answer.job.ticket.is_cancelled]
        if gone:
            self._vllm.abort_request(gone)
        for name in gone:
            del self._running[name]

    def _admit(self) -> None:
        """Hand on who waits, as far as there is room."""
        added = []
        for job in self._line.admit(len(self._running)):
            request = job.request
            seeds = completion_seeds([request.prompt], request.n, Streams(request.seed))
            for index, seed in enumerate(seeds):
                name = str(self._n_added)
                self._n_added += 1
                stream = TextStream(self._model.tokenizer, request.config.stop)
                self._running[name] = _Answer(job, index, stream)
                added.append((name, {"prompt_token_ids": job.prompt_ids}, self._parameters(request, seed)))
        # All are noted before the first is handed on, so that a failure is told to each of them.
        for name, prompt, parameters in added:
            self._vllm.add_request(name, prompt, parameters)

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
            ignore_eos=True,  # ours are among them
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
            has_ended = has_stopped or drawn.finish_reason == "stop"
            finish = FinishReason.STOP if has_ended else FinishReason.LENGTH
            text += answer.stream.rest()
            if not output.finished:  # a stop string, of which vLLM knows nothing
                self._vllm.abort_request([str(output.request_id)])
            del self._running[str(output.request_id)]
        if text or reports or finish is not None:
            answer.job.sink(Piece(answer.index, text, answer.stream.n_tokens, tuple(reports), finish))


def _report(token: int, step: Mapping[int, Any], count: int) -> TokenReport:
    by_logprob = sorted(
        ((int(one), float(each.logprob)) for one, each in step.items()), key=lambda pair: -pair[1]
    )
    return TokenReport(token, float(step[token].logprob), tuple(by_logprob[:count]))
