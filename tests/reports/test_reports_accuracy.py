"""Accuracies computed by hand: ten brightness classes, at 0, 28.3, 56.7, 85, 113.3, ... 255."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import KINDS, write_bundle

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.errors import DataError, EngineError, EngineMissing
from edgecv.reports.accuracy import eval_json, evaluate
from edgecv.reports.bench import bench
from edgecv.reports.schema import Accuracy
from edgecv.spec import Drop, Format, Precision
from edgecv.statistics import paired_interval

Use = Callable[..., None]

# brightness, label.  float answers      int8 sees twice the brightness
PICTURES = (
    (0, 0),  #          0, right           0: 0, right, agrees
    (255, 9),  #        9, right           255: 9, right, agrees
    (28, 1),  #         1, right           56: 2, then 1: top-5
    (113, 4),  #        4, right           226: 8, and 4 is not near
    (57, 9),  #         2, and 9 is far    114: 4, and 9 is not near
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The five pictures of PICTURES, and one file that is no picture."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    rows = ["file,label"]
    for index, (value, label) in enumerate(PICTURES):
        cv2.imwrite(str(folder / f"{index}.png"), np.full((20, 30, 3), value, np.uint8))
        rows.append(f"{index}.png,{label}")
    (folder / "broken.png").write_bytes(b"not a picture")
    rows.insert(3, "broken.png,3")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


def accuracy(
    format: Format,
    precision: Precision,
    top1: float,
    top5: float,
    agreement: float | None,
    drop: Drop | None = None,
) -> Accuracy:
    return Accuracy(
        format=format,
        precision=precision,
        n=5,
        unreadable=1,
        top1=top1,
        top5=top5,
        agreement=agreement,
        drop=drop,
    )


FLOAT = accuracy(Format.ONNX, Precision.FP32, 4 / 5, 4 / 5, 1.0)
# Of five pictures int8 loses two, the third and the fourth, and wins none.
LOW, HIGH = paired_interval(2, 0, 5)
DROP = Drop(points=40, low=100 * LOW, high=100 * HIGH, images=5, basis="labels")
INT8 = accuracy(Format.ONNX, Precision.INT8, 2 / 5, 3 / 5, 2 / 5, DROP)


def test_by_hand(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    said: list[tuple[str, float]] = []
    artifacts = bundle.select(Format.ONNX)
    scores = evaluate(bundle, artifacts, data, selected, lambda what, f: said.append((what, f)))
    assert scores == (FLOAT, INT8)
    assert said[0] == ("accuracy", 0.0)
    assert said[-1] == ("accuracy", 1.0)


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        # the float artifact was not asked for: it still runs, and is not reported
        (KINDS[:2], Format.ONNX, INT8),
        # no float file of its own format: any float artifact is the reference
        (
            (KINDS[0], KINDS[2]),
            Format.TFLITE,
            accuracy(Format.TFLITE, Precision.INT8, 2 / 5, 3 / 5, 2 / 5, DROP),
        ),
        # no float file at all
        ((KINDS[1],), Format.ONNX, accuracy(Format.ONNX, Precision.INT8, 2 / 5, 3 / 5, None)),
    ],
)
def test_reference(held, wanted, expected, tmp_path, data: Path, selected: Selected, use_engine: Use) -> None:
    bundle = write_bundle(tmp_path / "held", held)
    use_engine(Format.ONNX, "DoublingEngine")
    use_engine(Format.TFLITE, "DoublingEngine")
    artifacts = bundle.select(wanted, Precision.INT8)
    assert evaluate(bundle, artifacts, data, selected) == (expected,)


def test_reference_without_engine(tmp_path, data: Path, selected: Selected, use_engine: Use) -> None:
    bundle = write_bundle(tmp_path / "held", (KINDS[0], KINDS[2]))
    use_engine(Format.ONNX, None)
    use_engine(Format.TFLITE, "DoublingEngine")
    (score,) = evaluate(bundle, bundle.select(Format.TFLITE), data, selected)
    assert (score.top1, score.agreement, score.drop) == (2 / 5, None, None)


def test_errors(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    artifacts = bundle.select(Format.ONNX)
    use_engine(Format.ONNX, "FewClassesEngine")
    with pytest.raises(EngineError, match="onnx:fp32 gives 3 scores for 10 classes"):
        evaluate(bundle, artifacts, data, selected)
    (data / "labels.csv").write_text("file,label\nbroken.png,3\ngone.png,2\n")
    with pytest.raises(DataError, match="none of the 2 pictures could be read"):
        evaluate(bundle, artifacts, data, selected)


def test_missing_engine(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, None)
    artifacts = bundle.select(Format.ONNX)
    with pytest.raises(EngineMissing, match=r'pip install "edgecv\[onnx\]"'):
        evaluate(bundle, artifacts, data, selected)


def test_bench_scores_what_ran(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    use_engine(Format.TFLITE, None)
    artifacts = bundle.select(Format.ONNX, Precision.INT8) + bundle.select(Format.TFLITE)
    report = bench(bundle, artifacts, selected, data=data, seconds=0)
    assert [row.accuracy for row in report.artifacts] == [INT8, None]


def test_json() -> None:
    assert json.loads(eval_json([INT8])) == {
        "artifacts": [
            {
                "format": "onnx",
                "precision": "int8",
                "n": 5,
                "top1": 0.4,
                "top5": 0.6,
                "agreement": 0.4,
                "drop": {
                    "points": 40.0,
                    "low": pytest.approx(-23.3, abs=0.1),
                    "high": pytest.approx(80.4, abs=0.1),
                    "images": 5,
                    "basis": "labels",
                },
                "unreadable": 1,
            }
        ]
    }
    assert list(json.loads(eval_json([INT8]))["artifacts"][0])[:4] == ["format", "precision", "n", "top1"]
