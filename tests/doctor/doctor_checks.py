"""Holding a line of the doctor to what it should say."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from edgecv.devices.health import Finding, State
from edgecv.doctor.case import Case

OK, WARNING, PROBLEM, UNKNOWN = State.OK, State.WARNING, State.PROBLEM, State.UNKNOWN
MakeCase = Callable[..., Case]
Expected = tuple[State, str, tuple[str, ...]]

PI5 = {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp asimdhp fphp\n\n" * 4,
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0",
    "proc/meminfo": "MemTotal: 4148736 kB\nMemAvailable: 3000000 kB\nSwapFree: 0 kB\n",
}


def check(found: Iterable[Finding], *expected: Expected) -> None:
    """Each finding has the state, the subject and the words (of its line or its remedy), in this order."""
    lines = list(found)
    assert [(line.state, line.subject) for line in lines] == [row[:2] for row in expected], lines
    for line, (state, _, words) in zip(lines, expected, strict=True):
        said = f"{line.what} | {line.remedy}"
        for word in words:
            assert word in said, said
        assert "\n" not in said
        assert line.remedy or state in (OK, UNKNOWN), said
        assert not line.remedy or state is not OK, said
