"""Who comes in and who does not."""

import pytest
from sqlalchemy import select

from accord.domain.errors import StoreError
from accord.domain.ids import CountingIds
from accord.store.database import Accounts, PasswordCost, Role, verify_chain
from accord.store.database.tables import session, user

CHEAP = PasswordCost(n=16, r=1, p=1)
PASSWORD = "correct horse battery"


@pytest.fixture
def accounts(office):
    return Accounts(office.database, office.clock, CountingIds("account"), CHEAP)


def test_password_is_kept_as_scrypt_computes_it():
    # RFC 7914, section 12: password "password", salt "NaCl", N = 1024, r = 8, p = 16 (first 4 bytes)
    kept = PasswordCost(n=1024, r=8, p=16).hash_password("password", b"NaCl")
    import base64

    assert base64.b64decode(kept.split("$")[-1])[:4].hex() == "fdbabe1c"


def test_right_password_opens_and_logging_out_closes(accounts):
    user_id = accounts.add("ann", PASSWORD, Role.ANNOTATOR)
    made = accounts.log_in("ann", PASSWORD)
    account, csrf = accounts.find(made.token)
    assert (account.id, csrf) == (user_id, made.csrf)
    accounts.log_out(made.token)
    assert accounts.find(made.token) is None
    verify_chain(accounts.database)


def test_wrong_passwords_lock_the_account_for_a_minute(accounts):
    accounts.add("ann", PASSWORD, Role.ANNOTATOR)
    for _ in range(5):
        assert accounts.log_in("ann", "wrong") is None
    assert accounts.log_in("ann", PASSWORD) is None
    accounts.clock.pass_seconds(61)
    assert accounts.log_in("ann", PASSWORD) is not None


def test_unknown_handle_and_account_without_password_stay_out(accounts):
    accounts.add("robot", None, Role.SERVICE)
    assert accounts.log_in("nobody", PASSWORD) is None
    assert accounts.log_in("robot", "") is None


def test_session_ends_with_its_time(accounts):
    accounts.add("ann", PASSWORD, Role.ANNOTATOR)
    made = accounts.log_in("ann", PASSWORD, hours=1)
    accounts.clock.pass_seconds(3601)
    assert accounts.find(made.token) is None


def test_neither_passwords_nor_tokens_lie_in_the_database(accounts):
    user_id = accounts.add("ann", PASSWORD, Role.OWNER)
    made, token = accounts.log_in("ann", PASSWORD), accounts.make_token(user_id, ["watch"])
    with accounts.database.read() as connection:
        rows = [str(row) for table in (user, session) for row in connection.execute(select(table))]
    assert not any(secret in row for row in rows for secret in (PASSWORD, made.token, token))


def test_role_of_a_project_counts_there_alone(accounts):
    user_id = accounts.add("ann", PASSWORD, Role.LEAD, project_id="one")
    account, _ = accounts.find(accounts.log_in("ann", PASSWORD).token)
    assert account.may("export", "one")
    assert not account.may("export", "two")
    accounts.set_role(user_id, Role.ANNOTATOR, project_id="one")
    account, _ = accounts.find(accounts.log_in("ann", PASSWORD).token)
    assert not account.may("export", "one")


@pytest.mark.parametrize("handle", ["", " ann", "a\nb"])
def test_handle_that_cannot_be_typed_is_refused(accounts, handle):
    with pytest.raises(StoreError, match="handle"):
        accounts.add(handle, PASSWORD, Role.ANNOTATOR)


def test_short_password_and_taken_handle_are_refused(accounts):
    accounts.add("ann", PASSWORD, Role.ANNOTATOR)
    with pytest.raises(StoreError, match="10 or more"):
        accounts.add("bob", "short", Role.ANNOTATOR)
    with pytest.raises(StoreError, match="taken"):
        accounts.add("ann", PASSWORD, Role.ANNOTATOR)
