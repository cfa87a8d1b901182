"""The arithmetic and the table of benchmarks/; the timing itself is run by hand."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
from benchmark_files import FOLDER, load


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load("convert")


def test_a_process_is_charged_for_what_it_used(bench: ModuleType) -> None:
    code = "held = bytearray(512 << 20)\nfor i in range(2_000_000): pass\nprint('done')"
    done = bench.spawn([sys.executable, "-c", code], os.environ)
    assert (done.status, done.stdout.strip()) == (0, "done")
    assert done.cost.cpu_s > 0.01
    assert done.cost.peak_mb > 512


@pytest.mark.parametrize(
    ("code", "why"),
    [
        # a package that is not there, as other_tools.py says it
        ("print('tf2onnx'); raise SystemExit(3)", "not installed: tf2onnx"),
        # anything else: the last line that was said
        ("raise ValueError('no such model')", "failed: ValueError: no such model"),
        ("raise SystemExit(7)", "failed: status 7"),
    ],
)
def test_why_a_tool_gave_nothing(bench: ModuleType, code: str, why: str) -> None:
    assert bench.reason(bench.spawn([sys.executable, "-c", code], os.environ)) == why


def test_a_tool_that_hangs_is_stopped(bench: ModuleType) -> None:
    done = bench.spawn([sys.executable, "-c", "import time; time.sleep(60)"], os.environ, limit_s=0.2)
    assert bench.reason(done).startswith("stopped after")


def test_a_missing_package_is_named_by_the_other_tools() -> None:
    import subprocess

    # An interpreter without site-packages, and a stand-in for numpy.
    code = (
        "import runpy, sys, types; sys.modules['numpy'] = types.ModuleType('numpy');"
        "sys.modules['tensorflow'] = None;"
        "sys.argv = ['', 'keras-tflite', 'weights', 'out'];"
        f"runpy.run_path({str(FOLDER / 'other_tools.py')!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (3, "tensorflow"), done.stderr


def test_the_steps_of_a_tool_are_added_up(bench: ModuleType) -> None:
    step = bench.Step(bench.OURS, ("-c", 'print(\'{"seconds": {"writing": 1.5}}\')'))
    pythons = {bench.OURS: sys.executable}
    one = bench.measure(bench.Tool("tflite fp32", bench.OURS, (step,)), 1, pythons, os.environ)
    two = bench.measure(bench.Tool("tflite fp32", "other", (step, step)), 2, pythons, os.environ)
    assert (len(one.runs), len(two.runs)) == (1, 2)
    assert one.stages == {"writing": 1.5}
    assert two.cost.cpu_s > 1.2 * one.cost.cpu_s
    assert two.cost.peak_mb < 1.5 * one.cost.peak_mb


def test_table_holds_what_was_measured_and_what_was_not(bench: ModuleType) -> None:
    rows = [
        bench.Row("onnx fp32", bench.OURS, "ok", bench.Cost(2.0, 1.0, 200.0)),
        bench.Row("onnx fp32", "exporter", "ok", bench.Cost(20.0, 15.0, 900.4)),
        bench.Row("onnx fp32", "another", "not installed: torch"),
    ]
    assert bench.cells(rows) == [
        ("onnx fp32", "edgecv", "2.0", "1.0", "200", "1.0", "1.0"),
        ("onnx fp32", "exporter", "20.0", "15.0", "900", "10.0", "15.0"),
        ("onnx fp32", "another", "not installed: torch", "", "", "", ""),
    ]
    assert bench.median([bench.Cost(1, 5, 9), bench.Cost(3, 4, 8), bench.Cost(2, 6, 7)]) == bench.Cost(
        2, 5, 8
    )


def test_every_artifact_has_ours_and_another(bench: ModuleType) -> None:
    by_artifact: dict[str, list[str]] = {}
    for tool in bench.tools(Path("w.h5"), Path("photos"), Path("i.npy"), Path("out")):
        by_artifact.setdefault(tool.makes, []).append(tool.name)
    assert by_artifact.pop("all three fp32") == [bench.OURS]
    assert len(by_artifact) == 6
    for names in by_artifact.values():
        assert names[0] == bench.OURS
        assert len(names) == len({*names}) >= 2
