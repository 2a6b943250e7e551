"""A decoding step's small operations in one compiled file, `decode.c`, built on first use by a C compiler.

Between its products a step of torch spends 40 operations a layer, each of which finds its code and data
pushed out of the caches by the weights. What is built is kept in the user's cache folder, named by its
source, flags and processor. Without GCC, on other devices and head sizes, and where ACCORD_KERNEL is "off",
`load_kernel` gives None, and torch does the same work. Leaves out the products themselves (`packing`).
"""

import contextlib
import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

LANES = 16
"""Entries that the kernel takes at once; head size and width are multiples of it."""
FLAGS = ("-O3", "-march=native", "-std=gnu11", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-w")
TIMEOUT_S = 60
"""A build takes a third of a second; one that hangs is given up."""


class DecodeKernel:
    """The two functions of the compiled file for one head size and precision."""

    def __init__(self, library: ctypes.CDLL, dtype: torch.dtype):
        self.dtype = dtype
        pointer, size, real = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
        self._attend, self._add_norm = library.accord_attend, library.accord_add_norm
        self._attend.argtypes = [pointer, size, pointer, pointer, pointer, real, pointer]
        self._add_norm.argtypes = [size, size, pointer, pointer, pointer, real, pointer, size]
        self._attend.restype = self._add_norm.restype = None

    def add_norm(self, stream: Tensor, added: Tensor | None, weight: Tensor, eps: float) -> Tensor:
        """Adds to the stream [row, D] (fp32) in place, and gives its RMSNorm in the products' precision."""
        normed = torch.empty(stream.shape, dtype=self.dtype)
        self._add_norm(
            *stream.shape,
            stream.data_ptr(),
            None if added is None else added.data_ptr(),
            weight.data_ptr(),
            eps,
            normed.data_ptr(),
            torch.get_num_threads(),
        )
        return normed

    def attend(
        self, slots: Any, layer: int, joint: Tensor, cos: Tensor, sin: Tensor, scale: float, mixed: Tensor
    ) -> None:
        """Attention of one new token a slot, see `Slots` in decode.c; fills `mixed` [slot, head * d].

        `slots` is what `describe_slots` gave; joint, cos, sin and mixed are contiguous.
        """
        self._attend(
            slots.ctypes.data,
            layer,
            joint.data_ptr(),
            cos.data_ptr(),
            sin.data_ptr(),
            scale,
            mixed.data_ptr(),
        )


def describe_slots(sizes: list[int], tensors: list[Tensor]) -> Any:
    """The struct `Slots`: eight sizes (the last is for the threads, added here), then addresses."""
    addresses = [each.data_ptr() for each in tensors]
    return np.array([*sizes, torch.get_num_threads(), *addresses], dtype=np.int64)


def load_kernel(
    head_size: int, width: int, dtype: torch.dtype, *, cache: Path | None = None
) -> DecodeKernel | None:
    """The kernel for heads, a stream and products like these; None where it cannot be built."""
    if os.environ.get("ACCORD_KERNEL") == "off":
        return None
    fits = head_size % LANES == 0 and width % LANES == 0 and dtype in (torch.float32, torch.bfloat16)
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not fits or compiler is None or platform.system() != "Linux":
        return None
    flags = [*FLAGS, f"-DHEAD_SIZE={head_size}", f"-DIS_BF16={int(dtype == torch.bfloat16)}"]
    # RuntimeError: a user without a home folder.
    with contextlib.suppress(OSError, subprocess.SubprocessError, RuntimeError):
        return DecodeKernel(ctypes.CDLL(str(_built(compiler, flags, cache or cache_folder()))), dtype)
    return None


def cache_folder() -> Path:
    """Where built files are kept: `kernels` in $ACCORD_CACHE, else in the user's cache of accord."""
    root = os.environ.get("ACCORD_CACHE")
    if root:
        return Path(root) / "kernels"
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "accord" / "kernels"


def _built(compiler: str, flags: list[str], folder: Path) -> Path:
    """The shared library, made if it is not there yet; raises what the compiler or the disk raises."""
    source = Path(__file__).with_name("decode.c")
    threads = _thread_library()
    parts = [source.read_text(encoding="utf-8"), compiler, *flags, str(threads), _processor()]
    built = folder / f"decode-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:24]}.so"
    if built.exists():
        return built
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(dir=folder) as place:
        unlinked, linked = Path(place) / "decode.o", Path(place) / "decode.so"
        parallel = ["-fopenmp"] if threads else []
        for command in (
            [compiler, *flags, *parallel, "-c", str(source), "-o", str(unlinked)],
            # Threads are torch's own: a second pool would fight with it for the cores.
            [
                compiler,
                "-shared",
                str(unlinked),
                *([str(threads)] if threads else []),
                "-lm",
                "-o",
                str(linked),
            ],
        ):
            subprocess.run(command, check=True, capture_output=True, timeout=TIMEOUT_S)
        linked.replace(built)
    return built


def _thread_library() -> Path | None:
    """The OpenMP that came with torch."""
    return next(iter(sorted(Path(torch.__file__).parent.glob("lib/libgomp*.so*"))), None)


def _processor() -> str:
    """What `-march=native` stands for here."""
    lines: list[str] = []
    with contextlib.suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.startswith(("flags", "Features", "model name"))][
            :2
        ]
    return platform.machine() + "".join(lines)
