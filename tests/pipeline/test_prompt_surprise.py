"""Surprise of prompts: against the network's own logits, and through the command."""

import json

import pytest
import torch

from accord.cli.main import run_command
from accord.domain import DataError
from accord.models import load_model
from accord.pipeline.prompt_surprise import measure_prompt_nll


def test_it_is_the_mean_over_the_tokens_of_the_text_alone():
    model = load_model("tiny")
    hf = model.tokenizer.hf
    start = hf.bos_token_id if hf.bos_token_id is not None else min(model.tokenizer.stop_ids)
    text = "Where is my order?"
    ids = hf.encode(text, add_special_tokens=False)
    with torch.inference_mode():
        logits = model.network(input_ids=torch.tensor([[start, *ids]])).logits[0, :-1].float()
    by_token = -torch.log_softmax(logits, -1)[range(len(ids)), ids]
    found = measure_prompt_nll(model, [text, "Hi", text])
    assert found[0] == pytest.approx(float(by_token.mean()), rel=1e-4)
    assert found[2] == pytest.approx(found[0], rel=1e-6)
    with pytest.raises(DataError, match="prompt 2 is ''"):
        measure_prompt_nll(model, ["a", ""])


def test_drift_measures_it_with_a_reference_model(tmp_path, capsys):
    files = []
    for name, words in (("then", "where is my order"), ("now", "}}{{ ~~ 0x7f")):
        rows = [{"prompt_id": f"{name} {i}", "prompt": f"{words} {i}"} for i in range(24)]
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text("".join(json.dumps(row) + "\n" for row in rows))
    line = ["evaluate", "drift", *map(str, files), "--json"]
    assert run_command(line) == 0
    assert "--reference-model" in json.loads(capsys.readouterr().out)["not_measured"]["prompt_nll"]
    assert run_command([*line, "--reference-model", "tiny"]) == 0
    found = json.loads(capsys.readouterr().out)["measurements"]
    (level, before, change) = (one for one in found if one["metric"] == "prompt_nll")
    assert change["versus"] == "incumbent"
    assert change["estimate"]["value"] == pytest.approx(
        level["estimate"]["value"] - before["estimate"]["value"]
    )
