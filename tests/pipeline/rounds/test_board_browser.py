import pytest

from accord.feedback.app import create_app
from accord.feedback.serving import app_here
from accord.pipeline.rounds.board import board_router
from accord.store.database import Accounts, open_database
from accord.store.database.accounts import PasswordCost, Role

PASSWORD = "a long enough password"

pytestmark = pytest.mark.browser


def test_a_lead_signs_in_and_reads_the_board_by_keyboard(loop_space, browser, tmp_path):
    database = open_database(tmp_path / "accord.db")
    database.create()
    accounts = Accounts.of(database, PasswordCost(n=2**4, r=1, p=1))
    accounts.add("lead", PASSWORD, Role.LEAD)
    app = create_app(database)
    app.include_router(board_router(loop_space, accounts))
    faults: list[str] = []
    with app_here(app) as address:
        page = browser.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda one: faults.append(one.text) if one.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(f"{address}/rounds")
        page.wait_for_url(f"{address}/login")  # nobody looks without signing in
        page.get_by_label("Handle").fill("lead")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/")
        page.goto(f"{address}/rounds")
        page.get_by_role("link", name="first").focus()
        page.keyboard.press("Enter")
        page.wait_for_url(f"{address}/rounds/first")
        assert page.get_by_role("heading", name="Where it stands").is_visible()
        assert page.locator(".stage.done").count() == 20  # ten stages of two rounds
        assert page.get_by_role("heading", name="What moved").is_visible()
        assert page.get_by_role("heading", name="What gates ask for").is_visible()
        assert page.get_by_role("heading", name="Gates", exact=True).is_visible()
        # styled by the linked sheet, not by what the policy forbids
        assert (
            page.locator(".stage.done span").first.evaluate("one => getComputedStyle(one).borderRadius")
            == "999px"
        )
        page.keyboard.press("ArrowRight")
        assert "2 of" in page.locator("#samples .status").inner_text()
        page.close()
    database.close()
    assert faults == []
