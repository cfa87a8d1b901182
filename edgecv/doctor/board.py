"""The board's own state: devices.health and devices.resources, given what they ask for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from edgecv.bundle import Bundle
from edgecv.devices import health, load_own, resources
from edgecv.devices.accelerators import accelerators
from edgecv.devices.cpu import UNKNOWN
from edgecv.devices.health import Finding
from edgecv.devices.telemetry import power_mode
from edgecv.doctor.case import Case
from edgecv.runtime.choice import Choice
from edgecv.spec import Precision


def model(case: Case) -> Iterator[Finding]:
    """What this machine was taken for."""
    found = case.selected.detected
    model = "a machine that does not say its model" if found.model == UNKNOWN else found.model
    ram = f"{found.ram_mb} MB" if found.ram_mb else "memory unknown"
    what = f"{model}, {ram}; profile {case.selected.profile.name} ({found.reason})"
    yield health.ok("board", what) if found.profile else health.unknown("board", what)
    for error in load_own().broken.values():
        yield health.warning("profiles", f"left out: {error}", "mend the file, or remove it")


def accelerator(case: Case) -> Iterator[Finding]:
    """Those that are there: nothing is wrong with one, and none makes a run faster yet."""
    for one in accelerators(case.machine.root):
        yield health.ok("accelerator", str(one))


def supply(case: Case) -> Iterator[Finding]:
    log = case.machine.run(("journalctl", "--dmesg", "--boot", "--quiet", "--output=cat", "--no-pager"))
    found = health.power_supply(case.machine.root, case.built_in, case.reading, log)
    yield from _those(found)


def throttling(case: Case) -> Iterator[Finding]:
    yield health.throttling(case.reading)


def governor(case: Case) -> Iterator[Finding]:
    yield health.governor(case.machine.root, case.reading)


def mode(case: Case) -> Iterator[Finding]:
    asked = power_mode(case.machine.root, lambda: case.machine.run(("nvpmodel", "-q")))
    yield from _those(health.power_saving(asked))


def cooling(case: Case) -> Iterator[Finding]:
    profiles = [found.profile for found in (case.selected.detected, case.built_in) if found.profile]
    yield health.cooling(case.machine.root, profiles, case.reading)


def cpu(case: Case) -> Iterator[Finding]:
    yield health.cpu(case.selected.detected, case.selected.profile.name, _holds(case))


def memory(case: Case) -> Iterator[Finding]:
    size = case.choice.artifact.bytes if isinstance(case.choice, Choice) else 0
    yield resources.memory(case.machine.root, size)


def swap(case: Case) -> Iterator[Finding]:
    yield resources.swap(case.machine.root)


def disk(case: Case) -> Iterator[Finding]:
    """The system's, and the cache's where it lies on another."""
    system = case.machine.usage(case.machine.root)
    yield resources.disk("/", system)
    cache = case.machine.usage(case.machine.cache)
    if cache != system:
        yield resources.disk(_short(case.machine.cache), cache)


def clock(case: Case) -> Iterator[Finding]:
    ntp = case.machine.run(("timedatectl", "show", "--property=NTPSynchronized", "--value"))
    yield resources.clock(case.machine.root, case.machine.now(), ntp)


def container(case: Case) -> Iterator[Finding]:
    yield from _those(resources.container(case.machine.root, case.selected.detected))


def _holds(case: Case) -> bool:
    """Whether the bundle has int8, and none of it was made for exact sums only."""
    if not isinstance(case.bundle, Bundle):
        return False
    int8 = [a for a in case.bundle.manifest.artifacts if a.precision is Precision.INT8]
    return bool(int8) and not any(artifact.needs_exact_sums for artifact in int8)


def _those(found: Finding | None) -> Iterator[Finding]:
    if found is not None:
        yield found


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)
