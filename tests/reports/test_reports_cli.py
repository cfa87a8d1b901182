"""The commands that measure and compare: what is typed, what comes out, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import click
import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result
from reports_samples import make_report

from edgecv import api
from edgecv.bundle import Bundle, describe_file
from edgecv.cli import cli
from edgecv.cli.measure import _words_for_board, bench
from edgecv.cli.options import split_formats
from edgecv.errors import EdgecvError, UsageError
from edgecv.reports import tune as tune_module
from edgecv.reports import tune_bench
from edgecv.reports.render import render_json
from edgecv.reports.schema import Fault, Reason, Report, Verdict
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.spec import Format

Use = Callable[..., None]


def invoke(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def write(folder: Path, name: str, report: Report) -> Path:
    path = folder / name / "report.json"
    path.parent.mkdir()
    path.write_text(render_json(report))
    return path


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("bench", "--minutes", "2"), "--minutes is for --mode sustained"),
        (("bench", "--mode", "full", "--minutes", "2"), "--minutes is for --mode sustained"),
        (("bench", "--camera-fps", "60"), "give --scenario camera, too"),
        (("bench", "--wheelhouse"), "are for --host"),
        (("bench", "--clean"), "are for --host"),
        (("bench", "--robustness", "5"), "give --data"),
        (("bench", "--host", "-oProxyCommand=x"), "-oProxyCommand=x"),  # it would be an option of ssh's
        (("tune", "--max-drop", "101"), "percentage points from 0 to 100"),
        (("report", "compare", "a.json", "--fail-if", "speed > 5%"), "latency_p50"),  # lists the metrics
        (("pack", "--device", "nonesuch"), "unknown device"),
    ],
)
def test_what_cannot_be_asked_for(words: tuple[str, ...], says: str) -> None:
    done = invoke(*words)
    assert isinstance(done.exception, UsageError)
    assert says in str(done.exception)
    assert "\n" not in str(done.exception)


def test_in_a_pipe_no_reason_is_broken(tmp_path: Path) -> None:
    reason = "The median's interval is wide: " + "quieten the machine, or measure for longer; " * 5
    path = write(tmp_path, "a", make_report(reasons=(Reason(fault=Fault.SPREAD, message=reason),)))
    assert reason.strip() in invoke("report", "render", path).output


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ((), []),
        (("some-bundle", "--data", "pictures", "-o", "out", "--host", "pi"), []),  # ours, or copied
        (
            ("--mode", "full", "--scenario", "offline", "--scenario", "camera", "--operations"),
            ["--mode=full", "--scenario=offline", "--scenario=camera", "--operations"],
        ),
        (("--format", "onnx", "--threads", "2"), ["--format=onnx", "--threads=2"]),
        (("--power-command", "cat /tmp/a b"), ["--power-command=cat /tmp/a b"]),  # one word, as typed
        (("--device", "rpi5"), ["--device=rpi5"]),
        (("--device", "own/board.toml"), ["--device", Path("own/board.toml")]),  # a file to be copied
        (("--require-valid",), []),  # the exit code is given here
    ],
)
def test_what_a_board_is_told(typed: tuple[str, ...], expected: list[str | Path]) -> None:
    words = _words_for_board(bench.make_context("bench", list(typed)))
    assert sorted(map(str, words)) == sorted(map(str, expected))
    assert [type(word) for word in words if isinstance(word, Path)] == [
        type(word) for word in expected if isinstance(word, Path)
    ]


def test_lists_of_formats() -> None:
    assert split_formats(None, "--engine") is None
    assert split_formats("tflite, onnx,tflite", "--engine") == ("tflite", "onnx")
    with pytest.raises(click.BadParameter, match="'tensorrt' is not one of tflite, onnx, openvino"):
        split_formats("tensorrt", "--engine")


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (("bench", "--mode", "sustained", "--minutes", "nan"), 2, "--minutes nan"),
        (("bench", "--mode", "sustained", "--minutes", "inf"), 2, "1440"),
        (("bench", "--mode", "sustained", "--minutes", "1"), 2, "2<=x"),  # no minute to hold it against
        (("bench", "-o", ""), 2, "an empty --out"),
        (("bench", "--power-command", ""), 2, "an empty --power-command"),
        (("eval", "--data", ""), 2, "an empty --data"),
        (("report", "render", ""), 2, "an empty --report"),
        # not 1, which is a crossed gate's
        (("report", "compare", "a.json", "b.json", "--fail-if", "top1 < -1"), 2, "cannot read a.json"),
    ],
)
def test_wrong_values_are_usage_errors(words: tuple[str, ...], code: int, says: str) -> None:
    done = invoke(*words)
    found = done.exception.exit_code if isinstance(done.exception, UsageError) else done.exit_code
    assert found == code
    assert says in f"{done.exception} {done.stderr}"


def test_a_place_that_cannot_be_written_is_refused_before_measuring(floats: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for place in (file, file / "below"):
        done = invoke("bench", floats.root, "-o", place)
        assert isinstance(done.exception, EdgecvError)
        assert str(place) in str(done.exception)


def test_a_gate_gives_the_exit_code(tmp_path: Path) -> None:
    base = write(tmp_path, "base", make_report())
    new = write(tmp_path, "new", make_report())
    same = invoke("report", "compare", base, new, "--fail-if", "latency_p50 > +5%")
    assert same.exit_code == 0, same.output
    crossed = invoke(
        "report", "compare", base, new, "--fail-if", "latency_p50 > 1", "-o", tmp_path / "out", "--json"
    )
    assert crossed.exit_code == 1
    assert "latency_p50 > 1" in crossed.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("compare.json", "compare.md", "compare.html")
    }
    assert json.loads(crossed.stdout)


def test_an_invalid_report_is_refused_without_force(tmp_path: Path) -> None:
    reason = Reason(fault=Fault.THROTTLED, message="throttled in 3 of 10 readings")
    bad = msgspec.structs.replace(make_report(), verdict=Verdict(reasons=(reason,)))
    base, new = write(tmp_path, "base", make_report()), write(tmp_path, "new", bad)
    refused = invoke("report", "compare", base, new)
    assert isinstance(refused.exception, UsageError)
    assert "throttled in 3 of 10 readings" in str(refused.exception)
    forced = invoke("report", "compare", base, new, "--force")
    assert forced.exit_code == 0
    assert "INVALID" in forced.stdout
    fleet = invoke("report", "merge", base, new, "-o", tmp_path / "fleet")
    assert fleet.exit_code == 0, fleet.output
    assert "INVALID" in (tmp_path / "fleet" / "fleet.md").read_text()


def test_report_renders_with_and_without_its_word(tmp_path: Path) -> None:
    path = write(tmp_path, "one", make_report())
    for words in (("report", path), ("report", "render", path)):
        done = invoke(*words, "-o", tmp_path / "-".join(map(str, words[:-1])))
        assert done.exit_code == 0, done.output
        assert "report.html" in done.stdout
    assert "No such command" in invoke("report", "nonsense").stderr


# A bundle of fakes, in real processes ----------------------------------------------------------------------


@pytest.fixture
def floats(bundle: Bundle, use_engine: Use, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bundle:
    """Its fp32 file answers the golden samples, and turns are as short as can be."""
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    for name, value in (("FIRST_S", 0.01), ("FINAL_S", 0.02), ("FINAL_TURNS", 3)):
        monkeypatch.setattr(tune_module, name, value)
    monkeypatch.setattr(tune_bench, "WARM_S", 0.0)
    use_engine(Format.ONNX, "DoublingEngine")
    use_engine(Format.TFLITE, None)
    use_engine(Format.OPENVINO, None)
    images = np.zeros((1, 16, 16, 3), np.uint8)
    np.savez(bundle.root / "golden.npz", images=images, logits=FakeEngine().infer(images))
    manifest = msgspec.structs.replace(bundle.manifest, golden=describe_file(bundle.root, "golden.npz"))
    (bundle.root / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return Bundle.open(bundle.root)


def test_tune_says_saves_and_forgets(floats: Bundle) -> None:
    done = invoke("tune", floats.root, "--json", "--force")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["choice"]["format"] == "onnx"
    assert told["choice"]["precision"] == "fp32"
    assert Path(told["saved"]).is_file()
    assert told["candidates"][0]["out"] == ""
    assert told["candidates"][0]["latency_ms"] > 0
    assert set(told["excluded"]) == {"onnx:int8", "tflite:int8", "openvino:int8"}
    # A run follows it, but not one that names a device, threads or another precision.
    with api.open_run(floats.root, "synthetic:32x32", frames=1) as session:
        assert any("chosen by `edgecv tune`" in note for note in session.notes)
        assert session.options.threads == told["choice"]["threads"]
        assert not any("again" in note for note in session.notes)
    # After an upgrade of the engine it is time to tune again.
    path = Path(told["saved"])
    path.write_text(path.read_text().replace("doubling 1.0", "doubling 0.9"))
    with api.open_run(floats.root, "synthetic:32x32", frames=1) as session:
        assert "tuned with doubling 0.9, and this is doubling 1.0: `edgecv tune` again" in session.notes
    for other in ({"device": "rpi"}, {"threads": 1}):
        with api.open_run(floats.root, "synthetic:32x32", frames=1, **other) as session:
            assert not any("tune`" in note for note in session.notes)
    assert "Forgotten" in invoke("tune", floats.root, "--forget").stdout
    assert "no choice" in invoke("tune", floats.root, "--forget").stdout


def test_a_damaged_choice_does_not_stop_a_run(floats: Bundle) -> None:
    done = invoke("tune", floats.root, "--objective", "throughput", "--json", "--force")
    path = Path(json.loads(done.stdout)["saved"])
    path.write_text("{}")
    with api.open_run(floats.root, "synthetic:32x32", frames=1) as session:
        assert any("`edgecv tune` writes it anew" in note for note in session.notes)
        assert len(list(session)) == 1


def test_a_dry_run_saves_nothing(floats: Bundle) -> None:
    done = invoke("tune", floats.root, "--dry-run")
    assert done.exit_code == 0, done.output
    assert "Nothing was saved" in done.stdout
    assert "No int8 artifact keeps the bound" in done.stdout.replace("\n", " ")
    assert not api.forget_tuned(floats.root)
