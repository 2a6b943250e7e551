"""The peer's online tasks: TRL's GRPO, RLOO and PPO on `prompts.jsonl`, completions of a fixed length.

PPO left TRL after 1.12: a folder with that version comes first on PYTHONPATH. Rewards are those
of `online_work.py`: a function of the text for GRPO and RLOO, for PPO a model of the policy's size under a
random head, with a value model on a body of its own. Read by `peer.py`; runs without Accord.
"""

import json
from pathlib import Path
from typing import Any

import datasets
import torch
import trl
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

TASKS = ("grpo", "rloo", "ppo")
HEAD_STD = 0.02
REWARD_SEED, CRITIC_SEED = 1, 2
"""Of PPO's two heads, as in `online_work.py`."""

Row = dict[str, Any]


def read_prompts(data: Path, count: int) -> list[str]:
    """The first `count` prompts; a short file is gone through again."""
    with (data / "prompts.jsonl").open(encoding="utf-8") as lines:
        prompts = [json.loads(line)["prompt"] for line in lines]
    if not prompts:
        raise SystemExit(f"{data / 'prompts.jsonl'} holds no prompts; {count} are needed (steps * prompts)")
    return [prompts[i % len(prompts)] for i in range(count)]


def distinct_words(completions: list[Any], **_: Any) -> list[float]:
    """The share of distinct words, scaled by closeness to 24 words."""
    values = []
    for completion in completions:
        words = completion.lower().split()
        near = max(0.0, 1 - abs(len(words) - 24) / 24)
        values.append(len(set(words)) / len(words) * near if words else 0.0)
    return values


def group_trainer(task: str, arguments: Row, model: Path, data: Path, work: Row, clock: Any) -> Any:
    """TRL's GRPO or RLOO trainer: its own generation, no filter, nothing ends before its full length."""
    config, trainer = {
        "grpo": ("GRPOConfig", "GRPOTrainer"),
        "rloo": ("RLOOConfig", "RLOOTrainer"),
    }[task]
    rows = work["prompts_per_step"] * work["group"]
    prompts = read_prompts(data, work["prompts_per_step"] * work["steps"])
    more = {"loss_type": work["loss_type"]} if task == "grpo" else {}
    settings = getattr(trl, config)(
        **arguments,
        **more,
        per_device_train_batch_size=work["micro_batch"],
        gradient_accumulation_steps=rows // work["micro_batch"],
        num_generations=work["group"],
        max_completion_length=work["completion_tokens"],
        generation_kwargs={"min_new_tokens": work["completion_tokens"]},
        temperature=work["temperature"],
        beta=work["beta"],
        num_iterations=work["num_iterations"],
        shuffle_dataset=False,
        model_init_kwargs={"dtype": "float32"},
    )
    return getattr(trl, trainer)(
        model=str(model),
        reward_funcs=distinct_words,
        args=settings,
        processing_class=AutoTokenizer.from_pretrained(model),
        train_dataset=datasets.Dataset.from_list([{"prompt": prompt} for prompt in prompts]),
        callbacks=[clock],
    )


def ppo_trainer(arguments: Row, model: Path, data: Path, work: Row, clock: Any) -> Any:
    """TRL's PPO trainer as 1.12 has it: policy, reference, reward and value model on bodies of their own."""
    try:
        from trl.experimental.ppo import PPOConfig, PPOTrainer
    except ImportError as error:
        raise SystemExit(
            f"trl {trl.__version__} has no PPO; put 1.12.0 into a folder (pip install --no-deps --target DIR "
            "trl==1.12.0) and that first on PYTHONPATH"
        ) from error
    tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
    # It finds a row's end by its padding, which therefore must not be the end of text.
    tokenizer.pad_token = next(
        token for token in tokenizer.all_special_tokens if token != tokenizer.eos_token
    )
    prompts = read_prompts(data, work["prompts_per_step"] * work["steps"])
    ids = [{"input_ids": tokenizer(text, add_special_tokens=False)["input_ids"]} for text in prompts]
    settings = PPOConfig(
        **arguments,
        per_device_train_batch_size=work["micro_batch"],
        gradient_accumulation_steps=work["prompts_per_step"] // work["micro_batch"],
        total_episodes=work["prompts_per_step"] * work["steps"],
        response_length=work["completion_tokens"],
        num_ppo_epochs=work["ppo_epochs"],
        num_mini_batches=work["mini_batches"],
        local_rollout_forward_batch_size=work["prompts_per_step"],
        num_sample_generations=0,
        temperature=work["temperature"],
        kl_coef=work["kl_coef"],
        gamma=work["gamma"],
        lam=work["lam"],
        cliprange=work["cliprange"],
        vf_coef=work["vf_coef"],
    )
    policy, reference = (AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32) for _ in range(2))
    reward_model, value_model = (seeded_scorer(model, seed) for seed in (REWARD_SEED, CRITIC_SEED))
    return PPOTrainer(
        args=settings,
        processing_class=tokenizer,
        model=policy,
        ref_model=reference,
        reward_model=reward_model,
        value_model=value_model,
        train_dataset=datasets.Dataset.from_list(ids),
        eval_dataset=datasets.Dataset.from_list(ids[:8]),
        callbacks=[clock],
    )


def seeded_scorer(model: Path, seed: int) -> Any:
    """A scalar head on the policy's body, drawn as ours is."""
    scorer = AutoModelForSequenceClassification.from_pretrained(model, num_labels=1, dtype=torch.float32)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        scorer.score.weight.copy_(torch.randn(scorer.score.weight.shape, generator=generator) * HEAD_STD)
    return scorer
