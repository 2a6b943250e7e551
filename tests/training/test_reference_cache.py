"""Reference log-probs from run to run: the same numbers, found by content, never another reference's."""

import dataclasses
import json

import pytest
import torch

from accord.domain import Streams, TrainingError, Verdict
from accord.models.tiny import tiny_model
from accord.training import DpoConfig, OptimizationConfig, train_dpo
from accord.training.kto import KtoConfig, train_kto
from accord.training.reference_cache import ReferenceCache

OPTIMIZATION = OptimizationConfig(steps=4, learning_rate=1e-3, precision="fp32")


def weights_after(train, config, rows, **options):
    model = tiny_model()
    train(model, rows, config, streams=Streams(3), **options)
    return model.network.state_dict()


@pytest.fixture
def verdicts(preferences):
    sides = [(item.prompt, item.chosen, True) for item in preferences]
    sides += [(item.prompt, item.rejected, False) for item in preferences]
    return [Verdict(prompt=prompt, completion=text, is_desirable=side) for prompt, text, side in sides]


@pytest.mark.parametrize("stage", ["dpo", "kto"])
def test_a_second_run_reads_what_the_first_made_and_learns_the_same(preferences, verdicts, stage, tmp_path):
    rows, train = (preferences, train_dpo) if stage == "dpo" else (verdicts, train_kto)
    config = DpoConfig if stage == "dpo" else KtoConfig
    plain = config(batch_size=4, eval_share=0.0, is_shuffled=False, optimization=OPTIMIZATION)
    kept = dataclasses.replace(plain, reference_cache=str(tmp_path / "cache"))
    expected = weights_after(train, plain, rows)
    first = weights_after(train, kept, rows)
    (file,) = (tmp_path / "cache").iterdir()
    written = file.read_bytes()
    second = weights_after(train, kept, rows)
    # KTO's reference point pairs prompts with other rows' answers, which the cache holds as well
    assert file.read_bytes() == written  # what is not known would be added
    for name, weight in expected.items():
        assert torch.equal(first[name], weight), name
        assert torch.equal(second[name], weight), name


def test_another_reference_has_another_file(preferences, tmp_path):
    config = DpoConfig(batch_size=4, eval_share=0.0, reference_cache=str(tmp_path), optimization=OPTIMIZATION)
    weights_after(train_dpo, config, preferences)
    weights_after(train_dpo, config, preferences, reference=tiny_model(seed=1))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"{tiny_model(seed).version}-fp32.jsonl" for seed in (0, 1)}


def test_a_file_of_another_reference_is_refused(tmp_path):
    ReferenceCache(tmp_path, reference="aa", precision="fp32").add([("k", [1.5])])
    (tmp_path / "aa-fp32.jsonl").rename(tmp_path / "bb-fp32.jsonl")
    with pytest.raises(TrainingError, match=r'"reference": "aa".*this run needs.*"reference": "bb"'):
        ReferenceCache(tmp_path, reference="bb", precision="fp32")


def test_other_rows_are_not_found_and_known_ones_stay():
    cache = ReferenceCache(None, reference="", precision="")
    cache.add([("a", [1.0]), ("b", [2.0, 3.0])])
    cache.add([("a", [9.0])])
    assert cache.get(["b", "a"]) == [(2.0, 3.0), (1.0,)]
    assert cache.get(["a", "c"]) is None
    assert len(cache) == 2


def test_a_line_cut_off_by_a_kill_is_dropped_and_the_next_is_whole(tmp_path):
    cache = ReferenceCache(tmp_path, reference="aa", precision="bf16")
    cache.add([("a", [0.1]), ("b", [-2.25])])
    text = cache.path.read_text()
    cache.path.write_text(text[:-6])
    again = ReferenceCache(tmp_path, reference="aa", precision="bf16")
    assert again.get(["a"]) == [(0.1,)]
    assert again.get(["b"]) is None
    again.add([("b", [-2.25])])
    assert ReferenceCache(tmp_path, reference="aa", precision="bf16").get(["a", "b"]) == [(0.1,), (-2.25,)]
    assert json.loads(text.splitlines()[0]) == {"format": 1, "reference": "aa", "precision": "bf16"}


def test_only_the_writing_rank_writes_and_a_place_that_cannot_be_written_is_named(tmp_path):
    ReferenceCache(tmp_path, reference="aa", precision="fp32", is_writer=False).add([("k", [1.0])])
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="could not be kept in"):
        ReferenceCache(tmp_path / "file", reference="aa", precision="fp32").add([("k", [1.0])])
