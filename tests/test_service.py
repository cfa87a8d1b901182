"""The service: unit files that systemd itself reads, and a fake of the one command that needs it running."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from waits import WAIT_S

from edgecv import service, service_unit
from edgecv.errors import EdgecvError, UsageError
from edgecv.service import Status, install, remove, status
from edgecv.service_unit import MARKER, Unit

ARGUMENTS = ("bundle", "--source", "rtsp://cam/live", "--top", "3")


class Systemctl:
    """A fake systemctl: answers by its first own word, and remembers what it was told."""

    def __init__(self, **answers: tuple[int, str]) -> None:
        self.told: list[str] = []
        self._answers = answers

    def __call__(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        self.told.append(" ".join(command))
        word = next(word for word in command[1:] if not word.startswith("-"))
        code, text = self._answers.get(word.replace("-", "_"), (0, ""))
        return subprocess.CompletedProcess(command, code, "" if code else text, text if code else "")


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every folder a service touches, below a temporary one; the user is root, and no sudo is about."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(service_unit, "SYSTEM_UNITS", tmp_path / "system")
    monkeypatch.setattr(service, "LINGER", tmp_path / "linger")
    monkeypatch.setattr(service, "CONTROLLERS", tmp_path / "controllers")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    return tmp_path


def make(*arguments: str, user: bool = True, folder: Path = Path("/tmp"), **environment: str) -> Unit:
    return Unit("edgecv", arguments or ARGUMENTS, user, 400, 60, environment, folder)


def value(text: str, key: str) -> str:
    return next(line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}="))


# --- the unit file


def test_a_user_s_unit(machine: Path) -> None:
    systemctl = Systemctl()
    done = install("edgecv", ARGUMENTS, memory_max_mb=400, watchdog_s=30, runner=systemctl)
    assert done.unit == machine / "config/systemd/user/edgecv.service"
    assert done.running
    assert systemctl.told == [
        "systemctl --user daemon-reload",
        "systemctl --user enable edgecv.service",
        "systemctl --user restart edgecv.service",
    ]
    text = done.unit.read_text()
    assert text.startswith(MARKER)
    assert value(text, "ExecStart") == f"{sys.executable} -m edgecv run {' '.join(ARGUMENTS)}"
    assert value(text, "WorkingDirectory") == str(Path.cwd())
    assert value(text, "WatchdogSec") == "30"
    assert value(text, "MemoryMax") == "400M"
    assert value(text, "WantedBy") == "default.target"
    assert "User=" not in text
    assert done.unit.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in done.unit.parent.iterdir()] == ["edgecv.service"]


def test_the_machine_s_unit_runs_as_whoever_called_sudo(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "pi")
    systemctl = Systemctl()
    done = install("cam-1", ARGUMENTS, user=False, watchdog_s=0, runner=systemctl)
    assert done.unit == machine / "system/cam-1.service"
    assert systemctl.told[-1] == "systemctl restart cam-1.service"
    text = done.unit.read_text()
    assert value(text, "User") == "pi"
    assert value(text, "Nice") == "-5"
    assert value(text, "WantedBy") == "multi-user.target"
    assert "WatchdogSec" not in text
    assert "MemoryMax" not in text
    assert done.notes == ()


@pytest.mark.parametrize("user", [True, False])
def test_systemd_has_nothing_to_say_against_it(user: bool, machine: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    unit = make("50%", "a b", "$HOME", user=user, folder=machine, CAMERA_NAME="front door")
    path = machine / "edgecv-test.service"
    path.write_text(unit.text())
    done = subprocess.run(
        ["systemd-analyze", *(["--user"] if user else []), "verify", str(path)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(machine)},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def nobody_s_folder() -> Iterator[Path]:
    """A folder that systemd may read when it runs as nobody: it refuses to test units as root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.getuid() == 0:
            os.chown(folder, 65534, 65534)
        yield folder


WORDS = (
    "plain",
    "two words",
    'say "hi"',
    "it's",
    r"C:\new",
    "50%",
    "%h %%i",
    "$HOME ${HOME} $$",
    ";",
    "a;b",
    "#no comment",
    "",
    "rtsp://user:s3cr%t$@cam/live?x=1&y=2",
    "@-:+!",
    "trailing\\",
)


def test_systemd_reads_back_every_word(nobody_s_folder: Path) -> None:
    manager = shutil.which("systemd", path="/usr/lib/systemd:/lib/systemd")
    if manager is None:
        pytest.skip("needs systemd itself, to read a unit file")
    folder = nobody_s_folder / '50% of "it'
    unit = make(*WORDS, folder=folder, GREETING='50% "off" in C:\\ for $5')
    (nobody_s_folder / "edgecv.service").write_text(unit.text())
    (nobody_s_folder / "edgecv.service").chmod(0o644)
    done = subprocess.run(
        [manager, "--user", "--test", "--unit=edgecv.service", "--log-target=console"],
        env={
            "HOME": str(nobody_s_folder),
            "XDG_RUNTIME_DIR": str(nobody_s_folder),
            "SYSTEMD_UNIT_PATH": f"{nobody_s_folder}:/usr/lib/systemd/user",
            "SYSTEMD_PAGER": "cat",
        },
        user=65534 if os.getuid() == 0 else None,
        extra_groups=[] if os.getuid() == 0 else None,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    section = done.stdout.partition("Unit edgecv.service:")[2].partition("-> Unit ")[0]
    if not section and "edgecv.service" not in done.stderr:
        pytest.skip(f"this systemd does not test units here: {done.stderr.strip()[:200]}")
    assert section, done.stderr
    shown = {key: text for key, _, text in re.findall(r"^\t\t\t?([\w ]+)(:) (.*)$", section, re.MULTILINE)}
    # It writes words as a shell would take them, `$$` as it stands until the program starts.
    words = re.findall(r'"(?:[^"\\]|\\.)*"|[^\s"]+', shown["Command Line"])
    plain = [re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word for word in words]
    assert [word.replace("$$", "$") for word in plain][4:] == list(WORDS)
    assert shown["WorkingDirectory"] == str(folder)
    assert 'Environment: GREETING=50% "off" in C:\\ for $5\n' in section
    assert shown["EnvironmentFile"].endswith("/edgecv/edgecv.env")
    assert shown["WatchdogSec"] == "1min"
    assert shown["Restart"] == "always"


@pytest.mark.parametrize(
    "unit",
    [
        make("line\nbreak"),
        make("\udcff"),
        make(CAMERA="a\0b"),
        make(folder=Path("/tmp/a\nb")),
        make(**{"NOT-A-NAME": "x"}),
    ],
)
def test_what_no_unit_file_can_say(unit: Unit) -> None:
    with pytest.raises(UsageError):
        unit.text()


# --- installing


@pytest.mark.parametrize("name", ["", "a b", "../etc", "x@1", "-x", "a" * 101, "ünit"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(UsageError, match="is not the name of a service"):
        install(name, ARGUMENTS, runner=Systemctl())


def test_our_unit_is_replaced_and_a_stranger_s_is_not() -> None:
    unit = install("edgecv.service", ARGUMENTS, runner=Systemctl()).unit
    install("edgecv", ("other",), runner=Systemctl())
    assert value(unit.read_text(), "ExecStart").endswith("run other")
    unit.write_text("[Service]\nExecStart=/bin/true\n")
    with pytest.raises(UsageError, match="edgecv did not write it; give another --name"):
        install("edgecv", ARGUMENTS, runner=Systemctl())
    with pytest.raises(UsageError, match="stays: edgecv did not write it"):
        remove("edgecv", runner=Systemctl())
    install("edgecv", ARGUMENTS, replace=True, runner=Systemctl())
    assert unit.read_text().startswith(MARKER)


def test_without_systemd_the_note_says_what_to_type() -> None:
    systemctl = Systemctl(daemon_reload=(1, "Failed to connect to bus: No medium found\n"))
    done = install("edgecv", ARGUMENTS, runner=systemctl)
    assert not done.running
    assert done.unit.exists()
    assert done.notes[0] == (
        "no systemd answers here (Failed to connect to bus: No medium found); where one does: "
        "systemctl --user daemon-reload && systemctl --user enable edgecv.service && "
        "systemctl --user restart edgecv.service"
    )
    assert len(systemctl.told) == 1


def test_a_machine_without_systemctl_is_one_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert "No such file" in install("edgecv", ARGUMENTS).notes[0]
    with pytest.raises(EdgecvError, match="no systemd answers here"):
        status("edgecv")


def test_a_run_that_does_not_start_is_an_error() -> None:
    failing = Systemctl(restart=(1, "Job for edgecv.service failed because a timeout was exceeded.\nSee ..."))
    expected = "restart edgecv.service: Job .* exceeded.; `journalctl --user -u edgecv.service` says more"
    with pytest.raises(EdgecvError, match=expected):
        install("edgecv", ARGUMENTS, runner=failing)


def test_who_may_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "pi")
    with pytest.raises(UsageError, match="leave sudo out, or add --system"):
        install("edgecv", ARGUMENTS, runner=Systemctl())
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UsageError, match="use sudo, or leave --system out"):
        install("edgecv", ARGUMENTS, user=False, runner=Systemctl())


def test_notes(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "pi")
    (machine / "controllers").write_text("cpuset cpu io pids\n")
    done = install("edgecv", ["--source", "rtsp://me:secret@cam/"], memory_max_mb=300, runner=Systemctl())
    password, memory, linger = done.notes
    assert str(machine / "config/edgecv/edgecv.env") in password
    assert "cgroup_enable=memory" in memory
    assert "loginctl enable-linger" in linger
    assert not any("secret" in note for note in done.notes)
    (machine / "controllers").write_text("cpuset cpu io memory pids\n")
    (machine / "linger").mkdir()
    (machine / "linger/pi").touch()
    assert install("edgecv", ARGUMENTS, memory_max_mb=300, runner=Systemctl()).notes == ()


# --- looking at it, and taking it away


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (
            "NRestarts=2\nMemoryCurrent=209715200\nStatusText=30 frames/s = fine\nLoadState=loaded\n"
            "ActiveState=active\nSubState=running\nStateChangeTimestamp=Sun 2026-11-22 14:05:01 UTC\n"
            "UnitFileState=enabled\n",
            Status("active (running)", "Sun 2026-11-22 14:05:01 UTC", 2, 200, True, "30 frames/s = fine"),
        ),
        # not running, and a kernel that does not count memory
        (
            "NRestarts=0\nMemoryCurrent=[not set]\nStatusText=\nLoadState=loaded\nActiveState=inactive\n"
            "SubState=dead\nStateChangeTimestamp=\nUnitFileState=disabled\n",
            Status("inactive (dead)", "", 0, None, False, ""),
        ),
        # an older systemd: no restarts, and "not set" as a number
        (
            "MemoryCurrent=18446744073709551615\nLoadState=loaded\nActiveState=failed\nSubState=failed\n",
            Status("failed (failed)", "", None, None, False, ""),
        ),
    ],
)
def test_status(shown: str, expected: Status) -> None:
    systemctl = Systemctl(show=(0, shown))
    assert status("edgecv", user=False, runner=systemctl) == expected
    assert systemctl.told[0].startswith("systemctl show edgecv.service --property=LoadState,")


def test_status_of_what_is_not_there() -> None:
    with pytest.raises(UsageError, match=r"there is no service edgecv\.service"):
        status("edgecv", runner=Systemctl(show=(0, "LoadState=not-found\nActiveState=inactive\n")))
    with pytest.raises(EdgecvError, match="no systemd answers here: Failed to connect to bus"):
        status("edgecv", runner=Systemctl(show=(1, "Failed to connect to bus\n")))


def test_remove() -> None:
    unit = install("edgecv", ARGUMENTS, runner=Systemctl()).unit
    systemctl = Systemctl()
    assert remove("edgecv", runner=systemctl) == unit
    assert not unit.exists()
    assert systemctl.told == [
        "systemctl --user daemon-reload",
        "systemctl --user disable --now edgecv.service",
        "systemctl --user daemon-reload",
    ]
    with pytest.raises(UsageError, match="there is no"):
        remove("edgecv", runner=systemctl)


def test_a_service_that_does_not_stop_stays() -> None:
    unit = install("edgecv", ARGUMENTS, runner=Systemctl()).unit
    with pytest.raises(EdgecvError, match="stays"):
        remove("edgecv", runner=Systemctl(disable=(1, "Access denied\n")))
    assert unit.exists()


def test_remove_without_systemd_takes_the_link_too() -> None:
    unit = install("edgecv", ARGUMENTS, runner=Systemctl()).unit
    link = unit.parent / "default.target.wants" / unit.name
    link.parent.mkdir()
    link.symlink_to(unit)
    remove("edgecv", runner=Systemctl(daemon_reload=(1, "no bus\n")))
    assert not unit.exists()
    assert not link.is_symlink()


def test_python_m_edgecv_is_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "edgecv", "--version"],
        env={**os.environ, **service_unit.VARIABLES},
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )
    assert re.fullmatch(r"edgecv, version \S+\n", done.stdout)
