"""What a model judge's endpoint will be asked for, in tokens and in money, before it is asked anything.

Estimated from texts that are there already: the prompts that will be asked, and known answers (demonstrations
or judged pairs) in place of those still to be sampled. Another tokenizer counts otherwise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from accord.domain import Prompt
from accord.evaluation.judges.endpoint import EndpointConfig
from accord.evaluation.judges.language_model import question
from accord.pipeline.plan import FilesTaskConfig, SupportTaskConfig
from accord.pipeline.rounds.plan import LoopConfig, ModelJudgesConfig
from accord.pipeline.support import load_support_task
from accord.store import read_demonstrations, read_preferences, read_prompts

BYTES_PER_TOKEN = 4.0
"""Of English text in UTF-8, a rule of thumb: the endpoint's tokenizer is not known here."""


@dataclass(frozen=True, kw_only=True)
class QuestionTokens:
    """Of one pair that a model judges."""

    asked: int
    """What is sent: instruction, conversation and both answers."""
    answered: int
    """The longest verdict that is let through."""

    def cost(self, judges: ModelJudgesConfig, questions: int) -> float | None:
        """Of so many pairs; None where a price is not known."""
        if judges.price_asked is None or judges.price_answered is None:
            return None
        price = self.asked * judges.price_asked + self.answered * judges.price_answered
        return round(questions * price / 1e6, 4)


def question_tokens(config: LoopConfig, judges: ModelJudgesConfig) -> QuestionTokens:
    """Mean over the prompts there are; an answer is as long as known ones, at most `sampling.max_tokens`.

    Without known answers every answer is taken as long as it may get.
    """
    prompts, answers = _texts(config.task)
    longest = config.asking.sampling.max_tokens * BYTES_PER_TOKEN
    sizes = [min(len(text.encode()), longest) for text in answers]
    answer = sum(sizes) / len(sizes) if sizes else longest
    sent = [
        sum(len(part["content"].encode()) for part in question(prompt, "", "")) + 2 * answer
        for prompt in prompts
    ]
    return QuestionTokens(
        asked=round(sum(sent) / len(sent) / BYTES_PER_TOKEN) if sent else 0,
        answered=EndpointConfig(model=judges.model, url=judges.url).max_tokens,
    )


def _texts(task: SupportTaskConfig | FilesTaskConfig) -> tuple[Sequence[Prompt], Sequence[str]]:
    """Prompts that may be asked about, and answers that are known."""
    if isinstance(task, SupportTaskConfig):
        support = load_support_task()
        answers = [one.completion for one in support.demonstrations]
        return [row.prompt for row in support.undemonstrated], answers
    pairs = read_preferences([task.root / path for path in task.preferences])
    texts = [text for pair in pairs for text in (pair.chosen, pair.rejected)]
    if task.demonstrations:
        shown = read_demonstrations([task.root / path for path in task.demonstrations])
        texts = [one.completion for one in shown]
    if task.prompts:
        return read_prompts([task.root / path for path in task.prompts]), texts
    return [pair.prompt for pair in pairs], texts
