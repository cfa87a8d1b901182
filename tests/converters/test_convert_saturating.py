"""What an x86 without VNNI gets, on any x86: oneDNN can be held to AVX2, where int8 products saturate."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nncf", reason="the recipes for OpenVINO need nncf")

# `edgecv`, on a machine that is taken for one whose int8 saturates.
SATURATING = """
import dataclasses
from edgecv import devices
real = devices.select
def select(*arguments):
    found = real(*arguments)
    return dataclasses.replace(found, detected=dataclasses.replace(found.detected, int8_saturates=True))
devices.select = select
from edgecv.cli import main
main()
"""


def edgecv(*arguments: str | Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", SATURATING, *map(str, arguments)],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="saturation is a matter of x86")
@pytest.mark.parametrize(
    ("model", "weights", "kept", "agreement"),
    [
        # Weights of full precision: 7 bits everywhere cost less than saturation does.
        ("efficientnet-lite0", None, "7-bit weights everywhere", 0.94),
        # Weights that lie on an 8-bit grid: 7 bits cost more.
        ("mobilenetv2", "mobilenetv2_1.0_224.weights.h5", "7-bit weights in the first layer", 0.88),
    ],
)
def test_the_recipe_nearest_to_float_is_kept(
    shared: Path, tmp_path: Path, model: str, weights: str | None, kept: str, agreement: float
) -> None:
    given = ("--weights", shared / "models" / weights) if weights else ()
    calibration = shared / "data" / "coco128" / "images"
    out = tmp_path / "bundle"
    done = edgecv(
        "convert",
        model,
        "--int8",
        "--to",
        "openvino",
        "--calibration",
        calibration,
        "-o",
        out,
        "--json",
        *given,
    )
    recipe = done["manifest"]["artifacts"][1]["recipe"]
    assert kept in recipe
    rows = edgecv("eval", out, "--data", shared / "data" / "nips17", "--precision", "int8", "--json")
    assert rows["artifacts"][0]["agreement"] >= agreement
