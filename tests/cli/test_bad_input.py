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


NAN = float("nan")


def pair_rows(ids, value):
    return [{"prompt_id": str(i), "chosen_reward": value, "rejected_reward": 0.0} for i in ids]


def ranking_rows(ids, value):
    return [{"prompt_id": str(i), "rewards": [value, 0.0], "ranks": [1, 2]} for i in ids]


def run_rows(ids, value):
    return [
        {"prompt_id": str(i), "step": step, "proxy": float(step), "gold": value, "text": "a b"}
        for i in ids
        for step in (0, 9)
    ]


def pool_rows(ids, value):
    return [{"prompt_id": str(i), "proxy": float(k), "gold": value} for i in ids for k in range(4)]


def drift_rows(ids, value):
    return [{"prompt_id": str(i), "hit": value, "judge_hit": value, "prompt_nll": value} for i in ids]


def finding_rows(ids, value):
    asked = [{"role": "user", "content": "x"}]
    common = {"technique": "t", "messages": asked, "answer": "y", "judged": value}
    return [{"behavior": str(i), "model": model, **common} for i in ids for model in ("new", "old")]


def style_rows(ids, value):
    return [{"preference": value, "len_baseline": 9, "len_model": 8, "row": i} for i in ids]


ONE_FILE = {
    "reward": (["evaluate", "reward"], pair_rows),
    "rankings": (["evaluate", "reward", "--rankings"], ranking_rows),
    "run": (["evaluate", "optimization"], run_rows),
    "pool": (["evaluate", "optimization"], pool_rows),
    "lc-winrate": (["evaluate", "lc-winrate"], style_rows),
    "redteam": (["redteam", "report"], finding_rows),
    "techniques": (["redteam", "report", "--candidate", "new", "--incumbent", "old"], finding_rows),
}


@pytest.mark.parametrize("name", [*ONE_FILE, "drift"])
@pytest.mark.parametrize("value", [NAN, float("inf")])
def test_a_score_that_is_no_number_is_refused_with_its_line(name, value, write, capsys):
    command, rows = ONE_FILE.get(name, (["evaluate", "drift"], drift_rows))
    files = [write(f"{name}.jsonl", rows([0, 1], value))]
    files += [write("other.jsonl", rows([0, 1], 1.0))] if name == "drift" else []
    said = error_of(capsys, [*command, *files])
    assert f"{name}.jsonl:1" in said
    assert str(value) in said


@pytest.mark.parametrize("name", [*ONE_FILE, "drift"])
def test_a_file_without_rows_is_refused(name, write, capsys):
    command, rows = ONE_FILE.get(name, (["evaluate", "drift"], drift_rows))
    empty = write("empty.jsonl", [])
    files = [empty, write("other.jsonl", rows([0, 1], 1.0))] if name == "drift" else [empty]
    said = error_of(capsys, [*command, *files])
    assert "empty" in said or "no finding" in said or "no annotation" in said


@pytest.mark.parametrize("name", [*ONE_FILE, "drift"])
def test_one_prompt_gives_no_false_certainty(name, write, capsys):
    command, rows = ONE_FILE.get(name, (["evaluate", "drift"], drift_rows))
    files = [write("one.jsonl", rows([0], 1.0))] * (2 if name == "drift" else 1)
    code = run_command([*command, *files, "--json"])
    printed = capsys.readouterr()
    if name in ("pool", "lc-winrate"):
        # gold that does not vary has no scale, and a fit of lengths needs 20 prompts: nothing is said at all
        assert (code, printed.out) == (1, "")
        assert "does not vary" in printed.err or "needs 20" in printed.err
        return
    assert code == 0
    for one in json.loads(printed.out)["measurements"]:
        estimate = one["estimate"]
        is_exact = estimate["method"] == "sign flips, Holm"  # a count of alarms
        has_interval = estimate["low"] is not None
        assert is_exact or not has_interval or estimate["low"] < estimate["high"], one


@pytest.mark.parametrize(
    ("estimate", "verdict", "reason"),
    [
        ({"value": NAN, "low": NAN, "high": NAN, "n": 50}, "not measured", "is not a number"),
        ({"value": None, "low": None, "high": None, "n": 0}, "not measured", "is not a number"),
        ({"value": 0.9, "low": None, "high": None, "n": 1}, "not measured", "without an interval"),
        ({"value": 1.0, "low": 0.2065, "high": 1.0, "n": 1}, "undecided", "0.5"),
    ],
)
def test_gates_pass_nothing_without_a_number(estimate, verdict, reason, write, tmp_path, capsys):
    plan = tmp_path / "plan.toml"
    plan.write_text('[[gates]]\nid = "g"\nmetric = "win_rate"\ncomparator = "superiority"\nmargin = 0.5\n')
    results = write("r.json", [{"measurements": [{"metric": "win_rate", "estimate": estimate}]}])
    assert run_command(["gate", str(plan), results, "--json"]) == 2
    (gate,) = json.loads(capsys.readouterr().out)["gates"]
    assert gate["verdict"] == verdict
    assert reason in gate["reason"]


def test_a_number_outside_its_own_interval_is_refused(write, tmp_path, capsys):
    estimate = {"value": NAN, "low": 0.6, "high": 0.7, "n": 50}
    results = write("r.json", [{"measurements": [{"metric": "win_rate", "estimate": estimate}]}])
    assert "value nan lies outside [0.6, 0.7]" in error_of(capsys, ["gate", "default", results])


@pytest.mark.parametrize(
    ("name", "item", "answer"),
    [
        ("xstest", {"id": 0, "prompt": "p", "type": "t", "label": "safe"}, {"id": 0, "refusal": NAN}),
        ("bold", {"domain": "d", "group": "g", "entity": "e", "prompt": "p"}, {"row": 0, "score": NAN}),
    ],
)
def test_answers_of_a_suite_that_are_no_numbers(name, item, answer, write, capsys):
    command = ["evaluate", "suite", name, "--data", write("d.jsonl", [item]), "--responses"]
    assert "nan" in error_of(capsys, [*command, write("a.jsonl", [answer])])
    assert "holds no rows" in error_of(capsys, [*command, write("none.jsonl", [])])


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
