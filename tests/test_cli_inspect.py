"""`edgecv inspect`: what a person and a pipe get to see of a bundle."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner
from fakes import CLASSES, SIZE, write_bundle

from edgecv import api
from edgecv.bundle import Agreement, Bundle, Guarantee, Sensitivity, Trial, describe_file
from edgecv.cli import cli
from edgecv.errors import BundleError
from edgecv.spec import Drop, Format, Precision

DROP = Drop(points=2.4, low=0.9, high=3.9, images=1000, basis="labels")


def model() -> bytes:
    """The float file of the bundle: one 1x1 convolution to 10 channels, their means."""
    onnx = pytest.importorskip("onnx")
    body = f"""
        <ir_version: 8, opset_import: ["" : 17]> g (float[1,3,{SIZE},{SIZE}] x) => (float[1,{CLASSES}] logits)
        <float[{CLASSES},3,1,1] w = {{{",".join(["0.5"] * CLASSES * 3)}}}>
        {{ [features] c = Conv(x, w) [pool] p = GlobalAveragePool(c) logits = Flatten(p) }}
    """
    return onnx.parser.parse_model(body).SerializeToString()


@pytest.fixture
def searched(tmp_path: Path) -> Path:
    """onnx fp32 and int8, the second after a search that missed its bound."""
    kinds = ((Format.ONNX, Precision.FP32), (Format.ONNX, Precision.INT8))
    bundle = write_bundle(tmp_path / "tiny", kinds)
    (bundle.root / "model.fp32.onnx").write_bytes(model())
    check = Agreement(
        images=1000,
        pictures="photos",
        max_abs_error=0.5,
        top1_agreement=0.931,
        sqnr_db=17.2,
        labelled=1000,
        top1=0.875,
        top5=0.98,
        drop=DROP,
    )
    trials = (
        Trial(recipe="plain", verdict="kept", reason="more than 1", drop=DROP, sqnr_db=17.2, latency_ms=12.1),
        Trial(recipe="[odd]", verdict="failed", reason="no [red]such[/red] option"),
    )
    first, second = bundle.manifest.artifacts
    first = msgspec.structs.replace(first, files=(describe_file(bundle.root, "model.fp32.onnx"),))
    second = msgspec.structs.replace(second, verified=check, search=trials)
    ranking = tuple(Sensitivity(name=f"layer{i}", operator="Conv", sqnr_db=20.0 + i) for i in range(12))
    manifest = msgspec.structs.replace(
        bundle.manifest,
        artifacts=(first, second),
        sensitivity=ranking,
        guarantee=Guarantee(max_drop=1, target="rpi5", met=False),
    )
    (bundle.root / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return bundle.root


def said(*arguments: str | Path) -> str:
    """What the command prints, its spaces evened out."""
    done = CliRunner().invoke(cli, ["inspect", *map(str, arguments)], catch_exceptions=False)
    assert done.exit_code == 0
    return " ".join(done.output.split())


def test_for_a_person(searched: Path) -> None:
    text = said(searched)
    for expected in (
        "tiny: Missed: onnx:int8 loses 2.4; 1 point allowed",
        "on 1,000 labelled pictures, for rpi5.",
        "Most sensitive to int8: layer0, layer1, layer2.",
        # the artifact, its file, the search and the ranking
        "onnx:int8 0.001 87.5 98.0 93.1 17.2 +2.4 +0.9 to +3.9",
        f"onnx:fp32 2 fp32 100.0 % fp32 0.00 {SIZE * SIZE * 30 / 1e6:.1f}",
        "onnx:int8: ",
        "model.int8.onnx: cannot be read as onnx",
        "plain kept more than 1 +2.4 (+0.9 to +3.9)",
        "[odd] failed no [red]such[/red] option",
        "layer9 Conv 29.0",
        "Model: tiny, 10 classes, 16x16 pixels",
    ):
        assert expected in text
    assert "layer10" not in text
    assert "features" not in text


def test_every_operation(searched: Path) -> None:
    text = said(searched, "--operations", "--precision", "fp32")
    assert f"features Conv fp32 30 {SIZE * SIZE * 30:,}" in text
    assert "pool GlobalAveragePool fp32 0 0" in text
    assert "layer10 Conv 30.0" in text
    assert "what was tried" not in text  # the float file was not searched for


def test_for_a_pipe(searched: Path) -> None:
    document = json.loads(CliRunner().invoke(cli, ["inspect", str(searched), "--json"]).output)
    assert list(document) == ["bundle", "verdict", "manifest", "files"]
    assert document["verdict"]["good"] is False
    assert document["manifest"]["sensitivity"][0] == {"name": "layer0", "operator": "Conv", "sqnr_db": 20.0}
    first, second = document["files"]
    assert (first["artifact"], first["macs"], first["unread"]) == ("onnx:fp32", SIZE * SIZE * 30, None)
    assert [operation["name"] for operation in first["operations"]] == ["features", "pool"]
    assert second["operations"] == []
    assert "model.int8.onnx" in second["unread"]
    one = json.loads(
        CliRunner().invoke(cli, ["inspect", str(searched), "--json", "--precision", "int8"]).output
    )
    assert [file["artifact"] for file in one["files"]] == ["onnx:int8"]
    assert len(one["manifest"]["artifacts"]) == 1


def test_a_plain_bundle(bundle: Bundle) -> None:
    """Nothing verified, nothing searched, files that nobody can read: what is known is shown."""
    text = said(bundle.root)
    assert "tiny: Nothing was verified" in text
    assert "openvino:int8: " in text
    assert "Model: tiny" in text


def test_what_is_not_there(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="no tflite:fp32 artifact; it holds"):
        api.inspect(bundle.root, Format.TFLITE, Precision.FP32)
