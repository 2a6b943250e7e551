import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from accord.domain import ModelError, Prompt
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.export import save_model
from accord.models.language_model import LanguageModel
from accord.models.loading import load_model
from accord.models.tiny import tiny_model

PROMPT = Prompt.from_text("What is a kettle?", system="Be brief.")
WITHOUT_ACCORD = """
import json, sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is a kettle?"}]
for folder, base in json.loads(sys.argv[1]):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    network = AutoModelForCausalLM.from_pretrained(base or folder)
    if base:
        network = PeftModel.from_pretrained(network, folder)
    rendered = tokenizer.apply_chat_template(turns, add_generation_prompt=True, tokenize=False)
    row = tokenizer(rendered, add_special_tokens=False, return_tensors="pt")["input_ids"]
    seen = {
        "row": row[0].tolist(),
        "logits": network(input_ids=row).logits[0, -1].tolist(),
        "ends": network.generation_config.eos_token_id,
        "pads": [network.config.pad_token_id, tokenizer.pad_token_id],
    }
    print(json.dumps(seen))
assert not [name for name in sys.modules if name.startswith("accord")]
"""


def load_elsewhere(*folders: tuple[Path, Path | None]) -> list[dict]:
    """Load and run each folder (an adapter on its base) in a process that never imports accord."""
    pairs = [[str(folder), base and str(base)] for folder, base in folders]
    command = [sys.executable, "-c", WITHOUT_ACCORD, json.dumps(pairs)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def last_logits(model: LanguageModel) -> torch.Tensor:
    with torch.no_grad():
        row = torch.tensor([model.tokenizer.prompt_ids(PROMPT)])
        return model.network(input_ids=row).logits[0, -1]


def trained_adapter(base: LanguageModel) -> LanguageModel:
    model = add_adapter(base, LoraConfig(rank=4))
    with torch.no_grad():
        for name, weight in model.trainable_parameters():
            if "lora_B" in name:
                weight.fill_(0.01)
    return model


def test_plain_merged_and_adapter_folders_load_without_accord(tmp_path: Path):
    base = tmp_path / "base"
    save_model(tiny_model(5), base)
    model = trained_adapter(load_model(base))
    save_model(model, tmp_path / "merged")
    save_model(model, tmp_path / "adapter", merge=False)
    plain, merged, adapter = load_elsewhere(
        (base, None), (tmp_path / "merged", None), (tmp_path / "adapter", base)
    )
    for seen, expected in ((plain, tiny_model(5)), (merged, model), (adapter, model)):
        torch.testing.assert_close(torch.tensor(seen["logits"]), last_logits(expected), rtol=0, atol=1e-5)
        assert seen["row"] == model.tokenizer.prompt_ids(PROMPT)
        assert seen["ends"] == model.tokenizer.eos_id
        assert seen["pads"] == [model.tokenizer.pad_id] * 2
    assert plain["logits"] != merged["logits"]


def test_a_saved_folder_holds_what_transformers_needs_and_nothing_else(tmp_path: Path, tiny: LanguageModel):
    save_model(tiny, tmp_path / "out")
    assert {entry.name for entry in (tmp_path / "out").iterdir()} == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }


def test_a_saved_model_comes_back_bit_for_bit(tmp_path: Path):
    for dtype in (torch.float32, torch.bfloat16):
        model = load_model("tiny", dtype=dtype)
        save_model(model, tmp_path / "out")
        again = load_model(tmp_path / "out", dtype=dtype)
        assert again.version == model.version
        assert again.name == "out"
        assert again.tokenizer.prompt_ids(PROMPT) == model.tokenizer.prompt_ids(PROMPT)


def test_saving_changes_nothing_in_the_model(tmp_path: Path):
    model = trained_adapter(tiny_model())
    before = (model.version, [name for name, _ in model.trainable_parameters()])
    for merge in (True, False):
        save_model(model, tmp_path / "out", merge=merge)
        assert (model.version, [name for name, _ in model.trainable_parameters()]) == before


def test_an_adapter_whose_base_was_never_saved_must_be_merged(tmp_path: Path):
    model = trained_adapter(tiny_model(5))
    with pytest.raises(ModelError, match="never saved"):
        save_model(model, tmp_path / "out", merge=False)
    assert list(tmp_path.iterdir()) == []


def test_equal_adapters_are_equal_files(tmp_path: Path):
    config = save_model(trained_adapter(tiny_model()), tmp_path / "out", merge=False) / "adapter_config.json"
    targets = json.loads(config.read_text())[
        "target_modules"
    ]  # a set in peft, in another order in each process
    assert targets == sorted(targets)
    assert len(targets) > 1


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path, tiny: LanguageModel):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ModelError, match=r"holds other files \(thesis.tex"):
        save_model(tiny, tmp_path)
    with pytest.raises(ModelError, match="is a file"):
        save_model(tiny, tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_an_older_model_is_replaced_whole(tmp_path: Path, tiny: LanguageModel):
    save_model(trained_adapter(tiny_model()), tmp_path / "out", merge=False)
    save_model(tiny, tmp_path / "out")
    assert not (tmp_path / "out" / "adapter_config.json").exists()
    assert load_model(tmp_path / "out").version == tiny.version
