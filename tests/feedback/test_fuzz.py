"""Whatever is sent to any operation of the checked-in description, no answer is a server's fault."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from accord.store.database import Role

DESCRIBED = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text(encoding="utf-8"))
OPERATIONS = sorted((method, path) for path, methods in DESCRIBED["paths"].items() for method in methods)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=2**62, max_value=2**70),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from(
        ["", "\x00", "'; DROP TABLE user; --", "../../etc/passwd", "é" * 300, "\ud800x"[1:], "%00"]
    ),
)
TREES = st.recursive(
    ODD,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        return DESCRIBED["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    return schema


def values(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that fit a schema mostly, and odd ones."""
    schema = resolved(schema)
    if "anyOf" in schema:
        return st.one_of(*map(values, schema["anyOf"]))
    if "enum" in schema:
        return st.sampled_from(schema["enum"]) | ODD
    match schema.get("type"):
        case "object" if "properties" in schema:
            fields = {name: values(one) for name, one in schema["properties"].items()}
            return st.fixed_dictionaries({}, optional=fields) | TREES
        case "integer":
            return st.integers(schema.get("minimum", -5), min(schema.get("maximum", 9), 2**63)) | ODD
        case "array":
            return st.lists(values(schema.get("items", {})), max_size=3)
        case "boolean":
            return st.booleans() | ODD
        case "string":
            return st.sampled_from(["annotate", "a" * 24, "0" * 64]) | st.text(max_size=40)
    return TREES


@pytest.fixture(scope="module")
def entered(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from accord.feedback.app import create_app
    from accord.store.database import Accounts, PasswordCost, Projects, open_database

    database = open_database(tmp_path_factory.mktemp("fuzz") / "a.db")
    database.create()
    accounts = Accounts.of(database, PasswordCost(n=16, r=1, p=1))
    owner = accounts.add("owner", "correct horse battery", Role.OWNER)
    token = accounts.make_token(owner, ["annotate", "import", "export", "watch", "manage", "people"])
    project_id = Projects.of(database).add_project("p")
    Projects.of(database).add_definition(project_id, "schema", {"kind": "pairwise"})
    client = TestClient(create_app(database), headers={"Authorization": f"Bearer {token}"})
    row = {"prompt": "Why?", "candidates": ["a", "b"]}
    client.post(f"/api/v1/projects/{project_id}/items", content=json.dumps(row))
    (work,) = client.post(f"/api/v1/projects/{project_id}/queue/next", json={}).json()["assignments"]
    yield client, {"project_id": project_id, "assignment_id": work["id"]}, work["token"]
    database.close()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{m} {p}" for m, p in OPERATIONS])
def test_no_answer_is_the_servers_fault(entered, method, path):
    client, known, token = entered
    described = DESCRIBED["paths"][path][method]
    body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        place, query = path, {}
        for parameter in described.get("parameters", []):
            name = parameter["name"]
            drawn = known[name] if name in known and data.draw(st.integers(0, 3)) else None
            value = drawn or data.draw(values(parameter["schema"]))
            if parameter["in"] == "path":
                kept = "".join(c for c in str(value) if c.isprintable() and c not in "/?#\\%") or "x"
                place = place.replace("{" + name + "}", "submit" if name == "step" and kept > "A" else kept)
            elif value is not None:
                query[name] = str(value).encode("utf-8", "replace").decode()
        sent = data.draw(values(body)) if body else data.draw(st.binary(max_size=60))
        if isinstance(sent, dict) and "token" in sent and data.draw(st.booleans()):
            sent["token"] = token
        content = sent if isinstance(sent, bytes) else json.dumps(sent)
        headers = {"Content-Type": "application/json"}
        answer = client.request(method, place, params=query, content=content, headers=headers)
        assert answer.status_code < 500, (place, query, content, answer.text)

    ask()
