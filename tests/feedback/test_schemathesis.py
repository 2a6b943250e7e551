"""What schemathesis makes of the interface's description, fitting or not: no answer is the server's fault."""

import json
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from starlette.testclient import TestClient

from accord.feedback.app import create_app
from accord.store.database import Accounts, PasswordCost, Projects, Role, open_database

from .conftest import Talkers

FILE = Path(__file__).parents[2] / "docs/openapi.json"
OPERATIONS = [
    found.ok()
    for found in schemathesis.openapi.from_dict(
        json.loads(FILE.read_text(encoding="utf-8"))
    ).get_all_operations()
]
EXAMPLES = 12
"""Of each operation, in each mode."""
SCOPES = ["annotate", "review", "decide", "import", "export", "watch", "manage", "people"]
PROBLEM = {"type", "title", "status", "detail"}


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A client that may do everything, and ids of things that are there."""
    database = open_database(tmp_path_factory.mktemp("schemathesis") / "a.db")
    database.create()
    accounts = Accounts.of(database, PasswordCost(n=16, r=1, p=1))
    accounts.add("owner", "correct horse battery", Role.OWNER)
    client = TestClient(create_app(database, speakers=Talkers()), raise_server_exceptions=False)
    projects = Projects.of(database)
    known: dict[str, list[Any]] = {}
    live = {"models": [{"name": "alpha"}, {"name": "beta"}]}
    rows = {"pairwise": {"prompt": "Why?", "candidates": ["a", "b"]}, "live-chat": {"topic": "Cats"}}
    log_in(client)
    for kind, row in rows.items():
        project_id = projects.add_project(kind)
        task = {"kind": kind, **({"live": live} if kind == "live-chat" else {})}
        projects.add_definition(project_id, "schema", task)
        client.post(f"/api/v1/projects/{project_id}/items?overlap=3", content=json.dumps(row))
        answer = client.post(f"/api/v1/projects/{project_id}/queue/next", json={}).json()
        known.setdefault("project_id", []).append(project_id)
        known.setdefault("assignment_id", []).append(answer["assignments"][0]["id"])
        known.setdefault("token", []).append(answer["assignments"][0]["token"])
    yield client, known
    database.close()


def takes_nothing(operation: Any) -> bool:
    """Whether there is nothing to send along."""
    return not list(operation.iter_parameters()) and not operation.body


def log_in(client: TestClient) -> None:
    body = {"handle": "owner", "password": "correct horse battery"}
    client.headers["X-CSRF-Token"] = client.post("/api/v1/login", json=body).json()["csrf"]


@pytest.mark.slow
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_no_answer_is_the_servers_fault(entered, operation, mode):
    client, known = entered
    if mode is GenerationMode.NEGATIVE and takes_nothing(operation):
        return  # nothing that could be wrong

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(operation.as_strategy(generation_mode=mode), st.integers(0, 3), st.integers(0, 1))
    def ask(case: Any, how: int, which: int) -> None:
        for name, values in known.items():
            if how and name in (case.path_parameters or {}):
                case.path_parameters[name] = values[which]
            if how > 1 and isinstance(case.body, dict) and name in case.body:
                case.body[name] = values[which]
        sent = case.as_transport_kwargs(base_url="http://testserver")
        headers = {name: value for name, value in sent.pop("headers").items() if name.lower() != "cookie"}
        kept = {name: sent[name] for name in ("method", "url", "params", "json") if name in sent}
        if sent.get("data") is not None:
            kept["content"] = sent["data"]
        answer = client.request(**kept, headers=headers)
        assert answer.status_code < 500, (kept, answer.text)
        if answer.status_code >= 400:
            assert set(answer.json()) == PROBLEM, (kept, answer.text)
        if answer.status_code in (401, 403):  # it signed itself out, or gave its role away
            log_in(client)

    ask()
