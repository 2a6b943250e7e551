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


def free_bytes(device: torch.device) -> int | None:
    """What this process could still take on `device`; None where the system does not say (no Linux).

    On a CPU the least of what the machine has available and what a container's limit leaves.
    """
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    rows = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines())
    free = int(rows["MemAvailable"].split()[0]) * 1024
    limit, used = (Path("/sys/fs/cgroup") / name for name in ("memory.max", "memory.current"))
    if limit.exists() and used.exists() and (text := limit.read_text().strip()) != "max":
        free = min(free, max(0, int(text) - int(used.read_text())))
    return free


def read_memory(device: torch.device) -> dict[str, float]:
    """The memory metrics of a step: resident memory, and the device's peak where it has its own."""
    metrics = {"memory/rss_gb": resident_bytes() / BYTES_PER_GB}
    if device.type == "cuda":
        metrics["memory/device_peak_gb"] = torch.cuda.max_memory_allocated(device) / BYTES_PER_GB
    return metrics
