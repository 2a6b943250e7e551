"""Joining a loop with a simulated panel as one more annotator, over HTTP."""

import http.cookiejar
import json
import sqlite3
import time
import urllib.error
import urllib.request
import uuid
from contextlib import ExitStack

import pytest

from accord.pipeline.lineage import describe_judgment, rebuild
from accord.pipeline.narration import SilentNarrator
from accord.pipeline.rounds.bench import _copy, _set_back
from accord.pipeline.rounds.guests import HANDLE, open_door
from accord.pipeline.rounds.releasing import read_ledger
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace


class Browser:
    """Signs in with a password as the page does, and judges."""

    def __init__(self, address):
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.opener, self.address, self.csrf = urllib.request.build_opener(jar), address, ""

    def ask(self, method, path, body=None):
        headers = {"Content-Type": "application/json", "X-CSRF-Token": self.csrf}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data=data, method=method, headers=headers)
        try:
            with self.opener.open(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from error

    def sign_in(self, door):
        body = {"handle": door.handle, "password": door.password}
        self.csrf = self.ask("POST", "/api/v1/login", body)["csrf"]

    def judge(self, project, *, most):
        done, deadline = 0, time.monotonic() + 20
        while done < most and time.monotonic() < deadline:
            taken = self.ask("POST", f"/api/v1/projects/{project}/queue/next", {"count": 1})["assignments"]
            if not taken:
                time.sleep(0.1)
                continue
            work = taken[0]
            body = {
                "token": work["token"],
                "key": str(uuid.uuid4()),
                "answers": {"preference": {"choice": 1}},
            }
            self.ask("POST", f"/api/v1/assignments/{work['id']}/submit", body)
            done += 1
        return done


class Joins(SilentNarrator):
    """Signs in and judges while round 1 is optimizing its policy."""

    def __init__(self):
        self.door, self.done = None, 0

    def stage_begins(self, name, what):
        if name == "r1-policy":
            browser = Browser(self.door.address)
            browser.sign_in(self.door)
            (project,) = [
                one["id"]
                for one in browser.ask("GET", "/api/v1/projects")["projects"]
                if one["name"] == "tiny"
            ]
            self.done = browser.judge(project, most=6)


@pytest.fixture(scope="module")
def joined(tmp_path_factory, tiny_loop):
    """A loop that somebody joined, and one with an open door that nobody came through."""
    space = Workspace(tmp_path_factory.mktemp("joined"))
    told = Joins()
    for name, narrator in (("joined", told), ("alone", SilentNarrator())):
        with ExitStack() as stack:

            def prepare(run, stack=stack, narrator=narrator):
                door = stack.enter_context(open_door(run.folder / "store.db", "tiny", space))
                if isinstance(narrator, Joins):
                    narrator.door = door

            start_loop(space, tiny_loop(), name=name, narrator=narrator, prepare=prepare)
    return space, told


def test_a_guests_judgments_count_in_the_next_round(joined):
    space, told = joined
    assert told.done == 6
    run = space.run("joined")
    first, second = (Snapshot.read(run.folder / f"stages/r{number}-agree") for number in (1, 2))
    by_him = [one for one in second.judgment_ids if describe_judgment(run, one).source == "human"]
    # the known pairs and repeats among his work check him and teach nothing
    assert 1 <= len(by_him) <= 6
    assert not set(by_him) & set(first.judgment_ids)


def test_what_he_said_of_an_earlier_rounds_questions_is_in_no_rebuilt_snapshot_of_that_round(joined):
    run = joined[0].run("joined")
    for number in (1, 2):
        assert rebuild(run, number).hash == Snapshot.read(run.folder / f"stages/r{number}-agree").hash


def test_an_open_door_that_nobody_comes_through_changes_nothing(joined, finished_loop):
    space, _ = joined
    _, expected = finished_loop
    records = read_ledger(space.run("alone").folder)[0]
    same = ("version", "snapshot", "reward_version", "gates", "numbers", "judgments")
    for mine, other in zip(records, expected, strict=True):
        assert {name: getattr(mine, name) for name in same} == {name: getattr(other, name) for name in same}


def test_the_password_is_printed_once_and_kept_as_a_hash(tmp_path):
    with open_door(tmp_path / "store.db", "tiny", Workspace(tmp_path / "space")) as door:
        assert door.password in door.words
        assert door.address in door.words
    raw = b"".join(path.read_bytes() for path in tmp_path.glob("store.db*"))
    assert door.password.encode() not in raw
    assert HANDLE.encode() in raw


def test_a_store_that_is_put_back_under_an_open_door_lets_the_guest_in_again(tmp_path):
    store, copy = tmp_path / "store.db", tmp_path / "before.db"
    with open_door(store, "tiny", Workspace(tmp_path / "space")):
        _copy(store, copy)
    with open_door(store, "tiny", Workspace(tmp_path / "space")) as door:
        _set_back(store, copy)  # its guest has the first door's password
        time.sleep(1.2)
        Browser(door.address).sign_in(door)
    with sqlite3.connect(store) as connection:
        assert connection.execute('select count(*) from "user"').fetchone()[0] == 1
