"""Accuracies computed by hand: ten brightness classes, at 0, 28.3, 56.7, 85, 113.3, ... 255."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
from fakes import KINDS, write_bundle

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.errors import DataError, EngineError, EngineMissing
from edgecv.reports.accuracy import eval_json, evaluate
from edgecv.reports.bench import bench
from edgecv.reports.classes import ece
from edgecv.reports.corruptions import SEVERITIES
from edgecv.reports.schema import Accuracy, Answers, Plan
from edgecv.reports.worst import thumbnail
from edgecv.runtime.engines import Entry, register
from edgecv.runtime.engines.fake import FakeEngine
from edgecv.spec import Drop, Format, Interval, Kind, Precision
from edgecv.statistics import paired_interval, share_interval

Use = Callable[..., None]

# brightness, label.  float answers      int8 sees twice the brightness
PICTURES = (
    (0, 0),  #          0, right           0: 0, right, agrees
    (255, 9),  #        9, right           255: 9, right, agrees
    (28, 1),  #         1, right           56: 2, then 1: top-5
    (113, 4),  #        4, right           226: 8, and 4 is not near
    (57, 9),  #         2, and 9 is far    114: 4, and 9 is not near
)
TRUTH = tuple(label for _, label in PICTURES)
FLOAT_KIND, INT8_KIND = Kind(Format.ONNX, Precision.FP32), Kind(Format.ONNX, Precision.INT8)


def answer(brightness: int) -> tuple[int, float]:
    """The class whose level is nearest, and the softmax of minus an eighth of the distances."""
    scores = np.exp(-np.abs(np.linspace(0, 255, 10) - brightness) / 8)
    return int(scores.argmax()), round(float(scores.max() / scores.sum()), 4)


class OverflowingEngine(FakeEngine):
    """As half precision does where a sum grows beyond 65504."""

    def infer(self, image: np.ndarray) -> np.ndarray:
        return super().infer(image) - np.float32(np.inf)


def answers(gain: int) -> Answers:
    best, score = zip(*(answer(min(value * gain, 255)) for value, _ in PICTURES), strict=True)
    return Answers(best=best, score=score)


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
    interval: Interval | None = None,
    drop: Drop | None = None,
) -> Accuracy:
    said = answers(1 if precision is Precision.FP32 else 2)
    return Accuracy(
        format=format,
        precision=precision,
        n=5,
        unreadable=1,
        top1=top1,
        top5=top5,
        agreement=agreement,
        agreement_interval=interval,
        drop=drop,
        ece=ece(TRUTH, said.best, said.score),
    )


FLOAT = accuracy(Format.ONNX, Precision.FP32, 4 / 5, 4 / 5, 1.0)
# Of five pictures int8 loses two, the third and the fourth, and wins none.
LOW, HIGH = paired_interval(2, 0, 5)
DROP = Drop(points=40, low=100 * LOW, high=100 * HIGH, images=5, basis="labels")
SAME = share_interval(2, 5)
INT8 = accuracy(Format.ONNX, Precision.INT8, 2 / 5, 3 / 5, 2 / 5, SAME, DROP)


def test_by_hand(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    said: list[tuple[str, float]] = []
    artifacts = bundle.select(Format.ONNX)
    found = evaluate(bundle, artifacts, data, selected, lambda what, f: said.append((what, f)))
    assert found.accuracies == (FLOAT, INT8)
    assert found.answers == {FLOAT_KIND: answers(1), INT8_KIND: answers(2)}
    assert (found.robustness, found.labels) == ({}, bundle.labels)
    assert [fraction for _, fraction in said] == [i / 6 for i in range(7)]
    assert {what for what, _ in said} == {"accuracy"}


def test_pictures(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    use_engine(Format.ONNX, "DoublingEngine")
    pictures = evaluate(bundle, bundle.select(Format.ONNX), data, selected).pictures
    listed = "".join(f"{i}.png\0{label}\n" for i, label in enumerate(TRUTH))  # broken.png is not in it
    assert (pictures.source, pictures.truth) == ("labelled", TRUTH)
    assert pictures.digest == hashlib.sha256(listed.encode()).hexdigest()
    # where they lie does not matter, what they are called and said to be does
    moved = data.rename(data.parent / "moved")
    assert evaluate(bundle, bundle.select(Format.ONNX), moved / "labels.csv", selected).pictures == (
        msgspec.structs.replace(pictures, source="moved")
    )
    table = moved / "labels.csv"
    table.write_text(table.read_text().replace("4.png,9", "4.png,2"))
    other = evaluate(bundle, bundle.select(Format.ONNX), moved, selected).pictures
    assert other.digest != pictures.digest


def test_worst(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    """Of what float gets right int8 loses the third and the fourth picture, the fourth without a doubt."""
    use_engine(Format.ONNX, "DoublingEngine")
    use_engine(Format.TFLITE, "DoublingEngine")
    found = evaluate(bundle, bundle.select(None, Precision.INT8)[:2], data, selected).worst
    assert [picture.name for picture in found] == ["3.png", "2.png"]
    worst, brightness = found[0], PICTURES[3][0]
    assert (worst.artifact, worst.truth, worst.float_label, worst.label) == (
        *("onnx:int8", "class 4"),  # and tflite:int8 loses no more
        *("class 4", "class 8"),
    )
    assert (worst.float_score, worst.score) == (answer(brightness)[1], answer(2 * brightness)[1])
    assert worst.jpeg == thumbnail(np.full((20, 30, 3), brightness, np.uint8))
    assert evaluate(bundle, bundle.select(None, Precision.FP32), data, selected).worst == ()


def test_robustness(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    """Of int8 alone asked for, float is tested beside it, on as many pictures as there are."""
    use_engine(Format.ONNX, "DoublingEngine")
    said: list[tuple[str, float]] = []
    artifacts = bundle.select(Format.ONNX, Precision.INT8)
    found = evaluate(bundle, artifacts, data, selected, lambda *told: said.append(told), robustness=100)
    assert set(found.robustness) == {FLOAT_KIND, INT8_KIND}
    for kind, clean in ((FLOAT_KIND, 4 / 5), (INT8_KIND, 2 / 5)):
        rows = found.robustness[kind]
        assert [(row.corruption, row.strength) for row in rows] == [(c.value, s) for c, s in SEVERITIES]
        assert (rows[0].n, rows[0].top1) == (5, clean)
    fractions = [fraction for _, fraction in said]
    assert sorted(fractions) == fractions
    assert (said[0], said[-1]) == (("accuracy", 0.0), ("robustness", 1.0))
    assert len(evaluate(bundle, artifacts, data, selected, robustness=3).robustness) == 2


@pytest.mark.parametrize(
    ("held", "wanted", "expected"),
    [
        # the float artifact was not asked for: it still runs, and is not reported
        (KINDS[:2], Format.ONNX, INT8),
        # no float file of its own format: any float artifact is the reference
        (
            (KINDS[0], KINDS[2]),
            Format.TFLITE,
            accuracy(Format.TFLITE, Precision.INT8, 2 / 5, 3 / 5, 2 / 5, SAME, DROP),
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
    assert evaluate(bundle, artifacts, data, selected).accuracies == (expected,)


def test_reference_without_engine(tmp_path, data: Path, selected: Selected, use_engine: Use) -> None:
    bundle = write_bundle(tmp_path / "held", (KINDS[0], KINDS[2]))
    use_engine(Format.ONNX, None)
    use_engine(Format.TFLITE, "DoublingEngine")
    (score,) = evaluate(bundle, bundle.select(Format.TFLITE), data, selected).accuracies
    assert (score.top1, score.agreement, score.drop) == (2 / 5, None, None)


def test_errors(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    artifacts = bundle.select(Format.ONNX)
    use_engine(Format.ONNX, "FewClassesEngine")
    with pytest.raises(EngineError, match="onnx:fp32 gives 3 scores for 10 classes"):
        evaluate(bundle, artifacts, data, selected)
    register(Entry("overflowing", Format.ONNX, "numpy", f"{__name__}:OverflowingEngine", "test"))
    with pytest.raises(EngineError, match=r"onnx:fp32 gives scores that are not finite for 0\.png"):
        evaluate(bundle, artifacts, data, selected)
    use_engine(Format.ONNX, "DoublingEngine")
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
    report = bench(bundle, artifacts, selected, Plan(samples=2, seconds=0.0, turns=1), data=data)
    assert [row.accuracy for row in report.artifacts] == [INT8, None]
    assert [row.answers for row in report.artifacts] == [answers(2), None]
    assert report.pictures is not None
    assert (report.pictures.truth, report.labels, len(report.worst)) == (TRUTH, bundle.labels, 2)


def test_json(bundle: Bundle, data: Path, selected: Selected, use_engine: Use) -> None:
    pytest.importorskip("sklearn")
    use_engine(Format.ONNX, "DoublingEngine")
    artifacts = bundle.select(Format.ONNX, Precision.INT8)
    found = json.loads(eval_json(evaluate(bundle, artifacts, data, selected, robustness=2)))
    assert list(found) == ["source", "digest", "artifacts", "robustness", "notes"]
    assert (found["source"], found["notes"]) == ("labelled", [])
    assert set(found["robustness"]) == {"onnx:fp32", "onnx:int8"}
    assert set(found["robustness"]["onnx:int8"][0]) == {"corruption", "strength", "n", "top1"}
    (row,) = found["artifacts"]
    assert list(row)[:4] == ["format", "precision", "n", "top1"]
    # of 9 and 9 one is found, and nothing else is called so
    nine = {"label": "class 9", "n": 2, "precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3)}
    assert row.pop("classes")[-1] == nine
    assert row.pop("confusions") == [
        {"truth": "class 1", "answer": "class 2", "count": 1},
        {"truth": "class 4", "answer": "class 8", "count": 1},
        {"truth": "class 9", "answer": "class 4", "count": 1},
    ]
    assert msgspec.convert(row, Accuracy) == INT8


def test_json_without_scikit_learn(
    bundle: Bundle, data: Path, selected: Selected, fake_engine: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    del fake_engine
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    found = json.loads(eval_json(evaluate(bundle, bundle.select(Format.ONNX), data, selected)))
    assert found["notes"] == ['scores of each class need scikit-learn: pip install "edgecv[report]"']
    assert [("classes" in row, "confusions" in row) for row in found["artifacts"]] == [(False, True)] * 2
