"""What this board can do at most: a product of matrices, and a copy, measured in a second or two."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np

from edgecv.errors import EdgecvError
from edgecv.reports.schema import Peaks

TIMEOUT_S = 60.0  # a board that swaps
SIZES = (256, 512, 1024)  # of the matrices: small ones find a quiet moment, large ones the peak
PRODUCT_S, COPY_S = 0.4, 0.2
MAX_ONE_S = 0.25
MIB = 1 << 20
LIMITS_MB = (8, 256)  # of the block that is copied
CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
# Whichever library NumPy was built with.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
# The parent's import path, since `-m` and `-c` put the current folder first: a random.py in it is not meant.
_CHILD = "import sys; sys.path[:] = sys.argv[2:]; from edgecv.reports.peaks import main; main(sys.argv[1])"


def measure_peaks(threads: int) -> Peaks:
    """float32 products in NumPy's BLAS and copies, on `threads` threads, in a process of their own.

    Its own, because BLAS takes its number of threads when it is loaded. Raises EdgecvError when it fails.
    """
    environment = os.environ | dict.fromkeys(THREAD_VARIABLES, str(threads))
    command = [sys.executable, "-c", _CHILD, str(threads), *sys.path]
    try:
        done = subprocess.run(
            command,
            env=environment,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return msgspec.json.decode(done.stdout, type=Peaks)
    except subprocess.TimeoutExpired as error:
        raise EdgecvError(f"measuring this board's peak took more than {TIMEOUT_S:g} s") from error
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"exit status {error.returncode}"
        raise EdgecvError(f"measuring this board's peak failed: {why}") from error
    except (OSError, msgspec.MsgspecError) as error:  # no memory for another process, or an odd answer
        raise EdgecvError(f"measuring this board's peak failed: {error}") from error


def main(threads: str) -> None:
    """The child's side."""
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    found = Peaks(gflops=product_gflops(), copy_gb_s=copy_gb_s(int(threads), block_bytes(CACHES, free)))
    sys.stdout.buffer.write(msgspec.json.encode(found))


def best_of(action: Callable[[], object], seconds: float) -> float:
    """The shortest of the times that `action` takes, repeated for so long and twice at least, in seconds."""
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 2 or time.perf_counter() < end:
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def product_gflops() -> float:
    """10^9 operations a second of the faster size, a multiply-add being two."""
    rates: list[float] = []
    for size in SIZES:
        # 8 times the operations of the size before: not where that would take too long.
        if rates and 2 * size**3 / rates[-1] / 1e9 > MAX_ONE_S:
            break
        left, right = np.random.default_rng(0).random((2, size, size), np.float32)
        out = np.empty_like(left)
        seconds = best_of(lambda a=left, b=right, c=out: np.matmul(a, b, out=c), PRODUCT_S / len(SIZES))
        rates.append(2 * size**3 / seconds / 1e9)
    return max(rates)


def copy_gb_s(threads: int, block: int) -> float:
    """10^9 bytes a second, read and written, of `block` bytes that as many threads copy a part of each."""
    source, target = np.ones(block, np.uint8), np.ones(block, np.uint8)
    parts = [(target[i:][:size], source[i:][:size]) for i, size in _parts(block, threads)]
    with ThreadPoolExecutor(threads) as pool:
        seconds = best_of(lambda: list(pool.map(lambda part: np.copyto(*part), parts)), COPY_S)
    return 2 * block / seconds / 1e9


def block_bytes(caches: Path, available: int) -> int:
    """Four times the largest cache, within limits, and an eighth of the memory that is free at most."""
    least, most = (limit * MIB for limit in LIMITS_MB)
    return max(least, min(4 * _largest_cache(caches), most, available // 8))


def _parts(block: int, threads: int) -> list[tuple[int, int]]:
    """Where each thread's part begins, and its length."""
    size = -(-block // threads)
    return [(start, min(size, block - start)) for start in range(0, block, size)]


def _largest_cache(caches: Path) -> int:
    """Bytes, from `size` files such as `2048K`; 16 MiB where the kernel does not say."""
    units = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
    sizes = []
    for file in caches.glob("index*/size"):
        try:
            text = file.read_text().strip()
            sizes.append(int(text[:-1]) * units[text[-1]])
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return max(sizes, default=16 * MIB)
