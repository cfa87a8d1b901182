"""report.json: a round trip, and what a wrong file is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from reports_samples import make_report

from edgecv.devices import Selected
from edgecv.errors import DataError
from edgecv.reports.conditions import conditions, moment
from edgecv.reports.render import load_report, render_json
from edgecv.reports.schema import Moment


@pytest.mark.parametrize("scored", [True, False])
def test_round_trip(scored: bool, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    report = make_report(scored)
    path.write_text(render_json(report))
    assert load_report(path) == report


def _set(where: str, value: object) -> Callable[[dict], None]:
    """A change to the decoded JSON at a path like `artifacts.0.format`."""
    *parents, last = where.split(".")

    def change(document: dict) -> None:
        node = document
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[last] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("schema_version", 3), "schema_version 3, this edgecv reads 2; upgrade edgecv"),
        # before there were drops
        (_set("schema_version", 1), "schema_version 1, this edgecv reads 2; run `edgecv bench` again"),
        (_set("artifacts.0.format", "caffe"), r"'caffe' - at `\$\.artifacts\[0\]\.format`"),
        (_set("artifacts.1.accuracy.top1", 1.5), r"`\$\.artifacts\[1\]\.accuracy\.top1`"),
        (_set("conditions.threads", 0), r"`\$\.conditions\.threads`"),
        (_set("surprise", 1), "unknown field `surprise`"),
        (_set("artifacts", []), r"`\$\.artifacts`"),
        # neither measured nor skipped, and both
        (_set("artifacts.2.skipped", None), "either `measured` or `skipped`"),
        (_set("artifacts.0.skipped", "why"), "either `measured` or `skipped`"),
    ],
)
def test_wrong_files(change: Callable[[dict], None], message: str, tmp_path: Path) -> None:
    document = json.loads(render_json(make_report()))
    change(document)
    path = tmp_path / "report.json"
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=message) as caught:
        load_report(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b'{"schema_version": 1}'])
def test_no_report_at_all(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        load_report(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"report\.json: "):
        load_report(path)


def _system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


ZONES = "sys/class/thermal"
CPU0 = "sys/devices/system/cpu/cpu0/cpufreq"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        # nothing is known: unknown, not zero
        ({}, Moment(temperature_c=None, clock_mhz=None, load_1min=None)),
        (
            {
                f"{ZONES}/thermal_zone0/type": "cpu-thermal\n",
                f"{ZONES}/thermal_zone0/temp": "51234\n",
                f"{CPU0}/scaling_cur_freq": "1500000\n",
                "sys/devices/system/cpu/cpu3/cpufreq/scaling_cur_freq": "2400000\n",
                "proc/loadavg": "0.42 0.30 0.10 1/200 4242\n",
            },
            Moment(temperature_c=51.234, clock_mhz=2400.0, load_1min=0.42),
        ),
        # a Jetson: its PMIC always says 100 °C, and the CPU's zone goes before a hotter one
        (
            {
                f"{ZONES}/thermal_zone0/type": "PMIC-Die",
                f"{ZONES}/thermal_zone0/temp": "100000",
                f"{ZONES}/thermal_zone1/type": "CPU-therm",
                f"{ZONES}/thermal_zone1/temp": "40500",
                f"{ZONES}/thermal_zone2/type": "GPU-therm",
                f"{ZONES}/thermal_zone2/temp": "44000",
            },
            Moment(temperature_c=40.5, clock_mhz=None, load_1min=None),
        ),
        # a zone that is switched off, and one without a number
        (
            {
                f"{ZONES}/thermal_zone0/type": "cv0-thermal",
                f"{ZONES}/thermal_zone0/temp": "-256000",
                f"{ZONES}/thermal_zone1/type": "tj-thermal",
                f"{ZONES}/thermal_zone1/temp": "N/A",
            },
            Moment(temperature_c=None, clock_mhz=None, load_1min=None),
        ),
    ],
)
def test_moment(files: dict[str, str], expected: Moment, tmp_path: Path) -> None:
    assert moment(_system(tmp_path, files)) == expected


def test_conditions(selected: Selected, tmp_path: Path) -> None:
    now = moment()
    found = conditions(selected, now, now, _system(tmp_path, {f"{CPU0}/scaling_governor": "powersave\n"}))
    assert found.governor == "powersave"
    assert found.device == selected.profile.name
    assert found.threads == selected.threads
    assert found.opencv
    assert conditions(selected, now, now, tmp_path / "empty").governor is None
