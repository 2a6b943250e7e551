"""Prompts that stand in two files, or in two splits: word for word, or but for case and spaces."""

from collections.abc import Iterable
from dataclasses import dataclass

from accord.domain import Prompt


@dataclass(frozen=True, slots=True, kw_only=True)
class Leakage:
    """Prompts of one file that another file holds too."""

    against: str
    """The other file or split."""
    prompts: int
    """Different prompts in the file looked at."""
    shared: int
    """How many of them stand word for word in the other one."""
    shared_normalized: int
    """How many of them do when case and white space are ignored; never fewer than `shared`."""

    @property
    def is_clean(self) -> bool:
        """True when not even a normalized prompt is shared."""
        return self.shared_normalized == 0


def normalized_prompt(prompt: Prompt) -> str:
    """The conversation without case, and with every run of white space as one space."""
    return " ".join(word for message in prompt.messages for word in message.content.casefold().split())


def find_leakage(prompts: Iterable[Prompt], others: Iterable[Prompt], *, against: str = "") -> Leakage:
    """Count the different prompts that are also among `others`."""
    here = set(prompts)
    there = set(others)
    there_normalized = {normalized_prompt(prompt) for prompt in there}
    return Leakage(
        against=against,
        prompts=len(here),
        shared=len(here & there),
        shared_normalized=sum(normalized_prompt(prompt) in there_normalized for prompt in here),
    )
