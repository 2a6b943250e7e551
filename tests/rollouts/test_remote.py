"""A reward service on this machine: order, concurrency, tries, and every way it can fail."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.domain import Completion, ConfigError, Prompt, RewardError
from accord.models.tiny import tiny_model
from accord.rollouts import RemoteReward, RemoteRewardConfig, SamplingConfig, load_reward
from accord.training import OnlineConfig, OptimizationConfig, train_rloo

PROMPTS = [Prompt.from_text(f"question {i}", system="be brief") for i in range(5)]
COMPLETIONS = [Completion(text="x" * i) for i in range(5)]


@contextmanager
def service(answer: Callable[[dict, BaseHTTPRequestHandler], tuple[int, bytes]]) -> Iterator[str]:
    """A server on a free port of this machine that answers each post by `answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, data = answer(body, self)
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:9/elsewhere")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/score"
    finally:
        server.shutdown()
        server.server_close()


def by_length(body, handler):
    return 200, json.dumps({"rewards": [float(len(text)) for text in body["completions"]]}).encode()


def remote(url, **options):
    slept = []
    settings = {"batch_size": 2, "pause_s": 0.5, "timeout_s": 20.0, **options}
    reward = RemoteReward(RemoteRewardConfig(url=url, **settings), sleep=slept.append)
    return reward, slept


def test_values_come_in_the_order_of_the_completions_and_prompts_go_whole():
    seen = []

    def answer(body, handler):
        seen.append(body["prompts"])
        return by_length(body, handler)

    with service(answer) as url:
        reward, _ = remote(url)
        assert reward.score(PROMPTS, COMPLETIONS).values == [0.0, 1.0, 2.0, 3.0, 4.0]
        assert reward.score([], []).values == []
    assert sorted(len(each) for each in seen) == [1, 2, 2]
    assert [{"role": "system", "content": "be brief"}, {"role": "user", "content": "question 4"}] in [
        prompt for each in seen for prompt in each
    ]


def test_batches_are_on_their_way_at_one_time():
    met = threading.Barrier(3, timeout=30)

    def answer(body, handler):
        met.wait()
        return by_length(body, handler)

    with service(answer) as url:
        reward, _ = remote(url, concurrency=3)
        assert reward.score(PROMPTS, COMPLETIONS).values == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_a_busy_service_is_asked_again_and_pauses_double():
    tries = []

    def answer(body, handler):
        tries.append(1)
        return (503, b"") if len(tries) < 3 else by_length(body, handler)

    with service(answer) as url:
        reward, slept = remote(url, batch_size=10)
        assert reward.score(PROMPTS, COMPLETIONS).values[-1] == 4.0
    assert slept == [0.5, 1.0]


@pytest.mark.parametrize(
    ("reply", "problem", "n_tries"),
    [
        ((503, b""), "it answered 503, after 2 of 2 tries", 2),
        ((401, b""), "it answered 401, after 1 of 2 tries", 1),
        ((302, b""), "it answered 302, after 1 of 2 tries", 1),
        ((200, b"oops"), "not JSON, after 2 of 2 tries", 2),
        ((200, b"[1]"), "expected a list of 5 numbers", 1),
        ((200, b'{"rewards": [1, 2]}'), "returned 2 values for 5 completions", 1),
        ((200, b'{"rewards": [1, 2, NaN, 4, 5]}'), "returned nan for the completion 'xx'", 1),
        ((200, b'{"rewards": [1, 2, null, 4, 5]}'), "returned None for the completion 'xx'", 1),
    ],
)
def test_each_failure_is_said(reply, problem, n_tries):
    asked = []

    def answer(body, handler):
        asked.append(1)
        return reply

    with service(answer) as url:
        reward, _ = remote(url, batch_size=10, tries=2)
        with pytest.raises(RewardError, match=problem):
            reward.score(PROMPTS, COMPLETIONS)
    assert len(asked) == n_tries


def test_a_service_that_does_not_answer_in_time_is_given_up():
    released = threading.Event()

    def answer(body, handler):
        released.wait(60)
        return by_length(body, handler)

    with service(answer) as url:
        reward, _ = remote(url, batch_size=10, tries=2, timeout_s=0.1)
        with pytest.raises(
            RewardError, match=r"no answer within 0.1 s, after 2 of 2 tries, on 5 completions"
        ):
            reward.score(PROMPTS, COMPLETIONS)
        released.set()


def test_nobody_there_is_said():
    with service(by_length) as url:
        pass
    reward, _ = remote(url, tries=1)
    with pytest.raises(RewardError, match=r"reward service 127.0.0.1:\d+: .*efused"):
        reward.score(PROMPTS, COMPLETIONS)


def test_the_token_is_sent_and_never_shown(monkeypatch):
    monkeypatch.setenv("ACCORD_REWARD_KEY", "a-secret")
    seen = []

    def answer(body, handler):
        seen.append(handler.headers["Authorization"])
        return 403, b""

    with service(answer) as url:
        reward, _ = remote(url, batch_size=10)
        with pytest.raises(RewardError) as caught:
            reward.score(PROMPTS, COMPLETIONS)
    assert seen == ["Bearer a-secret"]
    assert "a-secret" not in f"{caught.value} {reward.config}"


def test_a_run_whose_service_goes_away_is_saved_and_goes_on_as_if_nothing_had_been(tmp_path):
    calls = []
    prompts = PROMPTS[:2]
    settings = OnlineConfig(
        prompts_per_step=2,
        group_size=2,
        sampling=SamplingConfig(max_tokens=4),
        optimization=OptimizationConfig(steps=3, learning_rate=1e-3, precision="fp32"),
    )

    def answer(body, handler):
        calls.append(1)
        return (404, b"") if len(calls) == 2 else by_length(body, handler)

    with service(answer) as url:
        config = RemoteRewardConfig(url=url, tries=1)
        with pytest.raises(RewardError, match="it answered 404") as caught:
            train_rloo(tiny_model(), prompts, RemoteReward(config), settings, run_dir=tmp_path)
        assert "1 finished steps are saved" in "".join(caught.value.__notes__)
        resumed, whole = tiny_model(), tiny_model()
        train_rloo(resumed, prompts, RemoteReward(config), settings, run_dir=tmp_path, resume=True)
        train_rloo(whole, prompts, RemoteReward(config), settings)
    assert resumed.version == whole.version


def test_an_address_is_a_reward_and_a_wrong_one_is_refused():
    assert isinstance(load_reward("https://rewards.example/score"), RemoteReward)
    with pytest.raises(ConfigError, match="expected an http or https address"):
        RemoteRewardConfig(url="ftp://rewards.example")
    with pytest.raises(ConfigError, match="holds a name or password"):
        RemoteRewardConfig(url="https://me:secret@rewards.example")
    with pytest.raises(ConfigError, match="1 or more"):
        RemoteRewardConfig(url="https://rewards.example", tries=0)
