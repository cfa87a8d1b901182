"""Telemetry from fake boards. Not run on hardware: the files follow what kernels and vendors publish."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.devices.telemetry import COMMAND_EVERY_S, REASONS, Reading, Telemetry, power_mode, throttle_c

FIRMWARE = "sys/devices/platform/soc/soc:firmware/get_throttled"
FIRMWARE_PI5 = "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled"
COOLING = "sys/devices/virtual/thermal"
VOLTS = "sys/class/hwmon/hwmon2"
INA = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4"
INA2 = "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon5"
IIO = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0"
INA238 = "sys/bus/i2c/drivers/ina238/2-0044/hwmon/hwmon6"
RAPL = "sys/class/powercap"

Lay = Callable[[dict[str, object]], Path]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_machine_that_says_nothing_is_unknown_and_not_fine(tmp_path: Path) -> None:
    assert Telemetry(tmp_path).read() == Reading()


def test_what_every_linux_says(lay: Lay) -> None:
    cpufreq = "sys/devices/system/cpu/cpu{}/cpufreq"
    root = lay(
        {
            "sys/class/thermal/thermal_zone0/type": "cpu-thermal",
            "sys/class/thermal/thermal_zone0/temp": 51234,
            f"{cpufreq.format(0)}/scaling_cur_freq": 1500000,
            f"{cpufreq.format(0)}/scaling_governor": "ondemand",
            f"{cpufreq.format(3)}/scaling_cur_freq": 2400000,
            "proc/loadavg": "0.42 0.30 0.10 1/200 4242",
            "proc/meminfo": "MemTotal:  947892 kB\nMemFree:  1 kB\nMemAvailable:  524300 kB",
        }
    )
    assert Telemetry(root).read() == Reading(
        temperature_c=51.234,
        clock_mhz=2400.0,
        governor="ondemand",
        load_1min=0.42,
        memory_available_mb=512,
    )


def test_a_named_zone_that_is_off_leaves_the_others(lay: Lay) -> None:
    zones = "sys/class/thermal/thermal_zone"
    root = lay(
        {
            f"{zones}0/type": "cpu-thermal",
            f"{zones}0/temp": -256000,
            f"{zones}1/type": "tj-thermal",
            f"{zones}1/temp": 49312,
        }
    )
    telemetry = Telemetry(root)
    assert telemetry.read().temperature_c == 49.312
    lay({f"{zones}0/temp": 48562})
    assert telemetry.read().temperature_c == 48.562


@pytest.mark.parametrize(
    ("files", "answer", "now", "since_boot"),
    [
        # the kernel's file has no 0x
        ({FIRMWARE: "50005"}, None, ("under-voltage", "throttled"), ("under-voltage", "throttled")),
        ({FIRMWARE_PI5: "80008"}, None, ("soft temperature limit",), ("soft temperature limit",)),
        # the kernel forgets: nothing now says nothing of before
        ({FIRMWARE: "0"}, None, (), None),
        ({FIRMWARE: "20000"}, None, (), ("frequency capped",)),
        # the firmware itself does not forget
        ({}, "throttled=0x0\n", (), ()),
        ({}, "throttled=0xe0002\n", ("frequency capped",), REASONS[1:]),
        # the kernel's file goes first, unless it is no number
        ({FIRMWARE: "1"}, "throttled=0x0", ("under-voltage",), ("under-voltage",)),
        ({FIRMWARE: "?"}, "throttled=0x4", ("throttled",), ("throttled",)),
        # a user outside the group video
        ({}, "VCHI initialization failed", None, None),
        ({}, "", None, None),
        # a Jetson: only these cooling devices are flags
        (
            {
                f"{COOLING}/cooling_device0/type": "cpu-throttle-alert",
                f"{COOLING}/cooling_device0/cur_state": 1,
                f"{COOLING}/cooling_device1/type": "gpu-throttle-alert",
                f"{COOLING}/cooling_device1/cur_state": 0,
                f"{COOLING}/cooling_device2/type": "pwm-fan",
                f"{COOLING}/cooling_device2/cur_state": 3,
            },
            None,
            ("throttled (cpu)",),
            None,
        ),
        (
            {
                f"{COOLING}/cooling_device0/type": "cpu-throttle-alert",
                f"{COOLING}/cooling_device0/cur_state": 0,
            },
            None,
            (),
            None,
        ),
        # a flag that does not answer is not a flag that is down
        ({f"{COOLING}/cooling_device0/type": "cpu-throttle-alert"}, None, None, None),
        # plain Debian on a Pi: an alarm is known, its absence says nothing of the other reasons
        ({f"{VOLTS}/name": "rpi_volt", f"{VOLTS}/in0_lcrit_alarm": 1}, None, REASONS[:1], REASONS[:1]),
        ({f"{VOLTS}/name": "rpi_volt", f"{VOLTS}/in0_lcrit_alarm": 0}, None, None, None),
    ],
)
def test_throttling(
    files: dict[str, object],
    answer: str | None,
    now: tuple[str, ...] | None,
    since_boot: tuple[str, ...] | None,
    lay: Lay,
) -> None:
    telemetry = Telemetry(lay(files), None if answer is None else lambda: answer)
    reading = telemetry.read()
    assert (reading.throttled, reading.throttled_since_boot) == (now, since_boot)


def test_what_was_seen_is_remembered_where_the_kernel_forgets(lay: Lay) -> None:
    telemetry = Telemetry(lay({FIRMWARE: "1"}))
    telemetry.read()
    lay({FIRMWARE: "40000"})
    reading = telemetry.read()
    assert reading.throttled == ()
    assert reading.throttled_since_boot == ("under-voltage", "throttled")


@given(st.integers(0, 0xFFFFFFFF))
def test_every_bit_has_its_word(bits: int) -> None:
    reading = Telemetry(Path("/nonexistent"), lambda: f"throttled={bits:#x}\n").read()
    expected = tuple(reason for bit, reason in enumerate(REASONS) if bits & 1 << bit)
    assert reading.throttled == expected
    assert set(reading.throttled_since_boot or ()) >= set(expected)


@given(st.text(max_size=30))
def test_any_answer_is_survived(text: str) -> None:
    Telemetry(Path("/nonexistent"), lambda: text).read()


def test_the_command_is_not_run_at_every_reading(tmp_path: Path) -> None:
    answers = (f"throttled=0x{bits}" for bits in itertools.count())
    clock = Clock()
    telemetry = Telemetry(tmp_path, lambda: next(answers), clock)
    assert telemetry.read().throttled == telemetry.read().throttled == ()
    clock.now += COMMAND_EVERY_S
    assert telemetry.read().throttled == ("under-voltage",)


def rail(folder: str, channel: int, name: str, mv: int, ma: int) -> dict[str, object]:
    return {
        f"{folder}/in{channel}_label": name,
        f"{folder}/in{channel}_input": mv,
        f"{folder}/curr{channel}_input": ma,
    }


@pytest.mark.parametrize(
    ("files", "watts"),
    [
        # Orin Nano: VDD_IN holds the others
        (rail(INA, 1, "VDD_IN", 5000, 1050) | rail(INA, 2, "VDD_CPU_GPU_CV", 5000, 100), 5.25),
        # AGX Orin: three rails over two monitors; NC and the sum of shunts are no rails
        (
            rail(INA, 1, "VDD_GPU_SOC", 20000, 200)
            | rail(INA, 2, "VDD_CPU_CV", 20000, 100)
            | rail(INA, 3, "VIN_SYS_5V0", 5000, 600)
            | rail(INA2, 1, "NC", 0, 0)
            | {f"{INA}/in4_label": "sum of shunt voltages"},
            9.0,
        ),
        # JetPack 4 has another driver, which gives milliwatts
        ({f"{IIO}/rail_name_0": "POM_5V_IN", f"{IIO}/in_power0_input": 1750}, 1.75),
        # AGX Xavier: six rails, of which none holds another
        (
            {
                f"{IIO}/rail_name_{n}": name
                for n, name in enumerate(("GPU", "CPU", "SOC", "CV", "VDDRQ", "SYS5V"))
            }
            | {f"{IIO}/in_power{n}_input": 1000 + n for n in range(6)},
            6.015,
        ),
        # Thor: the INA238 measures what comes in
        (rail(INA, 1, "VDD_CPU_SOC_MSS", 5000, 1300) | {f"{INA238}/power1_input": 23_000_000}, 23.0),
        # an INA238 on some other board measures who knows what
        ({f"{INA238}/power1_input": 23_000_000}, None),
        # a part is not the whole
        (rail(INA, 1, "VDD_GPU_SOC", 20000, 200), None),
        # a monitor that does not answer
        ({f"{INA}/in1_label": "VDD_IN", f"{INA}/in1_input": 5000}, None),
    ],
)
def test_the_power_of_a_jetson(files: dict[str, object], watts: float | None, lay: Lay) -> None:
    telemetry = Telemetry(lay(files))
    assert telemetry.read().power_w == (watts and pytest.approx(watts))


def test_the_power_of_a_pc_is_between_two_readings(lay: Lay) -> None:
    package, core = f"{RAPL}/intel-rapl:0", f"{RAPL}/intel-rapl:0:0"
    root = lay(
        {
            f"{package}/name": "package-0",
            f"{package}/energy_uj": 90_000_000,
            f"{package}/max_energy_range_uj": 100_000_000,
            f"{core}/name": "core",  # inside the package
            f"{core}/energy_uj": 1,
            f"{RAPL}/intel-rapl:1/name": "psys",
            f"{RAPL}/intel-rapl:1/energy_uj": 1,
        }
    )
    clock = Clock()
    telemetry = Telemetry(root, clock=clock)
    assert telemetry.read().power_w is None
    clock.now += 2
    lay({f"{package}/energy_uj": 99_000_000})
    assert telemetry.read().power_w == 4.5
    clock.now += 2
    lay({f"{package}/energy_uj": 5_000_000})  # over the end of its range
    assert telemetry.read().power_w == 3.0
    (root / package / "energy_uj").write_text("")  # as for a user who may not read it
    assert telemetry.read().power_w is None


def test_an_intel_cpu_counts_how_often_it_was_too_hot(lay: Lay) -> None:
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    telemetry = Telemetry(lay({count: 0}))
    assert telemetry.read().throttled == telemetry.read().throttled_since_boot == ()
    lay({count: 2})
    reading = telemetry.read()
    assert reading.throttled == reading.throttled_since_boot == ("throttled",)
    reading = telemetry.read()  # no more since
    assert (reading.throttled, reading.throttled_since_boot) == ((), ("throttled",))


def trips(zone: int, name: str, *points: tuple[str, int]) -> dict[str, object]:
    folder = f"sys/class/thermal/thermal_zone{zone}"
    files: dict[str, object] = {f"{folder}/type": name}
    for point, (kind, temp) in enumerate(points):
        files |= {f"{folder}/trip_point_{point}_type": kind, f"{folder}/trip_point_{point}_temp": temp}
    return files


@pytest.mark.parametrize(
    ("files", "celsius"),
    [
        # the lowest of those at which the CPU is slowed down: fans and the emergency stop are none
        (
            trips(
                0, "cpu-thermal", ("active", 50000), ("passive", 99000), ("passive", 95000), ("critical", 1)
            ),
            95.0,
        ),
        # the CPU's zone before the others
        (trips(0, "gpu-thermal", ("passive", 70000)) | trips(1, "CPU-therm", ("passive", 97000)), 97.0),
        (trips(0, "gpu-thermal", ("passive", 70000)) | trips(1, "cpu-thermal"), 70.0),
        # a PC writes 0 for none; and a nonsense
        (trips(0, "x86_pkg_temp", ("passive", 0), ("passive", -1), ("passive", 10**9)), None),
        # a Raspberry Pi: its firmware throttles, and says nothing of it here
        (trips(0, "cpu-thermal", ("critical", 110000)), None),
        ({}, None),
    ],
)
def test_where_the_kernel_throttles(files: dict[str, object], celsius: float | None, lay: Lay) -> None:
    assert throttle_c(lay(files)) == celsius


MODES = "# < POWER_MODEL ID=1 NAME=COMMENT >\n< POWER_MODEL ID=0 NAME=15W >\n< POWER_MODEL ID=1 NAME=7W >\n"
STATUS, CONF = "var/lib/nvpmodel/status", "etc/nvpmodel.conf"


@pytest.mark.parametrize(
    ("files", "answer", "mode"),
    [
        ({STATUS: "pmode:0001", CONF: MODES}, None, "7W"),
        ({STATUS: "pmode:0001 fmode:quiet", CONF: MODES}, "NV Power Mode: MAXN\n0", "7W"),
        # a mode without a name, and no files: the command
        ({STATUS: "pmode:0009", CONF: MODES}, "NV Power Mode: MAXN\n0\n", "MAXN"),
        ({}, "NV Fan Mode:cool\nNV Power Mode: MODE_30W_4CORE\n5\n", "MODE_30W_4CORE"),
        ({}, "NVPM ERROR: Error opening /var/lib/nvpmodel/status: 13\n", None),
        ({}, "", None),
        ({}, None, None),
        ({"sys/firmware/acpi/platform_profile": "low-power"}, None, "low-power"),
    ],
)
def test_power_modes(files: dict[str, object], answer: str | None, mode: str | None, lay: Lay) -> None:
    assert power_mode(lay(files), None if answer is None else lambda: answer) == mode


def test_a_reading_does_not_search_again(lay: Lay) -> None:
    """Looking through /sys takes longer than all that is read there."""
    telemetry = Telemetry(lay({}))
    zone = "sys/class/thermal/thermal_zone0"
    later = {f"{zone}/type": "cpu-thermal", f"{zone}/temp": 51234, FIRMWARE: "1"}
    lay(later | rail(INA, 1, "VDD_IN", 5000, 1050))
    assert telemetry.read() == Reading()


def test_this_very_machine() -> None:
    assert Telemetry().read().memory_available_mb
