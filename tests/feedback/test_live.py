"""Conversations with live models: turns are judgments like any other; a model that is away harms nobody."""

import json
from typing import Any

import pytest
from sqlalchemy import select, update

from accord.domain.errors import ConfigError
from accord.feedback.export import export_lines
from accord.feedback.progress import describe_project
from accord.feedback.schema import parse_schema
from accord.feedback.work import Work
from accord.store.database import WorkQueue, verify_chain
from accord.store.database.live_tables import live_turn
from accord.store.database.tables import assignment, content, item, slot

LIVE = {"models": [{"name": "alpha"}, {"name": "beta"}], "max_turns": 4, "system": "Be brief."}
TOPIC = {"topic": "Ask for help with a tax form."}


def talk(site: Any, *, kind: str = "live-chat", rows: list[dict] | None = None, **live: Any) -> str:
    return site.project(rows or [dict(TOPIC)], kind=kind, live={**LIVE, **live})


def taken(site: Any, project_id: str, handle: str = "annotator") -> tuple[Any, dict]:
    person = site.person(handle)
    (work,) = person.post(f"/projects/{project_id}/queue/next", {}).json()["assignments"]
    return person, work


def say(person: Any, work: dict, text: str, key: str | None = None) -> Any:
    body = {"token": work["token"], "key": key or f"key of {text:>8}", "text": text}
    return person.post(f"/assignments/{work['id']}/turns", body)


def judge(person: Any, turn: dict, **answers: Any) -> Any:
    body = {"token": turn["token"], "key": f"judge {turn['id']}", "answers": answers}
    return person.post(f"/assignments/{turn['id']}/submit", body)


def exported(site: Any, project_id: str, kind: str) -> list[dict]:
    work = Work(site.database, WorkQueue.of(site.database))
    return [json.loads(line) for line in export_lines(work, project_id, kind)]


def test_a_conversation_goes_on_from_the_better_answer(any_site):
    site = any_site
    project_id = talk(site)
    person, work = taken(site, project_id)
    assert work["shown"]["topic"] == TOPIC["topic"]
    first = say(person, work, "Where do I begin?").json()
    assert (first["step"], first["n_turns"]) == ("judge", 1)
    assert sorted(first["turn"]["shown"]["candidates"]) == [
        "So ALPHA says: Where do I begin?", "So BETA says: Where do I begin?",
    ]  # fmt: skip
    chosen = first["turn"]["shown"]["candidates"][0]
    assert judge(person, first["turn"], preference={"choice": 2}).status_code == 200
    second = say(person, work, "And then?").json()
    assert [one["content"] for one in second["messages"]] == [
        "Be brief.", "Where do I begin?", chosen, "And then?",
    ]  # fmt: skip
    # Both models heard the same conversation, whoever had said what.
    assert [one for _, one in site.speakers.heard[2:]] == [second["messages"]] * 2
    judge(person, second["turn"], preference={"choice": 6})
    done = {"token": work["token"], "key": "the end of it", "answers": {"helped": 4}}
    assert person.post(f"/assignments/{work['id']}/submit", done).status_code == 200
    rows = exported(site, project_id, "preference")
    assert [row["chosen"][0]["content"] for row in rows] == [
        chosen, second["turn"]["shown"]["candidates"][1],
    ]  # fmt: skip
    (whole,) = exported(site, project_id, "conversations")
    assert [one["values"]["preference"]["both_bad"] for one in whole["labels"]] == [False, False]
    assert whole["outcome"] == {"helped": 4}
    assert whole["messages"][-1] == {"role": "assistant", "content": rows[1]["chosen"][0]["content"]}
    assert {one["model"] for one in whole["labels"][0]["answers"]} == {"alpha", "beta"}
    assert verify_chain(site.database).n_events > 0


def test_what_was_on_screen_is_stored_before_it_is_judged(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    turn = say(person, work, "Hello there").json()["turn"]
    with site.database.read() as connection:
        row = connection.execute(
            select(assignment.c.presentation, assignment.c.purpose, content.c.body, slot.c.lane)
            .join(item, item.c.id == assignment.c.item_id)
            .join(content, content.c.hash == item.c.content_hash)
            .join(slot, slot.c.id == assignment.c.slot_id)
            .where(assignment.c.id == turn["id"])
        ).one()
    order = row.presentation["permutation"]
    assert [row.body["candidates"][k]["text"] for k in order] == turn["shown"]["candidates"]
    assert (row.purpose, row.lane) == ("turn", "live")
    assert row.body["meta"]["live"]["probability"] == 1.0


def test_annotators_never_learn_who_answers(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    site.speakers.ask = lambda model, messages, live: f"Answer {len(site.speakers.heard)}."
    sent = json.dumps([work, say(person, work, "Who are you?").json()])
    assert not any(name in sent for name in ("alpha", "beta", "url", "probability"))


@pytest.mark.parametrize("away", ["alpha", "beta"])
def test_a_model_that_is_away_loses_nothing_and_marks_nobody(site, away):
    project_id = talk(site)
    person, work = taken(site, project_id)
    site.speakers.away = {away}
    failed = say(person, work, "A long thought", key="thought-1")
    assert failed.status_code == 200
    assert (failed.json()["step"], failed.json()["text"]) == ("again", "A long thought")
    assert away not in failed.text
    with site.database.read() as connection:
        row = connection.execute(select(live_turn)).one()
        assert (row.n_failures, away in row.failure) == (1, True)
    # Until it is answered nothing else can be said; nothing was skipped, expired or judged meanwhile.
    assert say(person, work, "Something else").status_code == 409
    site.speakers.away = set()
    again = say(person, work, "A long thought", key="thought-1").json()
    assert (again["step"], again["n_turns"]) == ("judge", 1)
    assert "A long thought" in again["turn"]["shown"]["candidates"][0]
    states = {one["state"] for one in _assignments(site)}
    assert states == {"leased"}


def _assignments(site: Any) -> list[dict]:
    with site.database.read() as connection:
        return [dict(row._mapping) for row in connection.execute(select(assignment)).all()]


def test_the_same_message_twice_is_one_turn(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    first = say(person, work, "Once", key="just-once").json()
    second = say(person, work, "Once", key="just-once").json()
    assert first["turn"]["id"] == second["turn"]["id"]
    assert len(site.speakers.heard) == 2


def test_a_lost_lease_stops_what_is_said_and_keeps_what_was(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    turn = say(person, work, "First").json()["turn"]
    with site.database.write() as connection:
        connection.execute(update(assignment).values(lease_until_ms=0))
    site.person("second").post(f"/projects/{project_id}/queue/next", {})  # takes back what ran out
    # The judgment of a turn still counts, late; the conversation is in other hands.
    late = judge(person, turn, preference={"choice": 1})
    assert (late.status_code, late.json()["is_late"]) == (200, True)
    assert say(person, work, "Second").status_code == 410
    with site.database.read() as connection:
        assert (
            connection.execute(select(item.c.state).where(item.c.stage == "turn")).scalar_one() == "complete"
        )


def test_another_persons_conversation_is_not_there(site):
    project_id = talk(site)
    _, work = taken(site, project_id)
    other = site.person("second")
    assert say(other, work, "Let me in").status_code == 410
    assert other.get(f"/assignments/{work['id']}/turns").status_code == 410


def test_both_bad_takes_the_question_back_and_a_skip_goes_on(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    first = say(person, work, "Bad idea").json()
    judge(person, first["turn"], preference={"choice": 0})
    second = say(person, work, "Better idea").json()
    assert [one["content"] for one in second["messages"]] == ["Be brief.", "Better idea"]
    body = {"token": second["turn"]["token"], "reason": "unclear"}
    assert person.post(f"/assignments/{second['turn']['id']}/skip", body).status_code == 200
    third = say(person, work, "Third idea").json()
    assert [one["role"] for one in third["messages"]] == ["system", "user", "assistant", "user"]


def test_a_conversation_has_as_many_turns_as_it_may_and_as_it_must(site):
    project_id = talk(site, max_turns=2, min_turns=2)
    person, work = taken(site, project_id)
    done = {"token": work["token"], "key": "the end of it", "answers": {"helped": 1}}
    for k in range(2):
        early = person.post(f"/assignments/{work['id']}/submit", {**done, "key": f"too early {k}"})
        assert early.status_code == 422, early.text
        judge(person, say(person, work, f"Turn {k}").json()["turn"], preference={"choice": 4})
    assert say(person, work, "One more").status_code == 409
    assert person.get(f"/assignments/{work['id']}/turns").json()["step"] == "close"
    assert person.post(f"/assignments/{work['id']}/submit", done).status_code == 200


def test_red_team_rows_hold_the_conversation_and_its_labels(site):
    project_id = talk(site, kind="red-team", models=[{"name": "alpha"}])
    person, work = taken(site, project_id)
    for k, harm in enumerate(("held", "broke")):
        turn = say(person, work, f"Try {k}").json()["turn"]
        assert turn["shown"]["candidates"] == [f"So ALPHA says: Try {k}"]
        judge(person, turn, harm=harm)
    answers = {"outcome": "broke", "note": "asked twice"}
    end = {"token": work["token"], "key": "the end of it", "answers": answers}
    assert person.post(f"/assignments/{work['id']}/submit", end).status_code == 200
    (row,) = exported(site, project_id, "conversations")
    assert [one["values"]["harm"] for one in row["labels"]] == ["held", "broke"]
    assert [one["content"] for one in row["messages"]] == [
        "Be brief.", "Try 0", "So ALPHA says: Try 0", "Try 1", "So ALPHA says: Try 1",
    ]  # fmt: skip
    assert row["outcome"] == answers
    assert row["annotator_id"] == "annotator"
    assert exported(site, project_id, "preference") == []
    assert [one["choice"] for one in exported(site, project_id, "choices")] == ["held", "broke", "broke"]


def test_one_model_answers_twice_and_five_are_drawn_from_evenly(site):
    alone = talk(site, models=[{"name": "alpha"}])
    person, work = taken(site, alone)
    say(person, work, "Hello you")
    assert [name for name, _ in site.speakers.heard] == ["alpha", "alpha"]
    many = talk(site, models=[{"name": name} for name in "abcde"], max_turns=4)
    person, work = taken(site, many)
    turn = say(person, work, "Hello all").json()["turn"]
    with site.database.read() as connection:
        body = connection.execute(
            select(content.c.body)
            .join(item, item.c.content_hash == content.c.hash)
            .join(assignment, assignment.c.item_id == item.c.id)
            .where(assignment.c.id == turn["id"])
        ).scalar_one()
    assert len({one["model"] for one in body["candidates"]}) == 2
    assert body["meta"]["live"]["probability"] == pytest.approx(1 / 10)  # 5 choose 2


def test_a_project_counts_conversations_of_others_as_open_to_nobody_else(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    say(person, work, "Mine alone")
    empty = site.person("second").post(f"/projects/{project_id}/queue/next", {}).json()
    assert empty["assignments"] == []


@pytest.mark.parametrize(
    ("live", "named"),
    [
        (None, "live: None; expected a table"),
        ({"models": []}, "live.models: there are none"),
        ({"models": [{"name": "a", "url": "ftp://x"}]}, "live.models[0].url"),
        ({"models": [{"name": "a", "url": "http://me:secret@x/v1"}]}, "live.models[0].url"),
        ({"models": [{"name": "a", "key": "DATABASE_PASSWORD"}]}, "begins with ACCORD_LIVE_"),
        ({"models": [{"name": "a"}, {"name": "a"}]}, "is there twice"),
        ({"models": [{"name": "a"}], "min_turns": 3, "max_turns": 2}, "live.min_turns"),
        ({"models": [{"name": "a"}], "temperature": 3}, "live.temperature"),
        ({"models": [{"name": "a"}], "wrong": 1}, "live.wrong"),
        ({"models": [{"name": "a"}], "questions": [{"id": "q", "kind": "odd"}]}, "live.questions.q.kind"),
    ],
)
def test_what_is_wrong_with_a_conversation_is_said(live, named):
    with pytest.raises(ConfigError) as error:
        parse_schema({"kind": "live-chat", **({} if live is None else {"live": live})}, "task")
    assert any(named in problem for problem in error.value.problems), error.value.problems


def test_other_kinds_have_no_live_models():
    with pytest.raises(ConfigError, match="live: only for the kinds live-chat, red-team"):
        parse_schema({"kind": "pairwise", "live": {"models": [{"name": "a"}]}}, "task")


def test_simulated_annotators_have_conversations_over_the_interface(site, served):
    from accord.pipeline.simulating import simulate

    project_id = talk(site, rows=[{"topic": f"Topic {k}"} for k in range(3)])
    done = simulate(served.url, site.accounts, project_id, n_annotators=2, seed=0)
    assert sum(one.n_judgments for one in done) == 3
    assert len(exported(site, project_id, "conversations")) == 3
    assert len(exported(site, project_id, "comparisons")) == 6
    assert {row["source"] for row in exported(site, project_id, "raw")} == {"simulated"}
    facts = describe_project(Work(site.database, WorkQueue.of(site.database)), project_id)
    assert sum(facts["sides"].values()) == 6


def test_simulated_annotators_skip_where_no_model_answers(site, served):
    from accord.pipeline.simulating import simulate

    project_id = talk(site)
    site.speakers.away = {"alpha", "beta"}
    (one,) = simulate(served.url, site.accounts, project_id, n_annotators=1, seed=0)
    assert one.n_judgments == 0
    assert len(site.speakers.heard) == 3 * 2


def test_letters_cut_in_two_by_a_model_are_no_failure_of_the_server(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    site.speakers.ask = lambda model, messages, live: "A smile cut in half: \ud83d"
    found = say(person, work, "Smile, please")
    assert found.status_code == 200, found.text
    assert found.json()["turn"]["shown"]["candidates"] == ["A smile cut in half: ?"] * 2


def test_a_turn_is_not_given_back_by_a_page_that_closes(site):
    project_id = talk(site)
    person, work = taken(site, project_id)
    turn = say(person, work, "First").json()["turn"]
    data = {"csrf": person.client.headers["X-CSRF-Token"], "id": [turn["id"]]}
    assert person.client.post(f"/p/{project_id}/back", data=data).status_code == 200
    body = {"token": turn["token"], "reason": "unclear"}
    assert person.post(f"/assignments/{turn['id']}/skip", body).status_code == 200
