"""Boards in good and bad health: each line's state, and what it says to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgecv.devices import Family, detect, health
from edgecv.devices.detect import Detected
from edgecv.devices.health import Finding, State
from edgecv.devices.profile import builtin_profiles
from edgecv.devices.telemetry import Reading

OK, WARNING, UNKNOWN = State.OK, State.WARNING, State.UNKNOWN
DROPPED = "hwmon hwmon1: Undervoltage detected!\nhwmon hwmon1: Voltage normalised\n"
OLDER = "Under-voltage detected! (0x00050005)\nUnder-voltage detected! (0x00050005)\n"
QUIET = "Booting Linux on physical CPU 0x0\n"


def board(name: str) -> Detected:
    profile = next(profile for profile in builtin_profiles() if profile.name == name)
    features = {"neon"} if profile.family is Family.RPI else {"avx2"}
    return Detected(
        profile=profile,
        exact=True,
        model=profile.title,
        architecture="aarch64" if profile.family is Family.RPI else "x86_64",
        cpu_features=frozenset(features),
        physical_cores=4,
        logical_cores=4,
        ram_mb=4096,
        int8_saturates=profile.inference.int8_saturates,
        reason="told",
        **_further(),
    )


def _further() -> dict[str, Any]:
    """The fields of Detected that have no bearing here, as a machine without any of it has them."""
    known = {"profile", "exact", "model", "architecture", "cpu_features", "physical_cores", "logical_cores"}
    known |= {"ram_mb", "int8_saturates", "reason"}
    empty = detect(Path("/nonexistent"))
    return {name: getattr(empty, name) for name in Detected.__dataclass_fields__ if name not in known}


def write(root: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def check(found: Finding | None, state: State, *words: str) -> None:
    assert found is not None
    said = f"{found.what} | {found.remedy}"
    assert found.state is state, said
    for word in words:
        assert word in said
    assert "\n" not in said
    if state is OK:
        assert found.remedy == ""
    elif state is not UNKNOWN:
        assert found.remedy


@pytest.mark.parametrize(
    ("name", "now", "ever", "log", "amperes", "state", "words"),
    [
        # vcgencmd counts since boot, and there was nothing
        ("rpi5", (), (), "", 5000, OK, ("none since boot",)),
        # the kernel's bits forget, its log does not
        ("rpi4b", (), None, QUIET, None, OK, ("none since boot",)),
        # neither is to be had: now is known, before is not
        ("rpi4b", (), None, "", None, UNKNOWN, ("since boot is not known", "journalctl")),
        # plain Debian
        ("rpi4b", None, None, QUIET, None, UNKNOWN, ("vcgencmd", "raspi-utils")),
        # now
        ("rpi5", ("under-voltage",), None, "", 5000, WARNING, ("under-voltage now", "5 V 5 A")),
        ("rpi4b", ("under-voltage", "throttled"), (), "", None, WARNING, ("5 V 3 A", "cable")),
        # some time before, by the firmware and by either wording of the kernel
        ("rpi-zero2w", (), ("under-voltage",), "", None, WARNING, ("since boot", "5 V 2.5 A")),
        ("rpi5", (), None, DROPPED, None, WARNING, ("1x",)),
        ("rpi3b+", (), (), OLDER, None, WARNING, ("2x",)),
        # a supply that a Raspberry Pi 5 did not agree on 5 A with
        ("rpi5", (), (), "", 3000, WARNING, ("offers 3 A", "5 V 5 A")),
        ("rpi5", None, None, "", 900, WARNING, ("offers 0.9 A",)),
        # the same file says nothing about older boards
        ("rpi4b", (), (), "", 3000, OK, ()),
    ],
)
def test_the_power_supply(
    tmp_path: Path,
    name: str,
    now: tuple[str, ...] | None,
    ever: tuple[str, ...] | None,
    log: str,
    amperes: int | None,
    state: State,
    words: tuple[str, ...],
) -> None:
    if amperes is not None:
        write(tmp_path, **{"proc/device-tree/chosen/power/max_current": amperes.to_bytes(4, "big")})
    reading = Reading(throttled=now, throttled_since_boot=ever)
    check(health.power_supply(tmp_path, board(name), reading, log), state, *words)


def test_only_a_raspberry_pi_measures_its_supply(tmp_path: Path) -> None:
    assert health.power_supply(tmp_path, board("x86"), Reading(throttled=()), DROPPED) is None
    assert health.power_supply(tmp_path, replace(board("x86"), profile=None), Reading(), "") is None


@pytest.mark.parametrize(
    ("now", "ever", "state", "words"),
    [
        (None, None, UNKNOWN, ("does not say",)),
        ((), (), OK, ("not slowed down now, nor since boot",)),
        # a Jetson's flags keep no history
        ((), None, OK, ("since boot is not known",)),
        (
            ("throttled", "soft temperature limit"),
            None,
            WARNING,
            ("throttled, soft temperature limit", "fan"),
        ),
        (("throttled (cpu)",), None, WARNING, ("throttled (cpu)",)),
        ((), ("frequency capped",), WARNING, ("since boot: frequency capped",)),
        # under-voltage is the supply's line, not this one's
        (("under-voltage",), ("under-voltage",), OK, ()),
    ],
)
def test_throttling(
    now: tuple[str, ...] | None, ever: tuple[str, ...] | None, state: State, words: tuple[str, ...]
) -> None:
    check(health.throttling(Reading(throttled=now, throttled_since_boot=ever)), state, *words)


@pytest.mark.parametrize(
    ("governor", "driver", "state", "words"),
    [
        (None, "", UNKNOWN, ()),
        ("performance", "cpufreq-dt", OK, ("highest",)),
        ("ondemand", "cpufreq-dt", OK, ("follows the load",)),
        ("schedutil", "tegra194", OK, ("follows the load",)),
        # the lowest clock, and never another
        ("powersave", "cpufreq-dt", WARNING, ("lowest", "echo performance")),
        # the same name, of drivers that scale by themselves
        ("powersave", "intel_pstate", OK, ("follows the load",)),
        ("powersave", "amd-pstate-epp", OK, ()),
        # what a file says goes to a terminal
        ("\x1b[31mred", "", OK, ("[31mred",)),
    ],
)
def test_the_governor(
    tmp_path: Path, governor: str | None, driver: str, state: State, words: tuple[str, ...]
) -> None:
    write(tmp_path, **{"sys/devices/system/cpu/cpu0/cpufreq/scaling_driver": driver + "\n"})
    found = health.governor(tmp_path, Reading(governor=governor))
    check(found, state, *words)
    assert "\x1b" not in found.what


def test_power_modes() -> None:
    assert health.power_saving(None) is None
    check(health.power_saving("15W"), OK, "15W")
    check(health.power_saving("balanced"), OK)
    check(health.power_saving("low-power"), WARNING, "powerprofilesctl")


ZONE = "sys/class/thermal/thermal_zone0"


@pytest.mark.parametrize(
    ("name", "degrees", "files", "state", "words"),
    [
        (None, None, {}, UNKNOWN, ("no sensor",)),
        # nobody knows where it throttles
        (None, 40.0, {}, UNKNOWN, ("40 °C", "not known")),
        # the firmware throttles, and the profile knows where
        ("rpi5", 45.0, {}, OK, ("45 °C", "from 80 °C")),
        ("rpi5", 74.0, {}, WARNING, ("heat sink",)),
        ("rpi4b", 83.0, {}, WARNING, ("from 80 °C",)),
        # a Raspberry Pi 3B+ has a soft limit before the hard one
        ("rpi3b+", 55.0, {}, WARNING, ("from 60 °C",)),
        # the kernel's own trip point counts more than a profile
        (
            "rpi5",
            74.0,
            {
                f"{ZONE}/type": "cpu-thermal\n",
                f"{ZONE}/trip_point_0_type": "passive\n",
                f"{ZONE}/trip_point_0_temp": "95000\n",
            },
            OK,
            ("from 95 °C",),
        ),
        ("rpi5", 45.0, {"sys/class/hwmon/hwmon2/fan1_input": "2104\n"}, OK, ("fan 2104 rpm",)),
        # a fan that stands still where it should not
        ("rpi5", 79.0, {"sys/class/hwmon/hwmon2/fan1_input": "0\n"}, WARNING, ("fan 0 rpm",)),
    ],
)
def test_cooling(
    tmp_path: Path,
    name: str | None,
    degrees: float | None,
    files: dict[str, str],
    state: State,
    words: tuple[str, ...],
) -> None:
    write(tmp_path, **files)
    profile = board(name).profile if name else None
    reading = Reading(temperature_c=degrees)
    check(health.cooling(tmp_path, [profile] if profile else [], reading), state, *words)


@pytest.mark.parametrize(
    ("architecture", "features", "holds", "state", "words"),
    [
        ("aarch64", ("neon", "dotprod"), False, OK, ("dotprod", "int8 is fast")),
        ("aarch64", ("neon", "dotprod", "i8mm"), False, OK, ("i8mm",)),
        ("aarch64", ("neon",), False, OK, ("no dotprod", "gains less")),
        ("armv6l", ("vfp",), False, WARNING, ("no NEON",)),
        ("x86_64", ("avx2", "avx512_vnni"), False, OK, ("int8 is fast",)),
        ("x86_64", ("avx2",), False, WARNING, ("saturates", "--target x86")),
        # a bundle that was made for such a CPU
        ("x86_64", ("avx2",), True, OK, ("hold here",)),
        ("x86_64", (), False, UNKNOWN, ()),
        ("riscv64", (), False, UNKNOWN, ()),
    ],
)
def test_the_cpu(
    architecture: str, features: tuple[str, ...], holds: bool, state: State, words: tuple[str, ...]
) -> None:
    from edgecv.devices.cpu import int8_saturates

    saturates = int8_saturates(architecture, frozenset(features))
    detected = replace(
        board("x86"), architecture=architecture, cpu_features=frozenset(features), int8_saturates=saturates
    )
    check(health.cpu(detected, "x86", holds), state, *words)
