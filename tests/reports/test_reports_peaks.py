"""The board's measured peak: a real measurement, and the size of the block on boards of all kinds."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgecv.errors import EdgecvError
from edgecv.reports import peaks
from edgecv.reports.peaks import MIB, best_of, block_bytes, copy_gb_s, measure_peaks


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_this_machine_has_a_peak(threads: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "random.py").write_text("raise ImportError('of the current folder')\n")  # nobody's business
    monkeypatch.chdir(tmp_path)
    found = measure_peaks(threads)
    # A Pi Zero 2 W does about 4 GFLOPS a core and copies 1 GB/s; no machine of today 100 TFLOPS or 10 TB/s.
    assert 0.1 < found.gflops < 100_000
    assert 0.05 < found.copy_gb_s < 10_000


@pytest.mark.parametrize("threads", [1, 3, 7])  # parts that do not come out even, too
def test_a_copy_of_any_number_of_threads_copies_every_byte_once(threads: int) -> None:
    parts = peaks._parts(1000, threads)
    covered = [byte for start, size in parts for byte in range(start, start + size)]
    assert covered == list(range(1000))
    assert len(parts) <= threads
    assert copy_gb_s(threads, 1000) > 0


CACHES = {
    # board: the caches of a core as the kernel gives them, free memory in MiB, the block in MiB
    "Pi Zero 2 W": (("32K", "32K", "512K"), 200, 8),
    "Pi 4, whose kernel says nothing of its caches": ((), 3000, 64),
    "Pi 5": (("64K", "64K", "512K", "2048K"), 6000, 8),
    "a PC": (("48K", "32K", "1280K", "24M"), 12000, 96),
    "a server": (("48K", "2048K", "105M"), 20000, 256),
    "a server that is nearly full": (("48K", "2048K", "105M"), 800, 100),
    "a file that cannot be read as a size": (("", "K", "many"), 4000, 64),
}


@pytest.mark.parametrize("board", CACHES)
def test_the_block_is_larger_than_the_caches_and_fits(board: str, tmp_path: Path) -> None:
    sizes, free_mb, block_mb = CACHES[board]
    for index, size in enumerate(sizes):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}/size").write_text(f"{size}\n")
    assert block_bytes(tmp_path, free_mb * MIB) == block_mb * MIB


def test_the_best_of_several_is_taken() -> None:
    calls = []
    best_of(lambda: calls.append(1), 0.0)
    assert len(calls) == 2  # the first pays for page faults


def test_a_measurement_that_fails_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'MemoryError: Unable to allocate 8 MiB' >&2\nexit 1\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(EdgecvError, match="peak failed: MemoryError: Unable to allocate 8 MiB$"):
        measure_peaks(1)
    python.write_text("#!/bin/sh\necho '{}'\n")
    with pytest.raises(EdgecvError, match="peak failed: Object missing required field `gflops`"):
        measure_peaks(1)
    monkeypatch.setattr(peaks, "TIMEOUT_S", 0.2)
    python.write_text("#!/bin/sh\nexec sleep 60\n")
    with pytest.raises(EdgecvError, match=r"took more than 0\.2 s"):
        measure_peaks(1)
    python.unlink()
    with pytest.raises(EdgecvError, match="peak failed: .*No such file"):
        measure_peaks(1)


def test_the_threads_reach_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "python"
    python.write_text(
        '#!/bin/sh\necho "{\\"gflops\\": $OPENBLAS_NUM_THREADS$OMP_NUM_THREADS, \\"copy_gb_s\\": $3}"\n'
    )
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    found = measure_peaks(3)
    assert (found.gflops, found.copy_gb_s) == (33.0, 3.0)
