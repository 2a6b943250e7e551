"""Panels with quotas, group weights by panel, corrections as pairs, and old pairs weighed by drift too."""

from dataclasses import replace

import numpy as np
import pytest

from accord.client import Client
from accord.domain import (
    Choice,
    Comparison,
    Completion,
    ConfigError,
    Interrupted,
    Judgment,
    Preference,
    Prompt,
    Provenance,
    Source,
)
from accord.domain.errors import StoreError, Waiting
from accord.evaluation.comparison.responses import Responses
from accord.feedback.serving import serving_here
from accord.pipeline.journal import Journal
from accord.pipeline.lineage import bench_of, rebuild
from accord.pipeline.rounds.agreeing import agree
from accord.pipeline.rounds.choosing import Question, read_questions
from accord.pipeline.rounds.desk import Desk
from accord.pipeline.rounds.examining import Examined, examine_panels
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.plan import AgreeingConfig, AskingConfig, LoopConfig, PeopleJudgesConfig
from accord.pipeline.rounds.releasing import read_ledger
from accord.pipeline.rounds.running import start_loop
from accord.pipeline.rounds.snapshot import Snapshot
from accord.pipeline.workspace import Workspace
from accord.store.database import open_database
from accord.store.database.accounts import Accounts, Role
from accord.store.database.projects import NewItem, Projects
from accord.store.database.tables import slot
from accord.training.group_weights import GroupWeightsConfig


def question(k: int) -> Question:
    return Question(
        prompt=Prompt.from_text(f"q{k}"), first="a", second="b", inclusion=1.0, score=1.0, is_random=True
    )


def vote(k: int, who: str, choice: Choice) -> Judgment:
    comparison = Comparison(prompt=Prompt.from_text(f"q{k}"), left="a", right="b")
    meta = {"judgment_id": f"{k}-{who}"}
    return Judgment(
        comparison=comparison, annotator_id=who, choice=choice, source=Source.SIMULATED, meta=meta
    )


def agreed(judgments, asked, config=None, **more):
    config = config or AgreeingConfig(method="vote_share", half_life=None)
    return agree(judgments, asked, config, round_number=max(asked), project="p", left_out={}, **more).snapshot


def test_each_panel_has_a_consensus_of_its_own():
    judgments = [vote(0, "r1", Choice.LEFT), vote(0, "r2", Choice.LEFT), vote(0, "b1", Choice.RIGHT)]
    panels = {"0-r1": "red", "0-r2": "red"}
    found = agreed(judgments, {1: [question(0)]}, panels=panels)
    said = {pair.meta["group"]: (pair.chosen, pair.p_chosen) for pair in found.preferences}
    # together two of three chose a; by panel each is of one mind, and who is of none is of the others
    assert said == {"red": ("a", 1.0), "others": ("b", 1.0)}
    (together,) = agreed(judgments, {1: [question(0)]}).preferences
    assert (together.chosen, together.p_chosen) == ("a", pytest.approx(2 / 3))
    assert "group" not in together.meta


def test_age_and_drift_multiply():
    asked = {1: [question(0)], 2: [question(1)], 3: [question(2)]}
    judgments = [vote(k, "r1", Choice.LEFT) for k in range(3)]
    config = AgreeingConfig(method="vote_share", half_life=2.0, half_drift=4.0)
    found = agreed(judgments, asked, config, drift={1: 8.0, 2: -0.5})
    weights = {pair.meta["round"]: pair.weight for pair in found.preferences}
    # ages 2, 1, 0 at a half-life of 2; drift 8 at half 4 is a quarter, below 0 it is none
    assert weights == pytest.approx({1: 0.5 * 0.25, 2: 2**-0.5, 3: 1.0})
    assert found.settings["drift"] == {"1": 8.0, "2": -0.5}
    assert found.hash != agreed(judgments, asked, config, drift={1: 2.0, 2: -0.5}).hash


def test_drift_counts_for_nothing_where_it_is_left_out():
    assert AgreeingConfig().weight_of_drift(100.0) == 1.0
    with pytest.raises(ConfigError, match="half_drift is 0; expected above 0"):
        AgreeingConfig(half_drift=0)


def test_a_correction_counts_where_its_judgment_does_and_is_as_old_as_its_pair():
    correction = Preference(
        prompt=Prompt.from_text("q0"),
        chosen="a, mended",
        rejected="a",
        provenance=Provenance(judgment_ids=("0-r1",), method="correction"),
    )
    asked = {1: [question(0)], 2: [question(1)]}
    judgments = [vote(0, "r1", Choice.LEFT), vote(1, "b1", Choice.LEFT)]
    config = AgreeingConfig(method="vote_share", half_life=1.0)
    found = agreed(judgments, asked, config, corrections=[correction])
    (made,) = [pair for pair in found.preferences if pair.provenance.method == "correction"]
    assert (made.chosen, made.weight, made.meta["round"]) == ("a, mended", 0.5, 1)
    gone = agreed(judgments, asked, config, corrections=[correction], voided=frozenset({"0-r1"}))
    assert [pair.prompt.text for pair in gone.preferences] == ["q1"]


def test_the_numbers_of_an_examination_are_told_by_panel():
    prompts = tuple(Prompt.from_text(f"q{k}") for k in range(4))

    def answers(name, text):
        completions = tuple(Completion(text=text) for _ in prompts)
        keys = tuple(one.id for one in prompts)
        return Responses(name=name, prompts=prompts, completions=completions, keys=keys)

    votes = [vote(k, "r1", Choice.LEFT) for k in range(4)] + [vote(k, "b1", Choice.RIGHT) for k in range(2)]
    found = Examined(
        candidate=answers("candidate", "a"), incumbent=answers("incumbent", "b"), votes=votes,
        candidate_rewards=[1.0] * 4, incumbent_rewards=[0.0] * 4, logprobs=None, tuned_logprobs=[],
    )  # fmt: skip
    panels = {one.meta["judgment_id"]: "red" if one.annotator_id == "r1" else "blue" for one in votes}
    told = {(one.metric, one.slice): one.estimate for one in examine_panels(found, panels, seed=0)}
    assert told["win_rate", "panel=red"].value == 1.0
    assert (told["win_rate", "panel=blue"].value, told["win_rate", "panel=blue"].n) == (0.0, 2)
    assert told["reward_accuracy", "panel=blue"].value == 0.0


def test_places_of_an_item_are_kept_for_those_who_have_the_skill(tmp_path):
    database = open_database(str(tmp_path / "store.db"))
    database.create()
    projects = Projects.of(database)
    desk = Desk.open(database, "p", projects)
    desk.set_out([question(0)], overlap=3, batches=["b"], panels={"red": 2})
    with database.read() as connection:
        skills = sorted((row.required_skill or "") for row in connection.execute(slot.select()))
    assert skills == ["", "red", "red"]
    with pytest.raises(StoreError, match="no more than these together"):
        projects.add_items(desk.project_id, [NewItem(content={"a": 1}, overlap=1, quotas={"red": 2})])
    database.close()


POLICY = """
name = "tiny policy"

[[principles]]
id = "brief"
text = "Holds nothing that could be left out."
floor = 2
min_n = 4
"""


@pytest.fixture(scope="module")
def panel_run(tmp_path_factory, tiny_loop):
    """A loop of two rounds under a written policy with two panels, trained for the worst of them, old pairs
    weighed by drift."""
    root = tmp_path_factory.mktemp("panels")
    (root / "policy.toml").write_text(POLICY)
    space = Workspace(root / "space")
    plain = tiny_loop()
    config = tiny_loop(
        policy_file=str(root / "policy.toml"),
        asking=replace(plain.asking, panels={"blue": 1, "red": 1}),
        reward=replace(plain.reward, group_weights=GroupWeightsConfig(mode="worst"), eval_share=0.0),
        agreeing=AgreeingConfig(method="vote_share", half_drift=1.0),
    )
    start_loop(space, config, name="panels")
    return space.run("panels")


def test_a_loop_weighs_its_panels_and_tells_their_numbers(panel_run):
    snapshot = Snapshot.read(panel_run.folder / "stages/r1-agree")
    groups = {pair.meta["group"] for pair in snapshot.preferences}
    assert {"blue", "red"} <= groups
    by_pair = {}
    for pair in snapshot.preferences:
        by_pair.setdefault((pair.prompt.id, *sorted((pair.chosen, pair.rejected))), set()).add(
            pair.meta["group"]
        )
    assert all({"blue", "red"} <= found for found in by_pair.values())
    record = read_ledger(panel_run.folder)[0][0]
    assert {"win_rate [panel=blue]", "win_rate [panel=red]"} <= set(record.numbers)


def test_the_second_round_knows_the_drift_and_its_snapshot_follows_from_the_store(panel_run):
    snapshot = Snapshot.read(panel_run.folder / "stages/r2-agree")
    kl = snapshot.settings["drift"]["1"]
    weights = {pair.meta["round"]: pair.weight for pair in snapshot.preferences}
    assert np.isfinite(kl)
    assert weights[1] == pytest.approx(2**-0.5 * 2 ** -max(kl, 0.0))
    assert rebuild(panel_run, 2).hash == snapshot.hash


def test_anchors_are_asked_under_the_quotas_and_the_policy_and_nothing_of_them_is_learnt(panel_run):
    anchors = read_questions(panel_run.folder / "stages/r1-choose/anchors.jsonl")
    bench = bench_of(panel_run)
    again = bench.anchor_judgments("tiny")
    ids = {one.meta["judgment_id"] for one in again}
    by_pair = {}
    panels = bench.panel_of("tiny")
    for one in again:
        by_pair.setdefault(one.comparison.prompt.id, []).append(panels.get(one.meta["judgment_id"], ""))
    assert set(by_pair) == {one.prompt.id for one in anchors}
    # one place of each panel and one for anybody, as in round 1: a changed panel is no changed taste
    assert all({"blue", "red"} <= set(found) for found in by_pair.values())
    # graded like any pair, and neither grades nor pairs are in the snapshot
    assert ids <= {one.meta["judgment_id"] for one in bench.grades("tiny")}
    snapshot = Snapshot.read(panel_run.folder / "stages/r2-agree")
    assert not ids & set(snapshot.judgment_ids)


def test_a_record_has_what_the_monitors_say_and_what_the_policy_came_to(panel_run):
    first, second = read_ledger(panel_run.folder)[0]
    assert {row["against"] for row in second.facts["drift"]} == {"round 1"}
    assert first.facts["policy_kl"] == {}
    assert np.isfinite(second.facts["policy_kl"]["1"])
    assert {"grades", "drift"} <= set(second.facts["stages"])
    assert [row["id"] for row in second.facts["policy"]["principles"]] == ["brief"]
    # the principle's gate may ask for more prompts like any number of those who judge
    assert {row["slice"] for row in second.gates} >= {"all", "principle=brief"}
    page = (panel_run.folder / "report.html").read_text()
    assert all(title in page for title in ("The written policy", "What moved", "What gates ask for"))


def test_quotas_ask_for_no_more_than_there_is_and_group_weights_for_panels():
    with pytest.raises(ConfigError, match="panels ask for 4 judgments of a pair and judgments_per_pair is 3"):
        AskingConfig(panels={"red": 4}, judgments_per_examined=4)
    plain = LoopConfig()
    reward = replace(plain.reward, group_weights=GroupWeightsConfig(mode="balanced"))
    with pytest.raises(ConfigError, match=r"asking\.panels names none"):
        replace(plain, reward=reward)
    with pytest.raises(ConfigError, match="only people write corrections"):
        LoopConfig(asking=AskingConfig(has_corrections=True))


def test_what_people_write_anew_is_learnt(tmp_path, tiny_loop):
    plain, store = tiny_loop(), str(tmp_path / "people.db")
    config = tiny_loop(
        rounds=1,
        judges=PeopleJudgesConfig(store=store),
        asking=replace(
            plain.asking, has_corrections=True, judgments_per_pair=1, known_share=0.0, repeat_share=0.0
        ),
    )
    with pytest.raises(Waiting):
        run_loop(config, tmp_path / "run")
    _judge_everything(store)
    with pytest.raises(Waiting):
        run_loop(config, tmp_path / "run")
    # judged between two runs, and counted all the same
    judged = Journal(tmp_path / "run/stages").record("r1-judge")
    assert judged is not None
    assert judged.facts["judgments"] == 8
    pairs = Snapshot.read(tmp_path / "run/stages/r1-agree").preferences
    written = [pair for pair in pairs if pair.provenance.method == "correction"]
    assert len(written) == 8
    for pair in written:
        assert pair.chosen == f"{pair.rejected}, mended"
        # it starts from the answer that was chosen
        assert any(one.chosen == pair.rejected for one in pairs if one is not pair)


def test_another_run_at_the_same_server_counts_its_own_judgments_alone(tmp_path, tiny_loop):
    store = str(tmp_path / "people.db")
    plain = tiny_loop(rounds=1, judges=PeopleJudgesConfig(store=store))
    asking = replace(plain.asking, judgments_per_pair=1, has_corrections=True)
    for seed in (3, 4):
        config, folder = replace(plain, asking=asking, seed=seed), tmp_path / f"run {seed}"
        with pytest.raises(Waiting):
            run_loop(config, folder)
        _judge_everything(store, f"ann {seed}")
        with pytest.raises(Interrupted):
            run_loop(config, folder, until="r1-judge")
        asked = read_questions(folder / "stages/r1-choose/questions.jsonl")
        judged = Journal(folder / "stages").record("r1-judge")
        assert judged is not None
        assert judged.facts["judgments"] == len(asked) == 8


def _judge_everything(store: str, handle: str = "ann") -> None:
    database = open_database(store)
    accounts = Accounts.of(database)
    token = accounts.make_token(accounts.add(handle, None, Role.ANNOTATOR), ["annotate"])
    with serving_here(database) as address:
        client = Client(address, token)
        project = client.project_id("tiny")
        while taken := client.next(project):
            best = taken[0]["shown"]["candidates"][0]
            answers = {"preference": {"choice": 1}, "edit": f"{best}, mended"}
            client.submit(taken[0], answers)
    database.close()
