"""What a file holds, in three formats: counted by hand on small graphs, and on other people's models."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from fakes import write_bundle

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("ai_edge_litert")
openvino = pytest.importorskip("openvino")

from convert_graphs import graph

from edgecv.bundle import Bundle
from edgecv.converters.inspect import Contents, Operation, contents, contents_json, operations_of
from edgecv.converters.model_files import read
from edgecv.converters.tflite import emit
from edgecv.errors import BundleError
from edgecv.spec import Format

# 8x8 pictures: a 3x3 convolution to 4 channels, a depthwise one, a pool, and a classifier of 5.
BODY = """
[stem] s = Conv <pads = [1, 1, 1, 1]> (x, w_stem, b_stem) r = Relu(s)
[depthwise] d = Conv <group = 4, pads = [0, 0, 1, 1], strides = [2, 2]> (r, w_depthwise, b_depthwise)
[pool] p = GlobalAveragePool(d) f = Flatten(p) [classifier] logits = Gemm <transB = 1> (f, w, b)
"""
SHAPES = {
    **{"w_stem": (4, 3, 3, 3), "b_stem": (4,), "w_depthwise": (4, 1, 3, 3), "b_depthwise": (4,)},
    **{"w": (5, 4), "b": (5,)},
}
MACS = {"stem": 8 * 8 * 4 * 27, "depthwise": 4 * 4 * 4 * 9, "pool": 0, "classifier": 20}
PARAMETERS = {"stem": 112, "depthwise": 40, "pool": 0, "classifier": 25}


def model() -> onnx.ModelProto:
    return graph("float[1,3,8,8] x", BODY, SHAPES, outputs=("logits",))


def quantised(weights_only: bool) -> onnx.ModelProto:
    """As exporters write int8: values rounded and restored. The classifier's weights stay float."""

    def rounded(name: str) -> str:
        pair = "{0}_q = QuantizeLinear({0}, scale, zero) {0}_d = DequantizeLinear({0}_q, scale, zero)"
        return "" if weights_only else pair.format(name)

    end = "" if weights_only else "_d"
    body = f"""
    {rounded("x")} w1 = DequantizeLinear(w_stem, scale, zero_w)
    [stem] s = Conv <pads = [1, 1, 1, 1]> (x{end}, w1, b_stem) r = Relu(s)
    {rounded("r")} w2 = DequantizeLinear(w_depthwise, scale, zero_w)
    [depthwise] d = Conv <group = 4, pads = [0, 0, 1, 1], strides = [2, 2]> (r{end}, w2, b_depthwise)
    {rounded("d")} [pool] p = GlobalAveragePool(d{end})
    {rounded("p")} f = Flatten(p{end}) [classifier] logits = Gemm <transB = 1> (f, w, b)
    """
    constants = {
        **SHAPES,
        "w_stem": np.ones((4, 3, 3, 3), np.int8),
        "w_depthwise": np.ones((4, 1, 3, 3), np.int8),
        "scale": np.float32(0.1),
        "zero": np.uint8(128),
        "zero_w": np.int8(0),
    }
    return graph("float[1,3,8,8] x", body, constants, outputs=("logits",))


def saved(model: onnx.ModelProto, path: Path, fp16: bool = False) -> Path:
    if path.suffix == ".onnx":
        path.write_bytes(model.SerializeToString())
    elif path.suffix == ".tflite":
        path.write_bytes(emit(model))
    else:
        read_model = openvino.Core().read_model(model.SerializeToString())
        openvino.save_model(read_model, str(path), compress_to_fp16=fp16)
    return path


FORMATS = {"m.tflite": Format.TFLITE, "m.onnx": Format.ONNX, "m.xml": Format.OPENVINO}


def found(path: Path) -> Contents:
    return Contents(kind="any", bytes=0, operations=operations_of(read(path, FORMATS[f"m{path.suffix}"])))


@pytest.mark.parametrize("name", FORMATS)
def test_a_float_file_holds_the_same_in_every_format(name: str, tmp_path: Path) -> None:
    held = found(saved(model(), tmp_path / name))
    assert [operation.macs for operation in held.operations] == list(MACS.values())
    assert [operation.parameters for operation in held.operations] == list(PARAMETERS.values())
    assert held.counts() == {"fp32": 4}
    assert held.shares() == {"fp32": 1.0}
    if name != "m.tflite":  # whose operations have no names but their results'
        assert [operation.name for operation in held.operations] == list(MACS)


@pytest.mark.parametrize(
    ("name", "weights_only", "expected"),
    [
        # values and weights: the engine makes int8 of it; the classifier's weights are float
        ("m.onnx", False, {"stem": "int8", "depthwise": "int8", "pool": "int8", "classifier": "fp32"}),
        # weights alone are int8 on the disk
        ("m.onnx", True, {"stem": "dynamic", "depthwise": "dynamic", "pool": "fp32", "classifier": "fp32"}),
        ("m.xml", True, {"stem": "dynamic", "depthwise": "dynamic", "pool": "fp32", "classifier": "fp32"}),
    ],
)
def test_rounded_values_make_int8(
    name: str, weights_only: bool, expected: dict[str, str], tmp_path: Path
) -> None:
    held = found(saved(quantised(weights_only), tmp_path / name))
    assert {operation.name: operation.precision for operation in held.operations} == expected
    assert [operation.macs for operation in held.operations] == list(MACS.values())
    assert [operation.parameters for operation in held.operations] == list(PARAMETERS.values())
    assert held.shares()[expected["stem"]] == pytest.approx(1 - 20 / sum(MACS.values()))


def test_openvino_rounds_by_fake_quantize(tmp_path: Path) -> None:
    from openvino import opset13 as ops

    x = ops.parameter([1, 3, 8, 8], np.float32, name="x")
    limits = (np.float32(0), np.float32(1), np.float32(0), np.float32(1))
    weights = ops.convert(ops.constant(np.ones((4, 3, 1, 1), np.int8)), np.float32)
    scaled = ops.multiply(weights, np.full((4, 1, 1, 1), 0.1, np.float32))
    rounded = ops.fake_quantize(x, *limits, levels=256)
    convolution = ops.convolution(rounded, scaled, [1, 1], [0, 0], [0, 0], [1, 1], name="c")
    biased = ops.add(convolution, np.ones((1, 4, 1, 1), np.float32))
    path = tmp_path / "m.xml"
    openvino.save_model(openvino.Model([ops.relu(biased)], [x]), path, compress_to_fp16=False)
    (operation,) = found(path).operations
    assert msgspec.structs.replace(operation, names=()) == Operation(
        name="c",
        operator="Convolution+Add+ReLU",
        precision="int8",
        macs=8 * 8 * 4 * 3,
        parameters=12 + 4,
        activations=8 * 8 * 3 + 8 * 8 * 4,
    )
    assert operation.names[0] == "c"  # the others are OpenVINO's own


def test_halved_weights(tmp_path: Path) -> None:
    held = found(saved(model(), tmp_path / "m.xml", fp16=True))
    assert {o.name: o.precision for o in held.operations} == {
        "stem": "fp16",
        "depthwise": "fp16",
        "pool": "fp32",
        "classifier": "fp16",
    }


@pytest.mark.parametrize(
    ("body", "constants", "expected"),
    [
        # the values are rounded as they come: there is no calibration in it
        (
            "q, s, z = DynamicQuantizeLinear(x) [m] y = MatMulInteger(q, w, z)",
            {"w": [[1, 2, 3]] * 4},
            ("m", "MatMulInteger", "dynamic", 5 * 4 * 3, 12, 20 + 15 + 1, ("m", "y")),  # and a zero point
        ),
        # a transposed convolution: every value that goes in meets 2 * 2 * 3 weights
        (
            "t = Reshape(x, shape) [m] y = ConvTranspose <strides = [2, 2]> (t, k)",
            {"shape": [1, 1, 5, 4], "k": (1, 3, 2, 2)},
            ("m", "ConvTranspose", "fp32", 20 * 12, 12, 20 + 3 * 10 * 8, ("m", "y")),
        ),
        # a bias behind a product belongs to it
        (
            "[m] a = MatMul(x, v) y = Add(a, bias)",
            {"v": (4, 3), "bias": (3,)},
            ("m", "MatMul+Add", "fp32", 60, 15, 20 + 15, ("m", "y", "a")),
        ),
    ],
)
def test_products(body: str, constants: dict, expected: tuple, tmp_path: Path) -> None:
    dtypes = {"w": np.int8, "shape": np.int64}
    arrays = {k: np.array(v, dtypes[k]) if k in dtypes else v for k, v in constants.items()}
    held = found(saved(graph("float[5,4] x", body, arrays), tmp_path / "m.onnx"))
    assert held.operations == (
        Operation(
            name=expected[0],
            operator=expected[1],
            precision=expected[2],
            macs=expected[3],
            parameters=expected[4],
            activations=expected[5],
            names=expected[6],
        ),
    )


@pytest.mark.parametrize(
    ("name", "format", "macs", "parameters", "counts"),
    [
        # MobileNetV2 1.0 224: "300 million multiply-adds, 3.4 million parameters", here with batch norms
        # folded and 1,001 classes
        ("mobilenet_v2_1.0_224_quant.tflite", Format.TFLITE, 300_775_552, 3_489_097, {"int8": 65}),
        ("tf2_mobilenet_v2_1.0_224_ptq.tflite", Format.TFLITE, 300_775_552, 3_489_097, {"int8": 65}),
        # the same network in float and int8
        ("vww_96_float.tflite", Format.TFLITE, 7_489_664, 210_850, {"fp32": 30}),
        ("vww_96_int8.tflite", Format.TFLITE, 7_489_664, 210_850, {"int8": 30}),
        # weights of two bytes behind DEQUANTIZE
        ("selfie_segmentation.tflite", Format.TFLITE, 58_167_168, 106_400, {"fp32": 82, "fp16": 54}),
    ],
)
def test_models_of_others(
    shared: Path, name: str, format: Format, macs: int, parameters: int, counts: dict[str, int]
) -> None:
    held = Contents(kind="any", bytes=0, operations=operations_of(read(shared / "models" / name, format)))
    assert (held.macs, held.parameters, held.counts()) == (macs, parameters, counts)


def test_a_bundle(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    saved(model(), tmp_path / "m.onnx").replace(bundle.root / "model.fp32.onnx")
    rows = tuple(contents(bundle, artifact) for artifact in bundle.manifest.artifacts)
    assert [row.kind for row in rows] == ["onnx:fp32", "onnx:int8", "tflite:int8", "openvino:int8"]
    assert rows[0].unread is None
    for row in rows[1:]:  # they hold zeros
        assert row.operations == ()
        assert f"cannot be read as {row.kind.partition(':')[0]}" in (row.unread or "")
    first = json.loads(json.dumps(contents_json(rows)))[0]
    assert first["macs"] == sum(MACS.values())
    assert first["operations_by_precision"] == {"fp32": 4}
    assert first["macs_by_precision"] == {"fp32": 1.0}
    assert first["operations"][0] == {
        "name": "stem",
        "operator": "Conv+Relu",
        "precision": "fp32",
        "macs": MACS["stem"],
        "parameters": PARAMETERS["stem"],
        "activations": 8 * 8 * 3 + 8 * 8 * 4,
        "names": ["stem", "r", "s"],
    }


def test_without_the_package(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    row = contents(bundle, bundle.manifest.artifacts[0])
    assert row.unread == "reading onnx files needs onnx: pip install onnx"
    assert (row.macs, row.counts(), row.shares()) == (0, {}, {})


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("m.tflite", b""),
        ("m.tflite", b"\0" * 64),
        ("m.tflite", b"garbage that is long enough to be one"),
        ("m.onnx", b"garbage that is long enough to be one"),
        ("m.xml", b""),
        ("m.xml", b"<net"),
        ("m.xml", b"<net><layers><layer/></layers></net>"),
    ],
)
def test_damaged_files(name: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: cannot be read as"):
        read(path, FORMATS[name])


def test_entities_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    path.write_text('<?xml version="1.0"?><!DOCTYPE net [<!ENTITY a "b">]><net>&a;</net>')
    with pytest.raises(BundleError, match="document type"):
        read(path, Format.OPENVINO)
