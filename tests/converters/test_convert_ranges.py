"""The ranges of activations against onnxruntime.quantization's own calibrator."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
from convert_graphs import graph
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime import quantization
from onnxruntime.quantization.calibrate import TensorsData, create_calibrator

from edgecv.converters.graph import normalise
from edgecv.converters.ranges import collect
from edgecv.errors import ConversionError
from edgecv.spec import Preprocess

RULE = Preprocess(size_hw=(16, 16), mean=(127.0,) * 3, std=(128.0,) * 3)
# Every way a value is read: by a Clip alone, by a Clip and something else, by two, by a Clip behind a Relu.
BODY = """
    a = Conv<pads=[1,1,1,1], strides=[2,2]>(x, stem, stem_b)  b = Clip(a, zero, six)
    c = Conv(b, one, one_b)  d = Relu(c)  e = Clip(d, zero, six)  f = Add(b, e)
    g = Conv(f, two, two_b)  h = Relu(g)  i = Add(g, h)
    j = GlobalAveragePool(i)   k = Flatten(j)   y = Gemm<transB=1>(k, classes, classes_b)
"""
CONSTANTS = {
    "stem": (16, 3, 3, 3), "stem_b": (16,), "one": (16, 16, 1, 1), "one_b": (16,),
    "two": (16, 16, 1, 1), "two_b": (16,), "classes": (10, 16), "classes_b": (10,),
    "zero": np.float32(0), "six": np.float32(6),
}  # fmt: skip
CLIPPED = {"a": "b", "c": "e", "d": "e"}


class Reader(quantization.CalibrationDataReader):
    def __init__(self, images: NDArray[np.uint8]) -> None:
        self._images = iter(images)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        image = next(self._images, None)
        return None if image is None else {"x": normalise(image[None], RULE)}


@pytest.fixture(scope="module")
def model() -> onnx.ModelProto:
    return graph("float[1,3,16,16] x", BODY, CONSTANTS)


@pytest.fixture(scope="module")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)


@pytest.fixture
def no_advice() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_ranges_are_the_librarys(
    model: onnx.ModelProto, images: NDArray[np.uint8], tmp_path: Path, threads: int
) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    calibrator = create_calibrator(path, augmented_model_path=str(tmp_path / "augmented.onnx"))
    calibrator.collect_data(Reader(images))
    want = {name: data.range_value for name, data in calibrator.compute_data().items()}
    seen: list[int] = []
    got = collect(model, RULE, images, threads, seen.append)
    assert sum(seen) == len(images)
    assert got.keys() == want.keys()
    for name, limits in got.items():
        expected = want[CLIPPED.get(name, name)]
        np.testing.assert_allclose(limits, np.ravel(expected), rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.usefixtures("no_advice")
def test_a_model_quantised_by_them_is_the_librarys(
    model: onnx.ModelProto, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    own = onnx.ModelProto()
    own.CopyFrom(model)
    quantization.quantize_static(own, path, Reader(images), per_channel=True)
    want = onnx.load(path)
    ranges = TensorsData(
        quantization.CalibrationMethod.MinMax, collect(model, RULE, images, 2, lambda _count: None)
    )
    quantizer = quantization.QDQQuantizer(
        onnx.shape_inference.infer_shapes(model), True, False, quantization.QuantType.QInt8,
        quantization.QuantType.QInt8, ranges, [], [],
        sorted({node.op_type for node in model.graph.node}), {},
    )  # fmt: skip
    quantizer.quantize_model()
    got = quantizer.model.model
    nodes, others = (sorted((n.op_type, *n.input, *n.output) for n in m.graph.node) for m in (got, want))
    assert nodes == others
    held = {c.name: numpy_helper.to_array(c) for c in got.graph.initializer}
    for constant in want.graph.initializer:
        array = numpy_helper.to_array(constant)
        # int32 biases have steps of millionths: a scale's last bit moves them
        tolerance = 2 if array.dtype == np.int32 else 0
        np.testing.assert_allclose(
            held[constant.name], array, rtol=1e-5, atol=tolerance, err_msg=constant.name
        )


def test_what_is_not_finite_is_named(images: NDArray[np.uint8]) -> None:
    constants = {"w": (4, 3, 1, 1), "huge": np.float32(3e38)}
    model = graph("float[1,3,16,16] x", "a = Conv(x, w) b = Mul(a, huge) y = Mul(b, huge)", constants)
    with pytest.raises(ConversionError, match="value [by] is not finite on the calibration pictures"):
        collect(model, RULE, images, 2, lambda _count: None)


def test_an_interrupted_caller_does_not_wait_for_the_rest(model: onnx.ModelProto) -> None:
    images = np.zeros((10_000, 16, 16, 3), np.uint8)
    seen: list[int] = []

    def stop(count: int) -> None:
        seen.append(count)
        raise KeyboardInterrupt

    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        collect(model, RULE, images, 2, stop)
    assert seen == [1]
    assert set(threading.enumerate()) <= before
