import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from accord.domain import ConfigError, Interrupted
from accord.domain.errors import Waiting
from accord.models import load_model
from accord.pipeline.journal import Journal
from accord.pipeline.narration import SilentNarrator
from accord.pipeline.plan import FilesTaskConfig
from accord.pipeline.rounds.choosing import read_questions
from accord.pipeline.rounds.desk import Desk
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import LoopConfig, PeopleJudgesConfig
from accord.pipeline.rounds.releasing import STAGES, read_ledger
from accord.pipeline.rounds.snapshot import Snapshot
from accord.store.database import open_database
from accord.store.database.audit import verify_chain
from accord.store.database.projects import Projects


def test_every_stage_of_every_round_leaves_a_record(finished_loop):
    folder, records = finished_loop
    journal = Journal(folder / "stages")
    names = ["tune", *(f"r{number}-{stage}" for number in (1, 2) for stage in STAGES)]
    assert all(journal.record(name) is not None for name in names)
    assert [record.number for record in records] == [1, 2]
    kept, state = read_ledger(folder)
    assert kept == records
    assert (state["state"], state["reason"]) == ("ended", "all rounds are done")


def test_the_model_of_a_round_is_the_one_its_record_names(finished_loop):
    folder, records = finished_loop
    for record in records:
        assert load_model(folder / record.model).version == record.version


def test_judgments_of_both_projects_are_sealed_in_the_store(finished_loop):
    folder, records = finished_loop
    database = open_database(folder / "store.db")
    try:
        verify_chain(database)
        desk = Desk.open(database, "tiny", Projects.of(database))
        asked, again = desk.judgments(), desk.anchor_judgments()
        held_out = Desk.open(database, "tiny (held out)", Projects.of(database)).judgments()
    finally:
        database.close()
    assert len(asked) + len(again) + len(held_out) == records[-1].judgments
    assert {one.source.value for one in (*asked, *held_out)} == {"simulated"}


def test_nothing_judged_for_the_gates_is_trained_on(finished_loop):
    folder, _ = finished_loop
    held_out = {one.prompt.id for one in read_questions(folder / "stages/r1-examine/questions.jsonl")}
    trained = {pair.prompt.id for pair in Snapshot.read(folder / "stages/r2-agree").preferences}
    assert held_out
    assert not held_out & trained


def test_anchors_are_judged_again_and_never_trained_on(finished_loop):
    folder, records = finished_loop
    anchors = read_questions(folder / "stages/r1-choose/anchors.jsonl")
    asked = read_questions(folder / "stages/r1-choose/questions.jsonl")
    # 16 are wanted, and the round had no more than 8 pairs
    assert sorted(one.key for one in anchors) == sorted(one.key for one in asked)
    database = open_database(folder / "store.db")
    try:
        again = Desk.open(database, "tiny", Projects.of(database)).anchor_judgments()
    finally:
        database.close()
    assert {one.meta["batch"] for one in again} == {"r2-anchors"}
    assert len(again) == 3 * len(anchors)
    assert records[1].facts["anchors"] == len(anchors)
    behind = Snapshot.read(folder / "stages/r2-agree").judgment_ids
    assert not {one.meta["judgment_id"] for one in again} & set(behind)


def test_each_round_says_what_moved_and_the_gates_get_the_numbers(finished_loop):
    _, records = finished_loop
    first, second = (one.facts["drift"] for one in records)
    assert {row["against"] for row in first} == {"the start"}
    assert {row["against"] for row in second} == {"round 1"}
    states = {row["kind"]: row for row in second}
    assert states["preference"]["state"] == "too few"
    assert "10 are the fewest that tell anything" in states["preference"]["evidence"]
    # eight held-out prompts were compared in round 1, twelve in round 2: eight shared
    assert "8 held-out prompts answered both times" in states["policy_induced"]["evidence"]
    assert records[1].facts["examined"] == 12


def test_an_undecided_gate_has_more_held_out_prompts_compared(finished_loop):
    _, records = finished_loop
    (queue,) = [one for one in records[0].facts["queues"] if one["gate"] == "better"]
    # the gate asks for 16 prompts and had 8; half of 8 more are taken at most
    assert (queue["is_undecided"], queue["wanted"], queue["closed"]) == (True, 8, None)
    assert [one.facts["examined"] for one in records] == [8, 12]


def test_the_second_round_learns_from_both_and_older_pairs_weigh_less(finished_loop):
    folder, _ = finished_loop
    pairs = Snapshot.read(folder / "stages/r2-agree").preferences
    weights = {pair.meta["round"]: pair.weight for pair in pairs}
    # half-life of 2 rounds: one round old weighs 2^(-1/2)
    assert weights == pytest.approx({1: 2**-0.5, 2: 1.0})


def test_each_question_keeps_the_chance_with_which_it_was_drawn(finished_loop):
    folder, _ = finished_loop
    questions = read_questions(folder / "stages/r1-choose/questions.jsonl")
    assert all(0 < one.inclusion <= 1 for one in questions)
    assert all(one.facts["round"] == 1 for one in questions)


KILLED = """
import os, runpy, signal, sys
from pathlib import Path
from accord.pipeline.narration import SilentNarrator
from accord.pipeline.rounds.loop import run_loop

class Deadly(SilentNarrator):
    def stage_begins(self, name, what):
        self.name = name
        if sys.argv[2] == name:
            os.kill(os.getpid(), signal.SIGKILL)
    def progress(self, name, done, total):
        if sys.argv[2] == self.name + "+" and done >= total // 2 > 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def observers(self):
        return [self]
    def on_start(self, start): pass
    def on_eval(self, report): pass
    def on_end(self, reason): pass
    def on_step(self, report):
        if sys.argv[2] == self.name + "+" and report.step == 2:
            os.kill(os.getpid(), signal.SIGKILL)

tiny_loop = runpy.run_path(sys.argv[3])["tiny_loop"]
run_loop(tiny_loop(), Path(sys.argv[1]), narrator=Deadly())
"""


@pytest.mark.slow
def test_killed_in_every_stage_and_resumed_it_ends_with_the_same_model(finished_loop, tiny_loop, tmp_path):
    _, expected = finished_loop
    places = ["tune+", "r1-sample+", "r1-choose", "r1-judge+", "r1-agree", "r1-reward+", "r1-policy+"]
    places += ["r1-answer+", "r1-examine+", "r1-drift", "r1-decide", "r2-judge+", "r2-policy+"]
    places += ["r2-drift", "r2-decide"]
    config = str(Path(__file__).with_name("conftest.py"))
    for place in places:
        command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), place, config]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == -signal.SIGKILL, (place, done.stderr)
    records = run_loop(tiny_loop(), tmp_path / "run")
    same = ("version", "snapshot", "reward_version", "gates", "numbers", "judgments")
    for mine, other in zip(records, expected, strict=True):
        assert {name: getattr(mine, name) for name in same} == {name: getattr(other, name) for name in same}


def test_a_finished_loop_does_no_work_again(finished_loop, tiny_loop, tmp_path):
    folder, records = finished_loop

    class Told(SilentNarrator):
        done: list[bool]

        def __init__(self):
            self.done = []

        def stage_ends(self, name, seconds, lines, *, was_done):
            self.done.append(was_done)

    told = Told()
    assert [record.version for record in run_loop(tiny_loop(), folder, narrator=told)] == [
        record.version for record in records
    ]
    assert told.done
    assert all(told.done)


def test_until_stops_after_the_stage_it_names(tiny_loop, tmp_path):
    with pytest.raises(Interrupted, match="stopped after stage r1-choose"):
        run_loop(tiny_loop(), tmp_path, until="choose")
    assert Journal(tmp_path / "stages").record("r1-choose") is not None
    assert Journal(tmp_path / "stages").record("r1-judge") is None


def test_people_are_waited_for_without_a_process_and_nothing_is_set_out_twice(tiny_loop, tmp_path):
    store = tmp_path / "people.db"
    config = tiny_loop(judges=PeopleJudgesConfig(store=str(store), guideline="Be *brief*."))
    for _ in range(2):
        with pytest.raises(Waiting, match=r"24 judgments of r1-judge are wanted in project 'tiny'"):
            run_loop(config, tmp_path / "run")
    database = open_database(store)
    try:
        assert Desk.open(database, "tiny", Projects.of(database)).open_slots() == 24
    finally:
        database.close()


def test_simulated_judges_need_a_taste_they_can_know():
    with pytest.raises(ConfigError, match="simulated, who know only the support task's taste"):
        replace(LoopConfig(), task=FilesTaskConfig())
