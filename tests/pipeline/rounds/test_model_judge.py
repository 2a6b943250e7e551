"""A language model that judges in a loop: what it will not answer is told, and nothing rests on silence."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.cli.main import run_command
from accord.client import Client
from accord.domain import Completion, ConfigError, DataError, Interrupted, Message, Prompt, Streams
from accord.feedback.serving import serving_here
from accord.models import load_model
from accord.pipeline.journal import Journal
from accord.pipeline.material import KnownTaste
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.panel import TasteOfSupport
from accord.pipeline.rounds.plan import GuardConfig, LoopConfig, ModelJudgesConfig
from accord.pipeline.simulating import Judge
from accord.pipeline.support.content import load_support_task
from accord.quality import SimulatedAnnotator
from accord.store.database import Accounts, Role, open_database

GATES = """
name = "near"

[[gates]]
id = "kl"
metric = "kl_from_tuned"
comparator = "budget"
margin = 1000.0
better = "lower"
min_n = 4
about = "Near the fine-tuned model."
"""
AUDIT = """
name = "audit"
kind = "pairwise"
overlap = 2
"""


@contextmanager
def answering(say: Callable[[str], str]) -> Iterator[str]:
    """Address of an OpenAI-compatible endpoint whose model says what `say` makes of the last message."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            said = say(asked["messages"][-1]["content"])
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
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join(timeout=10)


@pytest.fixture
def endpoint():
    """Address of a model that says the words of a list in turn, the last one for ever; and the list."""
    words = ["Both have their merits."]
    with answering(lambda asked: words.pop(0) if len(words) > 1 else words[0]) as url:
        yield url, words


def by_known_taste(asked: str) -> str:
    """A capable judge: reads the material as a model would and says what the known taste prefers."""
    talk, first, second = re.findall(r"--- \w+ [\w ]+ ---\n(.*?)\n--- \w+ end ---", asked, flags=re.DOTALL)
    turns = re.split(r"(?:^|\n\n)(system|user|assistant): ", talk)[1:]
    prompt = Prompt(messages=tuple(Message(*turn) for turn in zip(turns[::2], turns[1::2], strict=True)))
    taste = KnownTaste(load_support_task())
    gap = (
        taste.judge(prompt, Completion(text=first)).total - taste.judge(prompt, Completion(text=second)).total
    )
    verdict = "A" if gap > 0 else "B" if gap < 0 else "tie"
    return f'I read both. {{"verdict": "{verdict}"}}'


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


def test_a_capable_judge_takes_a_loop_to_a_released_model_and_people_audit_it(
    tmp_path, tiny_loop, monkeypatch, capsys
):
    (tmp_path / "gates.toml").write_text(GATES)
    run = tmp_path / "run"
    with answering(by_known_taste) as url:
        judges = ModelJudgesConfig(model="capable", url=url)
        config = tiny_loop(rounds=1, judges=judges, gates=str(tmp_path / "gates.toml"))
        (record,) = run_loop(config, run)
    assert (record.verdict, record.is_released) == ("pass", True)
    assert load_model(run / "model").version == record.version
    # its verdicts are a model's and are the known taste's, every one
    store, said = str(run / "store.db"), tmp_path / "verdicts.jsonl"
    exported = ["project", "export", "tiny", "--store", store]
    assert run_command([*exported, "--format", "comparisons", "--out", str(said)]) == 0
    rows = [json.loads(line) for line in said.read_text().splitlines()]
    assert {row["source"] for row in rows} == {"model"}
    assert len(rows) == record.facts["questions"]
    taste = TasteOfSupport(KnownTaste(load_support_task()))
    for row in rows:
        gap = taste({"messages": row["prompt"]}, row["left"]).total
        gap -= taste({"messages": row["prompt"]}, row["right"]).total
        assert row["choice"] == ("left" if gap > 0 else "right" if gap < 0 else "tie")
    # people judge the same pairs in a project of their own, and the judge is held against them
    pairs, votes, people = tmp_path / "pairs.jsonl", tmp_path / "votes.jsonl", str(tmp_path / "people.db")
    assert run_command([*exported, "--format", "preference", "--out", str(pairs)]) == 0
    (tmp_path / "audit.toml").write_text(AUDIT)
    assert run_command(["project", "create", str(tmp_path / "audit.toml"), "--store", people]) == 0
    given = ["project", "import", "audit", str(pairs), "--overlap", "2", "--store", people]
    assert run_command(given) == 0
    judged_by_people(people, taste)
    wanted = ["project", "export", "audit", "--store", people, "--format", "comparisons"]
    assert run_command([*wanted, "--out", str(votes)]) == 0
    assert {json.loads(line)["source"] for line in votes.read_text().splitlines()} == {"human"}
    capsys.readouterr()
    assert run_command(["evaluate", "judge", str(said), str(votes), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    values = {row["metric"]: row["estimate"]["value"] for row in told["measurements"]}
    assert told["facts"]["items"] == len(pairs.read_text().splitlines())
    assert values["judge_agreement"] == 1.0


def judged_by_people(store, taste):
    """Two accounts of people who follow the taste without fail, until nothing is left to judge."""
    database = open_database(store)
    accounts = Accounts.of(database)
    with serving_here(database) as address:
        for name in ("ann", "bob"):
            token = accounts.make_token(accounts.add(name, None, Role.ANNOTATOR), ["annotate"], days=1)
            client = Client(address, token)
            project_id = client.project_id("audit")
            judge = Judge(SimulatedAnnotator(id=name, skill=1e6, tie_width=0.0), Streams(4), taste)
            while taken := client.next(project_id):
                client.submit(taken[0], judge.answers(taken[0]))
    database.close()
