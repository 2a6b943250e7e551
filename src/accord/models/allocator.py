"""Keeps freed memory inside the process, so that large tensors do not fault in fresh pages at each step.

glibc hands every large block back to the kernel when it is freed, and the page faults of getting
it again cost 15 to 50 % of a training step on a CPU. Called by the entry of a training, never on
import. Does nothing under another C library or an allocator that was preloaded (tcmalloc,
jemalloc): those keep their blocks anyway. The price: memory that was once used stays with the process.
"""

import ctypes
import platform

M_TRIM_THRESHOLD = -1
M_MMAP_MAX = -4
"""Parameters of mallopt(3), as in glibc's malloc.h."""

NEVER = 2**31 - 1
"""The largest threshold that mallopt takes: free memory at the end of the heap is never given back."""


def keep_freed_memory() -> bool:
    """Tell glibc to keep large freed blocks for reuse; True when it agreed, False where there is no glibc.

    Applies to the whole process from now on; calling it again changes nothing.
    """
    if platform.system() != "Linux" or platform.libc_ver()[0] != "glibc":
        return False
    set_option = ctypes.CDLL(None).mallopt
    set_option.argtypes, set_option.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(set_option(M_MMAP_MAX, 0)) and bool(set_option(M_TRIM_THRESHOLD, NEVER))
