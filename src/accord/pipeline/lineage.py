"""From a released model to each judgment behind it, from a judgment to all it touched, and calling
judgments back.

A model rests on snapshots (its own round's and those of the rounds its policy came through), a snapshot on
judgments. Everything is read from the runs' ledgers and snapshots and from the store; a recall voids
judgments there, and `rebuild` makes a snapshot anew without them. Leaves out retraining: a recall says what
it would cost.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accord.domain import WorkspaceError
from accord.domain.streams import Streams
from accord.pipeline.configuration import load_config
from accord.pipeline.rounds.agreeing import agree
from accord.pipeline.rounds.bench import Bench
from accord.pipeline.rounds.chatting import with_chatted
from accord.pipeline.rounds.choosing import read_questions
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.reading import is_loop
from accord.pipeline.rounds.releasing import RoundRecord, read_ledger
from accord.pipeline.rounds.snapshot import RECORD, Snapshot
from accord.pipeline.runs import Run
from accord.pipeline.workspace import Workspace
from accord.store.database.recall import JudgmentOrigin, find_judgments, origin_of, void

RETRAINED = ("reward", "evidence", "grades", "policy", "answer", "examine", "drift", "decide")
"""Stages of a round that a changed snapshot makes necessary again."""


@dataclass(frozen=True, kw_only=True)
class Made:
    """One round's model and what it rests on."""

    run: Run
    record: RoundRecord
    judgment_ids: tuple[str, ...]
    """Of its own snapshot."""
    seconds: float
    """Of the stages that would have to be done again."""

    @property
    def name(self) -> str:
        """Run and round."""
        return f"{self.run.id}/{self.record.number}"


@dataclass(frozen=True, kw_only=True)
class ModelTrace:
    """A model and the chain it came through, newest first."""

    model: Made
    chain: tuple[Made, ...]
    """The model itself, then the rounds whose policies it began from."""

    @property
    def judgment_ids(self) -> list[str]:
        """Every judgment behind the model, its ancestors' included."""
        return sorted({one for made in self.chain for one in made.judgment_ids})


@dataclass(frozen=True, kw_only=True)
class Recall:
    """What calling judgments back touches."""

    judgment_ids: tuple[str, ...]
    n_new: int
    """Called back by this call and not before."""
    snapshots: tuple[Made, ...]
    """Rounds whose own snapshot rests on any of them."""
    models: tuple[Made, ...]
    """Rounds whose model does, through any ancestor; released ones first."""

    @property
    def seconds(self) -> float:
        """Of training and examining again what must be, as it took then."""
        return sum(made.seconds for made in self.models)


def made_models(workspace: Workspace) -> list[Made]:
    """Every round of every loop of the workspace, the oldest run first."""
    found = []
    for run in reversed(workspace.runs()):
        if is_loop(run):
            found += [_made(run, record) for record in read_ledger(run.folder)[0]]
    return found


def trace_model(workspace: Workspace, key: str) -> ModelTrace:
    """The model of `key`: RUN (its last release, else its last round), RUN/ROUND, a folder or a version."""
    models = made_models(workspace)
    found = _find(models, key)
    if found is None:
        names = ", ".join(made.name for made in models) or "none"
        raise WorkspaceError(
            f"no model {key!r} in {workspace.root}; expected RUN, RUN/ROUND, a model's folder or its "
            f"version. There are: {names}"
        )
    return ModelTrace(model=found, chain=tuple(_ancestors(found, models)))


def trace_judgment(workspace: Workspace, judgment_id: str) -> list[Made]:
    """Every round's model that rests on a judgment, through its own snapshot or an ancestor's."""
    models = made_models(workspace)
    return [made for made in models if _touches(made, models, {judgment_id})]


def describe_judgment(run: Run, judgment_id: str) -> JudgmentOrigin:
    """Where a judgment came from, from the store of the run that used it."""
    with bench_of(run).opened() as database:
        return origin_of(database, judgment_id)


def recall(
    workspace: Workspace,
    run: Run,
    *,
    reason: str,
    actor: str,
    annotator: str | None = None,
    guideline: int | None = None,
    judgment_ids: Sequence[str] = (),
    is_dry: bool = False,
) -> Recall:
    """Void judgments in the store of `run` and list what rests on them; `is_dry` only lists."""
    with bench_of(run).opened() as database:
        chosen = list(judgment_ids)
        if annotator is not None or guideline is not None:
            chosen += find_judgments(database, annotator=annotator, guideline=guideline)
        for one in chosen:
            origin_of(database, one)
        n_new = 0 if is_dry else void(database, chosen, reason, actor=actor)
    models = made_models(workspace)
    called = set(chosen)
    touched = [made for made in models if _touches(made, models, called)]
    return Recall(
        judgment_ids=tuple(chosen),
        n_new=n_new,
        snapshots=tuple(made for made in models if not called.isdisjoint(made.judgment_ids)),
        models=tuple(sorted(touched, key=lambda made: not made.record.is_released)),
    )


def rebuild(run: Run, number: int, *, ignores_recalls: bool = False) -> Snapshot:
    """The snapshot of a round made anew from the store, without judgments that were called back since.

    With `ignores_recalls` it is the one the round was trained on, hash for hash: that is the proof that a
    snapshot follows from its judgments.
    """
    config = load_config(LoopConfig, run.config_path)
    bench = bench_of(run)
    asked = {
        one: read_questions(run.folder / "stages" / f"r{one}-choose" / "questions.jsonl")
        for one in range(1, number + 1)
    }
    asked = with_chatted(asked, {one: run.folder / "stages" / f"r{one}-agree" for one in asked})
    kept = Snapshot.read(run.folder / "stages" / f"r{number}-agree")
    before = frozenset(kept.voided)
    gone = before if ignores_recalls else bench.voided()
    # Of those there were then: a guest may have judged the round's questions since.
    there = {*kept.judgment_ids, *before, *gone}
    judgments = [*bench.judgments(config.name), *bench.chat_votes()]
    judgments = [one for one in judgments if one.meta["judgment_id"] in there]
    known = {int(number): kl for number, kl in kept.settings.get("drift", {}).items()}
    without = frozenset(kept.settings.get("without", ()))
    return agree(
        judgments,
        asked,
        config.agreeing,
        round_number=number,
        project=config.name,
        voided=gone,
        without=without,
        grades=bench.grades(config.name),
        corrections=bench.corrections(config.name),
        panels=bench.panels(config.name),
        drift=known,
        pseudonyms=bench.pseudonyms(),
        left_out=kept.left_out,
        seed=config.seed,
    ).snapshot


def _made(run: Run, record: RoundRecord) -> Made:
    place = run.folder / "stages" / f"r{record.number}-agree" / RECORD
    snapshot = json.loads(place.read_text(encoding="utf-8"))
    if snapshot["hash"] != record.snapshot:
        raise WorkspaceError(f"{place} is not the snapshot that round {record.number} names; it was changed")
    stages: dict[str, Any] = dict(record.facts["stages"])
    return Made(
        run=run,
        record=record,
        judgment_ids=tuple(snapshot["judgments"]),
        seconds=sum(float(stages.get(stage, 0.0)) for stage in RETRAINED),
    )


def _find(models: Sequence[Made], key: str) -> Made | None:
    by_name = {made.name: made for made in models}
    if key in by_name:
        return by_name[key]
    of_run = [made for made in models if made.run.id == key]
    if of_run:
        released = [made for made in of_run if made.record.is_released]
        return (released or of_run)[-1]
    if Path(key).is_dir():
        place = Path(key).resolve()
        for made in models:
            if (made.run.folder / made.record.model).resolve() == place:
                return made
            if made.run.model_folder.resolve() == place:
                return _find(models, made.run.id)
        return None
    matching = [made for made in models if len(key) >= 6 and made.record.version.startswith(key)]
    return matching[-1] if matching else None


def _ancestors(made: Made, models: Sequence[Made]) -> list[Made]:
    """The model, then whatever its policy began from, as far as rounds made it."""
    chain, seen = [made], {made.record.version}
    while True:
        parent = next((one for one in models if one.record.version == chain[-1].record.began_from), None)
        if parent is None or parent.record.version in seen:
            return chain
        chain.append(parent)
        seen.add(parent.record.version)


def _touches(made: Made, models: Sequence[Made], judgment_ids: set[str]) -> bool:
    return any(not judgment_ids.isdisjoint(one.judgment_ids) for one in _ancestors(made, models))


def bench_of(run: Run) -> Bench:
    """Where the judges of a loop judged."""
    if not is_loop(run):
        raise WorkspaceError(f"run '{run.id}' is no loop of rounds; only those know their judgments")
    config = load_config(LoopConfig, run.config_path)
    return Bench(config=config, folder=run.folder, streams=Streams(config.seed))
