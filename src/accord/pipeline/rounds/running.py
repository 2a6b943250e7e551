"""Starting a loop in a workspace, or going on with one that stopped or waits; writes its report."""

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from accord.domain import WorkspaceError
from accord.domain.files import write_text_atomic
from accord.evaluation.report.contents import Lineage
from accord.pipeline.cards.making import write_cards
from accord.pipeline.configuration import dump_config, load_config
from accord.pipeline.memory import peak_memory_mb
from accord.pipeline.narration import Narrator
from accord.pipeline.plan import FilesTaskConfig
from accord.pipeline.provenance import RunProvenance, collect_provenance
from accord.pipeline.rounds.loop import run_loop
from accord.pipeline.rounds.page import loop_to_html
from accord.pipeline.rounds.plan import LoopConfig, SimulatedJudgesConfig
from accord.pipeline.rounds.planning import check_until
from accord.pipeline.rounds.reading import round_samples
from accord.pipeline.rounds.releasing import RoundRecord, read_ledger
from accord.pipeline.runs import Headline, Run
from accord.pipeline.workspace import Workspace

KIND = "loop"


@dataclass(frozen=True, kw_only=True)
class LoopOutcome:
    """A loop that ended."""

    run: Run
    rounds: tuple[RoundRecord, ...]
    reason: str
    """Why it ended."""


def start_loop(
    workspace: Workspace,
    config: LoopConfig,
    *,
    kind: str = KIND,
    name: str = "",
    command: Sequence[str] | None = None,
    narrator: Narrator | None = None,
    until: str = "",
    prepare: Callable[[Run], None] = lambda run: None,
) -> LoopOutcome:
    """Make a run of the loop and carry it as far as it goes; `until` names a stage after which to stop.

    `prepare` is called with the run before its first stage, such as to open a door to it.
    """
    check_until(config, until)
    provenance = collect_provenance(seed=config.seed, inputs=_inputs(config))
    run = workspace.create_run(kind, config=config, provenance=provenance, name=name, command=command)
    prepare(run)
    return _carry_out(workspace, run, config, provenance, narrator, until)


def resume_loop(
    workspace: Workspace,
    key: str,
    *,
    narrator: Narrator | None = None,
    until: str = "",
    prepare: Callable[[Run], None] = lambda run: None,
) -> LoopOutcome:
    """Go on with a loop that was stopped, failed, or waited for people, under the config it began with."""
    run = workspace.run(key)
    if not run.record.status.is_resumable:
        raise WorkspaceError(f"run '{run.id}' is {run.record.status}; only a stopped run can be resumed.")
    config = load_config(LoopConfig, run.config_path)
    check_until(config, until)
    run.reopen()
    prepare(run)
    return _carry_out(workspace, run, config, run.record.provenance, narrator, until)


def write_loop_report(run: Run, config: LoopConfig, provenance: RunProvenance) -> None:
    """`report.html` of a run, from its ledger and its last answers."""
    rounds, state = read_ledger(run.folder)
    lineage = Lineage(
        command=shlex.join(run.record.command),
        seed=config.seed,
        code_version=str(provenance.code),
        config=dump_config(config),
        data=dict(provenance.data),
        models={f"round {one.number}": one.version for one in rounds},
        packages=dict(provenance.packages),
        machine=str(provenance.machine),
        seconds=rounds[-1].seconds if rounds else None,
        peak_memory_mb=peak_memory_mb(),
    )
    page = loop_to_html(
        rounds,
        state,
        samples=round_samples(run.folder, len(rounds)),
        lineage=lineage,
        is_simulated=isinstance(config.judges, SimulatedJudgesConfig),
    )
    write_text_atomic(run.report_path, page)


def _carry_out(
    workspace: Workspace,
    run: Run,
    config: LoopConfig,
    provenance: RunProvenance,
    narrator: Narrator | None,
    until: str,
) -> LoopOutcome:
    with run:
        try:
            rounds = run_loop(config, run.folder, narrator=narrator, until=until)
        finally:
            write_loop_report(run, config, provenance)
            run.add_artifact("report", run.report_path)
        if run.model_folder.exists():
            write_cards(workspace, run.id)
            run.add_artifact("model", run.model_folder)
        last = rounds[-1].numbers.get("win_rate")
        value = None if last is None else last["value"]
        headline = None
        if last is not None and value is not None:
            headline = Headline(name="win rate", value=value, low=last["low"], high=last["high"])
        run.finish(headline)
    reason = str(read_ledger(run.folder)[1].get("reason", ""))
    return LoopOutcome(run=run, rounds=tuple(rounds), reason=reason)


def _inputs(config: LoopConfig) -> list[Path]:
    function = config.guard.function.rpartition(":")[0]
    named = [config.policy_file, function if function.endswith(".py") else ""]
    written = [Path(one) for one in named if one]
    if not isinstance(config.task, FilesTaskConfig):
        return written
    task = config.task
    return written + [task.root / path for path in (*task.preferences, *task.demonstrations, *task.prompts)]
