"""The reward model of a round from single judgments: habits learnt beside, lineage, warm start, resume."""

import json
import random
import shutil
from dataclasses import replace

import pytest
from sqlalchemy import select, update
from typer.testing import CliRunner

from accord.cli.main import app
from accord.client import Client
from accord.domain import Choice, ConfigError, Interrupted
from accord.domain.errors import Waiting
from accord.feedback.serving import serving_here
from accord.models import load_reward_model
from accord.pipeline.cards.making import make_card
from accord.pipeline.journal import Journal
from accord.pipeline.lineage import rebuild, recall
from accord.pipeline.narration import SilentNarrator
from accord.pipeline.rounds.choosing import read_questions
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import AgreeingConfig, LoopConfig, PeopleJudgesConfig
from accord.pipeline.rounds.planning import plan_rows
from accord.pipeline.rounds.releasing import read_ledger
from accord.pipeline.rounds.rewarding import named_habits
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace
from accord.store.database import open_database
from accord.store.database.accounts import Accounts, Role
from accord.store.database.recall import pseudonyms
from accord.store.database.tables import user
from accord.store.database.vault import ERASED
from accord.training import OptimizationConfig
from accord.training.habits import JudgmentsObjective
from accord.training.rankings import RankingsObjective

BY_JUDGMENT = JudgmentsObjective(habit_rate=0.1)


def by_judgment(plain: LoopConfig) -> LoopConfig:
    """Two members that learn from judgments and say where they disagree, each round from the last."""
    reward = replace(plain.reward, objective=BY_JUDGMENT, members=2, rule="worst_case")
    asking = replace(plain.asking, strategy="disagreement")
    return replace(plain, reward=reward, asking=asking, warm_start=True)


@pytest.fixture(scope="module")
def space(tmp_path_factory, tiny_loop):
    """A loop of two rounds that learned from single judgments, the second from the first's reward model."""
    made, config = Workspace(tmp_path_factory.mktemp("by judgment")), by_judgment(tiny_loop())
    start_loop(made, config, name="by", command=["accord", "run", "by.toml"])
    return made


def test_a_snapshot_holds_the_judgments_behind_its_pairs_under_pseudonyms_weighed_by_age(space):
    snapshot = Snapshot.read(space.run("by").folder / "stages/r2-agree")
    ids = [one.meta["judgment_id"] for one in snapshot.judgments]
    assert sorted(ids) == snapshot.judgment_ids
    assert all(one.annotator_id.startswith("annotator-") for one in snapshot.judgments)
    # one round old at a half-life of two weighs 2^(-1/2), as the pairs do
    weights = {one.meta["round"]: one.meta["weight"] for one in snapshot.judgments}
    assert weights == pytest.approx({1: 2**-0.5, 2: 1.0})


def test_the_record_the_trace_and_the_card_name_the_objective(space):
    record = read_ledger(space.run("by").folder)[0][-1]
    assert record.facts["reward"]["objective"] == "judgments"
    heard = {row["annotator"] for row in record.facts["reward"]["habits"]}
    # by handle, and only of those whose judgments count
    assert heard
    assert heard <= {f"sim-{number:02d}" for number in range(1, 11)} - set(record.facts["left_out"])
    assert "Gain in training" in space.run("by").report_path.read_text()
    told = CliRunner().invoke(app, ["trace", "by/2", "--workspace", str(space.root), "--json"])
    assert json.loads(told.stdout)["model"]["reward_objective"] == "judgments"
    assert "from judgments, members 2, rule worst_case" in make_card(space, "by/2").text


def test_what_to_ask_next_is_where_the_members_disagree(space):
    folder = space.run("by").folder
    asked = read_questions(folder / "stages/r2-choose/questions.jsonl")
    assert {one.facts["strategy"] for one in asked} == {"disagreement"}
    scoring = load_reward_model(folder / "stages/r1-reward/model").scoring
    assert (scoring.members, scoring.rule) == (2, "worst_case")
    # their zeros are put in one place
    assert sum(scoring.centers) == pytest.approx(0.0, abs=1e-6)
    assert scoring.centers[0] != 0.0


def test_a_snapshot_with_judgments_follows_from_the_store_also_after_a_recall(space, tmp_path):
    shutil.copytree(space.root, tmp_path / "space")
    copy = Workspace(tmp_path / "space")
    run = copy.run("by")
    kept = Snapshot.read(run.folder / "stages/r2-agree")
    assert rebuild(run, 2).hash == kept.hash
    whose = kept.judgments[0].annotator_id
    database = open_database(run.folder / "store.db")
    handle = {code: name for name, code in pseudonyms(database).items()}[whose]
    with database.write() as connection:  # as somebody who is forgotten loses the handle
        found = connection.execute(select(user.c.id).where(user.c.handle == handle)).scalar_one()
        connection.execute(update(user).where(user.c.id == found).values(handle=f"{ERASED}{found}"))
    database.close()
    assert rebuild(run, 2).hash == kept.hash
    gone = recall(copy, run, reason="did not read", actor="lead", annotator=whose)
    anew = rebuild(run, 2)
    assert whose in {one.annotator_id for one in kept.judgments}
    assert whose not in {one.annotator_id for one in anew.judgments}
    assert set(anew.judgment_ids) == set(kept.judgment_ids) - set(gone.judgment_ids)


def test_a_changed_judgment_of_a_snapshot_is_noticed(space, tmp_path):
    kept = Snapshot.read(space.run("by").folder / "stages/r1-agree")
    other = Choice.LEFT if kept.judgments[0].choice is not Choice.LEFT else Choice.RIGHT
    turned = (replace(kept.judgments[0], choice=other), *kept.judgments[1:])
    assert replace(kept, judgments=turned).hash != kept.hash


class Stopping(SilentNarrator):
    """Stops the run in the middle of a reward stage."""

    def stage_begins(self, name, what):
        self.name = name

    def observers(self):
        return [self]

    def on_start(self, start): ...
    def on_eval(self, report): ...
    def on_end(self, reason): ...
    def on_step(self, report):
        if self.name.endswith("-reward") and report.step == 2:
            raise Interrupted("as the test asked")


def test_a_warm_started_reward_stage_that_was_stopped_ends_with_the_same_weights(space, tiny_loop, tmp_path):
    run = space.run("by")
    folder = tmp_path / "run"
    shutil.copytree(run.folder, folder)
    for stage in ("r2-reward", "r2-policy", "r2-answer", "r2-examine", "r2-drift", "r2-decide"):
        shutil.rmtree(folder / "stages" / stage)
    config = by_judgment(tiny_loop())
    with pytest.raises(Interrupted, match="as the test asked"):
        run_loop(config, folder, narrator=Stopping())
    with pytest.raises(Interrupted, match="stopped after stage r2-reward"):
        run_loop(config, folder, until="r2-reward")
    whole, resumed = (Journal(one / "stages").record("r2-reward") for one in (run.folder, folder))
    assert whole is not None
    assert resumed is not None
    assert (whole.facts["version"], whole.facts["habits"]) == (
        resumed.facts["version"],
        resumed.facts["habits"],
    )


def test_who_answers_at_random_gets_a_lower_gain_than_those_who_know(tmp_path, tiny_loop):
    store, plain = str(tmp_path / "people.db"), tiny_loop()
    config = replace(
        plain,
        rounds=1,
        judges=PeopleJudgesConfig(store=store),
        asking=replace(
            plain.asking, prompts=16, comparisons=16, known_share=0.0, repeat_share=0.0, known_pairs=0
        ),
        reward=replace(
            plain.reward,
            objective=BY_JUDGMENT,
            eval_share=0.0,
            batch_size=12,
            optimization=OptimizationConfig(steps=40, learning_rate=3e-3),
        ),
    )
    with pytest.raises(Waiting):
        run_loop(config, tmp_path / "run")
    judge_as_three(store)
    with pytest.raises(Interrupted, match="r1-reward"):
        run_loop(config, tmp_path / "run", until="reward")
    record = Journal(tmp_path / "run/stages").record("r1-reward")
    assert record is not None
    assert (record.facts["objective"], record.facts["judgments"]) == ("judgments", 48)
    beside = json.loads((tmp_path / "run/stages/r1-reward/beside.json").read_text())
    assert all(name.startswith("annotator-") for name in beside["annotators"])
    gains = {row["annotator"]: row["gain"] for row in record.facts["habits"]}
    names = codes_of(store)
    expert, other, careless = (gains[names[who]] for who in ("expert", "other", "careless"))
    assert careless < min(expert, other) - 0.2


def judge_as_three(store):
    """Two who prefer the answer with the larger sum of characters, and one who does not look."""
    database = open_database(store)
    accounts, draws = Accounts.of(database), random.Random(5)

    def choose(handle, texts, scale):
        if handle == "careless":
            return draws.choice([1, scale])
        first, second = (sum(map(ord, text)) for text in texts)
        return 1 if first > second else scale

    tokens = [
        (name, accounts.make_token(accounts.add(name, None, Role.ANNOTATOR), ["annotate"]))
        for name in ("expert", "other", "careless")
    ]
    with serving_here(database) as address:
        for name, token in tokens:
            client = Client(address, token)
            project = client.project_id("tiny")
            while taken := client.next(project):
                texts = taken[0]["shown"]["candidates"]
                scale = taken[0]["task"]["questions"][0]["scale"]
                client.submit(taken[0], {"preference": {"choice": choose(name, texts, scale)}})
    database.close()


def codes_of(store):
    """Handle to pseudonym."""
    database = open_database(store)
    try:
        return pseudonyms(database)
    finally:
        database.close()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"reward": {"objective": RankingsObjective()}}, r"reward\.objective\.type is rankings"),
        (
            {"reward": {"objective": BY_JUDGMENT}, "agreeing": AgreeingConfig(weighting="information")},
            r"agreeing\.weighting is information, which weighs pairs",
        ),
        (
            {
                "reward": {"objective": BY_JUDGMENT},
                "asking": {"has_corrections": True},
                "judges": PeopleJudgesConfig(),
            },
            r"asking\.has_corrections makes pairs",
        ),
        (
            {"reward": {"objective": BY_JUDGMENT, "is_length_debiased": True}},
            "is_length_debiased must be left as it is for objective 'judgments'",
        ),
        (
            {"reward": {"objective": BY_JUDGMENT, "is_calibrated": True}},
            "is_calibrated must be left",
        ),
        ({"asking": {"strategy": "information"}}, r"asking\.strategy is information.*reward\.members is 1"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(changes, said):
    plain = LoopConfig()
    with pytest.raises(ConfigError, match=said):
        replace(
            plain,
            **{
                name: replace(getattr(plain, name), **value) if isinstance(value, dict) else value
                for name, value in changes.items()
            },
        )


def test_the_plan_says_what_the_reward_model_learns_from():
    plain = LoopConfig()
    config = replace(plain, reward=replace(plain.reward, objective=BY_JUDGMENT))
    for one, name in ((plain, "pairs"), (config, "judgments")):
        rows = {row["stage"]: row for row in plan_rows(one)}
        assert rows["r1-reward"]["what"] == f"reward model from {name}"


def test_habits_are_told_by_handle_and_of_who_is_forgotten_by_pseudonym():
    rows = [{"annotator": "annotator-1", "gain": 1.2}, {"annotator": "annotator-2", "gain": 0.5}]
    found = named_habits(rows, {"annotator-1": "ann"})
    assert [(row["annotator"], row["gain"]) for row in found] == [("ann", 1.2), ("annotator-2", 0.5)]
