"""A sampler that answers from a script: for tests and dry runs; no model runs."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from accord.domain.errors import DataError
from accord.domain.messages import Completion, FinishReason, Prompt
from accord.domain.streams import Streams
from accord.models.chat import ChatTokenizer
from accord.rollouts.sampler import SamplingConfig

Script = Mapping[str, Sequence[str]] | Callable[[Prompt, int], str]


class ScriptedSampler:
    """Answers by a table (prompt text to answers, taken in turn) or a function of prompt and sample number.

    With a tokenizer completions carry ids, cut at `max_tokens` as a model's would be. Log-probs
    are never given: nothing was drawn.
    """

    def __init__(self, script: Script, *, tokenizer: ChatTokenizer | None = None, version: str = "scripted"):
        self.script = script
        self.tokenizer = tokenizer
        self.version = version
        self._taken: Counter[str] = Counter()

    def sample(
        self, prompts: Sequence[Prompt], *, group: int = 1, config: SamplingConfig, streams: Streams
    ) -> list[list[Completion]]:
        """The next `group` answers of the script for each prompt; a table starts again when it is used up."""
        return [
            [self._completion(self._answer(prompt, j), config) for j in range(group)] for prompt in prompts
        ]

    def _answer(self, prompt: Prompt, sample: int) -> str:
        if callable(self.script):
            return self.script(prompt, sample)
        answers = self.script.get(prompt.text)
        if not answers:
            raise DataError(f"the script has no answer to {prompt.text!r}; add one under this text")
        taken = self._taken[prompt.text]
        self._taken[prompt.text] += 1
        return answers[taken % len(answers)]

    def _completion(self, text: str, config: SamplingConfig) -> Completion:
        if self.tokenizer is None:
            return Completion(text=text, policy_version=self.version)
        ids = self.tokenizer.completion_ids(text)
        is_cut = len(ids) > config.max_tokens
        ids = ids[: config.max_tokens]
        return Completion(
            text=self.tokenizer.decode(ids) if is_cut else text,
            token_ids=tuple(ids),
            finish_reason=FinishReason.LENGTH if is_cut else FinishReason.STOP,
            policy_version=self.version,
        )
