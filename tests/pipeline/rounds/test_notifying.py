"""A loop's messages reach a real server on loopback, signed and once; one that is dead stops nothing."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import insert, select

from accord.domain import ConfigError, Streams
from accord.domain.errors import Waiting
from accord.feedback.delivery import FIRST_PAUSE_MS, is_signed
from accord.pipeline.rounds.bench import Bench
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.notifying import News, Notices
from accord.pipeline.rounds.plan import LoopConfig, NotifyConfig, PeopleJudgesConfig
from accord.store.database import Projects, open_database, verify_chain
from accord.store.database.workflow_tables import outbox

from ...receiving import HandClock

SECRET = "a key of the receiver"
NAME = "ACCORD_WEBHOOK_SECRET"


def notices(folder, url, *, clock=None, environment=None):
    """Of a loop whose project is in its store."""
    config = replace(LoopConfig(), name="tiny", notify=NotifyConfig(url=url))
    bench = Bench(config=config, folder=folder, streams=Streams(0))
    with bench.opened() as database:
        if not _projects(database):
            Projects.of(database).add_project("tiny")
    keys = {NAME: SECRET} if environment is None else environment
    return Notices(bench=bench, folder=folder, clock=clock or HandClock(), environment=keys)


def _projects(database):
    from accord.store.database.tables import project

    with database.read() as connection:
        return connection.execute(select(project.c.id)).all()


def rows(folder):
    database = open_database(folder / "store.db")
    try:
        verify_chain(database)
        with database.read() as connection:
            return connection.execute(select(outbox).order_by(outbox.c.created_ms)).all()
    finally:
        database.close()


def test_a_message_arrives_signed_and_is_not_written_again(receiver, tmp_path):
    told = notices(tmp_path, receiver.url)
    for _ in range(2):
        told.post(News.RELEASED, "round 1", "round 1 was released", round=1)
    ((headers, body),) = receiver.got
    now_s = HandClock().now().timestamp()
    assert is_signed(headers["Accord-Signature"], SECRET, body, now_s=now_s)
    assert not is_signed(headers["Accord-Signature"], "another key", body, now_s=now_s)
    assert json.loads(body) == {
        "event": "loop.released",
        "loop": "tiny",
        "run": tmp_path.name,
        "about": "round 1",
        "message": "round 1 was released",
        "at": "2026-01-01T00:00:00+00:00",
        "round": 1,
    }
    told.post(News.RELEASED, "round 2", "round 2 was released", round=2)
    assert receiver.events == ["loop.released"] * 2


def test_what_was_not_taken_is_tried_again_when_it_is_due(receiver, tmp_path):
    clock = HandClock()
    told = notices(tmp_path, receiver.url, clock=clock)
    receiver.status = 503
    told.post(News.ENDED, "x", "ended: x")
    told.deliver()
    assert len(receiver.got) == 1  # not due yet
    receiver.status = 200
    clock.time += timedelta(milliseconds=FIRST_PAUSE_MS)
    told.deliver()
    assert [(row.state, row.n_tries) for row in rows(tmp_path)] == [("sent", 2)]
    assert receiver.got[0][1] == receiver.got[1][1]


def test_a_loops_messages_do_not_use_up_the_tries_of_others(receiver, tmp_path):
    told = notices(tmp_path, receiver.url)
    with told.bench.opened() as database, database.write() as connection:
        connection.execute(
            insert(outbox).values(
                id="another", project_id=_projects(database)[0].id, url="http://127.0.0.1:9/other",
                secret_name="OTHER", body={}, state="pending", n_tries=0, next_ms=0, created_ms=0,
                last_error="",
            )
        )  # fmt: skip
    told.post(News.ENDED, "x", "ended")
    assert [(row.id == "another", row.n_tries) for row in rows(tmp_path)] == [(True, 0), (False, 1)]


def test_before_anybody_was_asked_there_is_nothing_to_tell(receiver, tmp_path):
    config = replace(LoopConfig(), name="tiny", notify=NotifyConfig(url=receiver.url))
    bench = Bench(config=config, folder=tmp_path, streams=Streams(0))
    told = Notices(bench=bench, folder=tmp_path, clock=HandClock(), environment={NAME: SECRET})
    told.post(News.FAILED, "tune", "no memory")
    assert receiver.got == []
    with bench.opened() as database:
        assert _projects(database) == []  # telling makes no project


def test_a_key_comes_from_the_environment_or_a_file_and_must_be_there(receiver, tmp_path):
    with pytest.raises(ConfigError, match=f"environment variable {NAME} holds no key"):
        notices(tmp_path, receiver.url, environment={})
    (tmp_path / "key").write_text(f"{SECRET}\n")
    told = notices(tmp_path, receiver.url)
    config = replace(
        told.bench.config, notify=NotifyConfig(url=receiver.url, secret_file=str(tmp_path / "key"))
    )
    told = Notices(
        bench=replace(told.bench, config=config), folder=tmp_path, clock=HandClock(), environment={}
    )
    told.post(News.ENDED, "x", "ended")
    ((headers, body),) = receiver.got
    assert is_signed(headers["Accord-Signature"], SECRET, body, now_s=HandClock().now().timestamp())
    lost = replace(config, notify=NotifyConfig(url=receiver.url, secret_file=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="cannot be read"):
        Notices(bench=replace(told.bench, config=lost), folder=tmp_path, clock=HandClock())


def test_a_loop_that_waits_for_people_says_so_once(tiny_loop, receiver, tmp_path, monkeypatch):
    monkeypatch.setenv(NAME, SECRET)
    config = tiny_loop(
        judges=PeopleJudgesConfig(store=str(tmp_path / "people.db")),
        notify=NotifyConfig(url=receiver.url),
    )
    for _ in range(2):
        with pytest.raises(Waiting):
            run_loop(config, tmp_path / "run")
    ((_, body),) = receiver.got
    told = json.loads(body)
    assert (told["event"], told["stage"]) == ("loop.waiting", "r1-judge")
    assert "24 judgments of r1-judge are wanted" in told["message"]


def test_a_dead_receiver_stops_no_loop_and_the_message_stays(finished_loop, tiny_loop, tmp_path, monkeypatch):
    monkeypatch.setenv(NAME, SECRET)
    records = run_loop(tiny_loop(notify=NotifyConfig(url="http://127.0.0.1:9/hook")), tmp_path)
    assert [one.version for one in records] == [one.version for one in finished_loop[1]]
    (row,) = rows(tmp_path)
    assert (row.state, row.body["event"]) == ("pending", "loop.ended")
    assert "Refused" in row.last_error
