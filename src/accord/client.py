"""A program's way to a server: set items out, judge, and read judgments as they come in, over HTTP.

Uses the standard library alone. When the server is away it is asked again: what would do harm if it were done
twice (adding items, making projects) carries a key, under which the server does it once. Leaves out
signing in by password: make a token for the program.
"""

import hashlib
import http.client
import json
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from accord.domain.errors import ServerError

ROWS_AT_A_TIME = 500
"""Rows of one request that adds items."""
PIECE = 65_536
"""Bytes read at a time."""
IDLE_LOOKS = 100
"""Looks at an import that does not move before its file is sent once more."""
SNAPSHOT_HEADS = (b"accord snapshot 2\n", b"accord snapshot 1\n")
"""What the hash of a snapshot may begin with: a line for each recipe there has been."""
TOO_OFTEN = 429
AWAY = (502, 503, 504)
"""Answers of a proxy whose server is away."""
MOST_WAIT_S = 60.0
"""Longest pause before a request that came too often is made again."""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the token is for this server alone."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@dataclass(frozen=True, kw_only=True)
class Added:
    """What became of rows that were sent."""

    n_items: int
    """Rows that are items now."""
    n_refused: int
    """Rows that are not."""
    errors: tuple[Mapping[str, Any], ...]
    """`line` (from 1, over all rows sent) and `detail` of rows refused; the first hundred of each request."""


class Client:
    """One program at one server. Every error is a `ServerError` that says what the server said."""

    def __init__(
        self,
        address: str,
        token: str,
        *,
        timeout_s: float = 30.0,
        tries: int = 5,
        pause_s: float = 0.2,
        sleep: Callable[[float], None] = time.sleep,
    ):
        """`address` such as "http://127.0.0.1:8300"; waits `pause_s`, doubled each time, between `tries`."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise ServerError(f"the address is {address!r}; expected http://HOST:PORT or https://HOST")
        if not token or not token.isascii() or not token.isprintable():
            raise ServerError("the token is empty or has strange characters; make one and pass it whole")
        self._base = address.rstrip("/") + "/api/v1"
        self._token = token
        self._timeout_s, self._tries, self._pause_s, self._sleep = timeout_s, tries, pause_s, sleep
        self._opener = urllib.request.build_opener(_StayHere)

    def __repr__(self) -> str:
        return f"Client({self._base.removesuffix('/api/v1')!r})"

    def me(self) -> dict[str, Any]:
        """Whose token this is: id, handle, roles."""
        return self._ask("GET", "/me")

    def projects(self) -> list[dict[str, str]]:
        """Id and name of each project this token may see."""
        return list(self._pages("/projects", "projects"))

    def project_id(self, name: str) -> str:
        """The id of a project by its name."""
        found = {one["name"]: one["id"] for one in self.projects()}
        if name not in found:
            names = ", ".join(sorted(found)) or "none"
            raise ServerError(f"there is no project {name!r} that this token may see; there are: {names}")
        return found[name]

    def add_project(self, name: str, task: Mapping[str, Any], guideline: str = "") -> str:
        """A new project's id."""
        body = {"name": name, "task": dict(task), "guideline": guideline}
        return str(self._ask("POST", "/projects", body, key=str(uuid.uuid4()))["id"])

    def add_items(self, project_id: str, rows: Iterable[Mapping[str, Any]], *, overlap: int = 1) -> Added:
        """Add items, some hundred rows a request; rows that do not fit are told, the others are taken."""
        n_items = n_refused = n_sent = 0
        errors: list[Mapping[str, Any]] = []
        for lines in _batches(rows):
            path = f"/projects/{quote(project_id, safe='')}/items?overlap={overlap}"
            try:
                answer = self._ask("POST", path, "\n".join(lines), key=str(uuid.uuid4()))
            except ServerError as error:
                last = n_sent + len(lines)
                raise ServerError(
                    f"{error}; {n_items} items are in, rows {n_sent + 1} to {last} may be: see progress()"
                ) from error
            n_items, n_refused = n_items + answer["n_items"], n_refused + answer["n_refused"]
            errors += [{**one, "line": one["line"] + n_sent} for one in answer["errors"]]
            n_sent += len(lines)
        return Added(n_items=n_items, n_refused=n_refused, errors=tuple(errors))

    def import_file(
        self, project_id: str, path: str | Path, *, shape: str = "auto", overlap: int = 1
    ) -> dict[str, Any]:
        """Hand a file of items over and wait until it is in: rows, items, refusals with their lines.

        The same file again is taken up where it ended, so that a call that broke off is made once more.
        """
        place = Path(path)
        query = urlencode({"name": place.name, "format": shape, "overlap": overlap})
        base = f"/projects/{quote(project_id, safe='')}/imports"
        for _ in range(self._tries):
            job = self._ask("POST", f"{base}?{query}", place.read_bytes())
            known, still = -1, 0
            while still < IDLE_LOOKS:
                found = self._ask("GET", f"{base}/{job['id']}")
                if found["is_done"]:
                    return found
                if found["failure"]:
                    raise ServerError(f"{place}: {found['failure']}")
                still = 0 if found["n_rows"] > known else still + 1
                known = found["n_rows"]
                self._sleep(self._pause_s)
        raise ServerError(f"{place}: the import stands still at row {known}; is the server well?")

    def snapshot(self, project_id: str) -> dict[str, Any]:
        """Fix what is judged by now: its hash, its last event, its number of rows."""
        return self._ask("POST", f"/projects/{quote(project_id, safe='')}/snapshots")

    def snapshot_rows(self, project_id: str, snapshot_hash: str) -> list[dict[str, Any]]:
        """The rows of a snapshot; raises where they do not have its hash."""
        path = f"/projects/{quote(project_id, safe='')}/snapshots/{quote(snapshot_hash, safe='')}/rows"
        with self._send("GET", path, None) as response:
            text = response.read()
        if all(hashlib.sha256(head + text).hexdigest() != snapshot_hash for head in SNAPSHOT_HEADS):
            raise ServerError(f"the rows of snapshot {snapshot_hash} came with another hash; ask again")
        return [json.loads(line) for line in text.splitlines()]

    def next(self, project_id: str, count: int = 1) -> list[dict[str, Any]]:
        """Up to `count` pieces of work with `id`, `token` (of the lease), `task` and `shown`; may be none."""
        path = f"/projects/{quote(project_id, safe='')}/queue/next"
        return list(self._ask("POST", path, {"count": count})["assignments"])

    def submit(
        self, work: Mapping[str, Any], answers: Mapping[str, Any], *, key: str = "", **facts: Any
    ) -> dict[str, Any]:
        """Hand answers in; `facts` may hold duration_ms, active_ms and ui.

        One key is one judgment however often it is sent; without one the client makes it.
        """
        body = {"token": work["token"], "key": key or str(uuid.uuid4()), "answers": dict(answers), **facts}
        return self._ask("POST", _step(work, "submit"), body)

    def say(self, work: Mapping[str, Any], text: str, *, key: str = "") -> dict[str, Any]:
        """Say something in a conversation with live models: its `step`, and the `turn` to judge and submit.

        Where the models did not answer the step is `again`: the same text under the same key asks them once
        more. What was said is kept either way.
        """
        body = {"token": work["token"], "key": key or str(uuid.uuid4()), "text": text}
        return self._ask("POST", f"/assignments/{quote(str(work['id']), safe='')}/turns", body)

    def skip(self, work: Mapping[str, Any], reason: str) -> None:
        """Give a piece of work back and say why; somebody else gets it."""
        self._ask("POST", _step(work, "skip"), {"token": work["token"], "reason": reason})

    def release(self, work: Mapping[str, Any]) -> None:
        """Give a piece of work back unjudged."""
        self._ask("POST", _step(work, "release"), {"token": work["token"]})

    def revise(self, judgment_id: str, answers: Mapping[str, Any], *, key: str = "") -> dict[str, Any]:
        """Other answers to an own judgment; the earlier ones stay."""
        body = {"key": key or str(uuid.uuid4()), "answers": dict(answers)}
        return self._ask("POST", f"/judgments/{quote(judgment_id, safe='')}/revise", body)

    def judgments(self, project_id: str, *, after: int = 0) -> Iterator[dict[str, Any]]:
        """Judgments in the order in which they came in, behind number `after`; each tells its own as `seq`.

        Read line by line. A connection that breaks is taken up behind the last judgment read.
        """
        path, failures = f"/projects/{quote(project_id, safe='')}/judgments?after=", 0
        while True:
            try:
                with self._send("GET", f"{path}{after}", None) as response:
                    for line in _lines(response):
                        row = json.loads(line)
                        yield row
                        after, failures = row["seq"], 0
                    if not response.length:
                        return
                raise OSError("the answer is shorter than its server said")
            except (OSError, ValueError, http.client.HTTPException) as error:
                failures += 1
                if failures >= self._tries:
                    raise ServerError(f"the stream of judgments broke {failures} times: {error}") from error
                self._sleep(self._pause_s * 2**failures)

    def history(self, project_id: str, *, at_a_time: int = 50) -> Iterator[dict[str, Any]]:
        """Own judgments with what was shown, newest first, as far back as there are any."""
        return self._pages("/me/history", "judgments", project=project_id, limit=at_a_time)

    def feedback(self, project_id: str, *, at_a_time: int = 50) -> Iterator[dict[str, Any]]:
        """Where somebody who reviews or decides saw it otherwise than this token's holder, newest first."""
        return self._pages("/me/feedback", "feedback", project=project_id, limit=at_a_time)

    def alerts(self, project_id: str, *, at_a_time: int = 200) -> Iterator[dict[str, Any]]:
        """What was noticed of people's work in a project, newest first."""
        return self._pages(f"/projects/{quote(project_id, safe='')}/alerts", "alerts", limit=at_a_time)

    def progress(self, project_id: str) -> dict[str, Any]:
        """Items and slots by state, and how many judgments each annotator gave."""
        return self._ask("GET", f"/projects/{quote(project_id, safe='')}/progress")

    def _pages(self, path: str, name: str, **query: str | int) -> Iterator[dict[str, Any]]:
        """The rows of a list, asked for page by page as they are taken."""
        after: str | None = None
        while True:
            asked = urlencode(query if after is None else {**query, "after": after})
            answer = self._ask("GET", f"{path}?{asked}" if asked else path)
            yield from answer[name]
            after = answer.get("next")
            if after is None:
                return

    def _ask(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | str | bytes | None = None,
        *,
        key: str = "",
    ) -> dict[str, Any]:
        try:
            with self._send(method, path, body, key) as response:
                found = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            raise ServerError(f"{method} {path}: the answer broke off: {error}") from error
        except ValueError as error:
            raise ServerError(f"{method} {path}: the answer is no JSON; is this an Accord server?") from error
        if not isinstance(found, dict):
            raise ServerError(f"{method} {path}: the answer is a {type(found).__name__}, expected an object")
        return found

    def _send(
        self, method: str, path: str, body: Mapping[str, Any] | str | bytes | None, key: str = ""
    ) -> Any:
        """The answer; `key` is the request's own, where it carries none in its body."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        headers |= {"Idempotency-Key": key} if key else {}
        text = body if isinstance(body, str | bytes) or body is None else json.dumps(body)
        for tried in range(1, self._tries + 1):
            request = urllib.request.Request(
                self._base + path,
                data=text.encode() if isinstance(text, str) else text,
                method=method,
                headers=headers,
            )
            pause_s = self._pause_s * 2 ** (tried - 1)
            try:
                return self._opener.open(request, timeout=self._timeout_s)
            except urllib.error.HTTPError as error:
                with error:
                    told = _told(error)
                if error.code not in (*AWAY, TOO_OFTEN) or tried == self._tries:
                    raise ServerError(f"{method} {path}: {error.code}, {told}", status=error.code) from error
                pause_s = _wait_s(error, pause_s)
            except (OSError, http.client.HTTPException) as error:
                if tried == self._tries:
                    raise ServerError(f"{method} {path}: no answer after {tried} tries: {error}") from error
            self._sleep(pause_s)
        raise ServerError(f"{method} {path}: tries is {self._tries}; expected 1 or more")


def _step(work: Mapping[str, Any], step: str) -> str:
    return f"/assignments/{quote(str(work['id']), safe='')}/{step}"


def _batches(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[str]]:
    lines: list[str] = []
    for row in rows:
        lines.append(json.dumps(row, ensure_ascii=False))
        if len(lines) == ROWS_AT_A_TIME:
            yield lines
            lines = []
    if lines:
        yield lines


def _lines(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """Whole lines as they come; raises where the stream breaks off, which reading line by line would not."""
    rest = b""
    while piece := response.read1(PIECE):
        *lines, rest = (rest + piece).split(b"\n")
        yield from lines
    if rest:
        raise OSError("the answer ends within a line")


def _wait_s(error: urllib.error.HTTPError, otherwise: float) -> float:
    """How long the server says to wait, up to a minute."""
    told = error.headers.get("Retry-After", "")
    return min(float(told), MOST_WAIT_S) if told.isdecimal() else otherwise


def _told(error: urllib.error.HTTPError) -> str:
    """What a problem document says, or the plain reason."""
    try:
        return str(json.loads(error.read())["detail"])
    except (OSError, ValueError, KeyError, TypeError):
        return str(error.reason)
