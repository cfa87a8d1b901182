"""The command line as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from waits import WAIT_S

from edgecv import cli
from edgecv.bundle import Bundle
from edgecv.errors import EdgecvError


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))


def edgecv(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgecv", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("run",), 1, "`edgecv convert --int8` makes it"),  # nothing converted yet
        (("run", "--frames", "0"), 2, "'--frames'"),  # a count of nothing
        (("run", "--format", "tensorrt"), 2, "'tensorrt' is not one of"),  # a format we do not have
        (("run", "--device", "toaster"), 2, "toaster"),  # a device we do not know
        (("run", "--hits", "5/3"), 2, "'5/3' is not HITS/WINDOW"),  # more hits than frames
        (("run", "--on", "0.3", "--off", "0.4"), 2, "0 < off <= on <= 1"),  # it would flicker
        (("run", "--on", "1.5"), 2, "'--on'"),  # no share of 1
        (("run", "--frozen", "0"), 2, "'--frozen'"),  # lost before it began
        (("service", "install", "--", "--sorce", "0"), 2, "--sorce"),  # a slip that would only show at night
        (("service", "install", "--", "--source", "-", "--out", "a.csv"), 2, "no standard input"),
        (("service", "install", "--", "--json"), 2, "no standard output"),
        (("service", "install", "--", "--source", "0"), 2, "nobody would see the results"),
        (("service", "install", "--name", "a/b", "--", "--serve"), 2, "a/b"),  # a name that is a path
        (("run", ""), 2, "an empty bundle name"),  # an unset shell variable
        (
            ("convert", "-o", ""),
            2,
            "an empty path",
        ),  # the same, where it would have replaced the default bundle
        (("run", "./nowhere"), 2, "nowhere: there is no such folder"),  # a slip in the path
        (("bench", "./nowhere"), 2, "nowhere: there is no such folder"),
        (("eval", "./nowhere"), 2, "'--data'"),  # accuracy on nothing
        (
            ("verify", "nowhere"),
            2,
            "no bundle 'nowhere' here or in the cache",
        ),  # neither here nor in the cache
        (("report", "./nowhere.json"), 2, "nowhere.json"),  # no such report
        (("report", "merge", "./nowhere.json"), 2, "nowhere.json"),
        (("report", "merge", "./nowhere.json", "-o", ""), 2, "an empty --out"),
        (("convert", "--data", "./nowhere"), 2, "nowhere"),  # no such pictures
        (("convert", "--weights", "./nowhere"), 2, "nowhere"),
        (("calibration", "collect", "-o", "x", "--minutes", "nan"), 2, "--minutes nan: give more than 0"),
        (("devices", "show", "rpi6"), 2, "rpi5"),  # a board we do not have, with one near it
        (("convert", "resnet"), 2, "efficientnet-b0..7, mobilenetv2"),  # a model we do not know
        (("convert", "--to", "coreml"), 2, "'coreml' is not one of"),  # a format we do not write
        (("run", "--sorce", "0"), 2, "see `edgecv run --help`"),  # an option we do not have
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_a_wrong_call_is_one_clear_line(arguments: tuple[str, ...], code: int, says: str) -> None:
    done = edgecv(*arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


def test_a_closed_standard_output_is_no_traceback(bundle: Bundle) -> None:
    command = f'"{sys.executable}" -m edgecv verify "{bundle.root}" >&-'
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_debug_shows_the_traceback() -> None:
    assert "Traceback" in edgecv("--debug", "run", "./nowhere").stderr
    assert "Traceback" in edgecv("run", "./nowhere", EDGECV_DEBUG="1").stderr


def test_devices_are_listed_shown_and_detected() -> None:
    listed = edgecv("devices").stdout
    for name in ("rpi-zero2w", "rpi3b+", "rpi4b", "rpi5", "jetson-nano", "jetson-agx-orin", "x86-vnni"):
        assert name in listed
    shown = edgecv("devices", "show", "rpi5").stdout
    assert "Cortex-A76" in shown
    assert "raspberrypi/documentation" in shown
    found = json.loads(edgecv("devices", "detect", "--json").stdout)
    assert found["threads"] >= 1
    assert found["reason"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, level in (("1-black", 0), ("2-white", 255)):
        assert cv2.imwrite(str(folder / f"{name}.png"), np.full((20, 30, 3), level, np.uint8))
    return folder


@pytest.mark.usefixtures("fake_engine")
def test_run_prints_one_json_object_a_frame(bundle: Bundle, photos: Path) -> None:
    done = CliRunner().invoke(
        cli.cli, ["run", str(bundle.root), "--source", str(photos), "--json", "--top", "2"]
    )
    assert done.exit_code == 0, done.output
    results = [json.loads(line) for line in done.stdout.splitlines()]
    keys = ["frame", "infer_ms", "latency_ms", "name", "queue_ms", "time_s", "top", "unix_s"]
    assert [sorted(result) for result in results] == [keys] * 2
    assert results[0]["name"] == "1-black.png"
    assert results[0]["top"][0]["index"] == 0
    assert results[1]["top"][0]["label"] == "class 9"
    assert set(results[0]["top"][0]) == {"index", "label", "score"}
    assert "2 frames, 0 dropped" in done.stderr


@pytest.mark.usefixtures("fake_engine")
def test_run_without_json_is_for_people(bundle: Bundle, photos: Path) -> None:
    done = CliRunner().invoke(cli.cli, ["run", str(bundle.root), "--source", str(photos), "--device", "rpi"])
    assert "class 9 0.97" in done.stdout.splitlines()[1]
    assert "fake" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--out", "fax:5"), 2, "'fax:5' is not a sink"),  # a place we do not know
        (("--out", "nowhere/r.csv"), 1, "nowhere"),  # a folder that is not there
        (("--region", "door=0.1,0.2,5"), 2, "door"),  # three numbers
        (("--allow", "clas 3"), 2, "did you mean 'class 3'"),  # a label misspelt
        (("--deny", "@nowhere.txt"), 2, "nowhere.txt"),  # a list that is not there
        (("--loop",), 2, "cannot be looped"),  # of pictures
        (("--serve", "nonsense:port"), 2, "nonsense"),  # an address that is none
    ],
)
@pytest.mark.usefixtures("fake_engine")
def test_a_wrong_option_of_run_is_one_clear_line(
    bundle: Bundle, photos: Path, arguments: tuple[str, ...], code: int, says: str
) -> None:
    with pytest.raises(EdgecvError) as caught:
        cli.cli.main(["run", str(bundle.root), "--source", str(photos), *arguments], standalone_mode=False)
    assert caught.value.exit_code == code
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.usefixtures("fake_engine")
def test_options_may_come_from_the_environment(
    bundle: Bundle, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_RUN_SOURCE", str(photos))
    monkeypatch.setenv("EDGECV_RUN_OUT", f"{tmp_path / 'r.jsonl'};{tmp_path / 'a b.csv'}")
    monkeypatch.setenv("EDGECV_RUN_TOP", "1")
    monkeypatch.setenv("EDGECV_RUN_ALLOW", "class 9;class 0")
    done = CliRunner().invoke(cli.cli, ["run", str(bundle.root)])
    assert done.exit_code == 0, done.output
    assert done.stdout == ""  # there is a sink
    rows = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [[p["label"] for p in row["top"]] for row in rows] == [["class 0"], ["class 9"]]
    assert len((tmp_path / "a b.csv").read_text().splitlines()) == 3


def test_every_option_of_run_has_a_variable_of_its_name() -> None:
    for option in cli.run.params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).lstrip("-").upper().replace("-", "_")
            assert f"EDGECV_RUN_{name}" in option.envvar


@pytest.mark.parametrize("where", [">/dev/null 2>/dev/full", ">/dev/null 2>&-"])
def test_what_happens_to_messages_does_not_end_a_run(
    bundle: Bundle, photos: Path, tmp_path: Path, where: str
) -> None:
    script = tmp_path / "fake_run.py"
    script.write_text(FAKE_RUN)
    out = tmp_path / "r.jsonl"
    run = f'"{sys.executable}" "{script}" run "{bundle.root}" --source "{photos}" --out "{out}" {where}'
    assert subprocess.run(["sh", "-c", run], check=False).returncode == 0
    assert len(out.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("command", "name", "code", "says"),
    [
        ("bench", "nowhere", 2, "nowhere: there is no such file or folder"),
        ("tune", "nowhere", 2, "nowhere: there is no such file or folder"),
        ("eval", "nowhere", 2, "nowhere: there is no such file or folder"),
        ("bench", "photos", 1, "neither labels.csv"),  # pictures, and nobody says what they show
    ],
)
@pytest.mark.usefixtures("fake_engine", "photos")
def test_pictures_that_can_judge_nothing_are_said_before_anything_is_measured(
    bundle: Bundle, tmp_path: Path, command: str, name: str, code: int, says: str
) -> None:
    words = [command, str(bundle.root), "--data", str(tmp_path / name)]
    with pytest.raises(EdgecvError, match=says) as caught:
        cli.cli.main(words, standalone_mode=False)
    assert caught.value.exit_code == code


@pytest.mark.usefixtures("fake_engine")
def test_eval_json_has_the_documented_keys(bundle: Bundle, photos: Path) -> None:
    (photos / "labels.csv").write_text("file,label\n1-black.png,0\n2-white.png,3\n")
    done = CliRunner().invoke(cli.cli, ["eval", str(bundle.root), "--data", str(photos), "--json"])
    rows = json.loads(done.stdout)["artifacts"]
    assert [(row["format"], row["precision"]) for row in rows] == [
        ("onnx", "fp32"),
        ("onnx", "int8"),
        ("tflite", "int8"),
        ("openvino", "int8"),
    ]
    assert [(row["n"], row["top1"], row["agreement"]) for row in rows] == [(2, 0.5, 1.0)] * 4


def errors_of(process: subprocess.Popen[str]) -> str:
    """Wait for the end and give its standard error; a process that hangs is killed, and fails the test."""
    try:
        return process.communicate(timeout=WAIT_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        raise


FAKE_RUN = """
import sys
from edgecv.runtime import engines
from edgecv.spec import Format
for format in Format:
    engines.register(engines.Entry("fake", format, "numpy", "edgecv.runtime.engines.fake:FakeEngine", ""))
from edgecv.cli import main
main()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("source", ["synthetic:64x48@50", "synthetic:64x48"])  # live, and on demand
def test_a_signal_ends_the_run_with_a_summary(bundle: Bundle, number: int, source: str) -> None:
    command = [sys.executable, "-c", FAKE_RUN, "run", str(bundle.root), "--source", source, "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["frame"] >= 0
        process.send_signal(number)
        errors = errors_of(process)
    assert process.returncode == 0
    *_, summary, latency, sink = errors.splitlines()
    assert "dropped" in summary
    assert latency.startswith("capture to result p50")
    assert sink.startswith("-: ")
    assert "Traceback" not in errors


def test_a_closed_pipe_is_no_error(bundle: Bundle) -> None:
    source = ("--source", "synthetic:64x48", "--json")
    command = [sys.executable, "-c", FAKE_RUN, "run", str(bundle.root), *source]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        errors = errors_of(process)
    assert process.returncode == 0
    assert "Traceback" not in errors


HOLDING = """
import signal, sys
from pathlib import Path
from edgecv import cli
from edgecv.files import new_folder

out = Path(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell hands it down ignored

@cli.cli.command()
def hold():
    with new_folder(out, lambda _: False) as folder:
        (folder / "half").write_text("x")
        print("writing", flush=True)
        signal.pause()

sys.argv[1:] = ["hold"]
cli.main()
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_interrupted_conversion_leaves_nothing(tmp_path: Path, number: int, code: int) -> None:
    out = tmp_path / "out" / "bundle"
    command = [sys.executable, "-c", HOLDING, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
        assert len(list(out.parent.iterdir())) == 1
        process.send_signal(number)
        errors = errors_of(process)
    assert process.returncode == code
    assert "Traceback" not in errors
    assert list(out.parent.iterdir()) == []
