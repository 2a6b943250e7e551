"""The gap between a proxy and gold, by hand and where it cannot be told."""

import numpy as np
import pytest

from accord.domain.errors import EvaluationError
from accord.evaluation.comparison.gold import measure_gold
from accord.evaluation.comparison.judging import PairJudgments


def judged(new: list[float] | None, old: list[float] | None, n: int = 10) -> PairJudgments:
    rows = (0.5,) * n if new is None or old is None else tuple(
        float(np.sign(one - other) / 2 + 0.5) for one, other in zip(new, old, strict=True)
    )  # fmt: skip
    return PairJudgments(
        judge="j",
        preferences=rows,
        candidate_scores=None if new is None else tuple(new),
        incumbent_scores=None if old is None else tuple(old),
    )


IDS = [str(i) for i in range(10)]
OLD = [float(i) for i in range(10)]


def measure(proxy: PairJudgments, gold: PairJudgments, ids: list[str] = IDS):
    return measure_gold(proxy, gold, ids, seed=0, facts={})


def test_the_gap_by_hand():
    # Proxy gains 3 everywhere, gold loses 1; both incumbents have the scores 0 .. 9.
    sd = float(np.std(OLD, ddof=1))
    measured, missing = measure(judged([one + 3 for one in OLD], OLD), judged([one - 1 for one in OLD], OLD))
    found = {(one.metric, one.slice, one.versus): one.estimate for one in measured}
    gap = found["overoptimization_gap", "all", "nothing"]
    assert gap.value == pytest.approx(4 / sd)
    assert gap.low < gap.value < gap.high
    assert found["win_rate", "judge=gold", "nothing"].value == 0.0
    assert found["gold_score", "all", "incumbent"].value == pytest.approx(-1.0)
    assert missing == {}


def test_a_proxy_that_is_gold_in_other_units_has_no_gap():
    generator = np.random.default_rng(0)
    old, new = generator.normal(size=40), generator.normal(0.5, 1.0, 40)
    ids = [str(i) for i in range(40)]
    measured, _ = measure(
        judged((7 * new + 3).tolist(), (7 * old + 3).tolist()), judged(new.tolist(), old.tolist()), ids
    )
    gap = next(one.estimate for one in measured if one.metric == "overoptimization_gap")
    assert gap.value == pytest.approx(0.0, abs=1e-12)
    assert gap.high - gap.low < 1e-9


def test_where_it_cannot_be_told_the_reason_is_named():
    plain = judged(OLD, OLD)
    assert "no scores" in measure(plain, judged(None, None))[1]["overoptimization_gap"]
    assert "same score" in measure(plain, judged(OLD, [1.0] * 10))[1]["overoptimization_gap"]
    few = judged(OLD[:3], OLD[:3])
    assert "3 prompts" in measure(few, few, IDS[:3])[1]["overoptimization_gap"]
    with pytest.raises(EvaluationError, match="10 prompts of the proxy and 3 of gold"):
        measure(plain, few)
