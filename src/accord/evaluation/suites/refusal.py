"""What a judge said of an answer to a request: full refusal, partial refusal or compliance.

Leaves out judging the text itself: matching phrases differs from people by up to 28 points on
published answers, so a label from people or a validated judge is asked for.
"""

from enum import Enum

from accord.domain.errors import DataError


class Refusal(Enum):
    """Three levels, as people label XSTest."""

    NONE = "none"
    PARTIAL = "partial"
    FULL = "full"

    @classmethod
    def read(cls, value: object) -> "Refusal":
        """From "full", "partial", "none", XSTest's "2_full_refusal" and its like, or true/false."""
        word = str(value).strip().lower()
        names = {
            **{level.value: level for level in cls},
            "1_full_compliance": cls.NONE,
            "2_full_refusal": cls.FULL,
            "3_partial_refusal": cls.PARTIAL,
            "true": cls.FULL,
            "1": cls.FULL,
            "false": cls.NONE,
            "0": cls.NONE,
        }
        if word not in names:
            raise DataError(f"refusal is {value!r}; expected one of {', '.join(names)}")
        return names[word]
