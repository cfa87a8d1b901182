"""What a monitor sees of fake systems, whose counters a test moves by hand."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import UsageError
from edgecv.reports import monitor as monitor_module
from edgecv.reports.monitor import MAX_MOMENTS, Monitor, power_command, supply, thinned
from edgecv.reports.schema import Moment

ME, CHILD = 4711, 4712
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class System:
    """A root whose clock and counters are set by hand, in seconds."""

    def __init__(self, root: Path) -> None:
        self.root, self.now_s = root, 100.0

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def stat(
        self, user: float = 0, nice: float = 0, system: float = 0, soft: float = 0, steal: float = 0
    ) -> None:
        # Idle and waiting grow as well, and are nobody's; a guest's time is counted in user already.
        seconds = (user, nice, system, 1e4 + self.now_s, 17.0, 0.0, soft, steal, user, 0.0)
        ticks = " ".join(str(round(s / TICK_S)) for s in seconds)
        self.write("proc/stat", f"cpu  {ticks}\ncpu0 {ticks}\nctxt 1\n")

    def process(self, number: int, used: float = 0, ended_children: float = 0) -> None:
        fields = ["S", "1"] + ["0"] * 48
        fields[11:15] = [str(round(s / TICK_S)) for s in (used, 0, 0, ended_children)]
        self.write(f"proc/{number}/stat", f"{number} (a (strange) name) {' '.join(fields)}\n")

    def monitor(self, power: Callable[[], float | None] | None = None) -> Monitor:
        return Monitor(self.root, lambda: self.now_s, power, process=ME)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


@pytest.mark.parametrize(
    ("stat", "own", "child", "ended", "other", "stolen"),
    [
        # nobody does anything
        ({}, 0, 0, 0, 0.0, 0.0),
        # two cores busy for all of the two seconds, and none of it ours
        ({"user": 3, "nice": 0.5, "system": 0.25, "soft": 0.25}, 0, 0, 0, 2.0, 0.0),
        # all of it ours: this process's, a child's that runs, and one's that has ended
        ({"user": 3, "system": 1}, 1, 2.5, 0.5, 0.0, 0.0),
        # half a core is somebody else's, and a quarter of one the hypervisor's
        ({"user": 3, "steal": 0.5}, 0.5, 1.5, 0, 0.5, 0.25),
        # counted by two clocks that differ by a tick: not less than nothing
        ({"user": 1}, 1.01, 0, 0, 0.0, 0.0),
    ],
)
def test_who_takes_the_cores(
    system: System,
    stat: dict[str, float],
    own: float,
    child: float,
    ended: float,
    other: float,
    stolen: float,
) -> None:
    system.stat()
    system.process(ME)
    monitor = system.monitor()
    system.now_s += 2
    system.stat(**stat)
    system.process(ME, own, ended)
    system.process(CHILD, child)
    monitor.children.add(CHILD)
    moment = monitor.take()
    assert moment.at_s == 2.0
    assert moment.other_cores == pytest.approx(other, abs=1e-6)
    assert moment.stolen_cores == pytest.approx(stolen, abs=1e-6)


def test_a_share_of_too_short_a_time_is_counted_with_the_next(system: System) -> None:
    system.stat()
    system.process(ME)
    monitor = system.monitor()
    system.now_s += 0.1
    system.stat(user=0.1)
    assert monitor.take().other_cores is None
    system.now_s += 0.9
    system.stat(user=0.5)
    assert monitor.take().other_cores == pytest.approx(0.5)


def test_a_child_that_ends_is_still_ours(system: System) -> None:
    system.stat()
    system.process(ME)
    system.process(CHILD)
    monitor = system.monitor()
    monitor.children.add(CHILD)
    system.now_s += 1
    system.stat(user=6)
    system.process(CHILD, 6)
    monitor.take()
    system.now_s += 1
    system.stat(user=6.5)
    (system.root / f"proc/{CHILD}/stat").unlink()
    system.process(ME, ended_children=6.5)
    monitor.children.discard(CHILD)
    assert monitor.take().other_cores == 0.0


def test_what_is_unknown_is_none(system: System) -> None:
    """An empty system, as in a container without /proc: no zero is made up."""
    monitor = system.monitor()
    system.now_s += 1
    assert monitor.take() == Moment(at_s=1.0)
    assert monitor.seen(0) == (None, None, None, None)
    assert monitor.swapped_pages() is None
    assert monitor.power_source is None
    assert monitor.available_mb() is None
    assert supply(system.root) is None
    # A core's time without this process's own would call all of ours somebody else's.
    system.stat(user=1)
    monitor = system.monitor()
    system.now_s += 1
    system.stat(user=2)
    assert monitor.take().other_cores is None


def test_at_most_one_look_a_second(system: System) -> None:
    monitor = system.monitor()
    for _ in range(9):
        monitor.look()
        system.now_s += 0.25
    assert [moment.at_s for moment in monitor.moments] == [0.0, 1.0, 2.0]


def test_asking_for_memory_loses_no_throttling(system: System) -> None:
    """An Intel CPU's count is of what came since the reading before, whoever asked for that."""
    count = "sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_count"
    system.write(count, "5\n")
    monitor = system.monitor()
    system.write(count, "6\n")
    monitor.available_mb()
    monitor.take()
    assert monitor.seen(0).throttled == ("throttled",)


def test_pages_that_were_swapped(system: System) -> None:
    system.write("proc/vmstat", "pgpgin 5\npswpin 10\npswpout 20\npswpinfoo 9\n")
    monitor = system.monitor()
    assert monitor.swapped_pages() == 0
    system.write("proc/vmstat", "pgpgin 9\npswpin 11\npswpout 24\npswpinfoo 99\n")
    assert monitor.swapped_pages() == 5


def test_power_of_a_turn_is_that_turns(system: System) -> None:
    """A counter of energy gives the mean since it was read: at the turn's start, not the turn's before."""
    package = "sys/class/powercap/intel-rapl:0"
    system.write(f"{package}/name", "package-0\n")
    system.write(f"{package}/max_energy_range_uj", "262143328850\n")
    system.write(f"{package}/energy_uj", "1000000\n")
    monitor = system.monitor()
    monitor.take()
    system.now_s += 10  # at 50 W, before the turn
    system.write(f"{package}/energy_uj", "501000000\n")
    mark = monitor.mark()
    for energy_uj in (506000000, 511000000):
        system.now_s += 1
        system.write(f"{package}/energy_uj", f"{energy_uj}\n")
        monitor.look()
    assert monitor.seen(mark).power_w == pytest.approx(5.0)
    assert monitor.power_source == "RAPL: CPU packages"


def test_seen_of_a_turn(system: System) -> None:
    clocks = "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq"
    watts = itertools.chain([3.0, None], itertools.repeat(5.0))
    system.write(clocks, "600000\n")
    monitor = system.monitor(lambda: next(watts))
    monitor.take()
    mark = monitor.mark()
    for khz in (1500000, 1400000, 1300000):
        system.now_s += 1
        system.write(clocks, f"{khz}\n")
        monitor.look()
    seen = monitor.seen(mark)
    assert (seen.clock_mhz, seen.power_w, seen.temperature_c, seen.throttled) == (1400.0, 5.0, None, None)
    assert monitor.power_source == "--power-command"


@pytest.mark.parametrize(
    ("supplies", "expected"),
    [
        ({}, None),
        ({"BAT0": ("Battery", "Discharging")}, "battery"),
        ({"BAT0": ("Battery", "Charging"), "AC": ("Mains", "1")}, "mains"),
        # a supply too weak for the load: the battery helps, and is not being used up alone
        ({"BAT0": ("Battery", "Discharging"), "AC": ("Mains", "1")}, "mains"),
        ({"BAT0": ("Battery", "Discharging"), "AC": ("Mains", "0"), "usb": ("USB", "0")}, "battery"),
        ({"usb": ("USB", "1")}, "mains"),
        # a battery at rest on no known supply says neither
        ({"BAT0": ("Battery", "Not charging")}, None),
        # a mouse's
        ({"hid": ("Battery", "Discharging", "Device")}, None),
    ],
)
def test_supply(system: System, supplies: dict[str, tuple[str, ...]], expected: str | None) -> None:
    for name, (kind, state, *scope) in supplies.items():
        folder = f"sys/class/power_supply/{name}"
        system.write(f"{folder}/type", f"{kind}\n")
        system.write(f"{folder}/{'status' if kind == 'Battery' else 'online'}", f"{state}\n")
        for value in scope:
            system.write(f"{folder}/scope", f"{value}\n")
    assert supply(system.root) == expected


@given(st.integers(0, 5 * MAX_MOMENTS))
def test_thinning_keeps_every_reason_and_the_mean(count: int) -> None:
    moments = [
        Moment(at_s=i, other_cores=i % 2, throttled=("hot",) if i == count // 2 else ()) for i in range(count)
    ]
    thin = thinned(moments)
    assert len(thin) <= MAX_MOMENTS
    if count <= MAX_MOMENTS:
        assert thin == tuple(moments)
    if count:
        assert thin[-1].at_s == moments[-1].at_s
        assert sum("hot" in (moment.throttled or ()) for moment in thin) == 1
        assert all(moment.temperature_c is None for moment in thin)


def script(code: str) -> str:
    return shlex.join([sys.executable, "-c", code])


def test_power_by_a_command(tmp_path: Path) -> None:
    now_s, answers = [0.0], tmp_path / "answer"
    watts = power_command(script(f"print(open({str(answers)!r}).read())"), lambda: now_s[0])
    answers.write_text("plug 7: 4.25 W (0.85 A)")
    assert watts() == 7.0  # the first number is what it takes: the command is to print watts first
    answers.write_text("4.25 W")
    assert watts() == 7.0
    now_s[0] += 1
    assert watts() == 4.25
    answers.unlink()  # a plug that does not answer once does not end a measurement
    now_s[0] += 1
    assert watts() is None


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (script("print('no plug')"), r"it has to print watts, and printed 'no plug\\n'$"),
        (script("import sys; sys.exit('no such plug')"), r"exit status 1 \(no such plug\)$"),
        (script("raise SystemExit(3)"), r"exit status 3 \(it printed no reason\)$"),
        ("no-such-program-anywhere --watts", "cannot be run .*No such file"),
        ("", "--power-command '': cannot be run"),
    ],
)
def test_a_power_command_that_fails_says_so_at_once(command: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        power_command(command)()
    assert "\n" not in str(caught.value)


def test_a_power_command_that_is_no_shells(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="No closing quotation"):
        power_command("say 'watts")
    monkeypatch.setattr(monitor_module, "COMMAND_TIMEOUT_S", 0.2)
    with pytest.raises(UsageError, match="no answer within 0.2 s"):
        power_command(script("import threading; threading.Event().wait()"))()


def test_this_machine() -> None:
    """Whatever it is: a moment can be taken, and what is known of it is plausible."""
    monitor = Monitor()
    moment = monitor.take()
    assert moment.other_cores is None
    assert moment.at_s >= 0
    assert monitor.moments == [moment]
