"""What moved, and what gates ask for, as sections of the page of rounds.

Leaves out the tests (`monitors`) and the rules of queues (`queues`).
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from accord.evaluation.report.markup import Markup, element
from accord.evaluation.report.numerals import number
from accord.evaluation.report.section import section
from accord.pipeline.rounds.releasing import RoundRecord

KINDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "covariate": ("Prompts", "What is asked about"),
        "policy_induced": ("Answers", "What the policy answers to the same prompts"),
        "preference": ("Preferences", "What people prefer, on the anchor pairs judged again"),
        "annotator": ("Annotators", "How right each is, against the others in the same round"),
    }
)
"""Kind of drift -> what moved and how that is seen."""
SIGNS = MappingProxyType({"moved": "▲", "steady": "✓", "too few": "–"})


def moved(records: Sequence[RoundRecord]) -> Markup | None:
    """What each monitor says in each round, and what to do about it."""
    if not any(one.facts.get("drift") for one in records):
        return None
    head = element("tr", element("th", "Monitor"), [element("th", f"Round {one.number}") for one in records])
    rows = []
    for kind, (name, about) in KINDS.items():
        found = [[row for row in one.facts.get("drift", ()) if row["kind"] == kind] for one in records]
        rows.append(
            element(
                "tr",
                element("th", name, element("small", about), scope="row", class_="wide"),
                [element("td", [_told(row) for row in cell] or "–") for cell in found],
            )
        )
    table = element("table", element("thead", head), element("tbody", rows), class_="gates moved")
    lead = (
        "Each round is held against the one before, and from the third on against the first as well. That "
        "answers move is what optimization does; the labels of the next round are on the new ones."
    )
    return section("moved", "What moved", lead, element("div", table, class_="scroll"))


def queues(records: Sequence[RoundRecord]) -> Markup | None:
    """What each gate that was not passed has asked for, and whether it got it."""
    rows = records[-1].facts.get("queues", ()) if records else ()
    if not rows:
        return None
    names = ("Gate", "Slice", "Why", "Opened", "Wanted", "Asked", "State")
    head = element("tr", [element("th", name, scope="col") for name in names])
    body = [
        element(
            "tr",
            element("th", row["gate"], scope="row"),
            element("td", _slice(row["slice"])),
            element("td", element("small", row["why"])),
            element("td", f"round {row['opened']}"),
            element("td", _wanted(row)),
            element("td", number(row["asked"], digits=0), " pairs"),
            element("td", _state(row)),
        )
        for row in rows
    ]
    table = element("table", element("thead", head), element("tbody", body), class_="gates queues")
    lead = (
        "A gate that is not passed opens a queue on its slice for the next round; passing closes it. "
        "Every pair keeps the chance with which it was drawn, so that estimates stay fair."
    )
    return section("queues", "What gates ask for", lead, element("div", table, class_="scroll"))


def moved_findings(record: RoundRecord) -> list[str]:
    """One sentence a kind that moved, with what to do; answers, which are meant to move, are left out."""
    found = []
    for row in record.facts.get("drift", ()):
        if row["state"] == "moved" and row["kind"] != "policy_induced":
            what = KINDS[row["kind"]][0]
            told = f"Round {record.number}: {what.lower()} moved since {row['against']} ({row['evidence']})"
            found.append(f"{told}; {row['action']}.")
    return found


def _told(row: Mapping[str, Any]) -> Markup:
    sign = f"{SIGNS[row['state']]} {row['state']}"
    kind = {"moved": "undecided", "steady": "pass", "too few": "not-measured"}[row["state"]]
    chance = "" if row["adjusted_p"] is None else f", p {row['adjusted_p']:.3f}"
    return element(
        "div",
        element("b", sign, class_=f"v-{kind}"),
        element("span", f" since {row['against']}{chance}", class_="quiet"),
        element("small", row["evidence"]),
        element("small", element("em", row["action"])) if row["action"] else None,
    )


def _slice(name: str) -> str:
    return "all prompts" if name == "all" else name.replace("domain=", "")


def _wanted(row: Mapping[str, Any]) -> str:
    return f"{row['wanted']} {'prompts more' if row['is_undecided'] else 'pairs a round'}"


def _state(row: Mapping[str, Any]) -> Markup:
    if row["closed"] is None:
        return element("b", "open", class_="v-undecided")
    closed = element("b", f"✓ closed in round {row['closed']}", class_="v-pass")
    return element("div", closed, element("small", row["how"]))
