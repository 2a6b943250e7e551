"""The OpenAI-compatible interface over real HTTP: the shapes its clients read, and what they are refused."""

import http.client
import json
from contextlib import ExitStack, closing

import pytest

from accord.domain import Prompt, Streams
from accord.domain.errors import ConfigError
from accord.feedback.serving import app_here
from accord.pipeline.serving.application import Door, check_exposure, create_model_app, key_of
from accord.rollouts.engine import Engine, EngineConfig
from accord.rollouts.native import NativeSampler
from accord.rollouts.sampler import SamplingConfig

ASKED = [{"role": "user", "content": "Hello there, who are you?"}]


def test_models_are_listed_as_clients_expect(caller):
    found = json.loads(caller.send("GET", "/v1/models").body)
    assert found["object"] == "list"
    assert [row["id"] for row in found["data"]] == ["one", "two"]
    assert {(row["object"], row["owned_by"]) for row in found["data"]} == {("model", "accord")}
    assert json.loads(caller.send("GET", "/v1/models/two").body)["id"] == "two"
    assert caller.send("GET", "/v1/models/three").status == 404


def test_an_answer_has_the_shape_and_the_draws_of_the_sampler(caller, models):
    found = caller.ask(model="one", messages=ASKED, max_tokens=24, seed=5, n=2, temperature=0.7)
    assert found["object"] == "chat.completion"
    assert found["model"] == "one"
    assert found["id"].startswith("chatcmpl-")
    (group,) = NativeSampler(models["one"]).sample(
        [Prompt.from_text(ASKED[0]["content"])],
        group=2,
        config=SamplingConfig(max_tokens=24, temperature=0.7),
        streams=Streams(5),
    )
    for index, (choice, drawn) in enumerate(zip(found["choices"], group, strict=True)):
        assert choice["index"] == index
        assert choice["message"] == {"role": "assistant", "content": drawn.text, "refusal": None}
        assert choice["finish_reason"] == drawn.finish_reason.value
        assert choice["logprobs"] is None
    n_prompt = len(models["one"].tokenizer.prompt_ids(Prompt.from_text(ASKED[0]["content"])))
    n_drawn = sum(len(drawn.token_ids) for drawn in group)
    assert found["usage"] == {
        "prompt_tokens": n_prompt,
        "completion_tokens": n_drawn,
        "total_tokens": n_prompt + n_drawn,
    }


@pytest.mark.parametrize("settings", [{"temperature": 0}, {"seed": 3, "top_p": 0.9}, {"seed": 4, "n": 3}])
def test_a_stream_joined_is_the_whole_answer(caller, settings):
    asked = {"model": "two", "messages": ASKED, "max_tokens": 40, **settings}
    whole = caller.ask(**asked)
    chunks = caller.stream(**asked, stream_options={"include_usage": True})
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    for index, choice in enumerate(whole["choices"]):
        own = [chunk["choices"][0] for chunk in chunks[:-1] if chunk["choices"][0]["index"] == index]
        assert own[0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
        assert "".join(one["delta"].get("content", "") for one in own) == choice["message"]["content"]
        assert [one["finish_reason"] for one in own[:-1]] == [None] * (len(own) - 1)
        assert own[-1] == {
            "index": index,
            "delta": {},
            "logprobs": None,
            "finish_reason": choice["finish_reason"],
        }


def test_a_stop_string_cuts_the_answer_and_no_part_of_it_is_streamed(caller):
    asked = {"model": "one", "messages": ASKED, "max_tokens": 60, "seed": 11}
    text = caller.ask(**asked)["choices"][0]["message"]["content"]
    stop = text[20:23]
    first = text.find(stop)
    for choice in (
        caller.ask(**asked, stop=stop)["choices"][0],
        caller.ask(**asked, stop=["never there", stop])["choices"][0],
    ):
        assert choice["message"]["content"] == text[:first]
        assert choice["finish_reason"] == "stop"
    chunks = caller.stream(**asked, stop=[stop])
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks) == text[:first]


def test_logprobs_are_the_models_own_and_sum_over_the_likeliest_first(caller):
    asked = {"model": "one", "messages": ASKED, "max_tokens": 6, "temperature": 0}
    found = caller.ask(**asked, logprobs=True, top_logprobs=3)
    content = found["choices"][0]["logprobs"]["content"]
    assert len(content) == found["usage"]["completion_tokens"]
    for token in content:
        assert len(token["top_logprobs"]) == 3
        values = [one["logprob"] for one in token["top_logprobs"]]
        assert values == sorted(values, reverse=True)
        assert token["logprob"] == values[0] <= 0  # greedy: the token drawn is the likeliest
        assert token["bytes"] is None or bytes(token["bytes"]).decode() == token["token"]
    streamed = caller.stream(**asked, logprobs=True, top_logprobs=3)
    parts = [one["choices"][0]["logprobs"] for one in streamed]
    assert [token for part in parts if part for token in part["content"]] == content


def test_equal_seeds_give_equal_answers_and_none_gives_fresh_ones(caller):
    asked = {"model": "one", "messages": ASKED, "max_tokens": 30}
    said = {caller.ask(**asked, seed=8)["choices"][0]["message"]["content"] for _ in range(2)}
    fresh = {caller.ask(**asked)["choices"][0]["message"]["content"] for _ in range(2)}
    assert len(said) == 1
    assert len(fresh) == 2


def test_content_in_parts_and_a_developer_are_read(caller):
    parts = [{"type": "text", "text": "Hello there, "}, {"type": "text", "text": "who are you?"}]
    plain = {"model": "one", "max_tokens": 12, "temperature": 0}
    first = caller.ask(**plain, messages=[{"role": "system", "content": "Be brief."}, *ASKED])
    again = caller.ask(
        **plain, messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]
    )
    assert first["choices"] == again["choices"]


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        ({"model": "three"}, 404, "model"),
        ({"messages": []}, 400, "messages"),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 400, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400, None),
        ({"max_tokens": 0}, 400, "max_tokens"),
        ({"max_tokens": 5000}, 400, "messages"),
        ({"temperature": -1}, 400, "temperature"),
        ({"top_p": 0}, 400, "top_p"),
        ({"stop": [""]}, 400, "stop"),
        ({"n": 100}, 400, "n"),
        ({"top_logprobs": 2}, 400, "top_logprobs"),
        ({"tools": []}, 400, "tools"),
        ({"frequency_penalty": 0.5}, 400, "frequency_penalty"),
        ({"response_format": {"type": "json_object"}}, 400, "response_format.type"),
        ({"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ],
)
def test_what_cannot_be_done_is_refused_in_openais_shape(caller, body, status, param):
    found = caller.ask(status, **{"model": "one", "messages": ASKED, **body})["error"]
    assert set(found) == {"message", "type", "param", "code"}
    assert found["message"]
    assert param is None or found["param"] == param


def test_other_ways_to_ask_wrongly(caller):
    path = "/v1/chat/completions"
    for answer, status in (
        (caller.send("POST", path, b"{"), 400),
        (caller.send("POST", path, b"[]"), 400),
        (caller.send("POST", path, b"{}", **{"Content-Type": "text/plain"}), 415),
        (caller.send("GET", path), 405),
        (caller.send("GET", "/v1/nothing"), 404),
        (caller.send("GET", "/v1/models", Host="elsewhere.example"), 403),
        (caller.send("POST", path, b" " * 4_000_001), 413),
    ):
        found = json.loads(answer.body)["error"]
        assert answer.status == status, found
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert found["type"].endswith("_error")


def test_a_key_is_asked_for_and_compared(engine, caller):
    with app_here(create_model_app(engine, door=Door("s" * 20))) as address:
        asked = {"model": "one", "messages": ASKED, "max_tokens": 2}
        assert type(caller)(address).ask(401, **asked)["error"]["type"] == "authentication_error"
        assert type(caller)(address).send("GET", "/v1/models").headers["WWW-Authenticate"] == "Bearer"
        assert type(caller)(address, Authorization="Bearer wrong").ask(401, **asked)
        assert type(caller)(address, Authorization=f"Bearer {'s' * 20}").ask(**asked)["choices"]


def test_other_machines_need_a_key_and_short_keys_are_refused():
    check_exposure("127.0.0.1", "")
    check_exposure("0.0.0.0", "k" * 16)
    with pytest.raises(ConfigError, match="ACCORD_SERVE_KEY"):
        check_exposure("0.0.0.0", "")
    with pytest.raises(ConfigError, match="16 characters"):
        key_of({"ACCORD_SERVE_KEY": "short"})


@pytest.mark.parametrize("is_streamed", [True, False])
def test_a_client_that_goes_away_is_worked_for_no_more(models, caller, is_streamed):
    engine = Engine(models, EngineConfig(max_rows=1))
    try:
        with app_here(create_model_app(engine)) as address:
            body = {
                "model": "one",
                "messages": ASKED,
                "max_tokens": 1900,
                "temperature": 0,
                "stream": is_streamed,
            }
            own = type(caller)(address)
            with closing(http.client.HTTPConnection(own.host, timeout=60)) as connection:
                connection.request("POST", "/v1/chat/completions", json.dumps(body), own.headers)
                if is_streamed:
                    assert connection.getresponse().readline().startswith(b"data: ")
                else:
                    wait_for(own, "n_running", 1)
            short = own.ask(model="one", messages=ASKED, max_tokens=4)
            assert short["usage"]["completion_tokens"] <= 4
            wait_for(own, "n_running", 0)
            assert engine.n_drawn < 1000  # of 1904
    finally:
        engine.close()


def wait_for(own, name, value):
    while json.loads(own.send("GET", "/healthz").body)[name] != value:
        pass


def test_a_full_line_answers_429_and_when_to_come_back(models, caller):
    engine = Engine(models, EngineConfig(max_waiting=1, max_rows=1))
    try:
        with app_here(create_model_app(engine)) as address:
            own = type(caller)(address)
            asked = {"model": "one", "messages": ASKED, "max_tokens": 1900, "temperature": 0}
            with ExitStack() as open_ones:
                for name in ("n_running", "n_waiting"):
                    connection = open_ones.enter_context(closing(http.client.HTTPConnection(own.host)))
                    connection.request("POST", "/v1/chat/completions", json.dumps(asked), own.headers)
                    wait_for(own, name, 1)
                refused = own.send("POST", "/v1/chat/completions", asked)
                assert refused.status == 429
                assert refused.headers["Retry-After"] == "1"
                assert json.loads(refused.body)["error"]["type"] == "rate_limit_error"
    finally:
        engine.close()
