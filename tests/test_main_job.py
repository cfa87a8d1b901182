"""The main job, as a user does it: convert the real model, run every artifact on a real video, score."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="the main job converts: pip install edgecv[convert]")

from edgecv.data import sample_photos, sample_video
from edgecv.errors import DataError

pytestmark = pytest.mark.slow

FRAMES = 250  # of bikes.mp4
KINDS = [(f, p) for f in ("tflite", "onnx", "openvino") for p in ("fp32", "int8")]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds the default bundle, float and int8, in all formats."""
    try:
        sample_video()
    except DataError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("cache")
    edgecv("convert", "--int8", cache=folder)
    return folder


def edgecv(*arguments: str | Path, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "edgecv", *map(str, arguments)],
        env={**os.environ, "EDGECV_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def answers(cache: Path) -> dict[tuple[str, str], list[dict]]:
    """Every artifact's result on every frame of the video."""
    video = sample_video()
    return {
        (format, precision): [
            json.loads(line)
            for line in edgecv(
                *("run", "--source", video, "--format", format, "--precision", precision, "--json"),
                cache=cache,
            ).splitlines()
        ]
        for format, precision in KINDS
    }


@pytest.mark.parametrize("kind", KINDS, ids=":".join)
def test_every_frame_has_one_result(answers: dict, kind: tuple[str, str]) -> None:
    assert [result["frame"] for result in answers[kind]] == list(range(FRAMES))


def test_float_artifacts_say_the_same_of_every_frame(answers: dict) -> None:
    for one, other in (("tflite", "onnx"), ("onnx", "openvino")):
        for a, b in zip(answers[one, "fp32"], answers[other, "fp32"], strict=True):
            first, second = a["top"][:2]
            if first["score"] - second["score"] > 1e-4:  # nearer than that, either may come first
                assert b["top"][0]["index"] == first["index"]
                assert b["top"][0]["score"] == pytest.approx(first["score"], abs=1e-4)


@pytest.mark.parametrize("format", ["tflite", "onnx", "openvino"])
def test_int8_agrees_where_float_is_sure(answers: dict, format: str) -> None:
    """Most frames show nothing that the model knows; of some it is sure all the same."""
    pairs = zip(answers[format, "fp32"], answers[format, "int8"], strict=True)
    sure = [(a, b) for a, b in pairs if a["top"][0]["score"] > 0.4]
    assert len(sure) >= 20
    assert sum(a["top"][0]["index"] == b["top"][0]["index"] for a, b in sure) / len(sure) >= 0.95


def test_golden_samples_and_labelled_photographs(cache: Path, tmp_path: Path) -> None:
    edgecv("verify", cache=cache)
    known = {"coffee.png": "espresso", "china.jpg": "palace", "flower.jpg": "daisy"}
    with (tmp_path / "labels.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("file", "label"))
        for photo in sample_photos():
            if photo.name in known:
                table.writerow((photo, known[photo.name]))
    rows = json.loads(edgecv("eval", "--data", tmp_path, "--json", cache=cache))["artifacts"]
    assert [(row["format"], row["precision"]) for row in rows] == KINDS
    for row in rows:
        assert (row["n"], row["top1"], row["agreement"]) == (3, 1.0, 1.0)
