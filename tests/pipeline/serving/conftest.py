"""A server of models on a loopback port, and a client that speaks HTTP by hand."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
import torch

from accord.feedback.serving import app_here
from accord.models.language_model import LanguageModel
from accord.models.tiny import tiny_model
from accord.pipeline.serving.application import create_model_app
from accord.rollouts.engine import Engine


@dataclass(frozen=True)
class Answer:
    """What came back, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Caller:
    """Sends one request a connection, as a script would."""

    def __init__(self, address: str, **headers: str):
        self.host = urlsplit(address).netloc
        self.headers = {"Content-Type": "application/json", **headers}

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with closing(http.client.HTTPConnection(self.host, timeout=60)) as connection:
            connection.request(method, path, content, {**self.headers, **headers})
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())

    def ask(self, status: int = 200, **body: Any) -> dict[str, Any]:
        answer = self.send("POST", "/v1/chat/completions", body)
        assert answer.status == status, answer.body
        return json.loads(answer.body)

    def stream(self, **body: Any) -> list[dict[str, Any]]:
        answer = self.send("POST", "/v1/chat/completions", {**body, "stream": True})
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        events = answer.body.decode().split("\n\n")
        assert events[-2:] == ["data: [DONE]", ""]
        return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


def lively(seed: int) -> LanguageModel:
    """A tiny model whose tokens are far from uniform; two seeds answer differently."""
    model = tiny_model(seed)
    with torch.no_grad():
        for name, weight in model.network.named_parameters():
            weight.mul_(6.0 if "proj" in name else 4.0 if "embed" in name else 1.0)
    return model


@pytest.fixture(scope="session")
def models() -> dict[str, LanguageModel]:
    return {"one": lively(0), "two": lively(1)}


@pytest.fixture(scope="session")
def engine(models: dict[str, LanguageModel]) -> Iterator[Engine]:
    engine = Engine(models)
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def caller(engine: Engine) -> Iterator[Caller]:
    with app_here(create_model_app(engine)) as address:
        yield Caller(address)
