"""What handing work out asks of the database is a look into an index, however much lies there."""

import json

import pytest
from sqlalchemy import text

from accord.store.database import NewItem
from accord.store.database.slots import open_slot
from accord.store.database.states import Lane

N_ITEMS = 5000


@pytest.fixture
def full(office):
    project_id = office.projects.add_project("p")
    office.projects.add_items(project_id, [NewItem(content={"k": k}) for k in range(N_ITEMS)])
    skilled = [NewItem(content={"s": k}, required_skill="medicine:2") for k in range(500)]
    office.projects.add_items(project_id, skilled)
    with office.database.write() as connection:
        connection.execute(text("ANALYZE"))
    return office, project_id


@pytest.mark.parametrize("skill", [None, "medicine:2"])
def test_finding_work_neither_scans_nor_sorts(full, skill):
    office, project_id = full
    user_id = office.projects.add_user("ann")
    query = open_slot(project_id, user_id, skill, Lane.LABEL)
    with office.database.read() as connection:
        said = str(query.compile(connection, compile_kwargs={"literal_binds": True})).replace(":", "\\:")
        if office.database.is_sqlite:
            steps = [row.detail for row in connection.execute(text(f"EXPLAIN QUERY PLAN {said}"))]
            assert any("ix_slot_open" in step for step in steps), steps
            assert not any("TEMP B-TREE" in step or step.startswith("SCAN") for step in steps), steps
            return
        (plan,) = connection.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {said}")).scalar_one()
    nodes = list(walk(plan["Plan"]))
    assert "ix_slot_open" in [node.get("Index Name") for node in nodes], json.dumps(nodes)
    assert not any(node["Node Type"] == "Sort" for node in nodes)
    looked = [node for node in nodes if node.get("Index Name") == "ix_slot_open"]
    assert max(node["Actual Rows"] for node in looked) <= 2  # of 5,000


def walk(node):
    yield {name: value for name, value in node.items() if name != "Plans"}
    for inner in node.get("Plans", []):
        yield from walk(inner)
