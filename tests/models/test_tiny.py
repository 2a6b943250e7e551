import torch
from hypothesis import given
from hypothesis import strategies as st

from accord.models.language_model import LanguageModel
from accord.models.tiny import byte_symbols, byte_tokenizer, tiny_model

TOKENIZER = byte_tokenizer()


@given(text=st.text())
def test_ids_of_a_text_are_its_bytes(text: str):
    assert TOKENIZER(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] == [
        *text.encode()
    ]


def test_byte_symbols_are_the_byte_level_alphabet():
    from tokenizers.pre_tokenizers import ByteLevel

    assert sorted(byte_symbols()) == sorted(ByteLevel.alphabet())
    assert byte_symbols()[ord("A")] == "A"
    assert byte_symbols()[ord(" ")] == "Ġ"  # 33 bytes before it are hidden, and Ġ is 256 + 32
    assert byte_symbols()[ord("\n")] == "Ċ"


def test_bytes_that_are_no_text_decode_to_replacement_signs():
    assert tiny_model().tokenizer.decode([ord("a"), 0xFF, ord("b"), 257]) == "a\N{REPLACEMENT CHARACTER}b"


def test_equal_seeds_give_equal_models_and_leave_the_global_generator_alone():
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    versions = [tiny_model(seed).version for seed in (3, 3, 4)]
    assert torch.rand(1) == expected
    assert versions[0] == versions[1] != versions[2]


def test_it_is_small_and_every_id_has_an_embedding(tiny: LanguageModel):
    # 256 bytes, BOS, EOS, pad, 4 markers = 263 rows of 64; a layer: q 64x64, k and v 32x64, o 64x64,
    # three 128x64 of the feed-forward, two norms of 64; the final norm of 64; the head is the embedding
    layer = 2 * 64 * 64 + 2 * 32 * 64 + 3 * 128 * 64 + 2 * 64
    assert tiny.head_weight.shape == (263, 64)
    assert sum(weight.numel() for weight in tiny.network.parameters()) == 263 * 64 + 2 * layer + 64
    assert tiny.tokenizer.vocab_size == 263
