"""Arrays that are made and let go again and again cost no new pages, and nothing of them is kept at the end."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource
import numpy as np
from synthdata.allocation import kept_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        arrays = [np.ones(size, np.uint8) for size in (1 << 20, 3 << 20, 5 << 20, 1 << 20)]
        del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident_mb():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20

with kept_memory():
    print(faults())
    before = resident_mb()
    held = [np.ones(3 << 20, np.uint8) for _ in range(60)]
    del held
    print(resident_mb() - before)
print(resident_mb() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the allocator of Linux")
def test_memory_is_kept_for_the_next_array_and_given_back_at_the_end() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    faults, kept_mb, rest_mb = map(int, done.stdout.split())
    assert faults < 10_000  # of the 128,000 pages that the arrays have; huge ones may be fewer
    assert kept_mb > 100
    assert rest_mb < 30
