"""report.json: a round trip, how it reads, its documented schema, and what a wrong file is told."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from reports_full import make_full_report
from reports_samples import make_report

from edgecv.errors import DataError
from edgecv.reports import schema
from edgecv.reports.render import load_report, render_json, render_schema
from edgecv.reports.schema import Report
from edgecv.spec import Struct

DOCS = Path(__file__).parents[2] / "docs"
# What only a hostile or unlucky name looks like; newlines are escaped in JSON.
AWKWARD = 'a {\n "b": [\n 1,\n 2 ] } [ 3 ] \\" ü'


@pytest.mark.parametrize(
    "report",
    [
        make_report(),
        make_report(scored=False),
        make_full_report(pictures=50),
        msgspec.structs.replace(make_report(skipped=AWKWARD), bundle=AWKWARD),
    ],
    ids=["scored", "unscored", "full", "awkward"],
)
def test_round_trip(report: Report, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text(render_json(report))
    assert load_report(path) == report


def test_it_can_be_read_by_people() -> None:
    lines = [line.strip() for line in render_json(make_report()).split("\n")]
    # a latency is one line, and so are the samples behind it
    latency = '"preprocess": {"samples": 200, "mean_ms": 1.0, "p50_ms": 1.0, "p90_ms": 1.0,'
    assert sum(line.startswith(latency) for line in lines) == 2
    [samples] = [line for line in lines if line.startswith('"inference_ms": [20.0, 21.19,')]
    assert samples.endswith("],")
    assert len(lines) < 200


def test_the_documented_schema_is_this_one() -> None:
    # Versions of msgspec list the alternatives of a type in another order.
    written = (DOCS / "report.schema.json").read_text()
    assert _sorted(json.loads(written)) == _sorted(json.loads(render_schema())), (
        "write it anew: python -c 'from edgecv.reports.render import render_schema; "
        'print(render_schema(), end="")\' > docs/report.schema.json'
    )


def _sorted(part: object) -> object:
    if isinstance(part, dict):
        return {key: _sorted(value) for key, value in part.items()}
    return sorted(map(_sorted, part), key=repr) if isinstance(part, list) else part


def test_every_key_is_documented() -> None:
    """docs/report.md names each key of each group; what is not the report's own has its page elsewhere."""
    text = (DOCS / "report.md").read_text()
    named = set(re.findall(r"`([a-z0-9_]+)`", text))
    structs = [
        each
        for each in vars(schema).values()
        if isinstance(each, type) and issubclass(each, Struct) and each.__module__ == schema.__name__
    ]
    keys = {field for struct in structs for field in struct.__struct_fields__}
    assert len(structs) >= 20
    assert keys <= named, keys - named


def _set(where: str, value: object) -> Callable[[dict], None]:
    """A change to the decoded JSON at a path like `artifacts.0.format`."""
    *parents, last = where.split(".")

    def change(document: dict) -> None:
        node = document
        for key in parents:
            node = node[int(key)] if isinstance(node, list) else node[key]
        node[last] = value

    return change


def _judged(answers: dict) -> Callable[[dict], None]:
    """Answers to one picture, where there are two classes."""

    def change(document: dict) -> None:
        document["pictures"] = {"source": "photos", "digest": "cd" * 32, "truth": [1]}
        document["labels"] = ["a", "b"]
        document["artifacts"][0]["answers"] = answers

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("schema_version", 4), "schema_version 4, this edgecv reads 3; upgrade edgecv"),
        # before there was a verdict
        (_set("schema_version", 2), "schema_version 2, this edgecv reads 3; run `edgecv bench` again"),
        (_set("artifacts.0.format", "caffe"), r"'caffe' - at `\$\.artifacts\[0\]\.format`"),
        (_set("artifacts.1.accuracy.top1", 1.5), r"`\$\.artifacts\[1\]\.accuracy\.top1`"),
        (_set("artifacts.0.measured.turns", []), r"`\$\.artifacts\[0\]\.measured\.turns`"),
        (_set("verdict.reasons", [{"fault": "mood", "message": ""}]), r"`\$\.verdict\.reasons\[0\]\.fault`"),
        (_set("conditions.threads", 0), r"`\$\.conditions\.threads`"),
        (_set("surprise", 1), "unknown field `surprise`"),
        (_set("artifacts", []), r"`\$\.artifacts`"),
        # neither measured nor skipped, and both
        (_set("artifacts.2.skipped", None), "either `measured` or `skipped`"),
        (_set("artifacts.0.skipped", "why"), "either `measured` or `skipped`"),
        # no time is negative
        (
            _set("artifacts.0.measured.inference.p50_ms", -1.0),
            r"\.inference\.p50_ms`",
        ),
        (_set("artifacts.0.measured.turns.0.seconds", -1.0), r"`\$\.artifacts\[0\]\.measured\.turns\[0\]"),
        # answers to pictures that are not there, and of a class without a name
        (_set("artifacts.0.answers", {"best": [0], "score": [0.5]}), "not one for each of the `pictures`"),
        (_judged({"best": [2], "score": [0.5]}), "has no name in `labels`"),
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


@pytest.mark.parametrize(
    "content", [b"", b"[1]", b"{", b'{"a":' * 100_000, b"\xff\xfe", b'{"schema_version": 1}']
)
def test_no_report_at_all(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    with pytest.raises(DataError, match=r"cannot read .*No such file"):
        load_report(path)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"report\.json: "):
        load_report(path)
