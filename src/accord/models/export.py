"""Saving a model as a plain Hugging Face folder that transformers (or peft) loads without Accord."""

import json
from pathlib import Path

from peft import PeftModel

from accord.domain.errors import ModelError
from accord.domain.files import atomic_folder
from accord.models.adapters import merged_copy
from accord.models.language_model import LanguageModel
from accord.models.silence import without_progress_bars

ADAPTER_RECORD = "accord_adapter.json"
"""Beside an adapter: what it was trained on, by name and by hash of the weights."""


def save_model(model: LanguageModel, folder: str | Path, *, merge: bool = True) -> Path:
    """Write config, safetensors, tokenizer, chat template and generation config, all or nothing.

    A LoRA model is written merged, or with `merge=False` as an adapter that names its base.
    A folder that holds a model is replaced; one that holds anything else is refused.
    """
    target = Path(folder).expanduser()
    refuse_foreign_folder(target)
    with atomic_folder(target) as temporary, without_progress_bars():
        if isinstance(model.network, PeftModel) and not merge:
            _save_adapter(model, model.network, temporary)
        else:
            merged_copy(model).causal_lm.save_pretrained(temporary)
        model.tokenizer.hf.save_pretrained(temporary)
    return target


def _save_adapter(model: LanguageModel, network: PeftModel, folder: Path) -> None:
    if model.source is None:
        raise ModelError(
            f"the base below the adapter of {model.name!r} was never saved, so an adapter alone could not be "
            f"loaded again. Save with merge=True."
        )
    for config in network.peft_config.values():
        config.base_model_name_or_path = model.causal_lm.name_or_path or model.source
    network.save_pretrained(str(folder), save_embedding_layers=False)
    _sort_targets(folder / "adapter_config.json")
    record = {"base": model.source, "base_version": model.base_version}
    (folder / ADAPTER_RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _sort_targets(path: Path) -> None:
    """peft writes a set, whose order differs from process to process; equal adapters shall be equal files."""
    config = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def refuse_foreign_folder(target: Path) -> None:
    """Replacing a folder removes what it held; that must be a model."""
    if not target.exists():
        return
    if not target.is_dir():
        raise ModelError(f"{target} is a file; give a folder to save the model in.")
    names = {entry.name for entry in target.iterdir()}
    if names and not names & {"config.json", "adapter_config.json"}:
        raise ModelError(
            f"{target} holds other files ({', '.join(sorted(names)[:3])}, ...) and would be replaced. "
            f"Give a new or empty folder."
        )
