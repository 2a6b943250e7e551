"""The chat page in a real browser: by keyboard alone, streamed, stopped half way, and nothing of it runs."""

import json
import re

import pytest

from accord.feedback.serving import app_here
from accord.pipeline.serving.application import create_site
from accord.rollouts.sampler import SamplingConfig

pytestmark = [
    pytest.mark.browser,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]


@pytest.fixture
def page(browser):
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    context.close()


def ready(page):
    """Wait until a question is asked for and keys are listened to."""
    page.locator("#chat[data-ready]").wait_for()
    page.locator("#ask").wait_for()


def rows(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_conversation_by_keyboard_is_blind_until_its_end(engine, page, tmp_path):
    votes = tmp_path / "votes.jsonl"
    refused = []
    page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
    with app_here(create_site(engine, votes=votes, sampling=SamplingConfig(max_tokens=40))) as address:
        page.goto(f"{address}/chat")
        ready(page)
        page.keyboard.type("Is <b>this</b> text?")
        page.keyboard.press("Enter")
        page.get_by_text("Both have answered.").wait_for()
        shown = page.locator("[data-answer]").all_inner_texts()
        assert all(shown)
        assert page.locator("#question .text").inner_text() == "Is <b>this</b> text?"
        page.keyboard.press("2")
        page.get_by_role("button", name="End, show names").wait_for()
        ready(page)
        page.keyboard.type("1 and 2 are digits here")  # the field has the focus: no vote
        page.keyboard.press("Enter")
        page.get_by_text("Both have answered.").wait_for()
        page.keyboard.press("3")
        ready(page)
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        page.get_by_role("heading", name="Who it was").wait_for()
        names = page.locator("tbody tr").all_inner_texts()
        assert [name.split("\t")[2] for name in names] == ["B is better", "Tie"]
    first, second = rows(votes)
    assert (first["choice"], second["choice"]) == ("right", "tie")
    assert names[0].split("\t")[:2] == [first["left_model"], first["right_model"]]
    assert [one["content"] for one in second["prompt"]][::2] == [
        "Is <b>this</b> text?",
        "1 and 2 are digits here",
    ]
    assert second["prompt"][1]["content"] == first["right"][0]["content"]
    assert refused == []


def test_what_was_written_when_stopped_can_be_voted_on(engine, page, tmp_path):
    from playwright.sync_api import expect

    votes = tmp_path / "votes.jsonl"
    sampling = SamplingConfig(max_tokens=1800, temperature=0)
    drawn = engine.n_drawn
    with app_here(create_site(engine, votes=votes, sampling=sampling)) as address:
        page.goto(f"{address}/chat")
        ready(page)
        page.keyboard.type("Go on")
        page.keyboard.press("Enter")
        for side in (0, 1):
            expect(page.locator("[data-answer]").nth(side)).to_have_text(re.compile(r"\S.{4}", re.DOTALL))
        page.keyboard.press("Escape")
        page.get_by_text("Stopped. Which is better so far?").wait_for()
        page.keyboard.press("4")
        ready(page)
    (row,) = rows(votes)
    assert row["choice"] == "both_bad"
    assert row["left"][0]["content"].strip()
    assert engine.n_drawn - drawn < 3000  # of 3600
