"""Every way of learning from demonstrations and judgments leaves what lies below an adapter alone."""

import pytest
import torch

from accord.domain import Verdict
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.loading import load_model
from accord.models.reward import load_reward_model
from accord.models.tiny import tiny_model
from accord.training import (
    DpoConfig,
    KtoConfig,
    OptimizationConfig,
    RewardTrainingConfig,
    SftConfig,
    train_dpo,
    train_kto,
    train_reward_model,
    train_sft,
)

OPTIMIZATION = OptimizationConfig(steps=3, learning_rate=1e-2, precision="fp32")


@pytest.fixture
def rows(demonstrations, preferences):
    answers = [
        Verdict(prompt=item.prompt, completion=text, is_desirable=side)
        for item in preferences
        for text, side in ((item.chosen, True), (item.rejected, False))
    ]
    return {"sft": demonstrations, "dpo": preferences, "kto": answers, "reward": preferences}


@pytest.mark.parametrize("stage", ["sft", "dpo", "kto", "reward"])
def test_only_the_adapter_learns_and_the_saved_model_is_the_merged_one(stage, rows, tmp_path):
    train, config = {
        "sft": (train_sft, SftConfig),
        "dpo": (train_dpo, DpoConfig),
        "kto": (train_kto, KtoConfig),
        "reward": (train_reward_model, RewardTrainingConfig),
    }[stage]
    model = add_adapter(tiny_model(), LoraConfig(rank=4, alpha=8.0))
    plain = {} if stage == "sft" else {"eval_share": 0.0}
    settings = config(batch_size=4, optimization=OPTIMIZATION, **plain)
    result = train(model, rows[stage], settings, run_dir=tmp_path / "run")
    trained = result.reward_model if stage == "reward" else model
    network = trained.body if stage == "reward" else trained.network
    before = {name.removeprefix("model."): weight for name, weight in tiny_model().network.named_parameters()}
    moved, kept = 0, 0
    for name, weight in network.named_parameters():
        if ".lora_" in name:
            moved += bool(weight.abs().max() > 0) and ".lora_B" in name
            continue
        plain_name = name.replace(".base_layer", "").removeprefix("base_model.model.").removeprefix("model.")
        assert torch.equal(weight, before[plain_name]), name
        kept += 1
    assert kept == len(before)
    assert moved > 0
    prompt = rows["dpo"][0].prompt
    ids = trained.tokenizer.prompt_ids(prompt)
    if stage == "reward":
        loaded = load_reward_model(tmp_path / "run" / "model")
        with torch.no_grad():
            ours, theirs = (
                each.score_texts([prompt, prompt], ["yes", "no way"]) for each in (trained, loaded)
            )
    else:
        loaded = load_model(tmp_path / "run" / "model")
        with torch.no_grad():
            ours, theirs = (each.network(torch.tensor([ids])).logits for each in (trained, loaded))
    torch.testing.assert_close(torch.as_tensor(ours), torch.as_tensor(theirs), atol=1e-5, rtol=1e-5)
