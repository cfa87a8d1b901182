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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="saturation is a matter of x86"),
]
EDGECV = [sys.executable, "-c", "from edgecv.cli import main; main()"]


def edgecv(*arguments: str | Path) -> dict:
    done = subprocess.run(
        [*EDGECV, *map(str, arguments), "--json"],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_the_recipe_nearest_to_float_is_kept(shared: Path, tmp_path: Path) -> None:
    """Of two as fast. The weights of MobileNetV2 lie on an 8-bit grid: 7 bits cost more than saturation."""
    out = tmp_path / "bundle"
    done = edgecv(
        "convert",
        "mobilenetv2",
        "--weights",
        shared / "models" / "mobilenetv2_1.0_224.weights.h5",
        "--int8",
        "--to",
        "openvino",
        "--target",
        "x86",
        "--calibration",
        shared / "data" / "coco128" / "images",
        "-o",
        out,
    )
    (artifact,) = (a for a in done["manifest"]["artifacts"] if a["precision"] == "int8")
    assert artifact["recipe"].split(", ")[-1] == "7-bit weights in the first layer"
    assert {trial["verdict"] for trial in artifact["search"]} == {"kept", "rejected"}
    rows = edgecv("eval", out, "--data", shared / "data" / "nips17", "--precision", "int8")
    assert rows["artifacts"][0]["agreement"] >= 0.88


def test_a_bound_is_held_where_sums_saturate(shared: Path, tmp_path: Path) -> None:
    """The first recipe loses too much on such a CPU; the search goes on until one does not."""
    done = edgecv(
        "convert",
        "efficientnet-lite0",
        "--int8",
        "--to",
        "openvino",
        "--target",
        "x86",
        "--max-drop",
        "0.5",
        "--calibration",
        shared / "data" / "coco128" / "images",
        "--data",
        shared / "data" / "nips17",
        "-o",
        tmp_path / "bundle",
    )
    (artifact,) = (a for a in done["manifest"]["artifacts"] if a["precision"] == "int8")
    assert done["manifest"]["guarantee"] == {"max_drop": 0.5, "target": "x86", "met": True}
    assert artifact["verified"]["drop"]["points"] <= 0.5
    assert artifact["verified"]["top1_agreement"] >= 0.95
    verdicts = [trial["verdict"] for trial in artifact["search"]]
    assert verdicts[0] == "missed"
    assert verdicts[-1] == "kept"
