"""A server over an empty database, and people who talk to it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from starlette.testclient import TestClient

from accord.feedback.app import create_app
from accord.store.database import Accounts, Database, PasswordCost, Role, open_database

CHEAP = PasswordCost(n=16, r=1, p=1)
"""The same hashing with little work: tests make many accounts."""
PASSWORD = "correct horse battery"


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


class Site:
    """The server with its accounts."""

    def __init__(self, database: Database):
        self.database = database
        self.accounts = Accounts.of(database, CHEAP)
        self.app = create_app(database)
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
        made = owner.post("/projects", {"name": f"p{id(rows)}", "task": task, "guideline": "# Be kind"})
        assert made.status_code == 201, made.text
        lines = "\n".join(json.dumps(row) for row in rows)
        path = f"/api/v1/projects/{made.json()['id']}/items?overlap={overlap}"
        answer = owner.client.post(path, content=lines)
        assert answer.json() == {"n_items": len(rows), "n_refused": 0, "errors": []}
        return made.json()["id"]


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
        with database.write() as connection:
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    database.create()
    yield Site(database)
    database.close()
