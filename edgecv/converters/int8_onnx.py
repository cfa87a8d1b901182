"""Static int8 ONNX (QDQ) through onnxruntime.quantization."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.graph import IMAGE, normalise, with_image_input
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def quantise(
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    advance: Callable[[int], None],
    ranges: str = "MinMax",
    in_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """The int8 ONNX model of a canonical graph whose mean is a whole number (graph.with_integer_mean).

    images: [N, H, W, 3] uint8 calibration pictures. `advance` is told how many have been seen. ranges: the
    calibration method, MinMax or Percentile. in_float: nodes of the graph that stay float.
    """
    import onnx
    from onnxruntime import quantization

    own = onnx.ModelProto()  # quantize_static moves the weights of the model it is given into a file
    own.CopyFrom(model)
    source = model.graph.input[0].name

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._images = iter(images)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            image = next(self._images, None)
            if image is None:
                return None
            advance(1)
            return {source: normalise(image[None], rule)}

    override = {
        "scale": np.array(1 / rule.std[0], np.float32),
        "zero_point": np.array(rule.mean[0], np.uint8),
        "quant_type": quantization.QuantType.QUInt8,
    }
    logging.disable(logging.WARNING)  # it advises a pre-processing step that this graph has had
    try:
        with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
            target = Path(folder) / "int8.onnx"
            quantization.quantize_static(
                own,
                str(target),
                Reader(),
                quant_format=quantization.QuantFormat.QDQ,
                per_channel=True,
                activation_type=quantization.QuantType.QUInt8,
                weight_type=quantization.QuantType.QInt8,
                calibrate_method=quantization.CalibrationMethod[ranges],
                nodes_to_exclude=list(in_float),
                extra_options={
                    "OpTypesToExcludeOutputQuantization": ["Gemm"],
                    "TensorQuantOverrides": {source: [override]},
                },
            )
            return _with_uint8_input(onnx.load(str(target)), rule)
    finally:
        logging.disable(logging.NOTSET)


def _with_uint8_input(model: onnx.ModelProto, rule: Preprocess) -> onnx.ModelProto:
    """Replace the float input and its QuantizeLinear by the image itself: a pixel is its own code.

    Where what reads the input stays float there is none, and the picture is normalised in float.
    """
    import onnx
    from onnx import helper

    graph = model.graph
    source = graph.input[0].name
    readers = [node for node in graph.node if source in node.input]
    if len(readers) != 1 or readers[0].op_type != "QuantizeLinear":
        return with_image_input(model, rule)
    first = helper.make_node(
        "Transpose", [IMAGE], [readers[0].output[0]], name="image.transpose", perm=[0, 3, 1, 2]
    )
    nodes = [first, *(node for node in graph.node if node is not readers[0])]
    del graph.node[:]
    graph.node.extend(nodes)
    del graph.input[:]
    shape = [1, *rule.size_hw, 3]
    graph.input.append(helper.make_tensor_value_info(IMAGE, onnx.TensorProto.UINT8, shape))
    model.producer_name = "edgecv"
    onnx.checker.check_model(model)
    return model
