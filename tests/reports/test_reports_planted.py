"""Faults planted while a real bench runs: each turns its verdict to INVALID, for the right reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.reports.bench import bench
from edgecv.reports.schema import Fault, Plan, Report
from edgecv.spec import Format, Precision

pytestmark = pytest.mark.slow
Use = Callable[..., None]
PLAN = Plan(seconds=7.0, turns=7)
BITS = "sys/devices/platform/soc/soc:firmware/get_throttled"
CLOCK = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
SWAP = "proc/vmstat"


class Board:
    """A tree of files that says a Raspberry Pi is fine, until half of the run is over."""

    def __init__(self, root: Path, files: dict[str, str]) -> None:
        self.root, self._later = root, files
        for name, text in {BITS: "0", CLOCK: "2400000", SWAP: "pswpin 5\npswpout 7\n"}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text + "\n")

    def progress(self, _what: str, share: float) -> None:
        if share >= 0.5:
            for name, text in self._later.items():
                (self.root / name).write_text(text + "\n")


@pytest.fixture
def measure(bundle: Bundle, selected: Selected, use_engine: Use) -> Callable[..., Report]:
    use_engine(Format.ONNX, "SteadyEngine")
    artifacts = bundle.select(Format.ONNX, Precision.FP32)
    return lambda plan=PLAN, **more: bench(bundle, artifacts, selected, plan, **more)


@pytest.mark.parametrize(
    ("later", "faults"),
    [
        ({}, set()),  # nothing is planted: VALID
        ({BITS: "50005"}, {Fault.THROTTLED}),  # under-voltage and throttled, now and before
        ({CLOCK: "1500000"}, {Fault.CLOCK}),
        ({SWAP: "pswpin 905\npswpout 7"}, {Fault.SWAP}),
    ],
)
def test_what_the_board_says(
    tmp_path: Path, measure: Callable[..., Report], later: dict[str, str], faults: set[Fault]
) -> None:
    board = Board(tmp_path / "root", later)
    report = measure(root=board.root, progress=board.progress)
    assert {reason.fault for reason in report.verdict.reasons} == faults
    assert report.verdict.valid is not bool(faults)


def test_a_hog_beside_it(measure: Callable[..., Report]) -> None:
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        report = measure()
    finally:
        hog.kill()
        hog.wait()
    assert Fault.LOAD in {reason.fault for reason in report.verdict.reasons}
    [said] = [reason.message for reason in report.verdict.reasons if reason.fault is Fault.LOAD]
    assert said.startswith("Other programs took ")


def test_too_few_samples(tmp_path: Path, measure: Callable[..., Report]) -> None:
    board = Board(tmp_path / "root", {})
    report = measure(Plan(seconds=1.0, turns=7, samples=100_000), root=board.root)
    assert [reason.fault for reason in report.verdict.reasons] == [Fault.SAMPLES]
    assert "of at least 100,000" in report.verdict.reasons[0].message
