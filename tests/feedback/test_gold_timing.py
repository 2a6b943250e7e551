"""A known item, a repeat and any other work cost the same statements and look the same: time is no hint.

Also where a workflow moves items on: what it writes is rehearsed for work that moves nothing.
"""

from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import event, func, select

from accord.feedback.app import create_app
from accord.feedback.flow import is_drawn
from accord.feedback.items import content_of
from accord.feedback.standing import LOOK_EVERY
from accord.store.database import NewItem, Projects, QueueConfig
from accord.store.database.states import Purpose
from accord.store.database.tables import assignment, gold
from accord.store.database.tally import recounts
from accord.store.database.upkeep_tables import tally
from accord.store.database.workflow_tables import gold_result, outbox, stage_run

RIGHT = {"preference": {"strength": 1, "both_bad": False}}
HIDDEN = {"gold", "repeat", "primary"}
OFTEN = QueueConfig(gold_rate=0.3, repeat_rate=0.3, repeat_gap=1, daily_gold_cap=100)
N_WORK = 40


def shape_of(value: Any) -> Any:
    """What an answer holds, without what it says."""
    if isinstance(value, dict):
        return {name: shape_of(one) for name, one in value.items()}
    return [shape_of(one) for one in value] if isinstance(value, list) else type(value).__name__


def shape_of_answer(answer: Any) -> str:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return f"{answer.status_code} {shape_of(answer.json())} {headers}"


def verbs_of(statements: list[str]) -> tuple[str, ...]:
    """Each statement's verb, in order: as many, and of the same kind; a part that ends well or is taken back
    ends."""
    ends = {"RELEASE": "END", "ROLLBACK": "END"}
    verbs = [one.split(None, 1)[0] for one in statements]
    return tuple(ends.get(one, one) for one in verbs)


def work_through(
    site: Any, project_id: str, *, handle: str = "annotator", count: int = N_WORK
) -> dict[str, dict[str, set[Any]]]:
    """Judge much; by what work was for, the statements and answers there were."""
    site.app = create_app(site.database, leases=OFTEN)
    person = site.person(handle)
    sent: list[str] = []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    seen: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    event.listen(site.database.engine, "before_cursor_execute", keep)
    for k in range(count):
        sent.clear()
        claimed = person.post(f"/projects/{project_id}/queue/next")
        claim = len(sent)  # a slot is made where other work takes one: INSERT for UPDATE
        (work,) = claimed.json()["assignments"]
        with site.database.read() as connection:
            purpose, shown = connection.execute(
                select(assignment.c.purpose, assignment.c.presentation).where(assignment.c.id == work["id"])
            ).one()
        # The first candidate is better, and known to be: nobody is paused for a decline.
        choice = 1 + k % 3 if shown["permutation"][0] == 0 else 5 + k % 3
        body = {
            "token": work["token"],
            "key": f"key-{k:08d}",
            "answers": {"preference": {"choice": choice}},
        }
        sent.clear()
        submitted = person.post(f"/assignments/{work['id']}/submit", body)
        submit = verbs_of(sent)
        if k == 0 or is_drawn(1 / LOOK_EVERY, submitted.json()["judgment_id"]):
            continue  # first reads of definitions; looks for tiredness, drawn whatever the work is
        found = seen[purpose]
        found["claim"].add(claim)
        found["submit"].add(submit)
        found["claimed"].add(shape_of_answer(claimed))
        found["submitted"].add(shape_of_answer(submitted))
    event.remove(site.database.engine, "before_cursor_execute", keep)
    return seen


@pytest.mark.parametrize("overlap", [1, 2])
def test_known_items_and_repeats_cost_the_statements_of_other_work(any_site, overlap):
    rows = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(N_WORK)]
    project_id = any_site.project(rows, overlap=overlap)
    known_of(any_site, project_id)
    seen = work_through(any_site, project_id)
    assert set(seen) == HIDDEN
    for what in ("claim", "submit", "claimed", "submitted"):
        assert len(set.union(*(seen[purpose][what] for purpose in HIDDEN))) == 1, (what, dict(seen))


WORKFLOWS = {
    "complete": [{"stage": "label", "kind": "label"}],
    "review": [
        {"stage": "label", "kind": "label"},
        {"stage": "agree", "kind": "consensus", "max_people": 1},
        {"stage": "read", "kind": "review"},
        {"stage": "decide", "kind": "adjudication"},
    ],
    "webhook": [
        {"stage": "label", "kind": "label"},
        {"stage": "tell", "kind": "webhook", "url": "https://hooks.example/in"},
    ],
}


def known_of(site: Any, project_id: str) -> None:
    projects = Projects.of(site.database)
    for k in range(30):
        row = {"prompt": f"Known {k}?", "candidates": ["right", "wrong"]}
        projects.add_gold(project_id, NewItem(content=content_of(row), n_candidates=2), RIGHT)


@pytest.mark.parametrize("way", WORKFLOWS)
def test_known_items_and_repeats_cost_the_statements_of_work_that_moves_its_item_on(any_site, way):
    rows = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(N_WORK)]
    project_id = any_site.project(rows)
    Projects.of(any_site.database).add_definition(project_id, "workflow", {"stages": WORKFLOWS[way]})
    known_of(any_site, project_id)
    seen = work_through(any_site, project_id)
    assert set(seen) == HIDDEN
    for what in ("claim", "submit", "claimed", "submitted"):
        assert len(set.union(*(seen[purpose][what] for purpose in HIDDEN))) == 1, (what, dict(seen))
    with any_site.database.read() as connection:
        told = connection.execute(select(stage_run.c.item_id).distinct()).scalars().all()
        first = (Purpose.PRIMARY.value, Purpose.EXTRA.value)
        moved = connection.execute(
            select(assignment.c.item_id).where(assignment.c.purpose.in_(first)).distinct()
        ).scalars().all()  # fmt: skip
        assert sorted(told) == sorted(moved)  # what was rehearsed left nothing
        assert connection.execute(select(func.count()).select_from(outbox)).scalar_one() == (
            len(moved) if way == "webhook" else 0
        )
        counters = {tuple(row) for row in connection.execute(select(tally).where(tally.c.n != 0))}
        counted = {tuple(row) for query in recounts() for row in connection.execute(query)}
        assert counters == {row for row in counted if row[3]}


def test_where_some_judgments_move_their_item_on_known_items_do_as_either(any_site):
    rows = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(N_WORK)]
    project_id = any_site.project(rows, overlap=2)
    stages = [{"stage": "label", "kind": "label", "overlap": 2}]
    Projects.of(any_site.database).add_definition(project_id, "workflow", {"stages": stages})
    known_of(any_site, project_id)
    work_through(any_site, project_id, handle="second", count=N_WORK // 2)
    seen = work_through(any_site, project_id)
    assert seen["gold"]["submit"] <= seen["primary"]["submit"]
    assert len(seen["primary"]["submit"]) == 2


def test_what_only_looks_like_scoring_scores_nothing(any_site):
    rows = [{"prompt": f"Which {k}?", "candidates": ["first", "second"]} for k in range(N_WORK)]
    project_id = any_site.project(rows)
    row = {"prompt": "Known?", "candidates": ["right", "wrong"]}
    Projects.of(any_site.database).add_gold(
        project_id, NewItem(content=content_of(row), n_candidates=2), RIGHT
    )
    work_through(any_site, project_id)
    with any_site.database.read() as connection:
        known = connection.execute(
            select(assignment.c.item_id).where(assignment.c.purpose == "gold")
        ).scalars().all()  # fmt: skip
        assert connection.execute(select(gold_result.c.item_id)).scalars().all() == known
        assert connection.execute(select(gold.c.n_uses)).scalar_one() == len(known) == 1
