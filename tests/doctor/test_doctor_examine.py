"""The doctor as a whole: real processes, a check that fails itself, and what is shown."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from doctor_checks import OK, PI5, PROBLEM, UNKNOWN, WARNING, MakeCase

from edgecv import doctor
from edgecv.bundle import Bundle
from edgecv.devices.health import Finding, State
from edgecv.doctor import Diagnosis, Group, examine, words
from edgecv.doctor.child import Answer, ask
from edgecv.doctor.machine import Machine
from edgecv.errors import DeviceError, UsageError
from edgecv.runtime.deaths import HINTS
from edgecv.runtime.engines import ENGINES, Options

DEADLY = "import os, signal\nos.kill(os.getpid(), signal.SIG{})\n"


def finding(state: State, subject: str = "x", remedy: str = "") -> Finding:
    return Finding(subject=subject, state=state, what=f"{state.value} it is", remedy=remedy)


# --- processes


def broken_module(folder: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    (folder / "broken_engine.py").write_text(code)
    monkeypatch.syspath_prepend(str(folder))
    return "broken_engine:Engine"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("class Engine:\n    name = 'Engine 1.0'\n", Answer(value="Engine 1.0")),
        # a library that prints does not spoil the answer
        ("import os\nos.write(1, b'hello')\nclass Engine:\n    name = 'x'\n", Answer(value="x")),
        ("raise ImportError('no libfoo.so')", Answer(error="ImportError: no libfoo.so")),
        ("raise ValueError('two\\nlines')", Answer(error="ValueError: two lines")),
        ("import sys; sys.exit('gone')", Answer(error="exit status 1: gone")),
        (
            DEADLY.format("ILL"),
            Answer(error=f"it died of SIGILL; {HINTS['SIGILL']}", died="SIGILL"),
        ),
        (DEADLY.format("SEGV"), Answer(error="it died of SIGSEGV", died="SIGSEGV")),
        (DEADLY.format("RTMIN"), Answer(error="it died of SIGRTMIN", died="SIGRTMIN")),
    ],
)
def test_what_an_import_does_is_an_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, expected: Answer
) -> None:
    assert ask("engine", broken_module(tmp_path, monkeypatch, code)) == expected


def test_an_import_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = broken_module(tmp_path, monkeypatch, "import threading\nthreading.Event().wait()\n")
    assert ask("engine", target, timeout_s=0.5) == Answer(error="no answer within 0.5 s")


def test_a_frame_of_a_source() -> None:
    width, height, seconds = ask("frame", "synthetic:64x48", [32, 32]).value
    assert (width, height) == (64, 48)
    assert 0 < seconds < 30
    assert ask("frame", "missing.mp4", None).error.startswith("no file or folder missing.mp4 here; ")


@pytest.mark.usefixtures("fake_engine")
def test_a_real_replay_in_a_process(bundle: Bundle) -> None:
    """The fake engine answers a black picture by class 0, and the bundle's golden logits are all 0: wrong."""
    answer = ask("replay", ENGINES[0], str(bundle.root), f"{ENGINES[0].format.value}:int8", Options(1, False))
    assert answer.value["engine"] == "fake"
    assert answer.value["passed"] is False


# --- the whole


def test_a_check_that_fails_costs_its_own_line_only(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: object) -> list[Finding]:
        raise RuntimeError("a strange\nmachine")

    def half(_: object):
        yield finding(OK)
        raise OSError("gone")

    def good(_: object) -> list[Finding]:
        return [finding(OK, "good")]

    checks = {"One": (("fails", fails), ("half", half)), "Two": (("good", good),)}
    monkeypatch.setattr(doctor, "CHECKS", checks)
    told: list[tuple[str, float]] = []
    found = examine(machine=make_case().machine, progress=lambda what, share: told.append((what, share)))
    assert [group.title for group in found.groups] == ["One", "Two"]
    assert [(line.subject, line.state) for line in found.findings] == [
        ("fails", UNKNOWN),
        ("x", OK),
        ("half", UNKNOWN),
        ("good", OK),
    ]
    assert found.findings[0].what == "cannot be checked here: RuntimeError: a strange machine"
    assert found.ok
    assert told == [("fails", 0.0), ("half", 1 / 3), ("good", 2 / 3)]


def test_every_check_copes_with_a_machine_that_says_nothing(make_case: MakeCase, tmp_path: Path) -> None:
    case = make_case({}, modules=(), answers={"opencv": Answer(error="x")})
    found = examine(str(tmp_path), machine=case.machine)  # no bundle
    assert [line for line in found.findings if "cannot be checked" in line.what] == []
    states = {line.subject: line.state for line in found.findings}
    assert states["memory"] is states["cooling"] is states["throttling"] is states["governor"] is UNKNOWN
    assert states["swap"] is states["CPU"] is states["clock"] is UNKNOWN
    assert states["engine"] is states["OpenCV"] is states["bundle"] is states["source"] is PROBLEM
    assert not found.ok


def test_a_healthy_board(make_case: MakeCase, bundle: Bundle) -> None:
    """A Raspberry Pi 5 with a camera: nothing but ok."""
    camera = {
        "dev/video0": "",
        "sys/class/video4linux/video0/name": "C920\n",
        "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
        "sys/class/thermal/thermal_zone0/temp": "45000\n",
        "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
        "proc/swaps": "Filename Type Size Used Priority\n/dev/zram0 partition 2097136 0 100\n",
    }
    replayed = {"artifact": "x", "engine": "x", "passed": True, "message": "exact"}
    case = make_case(
        PI5 | camera,
        answers={"replay": Answer(value=replayed)},
        commands={"vcgencmd": "throttled=0x0\n", "timedatectl": "yes\n"},
    )
    found = examine(str(bundle.root), machine=case.machine)
    wrong = [line for line in found.findings if line.state is not OK]
    # What is installed here decides what would be run.
    assert [line for line in wrong if line.subject != "choice"] == []
    assert found.ok


@pytest.mark.slow
def test_this_very_machine(bundle: Bundle) -> None:
    found = examine(str(bundle.root), source="synthetic:64x48@30")
    assert [line for line in found.findings if "cannot be checked" in line.what] == []
    subjects = {line.subject: line.state for line in found.findings}
    assert subjects["Python"] is OK
    assert subjects["source"] is OK
    version = ".".join(map(str, sys.version_info[:3]))
    assert any(version in line.what for line in found.findings)


def test_what_cannot_be_asked_for(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="rpi5000"):
        examine(device="rpi5000", machine=Machine())
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        examine(str(tmp_path / "file"))


# --- words


def sample() -> Diagnosis:
    remedy = "`sudo usermod -aG video $USER`, then log in again"
    return Diagnosis(
        groups=(
            Group(title="Camera", findings=(finding(OK, "cameras"), finding(PROBLEM, "permission", remedy))),
            Group(title="Board", findings=(finding(UNKNOWN, "clock"), finding(WARNING, "swap", "do [b]"))),
        )
    )


def shown(diagnosis: Diagnosis, width: int = 100) -> str:
    from rich.console import Console

    file = io.StringIO()
    Console(file=file, width=width, highlight=False, markup=False).print(words.text(diagnosis))
    return file.getvalue()


def test_a_diagnosis_in_words() -> None:
    lines = [" ".join(line.split()) for line in shown(sample()).splitlines()]  # rich's padding has changed
    assert lines == [
        "Camera",
        "✓ cameras ok it is",
        "✗ permission problem it is",
        "→ `sudo usermod -aG video $USER`, then log in again",
        "",
        "Board",
        "? clock unknown it is",
        "! swap warning it is",
        "→ do [b]",
        "",
        "`edgecv run` would not run here (1 problem, 1 warning, 1 unknown)",
    ]
    assert "sudo usermod" in shown(sample(), width=50)  # a narrow terminal folds, it cuts nothing


def test_verdicts() -> None:
    fine = Diagnosis(groups=(Group(title="x", findings=(finding(OK),)),))
    assert words.verdict(fine) == "Nothing here stops `edgecv run`"
    both = Diagnosis(groups=(Group(title="x", findings=(finding(WARNING, remedy="y"),) * 2),))
    assert words.verdict(both) == "Nothing here stops `edgecv run` (2 warnings)"


def test_json() -> None:
    found = json.loads(json.dumps(words.as_json(sample())))
    assert found["ok"] is False
    assert found["findings"][1] == {
        "group": "Camera",
        "subject": "permission",
        "state": "problem",
        "what": "problem it is",
        "remedy": "`sudo usermod -aG video $USER`, then log in again",
    }
    assert [row["group"] for row in found["findings"]] == ["Camera", "Camera", "Board", "Board"]
