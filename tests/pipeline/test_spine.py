"""The whole pass on the tiny model: every stage, its files, a stop in each stage and resume, determinism."""

import json
from dataclasses import replace

import pytest
from transformers import AutoModelForCausalLM

from accord.domain import Interrupted, WorkspaceError
from accord.evaluation import report_from_json
from accord.pipeline.narration import SilentNarrator
from accord.pipeline.plan import FilesTaskConfig, ModelConfig
from accord.pipeline.quickstart import single_pass_config
from accord.pipeline.running import resume_run, start_run
from accord.pipeline.runs import RunStatus
from accord.pipeline.workspace import Workspace

STAGES = ("sft", "compare", "reward", "policy", "evaluate")


class StopsAt(SilentNarrator):
    """Presses Ctrl-C when a stage begins or in the middle of its training."""

    def __init__(self, stage, *, step=0):
        self.stage, self.step, self.now = stage, step, ""

    def stage_begins(self, name, what):
        self.now = name
        if name == self.stage and not self.step:
            raise KeyboardInterrupt

    def observers(self):
        return (self,) if self.now == self.stage else ()

    def on_start(self, start):
        pass

    def on_step(self, report):
        if report.step == self.step:
            raise Interrupted("stopped by the test")

    def on_eval(self, report):
        pass

    def on_end(self, reason):
        pass


def fast_config(**changes):
    return replace(single_pass_config(is_fast=True), **changes)


def measured(run):
    report = report_from_json(run.report_path.with_suffix(".json").read_text())
    return report.cards, report.stages and [(row.name, row.taste, row.proxy, row.kl) for row in report.stages]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return start_run(Workspace(tmp_path_factory.mktemp("whole")), fast_config(), kind="quickstart")


def test_the_loop_runs_end_to_end_on_the_tiny_model(finished):
    run = finished.run
    assert run.record.status is RunStatus.DONE
    assert [path.name for path in sorted((run.folder / "stages").iterdir())] == sorted(STAGES)
    page = run.report_path.read_text()
    assert "imulated annotators" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    labels = [card.label for card in finished.report.cards]
    assert labels[0] == "Win rate, policy against start"
    assert {row.name for row in finished.report.stages} == {"start", "SFT", "policy"}
    assert finished.report.frontier is not None
    assert [point.step for point in finished.report.frontier.points] == [0, 2, 4]
    assert finished.report.frontier.points[0].kl == 0.0
    assert finished.report.lineage.seed == 0


def test_the_released_model_loads_without_accord(finished):
    model = AutoModelForCausalLM.from_pretrained(finished.run.model_folder)
    assert model.config.model_type == "llama"


def test_every_pair_can_be_traced_to_its_judgments(finished):
    rows = [
        json.loads(line)
        for line in (finished.run.folder / "stages" / "compare" / "train.jsonl").read_text().splitlines()
    ]
    assert rows
    assert all(row["provenance"]["judgment_ids"] for row in rows)
    assert {row["provenance"]["method"] for row in rows} == {"dawid_skene"}


def test_the_same_seed_gives_the_same_report(finished, tmp_path):
    again = start_run(Workspace(tmp_path), fast_config(), kind="quickstart")
    assert measured(again.run) == measured(finished.run)


@pytest.mark.parametrize(
    ("stage", "step"), [("compare", 0), ("sft", 2), ("reward", 3), ("policy", 3), ("evaluate", 0)]
)
def test_a_run_stopped_in_any_stage_ends_like_one_that_was_not(finished, tmp_path, stage, step):
    space = Workspace(tmp_path)
    with pytest.raises((KeyboardInterrupt, Interrupted)):
        start_run(space, fast_config(), kind="quickstart", narrator=StopsAt(stage, step=step))
    stopped = space.run("latest")
    assert stopped.record.status is RunStatus.INTERRUPTED
    resumed = resume_run(space, "latest")
    assert resumed.run.record.status is RunStatus.DONE
    assert measured(resumed.run) == measured(finished.run)


class Notes(SilentNarrator):
    """Which stages were done before."""

    def __init__(self):
        self.done_before = {}

    def stage_ends(self, name, seconds, lines, *, was_done):
        self.done_before[name] = was_done


def test_a_resumed_run_does_not_repeat_finished_stages(tmp_path):
    space, notes = Workspace(tmp_path), Notes()
    with pytest.raises(KeyboardInterrupt):
        start_run(space, fast_config(), kind="quickstart", narrator=StopsAt("policy"))
    resume_run(space, "latest", narrator=notes)
    assert notes.done_before == {
        "sft": True,
        "compare": True,
        "reward": True,
        "policy": False,
        "evaluate": False,
    }


def test_a_finished_run_is_not_resumed(finished):
    with pytest.raises(WorkspaceError, match="only a stopped run"):
        resume_run(Workspace(finished.run.folder.parent.parent), finished.run.id)


def test_files_of_people_run_through_the_same_stages(tmp_path):
    votes = [
        {
            "prompt": f"Question {i}?",
            "left": f"short {i}",
            "right": f"a rather longer answer {i}",
            "annotator_id": f"w{j}",
            "choice": "left" if (i + j) % 3 else "right",
        }
        for i in range(24)
        for j in range(3)
    ]
    (tmp_path / "votes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in votes))
    config = fast_config(
        model=ModelConfig(name="tiny"),
        task=FilesTaskConfig(root=tmp_path, preferences=("votes.jsonl",), test_share=0.4),
    )
    outcome = start_run(Workspace(tmp_path / "space"), config)
    assert not outcome.report.is_simulated
    assert [row.name for row in outcome.report.stages] == ["start", "policy"]
    assert outcome.report.reward_health.ceiling is not None
    assert any("not that people would agree" in note for note in outcome.report.notes)
