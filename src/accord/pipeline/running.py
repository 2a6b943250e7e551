"""Starting a pass in a workspace, or going on with one that stopped; writes its report."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.domain.errors import WorkspaceError
from accord.domain.files import write_text_atomic
from accord.evaluation import Lineage, Report, report_to_html, report_to_json
from accord.pipeline.configuration import dump_config, load_config
from accord.pipeline.memory import peak_memory_mb
from accord.pipeline.narration import Narrator
from accord.pipeline.plan import FilesTaskConfig, SpineConfig
from accord.pipeline.provenance import RunProvenance, collect_provenance
from accord.pipeline.runs import Headline, Run
from accord.pipeline.spine import run_spine
from accord.pipeline.workspace import Workspace

KIND = "spine"


@dataclass(frozen=True, kw_only=True)
class RunOutcome:
    """A finished pass."""

    run: Run
    report: Report
    seconds: float
    """Over all stages, earlier parts of a resumed run included."""


def start_run(
    workspace: Workspace,
    config: SpineConfig,
    *,
    kind: str = KIND,
    name: str = "",
    command: Sequence[str] | None = None,
    narrator: Narrator | None = None,
) -> RunOutcome:
    """Make a run of `config` and carry it to its report."""
    provenance = collect_provenance(seed=config.seed, inputs=_inputs(config))
    run = workspace.create_run(kind, config=config, provenance=provenance, name=name, command=command)
    return _carry_out(run, config, provenance, narrator)


def resume_run(workspace: Workspace, key: str, *, narrator: Narrator | None = None) -> RunOutcome:
    """Go on with a run that was interrupted or failed, under the config it was started with."""
    run = workspace.run(key)
    if not (run.folder / "stages").exists() and run.record.kind not in (KIND, "quickstart"):
        raise WorkspaceError(f"run '{run.id}' is a {run.record.kind} run; resume it with `accord train`.")
    if not run.record.status.is_resumable:
        raise WorkspaceError(f"run '{run.id}' is {run.record.status}; only a stopped run can be resumed.")
    config = load_config(SpineConfig, run.config_path)
    run.reopen()
    return _carry_out(run, config, run.record.provenance, narrator)


def _carry_out(
    run: Run, config: SpineConfig, provenance: RunProvenance, narrator: Narrator | None
) -> RunOutcome:
    def lineage(seconds: float) -> Lineage:
        return Lineage(
            command=shlex.join(run.record.command or sys.argv),
            seed=config.seed,
            code_version=str(provenance.code),
            config=dump_config(config),
            data=dict(provenance.data),
            packages=dict(provenance.packages),
            machine=str(provenance.machine),
            seconds=seconds,
            peak_memory_mb=peak_memory_mb(),
        )

    with run:
        report = run_spine(config, run.folder, narrator=narrator, lineage=lineage)
        write_text_atomic(run.report_path, report_to_html(report))
        write_text_atomic(run.report_path.with_suffix(".json"), report_to_json(report))
        run.add_artifact("report", run.report_path)
        run.add_artifact("model", run.model_folder)
        first = report.cards[0]
        run.finish(
            Headline(
                name=first.label.lower(),
                value=first.estimate.value,
                low=first.estimate.low,
                high=first.estimate.high,
            )
        )
    return RunOutcome(run=run, report=report, seconds=report.lineage.seconds or 0.0)


def _inputs(config: SpineConfig) -> list[Path]:
    if not isinstance(config.task, FilesTaskConfig):
        return []
    task = config.task
    return [task.root / path for path in (*task.preferences, *task.demonstrations, *task.prompts)]
