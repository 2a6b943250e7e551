"""A language model that judges in a loop: what it will not answer is told, and nothing rests on silence."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.domain import ConfigError, DataError, Interrupted
from accord.pipeline.journal import Journal
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import GuardConfig, LoopConfig, ModelJudgesConfig


@pytest.fixture
def endpoint():
    """Address of a model that says the words of a list in turn, the last one for ever; and the list."""
    words = ["Both have their merits."]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            said = words.pop(0) if len(words) > 1 else words[0]
            body = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", words
        server.shutdown()
        thread.join(timeout=10)


def test_a_judge_without_verdicts_is_named_and_the_run_goes_on_with_one_that_has_some(
    tmp_path, tiny_loop, endpoint
):
    url, words = endpoint
    config = tiny_loop(rounds=1, judges=ModelJudgesConfig(model="mute", url=url))
    stages = Journal(tmp_path / "run/stages")
    told = (
        r"r1-judge: the model judge 'mute' at .* gave no verdict on any pair and skipped 8 questions "
        r"\(no verdict in the answer\); see that the endpoint answers .* resume the run"
    )
    with pytest.raises(DataError, match=told):
        run_loop(config, tmp_path / "run")
    assert stages.record("r1-judge") is None
    words[:] = ["No.", '{"verdict": "A"}']
    with pytest.raises(Interrupted):
        run_loop(config, tmp_path / "run", until="r1-judge")
    record = stages.record("r1-judge")
    assert record is not None
    assert record.facts["judgments"] == 7
    assert record.facts["lines"] == [
        "7 judgments", "the model judge skipped 1 questions (no verdict in the answer)",
    ]  # fmt: skip


def test_one_model_cannot_be_both_what_teaches_and_what_is_held_against_it():
    judges = ModelJudgesConfig(model="m", url="http://x/v1")
    with pytest.raises(ConfigError, match=r"guard\.evidence is annotators, and a model judge is one alone"):
        LoopConfig(judges=judges, guard=GuardConfig(every=5))
    LoopConfig(judges=judges, guard=GuardConfig(every=5, evidence="taste"))
