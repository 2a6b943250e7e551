"""How often each detector of the quality engine alarms where nothing is wrong, one JSON line.

Every study draws streams, annotators or crowds without the fault it looks for. `alarms` of `chances` is the
rate; `within` says that it is not above the promise beyond what chance explains (one-sided exact test
at 1 in 100). Detectors whose promise is over ALL annotators count a crowd as one chance.

    python benchmarks/quality_alarms.py [--worlds 400] [--first 0] [--only NAME ...]
"""

import argparse
import json
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from accord.domain import LabelColumns
from accord.quality.agreement import BootstrapConfig
from accord.quality.bias import PermutationConfig, compare_exclusion, compare_groups, measure_group_means
from accord.quality.consensus import fit_consensus
from accord.quality.labels import LabelTable, tabulate_labels
from accord.quality.people import assess_annotators, audit_gold, detect_gold_leaks, find_camps, find_copies
from accord.quality.people.assessment import LabelEvidence
from accord.quality.people.camps import CampConfig
from accord.quality.people.channels import (
    ChannelConfig,
    check_hurry,
    check_pace,
    check_repeats,
    check_runs,
    check_spells,
    join_channels,
)
from accord.quality.people.drift import (
    DriftConfig,
    assess_decline,
    cautious_normal,
    choose_threshold,
    drift_e_value,
    drift_steps,
    watch_drift,
)
from accord.quality.people.gold_audit import GoldAuditConfig
from accord.quality.simulation import CrowdConfig, simulate_labels

World = dict[str, tuple[float, float, float]]
"""Name of a detector to alarms, chances and the promised rate of one world."""
LEVEL = 0.05
QUICK = ChannelConfig(level=LEVEL, max_draws=199)
ONCE = PermutationConfig(permutations=1)
NO_BOOTSTRAP = BootstrapConfig(replicates=0)
HONEST = CrowdConfig(
    n_items=200, n_annotators=24, labels_per_item=8, class_spread=0.5, difficulty_spread=1.0, skill_alpha=8.0
)
"""Unlike annotators on items of unlike difficulty, which is what makes honest errors meet."""


def drift(seed: int) -> World:
    """Decline in a stream of one annotator who does not decline."""
    rng = np.random.default_rng(seed)
    wanted, size = 2.0, 2000
    known = choose_threshold(false_alarms_per_1000=wanted)
    alarms = len(watch_drift((rng.random(size) < 0.85).astype(float), threshold=known).alarms)
    accuracy = rng.beta(17, 3)
    normal = float(np.floor(50 * cautious_normal(int((rng.random(50) < accuracy).sum()), 50)) / 50)
    declined = float(DriftConfig().declined(normal))
    threshold = choose_threshold(normal=normal, declined=declined, false_alarms_per_1000=wanted)
    estimated = watch_drift((rng.random(500) < accuracy).astype(float), normal=normal, threshold=threshold)
    steps = drift_steps((rng.random(60) < 0.85).astype(float), normal=0.85, declined=0.65)
    test = assess_decline((rng.random(80) < rng.beta(4, 2)).astype(float), max_draws=199, seed=seed)
    return {
        "decline, CUSUM, accuracy known": (alarms, size, wanted / 1000),
        "decline, CUSUM, accuracy from 50 labels": (len(estimated.alarms), 500, wanted / 1000),
        "decline, e-value of 20": (drift_e_value(steps) >= 20, 1, LEVEL),
        "decline, looking back": (test is not None and test.p_value <= LEVEL, 1, LEVEL),
    }


def channels(seed: int) -> World:
    """Each sign of inattention in an attentive annotator, and all of them joined."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(50, 2000, 80)
    spent = lengths**0.7 * rng.lognormal(3, 0.6, 80)
    pace = np.where(rng.random(80) < 0.05, 100.0, 5000.0)
    found = {
        "too fast": check_pace(pace, config=QUICK),
        "hurry": check_hurry(spent, n_characters=lengths, config=QUICK, seed=seed),
        "runs of one side": check_runs(rng.random(80) < rng.uniform(0.4, 0.6), config=QUICK),
        "spells of one answer": check_spells(
            rng.choice(3, size=80, p=rng.dirichlet([4, 2, 2])), config=QUICK, seed=seed
        ),
        "own repeats": check_repeats(int(rng.binomial(10, QUICK.min_self_agreement)), 10, config=QUICK),
    }
    each = {name: (one.p_value is not None and one.p_value <= LEVEL, 1, LEVEL) for name, one in found.items()}
    joined = join_channels(list(found.values()), config=QUICK)
    return {**each, "these five joined": (joined.is_alarm, 1, LEVEL)}


def honest_crowd(seed: int) -> World:
    """Everything that is said of a whole crowd in which nobody is at fault."""
    rng = np.random.default_rng(seed)
    crowd = simulate_labels(HONEST, seed)
    table = tabulate_labels(crowd.columns)
    fit = fit_consensus(table, method="dawid_skene")
    size = table.n_labels
    evidence = LabelEvidence(
        timestamps_ms=rng.permutation(size) * 60_000.0, durations_ms=rng.lognormal(9.5, 0.5, size)
    )
    rows = assess_annotators(table, fit.raw.probabilities, evidence=evidence, seed=seed).rows
    said = [reason for row in rows for reason in row.reasons]
    fell = [reason for reason in said if "Expected correctness fell" in reason]
    gold = dict(zip(table.items.tolist(), crowd.truth_index.tolist(), strict=True))
    doubts = audit_gold(table, fit.raw.probabilities, gold)
    return {
        "decline, any of 24 annotators": (bool(fell), 1, LEVEL),
        "signs of inattention, any of 24": (
            any("(q = " in reason and reason not in fell for reason in said),
            1,
            LEVEL,
        ),
        "copying, any of 276 pairs": (
            bool(find_copies(table, fit.raw.probabilities).pairs),
            1,
            LEVEL,
        ),
        "sound gold in doubt": (
            sum(one.is_flagged for one in doubts),
            len(doubts),
            GoldAuditConfig().false_alarm_rate,
        ),
        "removed though honest": (sum(row.verdict == "remove" for row in rows), len(rows), 0.025),
    }


def camps(seed: int) -> World:
    """Annotators just reliable enough, and a crowd of one school."""
    rng = np.random.default_rng(seed)
    reliability = np.where(np.arange(30) < 10, 0.32, 0.75)
    view = rng.integers(0, 2, 150)
    who = np.argsort(rng.random((150, 30)), axis=1)[:, :12].ravel()
    items = np.repeat(np.arange(150), 12)
    follows = rng.random(len(items)) < reliability[who]
    values = np.where(follows, view[items], rng.integers(0, 2, len(items)))
    table = tabulate_labels(LabelColumns(items=items, annotators=who, values=values), classes=range(2))
    members = find_camps(table, config=CampConfig(max_camps=1)).members
    school = tabulate_labels(simulate_labels(HONEST, seed).columns)
    return {
        "badly predicted though reliable by .32": (
            sum(one.is_badly_predicted for one in members[:10]),
            10,
            0.025,
        ),
        "a second school where there is one": (find_camps(school, seed=seed).n_camps > 1, 1, LEVEL),
    }


def leaks(seed: int) -> World:
    """Gold that has not leaked, twelve items of 50 showings."""
    rng = np.random.default_rng(seed)
    items, when = np.repeat(np.arange(12), 50), np.tile(np.arange(50), 12)
    people = rng.integers(0, 25, len(items))
    pace, skill = rng.normal(0, 0.5, 25), rng.uniform(0.6, 0.9, 25)
    spent = np.exp(rng.normal(9, 0.5, len(items)) + pace[people])
    right = rng.random(len(items)) < skill[people]
    found = detect_gold_leaks(items, people, when, spent, right, seed=seed)
    return {"leaked gold, any of 12 items": (any(one.has_leaked for one in found), 1, LEVEL)}


def shared_error(seed: int) -> World:
    """The alarm of `auto` on crowds whose errors are independent given the class, of many shapes."""
    rng = np.random.default_rng(seed)
    low = int(rng.integers(3, 12))
    config = CrowdConfig(
        n_items=int(rng.integers(100, 500)),
        n_annotators=int(rng.integers(12, 40)),
        n_classes=int(rng.integers(2, 5)),
        labels_per_item=low,
        class_spread=float(rng.uniform(0, 1.5)),
        random_share=float(rng.choice([0.0, 0.15])),
    )
    fit = fit_consensus(tabulate_labels(simulate_labels(config, seed).columns), seed=seed)
    return {"shared error, independent annotators": (bool(fit.alarms), 1, LEVEL)}


def groups(seed: int) -> World:
    """Groups of annotators without a view of their own, alike means, and even exclusion."""
    rng = np.random.default_rng(seed)
    group = np.repeat(np.arange(3), 5)
    names = dict(enumerate("abc"[at] for at in group))
    truth = rng.integers(0, 3, (40, 1))
    label = np.where(rng.random((40, 15)) < rng.uniform(0.3, 0.9, 15), truth, rng.integers(0, 3, (40, 15)))
    rows = compare_groups(
        _table_of(label),
        names,
        config=NO_BOOTSTRAP,
        permutation=PermutationConfig(permutations=199, seed=seed),
    )
    cells = 0.5 * rng.normal(size=(60, 1)) + 0.5 * rng.normal(size=15) + rng.normal(size=(60, 15))
    means = measure_group_means(_table_of(cells), names).groups
    sizes = ["a"] * 120 + ["b"] * 40 + ["c"] * 15
    even = compare_exclusion(sizes, (rng.random(175) < 0.2).tolist())
    return {
        "groups: a view of its own, any of 3": (
            min(1.0 if row.p_adjusted is None else row.p_adjusted for row in rows) <= LEVEL,
            1,
            LEVEL,
        ),
        "groups: means, any of 3": (
            min(1.0 if row.p_adjusted is None else row.p_adjusted for row in means) <= LEVEL,
            1,
            LEVEL,
        ),
        "groups: exclusion, any of 3": (any(row.verdict.is_alarm for row in even), 1, LEVEL),
    }


def _table_of(cells: NDArray[Any]) -> LabelTable:
    items, annotators = np.indices(cells.shape)
    columns = LabelColumns(items=items.ravel(), annotators=annotators.ravel(), values=cells.ravel())
    return tabulate_labels(columns)


STUDIES: dict[str, Callable[[int], World]] = {
    "drift": drift,
    "channels": channels,
    "honest-crowd": honest_crowd,
    "camps": camps,
    "leaks": leaks,
    "shared-error": shared_error,
    "groups": groups,
}


def measure(name: str, seeds: range) -> dict[str, dict[str, Any]]:
    """Alarms, chances and rate of every detector of a study."""
    sums: dict[str, list[float]] = {}
    for seed in seeds:
        for detector, (alarms, chances, promise) in STUDIES[name](seed).items():
            row = sums.setdefault(detector, [0.0, 0.0, promise])
            row[0] += float(alarms)
            row[1] += float(chances)
    return {
        detector: {
            "alarms": int(alarms),
            "chances": int(chances),
            "rate": round(alarms / chances, 5),
            "promised": round(promise, 5),
            "within": bool(stats.binom.sf(alarms - 1, int(chances), promise) >= 0.01),
        }
        for detector, (alarms, chances, promise) in sums.items()
    }


def main() -> None:
    """Run the studies asked for and print one line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--worlds", type=int, default=400, help="drawn for each study")
    parser.add_argument("--first", type=int, default=0, help="seed of the first world")
    parser.add_argument("--only", nargs="*", choices=list(STUDIES), default=list(STUDIES))
    args = parser.parse_args()
    found: dict[str, dict[str, Any]] = {}
    for name in args.only:
        found |= measure(name, range(args.first, args.first + args.worlds))
    above = [detector for detector, row in found.items() if not row["within"]]
    print(json.dumps({"worlds": args.worlds, "detectors": found, "above": above}))


if __name__ == "__main__":
    main()
