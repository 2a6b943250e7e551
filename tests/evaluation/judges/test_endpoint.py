"""A real server on a loopback port that is slow, busy, broken or wrong."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord.domain.errors import ConfigError, EvaluationError
from accord.evaluation.judges import ChatEndpoint, EndpointConfig


def said(text, **usage):
    return 200, {}, json.dumps({"choices": [{"message": {"content": text}}], "usage": usage}).encode()


@pytest.fixture
def serve():
    """serve(answers): an address that gives each answer once, the last for ever; and what it was asked."""
    servers = []

    def start(*answers):
        asked = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                asked.append((self.path, dict(self.headers), body))
                answer = answers[min(len(asked), len(answers)) - 1]
                status, headers, data = answer() if callable(answer) else answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1", asked

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def endpoint(url, waits=None, **settings):
    config = EndpointConfig(model="m", url=url, **{"pause_s": 0.5, "tries": 3, **settings})
    return ChatEndpoint(config, sleep=(waits if waits is not None else []).append)


def test_the_question_goes_out_as_the_format_has_it_and_tokens_are_counted(serve):
    url, asked = serve(said("hello", prompt_tokens=7, completion_tokens=2))
    answer = endpoint(url, key="secret").ask([{"role": "user", "content": "hi"}])
    assert (answer.text, answer.prompt_tokens, answer.completion_tokens, answer.tries) == ("hello", 7, 2, 1)
    ((path, headers, body),) = asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    messages = [{"role": "user", "content": "hi"}]
    assert body == {"model": "m", "messages": messages, "temperature": 0.0, "max_tokens": 400}


def test_a_busy_server_is_asked_again_after_the_time_it_names(serve):
    url, asked = serve((429, {"Retry-After": "7"}, b""), (503, {}, b""), said("now"))
    waits = []
    assert endpoint(url, waits).ask([]).tries == 3
    # the header's 7 seconds, then the second pause: twice .5
    assert (waits, len(asked)) == ([7.0, 1.0], 3)


@pytest.mark.parametrize("named", ["Wed, 21 Oct 2026 07:28:00 GMT", "-5", "1e9", "nan"])
def test_strange_waits_are_bounded(serve, named):
    url, _ = serve((429, {"Retry-After": named}, b""), said("now"))
    waits = []
    endpoint(url, waits).ask([])
    assert 0.5 <= waits[0] <= 60


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"not json", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"{}", "without choices"),
        (b'{"choices": [{"message": {"content": null}}]}', "without text"),
        (b"x" * 5_000_000, "more than"),
    ],
    ids=["no json", "deep", "empty", "null", "huge"],
)
def test_garbage_is_told_after_all_tries(serve, data, reason):
    url, asked = serve((200, {}, data))
    with pytest.raises(EvaluationError, match=reason):
        endpoint(url).ask([])
    assert len(asked) == 3


def test_a_wrong_key_is_told_at_once_and_not_repeated_in_the_message(serve):
    url, asked = serve((401, {}, b"no"))
    with pytest.raises(EvaluationError, match="answered 401; check the key") as found:
        endpoint(url, key="very-secret").ask([])
    assert len(asked) == 1
    assert "very-secret" not in str(found.value)
    assert "very-secret" not in repr(EndpointConfig(model="m", url=url, key="very-secret"))


def test_a_redirect_is_not_followed_with_the_key(serve):
    there, reached = serve(said("stolen"))
    url, _ = serve((307, {"Location": there}, b""))
    with pytest.raises(EvaluationError, match="answered 307"):
        endpoint(url, key="secret").ask([])
    assert reached == []


def test_a_silent_server_times_out(serve):
    def slow():
        time.sleep(1.0)
        return said("late")

    url, _ = serve(slow)
    with pytest.raises(EvaluationError, match="2 times"):
        endpoint(url, timeout_s=0.1, tries=2).ask([])


def test_nobody_there_is_told():
    with pytest.raises(EvaluationError, match="refused"):
        endpoint("http://127.0.0.1:9/v1", tries=1).ask([])


def test_the_rate_is_kept():
    waits, clock = [], [0.0]

    def sleep(seconds):
        waits.append(seconds)
        clock[0] += seconds

    config = EndpointConfig(model="m", url="http://127.0.0.1:9/v1", tries=1, requests_per_minute=30)
    asked = ChatEndpoint(config, sleep=sleep, now=lambda: clock[0])
    for _ in range(3):
        with pytest.raises(EvaluationError):
            asked.ask([])
    # one every two seconds
    assert waits == [2.0, 2.0]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"url": "ftp://x"}, "url is 'ftp://x'"),
        ({"url": "http://me:pw@x/v1"}, "holds a password"),
        ({"model": ""}, "model is empty"),
        ({"key": "a\nb"}, "no header takes"),
        ({"tries": 0}, "tries is 0"),
        ({"timeout_s": float("nan")}, "timeout_s is nan"),
    ],
)
def test_wrong_settings_are_named(settings, named):
    with pytest.raises(ConfigError, match=named):
        EndpointConfig(**{"model": "m", "url": "http://x/v1", **settings})
