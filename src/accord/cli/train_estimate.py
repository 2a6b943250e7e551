"""`accord train estimate`: memory and time of a training before it runs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from accord.cli.render import print_json, print_text
from accord.cli.run import SetOption
from accord.cli.runs import JsonOption

if TYPE_CHECKING:
    from accord.pipeline.estimating import TrainingEstimate

KindOption = Annotated[str, typer.Option("--kind", help="sft, reward, dpo or kto; else read off the config.")]
MeasureOption = Annotated[
    int, typer.Option("--measure", min=0, help="Also run so many steps (2 or more) and compare.")
]


def estimate(
    config: Annotated[
        Path | None, typer.Argument(help="TOML file of the training.", show_default=False)
    ] = None,
    overrides: SetOption = None,
    kind: KindOption = "",
    measured_steps: MeasureOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Say what memory and time a training will take, from its rows and its model.

    Example:

      accord train estimate --set 'preferences=["pairs.jsonl"]' --kind dpo --measure 3
    """
    from accord.pipeline.estimating import estimate_training, kind_of

    found = estimate_training(
        kind_of(config, overrides or [], kind), config, overrides or [], measured_steps=measured_steps
    )
    if as_json:
        print_json(found.to_json())
    else:
        print_text("\n".join(_lines(found)))


def _lines(found: "TrainingEstimate") -> list[str]:
    facts = found.to_json()
    lines = [
        f"{found.kind}, {found.precision}: {found.work.steps} steps of {found.work.tokens_per_step:.0f} "
        f"tokens, at most {found.work.micro_batches} micro-batches of at most {found.work.largest_tokens}",
        "",
    ]
    words = {
        "process": "interpreter and libraries",
        "weights": "weights",
        "reference": "second copy of what learns",
        "gradients": "gradients",
        "optimizer": "optimizer",
        "activations": "activations",
        "activations_checkpointed": "  with checkpointing",
        "head": "log-probs over the vocabulary",
        "peak": "peak",
    }
    lines += [f"{words[name]:32}{facts['memory'][f'{name}_gb']:9.3f} GB" for name in words]
    if found.is_recomputed:
        lines += [
            "layers run again in the backward pass (recompute), so the peak has the smaller activations"
        ]
    lines += ["", f"{'a step, roughly':32}{found.step_seconds:9.2f} s"]
    if facts["measured"] is not None:
        lines += [
            f"{'a step, measured':32}{facts['measured']['step_s']:9.2f} s",
            f"{'peak, measured':32}{facts['measured']['peak_gb']:9.3f} GB "
            f"(estimate {facts['measured']['peak_error']:+.1%})",
        ]
    return [*lines, f"{'the run':32}{found.run_seconds:9.0f} s"]
