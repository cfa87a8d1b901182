"""The arithmetic, the tables and the child processes of benchmarks/runtime.py."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from benchmark_files import FOLDER, load

from edgecv.bundle import Bundle, find_bundle
from edgecv.errors import BundleError


@pytest.fixture(scope="module")
def bench() -> ModuleType:
    return load("runtime")


@pytest.fixture(scope="module")
def ways() -> ModuleType:
    return load("runtime_ways")


@pytest.fixture(scope="module")
def shown() -> ModuleType:
    return load("runtime_tables")


@pytest.fixture(scope="module")
def bare() -> ModuleType:
    return load("bare")


@pytest.fixture
def lab(ways: ModuleType, tmp_path: Path) -> Any:
    return ways.Lab(
        os.environ, tmp_path, seconds=0.1, rounds=1, starts=1, frames=3, threads=1, video=None, mediapipe=None
    )


# Arithmetic -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], ""),
        ([0.954], "0.95"),  # one round has no range
        ([0.97, 0.91, 0.95], "0.95 (0.91 to 0.97)"),
        ([0.97, 0.91], "0.91 (0.91 to 0.97)"),  # nearest rank: an observed value, never a mean of two
    ],
)
def test_a_median_is_shown_with_its_range(shown: ModuleType, values: list[float], text: str) -> None:
    assert shown.spread(values) == text


def test_ratios_are_those_of_a_round(shown: ModuleType) -> None:
    """A machine half as fast in the second round changes no ratio; a round without both has none."""
    ours = shown.Series("throughput", "tflite:int8", "edgecv", values=[90.0, 45.0])
    limit = shown.Series("throughput", "tflite:int8", "limit", values=[100.0, 50.0, 100.0])
    assert shown.paired(shown.ratio, ours, limit) == (0.9, 0.9)
    assert shown.paired(shown.ratio, None, limit) == ()


def test_own_time_is_what_a_frame_takes_more_than_an_inference(shown: ModuleType) -> None:
    assert shown.own_us(1000, 1250) == pytest.approx(200)  # 1 ms a frame, 0.8 ms an inference


def test_the_rate_is_read_from_what_a_run_says_at_its_end(ways: ModuleType) -> None:
    """The text is the project's own."""
    from edgecv.runtime.results import Dropped, Summary
    from edgecv.show.running import _summary

    none = {"latency": None, "queue": None, "inference": None}
    counts = {"skipped": 0, "reconnects": 0, "engine_failures": 0, "events": 0}
    for fps in (7.5, 1234.5):
        done = Summary(frames=300, dropped=Dropped(), fps=fps, **counts, **none)
        assert ways.rate(f"tflite:int8 on LiteRT 2.3.0\n{_summary(done)}\nr.jsonl: 300 delivered\n") == fps
    with pytest.raises(ways.Unmeasured, match="said no rate"):
        ways.rate("1 frames, 0 dropped\n")


@pytest.mark.parametrize(
    ("seconds", "limit", "frames"),
    [
        (5.0, 66.7, 334),  # a run of about 5 s, if nothing is lost
        (0.1, 2.0, 2),  # two results at least: a rate needs them
    ],
)
def test_a_run_is_as_long_as_asked(ways: ModuleType, seconds: float, limit: float, frames: int) -> None:
    assert ways.frames_for(seconds, {"limit": limit}) == frames


# Rounds ---------------------------------------------------------------------------------------------------


def test_rounds_go_through_all_ways(ways: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    order: list[str] = []

    def way(name: str) -> Any:
        def measure(seen: dict[str, float]) -> float:
            order.append(name)
            return len(order) + 100 * seen.get("a", 0)

        return ways.Way(name, "", measure)

    first, second = ways.interleaved("start", "x", [way("a"), way("b")], 2, warm_up=True)
    assert order == ["a", "b"] * 3
    assert first.values == [3.0, 5.0]  # the warm-up does not count
    assert second.values == [304.0, 506.0]  # what came before in the same round is known
    assert "start, x: a" in capsys.readouterr().err


def test_a_way_that_fails_says_why_and_is_left_out(ways: ModuleType, shown: ModuleType) -> None:
    tries: list[str] = []

    def fails(_: object) -> float:
        tries.append("once")
        raise ways.Unmeasured("not installed: mediapipe")

    limit = ways.Way("limit", "", fails)
    ours = ways.Way("edgecv", "clip", lambda seen: ways.frames_for(1, seen))
    rows = ways.interleaved("throughput", "tflite:int8", [limit, ours], 3)
    assert tries == ["once"]
    (line,) = shown.throughput(rows, 1.0).rows
    why = "not installed: mediapipe"
    assert line == ("tflite:int8", "clip", why, "its limit was not measured", "", "")


# Children -------------------------------------------------------------------------------------------------


def test_an_interpreter_that_is_not_there_is_named(ways: ModuleType, lab: Any) -> None:
    with pytest.raises(ways.Unmeasured, match="no such interpreter: /nowhere/python"):
        lab.per_s({}, python="/nowhere/python")


def test_a_package_that_is_not_there_is_named(ways: ModuleType, lab: Any) -> None:
    if importlib.util.find_spec("mediapipe"):
        pytest.skip("MediaPipe is installed beside EdgeCV here")
    job = {"way": "mediapipe", "mode": "IMAGE", "source": "synthetic:8x8", "model": "none"}
    with pytest.raises(ways.Unmeasured, match="^not installed: mediapipe$"):
        lab.per_s(job)


def test_a_file_without_frames_is_named(bare: ModuleType, tmp_path: Path) -> None:
    empty = tmp_path / "empty.mp4"
    empty.write_bytes(b"")
    with pytest.raises(SystemExit, match=r"empty\.mp4 holds no frame"):
        next(bare.frames(str(empty)))


def test_the_first_line_is_timed_and_not_the_end(ways: ModuleType) -> None:
    code = "import time; print('one', flush=True); time.sleep(0.5); print('two')"
    done = ways.spawn([sys.executable, "-c", code], os.environ)
    assert done.stdout == "one\ntwo\n"
    assert ways.first_s(done) < done.cost.wall_s - 0.1
    with pytest.raises(ways.Unmeasured, match="printed nothing"):
        ways.first_s(ways.spawn([sys.executable, "-c", ""], os.environ))


def test_the_bare_loop_sees_what_edgecv_sees(bare: ModuleType) -> None:
    """The same synthetic picture, and the same input made of it, pixel for pixel."""
    import numpy as np

    from edgecv.image import Preprocessor
    from edgecv.runtime.sources import open_source
    from edgecv.spec import Interpolation, Preprocess

    job = {"size_hw": (64, 64), "crop_fraction": 0.875, "interpolation": "cubic"}
    rule = Preprocess(size_hw=(64, 64), crop_fraction=0.875, interpolation=Interpolation.CUBIC)
    prepare, theirs = Preprocessor(rule), bare.frames("synthetic:320x240")
    with open_source("synthetic:320x240") as ours:
        for _, one, other in zip(range(3), ours, theirs, strict=False):
            np.testing.assert_array_equal(one.bgr, other)
            np.testing.assert_array_equal(prepare(one.bgr), bare.prepared(job, other))


# Tables ---------------------------------------------------------------------------------------------------


def rows(shown: ModuleType) -> list[Any]:
    def one(table: str, way: str, values: list[float], source: str = "", status: str = "ok") -> Any:
        return shown.Series(table, "tflite:int8", way, source, status, values)

    return [
        one("throughput", "limit", [100.0, 50.0]),
        one("throughput", "edgecv", [95.0, 48.0], "clip.mp4"),
        one("throughput", "serial loop", [60.0, 30.0], "clip.mp4"),
        one("throughput", "MediaPipe IMAGE", [50.0, 25.0], "clip.mp4"),
        one("throughput", "MediaPipe VIDEO", [55.0, 28.0], "clip.mp4"),
        one("own-time", "limit", [2000.0]),
        one("own-time", "preparation", [10_000.0]),
        one("own-time", "edgecv", [1250.0]),
        one("start", "edgecv", [0.24, 0.22, 0.23]),
        one("start", "serial loop", [0.2, 0.2, 0.2]),
        one("memory", "edgecv", [104.4]),
        one("memory", "serial loop", [], status="failed: no memory"),
    ]


def test_tables_hold_what_was_measured_and_what_was_not(shown: ModuleType) -> None:
    made = {table.title: table for table in shown.tables(rows(shown), 5, 300)}
    assert {title: table.rows for title, table in made.items()} == {
        "Throughput": [
            (
                *("tflite:int8", "clip.mp4", "50.0 (50.0 to 100.0)"),
                *("0.95 (0.95 to 0.96)", "0.60 (0.60 to 0.60)", "0.55 (0.55 to 0.56) VIDEO"),
            )
        ],
        "Own time a frame": [("tflite:int8", "500", "100", "800", "300", "200")],
        "Start-up": [("tflite:int8", "230 (220 to 240)", "200 (200 to 200)", "1.15 (1.10 to 1.20)")],
        "Memory": [("tflite:int8", "104", "failed: no memory", "")],
    }
    assert "above 1" not in made["Throughput"].about


def test_a_ratio_that_cannot_be_is_explained(shown: ModuleType) -> None:
    busy = [
        shown.Series("throughput", "a", "limit", values=[50.0]),
        shown.Series("throughput", "a", "edgecv", "clip", values=[90.0]),
    ]
    assert "A ratio above 1" in shown.throughput(busy, 5).about


def test_markdown_is_a_section_a_table(shown: ModuleType) -> None:
    page = shown.markdown(shown.tables(rows(shown), 5, 300), "A board, 3 rounds.")
    assert page.count("\n## ") == 3
    assert page.endswith("| tflite:int8 | 104 | failed: no memory |  |\n\nA board, 3 rounds.\n")
    for line in page.splitlines():
        assert "  |" not in line.removesuffix("  |")


def test_the_processor_is_named(bench: ModuleType, tmp_path: Path) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("processor\t: 0\n\nHardware\t: BCM2835\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n")
    assert bench.cpu(info) == "Raspberry Pi 4 Model B Rev 1.4"
    assert bench.cpu(tmp_path / "none")


# The whole ------------------------------------------------------------------------------------------------


def test_nothing_to_measure_is_said(
    bench: ModuleType, bundle: Bundle, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.main(["--bundle", str(bundle.root), "--only", "keras"]) == 2
    assert "no fp32 or int8 artifact with 'keras' in its name" in capsys.readouterr().err


@pytest.mark.slow
def test_a_real_measurement(bench: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        find_bundle(None)
    except BundleError as error:
        pytest.skip(str(error))
    pytest.importorskip("ai_edge_litert")
    where = tmp_path / "found.json"
    given = ["--seconds", "0.2", "--repeats", "1", "--starts", "1", "--frames", "20", "--only", "tflite:int8"]
    page = tmp_path / "page.md"
    assert bench.main([*given, "--json", str(where), "--markdown", str(page)]) == 0
    series = json.loads(where.read_text())["series"]
    assert [row["status"] for row in series] == ["ok"] * len(series)
    assert all(value > 0 for row in series for value in row["values"])
    assert "edgecv" in {row["way"] for row in series}
    assert "## Throughput" in page.read_text()
    assert "Each a process of its own" in capsys.readouterr().out


@pytest.mark.slow
def test_the_own_time_of_a_real_model(ways: ModuleType, lab: Any, shared: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    series = ways.own_time(lab, shared / "models" / "vww_96_int8.tflite")
    assert [(row.status, len(row.values)) for row in series] == [("ok", 1)] * 3


def test_the_scripts_that_stand_for_others_import_nothing_of_edgecv() -> None:
    assert "import edgecv" not in (text := (FOLDER / "bare.py").read_text())
    assert "from edgecv" not in text
