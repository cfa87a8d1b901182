"""The bound on heaps, in a process of its own: it holds for the whole of one."""

from __future__ import annotations

import subprocess
import sys

import pytest

GROWN = """
import ctypes, sys, threading
if sys.argv[1] == "bound":
    from edgecv.runtime import heaps
    heaps.bound()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

held = []
together = threading.Barrier(8)

def hold():
    together.wait()
    held.append(libc.malloc(1000))
    together.wait()  # a thread that has ended gives its heap to the next

threads = [threading.Thread(target=hold) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(len({address >> 26 for address in held}))  # a heap of glibc's is 64 MiB, and aligned to them
"""


def heaps_of_eight_threads(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", GROWN, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.maxsize < 2**32, reason="heaps are smaller on 32-bit machines")
def test_threads_share_two_heaps() -> None:
    if heaps_of_eight_threads("free") < 4:
        pytest.skip("this C library gives threads no heaps of their own")
    assert heaps_of_eight_threads("bound") <= 2
