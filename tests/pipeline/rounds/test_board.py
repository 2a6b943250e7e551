import json
import subprocess
import sys
from dataclasses import replace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from accord.feedback.app import create_app
from accord.pipeline.rounds.board import board_page, board_router, live_curves
from accord.pipeline.rounds.page import loop_to_html
from accord.store.database import Accounts, open_database
from accord.store.database.accounts import PasswordCost, Role

CHEAP = PasswordCost(n=2**4, r=1, p=1)


@pytest.fixture
def site(loop_space, tmp_path):
    """The server with the board, its accounts, and a client."""
    database = open_database(tmp_path / "accord.db")
    database.create()
    accounts = Accounts.of(database, CHEAP)
    app: FastAPI = create_app(database)
    app.include_router(board_router(loop_space, accounts))
    with TestClient(app) as client:
        yield client, accounts
    database.close()


def token(accounts, role):
    return {"Authorization": f"Bearer {accounts.make_token(accounts.add(role.value, None, role), ['watch'])}"}


def test_who_may_watch_sees_the_loops_and_each_board(site):
    client, accounts = site
    headers = token(accounts, Role.LEAD)
    assert "/rounds/first" in client.get("/rounds", headers=headers).text
    page = client.get("/rounds/first", headers=headers)
    assert page.status_code == 200
    assert "Round 2 was not released" in page.text
    assert "style-src 'self'" in page.headers["content-security-policy"]
    assert "<style" not in page.text
    told = client.get("/rounds/first/rounds.json", headers=headers).json()
    assert [one["number"] for one in told["rounds"]] == [1, 2]


def test_others_see_nothing_of_it(site):
    client, accounts = site
    assert client.get("/rounds", follow_redirects=False).status_code == 303
    assert client.get("/rounds/first/rounds.json").status_code == 401
    annotator = token(accounts, Role.ANNOTATOR)
    assert client.get("/rounds/first", headers=annotator).status_code == 403


@pytest.mark.parametrize("run", ["nobody", "..%2f..%2fetc", "%3Cscript%3E"])
def test_a_run_that_is_none_is_not_found(site, run):
    client, accounts = site
    answer = client.get(f"/rounds/{run}", headers=token(accounts, Role.OWNER))
    assert answer.status_code in (404, 422)
    assert "<script>" not in answer.text


def test_a_loop_that_ended_does_not_load_itself_anew(loop_space):
    assert 'http-equiv="refresh"' not in board_page(loop_space.run("first"))


def test_a_loop_under_way_shows_where_it_is_and_what_its_training_logs(finished_loop):
    folder, records = finished_loop
    state = {"state": "running", "stage": "r2-reward", "planned": 2, "title": "T"}
    curves = live_curves(folder, "r2-reward")
    assert {curve.name for curve in curves} >= {"reward/loss", "reward/accuracy"}
    assert [curve.x for curve in curves if curve.name == "reward/loss"] == [(1.0, 2.0, 3.0)]
    page = loop_to_html(records[:1], state, curves=curves, refresh_s=5)
    assert 'http-equiv="refresh" content="5"' in page
    assert 'class="stage now"><span title="under way">reward' in page
    assert "Reward model: loss by step" in page


def test_half_a_line_of_metrics_is_not_read(tmp_path):
    stage = tmp_path / "stages" / "r1-policy"
    stage.mkdir(parents=True)
    rows = [json.dumps({"step": i, "metrics": {"reward/mean": i / 2}}) for i in (1, 2)]
    (stage / "metrics.jsonl").write_text("\n".join(rows) + '\n{"step": 3, "rew')
    (curve,) = live_curves(tmp_path, "r1-policy")
    assert curve.y == (0.5, 1.0)


def test_the_page_says_what_moved_what_to_do_and_what_gates_ask_for(finished_loop):
    _, records = finished_loop
    row = {
        "against": "round 1", "kind": "preference", "state": "moved", "p_value": 0.001, "adjusted_p": 0.004,
        "evidence": "16 anchors <turned>", "action": "label the anchors again",
    }  # fmt: skip
    queue = {
        "gate": "roads", "metric": "win_rate", "slice": "domain=roads", "why": "fail: 0.3", "wanted": 24,
        "is_undecided": False, "opened": 1, "asked": 31, "closed": 2, "how": "pass: 0.7",
    }  # fmt: skip
    facts = {**records[1].facts, "drift": [row], "queues": [queue]}
    page = loop_to_html([records[0], replace(records[1], facts=facts)], {"state": "ended", "planned": 2})
    assert "▲ moved" in page
    assert "since round 1, p 0.004" in page
    told = "Round 2: preferences moved since round 1 (16 anchors &lt;turned&gt;); label the anchors again."
    assert told in page
    assert "✓ closed in round 2" in page
    assert "24 pairs a round" in page


def test_a_ledger_of_before_there_were_monitors_is_still_shown(finished_loop):
    _, records = finished_loop
    new = ("drift", "queues", "queue_pairs", "anchors", "examined")
    old = [
        replace(one, facts={name: value for name, value in one.facts.items() if name not in new})
        for one in records
    ]
    page = loop_to_html(old, {"state": "ended", "planned": 2})
    assert "What moved" not in page
    assert "What gates ask for" not in page


def test_a_stage_that_a_round_never_had_is_not_called_done(finished_loop):
    _, (first, second) = finished_loop
    stages = {name: took for name, took in first.facts["stages"].items() if name != "drift"}
    old = replace(first, facts={**first.facts, "stages": stages})
    page = loop_to_html([old, second], {"state": "ended", "planned": 2})
    of_drift = [one.rpartition('class="stage ')[2] for one in page.split(">drift<")[:-1]]
    assert of_drift == [
        'absent"><span title="no stage of this round"',
        'done"><span title="done"',
    ]
    assert page.count('class="stage done"') == 2 * 10 - 1


def test_equal_ledgers_give_equal_pages(finished_loop):
    _, records = finished_loop
    state = {"state": "ended", "planned": 2, "title": "T & <T>"}
    page = loop_to_html(records, state)
    assert page == loop_to_html(records, state)
    assert "T &amp; &lt;T&gt;" in page


def test_the_site_with_its_board_starts_without_torch(tmp_path):
    told = (
        "import sys\n"
        "from accord.pipeline.site import app_of_environment\n"
        "app = app_of_environment({'ACCORD_STORE': sys.argv[1], 'ACCORD_WORKSPACE': sys.argv[2]})\n"
        "from fastapi.testclient import TestClient\n"
        "answer = TestClient(app).get('/rounds', follow_redirects=False)\n"
        "print('torch' in sys.modules, answer.status_code)\n"
    )
    database = open_database(tmp_path / "a.db")
    database.create()
    database.close()
    command = [sys.executable, "-c", told, str(tmp_path / "a.db"), str(tmp_path / "space")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "303"]  # to the door
