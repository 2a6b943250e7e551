"""Votes of the chat page among what a loop learns from."""

from dataclasses import replace

import pytest

from accord.client import Client
from accord.domain import Choice, Comparison, ConfigError, Interrupted, Judgment, Prompt
from accord.domain.errors import Waiting
from accord.feedback.serving import serving_here
from accord.pipeline.lineage import rebuild
from accord.pipeline.rounds.chatting import chatted_pairs, with_chatted
from accord.pipeline.rounds.choosing import read_questions, write_questions
from accord.pipeline.rounds.plan import AskingConfig, LoopConfig, PeopleJudgesConfig
from accord.pipeline.rounds.running import resume_loop, start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.serving.battles import Vote
from accord.pipeline.serving.votes import QueueVotes
from accord.pipeline.workspace import Workspace
from accord.store.database import open_database
from accord.store.database.accounts import Accounts, Role


def vote(prompt, left, right):
    comparison = Comparison(prompt=Prompt.from_text(prompt), left=left, right=right)
    return Judgment(comparison=comparison, annotator_id="ann", choice=Choice.LEFT)


def test_a_pair_is_taken_once_and_none_of_a_held_out_prompt_or_one_that_was_asked(tmp_path):
    votes = [vote("q", "a", "b"), vote("q", "b", "a"), vote("held", "a", "b"), vote("q", "c", "c")]
    (one,) = chatted_pairs(votes, (), {Prompt.from_text("held").id})
    assert (one.prompt.text, one.first, one.second) == ("q", "a", "b")
    assert chatted_pairs(votes, {one.key}, {Prompt.from_text("held").id}) == []
    write_questions(tmp_path / "chat.jsonl", [one])
    assert with_chatted({1: [], 2: []}, {1: tmp_path / "none", 2: tmp_path}) == {1: [], 2: [one]}


def test_what_people_voted_on_at_the_chat_page_is_learnt_and_rebuilds(tmp_path, tiny_loop):
    store, plain = str(tmp_path / "people.db"), tiny_loop()
    asking = replace(
        plain.asking,
        judgments_per_pair=1,
        known_share=0.0,
        repeat_share=0.0,
        known_pairs=0,
        has_chat_votes=True,
    )
    config = replace(plain, rounds=1, judges=PeopleJudgesConfig(store=store), asking=asking)
    space = Workspace(tmp_path / "space")
    with pytest.raises(Waiting):
        start_loop(space, config, name="chat")
    database = open_database(store)
    accounts = Accounts.of(database)
    ann = accounts.add("ann", None, Role.ANNOTATOR)
    told = Vote(
        prompt=Prompt.from_text("Where is my parcel?"), left="Here.", right="Who knows.", choice="left",
        left_model="round-1", right_model="tuned", voter="ann",
    )  # fmt: skip
    QueueVotes(database).add(told, ann)
    token = accounts.make_token(ann, ["annotate"])
    with serving_here(database) as address:
        client = Client(address, token)
        project = client.project_id("tiny")
        while taken := client.next(project):
            client.submit(taken[0], {"preference": {"choice": 1}})
    database.close()
    with pytest.raises(Interrupted):
        resume_loop(space, "chat", until="agree")
    run = space.run("chat")
    snapshot = Snapshot.read(run.folder / "stages/r1-agree")
    (learnt,) = [one for one in snapshot.preferences if one.prompt.text == "Where is my parcel?"]
    assert (learnt.chosen, learnt.rejected, learnt.weight, learnt.meta["round"]) == (
        "Here.",
        "Who knows.",
        1.0,
        1,
    )
    asked = read_questions(run.folder / "stages/r1-choose/questions.jsonl")
    assert len(snapshot.preferences) == len(asked) + 1
    assert rebuild(run, 1).hash == snapshot.hash


def test_only_peoples_stores_have_votes_of_the_chat_page():
    with pytest.raises(ConfigError, match=r"asking\.has_chat_votes.*judges are simulated"):
        LoopConfig(asking=AskingConfig(has_chat_votes=True))
