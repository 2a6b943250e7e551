import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)
from transformers.models.auto import AutoModelForCausalLM

from accord.domain.errors import DataError, ModelError
from accord.models.attention import (
    AttentionLayout,
    AttentionPart,
    masked_attention,
    ragged_attention,
    ragged_attention_forward,
)
from accord.models.batching import plan_micro_batches
from accord.models.language_model import LanguageModel
from accord.models.ragged import (
    COVERED_FAMILIES,
    Ragged,
    Segment,
    body_of,
    can_split,
    dense_hidden_states,
    frozen_layers,
    hidden_states,
    prompt_completion_batch,
    runs_ragged,
    shared_prefix,
    trunk_states,
)
from accord.models.tiny import tiny_model

VOCABULARY = 61
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 64,
}
SPECIALS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
CONFIGS = {
    "llama": LlamaConfig(**SIZES, **SPECIALS),
    "mistral": MistralConfig(**SIZES, **SPECIALS, sliding_window=None),
    "qwen2": Qwen2Config(**{key: SIZES[key] for key in SIZES if key != "head_dim"}, **SPECIALS),
    "qwen3": Qwen3Config(**SIZES, **SPECIALS),
    "smollm3": SmolLM3Config(**SIZES, **SPECIALS, no_rope_layer_interval=2),
    "gemma": GemmaConfig(**SIZES, **SPECIALS),
    "gemma3_text": Gemma3TextConfig(**SIZES, **SPECIALS, sliding_window=40),
}


def make_body(config) -> PreTrainedModel:
    torch.manual_seed(0)
    body = body_of(AutoModelForCausalLM.from_config(config).eval())
    with torch.no_grad():  # norms that start at exactly 1 (or 0) would hide a norm that is skipped
        for weight in body.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return body


def awkward_batch() -> Ragged:
    """A lone token, children of one token, a chain three deep, siblings that do not lie together."""
    ids = iter(torch.randint(3, VOCABULARY, (200,), generator=torch.Generator().manual_seed(1)).tolist())
    shape = [(5, None), (1, None), (7, 0), (1, 0), (3, 1), (9, 2), (1, 2), (4, 0), (2, 5), (13, None)]
    return Ragged.pack([Segment([next(ids) for _ in range(n)], parent) for n, parent in shape])


def one_by_one(body: PreTrainedModel, batch: Ragged) -> torch.Tensor:
    """Every segment's path run alone, without padding or mask: transformers and nothing else."""
    rows = []
    for segment in range(len(batch.lengths)):
        path = batch.rows_of_path(segment)
        output = body(input_ids=batch.token_ids[path][None], use_cache=False).last_hidden_state[0]
        rows.append(output[-batch.lengths[segment] :])
    return torch.cat(rows)


def gradients(body: PreTrainedModel, hidden: torch.Tensor) -> list[torch.Tensor]:
    upstream = torch.randn(hidden.shape, generator=torch.Generator().manual_seed(2))
    return list(torch.autograd.grad((hidden * upstream).sum(), list(body.parameters())))


def assert_same(body: PreTrainedModel, batch: Ragged, ours: torch.Tensor) -> None:
    expected = one_by_one(body, batch)
    assert torch.allclose(ours, expected, atol=1e-5, rtol=1e-5)
    for own, plain in zip(gradients(body, ours), gradients(body, expected), strict=True):
        assert (own - plain).abs().max() <= 1e-5 * max(1.0, float(plain.abs().max()))


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_ragged_forward_and_gradient_equal_each_row_alone(family):
    body, batch = make_body(CONFIGS[family]), awkward_batch()
    assert runs_ragged(body, batch)
    assert_same(body, batch, hidden_states(body, batch))


def test_every_covered_family_has_its_exactness_test():
    assert {config.model_type for config in CONFIGS.values()} == set(COVERED_FAMILIES)


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_padded_oracle_equals_each_row_alone(family):
    body, batch = make_body(CONFIGS[family]), awkward_batch()
    assert_same(body, batch, dense_hidden_states(body, batch))


def test_row_longer_than_a_sliding_window_runs_padded_and_is_right():
    # the longest path has 5 + 7 + 9 + 2 = 23 tokens, so a window of 23 still shows everything
    batch = awkward_batch()
    assert batch.max_positions == 23
    wide = make_body(Gemma3TextConfig(**SIZES, **SPECIALS, sliding_window=23))
    narrow = make_body(Gemma3TextConfig(**SIZES, **SPECIALS, sliding_window=22))
    assert runs_ragged(wide, batch)
    assert not runs_ragged(narrow, batch)
    assert_same(wide, batch, hidden_states(wide, batch))
    assert_same(narrow, batch, hidden_states(narrow, batch))
    mistral = make_body(MistralConfig(**SIZES, **SPECIALS, sliding_window=6))
    assert_same(mistral, batch, hidden_states(mistral, batch))


@pytest.mark.parametrize(
    "config",
    [
        Gemma2Config(**SIZES, **SPECIALS, attn_implementation="eager"),
        GPT2Config(vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64),
    ],
    ids=["gemma2", "gpt2"],
)
def test_family_that_is_not_covered_runs_padded_and_is_right(config):
    body, batch = make_body(config), awkward_batch()
    assert not runs_ragged(body, batch)
    assert not can_split(body, batch)
    assert_same(body, batch, hidden_states(body, batch))


def test_attention_dropout_runs_padded_in_training_only():
    body = make_body(LlamaConfig(**SIZES, **SPECIALS, attention_dropout=0.1))
    assert runs_ragged(body, awkward_batch())
    assert not runs_ragged(body.train(), awkward_batch())


@pytest.mark.parametrize("argument", [{"softcap": 50.0}, {"s_aux": torch.zeros(4)}, {"dropout": 0.1}])
def test_attention_refuses_what_it_does_not_honor(argument):
    body, batch = make_body(CONFIGS["llama"]), awkward_batch()
    query = torch.zeros(1, 4, batch.n_tokens, 8)
    attention = body.layers[0].self_attn
    with pytest.raises(ModelError, match=f"wants {next(iter(argument))} in its scores"):
        ragged_attention_forward(
            attention, query, query, query, None, ragged_layout=batch.layout(), **argument
        )


def test_gradient_checkpointing_changes_no_bit():
    body, batch = make_body(CONFIGS["llama"]).train(), awkward_batch()
    plain = gradients(body, hidden_states(body, batch))
    body.activation_checkpointing_enable()
    for own, other in zip(gradients(body, hidden_states(body, batch)), plain, strict=True):
        assert torch.equal(own, other)


def test_packed_rows_do_not_see_each_other():
    # trap 38: other documents in the batch change neither value nor gradient of a row
    body = make_body(CONFIGS["llama"])
    row = Segment(list(range(3, 20)))
    alone = hidden_states(body, Ragged.pack([row]))
    crowded = Ragged.pack([Segment([5, 6, 7]), row, Segment([8] * 11)])
    among = hidden_states(body, crowded)[crowded.slice_of(1)]
    assert torch.allclose(alone, among, atol=1e-6)
    for own, other in zip(gradients(body, alone), gradients(body, among), strict=True):
        assert torch.allclose(own, other, atol=1e-5)


def test_padded_forward_of_the_same_model_still_works_after_a_ragged_one():
    # traps 4 and 5: after a ragged pass the plain forward under the same name still reads its mask
    body, batch = make_body(CONFIGS["llama"]), Ragged.pack([Segment([5, 6, 7, 8])])
    hidden = hidden_states(body, batch)
    ids = torch.tensor([[0, 0, 5, 6, 7, 8], [9, 9, 9, 9, 9, 9]])
    mask = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    left = body(input_ids=ids, attention_mask=mask, position_ids=positions).last_hidden_state[0, 2:]
    assert torch.allclose(hidden, left, atol=1e-5)


def test_bf16_autocast_stays_near_fp32_and_keeps_attention_exact():
    body, batch = make_body(CONFIGS["llama"]), awkward_batch()
    exact = hidden_states(body, batch)
    with torch.autocast("cpu", torch.bfloat16):
        low = hidden_states(body, batch)
        plain = one_by_one(body, batch)
    # bf16 keeps 8 bits: our error may not exceed that of the plain forward by more than chance
    assert (low.float() - exact).norm() <= 1.1 * (plain.float() - exact).norm()


def test_attention_matches_softmax_by_hand():
    # a child of one token sees two prefix keys and its own, with scores q*k = 0, ln 2, ln 3
    # so weights 1/6, 2/6, 3/6 and output 1/6*6 + 2/6*9 + 3/6*2 = 5
    scores = torch.tensor([1.0, 2.0, 3.0]).log()
    query, key = torch.ones(1, 1, 3, 1), scores.view(1, 1, 3, 1)
    value = torch.tensor([6.0, 9.0, 2.0]).view(1, 1, 3, 1)
    layout = AttentionLayout.of((0, 2), (2, 1), ((), (0,)))
    output = ragged_attention(query, key, value, layout, scale=1.0)
    assert output.flatten().tolist() == pytest.approx([6.0, 1 / 3 * 6 + 2 / 3 * 9, 5.0])


def test_descendants_that_lie_together_read_their_ancestor_in_one_part():
    # segments: prompt 0-2, answers 3-4 and 5-5, another row 6-6, a late answer 7-8
    layout = AttentionLayout.of((0, 3, 5, 6, 7), (3, 2, 1, 1, 2), ((), (0,), (0,), (), (0,)))
    assert layout.parts[5:] == (
        AttentionPart(slice(3, 6), slice(0, 3), is_causal=False),
        AttentionPart(slice(7, 9), slice(0, 3), is_causal=False),
    )


def test_attention_gradient_equals_finite_differences():
    torch.manual_seed(0)
    layout = AttentionLayout.of((0, 2, 3), (2, 1, 3), ((), (0,), (0, 1)))
    tensors = [torch.randn(1, heads, 6, 4, dtype=torch.double, requires_grad=True) for heads in (4, 2, 2)]
    assert torch.autograd.gradcheck(lambda q, k, v: ragged_attention(q, k, v, layout), tensors)


def test_parts_equal_one_masked_call_in_value_and_gradient():
    layout = awkward_batch().layout()
    generator = torch.Generator().manual_seed(0)
    shape = (awkward_batch().n_tokens, 8)
    tensors = [torch.randn(1, heads, *shape, generator=generator, requires_grad=True) for heads in (4, 2, 2)]
    upstream = torch.randn(1, shape[0], 4, 8, generator=generator)
    parts, masked = ragged_attention(*tensors, layout), masked_attention(*tensors, layout, scale=8**-0.5)
    assert torch.allclose(parts, masked, atol=1e-6)
    for own, other in zip(
        torch.autograd.grad((parts * upstream).sum(), tensors),
        torch.autograd.grad((masked * upstream).sum(), tensors),
        strict=True,
    ):
        assert torch.allclose(own, other, atol=1e-5)


def test_segments_say_where_they_lie():
    batch = Ragged.pack([Segment([4, 5]), Segment([6], 0), Segment([7, 8], 1)])
    assert batch.token_ids.tolist() == [4, 5, 6, 7, 8]
    assert batch.position_ids.tolist() == [0, 1, 2, 3, 4]
    assert (batch.starts, batch.lengths, batch.parents) == ((0, 2, 3), (2, 1, 2), (-1, 0, 1))
    assert batch.path_of(2) == (0, 1, 2)
    assert batch.n_tokens == batch.max_positions == 5


@pytest.mark.parametrize(
    ("segments", "match"),
    [
        ([], "at least one segment"),
        ([Segment([1]), Segment([])], "segment 1 is empty"),
        ([Segment([1], 0)], "segment 0 has parent 0"),
        ([Segment([1]), Segment([1], -2)], "parent -2"),
    ],
)
def test_batch_that_makes_no_sense_is_refused(segments, match):
    with pytest.raises(DataError, match=match):
        Ragged.pack(segments)


def test_prompt_longer_than_the_context_is_refused():
    with pytest.raises(ModelError, match=r"65 tokens .* at most 64"):
        hidden_states(make_body(CONFIGS["llama"]), Ragged.pack([Segment([3] * 65)]))


def test_completions_know_their_predictors_targets_and_ends():
    packed = prompt_completion_batch([([10, 11], [[12, 13], [14]]), ([15], [[16, 17, 18]])])
    # rows: 10 11 | 12 13 | 14 | 15 | 16 17 18
    assert packed.ragged.token_ids.tolist() == [10, 11, 12, 13, 14, 15, 16, 17, 18]
    assert packed.predictor_index.tolist() == [1, 2, 1, 5, 6, 7]
    assert packed.targets.tolist() == [12, 13, 14, 16, 17, 18]
    assert packed.sequence_index.tolist() == [0, 0, 1, 2, 2, 2]
    assert packed.last_index.tolist() == [3, 4, 8]
    assert packed.group_index.tolist() == [0, 0, 1]
    # repeated prompts would make (2+2) + (2+1) + (1+3) tokens
    assert (packed.ragged.n_tokens, packed.n_plain_tokens) == (9, 11)


@pytest.mark.parametrize(
    ("groups", "match"),
    [
        ([([], [[1]])], "prompt 0 is empty"),
        ([([1], [])], "no completion"),
        ([([1], [[2], []])], "completion of prompt 0 is empty"),
    ],
)
def test_empty_prompts_and_completions_are_refused(groups, match):
    with pytest.raises(DataError, match=match):
        prompt_completion_batch(groups)


@pytest.mark.parametrize("n_layers", [0, 1, 3])
def test_trunk_and_rest_equal_the_whole_bit_for_bit(n_layers):
    body, batch = make_body(CONFIGS["smollm3"]), awkward_batch()
    states = trunk_states(body, batch, n_layers)
    assert torch.equal(hidden_states(body, batch, from_states=states), hidden_states(body, batch))


def test_frozen_layers_keep_no_graph():
    body, batch = make_body(CONFIGS["llama"]), awkward_batch()
    body.requires_grad_(False)
    assert frozen_layers(body) == 3
    body.layers[1].requires_grad_(True)
    assert frozen_layers(body) == 1
    assert not trunk_states(body, batch, 1).values.requires_grad
    assert hidden_states(body, batch).requires_grad
    body.embed_tokens.requires_grad_(True)
    assert frozen_layers(body) == 0


def test_family_that_changes_its_embeddings_refuses_to_split():
    with pytest.raises(ModelError, match="gemma models do not run from a middle layer"):
        trunk_states(make_body(CONFIGS["gemma"]), awkward_batch(), 1)


def test_bundle_and_body_give_the_same():
    model = tiny_model()
    assert isinstance(model, LanguageModel)
    batch = Ragged.pack([Segment([1, 2, 3])])
    assert torch.equal(hidden_states(model, batch), hidden_states(model.network, batch))
    with pytest.raises(ModelError, match="Linear is no transformers model"):
        hidden_states(torch.nn.Linear(2, 2), batch)


def test_plan_fills_the_budget_evenly_and_loses_no_row():
    # 24 tokens in batches of 12: two batches, longest first into the emptier: 9+3 and 7+5
    assert plan_micro_batches([3, 9, 5, 7], 12) == [[0, 1], [2, 3]]
    assert plan_micro_batches([20, 1], 10) == [[0], [1]]
    assert plan_micro_batches([], 10) == []
    # 18 tokens fit two batches of 9 by count but not by size: 6+6 is too much, so a third is opened
    assert plan_micro_batches([6, 6, 6], 9) == [[0], [1], [2]]
    with pytest.raises(DataError, match="budget_tokens is 0"):
        plan_micro_batches([1], 0)
    with pytest.raises(DataError, match="has 0 tokens"):
        plan_micro_batches([1, 0], 5)


def test_what_all_prompts_begin_with_runs_once_and_changes_nothing():
    system = [40, 41, 42, 43, 44, 45]
    groups = [
        ([*system, 7, 8], [[9, 10], [11]]),
        ([*system, 7], [[12, 13, 14]]),
        ([*system, 20, 21, 22], [[23], [24, 25]]),
    ]
    model = tiny_model(seed=3)
    shared, apart = prompt_completion_batch(groups), prompt_completion_batch(groups, shares_prefix=False)
    assert (apart.ragged.n_tokens, shared.ragged.n_tokens) == (33, 33 - 2 * len(system))
    assert shared.n_plain_tokens == apart.n_plain_tokens
    gradients = []
    for batch in (shared, apart):
        hidden = hidden_states(model, batch.ragged)
        chosen = torch.cat([hidden[batch.predictor_index], hidden[batch.last_index]])
        model.network.zero_grad()
        (chosen * torch.arange(len(chosen))[:, None]).mean().backward()
        gradients.append([weight.grad.clone() for _, weight in model.trainable_parameters()])
        assert torch.equal(batch.targets, apart.targets)
        assert torch.equal(batch.sequence_index, apart.sequence_index)
        assert torch.equal(batch.group_index, apart.group_index)
        if batch is shared:
            expected = chosen.detach()
    assert torch.allclose(chosen, expected, atol=1e-5)
    for left, right in zip(*gradients, strict=True):
        assert torch.allclose(left, right, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ([[1, 2, 3], [1, 2, 4]], [1, 2]),
        ([[1, 2, 3], [1, 2, 3]], [1, 2]),  # each prompt keeps a token of its own
        ([[1, 2], [1, 2, 3, 4], [1, 2, 3, 5]], [1]),
        ([[1, 2, 3]], []),
        ([[1, 2], [3, 2]], []),
        ([[1], [1]], []),
        ([[5, *range(30)], [5, *range(30, 60)]], []),  # one token of 62 saved does not pay
    ],
)
def test_a_prefix_is_shared_where_it_pays(prompts, expected):
    assert shared_prefix(prompts) == expected


@pytest.mark.parametrize("backend", [hidden_states, dense_hidden_states], ids=["ragged", "dense"])
@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_trap_39_a_mask_of_ones_beside_positions_lets_no_document_see_another(family, backend):
    # the ragged batch goes in as one row under a mask of ones; only its layout keeps documents apart
    body = make_body(CONFIGS[family])
    first, other, second = [5, 9, 3, 7], [8, 4, 6, 11], [12, 3, 20, 9, 31]
    found = [backend(body, Ragged.pack([Segment(ids), Segment(second)]))[4:] for ids in (first, other)]
    assert torch.allclose(found[0], found[1], atol=1e-6)
    alone = body(input_ids=torch.tensor([second]), use_cache=False).last_hidden_state[0]
    assert torch.allclose(found[0], alone, atol=1e-5, rtol=1e-5)
    rows = body.get_input_embeddings().weight
    (gradient,) = torch.autograd.grad(found[0].square().sum(), rows)
    only_in_first = sorted({*first} - {*second})
    assert gradient[only_in_first].abs().max() == 0
    assert gradient[second].abs().sum(1).min() > 0
