"""Memory, swap, disk, clock and limits, from trees of files as Linux has them."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.devices import detect, resources
from edgecv.devices.health import Finding, State
from edgecv.devices.resources import Limits, Usage, limits

OK, WARNING, PROBLEM, UNKNOWN = State.OK, State.WARNING, State.PROBLEM, State.UNKNOWN
MB = 1 << 20
NONE = Limits(None, None, None)
UTC = datetime.timezone.utc
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def meminfo(available_mb: int | None, swap_mb: int = 0, total_mb: int = 4096) -> dict[str, str]:
    rows = {"MemTotal": total_mb, "MemAvailable": available_mb, "SwapFree": swap_mb}
    shown = (f"{name}:  {size * 1024} kB\n" for name, size in rows.items() if size is not None)
    return {"proc/meminfo": "".join(shown)}


def check(found: Finding | None, state: State, *words: str) -> None:
    assert found is not None
    said = f"{found.what} | {found.remedy}"
    assert found.state is state, said
    for word in words:
        assert word in said
    assert bool(found.remedy) == (state in (WARNING, PROBLEM)), said


@pytest.mark.parametrize(
    ("files", "model_mb", "state", "words"),
    [
        ({}, 5, UNKNOWN, ()),
        (meminfo(None), 5, UNKNOWN, ()),
        (meminfo(1800), 5, OK, ("1800 MB available", "about 210 MB")),
        # a Zero 2 W with a desktop
        (meminfo(150, swap_mb=100, total_mb=425), 5, WARNING, ("it would swap",)),
        (meminfo(90, swap_mb=0, total_mb=425), 5, PROBLEM, ("it would be killed", "zram")),
        (meminfo(300), 90, PROBLEM, ("about 380 MB",)),
    ],
)
def test_memory(
    tmp_path: Path, files: dict[str, str], model_mb: int, state: State, words: tuple[str, ...]
) -> None:
    check(resources.memory(write(tmp_path, files), model_mb * MB), state, *words)


def group(path: str, **values: str | int) -> dict[str, str]:
    return {
        f"sys/fs/cgroup/{path}/{name.replace('_', '.', 1)}": f"{value}\n" for name, value in values.items()
    }


def test_a_container_s_memory_counts_and_files_it_has_read_do_not(tmp_path: Path) -> None:
    inside = {"proc/self/cgroup": "0::/\n"}
    used = group("", memory_max=512 * MB, memory_current=500 * MB)
    write(tmp_path, meminfo(4000, swap_mb=1000) | inside | used)
    check(resources.memory(tmp_path, 5 * MB), PROBLEM, "12 MB available")
    write(tmp_path, {"sys/fs/cgroup/memory.stat": f"anon 1\ninactive_file {400 * MB}\n"})
    check(resources.memory(tmp_path, 5 * MB), OK, "412 MB available")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, NONE),
        # no limits, as on any desktop
        (
            {"proc/self/cgroup": "0::/user.slice\n"}
            | group("user.slice", cpu_max="max 100000", memory_max="max"),
            NONE,
        ),
        # docker run --cpus 1.5
        ({"proc/self/cgroup": "0::/\n"} | group("", cpu_max="150000 100000"), Limits(1.5, None, None)),
        # a service with MemoryMax=, in a slice that has a tighter one
        (
            {"proc/self/cgroup": "0::/a.slice/b.service\n"}
            | group("a.slice", memory_max=300 * MB, memory_current=100 * MB)
            | group("a.slice/b.service", memory_max=400 * MB, memory_current=50 * MB),
            Limits(None, 300, 200),
        ),
        # version 1: no limit is a huge number, and the quota -1
        (
            {"proc/self/cgroup": "4:memory:/docker/x\n2:cpu,cpuacct:/docker/x\n"}
            | group("cpu/docker/x", **{"cpu_cfs_quota_us": 200000, "cpu_cfs_period_us": 100000})
            | {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "9223372036854771712\n"},
            Limits(2.0, None, None),
        ),
        # a path of another namespace
        ({"proc/self/cgroup": "0::/../../x\n"} | group("", cpu_max="50000 100000"), Limits(0.5, None, None)),
        # nonsense
        ({"proc/self/cgroup": "\n::\nx\n"} | group("", cpu_max="many 0", memory_max="?"), NONE),
    ],
)
def test_limits(tmp_path: Path, files: dict[str, str], expected: Limits) -> None:
    assert limits(write(tmp_path, files)) == expected


@settings(max_examples=40)
@given(st.builds("0::{}".format, st.text(max_size=50)), st.text(max_size=60))
def test_no_file_makes_it_fail(cgroup: str, value: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for path in (
            "proc/self/cgroup",
            "proc/swaps",
            "proc/meminfo",
            "proc/mounts",
            "sys/fs/cgroup/cpu.max",
        ):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(
                cgroup if "cgroup" in path else value, encoding="utf-8", errors="replace"
            )
        limits(root)
        resources.memory(root, 0)


def test_a_container_says_its_limits(tmp_path: Path) -> None:
    four_cores = detect(
        write(tmp_path, {"proc/cpuinfo": "processor: 0\nFeatures: asimd\n\nprocessor: 1\n\n"})
    )
    assert resources.container(tmp_path, four_cores) is None
    write(tmp_path, {"proc/self/cgroup": "0::/\n"} | group("", cpu_max="100000 100000"))
    check(resources.container(tmp_path, four_cores), WARNING, "1 CPUs", "of 2 cores", "--threads 1")
    write(tmp_path, group("", cpu_max="200000 100000", memory_max=512 * MB))
    check(resources.container(tmp_path, four_cores), OK, "2 CPUs and 512 MB of memory")


@pytest.mark.parametrize(
    ("rows", "more", "state", "words"),
    [
        (None, {}, UNKNOWN, ()),
        ("", meminfo(3000), OK, ("none",)),
        ("", meminfo(100, total_mb=425), WARNING, ("none, with 425 MB", "zram")),
        ("/dev/zram0 partition 435196 400000 100\n", {}, OK, ("/dev/zram0",)),
        ("/var/swap file 102396 0 -2\n", {}, OK, ("0 used",)),
        (
            "/var/swap file 102396 90000 -2\n",
            {"proc/mounts": "proc /proc proc rw 0 0\n/dev/mmcblk0p2 / ext4 rw 0 0\n"},
            WARNING,
            ("87 used", "on the SD card"),
        ),
        (
            "/swapfile file 2097148 500000 -2\n",
            {"proc/mounts": "/dev/nvme0n1p1 / ext4 rw 0 0\n"},
            WARNING,
            ("stutter",),
        ),
    ],
)
def test_swap(
    tmp_path: Path, rows: str | None, more: dict[str, str], state: State, words: tuple[str, ...]
) -> None:
    write(tmp_path, more if rows is None else {"proc/swaps": SWAPS + rows, **more})
    found = resources.swap(tmp_path)
    check(found, state, *words)
    assert "on the SD card" in words or "SD card" not in found.what


@pytest.mark.parametrize(
    ("usage", "state", "words"),
    [
        (Usage(5000, False), OK, ("5000 MB free",)),
        (Usage(12, False), WARNING, ("12 MB free", "apt clean")),
        (Usage(5000, True), WARNING, ("read-only", "remount")),
    ],
)
def test_disk(usage: Usage, state: State, words: tuple[str, ...]) -> None:
    found = resources.disk("/", usage)
    check(found, state, *words)
    assert found.subject == "disk of /"


@pytest.mark.parametrize(
    ("year", "marker", "ntp", "state", "words"),
    [
        (2026, True, "", OK, ("synchronised",)),
        (2026, False, "yes\n", OK, ("2026-03-01",)),  # chrony, ntpd
        (2026, False, "no\n", WARNING, ("not synchronised", "timedatectl")),
        (2026, False, "", UNKNOWN, ("not known",)),  # no systemd
        (1970, True, "yes\n", WARNING, ("1970-03-01", "TLS")),  # no battery, no network
    ],
)
def test_the_clock(
    tmp_path: Path, year: int, marker: bool, ntp: str, state: State, words: tuple[str, ...]
) -> None:
    if marker:
        write(tmp_path, {"run/systemd/timesync/synchronized": ""})
    now = datetime.datetime(year, 3, 1, 12, 0, tzinfo=UTC)
    check(resources.clock(tmp_path, now, ntp), state, *words)
