import json
import math

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from accord.domain.errors import DataError, ModelError
from accord.domain.messages import Prompt
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.ragged import frozen_layers, prompt_completion_batch, trunk_states
from accord.models.reward import RewardModel, load_reward_model, reward_model_from, save_reward_model
from accord.models.tiny import tiny_model

PROMPTS = [Prompt.from_text("Why is the sky blue?"), Prompt.from_text("Hi", system="Be brief.")]
ANSWERS = ["Because of scattering.", "Hello!"]


@pytest.fixture
def reward_model() -> RewardModel:
    return reward_model_from(tiny_model(), seed=3)


def packed_rows(model, prompts=PROMPTS, answers=ANSWERS):
    rows = model.text_ids(prompts, answers)
    return prompt_completion_batch([(prompt_ids, [completion_ids]) for prompt_ids, completion_ids in rows])


def test_trap_26_head_starts_at_std_one_over_sqrt_of_width_plus_one():
    # width 64: sqrt(1/65) = 0.124
    heads = [reward_model_from(tiny_model(), seed=seed, trainable_layers=0).head.weight for seed in range(20)]
    assert float(torch.cat(heads).detach().std()) == pytest.approx(65**-0.5, rel=0.05)
    assert torch.equal(heads[3], reward_model_from(tiny_model(), seed=3).head.weight)
    assert heads[0].dtype == torch.float32
    assert reward_model_from(tiny_model()).head.bias is None


def test_untrained_scores_leave_the_loss_near_ln_2():
    # trap 26: answers that differ in one word get near scores, so softplus(difference) is near ln 2
    model = reward_model_from(tiny_model(), seed=1)
    groups = [([5, 6, 7 + i], [[20 + i, 30, 257], [21 + i, 30, 257]]) for i in range(40)]
    scores = model.scores(prompt_completion_batch(groups)).detach()
    loss = torch.nn.functional.softplus(scores[1::2] - scores[::2]).mean()
    assert float(loss) == pytest.approx(math.log(2), rel=0.02)


def test_trap_4_scores_depend_neither_on_companions_nor_on_sharing(reward_model):
    # any batch gives a row the same score
    prompt, answers = [5, 6, 7, 8], [[20, 21, 257], [30, 257], [40] * 9]
    alone = [reward_model.scores(prompt_completion_batch([(prompt, [ids])])) for ids in answers]
    shared = reward_model.scores(prompt_completion_batch([([9, 9], [[1]]), (prompt, answers)]))[1:]
    assert torch.allclose(torch.cat(alone), shared, atol=1e-5)


def test_trap_3_score_reads_the_last_token_whatever_pad_or_end_stand_before(reward_model):
    # an end of turn or a pad inside the prompt moves no reading place
    end, pad = reward_model.tokenizer.eos_id, reward_model.tokenizer.pad_id
    packed = prompt_completion_batch([([5, end, 6, pad], [[20, end], [end, end]])])
    assert packed.ragged.token_ids[packed.last_index].tolist() == [end, end]
    for row, ids in enumerate(([5, end, 6, pad, 20, end], [5, end, 6, pad, end, end])):
        hidden = reward_model.body(input_ids=torch.tensor([ids])).last_hidden_state[0, -1]
        assert float(reward_model.scores(packed)[row].detach()) == pytest.approx(
            float((hidden @ reward_model.head.weight[0]).detach()), abs=1e-5
        )


def test_trap_50_texts_score_as_their_own_ids_do(reward_model):
    # text goes through this model's own template and tokenizer
    reward_model.set_normalization(torch.tensor([1.0, 2.0]))
    expected = reward_model.scores(packed_rows(reward_model)).tolist()
    assert reward_model.score_texts(PROMPTS, ANSWERS) == pytest.approx(expected, abs=1e-5)


def test_texts_keep_their_order_under_any_budget(reward_model):
    prompts, answers = [PROMPTS[i % 2] for i in range(7)], [f"answer {'x' * i}" for i in range(7)]
    whole = reward_model.score_texts(prompts, answers)
    assert reward_model.score_texts(prompts, answers, batch_tokens=1) == pytest.approx(whole, abs=1e-5)
    single = [reward_model.score_texts([p], [a])[0] for p, a in zip(prompts, answers, strict=True)]
    assert single == pytest.approx(whole, abs=1e-5)
    repeated = reward_model.score_texts([*prompts, prompts[0]], [*answers, answers[0]])
    assert repeated == pytest.approx([*whole, whole[0]], abs=1e-5)
    assert reward_model.score_texts([], []) == []


def test_prompt_longer_than_the_context_is_scored_on_its_end(reward_model):
    scores = reward_model.score_texts([Prompt.from_text("word " * 800)], ["Yes."])
    assert math.isfinite(scores[0])


def test_normalization_by_hand(reward_model):
    # trap 27: raw 1, 3, 5: mean 3, unbiased deviation 2
    raw = torch.tensor([1.0, 3.0, 5.0])
    reward_model.set_normalization(raw)
    assert (float(reward_model.scale), float(reward_model.offset)) == (1.0, -3.0)
    reward_model.set_normalization(raw, has_unit_std=True)
    assert (float(reward_model.scale), float(reward_model.offset)) == (0.5, -1.5)


@pytest.mark.parametrize(
    ("raw", "has_unit_std", "match"),
    [
        ([], False, "got 0 scores"),
        ([1.0, math.nan], False, "1 of them not finite"),
        ([2.0], True, "no spread"),
    ],
)
def test_normalization_that_is_not_defined_is_refused(reward_model, raw, has_unit_std, match):
    with pytest.raises(ModelError, match=match):
        reward_model.set_normalization(torch.tensor(raw), has_unit_std=has_unit_std)


def test_saved_model_keeps_normalization_and_scores(reward_model, tmp_path):
    # trap 27: mean 0 on the reference answers after a round trip
    packed = packed_rows(reward_model)
    reward_model.set_normalization(reward_model.scores(packed, raw=True).detach())
    save_reward_model(reward_model, tmp_path / "model")
    loaded = load_reward_model(tmp_path / "model")
    assert float(loaded.scores(packed).mean().detach()) == pytest.approx(0.0, abs=1e-6)
    assert torch.equal(loaded.scores(packed), reward_model.scores(packed))
    assert loaded.score_texts(PROMPTS, ANSWERS) == pytest.approx(
        reward_model.score_texts(PROMPTS, ANSWERS), abs=1e-6
    )


@pytest.mark.parametrize("padding_side", ["left", "right"])
def test_transformers_alone_gives_the_same_raw_scores(reward_model, tmp_path, padding_side):
    # traps 3 and 4
    save_reward_model(reward_model, tmp_path / "model")
    classifier = AutoModelForSequenceClassification.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model", padding_side=padding_side)
    rows = reward_model.text_ids(PROMPTS, ANSWERS)
    batch = tokenizer.pad({"input_ids": [prompt + answer for prompt, answer in rows]}, return_tensors="pt")
    assert classifier.config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id
    raw = classifier(**batch).logits.squeeze(-1)
    assert torch.allclose(raw, reward_model.scores(packed_rows(reward_model), raw=True), atol=1e-4)


def test_classifier_made_elsewhere_loads_with_plain_scores(reward_model, tmp_path):
    save_reward_model(reward_model, tmp_path / "model")
    (tmp_path / "model" / "accord_reward.json").unlink()
    packed = packed_rows(reward_model)
    assert torch.equal(
        load_reward_model(tmp_path / "model").scores(packed), reward_model.scores(packed, raw=True)
    )


def test_adapter_is_merged_when_saved(tmp_path):
    model = reward_model_from(add_adapter(tiny_model(), LoraConfig(rank=2)))
    assert {name.split(".")[-3] for name, _ in model.trainable_parameters() if name != "head.weight"} <= {
        "lora_A",
        "lora_B",
    }
    with torch.no_grad():
        for name, weight in model.trainable_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1)
    packed = packed_rows(model)
    save_reward_model(model, tmp_path / "model")
    assert torch.allclose(
        load_reward_model(tmp_path / "model").scores(packed), model.scores(packed), atol=1e-4
    )
    assert any("lora_B" in name for name, _ in model.trainable_parameters())


def test_reward_model_learns_without_changing_its_start():
    start = tiny_model()
    before = start.version
    model = reward_model_from(start)
    with torch.no_grad():
        for _, weight in model.trainable_parameters():
            weight.add_(1.0)
    assert start.version == before


@pytest.mark.parametrize(("trainable_layers", "names"), [(0, 1), (1, 11), (2, 20), (None, 21)])
def test_trainable_layers_counts_from_the_top(trainable_layers, names):
    # a llama layer has 9 weights; above the layers one norm; the embedding trains only without the option
    model = reward_model_from(tiny_model(), trainable_layers=trainable_layers)
    assert len(model.trainable_parameters()) == names
    assert frozen_layers(model.body) == (0 if trainable_layers is None else 2 - trainable_layers)


def test_frozen_weights_are_shared_with_a_start_that_freezes_them_too():
    start = tiny_model()
    start.network.requires_grad_(False)
    model = reward_model_from(start, trainable_layers=1)
    assert model.body.layers[0].mlp.up_proj.weight is start.body.layers[0].mlp.up_proj.weight
    assert model.body.layers[1].mlp.up_proj.weight is not start.body.layers[1].mlp.up_proj.weight
    # what the start trains is copied, or its training would move the scores
    learning = tiny_model()
    copied = reward_model_from(learning, trainable_layers=1)
    assert copied.body.layers[0].mlp.up_proj.weight is not learning.body.layers[0].mlp.up_proj.weight


def test_trunk_of_the_policy_serves_the_reward_model():
    start = tiny_model()
    start.network.requires_grad_(False)
    model = reward_model_from(start, trainable_layers=1)
    packed = packed_rows(model)
    states = trunk_states(start, packed.ragged, 1)
    assert torch.equal(model.scores(packed, from_states=states), model.scores(packed))


def test_head_stays_fp32_under_autocast(reward_model):
    hidden = torch.full((1, 64), 1.0 + 2.0**-10)  # bf16 would round it to 1
    with torch.autocast("cpu", torch.bfloat16):
        score = reward_model.head_scores(hidden)
    assert score.dtype == torch.float32
    assert torch.equal(score, hidden @ reward_model.head.weight[0])


@pytest.mark.parametrize("count", [-1, 3])
def test_layers_that_are_not_there_are_refused(count):
    with pytest.raises(ModelError, match=f"trainable_layers is {count}; expected 0 to 2"):
        reward_model_from(tiny_model(), trainable_layers=count)


def test_folders_that_are_no_reward_model_are_refused(reward_model, tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json"):
        load_reward_model(tmp_path)
    (tmp_path / "diary.txt").write_text("mine")
    with pytest.raises(ModelError, match="would be replaced"):
        save_reward_model(reward_model, tmp_path)
    save_reward_model(reward_model, tmp_path / "model")
    weights = load_file(tmp_path / "model" / "model.safetensors")
    save_file(
        {name: weights[name] for name in weights if name != "score.weight"},
        tmp_path / "model" / "model.safetensors",
    )
    with pytest.raises(ModelError, match=r"lacks weights of a reward model \(score\.weight\)"):
        load_reward_model(tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ModelError, match="does not load as a reward model"):
        load_reward_model(tmp_path / "model")
    config = json.loads((tmp_path / "model" / "config.json").read_text())
    config["id2label"] = {"0": "a", "1": "b"}
    config["label2id"] = {"a": 0, "b": 1}
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="2 labels"):
        load_reward_model(tmp_path / "model")


def test_pad_that_ends_an_answer_is_not_saved(reward_model, tmp_path):
    reward_model.tokenizer.pad_id = reward_model.tokenizer.eos_id
    with pytest.raises(ModelError, match="also ends an answer"):
        save_reward_model(reward_model, tmp_path / "model")


def test_empty_completion_is_refused(reward_model):
    with pytest.raises(DataError, match="is empty"):
        reward_model.scores(prompt_completion_batch([([1], [[]])]))


def test_several_dimensions_mix_into_one_score(tmp_path):
    model = reward_model_from(tiny_model(), dimensions=("help", "harm"), mix=(1.0, -2.0))
    packed = packed_rows(model)
    hidden = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    parts = model.dimension_scores(hidden)
    assert parts.shape == (3, 2)
    torch.testing.assert_close(model.head_scores(hidden), parts[:, 0] - 2 * parts[:, 1])
    save_reward_model(model, tmp_path / "model")
    loaded = load_reward_model(tmp_path / "model")
    assert (loaded.dimensions, loaded.mix.tolist()) == (("help", "harm"), [1.0, -2.0])
    torch.testing.assert_close(loaded.scores(packed), model.scores(packed))
    (tmp_path / "model" / "accord_reward.json").unlink()
    with pytest.raises(ModelError, match="2 labels; expected 1"):
        load_reward_model(tmp_path / "model")


@pytest.mark.parametrize("names", [("a",), ("a", "a"), ("a", "b", "c")])
def test_dimensions_that_do_not_fit_the_head_are_refused(reward_model, names):
    head = torch.nn.Linear(64, 2, bias=False)
    with pytest.raises(ModelError, match="the head has 2 outputs"):
        RewardModel(reward_model.body, head, reward_model.tokenizer, dimensions=names)
    with pytest.raises(ModelError, match="1 parts for 2 dimensions"):
        RewardModel(reward_model.body, head, reward_model.tokenizer, dimensions=("a", "b"), mix=[1.0])
