"""Live models by endpoint and in this process: only allowed hosts are asked; every failure is of one kind."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from accord.domain.errors import ConfigError, ModelAway
from accord.feedback.live import Live, LiveModel
from accord.pipeline.speakers import SpeakersHere, checked_hosts

TALK = [{"role": "user", "content": "Hello?"}]


def live(**changes: Any) -> Live:
    return Live(models=(), questions=(), answers=2, **{"max_tokens": 16, "timeout_s": 5.0, **changes})


class Endpoint:
    """An OpenAI-compatible endpoint that keeps what it was asked; `status` and `body` can be changed."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, None, []
        outer = self

        class Answers(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                return

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.asked.append((self.path, said, self.headers.get("Authorization")))
                usual = {"choices": [{"message": {"role": "assistant", "content": "Here I am."}}]}
                data = json.dumps(usual if outer.body is None else outer.body).encode()
                self.send_response(outer.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.host = f"127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def model(self) -> LiveModel:
        return LiveModel(name="new", url=f"http://{self.host}/v1", model="policy", key="ACCORD_LIVE_KEY")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_an_endpoint_is_asked_with_key_and_settings(endpoint, monkeypatch):
    monkeypatch.setenv("ACCORD_LIVE_KEY", "a key of ours")
    speakers = SpeakersHere([endpoint.host])
    assert speakers.ask(endpoint.model, TALK, live(temperature=0.3)) == "Here I am."
    ((path, body, key),) = endpoint.asked
    assert (path, key) == ("/v1/chat/completions", "Bearer a key of ours")
    assert body == {"model": "policy", "messages": TALK, "temperature": 0.3, "max_tokens": 16}


def test_a_host_that_was_not_allowed_is_never_asked(endpoint):
    with pytest.raises(ModelAway, match=f"--live-host {endpoint.host}"):
        SpeakersHere(["elsewhere.example"]).ask(endpoint.model, TALK, live())
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("status", "body"), [(500, None), (429, None), (404, None), (302, None), (200, {"choices": []})]
)
def test_whatever_goes_wrong_the_model_is_away_after_one_try(endpoint, status, body):
    endpoint.status, endpoint.body = status, body
    with pytest.raises(ModelAway):
        SpeakersHere([endpoint.host]).ask(endpoint.model, TALK, live())
    assert len(endpoint.asked) == 1


def test_nobody_listens(endpoint):
    endpoint.server.shutdown()
    endpoint.server.server_close()
    with pytest.raises(ModelAway):
        SpeakersHere([endpoint.host]).ask(endpoint.model, TALK, live())


def test_a_model_of_this_process_answers_by_its_name(tiny):
    from accord.rollouts.engine import Engine

    engine = Engine({"tiny": tiny})
    try:
        speakers = SpeakersHere([], engine=engine)
        assert isinstance(speakers.ask(LiveModel(name="tiny"), TALK, live(max_tokens=8)), str)
        with pytest.raises(ModelAway, match="--model other=DIR"):
            speakers.ask(LiveModel(name="other"), TALK, live())
        with pytest.raises(ModelAway, match="tiny"):
            speakers.ask(LiveModel(name="tiny"), TALK, live(max_tokens=10_000))
    finally:
        engine.close()


def test_without_models_of_its_own_it_says_what_to_do():
    with pytest.raises(ModelAway, match="not served here"):
        SpeakersHere([]).ask(LiveModel(name="tiny"), TALK, live())


@pytest.mark.parametrize("host", ["http://x", "a b", "me@x", "x:port", "", "x/v1"])
def test_what_is_no_host_is_refused(host):
    with pytest.raises(ConfigError, match="--live-host"):
        checked_hosts(["fine.example:8400", host])


def test_hosts_travel_through_the_environment():
    assert checked_hosts(["a.example", "127.0.0.1:8400"]) == "a.example 127.0.0.1:8400"
