"""How long the page takes from the key that submits to the next item on screen, in a real Chromium.

Starts the real server over a store of items with long answers (code, tables, formulas), signs in, judges by
keyboard at a pace, and reads from the page: the time between the key event as the browser stamped it and the
first task after the frame in which the next item was painted. Prints one JSON line. Needs the packages of the
tests, and Chromium.

    python benchmarks/painting.py --items 60
    python benchmarks/painting.py --items 60 --words 1500 --pace 0.5
"""

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from accord.feedback.items import content_of
from accord.store.database import Accounts, NewItem, Projects, Role, open_database
from collecting import served

PATIENCE_S = 60
PASSWORD = "correct horse battery"
WORDS = ("answer", "question", "longer", "than", "that", "which", "we", "know", "of", "nobody", "else")
WATCH = """
  window.painted = [];
  let pressed = null, shown = null;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") pressed = event.timeStamp;
  }, true);
  const look = () => {
    const id = document.getElementById("work")?.dataset.id ?? null;
    if (id === null || id === shown) return;
    const since = shown === null ? null : pressed;
    shown = id;
    pressed = null;
    if (since === null) return;
    requestAnimationFrame(() => {
      const after = new MessageChannel();
      after.port1.onmessage = () => window.painted.push(performance.now() - since);
      after.port2.postMessage(null);
    });
  };
  new MutationObserver(look).observe(document, { childList: true, subtree: true });
"""
"""Notes each change of the item on screen; a task that is posted within a frame runs once it was painted."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--items", type=int, default=60, help="that are judged; the first few are not counted"
    )
    parser.add_argument("--words", type=int, default=500, help="of each of the two answers")
    parser.add_argument("--pace", type=float, default=1.0, help="seconds between two keys that submit")
    parser.add_argument("--warmup", type=int, default=3, help="items at the start that are not counted")
    options = parser.parse_args(arguments)
    if options.items <= options.warmup:
        parser.error(f"--items is {options.items}; expected more than --warmup, {options.warmup}")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        raise SystemExit("there is no Chromium on the path; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder:
        place = str(Path(folder) / "accord.db")
        project_id = set_out(place, options.items + 5, options.words)
        with served(place, 1, Path(folder) / "server.log") as port:
            times, version = judge(chromium, f"http://127.0.0.1:{port}", project_id, options)
    counted = np.asarray(times[options.warmup :])
    print(
        json.dumps(
            {
                **vars(options),
                "chromium": version,
                "n": len(counted),
                "median_ms": round(float(np.median(counted)), 1),
                "p95_ms": round(float(np.quantile(counted, 0.95)), 1),
                "largest_ms": round(float(counted.max()), 1),
                "load_average": round(os.getloadavg()[0], 2),
            }
        )
    )


def set_out(place: str, n_items: int, n_words: int) -> str:
    """A project of items whose answers hold text, code, a table and formulas."""
    database = open_database(place)
    database.create()
    Accounts.of(database).add("annotator", PASSWORD, Role.ANNOTATOR)
    projects = Projects.of(database)
    project_id = projects.add_project("painting")
    projects.add_definition(project_id, "schema", {"title": "painting", "kind": "pairwise"})
    projects.add_definition(project_id, "guideline", {"markdown": "# Be kind\n\nAlways."})

    def text_of(number: int, side: int) -> str:
        words = [WORDS[(number * 7 + side * 3 + k) % len(WORDS)] for k in range(n_words)]
        parts = [" ".join(words[start : start + 60]) + "." for start in range(0, n_words, 60)]
        parts[1:1] = [
            f"```python\nfor k in range({number + 2}):\n    print(k ** 2, {side})\n```",
            f"| k | square |\n|---|---|\n| {number} | {number * number} |\n| {side} | {side * side} |",
            f"So $\\sum_{{k=1}}^{{n}} k^2 = \\frac{{n (n+1) (2n+1)}}{{6}}$ for $n = {number}$.",
        ]
        return "\n\n".join(parts)

    def row(number: int) -> NewItem:
        answers = [text_of(number, side) for side in (0, 1)]
        content = content_of({"prompt": f"Question {number}?", "candidates": answers})
        return NewItem(content=content, n_candidates=2)

    projects.add_items(project_id, [row(k) for k in range(n_items)])
    database.close()
    return project_id


def judge(chromium: str, address: str, project_id: str, options: Any) -> tuple[list[float], str]:
    """Judge by keyboard; milliseconds from each submitting key to the next item, and the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.add_init_script(WATCH)
        page.goto(f"{address}/login")
        page.get_by_label("Handle").fill("annotator")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/")
        page.goto(f"{address}/p/{project_id}/annotate")
        for number in range(options.items):
            page.wait_for_timeout(1000 * options.pace)
            until(page, "import('/static/work.js').then((it) => it.queue.size > 0)")
            page.keyboard.press("2")
            page.keyboard.press("Enter")
            page.wait_for_timeout(50)
            if page.get_by_text("Submit again if you have read it all").is_visible():
                page.keyboard.press(
                    "Enter"
                )  # the page asks who was quick; what counts is the key that submits
            until(page, f"window.painted.length > {number}")
            if page.locator("#pause[open]").count():  # a break is suggested after fifty
                page.locator("[data-pause=back]").click()
        times = page.evaluate("window.painted")
        version = browser.version
        browser.close()
    return [float(one) for one in times], version


def until(page: Any, condition: str) -> None:
    """Wait until a script says yes; asked from outside, for the page's rules let no text be run in it."""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(condition):
        if time.monotonic() > end:
            said = page.locator("main").inner_text()[:2000]
            raise SystemExit(f"{condition} is not so after {PATIENCE_S} s; the page says:\n{said}")
        page.wait_for_timeout(20)


if __name__ == "__main__":
    main()
