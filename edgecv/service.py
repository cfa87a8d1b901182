"""`edgecv run` as a systemd service: its unit file, and what systemd says of it."""

from __future__ import annotations

import getpass
import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from edgecv.errors import EdgecvError, UsageError
from edgecv.files import write_text
from edgecv.service_unit import MARKER, Unit, environment_file, unit_path

CONTROLLERS = Path("/sys/fs/cgroup/cgroup.controllers")
LINGER = Path("/var/lib/systemd/linger")
TIMEOUT_S = 240.0  # a start is over when the run is ready, TimeoutStartSec at the latest
SECRET = r"://[^/@\s]*:[^/@\s]+@|(?i:pass|pwd|token|secret)\w*="
SHOWN = (
    *("LoadState", "ActiveState", "SubState", "UnitFileState"),
    *("StateChangeTimestamp", "NRestarts", "MemoryCurrent", "StatusText"),
)

Runner = Callable[[Sequence[str]], "subprocess.CompletedProcess[str]"]


class Installed(NamedTuple):
    """unit: the file. running: systemd has started it. notes: what is left to do, or to know."""

    unit: Path
    running: bool
    notes: tuple[str, ...]


class Status(NamedTuple):
    """What systemd says.

    state: "active (running)", "activating (auto-restart)", "inactive (dead)", ... since: when that began, as
    systemd writes it. restarts: its own, since the last start by hand. memory_mb: MiB, page cache included.
    starts_at_boot: of a user's service, at login unless the user lingers. says: what the run told systemd.
    """

    state: str
    since: str
    restarts: int | None
    memory_mb: int | None
    starts_at_boot: bool
    says: str


def install(
    name: str,
    run_arguments: Sequence[str],
    *,
    user: bool = True,
    memory_max_mb: int | None = None,
    watchdog_s: int = 60,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    replace: bool = False,
    runner: Runner | None = None,
) -> Installed:
    """Write the unit that runs `edgecv run` with these arguments, enable it, and (re)start it.

    user: under the user's own systemd; else the machine's, which takes root, though the run is still the
    user's. watchdog_s: how long a run may be silent before it is restarted; 0 is for ever. environment: set
    for the run. folder: where relative paths in the arguments start (here). replace: even a unit that
    somebody else wrote. Without a running systemd the unit is written, and a note says what to type.

    Raises UsageError for what cannot be installed, EdgecvError when writing or starting fails.
    """
    unit = unit_path(name, user)
    _may_write(user)
    if unit.exists() and not (replace or _ours(unit)):
        raise UsageError(f"{unit} exists, and edgecv did not write it; give another --name, or --replace")
    written = Unit(
        unit.stem,
        tuple(run_arguments),
        user,
        memory_max_mb,
        watchdog_s,
        environment or {},
        folder or Path.cwd(),
    )
    _write(unit, written.text())
    notes = _notes(written)
    systemctl = _Systemctl(user, runner)
    reload, *start = ("daemon-reload",), ("enable", unit.name), ("restart", unit.name)
    if problem := systemctl.failed(*reload):
        typed = " && ".join(systemctl.typed(*words) for words in (reload, *start))
        problem = f"no systemd answers here ({problem}); where one does: {typed}"
        return Installed(unit, False, (problem, *notes))
    for words in start:
        if problem := systemctl.failed(*words):
            log = f"journalctl {'--user ' if user else ''}-u {unit.name}"
            raise EdgecvError(f"{systemctl.typed(*words)}: {problem}; `{log}` says more")
    return Installed(unit, True, notes)


def status(name: str, user: bool = True, runner: Runner | None = None) -> Status:
    """Ask systemd. Raises UsageError when there is no such service, EdgecvError when there is no systemd."""
    unit = unit_path(name, user)
    done = _Systemctl(user, runner)("show", unit.name, f"--property={','.join(SHOWN)}")
    if done.returncode:
        raise EdgecvError(f"no systemd answers here: {_first_line(done)}")
    shown = dict.fromkeys(SHOWN, "") | dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    if shown["LoadState"] == "not-found":
        raise UsageError(f"there is no service {unit.name}; `edgecv service install` makes one")
    restarts, memory = shown["NRestarts"], shown["MemoryCurrent"]
    measured = memory.isdecimal() and int(memory) < 1 << 63  # not set: words, or 2^64 - 1
    return Status(
        state=f"{shown['ActiveState']} ({shown['SubState']})",
        since=shown["StateChangeTimestamp"],
        restarts=int(restarts) if restarts.isdecimal() else None,
        memory_mb=int(memory) >> 20 if measured else None,
        starts_at_boot=shown["UnitFileState"] == "enabled",
        says=shown["StatusText"],
    )


def remove(name: str, user: bool = True, runner: Runner | None = None) -> Path:
    """Stop and disable the service, delete its unit, and return where that was.

    Raises UsageError when there is no such unit or edgecv did not write it, EdgecvError when it cannot go.
    """
    unit = unit_path(name, user)
    _may_write(user)
    if not unit.exists():
        raise UsageError(f"there is no {unit}")
    if not _ours(unit):
        raise UsageError(f"{unit} stays: edgecv did not write it")
    systemctl = _Systemctl(user, runner)
    answers = not systemctl.failed("daemon-reload")
    if answers and (problem := systemctl.failed("disable", "--now", unit.name)):
        raise EdgecvError(f"{systemctl.typed('disable', '--now', unit.name)}: {problem}; {unit} stays")
    try:
        for link in unit.parent.glob(f"*.wants/{unit.name}"):  # left where no systemd disables it
            link.unlink()
        unit.unlink()
    except OSError as error:
        raise EdgecvError(f"cannot delete {unit}: {error.strerror}") from error
    if answers:
        systemctl("daemon-reload")
    return unit


def _notes(unit: Unit) -> tuple[str, ...]:
    notes = []
    if any(re.search(SECRET, word) for word in unit.arguments):
        file = environment_file(unit.name, unit.user)
        notes.append(f"every user of this machine can see the password with `ps`; {file} can hold it instead")
    if own := sorted(name for name in os.environ if name.startswith("EDGECV_")):
        file = environment_file(unit.name, unit.user)
        notes.append(f"{', '.join(own)}: set here, and not in the service; {file} is read by it")
    if unit.memory_max_mb and CONTROLLERS.exists() and "memory" not in CONTROLLERS.read_text().split():
        notes.append(
            "this kernel does not limit memory; on a Raspberry Pi add cgroup_enable=memory to cmdline.txt"
        )
    if unit.user and not (LINGER / getpass.getuser()).exists():
        notes.append("it starts when you log in; `loginctl enable-linger` makes it start at boot")
    return tuple(notes)


def _may_write(user: bool) -> None:
    if user and os.environ.get("SUDO_USER"):
        raise UsageError("under sudo the service would be root's: leave sudo out, or add --system")
    if not user and os.geteuid():
        raise UsageError("a service of the whole machine takes root: use sudo, or leave --system out")


def _ours(unit: Path) -> bool:
    return unit.read_text(encoding="utf-8", errors="replace").startswith(MARKER)


def _write(unit: Path, text: str) -> None:
    mask = os.umask(0o077)  # arguments and environment may hold passwords
    try:
        unit.parent.mkdir(parents=True, exist_ok=True)
        write_text(unit, text)
    except OSError as error:
        raise EdgecvError(f"cannot make {unit.parent}: {error.strerror}") from error
    finally:
        os.umask(mask)


class _Systemctl:
    def __init__(self, user: bool, runner: Runner | None) -> None:
        self._command = ("systemctl", "--user") if user else ("systemctl",)
        self._runner = runner or _run

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self._runner((*self._command, *words))

    def failed(self, *words: str) -> str:
        """What it says was wrong, '' when nothing was."""
        done = self(*words)
        return _first_line(done) if done.returncode else ""

    def typed(self, *words: str) -> str:
        return " ".join((*self._command, *words))


def _run(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return subprocess.CompletedProcess(command, 127, "", str(error))


def _first_line(done: subprocess.CompletedProcess[str]) -> str:
    return next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
