"""The client against the real server on a loopback port: work, retries without doubles, clear errors."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import accord
from accord.domain.errors import ServerError
from accord.feedback.serving import serving_here

PAIR = {"prompt": "Where is my parcel?", "candidates": ["Good one.", "Bad one."]}


@pytest.fixture
def address(site: Any) -> Iterator[str]:
    with serving_here(site.database) as place:
        yield place


def client_of(site: Any, address: str, handle: str, *scopes: str) -> accord.Client:
    found = site.person(handle).get("/me").json()["id"]
    return accord.Client(address, site.accounts.make_token(found, scopes), pause_s=0.01)


def test_a_project_is_set_out_judged_and_read(site, address):
    lead = client_of(site, address, "lead", "manage", "import", "export", "watch")
    project_id = lead.add_project("parcels", {"kind": "pairwise"}, "# Be kind")
    added = lead.add_items(project_id, [PAIR, {"candidates": 3}, {**PAIR, "prompt": "Why?"}])
    assert (added.n_items, added.n_refused, added.errors[0]["line"]) == (2, 1, 2)
    assert lead.project_id("parcels") == project_id
    annotator = client_of(site, address, "annotator", "annotate")
    for _ in range(2):
        (work,) = annotator.next(project_id)
        annotator.submit(work, {"preference": {"choice": 1}}, duration_ms=1200)
    assert annotator.next(project_id) == []
    rows = list(lead.judgments(project_id))
    assert [row["annotator"] for row in rows] == ["annotator", "annotator"]
    assert rows[0]["duration_ms"] == 1200
    assert list(lead.judgments(project_id, after=rows[0]["seq"])) == rows[1:]
    assert lead.progress(project_id)["slots"] == {"filled": 2}


def test_a_file_is_imported_and_a_snapshot_holds_its_hash(site, address, tmp_path):
    lead = client_of(site, address, "lead", "manage", "import", "export", "watch")
    project_id = lead.add_project("parcels", {"kind": "pairwise"})
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(PAIR) + "\n{broken\n")
    done = lead.import_file(project_id, path, overlap=2)
    assert (done["n_items"], done["n_refused"], done["errors"][0]["line"]) == (1, 1, 2)
    assert lead.import_file(project_id, path) == done
    annotator = client_of(site, address, "annotator", "annotate")
    (work,) = annotator.next(project_id)
    annotator.submit(work, {"preference": {"choice": 1}})
    taken = lead.snapshot(project_id)
    (row,) = lead.snapshot_rows(project_id, taken["hash"])
    assert row["annotator"].startswith("annotator-")  # a pseudonym, which stays when somebody is forgotten


def test_one_key_is_one_judgment(site, address):
    project_id = site.project([PAIR])
    annotator = client_of(site, address, "annotator", "annotate")
    (work,) = annotator.next(project_id)
    answers = {"preference": {"choice": 7}}
    first = annotator.submit(work, answers, key="the-same-key")
    assert annotator.submit(work, answers, key="the-same-key") == first


def test_refusals_say_what_the_server_said(site, address):
    project_id = site.project([PAIR])
    annotator = client_of(site, address, "annotator", "annotate")
    with pytest.raises(ServerError, match="403, your role does not allow: manage") as caught:
        annotator.add_project("mine", {"kind": "pairwise"})
    assert caught.value.status == 403
    (work,) = annotator.next(project_id)
    with pytest.raises(ServerError, match=r"422, .*question 'preference'.*choice"):
        annotator.submit(work, {"preference": {"choice": 99}})
    with pytest.raises(ServerError, match="401, the token is unknown or over"):
        accord.Client(address, "accord_wrong").me()
    with pytest.raises(ServerError, match="no project 'nope' that this token may see; there are: p"):
        annotator.project_id("nope")


@pytest.mark.parametrize("wrong", ["127.0.0.1:8300", "ftp://host", "file:///etc/passwd", ""])
def test_an_address_that_is_none_is_refused(wrong: str):
    with pytest.raises(ServerError, match="expected http"):
        accord.Client(wrong, "accord_x")


def test_the_token_is_not_shown():
    assert "secret" not in repr(accord.Client("http://127.0.0.1:1", "accord_secret"))


@contextlib.contextmanager
def scripted(*answers: tuple[int, str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A server that gives these answers in turn; what it was asked."""
    asked: list[tuple[str, str]] = []
    left = list(answers)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            asked.append((self.command, self.path))
            status, body = left.pop(0)
            self.send_response(status)
            if status == 429:
                self.send_header("Retry-After", "7")
            if status == 302:
                self.send_header("Location", body)
            # A stream without its last, empty piece is a connection that breaks off.
            is_broken, text = body.endswith("BROKEN"), body.removesuffix("BROKEN").encode()
            name, value = (
                ("Transfer-Encoding", "chunked") if is_broken else ("Content-Length", str(len(text)))
            )
            self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(text), text) if is_broken else text)
            self.close_connection = True

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
        server.shutdown()
        thread.join()


def test_what_can_be_repeated_is_repeated_with_growing_pauses():
    pauses: list[float] = []
    with scripted((503, "away"), (502, "away"), (200, '{"id": "x"}')) as (place, asked):
        client = accord.Client(place, "accord_t", pause_s=0.5, sleep=pauses.append)
        assert client.me() == {"id": "x"}
    assert pauses == [0.5, 1.0]
    assert len(asked) == 3


def test_items_are_sent_again_under_one_key_and_an_end_says_which_may_be_in():
    with scripted((503, "away"), (503, "away")) as (place, asked):
        client = accord.Client(place, "accord_t", tries=2, sleep=lambda _: None)
        with pytest.raises(ServerError, match="0 items are in, rows 1 to 1 may be"):
            client.add_items("p", [PAIR])
    assert len(asked) == 2


def test_items_whose_answer_was_lost_are_in_once(site, address, monkeypatch):
    lead = client_of(site, address, "lead", "manage", "import", "export", "watch")
    send, lost = lead._opener.open, iter([True, False, True, False])

    def lose(request: Any, **rest: Any) -> Any:
        answer = send(request, **rest)
        if next(lost):
            answer.close()
            raise ConnectionResetError("the answer was lost")
        return answer

    monkeypatch.setattr(lead._opener, "open", lose)
    project_id = lead.add_project("parcels", {"kind": "pairwise"})
    assert lead.add_items(project_id, [PAIR, {**PAIR, "prompt": "Why?"}]).n_items == 2
    monkeypatch.undo()
    assert lead.progress(project_id)["items"] == {"queued": 2}


def test_a_broken_stream_goes_on_behind_the_last_judgment_read():
    first, second = json.dumps({"seq": 4}) + "\n", json.dumps({"seq": 9}) + "\n"
    with scripted((200, first + "BROKEN"), (200, second)) as (place, asked):
        client = accord.Client(place, "accord_t", sleep=lambda _: None)
        assert [row["seq"] for row in client.judgments("p")] == [4, 9]
    assert [path for _, path in asked] == [f"/api/v1/projects/p/judgments?after={k}" for k in (0, 4)]


def test_a_redirect_is_not_followed_so_the_token_stays():
    with (
        scripted((200, "{}")) as (elsewhere, asked),
        scripted((302, elsewhere)) as (place, _),
        pytest.raises(ServerError, match="302"),
    ):
        accord.Client(place, "accord_t").me()
    assert asked == []


def test_an_answer_of_another_server_is_named():
    with (
        scripted((200, "<html>")) as (place, _),
        pytest.raises(ServerError, match="is this an Accord server"),
    ):
        accord.Client(place, "accord_t").me()


def test_a_server_that_is_not_there():
    client = accord.Client("http://127.0.0.1:9", "accord_t", tries=2, sleep=lambda _: None)
    with pytest.raises(ServerError, match="no answer after 2 tries"):
        client.me()
