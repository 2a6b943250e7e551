"""How much memory this process holds; reads the system's counters, estimates nothing."""

import resource
import sys
from pathlib import Path

import torch

BYTES_PER_GB = 1e9


def resident_bytes() -> int:
    """Resident memory now (Linux), elsewhere the highest so far."""
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * resource.getpagesize()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def read_memory(device: torch.device) -> dict[str, float]:
    """The memory metrics of a step: resident memory, and the device's peak where it has its own."""
    metrics = {"memory/rss_gb": resident_bytes() / BYTES_PER_GB}
    if device.type == "cuda":
        metrics["memory/device_peak_gb"] = torch.cuda.max_memory_allocated(device) / BYTES_PER_GB
    return metrics
