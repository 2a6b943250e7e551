"""What a sampler is: prompts in, one group of completions for each prompt out.

Holds the interface and its settings; how tokens are drawn is in `drawing`, and the samplers
themselves are in `native`, `generate` and `scripted`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from accord.domain.errors import ConfigError, DataError
from accord.domain.messages import Completion, Prompt
from accord.domain.streams import Streams


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """How completions are drawn. The default is the model's own distribution, untruncated."""

    max_tokens: int = 48
    """Tokens of a completion at most, EOS included."""
    temperature: float = 1.0
    """Logits are divided by it; 0 takes the likeliest token each time (its log-prob is then that at 1)."""
    top_p: float = 1.0
    """Keep the smallest set of likeliest tokens with at least this probability; 1 keeps all."""
    top_k: int = 0
    """Keep this many of the likeliest tokens; 0 keeps all."""
    min_p: float = 0.0
    """Keep tokens at least this share as likely as the likeliest; 0 keeps all."""
    stop: tuple[str, ...] = ()
    """Texts that end a completion; the text is cut before the first, the ids stay as drawn."""

    def __post_init__(self) -> None:
        problems = []
        if self.max_tokens < 1:
            problems.append(f"max_tokens is {self.max_tokens}; expected at least 1")
        if not 0.0 <= self.temperature < float("inf"):
            problems.append(f"temperature is {self.temperature}; expected a number from 0 (greedy) up")
        if not 0.0 < self.top_p <= 1.0:
            problems.append(f"top_p is {self.top_p}; expected above 0 and at most 1 (1 keeps all tokens)")
        if self.top_k < 0:
            problems.append(f"top_k is {self.top_k}; expected 0 (all tokens) or a count")
        if not 0.0 <= self.min_p <= 1.0:
            problems.append(f"min_p is {self.min_p}; expected from 0 (all tokens) to 1")
        if any(not text for text in self.stop):
            problems.append("stop has an empty text, which would end every completion at once; remove it")
        if problems:
            raise ConfigError("sampling", problems)

    @property
    def is_greedy(self) -> bool:
        """True when nothing is drawn at random."""
        return self.temperature == 0.0

    @property
    def has_full_support(self) -> bool:
        """True when every token can be drawn with its softmax probability at `temperature`."""
        return not self.is_greedy and self.top_p == 1.0 and self.top_k == 0 and self.min_p == 0.0

    @property
    def scoring_temperature(self) -> float:
        """The temperature that log-probs are kept at."""
        return 1.0 if self.is_greedy else self.temperature


class Sampler(Protocol):
    """Draws completions from a policy."""

    def sample(
        self, prompts: Sequence[Prompt], *, group: int = 1, config: SamplingConfig, streams: Streams
    ) -> list[list[Completion]]:
        """`group` completions for each prompt, in the order of the prompts.

        Equal streams and weights give equal completions. A prompt given twice gets its own draws.
        """
        ...


def check_request(
    prompt_ids: Sequence[Sequence[int]], *, group: int, config: SamplingConfig, context_tokens: int
) -> None:
    """Refuse what cannot be sampled: no group, an empty prompt, or one that leaves no room in the context."""
    if group < 1:
        raise ConfigError("sampling", [f"group is {group}; expected at least 1 completion a prompt"])
    for index, ids in enumerate(prompt_ids):
        if not ids:
            raise DataError(f"prompt {index} has no tokens; expected at least one to predict from")
        if len(ids) + config.max_tokens > context_tokens:
            raise DataError(
                f"prompt {index} has {len(ids)} tokens and max_tokens is {config.max_tokens}, together more "
                f"than the model's context of {context_tokens}. Shorten the prompt or lower max_tokens"
            )
