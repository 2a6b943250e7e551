"""A server over an empty database, and people who talk to it."""

import asyncio
import itertools
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from starlette.testclient import TestClient

from accord.domain.errors import ModelAway
from accord.feedback.app import create_app
from accord.feedback.items import content_of
from accord.store.database import (
    Accounts,
    Database,
    Event,
    NewItem,
    PasswordCost,
    Projects,
    Role,
    open_database,
)
from accord.store.database.audit import append_events
from accord.store.database.engine import insert_rows
from accord.store.database.tables import assignment, definition, judgment, slot

CHEAP = PasswordCost(n=16, r=1, p=1)
"""The same hashing with little work: tests make many accounts."""
PASSWORD = "correct horse battery"
NUMBERS = itertools.count(1)
"""Of projects made: no two have one name."""


class Person:
    """Somebody with a browser, or a program with a token."""

    def __init__(self, app: FastAPI, *, token: str | None = None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.client = TestClient(app, headers=headers, base_url="http://testserver")

    def log_in(self, handle: str) -> "Person":
        answer = self.client.post("/api/v1/login", json={"handle": handle, "password": PASSWORD})
        assert answer.status_code == 200, answer.text
        self.client.headers["X-CSRF-Token"] = answer.json()["csrf"]
        return self

    def post(self, path: str, body: Any = None) -> Any:
        return self.client.post(f"/api/v1{path}", json=body if body is not None else {})

    def get(self, path: str) -> Any:
        return self.client.get(f"/api/v1{path}")


class Talkers:
    """Live models that say who they are and what they heard; `away` of them do not answer."""

    def __init__(self) -> None:
        self.away: set[str] = set()
        self.heard: list[tuple[str, list[dict]]] = []

    def ask(self, model: Any, messages: Any, live: Any) -> str:
        self.heard.append((model.name, [dict(one) for one in messages]))
        if model.name in self.away:
            raise ModelAway(f"model {model.name!r}: connection refused")
        return f"So {model.name.upper()} says: {messages[-1]['content']}"


class Site:
    """The server with its accounts."""

    def __init__(self, database: Database):
        self.database = database
        self.accounts = Accounts.of(database, CHEAP)
        self.speakers = Talkers()
        self.app = create_app(database, speakers=self.speakers)
        for role in Role:
            self.accounts.add(role.value, PASSWORD, role)
        self.accounts.add("second", PASSWORD, Role.ANNOTATOR)

    def person(self, handle: str) -> Person:
        return Person(self.app).log_in(handle)

    def stranger(self) -> Person:
        """Somebody without an account."""
        return Person(self.app)

    def program(self, user_id: str, *scopes: str) -> Person:
        return Person(self.app, token=self.accounts.make_token(user_id, scopes))

    def project(self, rows: list[dict], *, overlap: int = 1, **task: Any) -> str:
        owner = self.person("owner")
        task = task or {"kind": "pairwise"}
        made = owner.post("/projects", {"name": f"p{next(NUMBERS)}", "task": task, "guideline": "# Be kind"})
        assert made.status_code == 201, made.text
        lines = "\n".join(json.dumps(row) for row in rows)
        path = f"/api/v1/projects/{made.json()['id']}/items?overlap={overlap}"
        answer = owner.client.post(path, content=lines)
        assert answer.json() == {"n_items": len(rows), "n_refused": 0, "errors": []}
        return made.json()["id"]

    def fill(self, project_id: str, count: int, first: int) -> None:
        """Judgments of as many items, written in bulk as the queue would have written them."""
        projects = Projects.of(self.database)
        user_id = self.person("annotator").get("/me").json()["id"]
        with self.database.read() as connection:
            schema = connection.execute(
                select(definition.c.id).where(
                    definition.c.project_id == project_id, definition.c.kind == "schema"
                )
            ).scalar_one()
        texts = {"candidates": ["good " * 20, "bad " * 20]}
        rows = [content_of({"prompt": f"Question {first + k}?", **texts}) for k in range(count)]
        made = projects.add_items(project_id, [NewItem(content=row, n_candidates=2) for row in rows])
        with self.database.write() as connection:
            places = {row.item_id: row.id for row in connection.execute(select(slot.c.item_id, slot.c.id))}
            payload = {
                "answers": {"preference": {"choice": 1}},
                "values": {"preference": {"strength": 3, "both_bad": False}},
            }
            work = [
                {
                    "id": f"a{first + k}", "slot_id": places[one], "item_id": one, "user_id": user_id,
                    "project_id": project_id, "purpose": "primary", "state": "submitted", "lease_token": "t",
                    "lease_until_ms": 0, "leased_ms": 0, "closed_ms": 1, "active_ms": 0,
                    "presentation": {"permutation": [0, 1]}, "schema_id": schema,
                }
                for k, one in enumerate(made)
            ]  # fmt: skip
            said = [
                {
                    "id": f"j{first + k}", "assignment_id": f"a{first + k}", "item_id": one,
                    "user_id": user_id, "revision": 1, "key": f"k{first + k}", "payload": payload,
                    "is_late": False, "source": "human", "received_ms": first + k,
                }
                for k, one in enumerate(made)
            ]  # fmt: skip
            insert_rows(connection, assignment, work)
            insert_rows(connection, judgment, said)
            kind: dict[str, Any] = {"actor": user_id, "action": "submit", "entity": "judgment", "facts": {}}
            kind["stream"] = project_id
            append_events(connection, [Event(at_ms=0, entity_id=str(one["id"]), **kind) for one in said])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    database = open_database(tmp_path / "accord.db")
    database.create()
    yield Site(database)
    database.close()


@pytest.fixture(params=["sqlite", "postgresql"])
def any_site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    """The same on each kind of database."""
    if request.param == "sqlite":
        database = open_database(tmp_path / "accord.db")
    else:
        database = open_database(request.getfixturevalue("postgres_url"))
    database.create()
    yield Site(database)
    database.close()


class Served:
    """The site on a free loopback port; can be stopped and started again."""

    def __init__(self, site: Any):
        self.site = site
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        config = uvicorn.Config(self.site.app, host="127.0.0.1", port=self.port, log_level="error", ws="none")
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=lambda: asyncio.run(self.server.serve()), daemon=True)
        self.thread.start()
        while not self.server.started:
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self.server.force_exit = True
        self.thread.join(timeout=20)


@pytest.fixture
def served(site: Any) -> Iterator[Served]:
    served = Served(site)
    yield served
    served.stop()


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(15_000)
    # Shown where a test fails: what the browser said, and what the server answered.
    tell = sys.stderr.write
    page.on("console", lambda one: tell(f"console: {one.type} {one.text}\n"))
    page.on("pageerror", lambda error: tell(f"page error: {error}\n"))
    page.on("requestfailed", lambda one: tell(f"no answer: {one.method} {one.url} {one.failure}\n"))
    page.on("response", lambda one: tell(f"{one.status} {one.request.method} {one.url}\n"))
    page.goto(f"{served.url}/login")
    page.keyboard.press("Tab")
    page.get_by_label("Handle").fill("annotator")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{served.url}/")
    yield page
    context.close()
