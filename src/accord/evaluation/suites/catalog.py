"""Every suite by name.

Leaves out what they measure: each has its own file.
"""

from collections.abc import Callable, Mapping

from accord.domain.errors import DataError
from accord.evaluation.suites.bbq import BBQ
from accord.evaluation.suites.bold import BOLD
from accord.evaluation.suites.crows_pairs import CrowSPairs
from accord.evaluation.suites.ifeval import IFEval
from accord.evaluation.suites.jailbreak import Jailbreak
from accord.evaluation.suites.model_written import ModelWritten
from accord.evaluation.suites.pronouns import Winogender, Winogenerated
from accord.evaluation.suites.safety import HarmfulPrompts, XSTest
from accord.evaluation.suites.suite import Suite
from accord.evaluation.suites.sycophancy import Sycophancy
from accord.evaluation.suites.truthfulqa import TruthfulQA

PLAIN: Mapping[str, Callable[[], Suite]] = {
    suite.name: suite
    for suite in (
        CrowSPairs,
        IFEval,
        Jailbreak,
        ModelWritten,
        Sycophancy,
        TruthfulQA,
        Winogender,
        Winogenerated,
    )
}
WITH_COLUMN: Mapping[str, Callable[..., Suite]] = {
    suite.name: suite for suite in (BBQ, BOLD, HarmfulPrompts, XSTest)
}
"""Suites whose answers stand in a column that can be chosen."""
SUITE_NAMES = tuple(sorted({*PLAIN, *WITH_COLUMN}))


def find_suite(name: str, *, column: str | None = None) -> Suite:
    """The suite called `name`; `column` names the answers' column where the suite lets one choose."""
    if name in WITH_COLUMN:
        return WITH_COLUMN[name](column=column) if column else WITH_COLUMN[name]()
    if name not in PLAIN:
        raise DataError(f"unknown suite {name!r}; there are {', '.join(SUITE_NAMES)}")
    if column:
        raise DataError(f"suite {name} has fixed columns; --column is for {', '.join(sorted(WITH_COLUMN))}")
    return PLAIN[name]()
