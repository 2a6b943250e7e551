"""Bad input as a user meets it: a clear error, or a number named as not measured; never a silent one."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.cli.main import run_command


@pytest.fixture
def write(tmp_path):
    def put(name, rows):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return str(path)

    return put


def answers(count, word="fine", *, start=0):
    return [
        {"prompt": f"Where is order {i}?", "response": f"{word} {i}"} for i in range(start, start + count)
    ]


def error_of(capsys, words, code=1):
    assert run_command(words) == code
    return capsys.readouterr().err


def test_prompts_that_differ_between_runs(write, capsys):
    sides = [write("a.jsonl", answers(5)), write("b.jsonl", answers(5, start=2))]
    said = error_of(capsys, ["evaluate", "compare", *sides])
    assert "2 only a.jsonl, 2 only b.jsonl" in said
    assert "'Where is order 0?'" in said


def test_an_id_that_is_there_twice(write, capsys):
    twice = write("a.jsonl", [*answers(3), *answers(1)])
    said = error_of(capsys, ["evaluate", "compare", twice, write("b.jsonl", answers(3))])
    assert "a.jsonl" in said
    assert "twice" in said
    pair = {"id": "p", "prompt_id": "1", "chosen_reward": 1.0, "rejected_reward": 0.0}
    rows = write("pairs.jsonl", [pair, pair])
    said = error_of(capsys, ["evaluate", "reward", rows, "--incumbent", rows])
    assert "twice" in said or "two" in said


def test_a_pair_that_was_judged_in_one_order_only(write, capsys):
    rows = [{"prompt_id": f"q{i}", "first": "new", "second": "old", "winner": "first"} for i in range(4)]
    rows.append({"prompt_id": "q0", "first": "old", "second": "new", "winner": "first"})
    path = write("judged.jsonl", rows)
    run_command(["evaluate", "judged", path, "--candidate", "new", "--json"])
    found = json.loads(capsys.readouterr().out)
    # three pairs lack an order: they are left out and told, the other one is a tie by both orders
    assert found["facts"]["single_orders"] == 3
    assert any("order" in flag for flag in found["facts"]["flags"])
    rate = next(one for one in found["measurements"] if one["metric"] == "win_rate" and one["slice"] == "all")
    assert (rate["estimate"]["value"], rate["estimate"]["n"]) == (0.5, 1)


def test_a_slice_that_is_empty_is_not_measured_and_blocks(write, tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        '[[gates]]\nid = "g"\nmetric = "win_rate"\nslice = "domain=billing"\ncomparator = "superiority"\n'
        "margin = 0.5\n"
    )
    row = {"metric": "win_rate", "estimate": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 50}}
    results = write("r.json", [{"measurements": [row]}])
    assert run_command(["gate", str(plan), results, "--json"]) == 2
    (gate,) = json.loads(capsys.readouterr().out)["gates"]
    assert gate["verdict"] == "not measured"
    assert "domain=billing" in gate["reason"]


def test_one_row_decides_nothing(write, capsys):
    sides = [write("a.jsonl", answers(1, "good")), write("b.jsonl", answers(1, "bad"))]
    judge = write("judge.py", [])
    with open(judge, "w", encoding="utf-8") as file:
        file.write("def score(prompts, rows):\n    return [float('good' in row.text) for row in rows]\n")
    assert run_command(["evaluate", "compare", *sides, "--judge", f"{judge}:score", "--json"]) == 2
    found = json.loads(capsys.readouterr().out)
    rate = next(one for one in found["measurements"] if one["metric"] == "win_rate" and one["slice"] == "all")
    # Wilson of 1 of 1: from .21 to 1
    assert rate["estimate"]["low"] == pytest.approx(0.2065, abs=1e-3)
    assert found["verdict"] == "undecided"


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "None", "'high'"])
def test_a_judge_whose_score_is_no_number(write, tmp_path, capsys, value):
    sides = [write("a.jsonl", answers(3)), write("b.jsonl", answers(3, "other"))]
    judge = tmp_path / "judge.py"
    judge.write_text(f"def score(prompts, rows):\n    return [{value} for _ in rows]\n")
    said = error_of(capsys, ["evaluate", "compare", *sides, "--judge", f"{judge}:score"])
    assert "finite" in said
    assert "judge.py:score" in said


def test_scores_of_pairs_that_are_no_numbers_name_their_line(write, capsys):
    good = {"prompt_id": "1", "chosen_reward": 1.0, "rejected_reward": 0.0}
    for bad in (None, "high", float("nan")):
        path = write("pairs.jsonl", [good, {**good, "prompt_id": "2", "chosen_reward": bad}])
        said = error_of(capsys, ["evaluate", "reward", path])
        assert "pairs.jsonl:2" in said or "line 2" in said


@pytest.fixture
def serve():
    """serve(status, body, wait_s): the address of a judge that always answers so."""
    servers, hold = [], threading.Event()

    def start(status, body, *, is_silent=False):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                if is_silent:
                    hold.wait(5)
                    return
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Retry-After", "0")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1"

    yield start
    hold.set()
    for server in servers:
        server.shutdown()
        server.server_close()


GARBAGE = json.dumps({"choices": [{"message": {"content": "both are nice"}}]}).encode()


@pytest.mark.parametrize(
    ("status", "body", "settings", "reason"),
    [
        (200, GARBAGE, {}, "no verdict"),
        (200, b"<html>not JSON</html>", {"tries": 2, "pause_s": 0.0}, ""),
        (429, b"slow down", {"tries": 2, "pause_s": 0.0}, "429"),
        (200, b"", {"tries": 1, "timeout_s": 0.2, "is_silent": True}, ""),
    ],
    ids=["garbage in the answer", "no JSON", "rate limit", "silence"],
)
def test_a_judge_behind_an_endpoint_that_fails_leaves_no_number(
    write, serve, monkeypatch, capsys, status, body, settings, reason
):
    from accord.evaluation.judges import EndpointConfig

    is_silent = settings.pop("is_silent", False)
    for name, value in settings.items():
        monkeypatch.setitem(EndpointConfig.__init__.__kwdefaults__, name, value)
    url = serve(status, body, is_silent=is_silent)
    sides = [write("a.jsonl", answers(3)), write("b.jsonl", answers(3, "other"))]
    assert run_command(["evaluate", "compare", *sides, "--judge", f"llm:m@{url}", "--json"]) == 2
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert not any(one["metric"] == "win_rate" for one in found["measurements"])
    assert "win_rate" in found["not_measured"]
    assert reason in printed.err + json.dumps(found["not_measured"])
