import subprocess
import sys

PROBE = """
import resource, torch
from accord.models.allocator import keep_freed_memory

def faults_of_reuse():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(4_000_000)  # 16 MB: 3,906 pages of 4 kB each time
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults_of_reuse()
plain = faults_of_reuse()
kept = keep_freed_memory()
faults_of_reuse()
print(int(kept), plain, faults_of_reuse())
"""


def test_a_freed_tensor_is_reused_without_page_faults():
    # a process of its own, since the setting cannot be taken back
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    kept, plain, tuned = map(int, done.stdout.split())
    if kept:
        assert tuned <= 0.1 * max(plain, 1000)
    else:  # another C library: nothing was promised
        assert tuned >= 0
