"""Who asks too often waits: by account and by address, in the one shape, counted by all workers together."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

import accord
from accord.feedback.app import create_app
from accord.feedback.rates import PLACES, Limiter, Rates, network_of, shared_file
from accord.feedback.security import HEADERS

from .conftest import PASSWORD, Person
from .test_client import scripted


@dataclass
class Clock:
    ns: int = 5_000_000_000

    def __call__(self) -> int:
        return self.ns

    def pass_seconds(self, seconds: float) -> None:
        self.ns += int(seconds * 1e9)


def limited(site: Any, clock: Clock, **rates: int) -> Any:
    return create_app(site.database, limiter=Limiter(Rates(**rates), now_ns=clock))


def is_refusal(answer: Any, seconds: int) -> bool:
    fields = {"type", "title", "status", "detail"}
    is_problem = answer.headers["content-type"] == "application/problem+json" and set(answer.json()) == fields
    has_headers = all(answer.headers[name] == value for name, value in HEADERS)
    return (
        answer.status_code == 429
        and is_problem
        and has_headers
        and answer.headers["retry-after"] == str(seconds)
        and f"ask again in {seconds} s" in answer.json()["detail"]
    )


def test_a_minutes_worth_may_come_at_once_and_then_one_by_one():
    clock = Clock()
    limiter = Limiter(Rates(account=6), now_ns=clock)
    assert [limiter.take("a", 6) for _ in range(6)] == [0.0] * 6
    assert limiter.take("a", 6) == pytest.approx(10.0)  # six a minute: one every ten seconds
    assert limiter.take("b", 6) == 0.0
    clock.pass_seconds(9.99)
    assert limiter.take("a", 6) == pytest.approx(0.01)
    clock.pass_seconds(0.01)
    assert limiter.take("a", 6) == 0.0
    assert limiter.take("a", 6) == pytest.approx(10.0)
    clock.pass_seconds(3600)
    assert [limiter.take("a", 6) for _ in range(7)] == [0.0] * 6 + [pytest.approx(10.0)]


def test_an_account_waits_with_all_its_tokens_and_nobody_else_does(site):
    clock = Clock()
    app = limited(site, clock, account=3)
    user_id = site.person("owner").get("/me").json()["id"]
    first, second = (Person(app, token=site.accounts.make_token(user_id, ["watch"])) for _ in range(2))
    assert [one.get("/projects").status_code for one in (first, second, first)] == [200] * 3
    assert is_refusal(second.get("/projects"), 20)
    assert is_refusal(first.post("/projects", {}), 20)
    assert Person(app).log_in("lead").get("/me").status_code == 200
    assert first.client.get("/healthz").status_code == 200
    clock.pass_seconds(20)
    assert first.get("/projects").status_code == 200


def test_an_address_waits_before_anything_is_looked_up(site):
    clock = Clock()
    app = limited(site, clock, address=2)
    here, there = (TestClient(app, client=(host, 4000)) for host in ("203.0.113.1", "203.0.113.2"))
    body = {"handle": "owner", "password": PASSWORD + "x"}
    assert [here.post("/api/v1/login", json=body).status_code for _ in range(2)] == [401, 401]
    assert is_refusal(here.post("/api/v1/login", json={**body, "password": PASSWORD}), 30)
    assert there.post("/api/v1/login", json={**body, "password": PASSWORD}).status_code == 200
    assert here.get("/login").status_code == 200  # pages are not the interface


def test_by_default_nobody_waits(site):
    person = site.person("owner")
    assert {person.get("/me").status_code for _ in range(300)} == {200}


def test_workers_count_together(tmp_path):
    file = shared_file()
    try:
        code = (
            "import sys; from pathlib import Path; from accord.feedback.rates import *;"
            "limiter = Limiter(Rates(account=100), file=Path(sys.argv[1]));"
            "print(sum(not limiter.take('account a', 100) for _ in range(200)))"
        )
        run = [sys.executable, "-c", code, str(file)]
        started = [subprocess.Popen(run, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        counts = [int(one.communicate(timeout=120)[0]) for one in started]
        # 100 at once, and one more for each 0.6 s that passed; alone each would have had 100.
        assert 100 <= sum(counts) < 200, counts
        limiter = Limiter(Rates(account=100), file=file)
        assert limiter.take("account b", 100) == 0.0
        limiter.close()
    finally:
        file.unlink()


def test_more_names_than_places_still_count():
    limiter = Limiter(Rates(), now_ns=Clock())
    for k in range(PLACES // 8):
        limiter.take(f"name {k}", 2)
    assert limiter.take("busy", 2) == limiter.take("busy", 2) == 0.0
    assert limiter.take("busy", 2) > 0


@pytest.mark.parametrize(
    ("host", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("testclient", "testclient"),
    ],
)
def test_an_ipv6_subscriber_is_one_address(host, counted):
    assert network_of(host) == counted


def test_the_client_waits_as_long_as_it_is_told():
    pauses: list[float] = []
    with scripted((429, "wait"), (200, '{"id": "x"}')) as (place, asked):
        client = accord.Client(place, "accord_t", pause_s=0.5, sleep=pauses.append)
        assert client.me() == {"id": "x"}
    assert (pauses, len(asked)) == ([7.0], 2)
