"""Reward against KL in miniature: DPO, PPO, RLOO and GRPO under an exact gold reward, and the exact optimum.

The model is the tiny one on bytes; gold counts the bytes of an answer below 64, a reward that adds up over
tokens. With penalty beta the best policy tilts each token: its odds of a low byte are those of the start
times exp(1 / beta), so that reward and KL of the optimum are known for every beta, up to the little that
ending early costs. Each algorithm sees the same number of samples; DPO's are pairs from the start with the
Bradley-Terry probability of gold as label. KL is summed over the vocabulary at each position, not estimated.
Prints one JSON line; `--figure` writes the picture.
"""

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from accord.domain import Prompt, Streams
from accord.evaluation.report.axes import Frame, padded_range
from accord.evaluation.report.markup import Markup, element
from accord.models.language_model import LanguageModel, frozen_copy
from accord.models.ragged import prompt_completion_batch
from accord.models.tiny import tiny_model
from accord.rollouts import NativeSampler, SamplingConfig
from accord.training import (
    DpoConfig,
    GrpoConfig,
    OnlineConfig,
    OptimizationConfig,
    PpoConfig,
    optimize,
    train_grpo,
    train_ppo,
    train_rloo,
)
from accord.training.dpo import DpoTask
from accord.training.objectives import exact_kl
from accord.training.pairs import PairRow
from accord.training.reference import predicting_states

PROMPTS = [Prompt.from_text(text) for text in ("tell me", "what now?", "a longer question", "go")]
LOW = 64
"""Gold counts bytes below it; about a quarter of what an untrained model writes."""
LENGTH = 12
GROUP = 8
BETAS = (2.0, 1.0, 0.5, 0.3)
RATE = 3e-3
"""Learning rate of all four, falling to 0."""
COLORS = {"DPO": "#2b5f8a", "PPO": "#b5532a", "RLOO": "#3c7d4b", "GRPO": "#7a4f94"}
STYLE = (
    "svg{background:#fff;font:12px system-ui,sans-serif}text{fill:#333}.tick,.label{fill:#666}"
    ".end{text-anchor:end}.middle{text-anchor:middle}.axis{stroke:#999}.grid{stroke:#eee}"
)


def gold(prompts: Sequence[Prompt], completions: Any) -> list[float]:
    """Bytes below `LOW`."""
    return [float(sum(token < LOW for token in each.token_ids)) for each in completions]


def online_config(beta: float, rollouts: int, **changes: Any) -> OnlineConfig:
    """What the online algorithms have in common."""
    settings = {"prompts_per_step": len(PROMPTS), "group_size": GROUP, **changes}
    epochs = settings.get("epochs", 1)
    return OnlineConfig(
        **settings,
        kl_coefficient=beta,
        entropy_every=0,
        sampling=SamplingConfig(max_tokens=LENGTH),
        optimization=OptimizationConfig(
            steps=rollouts * epochs, learning_rate=RATE, schedule="linear", precision="fp32"
        ),
    )


def run_ppo(model: LanguageModel, beta: float, rollouts: int, streams: Streams) -> None:
    """Two epochs, a critic of its own."""
    online = online_config(beta, rollouts, epochs=2, whiten_advantages=True)
    config = PpoConfig(critic="separate", decay=1.0, value_clip=None, online=online)
    train_ppo(model, PROMPTS, gold, config, streams=streams)


def run_rloo(model: LanguageModel, beta: float, rollouts: int, streams: Streams) -> None:
    """One update a rollout."""
    train_rloo(model, PROMPTS, gold, online_config(beta, rollouts), streams=streams)


def run_grpo(model: LanguageModel, beta: float, rollouts: int, streams: Streams) -> None:
    """One update a rollout, advantages over the group's deviation."""
    train_grpo(model, PROMPTS, gold, GrpoConfig(online=online_config(beta, rollouts)), streams=streams)


def run_dpo(model: LanguageModel, beta: float, rollouts: int, streams: Streams) -> None:
    """As many samples, all from the start, in pairs labeled by gold; three passes over them."""
    groups = NativeSampler(model, precision="fp32").sample(
        PROMPTS,
        group=GROUP * rollouts,
        config=SamplingConfig(max_tokens=LENGTH),
        streams=streams.child("pairs"),
    )
    rows = [
        PairRow(
            model.tokenizer.prompt_ids(prompt),
            list(left.token_ids),
            list(right.token_ids),
            p_chosen=1 / (1 + math.exp(gold([], [right])[0] - gold([], [left])[0])),
        )
        for prompt, group in zip(PROMPTS, groups, strict=True)
        for left, right in zip(group[::2], group[1::2], strict=True)
    ]
    optimization = OptimizationConfig(learning_rate=RATE, schedule="linear", precision="fp32")
    config = DpoConfig(beta=beta, epochs=3.0, batch_size=16, eval_share=0.0, optimization=optimization)
    task = DpoTask.of_rows(model, rows, config)
    optimize(task, task.optimization, streams=streams)


ALGORITHMS: dict[str, Callable[[LanguageModel, float, int, Streams], None]] = {
    "DPO": run_dpo,
    "PPO": run_ppo,
    "RLOO": run_rloo,
    "GRPO": run_grpo,
}


@torch.no_grad()
def measure(model: LanguageModel, start: LanguageModel, samples: int) -> tuple[float, float]:
    """(gold, KL in nats) an answer, from fresh samples and the sum over the vocabulary at their positions."""
    groups = NativeSampler(model, precision="fp32").sample(
        PROMPTS, group=samples, config=SamplingConfig(max_tokens=LENGTH), streams=Streams(7).child("frontier")
    )
    completions = [each for group in groups for each in group]
    packed = prompt_completion_batch(
        [
            (model.tokenizer.prompt_ids(prompt), [list(each.token_ids) for each in group])
            for prompt, group in zip(PROMPTS, groups, strict=True)
        ]
    )
    mine, theirs = (
        (predicting_states(each, packed) @ each.head_weight.T).log_softmax(-1) for each in (model, start)
    )
    return statistics.fmean(gold([], completions)), float(exact_kl(mine, theirs).sum()) / len(completions)


def optimum(base: float, beta: float) -> tuple[float, float]:
    """(gold, KL) of the best policy where tokens are independent and low with probability `base`."""
    odds = base / (1 - base) * math.exp(1 / beta)
    share = odds / (1 + odds)
    divergence = share * math.log(share / base) + (1 - share) * math.log((1 - share) / (1 - base))
    return LENGTH * share, LENGTH * divergence


def picture(points: Sequence[dict[str, Any]], base: float) -> str:
    """Gold against the root of KL: a dot a run, a line through the means, the optimum dashed."""
    frame = Frame(
        x_range=(0.0, max(math.sqrt(each["kl"]) for each in points) * 1.12),
        y_range=padded_range([each["gold"] for each in points], include=[LENGTH * base]),
        x_label="square root of the KL from the start, nats an answer",
        y_label="gold: low bytes an answer",
        width=640,
        height=400,
        left=48,
    )
    best = [optimum(base, 1 / (0.02 + 0.04 * i)) for i in range(100)]
    inside = [
        (math.sqrt(kl), value)
        for value, kl in best
        if math.sqrt(kl) <= frame.x_range[1] and value <= frame.y_range[1]
    ]
    shapes: list[Markup] = [_line(frame, inside, "#999", dash="5 4")]
    for row, (name, color) in enumerate(COLORS.items()):
        own = [each for each in points if each["algorithm"] == name]
        means = [
            (
                math.sqrt(statistics.fmean(each["kl"] for each in own if each["beta"] == beta)),
                statistics.fmean(each["gold"] for each in own if each["beta"] == beta),
            )
            for beta in BETAS
        ]
        shapes.append(_line(frame, means, color))
        for each in own:
            words = (
                f"{name}, beta {each['beta']:g}, seed {each['seed']}: {each['gold']:.2f} at {each['kl']:.2f}"
            )
            shapes.append(
                element(
                    "circle",
                    element("title", words),
                    cx=frame.x(math.sqrt(each["kl"])),
                    cy=frame.y(each["gold"]),
                    r=3.5,
                    fill=color,
                )
            )
        y = frame.height - 150 + 20 * row
        shapes.append(element("circle", cx=frame.width - 122, cy=y - 4, r=5, fill=color))
        shapes.append(element("text", name, x=frame.width - 110, y=y))
    shapes.append(element("text", "optimum (dashed)", x=frame.width - 128, y=frame.height - 70))
    drawn = frame.svg(
        element("style", Markup(STYLE)),
        shapes,
        key="frontier",
        title="Reward against KL",
        description="DPO, PPO, RLOO and GRPO at four penalties and three seeds beside the exact optimum",
    )
    return str(drawn).replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1)


def _line(frame: Frame, places: Sequence[tuple[float, float]], color: str, *, dash: str = "none") -> Markup:
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in places)
    return element(
        "polyline", points=path, fill="none", stroke=color, stroke_width=1.5, stroke_dasharray=dash
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Train everything, measure, print."""
    parser = argparse.ArgumentParser(description="reward against KL in miniature; one JSON line")
    parser.add_argument("--rollouts", type=int, default=40, help="of 32 samples each")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=64, help="a prompt, to measure by")
    parser.add_argument("--only", nargs="*", default=list(ALGORITHMS), choices=list(ALGORITHMS))
    parser.add_argument("--figure", type=Path, help="SVG file to write")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    began = time.perf_counter()
    start = frozen_copy(tiny_model())
    base = measure(start, start, 4 * options.samples)[0] / LENGTH
    points = []
    for name in options.only:
        for beta in BETAS:
            for seed in range(options.seeds):
                model = tiny_model()
                ALGORITHMS[name](model, beta, options.rollouts, Streams(seed).child(name))
                value, kl = measure(model, start, options.samples)
                points.append({"algorithm": name, "beta": beta, "seed": seed, "gold": value, "kl": kl})
    best = {f"{beta:g}": [round(each, 3) for each in optimum(base, beta)] for beta in BETAS}
    if options.figure is not None:
        options.figure.write_text(picture(points, base), encoding="utf-8")
    line = {"base": round(base, 4), "optimum": best, "points": points, "rollouts": options.rollouts}
    print(json.dumps({**line, "seconds": round(time.perf_counter() - began)}), flush=True)


if __name__ == "__main__":
    main()
