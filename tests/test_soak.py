"""scripts/soak.py: its arithmetic, and three minutes of the soak itself."""

from __future__ import annotations

import importlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("psutil", reason="needs the extra `test`")

from edgecv.data import sample_photos
from edgecv.errors import DataError
from edgecv.runtime.results import Dropped, SinkCounts, Summary
from edgecv.show import running as show
from edgecv.timing import Latency

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
PAGE = SCRIPTS.parent / "docs" / "reliability.md"
SPENT = Latency.of([20.0])
ON, OFF, NEXT = (1, "cat", "on"), (5, "cat", "off"), (5, "dog", "on")


@pytest.fixture(scope="module", autouse=True)
def beside() -> Iterator[None]:
    """The script imports the files beside it."""
    sys.path.append(str(SCRIPTS))
    yield
    sys.path.remove(str(SCRIPTS))


@pytest.fixture(scope="module")
def checks(beside: None) -> ModuleType:  # noqa: ARG001
    return importlib.import_module("soak_checks")


@pytest.fixture(scope="module")
def soak(beside: None) -> ModuleType:  # noqa: ARG001
    return importlib.import_module("soak")


def summary(**changes: object) -> Summary:
    values = {
        "frames": 100,
        "dropped": Dropped(capture=7, queue=2),
        "skipped": 3,
        "reconnects": 4,
        "engine_failures": 1,
        "fps": 9.8,
        "latency": SPENT,
        "queue": SPENT,
        "inference": SPENT,
        "events": 12,
        "sinks": (
            SinkCounts(name="out: 1 delivered.csv", delivered=100),
            SinkCounts(name="mqtt://127.0.0.1:1883/soak", delivered=10, dropped=1, failed=1),
        ),
    }
    return Summary(**{**values, **changes})  # type: ignore[arg-type]


def test_what_a_run_says_at_its_end_is_read(checks: ModuleType) -> None:
    log = '2026-01-01T00:00:00.000Z level=warning msg="lost"\n'
    told = checks.told(log + show._summary(summary()) + "\n")
    counts = (told.frames, told.dropped_capture, told.dropped_queue, told.unreadable, told.engine_failures)
    assert counts == (100, 7, 2, 3, 1)
    assert (told.captured, told.reconnects, told.events) == (113, 4, 12)
    assert told.sinks == {"out: 1 delivered.csv": (100, 0, 0), "mqtt://127.0.0.1:1883/soak": (10, 1, 1)}


def test_counts_that_are_left_out_are_none(checks: ModuleType) -> None:
    clean = summary(dropped=Dropped(), skipped=0, reconnects=0, engine_failures=0, events=0, sinks=())
    told = checks.told(show._summary(clean))
    assert (told.captured, told.reconnects, told.events, told.sinks) == (100, 0, 0, {})


def test_a_run_that_crashed_has_no_summary(checks: ModuleType) -> None:
    with pytest.raises(ValueError, match="no summary"):
        checks.told("Traceback (most recent call last):\n")


@pytest.mark.parametrize(
    ("minutes", "camera_faults", "refusals"),
    [
        (60, 59, 12),  # a fault of the camera a minute, and of the webhook every five
        (3, 5, 3),  # faster, since there are so few minutes
        (1, 1, 2),
    ],
)
def test_the_plan_leaves_nothing_broken(
    soak: ModuleType, minutes: int, camera_faults: int, refusals: int
) -> None:
    total_s, ends = 60.0 * minutes, {"stop": "start", "freeze": "thaw", "fail": "recover"}
    actions = [action for action in soak.plan(total_s) if action.who]
    for who, faults in (("camera", camera_faults), ("broker", 2), ("webhook", refusals)):
        mine = [action.what for action in actions if action.who == who]
        assert sum(what not in ends.values() for what in mine) == faults
        for what, then in zip(mine, [*mine[1:], ""], strict=True):
            assert what not in ends or then == ends[what]
    assert [action.at_s for action in actions] == sorted(action.at_s for action in actions)
    assert actions[-1].at_s <= total_s - 10  # and time to recover


def curve(checks: ModuleType, **leaks: float) -> list[object]:
    """An hour, a sample in 10 s; leaks: what a field has more of at the end than at the start."""
    at = [10.0 * n for n in range(1, 361)]
    size = {"rss_mb": 200.0, "cpu_percent": 20.0, "threads": 20.0, "descriptors": 15.0}
    return [
        checks.Sample(
            at_s, **{name: value + leaks.get(name, 0) * at_s / 3600 for name, value in size.items()}
        )
        for at_s in at
    ]


@pytest.mark.parametrize(
    ("leaks", "failed"),
    [
        ({}, []),
        ({"rss_mb": 9.0}, []),  # 4 % since minute 5
        ({"rss_mb": 13.0}, ["memory"]),  # 6 %
        ({"descriptors": 59.0}, ["descriptors"]),  # one at each fault
        ({"threads": 4.0}, ["threads"]),
        ({"rss_mb": -50.0, "threads": -5.0}, []),
    ],
)
def test_a_run_stays_as_large_as_it_was(
    checks: ModuleType, leaks: dict[str, float], failed: list[str]
) -> None:
    made = checks.steady(curve(checks, **leaks), 3600.0)
    assert [check.name for check in made if not check.passed] == failed
    assert len(made) == 3


@pytest.mark.parametrize(
    ("total_s", "windows"),
    [
        (3600.0, ((300.0, 360.0), (3540.0, 3600.0))),  # minute 5, and the last one
        (180.0, ((60.0, 120.0), (120.0, 180.0))),
        (60.0, ((20.0, 40.0), (40.0, 60.0))),
    ],
)
def test_which_minutes_are_compared(
    checks: ModuleType, total_s: float, windows: tuple[tuple[float, float], ...]
) -> None:
    assert checks.windows(total_s) == windows


@pytest.mark.parametrize(
    ("counts", "expected", "there", "keep", "passed"),
    [
        ((10, 0, 0), 10, 10, None, True),
        ((7, 2, 1), 10, 7, None, True),  # lost, and told
        ((7, 2, 0), 10, 7, None, False),  # one is not accounted for
        ((10, 0, 0), 10, 9, None, False),  # one was said to be delivered, and is not there
        ((10, 0, 0), 10, 4, 4, True),  # the four newest snapshots are kept
        ((3, 0, 0), 3, 3, 4, True),
    ],
)
def test_items_are_accounted_for(
    checks: ModuleType, counts: tuple[int, ...], expected: int, there: int, keep: int | None, passed: bool
) -> None:
    assert checks.accounted("sink", checks.Counts(*counts), expected, there, keep).passed is passed


@pytest.mark.parametrize(
    ("counts", "got", "passed"),
    [
        ((3, 0, 0), [ON, OFF, NEXT], True),
        ((3, 0, 0), [ON, ON, OFF, NEXT], True),  # twice, as QoS 1 may
        ((3, 0, 0), [ON, OFF, ON, NEXT], True),  # even later
        ((2, 1, 0), [ON, OFF, NEXT], True),  # there, but the acknowledgement was lost
        ((2, 1, 0), [ON, NEXT], True),
        ((3, 0, 0), [ON, NEXT], False),  # one is missing
        ((2, 0, 0), [ON, NEXT], False),  # one is not accounted for
        ((3, 0, 0), [OFF, ON, NEXT], False),  # out of order
        ((3, 0, 0), [ON, OFF, NEXT, (9, "ghost", "on")], False),  # invented
    ],
)
def test_events_that_others_received(
    checks: ModuleType, counts: tuple[int, ...], got: list[tuple[int, str, str]], passed: bool
) -> None:
    assert checks.arrived("MQTT", checks.Counts(*counts), [ON, OFF, NEXT], got).passed is passed


@pytest.mark.parametrize(
    ("answered", "indices", "passed"),
    [
        (4, [0, 1, 3, 5], [True, True]),  # two were replaced by newer ones, and one more failed in the engine
        (4, [0, 1, 3, 4], [True, True]),  # some of those came after the last answer
        (5, [0, 1, 3, 5], [False, True]),  # a line is missing
        (4, [0, 1, 3, 9], [False, True]),  # frames that nobody tells of
        (4, [0, 3, 1, 4], [True, False]),
    ],
)
def test_frames_add_up(checks: ModuleType, answered: int, indices: list[int], passed: list[bool]) -> None:
    told = checks.Told(answered, 0, 2, 0, 1, 0, 0)
    assert [check.passed for check in checks.frames(told, indices)] == passed


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (113, True),
        (118, True),  # on their way when two connections ended
        (112, False),  # more than there were
        (150, False),
    ],
)
def test_what_the_camera_sent_is_accounted_for(checks: ModuleType, sent: int, passed: bool) -> None:
    told = checks.told(show._summary(summary()))
    assert checks.camera(told, sent, 2).passed is passed


def test_the_longest_time_without_a_result(checks: ModuleType) -> None:
    times_s = [0.0, 1.0, 2.0, 7.0, 8.0, 20.0]
    assert checks.longest_gap_s(times_s, 2.5, 8.0) == 5.0  # it began just before
    assert checks.longest_gap_s(times_s, 7.5, 30.0) == 12.0
    assert checks.longest_gap_s(times_s, 21.0, 30.0) == 0.0


def test_every_test_that_the_table_of_faults_names_is_there() -> None:
    named = set(re.findall(r"`(test_\w+)`", PAGE.read_text()))
    written = "".join(path.read_text() for path in Path(__file__).parent.rglob("test_*.py"))
    assert len(named) > 20
    assert not [name for name in named if f"def {name}(" not in written]


@pytest.mark.slow
def test_three_minutes_of_it(tmp_path: Path) -> None:
    try:
        sample_photos()
    except DataError as error:
        pytest.skip(str(error))
    if not (shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")):
        pytest.skip("needs mosquitto: apt install mosquitto")
    written = tmp_path / "soak.json"
    command = [sys.executable, SCRIPTS / "soak.py", "--minutes", "3", "--json", written]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(written.read_text())
    assert all(check["passed"] for check in made["checks"])
    assert made["summary"]["reconnects"] >= 5
    assert len(made["curve"]) == 18
