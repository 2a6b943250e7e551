"""A hub on a loopback port: files are fetched once, the token goes nowhere else, failures say what to do."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from accord.cli.main import run_command
from accord.domain.errors import DataError
from accord.pipeline.hub_files import find_data_file

ROW = {"key": 1, "prompt": "a", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}


@pytest.fixture
def hub():
    """(address, asked): holds owner/set at main and v1; /moved redirects to another path."""
    asked = []
    files = {
        "/datasets/owner/set/resolve/main/in/data.jsonl": json.dumps(ROW).encode(),
        "/datasets/owner/set/resolve/v1/data.jsonl": b"{}",
        "/datasets/owner/set/resolve/main/cut.csv": b"a,b",
        "/elsewhere": b"moved",
    }

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, self.headers.get("Authorization")))
            if self.path == "/datasets/owner/set/resolve/main/moved.csv":
                self.send_response(302)
                self.send_header("Location", "/elsewhere")
                self.end_headers()
                return
            content = files.get(self.path)
            self.send_response(404 if content is None else 200)
            if self.path.endswith("/cut.csv"):
                self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture
def environ(hub, tmp_path):
    return {"HF_ENDPOINT": hub[0], "XDG_CACHE_HOME": str(tmp_path), "HF_TOKEN": "secret"}


def test_a_file_is_fetched_once_a_revision(hub, environ):
    first = find_data_file("hub:owner/set/in/data.jsonl", environ=environ)
    assert json.loads(Path(first).read_text(encoding="utf-8")) == ROW
    assert find_data_file("hub:owner/set/in/data.jsonl", environ=environ) == first
    assert len(hub[1]) == 1
    other = find_data_file("hub:owner/set/data.jsonl@v1", environ=environ)
    assert other != first
    assert [path for path, _ in hub[1]][-1] == "/datasets/owner/set/resolve/v1/data.jsonl"
    offline = {**environ, "HF_HUB_OFFLINE": "1"}
    assert find_data_file("hub:owner/set/in/data.jsonl", environ=offline) == first


def test_the_token_is_not_sent_where_the_hub_redirects_to(hub, environ):
    find_data_file("hub:owner/set/moved.csv", environ=environ)
    assert hub[1] == [
        ("/datasets/owner/set/resolve/main/moved.csv", "Bearer secret"),
        ("/elsewhere", None),
    ]


def test_a_path_is_left_as_it_is():
    assert find_data_file("data/prompts.jsonl", environ={}) == "data/prompts.jsonl"


@pytest.mark.parametrize(
    ("data", "more", "message"),
    [
        ("hub:owner/set", {}, "is no hub id"),
        ("hub:owner/set/../../secret", {}, "is no hub id"),
        ("hub:owner/set/secret@..", {}, "is no hub id"),
        ("hub:owner/set/none.csv", {}, "says 404 .*is the id right"),
        ("hub:owner/set/none.csv", {"HF_HUB_OFFLINE": "1"}, "forbids"),
        ("hub:owner/set/none.csv", {"HF_ENDPOINT": "file:///etc"}, "expected one that begins with https"),
        ("hub:owner/set/none.csv", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "give its path"),
    ],
)
def test_failures_say_what_to_do(environ, data, more, message):
    with pytest.raises(DataError, match=message):
        find_data_file(data, environ={**environ, **more})


def test_a_file_that_breaks_off_is_told_and_not_kept(environ):
    for _ in range(2):
        with pytest.raises(DataError, match=r"3 bytes read, 997 more expected.*give its path"):
            find_data_file("hub:owner/set/cut.csv", environ=environ)


def test_a_suite_takes_a_hub_id(environ, tmp_path, monkeypatch, capsys):
    for name, value in {**environ, "HF_HUB_OFFLINE": "0"}.items():
        monkeypatch.setenv(name, value)
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"prompt": "a", "response": "fine"}\n')
    words = ["evaluate", "suite", "ifeval", "--data", "hub:owner/set/in/data.jsonl"]
    assert run_command([*words, "--responses", str(answers), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["facts"]["items"] == 1
