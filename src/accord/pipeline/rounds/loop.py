"""A loop from its config: tune once, then round after round until the last or until a rule says stop.

Every stage is a function of named inputs to named outputs, entered in the run's journal under
`r<round>-<stage>`: done stages are skipped, and a run that was killed goes on in the stage, and the
training step, it was in.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from accord.domain import AccordError, Interrupted, Streams
from accord.domain.clock import Clock, SystemClock
from accord.domain.errors import Waiting
from accord.models import frozen_copy, load_model, save_model
from accord.pipeline.material import gather_material
from accord.pipeline.narration import Narrator, SilentNarrator
from accord.pipeline.plan import SpineConfig
from accord.pipeline.rounds.bench import Bench
from accord.pipeline.rounds.budget import check_budget, why_spent
from accord.pipeline.rounds.desk import known_pairs
from accord.pipeline.rounds.grading import Grading
from accord.pipeline.rounds.notifying import News, Notices
from accord.pipeline.rounds.plan import LoopConfig
from accord.pipeline.rounds.releasing import RoundRecord, read_ledger, why_stop
from accord.pipeline.rounds.round import Round
from accord.pipeline.rounds.scorers import function_scores
from accord.pipeline.rounds.state import LoopState
from accord.pipeline.stage_running import has_checkpoint
from accord.training import train_sft


def run_loop(
    config: LoopConfig,
    folder: Path,
    *,
    narrator: Narrator | None = None,
    until: str = "",
    clock: Clock | None = None,
) -> list[RoundRecord]:
    """Carry out every stage of a loop that is not done; its finished rounds.

    `until` names a stage after which to stop, such as `judge` or `r2-agree`. `model/` of the folder is the
    last released policy; without a release there is none. Raises `Waiting` where people must judge first.
    """
    check_budget(config)
    state = _begin(config, folder, narrator or SilentNarrator(), until, clock or SystemClock())
    try:
        return _carry_out(state)
    except Waiting as error:
        stage = str(read_ledger(folder)[1].get("stage", ""))
        state.notices.post(News.WAITING, stage, str(error), stage=stage)
        raise
    except Interrupted:
        raise  # the user stopped it and knows
    except AccordError as error:
        stage = str(read_ledger(folder)[1].get("stage", ""))
        state.notices.post(News.FAILED, f"{stage} {error}", str(error), stage=stage)
        raise


def _carry_out(state: LoopState) -> list[RoundRecord]:
    config = state.config
    _tune(state)
    state.tuned = state.newest = state.incumbent = frozen_copy(state.model)
    records: list[RoundRecord] = []
    reason = ""
    for number in range(1, config.rounds + 1):
        records.append(Round(state, number, records).run())
        reason = why_stop(config.stop, records)
        if not reason and number < config.rounds:
            reason = why_spent(config, records[-1].judgments)
        state.enter_ledger(records, state="running")
        if records[-1].is_released:
            said = f"round {number} was released"
            state.notices.post(News.RELEASED, f"round {number}", said, **_facts(records[-1]))
        if reason:
            break
    if state.incumbent is not state.tuned:
        save_model(state.incumbent, state.folder / "model")
    reason = reason or "all rounds are done"
    state.enter_ledger(records, state="ended", stage="", reason=reason)
    state.notices.post(News.ENDED, reason, f"ended: {reason}", **_facts(records[-1]))
    return records


def _facts(record: RoundRecord) -> dict[str, Any]:
    """What a message says of a round."""
    return {"round": record.number, "version": record.version, "win_rate": record.numbers.get("win_rate")}


def _begin(config: LoopConfig, folder: Path, narrator: Narrator, until: str, clock: Clock) -> LoopState:
    if config.threads:
        torch.set_num_threads(config.threads)
    model = load_model(config.model.name, trainable_layers=config.model.trainable_layers)
    as_pass = SpineConfig(seed=config.seed, model=config.model, task=config.task)
    material = gather_material(as_pass, model.tokenizer)
    streams = Streams(config.seed)
    grading = Grading.read(config.policy_file, folder)
    if config.guard.function:
        function_scores(config.guard.function)  # refused now where it is not there
    bench = Bench(
        config=config,
        folder=folder,
        streams=streams.child("bench"),
        taste=material.taste,
        known=known_pairs(material.demonstrations, config.asking.known_pairs),
        grading=grading,
    )
    return LoopState(
        config=config,
        folder=folder,
        narrator=narrator,
        clock=clock,
        streams=streams,
        model=model,
        tuned=model,
        newest=model,
        incumbent=model,
        material=material,
        bench=bench,
        notices=Notices(bench=bench, folder=folder, clock=clock),
        grading=grading,
        until=until,
    )


def _tune(state: LoopState) -> None:
    """Supervised fine-tuning in place; without demonstrations the model stays as it came."""
    demonstrations = list(state.material.demonstrations)
    if not demonstrations:
        return

    def work(folder: Path) -> Mapping[str, Any]:
        result = train_sft(
            state.model,
            demonstrations,
            state.config.sft,
            run_dir=folder,
            observers=state.narrator.observers(),
            resume=has_checkpoint(folder),
            streams=state.streams.child("sft"),
        )
        loss = result.metrics["sft/loss"]
        return {"lines": [f"loss {loss:.3f} after {result.steps} steps"], "steps": result.steps}

    what = f"imitate {len(demonstrations)} demonstrations"
    if state.stage("tune", what, work, settings=asdict(state.config.sft)):
        state.read_model(state.runner.journal.path("tune") / "model")
