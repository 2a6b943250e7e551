"""Two models side by side: blind, fair, without scripts too; a vote is a judgment like any other."""

import re
from urllib.parse import urlencode

import pytest

from accord.domain import Choice, ConfigError, DataError
from accord.domain.clock import CountingClock
from accord.domain.errors import StoreError
from accord.feedback.export import export_lines
from accord.feedback.serving import app_here
from accord.feedback.work import Work
from accord.pipeline.serving.application import create_site
from accord.pipeline.serving.battles import Battle, Battles
from accord.pipeline.serving.votes import SKILL, QueueVotes
from accord.rollouts.sampler import SamplingConfig
from accord.store.database import Accounts, PasswordCost, Projects, Role, WorkQueue, open_database
from accord.store.database.projects import NewItem
from accord.store.reading import read_judgments

FORM = {"Content-Type": "application/x-www-form-urlencoded"}
SHORT = SamplingConfig(max_tokens=16)
PASSWORD = "correct horse battery"


def answered(question="Why?", answers=("Because.", "No idea.")):
    battle = Battle(id="b", sides=("one", "two"))
    battle.ask(question)
    battle.answers = list(answers)
    battle.settle()
    return battle


def test_both_go_on_from_the_better_answer():
    battle = answered()
    vote = battle.judge("right", "ann")
    assert (vote.left, vote.right, vote.left_model, vote.right_model) == (
        "Because.",
        "No idea.",
        "one",
        "two",
    )
    assert [message.content for message in vote.prompt.messages] == ["Why?"]
    assert [message.content for message in battle.history] == ["Why?", "No idea."]
    assert sorted(battle.sides) == ["one", "two"]
    prompt = battle.ask("And then?")
    assert [message.content for message in prompt.messages] == ["Why?", "No idea.", "And then?"]


def test_after_two_bad_answers_the_question_is_as_if_never_asked():
    battle = answered()
    battle.judge("both_bad", "ann")
    assert battle.history == []
    tied = answered()
    tied.judge("tie", "ann")
    assert tied.history[1].content in ("Because.", "No idea.")


def test_what_is_out_of_turn_is_refused():
    battle = Battle(id="b", sides=("one", "two"))
    with pytest.raises(DataError, match="no two answers"):
        battle.judge("left", "ann")
    battle = answered()
    with pytest.raises(DataError, match="which answer is better"):
        battle.ask("Again?")
    with pytest.raises(DataError, match="an answer is empty"):
        answered(answers=("", "x")).judge("left", "ann")
    battle.reveal()
    with pytest.raises(DataError, match="over"):
        battle.ask("More?")


def test_sides_are_drawn_and_pairs_are_different_models():
    battles = Battles(["a", "b", "c"])
    pairs = {battles.begin().sides for _ in range(200)}
    assert pairs == {(x, y) for x in "abc" for y in "abc" if x != y}
    with pytest.raises(ConfigError, match="two models"):
        Battles(["a"])


def test_a_conversation_without_scripts_ends_in_a_judgment_that_commands_read(engine, caller, tmp_path):
    votes = tmp_path / "votes.jsonl"
    with app_here(create_site(engine, votes=votes, clock=CountingClock(), sampling=SHORT)) as address:
        own = type(caller)(address)
        place = own.send("GET", "/chat").headers["Location"]
        page = own.send("GET", place).body.decode()
        assert "Ask two models at once" in page
        assert own.send("POST", place, urlencode({"text": "Who are you?"}).encode(), **FORM).status == 303
        page = own.send("GET", place).body.decode()
        assert "Who are you?" in page
        assert ">one<" not in page
        assert ">two<" not in page
        assert own.send("POST", place, urlencode({"verdict": "better"}).encode(), **FORM).status == 422
        assert own.send("POST", place, urlencode({"verdict": "left"}).encode(), **FORM).status == 303
        own.send("POST", place, urlencode({"reveal": "1"}).encode(), **FORM)
        page = own.send("GET", place).body.decode()
        assert {"one", "two"} == set(re.findall(r"<td>(one|two)</td>", page))
        assert own.send("POST", "/chat/nothing", b"text=x", **FORM).status == 404
        assert own.send("GET", "/chat", Host="elsewhere.example").status == 403
        assert own.send("GET", "/static/accord.css").status == 200
    (judgment,) = read_judgments(votes)
    assert judgment.choice is Choice.LEFT
    assert judgment.comparison.prompt.text == "Who are you?"
    assert {judgment.meta["left_model"], judgment.meta["right_model"]} == {"one", "two"}


def test_with_a_key_the_page_asks_for_it_once(engine, caller, tmp_path):
    with app_here(create_site(engine, key="k" * 20, votes=tmp_path / "v.jsonl")) as address:
        own = type(caller)(address)
        assert own.send("GET", "/chat").headers["Location"] == "/chat/login"
        assert own.send("POST", "/chat/login", b"key=wrong", **FORM).status == 401
        made = own.send("POST", "/chat/login", urlencode({"key": "k" * 20}).encode(), **FORM)
        cookie = made.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "k" * 20 not in cookie
        assert own.send("GET", "/chat", Cookie=cookie.partition(";")[0]).headers["Location"] != "/chat/login"


@pytest.fixture
def database(tmp_path):
    database = open_database(tmp_path / "accord.db")
    database.create()
    yield database
    database.close()


def test_with_a_database_a_vote_is_a_judgment_of_who_is_signed_in(engine, caller, database, tmp_path):
    accounts = Accounts.of(database, PasswordCost(n=16, r=1, p=1))
    accounts.add("ann", PASSWORD, Role.ANNOTATOR)
    site = create_site(engine, database=database, votes=tmp_path / "none.jsonl", sampling=SHORT)
    with app_here(site) as address:
        own = type(caller)(address)
        assert own.send("GET", "/chat").headers["Location"] == "/login"
        entry = urlencode({"handle": "ann", "password": PASSWORD}).encode()
        cookie = own.send("POST", "/login", entry, **FORM).headers["Set-Cookie"].partition(";")[0]
        signed = {**FORM, "Cookie": cookie}
        place = own.send("GET", "/chat", Cookie=cookie).headers["Location"]
        page = own.send("GET", place, Cookie=cookie).body.decode()
        csrf = re.search(r'name="csrf" value="([^"]+)"', page)[1]
        unproven = own.send("POST", place, urlencode({"text": "Hello?"}).encode(), **signed)
        assert unproven.status == 403
        for form in ({"text": "Hello?"}, {"verdict": "right"}, {"text": "More?"}, {"verdict": "both_bad"}):
            sent = own.send("POST", place, urlencode({"csrf": csrf, **form}).encode(), **signed)
            assert sent.status == 303, sent.body
        assert own.send("GET", "/healthz").status == 200
    votes = QueueVotes(database)
    work = Work(database, WorkQueue.of(database))
    first, second = work.judgments(votes.project_id, 0)
    assert first["annotator"] == second["annotator"] == "ann"
    assert first["permutation"] == [0, 1]
    assert first["values"]["preference"] == {"strength": -1, "both_bad": False}
    assert second["values"]["preference"] == {"strength": 0, "both_bad": True}
    rows = list(export_lines(work, votes.project_id, "comparisons"))
    assert len(rows) == 2
    assert not (tmp_path / "none.jsonl").exists()


def test_what_was_voted_on_is_given_to_nobody_else_and_only_once(database):
    votes, queue = QueueVotes(database), WorkQueue.of(database)
    projects = Projects.of(database)
    ann, bob = (projects.add_user(name) for name in ("ann", "bob"))
    content = {
        "messages": [{"role": "user", "content": "Why?"}],
        "candidates": [{"text": "a"}, {"text": "b"}],
    }
    (item,) = projects.add_items(votes.project_id, [NewItem(content=content, required_skill=SKILL)])
    assert queue.claim(votes.project_id, bob) == []
    with pytest.raises(StoreError, match="is none of 2 candidates"):
        queue.claim_item(item, ann, (0, 2))
    taken = queue.claim_item(item, ann, (1, 0))
    assert taken.permutation == (1, 0)
    with pytest.raises(StoreError, match="no open slot"):
        queue.claim_item(item, bob, (0, 1))
    assert QueueVotes(database).project_id == votes.project_id  # one project, however often it starts
