"""How a conversation with live models goes on: from which answer, and whether it may end.

Pure functions over turns and what was said of them. Leaves out reading and writing either.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from accord.domain.errors import DataError
from accord.feedback.live import MAX_SAID, Live
from accord.feedback.questions import Comparison
from accord.feedback.schema import TaskSchema
from accord.store.database.live import Turn

Message = dict[str, str]


def checked_text(text: str) -> str:
    """What somebody says, without spaces at both ends; raises `DataError` for nothing or too much."""
    said = text.strip().replace("\r\n", "\n")
    if not said or len(said) > MAX_SAID or "\x00" in said:
        raise DataError(f"what is said has {len(said)} characters; expected a text of 1 to {MAX_SAID}")
    return said


def opening(live: Live, body: Mapping[str, Any]) -> list[Message]:
    """What the models are told before the first turn."""
    system = [{"role": "system", "content": live.system}] if live.system else []
    return system + [{"role": one["role"], "content": one["content"]} for one in body["messages"]]


def kept_answer(
    schema: TaskSchema, values: Mapping[str, Any] | None, n_answers: int, draw: str
) -> int | None:
    """Which candidate the conversation goes on from; nothing where both were bad, and the turn is undone.

    A tie and a skipped turn go on from a drawn one: the draw follows from `draw`, an id.
    """
    asked = next((one for one in schema.questions if isinstance(one, Comparison)), None)
    value = None if asked is None or values is None else values.get(asked.id)
    if value is not None and value["both_bad"]:
        return None
    if value is not None and value["strength"]:
        return 0 if value["strength"] > 0 else 1
    return random.Random(draw).randrange(n_answers)


def after_turn(body: Mapping[str, Any], kept: int | None) -> list[Message]:
    """The conversation behind a turn's item."""
    messages = [{"role": one["role"], "content": one["content"]} for one in body["messages"]]
    if kept is None:
        return messages[:-1]
    return [*messages, {"role": "assistant", "content": body["candidates"][kept]["text"]}]


def may_finish(live: Live, said: Sequence[Turn]) -> bool:
    """Whether enough turns are behind a conversation, and none is left open."""
    return sum(one.is_settled for one in said) >= live.min_turns and all(one.is_settled for one in said)


def finished_turns(live: Live, said: Sequence[Turn]) -> list[str]:
    """The items of a conversation's turns; raises `DataError` where it cannot end yet."""
    if not may_finish(live, said):
        n_settled = sum(one.is_settled for one in said)
        raise DataError(
            f"{n_settled} of {len(said)} turns are judged; a conversation ends after {live.min_turns} or "
            f"more, with none open"
        )
    return [str(one.item_id) for one in said]
