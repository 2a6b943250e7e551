"""Values as votes: which of them say the same."""

import json
from collections.abc import Mapping
from typing import Any


def verdict_of(value: Any) -> str:
    """A value as a vote: of a comparison who won, whatever by; of anything else the value itself."""
    if isinstance(value, Mapping) and "strength" in value:
        if value["both_bad"]:
            return "both_bad"
        return "tie" if value["strength"] == 0 else "first" if value["strength"] > 0 else "second"
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
