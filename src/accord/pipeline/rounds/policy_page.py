"""The written policy on the page of the rounds: every dimension, from what people said to what it decided."""

from collections.abc import Mapping, Sequence
from typing import Any

from accord.evaluation.report.contents import Style
from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import number, with_interval
from accord.evaluation.report.section import section
from accord.pipeline.rounds.releasing import RoundRecord, estimate_of

NAMES = ("", "Counts", "Head against people", "Reward", "Grade of the answers", "Change", "Gates")


def written_policy(records: Sequence[RoundRecord]) -> Markup | None:
    """One row a dimension, of the newest round; nothing where no policy was named."""
    if not records or not (policy := records[-1].facts.get("policy")):
        return None
    last = records[-1]
    verdicts = {row["id"]: row["verdict"] for row in last.gates}
    rows = [
        element(
            "tr",
            element("th", one["title"], element("small", one["text"]), scope="row", class_="wide"),
            [element("td", cell) for cell in _cells(one, last)],
            element("td", [element("p", f"{gate}: {verdicts[gate]}") for gate in one["gates"]]),
            id=f"principle-{one['id']}",
        )
        for one in policy["principles"]
    ]
    head = element("tr", [element("th", name, scope="col") for name in NAMES])
    compared = f"the comparison counts {policy['preference']:g} beside them. "
    lead = (
        f"{policy['name']}, version {policy['hash'][:12]}, round {last.number}. Principles share one score; "
        f"{compared}Limits are constraints. The change is against the incumbent."
    )
    table = element("table", element("thead", head), element("tbody", rows), class_="principles")
    return section("policy", "The written policy", lead, element("div", table, class_="scroll"))


def _cells(one: Mapping[str, Any], last: RoundRecord) -> list[Any]:
    is_limit = one["kind"] == "limit"
    level, change = estimate_of(last, one["number"]), estimate_of(last, f"{one['number']} (difference)")
    style: Style = "percent" if is_limit else "number"
    counts = f"at most {one['max_rate']:.1%} broken" if is_limit else f"{one['part']:.0%}"
    if one["multiplier"] is not None:
        counts += f", multiplier {one['multiplier']:.2f}"
    fit = "not measured" if one["head_correlation"] is None else f"r = {one['head_correlation']:.2f}"
    graded = "nobody graded them" if level is None else f"{with_interval(level, style)}, n = {level.n}"
    return [
        counts,
        fit,
        "–" if one["reward"] is None else number(one["reward"], digits=2),
        f"broken in {graded}" if is_limit and level is not None else graded,
        "–" if change is None else with_interval(change, "number"),
    ]
