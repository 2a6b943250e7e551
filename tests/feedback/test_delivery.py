"""Messages to other servers: signed, tried again, sent only where allowed; to a real server on loopback."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from accord.feedback.delivery import HELD_MS, MAX_TRIES, Postman, is_signed, send_by_http, sign
from accord.store.database import Projects, verify_chain
from accord.store.database.workflow_tables import outbox

from ..receiving import HandClock

SECRET = "a key of the receiver"


def write(site: Any, url: str) -> None:
    project_id = Projects.of(site.database).add_project("p")
    with site.database.write() as connection:
        connection.execute(
            insert(outbox).values(
                id="message-1", project_id=project_id, url=url, secret_name="KEY", body={"item": "é"},
                state="pending", n_tries=0, next_ms=0, created_ms=0, last_error="",
            )
        )  # fmt: skip


def postman(site: Any, *allowed: str, clock: Any = None, **secrets: str) -> Postman:
    keys = secrets or {"KEY": SECRET}
    return Postman(site.database, clock or HandClock(), frozenset(allowed), keys, send_by_http)


def row(site: Any) -> Any:
    with site.database.read() as connection:
        return connection.execute(select(outbox)).one()


def test_a_message_arrives_signed_and_once(any_site, receiver):
    write(any_site, f"http://{receiver.address}/hook?a=b")
    carrier = postman(any_site, receiver.address)
    assert carrier.deliver() == {"sent": 1, "later": 0, "failed": 0}
    assert carrier.deliver() == {"sent": 0, "later": 0, "failed": 0}
    ((headers, body),) = receiver.got
    now_s = HandClock().now().timestamp()
    assert json.loads(body) == {"item": "é"}
    assert headers["Accord-Delivery"] == "message-1"
    assert is_signed(headers["Accord-Signature"], SECRET, body, now_s=now_s)
    assert not is_signed(headers["Accord-Signature"], SECRET, body + b" ", now_s=now_s)
    assert not is_signed(headers["Accord-Signature"], "another", body, now_s=now_s)
    assert not is_signed(headers["Accord-Signature"], SECRET, body, now_s=now_s + 301)
    assert not is_signed("nonsense", SECRET, body, now_s=now_s)
    verify_chain(any_site.database)


def test_what_is_not_taken_is_tried_later_and_later_and_then_given_up(any_site, receiver):
    write(any_site, f"http://{receiver.address}/hook")
    clock = HandClock()
    carrier = postman(any_site, receiver.address, clock=clock)
    receiver.status = 503
    assert carrier.deliver()["later"] == 1
    assert carrier.deliver()["later"] == 0
    pauses = []
    while row(any_site).state == "pending":
        before = clock.time
        clock.time = datetime.fromtimestamp(row(any_site).next_ms / 1000, tz=UTC)
        pauses.append((clock.time - before).total_seconds())
        carrier.deliver()
    # ten seconds doubled each time, at most six hours
    assert pauses == [min(10 * 2**k, 21_600) for k in range(MAX_TRIES - 1)]
    assert (row(any_site).state, row(any_site).last_error) == ("failed", "answered 503")


def test_a_redirect_is_not_followed(any_site, receiver):
    write(any_site, f"http://{receiver.address}/hook")
    receiver.status = 302
    assert postman(any_site, receiver.address).deliver()["later"] == 1
    assert row(any_site).last_error == "answered 302"


@pytest.mark.parametrize("allowed", ["127.0.0.1", "localhost:1", ""])
def test_only_servers_that_were_allowed_are_told(any_site, receiver, allowed):
    write(any_site, f"http://{receiver.address}/hook")
    assert postman(any_site, allowed).deliver()["later"] == 1
    assert receiver.got == []
    assert "may not be told" in row(any_site).last_error


def test_a_name_before_the_host_does_not_make_it_another_host(any_site, receiver):
    write(any_site, f"http://hooks.example@{receiver.address}/hook")
    assert postman(any_site, "hooks.example").deliver()["later"] == 1
    assert receiver.got == []


def test_without_a_key_nothing_is_sent(any_site, receiver):
    write(any_site, f"http://{receiver.address}/hook")
    assert postman(any_site, receiver.address, OTHER="x").deliver()["later"] == 1
    assert receiver.got == []


def test_a_server_that_is_not_there_is_tried_again(any_site):
    write(any_site, "http://127.0.0.1:9/hook")
    assert postman(any_site, "127.0.0.1:9").deliver()["later"] == 1
    assert "Refused" in row(any_site).last_error


def test_whoever_dies_with_a_message_leaves_it_to_the_next(any_site, receiver):
    write(any_site, f"http://{receiver.address}/hook")
    clock = HandClock()

    def die(*_: Any) -> int:
        raise KeyboardInterrupt

    dying = Postman(any_site.database, clock, frozenset({receiver.address}), {"KEY": SECRET}, die)
    with pytest.raises(KeyboardInterrupt):
        dying.deliver()
    carrier = postman(any_site, receiver.address, clock=clock)
    assert carrier.deliver()["sent"] == 0
    clock.time += timedelta(milliseconds=HELD_MS)
    assert carrier.deliver()["sent"] == 1


def test_a_signature_by_hand():
    # printf '7.{}' | openssl dgst -sha256 -hmac key
    digest = "77bc83bd1f40422311e47918b203449aecf84b02c1568bb1b570ac2a474cc2d8"
    assert sign("key", 7, b"{}") == f"t=7,v1={digest}"
