"""The endpoint judge over a real model behind a real server: slow, busy, broken, and telling the truth."""

import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from accord.cli.main import run_command
from accord.domain import Prompt, Streams
from accord.evaluation.judges import ChatEndpoint, EndpointConfig, LanguageModelJudge
from accord.evaluation.suites.asking import Question
from accord.models import load_model
from accord.pipeline.comparing_models import CompareConfig, compare_models
from accord.pipeline.suite_running import ModelScorer
from accord.rollouts import NativeSampler, SamplingConfig


class ModelServer:
    """Answers chat completions with the tiny model; `faults` are what it does instead, one a request."""

    def __init__(self) -> None:
        self.model = load_model("tiny", device="cpu")
        self.lock = threading.Lock()
        self.faults: list[Callable[[Any], bool]] = []
        self.seen: Counter[str] = Counter()
        self.is_judging = True

    def answer(self, messages: list[dict[str, str]]) -> str:
        """The verdict of the model's own likelihoods, or its own words."""
        if not self.is_judging:
            prompt = Prompt.from_text(messages[-1]["content"][-40:])
            ((row,),) = NativeSampler(self.model).sample(
                [prompt], config=SamplingConfig(max_tokens=8), streams=Streams(0)
            )
            return row.text
        shown = messages[1]["content"]
        left, right = re.findall(r"answer [AB] ---\n(.*?)\n--- [0-9a-f]+ end", shown, re.DOTALL)
        ((first, second),) = ModelScorer(self.model).score(
            [Question(prompt=Prompt.from_raw("x"), options=(left, right))]
        )
        word = "tie" if first == second else "A" if first > second else "B"
        return f'So: {{"verdict": "{word}"}}'


@pytest.fixture
def served() -> Iterator[tuple[str, ModelServer]]:
    state = ModelServer()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with state.lock:
                state.seen["asked"] += 1
                fault = state.faults.pop(0) if state.faults else None
            if fault is not None and fault(self):
                return
            with state.lock:
                text = state.answer(body["messages"])
            usage = {"prompt_tokens": 100, "completion_tokens": 10}
            reply(self, 200, json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}))

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1", state
    server.shutdown()
    server.server_close()


def reply(handler: BaseHTTPRequestHandler, status: int, text: str, **headers: str) -> None:
    data = text.encode()
    handler.send_response(status)
    for name, value in {"Content-Length": str(len(data)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(data)


def busy(handler: Any) -> bool:
    reply(handler, 429, "", Retry_After="3")
    return True


def garbage(handler: Any) -> bool:
    reply(handler, 200, "<html>gateway</html>")
    return True


def slow(handler: Any) -> bool:
    time.sleep(0.4)
    return True


def answers(path: Path, texts: list[str]) -> str:
    rows = [{"prompt": f"Say {i}", "response": text, "finish_reason": "stop"} for i, text in enumerate(texts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def sides(folder: Path, n: int = 9) -> dict[str, str]:
    """The candidate's answers are the shorter, so a likelihood prefers them."""
    new = answers(folder / "new.jsonl", [f"yes {i}" for i in range(n)])
    old = answers(folder / "old.jsonl", [f"a longer answer {i}" for i in range(n)])
    return {"candidate": new, "incumbent": old}


def test_a_model_judges_in_both_orders_and_is_asked_nothing_twice(
    served: tuple[str, ModelServer], tmp_path: Path
):
    url, state = served
    config = CompareConfig(**sides(tmp_path), judge=f"llm:tiny@{url}", out=tmp_path / "out")
    first = compare_models(config)
    rate, swaps = first.find("win_rate"), first.find("swap_consistency")
    assert rate is not None
    assert swaps is not None
    assert rate.estimate.value == 1.0
    assert swaps.estimate.value == 1.0
    # 9 prompts in both orders, and the fixed sentence against the incumbent likewise.
    assert state.seen["asked"] == first.facts["judge_spent"]["questions"] == 36
    again = compare_models(config)
    assert state.seen["asked"] == 36
    assert again.facts["judge_spent"]["remembered"] == 36
    assert [one.estimate for one in again.measurements] == [one.estimate for one in first.measurements]


def test_busy_garbled_and_slow_answers_are_asked_for_again(served: tuple[str, ModelServer]):
    url, state = served
    state.faults = [busy, garbage, slow]
    waits: list[float] = []
    config = EndpointConfig(model="tiny", url=url, timeout_s=0.2, pause_s=0.5, tries=5)
    judge = LanguageModelJudge(ChatEndpoint(config, sleep=waits.append), workers=1)
    from accord.domain.messages import Completion

    (verdict,) = judge.judge(
        [Prompt.from_text("q")], [Completion(text="yes")], [Completion(text="a longer answer")]
    )
    assert verdict.left == 1.0
    # The header's 3 seconds, then twice and four times the pause.
    assert waits == [3.0, 1.0, 2.0]
    assert judge.spent.failed == 0


def test_a_model_that_gives_no_verdict_leaves_the_win_rate_not_measured(
    served: tuple[str, ModelServer], tmp_path: Path
):
    url, state = served
    state.is_judging = False
    found = compare_models(CompareConfig(**sides(tmp_path, 4), judge=f"llm:tiny@{url}"))
    assert found.find("win_rate") is None
    assert found.not_measured["win_rate"] == "the judge gave no verdict on 4 of 4 prompts"
    assert found.facts["judge_spent"]["reasons"] == {"no verdict in the answer": 16}


def test_the_command_shows_tokens_and_cost(
    served: tuple[str, ModelServer], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    url, _ = served
    files = sides(tmp_path, 4)
    words = ["evaluate", "compare", files["candidate"], files["incumbent"], "--judge", f"llm:tiny@{url}"]
    assert run_command([*words, "--judge-price", "2", "8"]) == 2
    # 4 prompts, both orders, and the fixed sentence: 1,600 tokens at 2 and 160 at 8 a million.
    assert (
        "16 questions, 0 remembered, 1,600 tokens asked and 160 answered, cost 0.00448"
        in capsys.readouterr().err
    )
