"""The page of a conversion: its verdict, its tables, its pictures."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from conversion_samples import (
    ARTIFACTS,
    IMAGES,
    agreement,
    changed,
    drop,
    make_manifest,
    make_worst,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from reports_page import Page

from edgecv.bundle import Artifact, Manifest, Sensitivity
from edgecv.errors import EdgecvError, UsageError
from edgecv.photos import decode
from edgecv.reports.conversion import render, write
from edgecv.reports.findings import (
    artifact_cells,
    condition_rows,
    file_cells,
    sensitivity_cells,
    trial_cells,
    verdict,
)
from edgecv.reports.wording import NONE
from edgecv.reports.worst import thumbnail, worst_pictures
from edgecv.spec import Color, Drop, Format, Kind, Precision, Preprocess

HOSTILE = '<script>alert("x")</script> \x1b[2J'
INT8 = Kind(Format.TFLITE, Precision.INT8)


def with_drops(*drops: Drop | None, bound: float | None = 1.0, met: bool = True) -> Manifest:
    """The sample with those drops for tflite, onnx and openvino int8; without a drop it is left out."""
    manifest = make_manifest(None if bound is None else met)
    artifacts: list[Artifact] = []
    for artifact in ARTIFACTS[::2]:
        same = agreement(drop(0, 0), 1.0, None, None)
        artifacts.append(msgspec.structs.replace(artifact, verified=same))
    for artifact, loss in zip(ARTIFACTS[1::2], drops, strict=True):
        if loss:
            check = agreement(loss, 1 - abs(loss.points) / 100, 20.0, None)
            artifacts.append(msgspec.structs.replace(artifact, verified=check))
    guarantee = manifest.guarantee and msgspec.structs.replace(manifest.guarantee, max_drop=bound)
    return msgspec.structs.replace(manifest, artifacts=tuple(artifacts), guarantee=guarantee)


ON = f"on {IMAGES:,} pictures"


@pytest.mark.parametrize(
    ("manifest", "headline", "good"),
    [
        # nothing reduced: nothing to keep
        (with_drops(None, None, None), "Float only: every format answers as the source does", None),
        # a bound that all hold
        (make_manifest(), f"int8 keeps accuracy in every format: within 1 point {ON}", True),
        (
            with_drops(drop(2, 2), None, None, bound=0.5),
            f"int8 keeps accuracy in every format: within 0.5 points {ON}",
            True,
        ),
        # one that is missed, by one and by two
        (make_manifest(False), "Missed: tflite:int8 loses 2.4; 1 point allowed", False),
        (
            with_drops(drop(50, 20), drop(3, 2), drop(40, 20), met=False),
            "Missed: tflite:int8 loses 3.0, openvino:int8 loses 2.0; 1 point allowed",
            False,
        ),
        # no bound: the largest loss where there is one, nothing where the sample shows none
        (
            with_drops(drop(50, 20), drop(3, 2), drop(40, 20), bound=None),
            "tflite:int8 loses 3.0 points, the most of all",
            None,
        ),
        (make_manifest(None), f"No loss that {IMAGES:,} pictures can show", None),
        # no labels
        (
            with_drops(changed(3.1, 1.2, 7.8), changed(4.7, 2.2, 9.8), None, bound=None),
            "onnx:int8 answers as float does on 95.3 % of the pictures",
            None,
        ),
    ],
)
def test_verdict(manifest: Manifest, headline: str, good: bool | None) -> None:
    found = verdict(manifest)
    assert (found.headline, found.good) == (headline, good)


def test_a_verdict_says_what_it_stands_on() -> None:
    measured, unclear = verdict(make_manifest()).lines
    assert measured == (
        "Each artifact in its own engine, against the float source, on 1,000 labelled pictures, for rpi5."
    )
    # -0.4 points with -1.5 to 0.7 is below 1 for certain; the two others reach beyond it
    assert unclear == (
        "So few pictures cannot tell the drop of tflite:int8 and openvino:int8 from 1 point for certain; "
        "about 4,800 could."
    )
    assert verdict(with_drops(None, drop(14, 18), None)).lines == (measured,)
    blamed = verdict(make_manifest(False)).lines[1]
    assert blamed == "Most sensitive to int8: block0.depthwise, stem, block1.project."
    unlabelled = verdict(with_drops(changed(3.1, 1.2, 7.8), None, None, bound=None)).lines
    assert unlabelled == (
        "Each artifact in its own engine, against the float source, on 128 pictures without labels.",
    )


def test_two_precisions_are_both_named() -> None:
    manifest = make_manifest()
    dynamic = msgspec.structs.replace(manifest.artifacts[1], precision=Precision.DYNAMIC)
    manifest = msgspec.structs.replace(manifest, artifacts=(*manifest.artifacts, dynamic))
    assert verdict(manifest).headline.startswith("int8 and dynamic keep accuracy in every format")


def test_cells() -> None:
    cells = artifact_cells(ARTIFACTS)
    assert cells.headings[2:] == (
        *("Top-1, %", "Top-5, %", "Agree, %", "SQNR, dB"),
        *("Drop, points", "95 % interval"),
    )
    # what float loses against itself is left out
    assert cells.rows[0] == ("tflite:fp32", "18.5", "89.9", "98.4", "100.0", "exact", NONE, NONE)
    assert cells.rows[1][1:] == ("5.2", "89.4", "98.4", "96.8", "21.7", "+0.5", "-0.6 to +1.6")
    unlabelled = artifact_cells(with_drops(changed(3.1, 1.2, 7.8), None, None).artifacts)
    assert unlabelled.headings[2:] == ("Agree, %", "SQNR, dB", "Changed, %", "95 % interval")
    assert unlabelled.rows[-1][-2:] == ("3.1", "1.2 to 7.8")
    unverified = msgspec.structs.replace(ARTIFACTS[0], verified=None)
    row = artifact_cells((unverified,)).rows[0]
    assert row == ("tflite:fp32", "18.5", *[NONE] * 4)

    trials = trial_cells(ARTIFACTS[1])
    assert all(len(row) == len(trials.headings) for row in trials.rows)
    assert [row[1] for row in trials.rows] == ["missed", "failed", "kept"]
    assert trials.rows[0][3:] == ("+2.4 (+0.9 to +3.9)", "93.1", "17.2", "5.1", "12.1")
    assert trials.rows[1][2:] == ("no such option", *[NONE] * 5)

    ranking = sensitivity_cells(make_manifest())
    assert ranking.rows[0] == ("block0.depthwise", "Conv+Clip", "24.8")
    assert ranking.rows[-1] == ("classifier", "Gemm", "exact")
    assert len(sensitivity_cells(make_manifest(), 3).rows) == 3


def test_conditions() -> None:
    manifest = make_manifest()
    rows = dict(condition_rows(manifest))
    assert rows["Calibrated on"].startswith("128 pictures: photos/calibration; sha256 abab")
    assert rows["Judged on"] == "1,000 pictures: photos/labelled, 1,000 of them labelled"
    assert rows["Preparation"] == "equalisation: 21.9 → 22.4 dB, used"
    assert (rows["Target"], rows["Arithmetic"]) == ("rpi5", "x86 VNNI")
    check = msgspec.structs.replace(manifest.artifacts[1].verified, arithmetic="x86 AVX2, exact sums")
    other = msgspec.structs.replace(manifest.artifacts[1], verified=check)
    rows = dict(condition_rows(msgspec.structs.replace(manifest, artifacts=(other,))))
    assert rows["Arithmetic"] == "x86 VNNI; tflite:int8: x86 AVX2, exact sums"


def test_the_page_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "conversion.html"
    write(path, make_manifest(), make_worst())
    html = path.read_text()
    page = Page(html)
    assert page.open == []  # every element is closed
    assert "<title>efficientnet-lite0: EdgeCV conversion</title>" in html
    assert page.tags.count("svg") == 2
    assert page.tags.count("img") == 4
    assert page.tags.count("table") == 4  # the artifacts, and a search for each int8 one
    assert all(source.startswith(("#", "data:image/jpeg;base64,")) for source in page.references)
    addresses = set(re.findall(r"[a-z]+://[^\s\"'<>]+", html))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "#0102" not in html  # every colour of a figure is one of the page's variables
    text = " ".join(" ".join(page.text).split())
    for expected in (
        f"within 1 point {ON}",
        "-0.6 to +1.6",
        "weights of least squared error",
        "Most sensitive operations",
        "24.8 dB",
        "the 1 point allowed",
        "Where float is right and the artifact is not",
        "is tabby float tabby 0.91 tflite:int8 Egyptian cat 0.47",
        "photos/calibration",
    ):
        assert expected in text
    assert "In the files" not in text


class Held:
    kind, macs, parameters = "tflite:int8", 385_187_552, 4_631_000

    def counts(self) -> dict[str, int]:
        return {"int8": 59, "dynamic": 1}

    def shares(self) -> dict[str, float]:
        return {"int8": 0.997, "dynamic": 0.003}


class Unread(Held):
    kind = "onnx:int8"

    def counts(self) -> dict[str, int]:
        return {}

    shares = counts


def test_what_the_files_hold() -> None:
    rows = file_cells([Held(), Unread()]).rows
    assert rows == (
        ("tflite:int8", "59 int8, 1 dynamic", "99.7 % int8, 0.3 % dynamic", "4.63", "385.2"),
        ("onnx:int8", *[NONE] * 4),
    )
    html = render(msgspec.structs.replace(with_drops(None, None, None), sensitivity=()), (), [Held()])
    assert "In the files" in html
    assert "99.7 % int8" in html


def test_a_page_without_searches_pictures_and_ranking() -> None:
    manifest = with_drops(None, None, None, bound=None)
    html = render(msgspec.structs.replace(manifest, sensitivity=()))
    assert "<svg" not in html
    assert "Recipes that were tried" not in html
    assert "<img" not in html
    exact = (Sensitivity(name="add", operator="Add", sqnr_db=None),)  # nothing to draw
    assert "<svg" not in render(msgspec.structs.replace(manifest, sensitivity=exact))


def test_a_page_without_labels() -> None:
    pictures = [msgspec.structs.replace(picture, truth="") for picture in make_worst()]
    html = render(with_drops(changed(3.1, 1.2, 7.8), None, None, bound=None), pictures)
    assert "Where the answers differ most" in html
    assert "Answers changed against float" in html
    assert "<i>is</i>" not in html


def test_names_are_only_text() -> None:
    manifest = make_manifest(False)
    manifest = msgspec.structs.replace(
        manifest,
        sensitivity=(Sensitivity(name=HOSTILE, operator=HOSTILE, sqnr_db=20.0),),
        made=msgspec.structs.replace(manifest.made, arithmetic=HOSTILE, target=HOSTILE),
    )
    pictures = [msgspec.structs.replace(make_worst()[0], name=HOSTILE, truth=HOSTILE, label=HOSTILE)]
    html = render(manifest, pictures)
    assert "script" not in Page(html).tags
    assert "\x1b" not in html


@pytest.mark.parametrize("missing", ["jinja2", "matplotlib"])
def test_without_the_report_extra(missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(UsageError, match=r'jinja2 and matplotlib: pip install "edgecv\[report\]"$'):
        write(tmp_path / "conversion.html", make_manifest())
    assert list(tmp_path.iterdir()) == []


def test_no_room(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgecvError, match="cannot write"):
        write(tmp_path / "file" / "conversion.html", with_drops(None, None, None))


# logits of four pictures, three classes.  float:   int8:              labels
REFERENCE = np.float32(
    [
        [9, 0, 0],  #                            0, sure   0                0
        [3, 0, 0],  #                            0         1, sure          0
        [0, 9, 0],  #                            1, sure   2, sure          1
        [0, 9, 0],  #                            1, sure   0, sure          0: float is wrong
    ]
)
OTHER = np.float32([[9, 0, 0], [0, 9, 0], [0, 0, 9], [9, 0, 0]])
LABELS = (0, 0, 1, 0)


RULE, CLASSES = Preprocess(size_hw=(6, 6)), ("cat", "dog", "bird")
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 6, 6, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("labels", "k", "expected"),
    [
        # the surest that was lost first; where float is wrong nothing was lost
        (LABELS, 9, [3, 2]),
        (LABELS, 1, [3]),
        # without labels float's own answer is what counts
        (None, 9, [3, 4, 2]),
        # all wrong
        ((1, 1, 0, 2), 9, []),
    ],
)
def test_worst(labels: tuple[int, ...] | None, k: int, expected: list[int]) -> None:
    found = worst_pictures(INT8, PIXELS, RULE, REFERENCE, OTHER, CLASSES, labels, k=k)
    assert [picture.name for picture in found] == [f"picture {i}" for i in expected]


logits = hnp.arrays(np.float32, (4, 3), elements=st.floats(-20, 20, width=32))


@given(logits, logits, st.lists(st.integers(0, 2), min_size=4, max_size=4), st.integers(0, 5))
def test_worst_are_answers_that_were_lost(reference, other, labels, k) -> None:
    names = "0123"
    found = worst_pictures(INT8, PIXELS, RULE, reference, other, CLASSES, labels, names, k)
    assert len({picture.name for picture in found}) == len(found) <= k
    for picture in found:
        i = int(picture.name)
        assert reference[i].argmax() == labels[i] != other[i].argmax()
        assert (picture.truth, picture.label) == (picture.float_label, CLASSES[other[i].argmax()])
    assert worst_pictures(INT8, PIXELS, RULE, reference, reference, CLASSES, k=k) == ()


def test_worst_pictures() -> None:
    names = [f"{i}.jpg" for i in range(4)]
    first, second = worst_pictures(INT8, PIXELS, RULE, REFERENCE, OTHER, CLASSES, LABELS, names)
    assert (first.name, first.truth, first.float_label, first.label) == ("2.jpg", "dog", "dog", "bird")
    assert first.float_score > 0.99
    assert (second.name, second.float_score) == ("1.jpg", pytest.approx(0.909, abs=0.001))
    assert first.jpeg == thumbnail(PIXELS[2][..., ::-1])
    bgr = msgspec.structs.replace(RULE, color=Color.BGR)
    (one,) = worst_pictures(INT8, PIXELS, bgr, REFERENCE, OTHER, CLASSES, k=1)
    assert (one.name, one.truth) == ("picture 3", "")
    assert one.jpeg == thumbnail(PIXELS[2])


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 960), (120, 240)),  # the longer side
        ((960, 480), (240, 120)),
        ((100, 50), (100, 50)),  # never enlarged
        ((1, 9000), (1, 240)),  # a line stays one
    ],
)
def test_thumbnail(size: tuple[int, int], expected: tuple[int, int]) -> None:
    jpeg = thumbnail(np.full((*size, 3), (200, 100, 50), np.uint8))
    decoded = decode(jpeg)
    assert decoded.shape == (*expected, 3)
    np.testing.assert_allclose(decoded, np.full_like(decoded, (200, 100, 50)), atol=3)
