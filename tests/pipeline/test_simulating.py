"""Simulated annotators over the real interface: every kind of question, known characters, never people."""

from collections import Counter
from pathlib import Path

import pytest

from accord.client import Client
from accord.domain.errors import StoreError
from accord.domain.streams import Streams
from accord.feedback.items import content_of, present, shown
from accord.feedback.live import LIVE_KINDS
from accord.feedback.schema import KINDS, parse_schema
from accord.feedback.serving import serving_here
from accord.pipeline.simulating import CHARACTERS, Judge, character_of, simulate
from accord.store.database import Accounts, NewItem, Projects, Role, open_database, verify_chain


def judge(character: str, seed: int = 0) -> Judge:
    return Judge(CHARACTERS[character], Streams(seed))


def row(k: int) -> dict:
    return {"prompt": f"Question {k}?", "candidates": [f"Answer {k}. It is so.", f"Other {k}. Is it?"]}


def work(kind: str, k: int, permutation: tuple[int, ...] = (0, 1)) -> tuple[dict, object, object]:
    schema, content = parse_schema({"kind": kind}, "test"), content_of(row(k))
    presented = present(content, permutation)
    return {"task": schema.shown(), "shown": shown(content, presented)}, schema, presented


@pytest.mark.parametrize("kind", sorted(set(KINDS) - set(LIVE_KINDS)))
@pytest.mark.parametrize("character", sorted(CHARACTERS))
def test_every_kind_of_question_gets_an_answer_that_fits(kind: str, character: str):
    for k in range(20):
        asked, schema, presented = work(kind, k)
        assert schema.values_of(judge(character).answers(asked), presented)


def strengths(character: str, permutation: tuple[int, ...], count: int = 300) -> list[int]:
    found = []
    for k in range(count):
        asked, schema, presented = work("pairwise", k, permutation)
        values = schema.values_of(judge(character).answers(asked), presented)
        found.append(values["preference"]["strength"])
    return found


def test_the_careful_are_right_and_spammers_are_at_chance():
    def share_right(character: str) -> float:
        right = []
        for k, strength in enumerate(strengths(character, (0, 1))):
            better, worse = (judge("careful").view(text).total for text in row(k)["candidates"])
            if strength:
                right.append((strength > 0) == (better > worse))
        return sum(right) / len(right)

    assert share_right("careful") > 0.9
    assert 0.4 < share_right("spammer") < 0.6


def test_a_habit_of_side_follows_the_screen_and_not_the_answer():
    as_stored, swapped = strengths("leans left", (0, 1)), strengths("leans left", (1, 0))
    left = sum(s > 0 for s in as_stored) + sum(s < 0 for s in swapped)
    right = sum(s < 0 for s in as_stored) + sum(s > 0 for s in swapped)
    assert left > 1.15 * right


def test_twelve_have_one_spammer_and_one_careless():
    counts = Counter(character_of(k) for k in range(12))
    assert counts["spammer"] == counts["careless"] == 1
    assert counts["careful"] + counts["steady"] >= 6


def test_a_panel_judges_a_project_over_http(tmp_path: Path):
    database = open_database(tmp_path / "accord.db")
    database.create()
    projects, accounts = Projects.of(database), Accounts.of(database)
    project_id = projects.add_project("demo")
    projects.add_definition(project_id, "schema", {"kind": "pairwise"})
    items = [NewItem(content=content_of(row(k)), n_candidates=2, overlap=3) for k in range(10)]
    projects.add_items(project_id, items)
    with serving_here(database) as address:
        ticks: list[int] = []
        done = simulate(address, accounts, project_id, n_annotators=4, advance=lambda: ticks.append(1))
        assert sum(one.n_judgments for one in done) == len(ticks) == 30
        lead = accounts.add("lead", None, Role.LEAD)
        rows = list(Client(address, accounts.make_token(lead, ["export"])).judgments(project_id))
    assert {one["source"] for one in rows} == {"simulated"}
    assert len({(one["item"], one["annotator"]) for one in rows}) == 30
    verify_chain(database)
    accounts.add("sim-09", None, Role.ANNOTATOR)
    with pytest.raises(StoreError, match="'sim-09' belongs to a person"):
        simulate("http://127.0.0.1:9", accounts, project_id, n_annotators=9)
    database.close()
