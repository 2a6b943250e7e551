import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from accord.domain.errors import StoreError
from accord.store.database import NewItem, verify_chain
from accord.store.database.people_tables import acknowledgement
from accord.store.database.tables import UNCHANGING, chain, definition, judgment, project
from accord.store.database.workflow_tables import adjudication, gold_result, mark, review


def make_history(office) -> None:
    project, ann = office.projects.add_project("p"), office.projects.add_user("ann")
    office.projects.add_definition(project, "guideline", {"text": "Be kind."})
    office.projects.add_items(project, [NewItem(content={"prompt": "q"})])
    (work,) = office.queue.claim(project, ann)
    office.queue.submit(work.id, work.lease_token, "key", {"verdict": 1})


def unguarded(office, statement) -> None:
    """Change a row as somebody who owns the database could."""
    with office.database.write() as connection:
        if office.database.is_sqlite:
            connection.execute(text("DROP TRIGGER event_no_update"))
            connection.execute(text("DROP TRIGGER event_no_delete"))
        else:
            connection.execute(text("DROP TRIGGER event_no_change ON event"))
        connection.execute(statement)


def test_every_step_is_an_event_in_order(office):
    make_history(office)
    with office.database.read() as connection:
        rows = connection.execute(chain.select().order_by(chain.c.number)).all()
    assert [(row.action, row.entity) for row in rows] == [
        ("add", "project"),
        ("add", "user"),
        ("publish", "definition"),
        ("add", "item"),
        ("join", "standing"),
        ("lease", "assignment"),
        ("submit", "judgment"),
    ]
    report = verify_chain(office.database)
    assert (report.n_events, report.last_hash) == (7, rows[-1].hash)


def test_a_changed_event_is_found(office):
    make_history(office)
    unguarded(office, update(chain).where(chain.c.number == 3).values(actor="somebody else"))
    with pytest.raises(StoreError, match=r"event 3 \(publish definition .*changed after it was written"):
        verify_chain(office.database)


@pytest.mark.parametrize(("number", "message"), [(2, "event 2 is missing"), (7, "ends at event 6, but 7")])
def test_a_removed_event_is_found(office, number, message):
    make_history(office)
    unguarded(office, delete(chain).where(chain.c.number == number))
    with pytest.raises(StoreError, match=message):
        verify_chain(office.database)


def test_an_invented_event_is_found(office):
    make_history(office)
    row = {"number": 8, "at_ms": 0, "actor": "a", "action": "b", "entity": "c", "entity_id": "d"}
    row |= {"facts": "{}", "previous_hash": "0" * 64, "hash": "0" * 64}
    with office.database.write() as connection:
        connection.execute(insert(chain).values(row))
    with pytest.raises(StoreError, match="event 8"):
        verify_chain(office.database)


def review_and_decide(office, **changed) -> None:
    """One row in each table of what follows a judgment, all about the one of `make_history`."""
    bob = office.projects.add_user(f"bob{changed}")
    with office.database.write() as connection:
        said = connection.execute(select(judgment)).one()
        held = {"assignment_id": said.assignment_id, "item_id": said.item_id, "at_ms": 0}
        about = {"judgment_id": said.id, "note": "", **held}
        rows = {
            review: about
            | {"id": "r", "author_id": said.user_id, "reviewer_id": bob, "verdict": "accept", "reasons": []},
            adjudication: about | {"id": "a", "adjudicator_id": bob, "cause": "style", "rule": ""},
            mark: {
                "judgment_id": said.id, "number": 1, "status": "void", "actor": bob, "reason": "", "at_ms": 0
            },
            gold_result: {
                "judgment_id": said.id, "item_id": said.item_id, "user_id": said.user_id,
                "project_id": connection.execute(select(project.c.id)).scalar_one(),
                "purpose": "gold", "is_right": True, "at_ms": 0,
            },
            acknowledgement: {
                "user_id": bob, "at_ms": 0,
                "definition_id": connection.execute(select(definition.c.id)).scalar_one(),
            },
        }  # fmt: skip
        for table, row in rows.items():
            connection.execute(insert(table).values(row | (changed if table is review else {})))


@pytest.mark.parametrize("table", UNCHANGING, ids=lambda table: table.name)
@pytest.mark.parametrize("what", ["update", "delete"])
def test_what_is_written_once_cannot_be_changed(office, table, what):
    make_history(office)
    review_and_decide(office)
    column = next(column for column in table.c if not column.primary_key)
    statement = delete(table) if what == "delete" else update(table).values({column.name: column})
    with pytest.raises(DBAPIError, match="never changed"), office.database.write() as connection:
        connection.execute(statement)


def test_the_database_itself_lets_nobody_review_his_own_judgment(office):
    make_history(office)
    with office.database.read() as connection:
        author = connection.execute(select(judgment.c.user_id)).scalar_one()
    with pytest.raises(DBAPIError, match="not_own"):
        review_and_decide(office, reviewer_id=author)
    # neither by naming somebody else as the author: author and judgment belong together
    cyd = office.projects.add_user("cyd")
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"):
        review_and_decide(office, reviewer_id=author, author_id=cyd)
