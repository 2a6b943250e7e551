"""A known item, a repeat and any other work cost the same statements and look the same: time is no hint.

Holds where a judgment moves its item through no workflow: what a workflow writes when an item is complete is
work that a known item does not have.
"""

from collections import defaultdict
from typing import Any

import pytest
from sqlalchemy import event, select

from accord.feedback.app import create_app
from accord.feedback.flow import is_drawn
from accord.feedback.items import content_of
from accord.feedback.standing import LOOK_EVERY
from accord.store.database import NewItem, Projects, QueueConfig
from accord.store.database.tables import assignment, gold
from accord.store.database.workflow_tables import gold_result

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
    """Each statement's verb, in order: as many, and of the same kind."""
    return tuple(one.split(None, 1)[0] for one in statements)


def work_through(site: Any, project_id: str) -> dict[str, dict[str, set[Any]]]:
    """Judge much; by what work was for, the statements and answers there were."""
    site.app = create_app(site.database, leases=OFTEN)
    person = site.person("annotator")
    sent: list[str] = []

    def keep(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        sent.append(statement)

    seen: dict[str, dict[str, set[Any]]] = defaultdict(lambda: defaultdict(set))
    event.listen(site.database.engine, "before_cursor_execute", keep)
    for k in range(N_WORK):
        sent.clear()
        claimed = person.post(f"/projects/{project_id}/queue/next")
        claim = len(sent)  # a slot is made where other work takes one: INSERT for UPDATE
        (work,) = claimed.json()["assignments"]
        with site.database.read() as connection:
            purpose = connection.execute(
                select(assignment.c.purpose).where(assignment.c.id == work["id"])
            ).scalar_one()
        body = {
            "token": work["token"],
            "key": f"key-{k:08d}",
            "answers": {"preference": {"choice": 1 + k % 7}},
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
    projects = Projects.of(any_site.database)
    for k in range(30):
        row = {"prompt": f"Known {k}?", "candidates": ["right", "wrong"]}
        projects.add_gold(project_id, NewItem(content=content_of(row), n_candidates=2), RIGHT)
    seen = work_through(any_site, project_id)
    assert set(seen) == HIDDEN
    for what in ("claim", "submit", "claimed", "submitted"):
        assert len(set.union(*(seen[purpose][what] for purpose in HIDDEN))) == 1, (what, dict(seen))


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
