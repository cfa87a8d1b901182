"""What usually goes wrong on a board, one line each with the remedy; nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgecv.bundle import Bundle, find_bundle
from edgecv.devices import select
from edgecv.devices.detect import SYSTEM
from edgecv.devices.health import Finding, State, unknown
from edgecv.doctor import board, bundles, cameras, software
from edgecv.doctor.case import Case
from edgecv.doctor.machine import Machine
from edgecv.errors import BundleError, EdgecvError
from edgecv.runtime.engines import one_line
from edgecv.spec import Struct

Check = Callable[[Case], Iterable[Finding]]
# A subject for a check that fails itself, and the check, by the heading they are shown under.
CHECKS: dict[str, tuple[tuple[str, Check], ...]] = {
    "Software": (
        ("Python", software.python),
        ("C library", software.c_library),
        ("packages", software.packages),
        ("OpenCV", software.opencv),
        ("engine", software.engines),
    ),
    "Camera": (
        ("cameras", cameras.cameras),
        ("picamera2", cameras.picamera2),
        ("source", cameras.source),
    ),
    "Board": (
        ("board", board.model),
        ("accelerator", board.accelerator),
        ("power supply", board.supply),
        ("throttling", board.throttling),
        ("cooling", board.cooling),
        ("governor", board.governor),
        ("power mode", board.mode),
        ("CPU", board.cpu),
        ("memory", board.memory),
        ("swap", board.swap),
        ("disk", board.disk),
        ("clock", board.clock),
        ("limits", board.container),
    ),
    "Bundle": (
        ("bundle", bundles.bundle),
        ("choice", bundles.choice),
        ("golden samples", bundles.replays),
    ),
}


class Group(Struct):
    title: str
    findings: tuple[Finding, ...]


class Diagnosis(Struct):
    groups: tuple[Group, ...]

    @property
    def findings(self) -> tuple[Finding, ...]:
        return tuple(finding for group in self.groups for finding in group.findings)

    @property
    def ok(self) -> bool:
        """Whether nothing was found that would stop `edgecv run`."""
        return all(finding.state is not State.PROBLEM for finding in self.findings)


def examine(
    bundle: str | None = None,
    *,
    device: str = "auto",
    source: str | None = None,
    machine: Machine | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Diagnosis:
    """Look at this machine as `edgecv run BUNDLE --device DEVICE --source SOURCE` would use it.

    A source is opened, for one frame, only when it is given; artifacts are run on the golden samples.
    progress: told the subject that is looked at, and the share done. Raises DeviceError for an unknown
    device, UsageError for what cannot be a bundle.
    """
    machine = machine or Machine()
    selected = select(device, machine.root)
    case = Case(
        machine=machine,
        selected=selected,
        bundle=_open(bundle),
        named=bundle is not None,
        tunable=device == "auto" and machine.root == SYSTEM,
        source=source,
    )
    total, done = sum(map(len, CHECKS.values())), 0
    groups = []
    for title, checks in CHECKS.items():
        findings: list[Finding] = []
        for subject, check in checks:
            if progress:
                progress(subject, done / total)
            findings += _guarded(subject, check, case)
            done += 1
        groups.append(Group(title=title, findings=tuple(findings)))
    return Diagnosis(groups=tuple(groups))


def _open(name: str | None) -> Bundle | BundleError:
    try:
        return Bundle.open(find_bundle(name), whole=False)
    except BundleError as error:
        return error


def _guarded(subject: str, check: Check, case: Case) -> list[Finding]:
    """What it finds; a check that fails itself costs its own lines only."""
    found: list[Finding] = []
    try:
        for finding in check(case):
            found.append(finding)
    except Exception as error:  # noqa: BLE001 - a strange machine is what this is for
        kind = "" if isinstance(error, EdgecvError) else f"{type(error).__name__}: "
        found.append(unknown(subject, f"cannot be checked here: {kind}{one_line(error)}"))
    return found
