"""Data files of the Hugging Face hub by their id, kept so that the same is not fetched twice.

    hub:OWNER/NAME/PATH or hub:OWNER/NAME/PATH@REVISION, e.g. hub:google/IFEval/ifeval_input_data.jsonl

Leaves out what the files mean, and reading a data set's list of files.
"""

import os
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException, IncompleteRead
from pathlib import Path

from accord.domain.errors import DataError
from accord.domain.files import write_bytes_atomic

HUB = "hub:"
MOST_BYTES = 1 << 30
WAIT_S = 60.0
NAME = re.compile(
    r"(?P<owner>[\w.-]+)/(?P<name>[\w.-]+)/(?P<path>[\w .+()-]+(?:/[\w .+()-]+)*)(?:@(?P<revision>[\w./-]+))?"
)


def find_data_file(data: str, *, environ: Mapping[str, str] = os.environ) -> str:
    """The path itself, or where the hub's file lies now; fetched once a revision.

    Asks HF_ENDPOINT (default huggingface.co), with HF_TOKEN where there is one, which is sent nowhere else.
    HF_HUB_OFFLINE keeps it from asking. Raises `DataError` with what to do.
    """
    if not data.startswith(HUB):
        return data
    match = NAME.fullmatch(data.removeprefix(HUB))
    if match is None or ".." in re.split("[/@]", data):
        raise DataError(
            f"{data!r} is no hub id; expected hub:OWNER/NAME/PATH or hub:OWNER/NAME/PATH@REVISION"
        )
    owner, name, path, revision = (match[key] or "main" for key in ("owner", "name", "path", "revision"))
    cache = environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    kept = Path(cache) / "accord" / "hub" / f"{owner}+{name}" / revision.replace("/", "+") / path
    if kept.is_file():
        return str(kept)
    if environ.get("HF_HUB_OFFLINE", "") not in ("", "0"):
        raise DataError(f"{data} is not kept at {kept}, and HF_HUB_OFFLINE forbids to fetch it")
    endpoint = environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{endpoint}/datasets/{owner}/{name}/resolve/{revision}/{urllib.parse.quote(path)}"
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_bytes_atomic(kept, _fetch(url, environ.get("HF_TOKEN", ""), data))
    return str(kept)


def _fetch(url: str, token: str, data: str) -> bytes:
    if not url.startswith(("https://", "http://")):
        raise DataError(f"HF_ENDPOINT makes the address {url!r}; expected one that begins with https://")
    request = urllib.request.Request(url, headers={"User-Agent": "accord"})
    if token:
        # Not sent on where the hub redirects to: that is another host.
        request.add_unredirected_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            content: bytes = answer.read(MOST_BYTES + 1)
            # Read up to a bound, an answer that breaks off looks like a whole one.
            if answer.length and len(content) <= MOST_BYTES:
                raise IncompleteRead(content, answer.length)
    except urllib.error.HTTPError as error:
        hint = (
            "is the id right, and need you HF_TOKEN for it?" if error.code in (401, 403, 404) else "try again"
        )
        raise DataError(
            f"{data} cannot be fetched: {url} says {error.code} {error.reason}; {hint}"
        ) from error
    except (OSError, ValueError, HTTPException) as error:
        raise DataError(
            f"{data} cannot be fetched from {url}: {error}; fetch the file yourself and give its path"
        ) from error
    if len(content) > MOST_BYTES:
        raise DataError(f"{data} holds more than {MOST_BYTES:,} bytes and is refused")
    return content
