"""OpenVINO IR: the float model from ONNX, and static int8 through nncf."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.converters.graph import IMAGE, normalise
from edgecv.quiet import quiet
from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray


def read(model: onnx.ModelProto) -> Any:
    """The openvino.Model of an ONNX graph."""
    import openvino

    return openvino.Core().read_model(model.SerializeToString())


def _folded(model: Any) -> Any:
    """The model with its constants folded, in place.

    Weights of depthwise convolutions come with a Reshape behind them. Left there, nncf mistakes their axes
    and gives each column of a kernel a scale, which the plugin can only compute in float.
    """
    from openvino.passes import ConstantFolding, Manager

    manager = Manager()
    manager.register_pass(ConstantFolding())
    manager.run_passes(model)
    return model


def save(model: Any, path: Path, compress_to_fp16: bool = False) -> None:
    """Write path (.xml) and its .bin beside it, weights as they are; OSError when the disk refuses."""
    import openvino

    try:
        openvino.save_model(model, str(path), compress_to_fp16=compress_to_fp16)
    except RuntimeError as error:  # "basic_ios::clear: iostream error" is all it says of a full disk
        raise OSError(f"OpenVINO could not write {path.name} ({error}); is the disk full?") from error


def quantise(
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    overflow_fix: str,
    advance: Callable[[int], None],
    in_float: Sequence[str] = (),
) -> Any:
    """The int8 openvino.Model of a canonical graph whose mean is a whole number (graph.with_integer_mean).

    images: [N, H, W, 3] uint8 calibration pictures. overflow_fix: nncf's `enable` (7-bit weights
    everywhere), `first_layer_only` or `disable`: what an x86 without VNNI needs against saturation.
    in_float: nodes of the graph that stay float.
    """
    os.environ.setdefault("NNCF_CI", "1")  # what nncf calls "send no telemetry"
    import nncf
    from nncf.quantization.advanced_parameters import QuantizationParameters
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    def sample(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        advance(1)
        return normalise(image[None], rule)

    # A convolution with a bias is read as two operations, of which the first has a longer name.
    patterns = [f"^{re.escape(name)}(/.*)?$" for name in in_float]
    with quiet():
        quantised = nncf.quantize(
            _folded(read(model)),
            nncf.Dataset(images, sample),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(images),
            ignored_scope=nncf.IgnoredScope(patterns=patterns, validate=False) if patterns else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(
                overflow_fix=nncf.OverflowFix(overflow_fix),
                # Its default averages the pictures' extremes, which cuts off some: 0.5 % less agreement.
                activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX,
                # Its default in front of depthwise convolutions is a range a channel, which some hundred
                # pictures do not fill: other pictures are cut off.
                activations_quantization_params=QuantizationParameters(per_channel=False),
            ),
        )
    return _with_uint8_input(quantised, rule)


def _with_uint8_input(model: Any, rule: Preprocess) -> Any:
    """The image in front; the plugin folds mean and scale into the first quantisation."""
    import openvino
    from openvino.preprocess import PrePostProcessor

    processor = PrePostProcessor(model)
    processor.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    processor.input().model().set_layout(openvino.Layout("NCHW"))
    steps = processor.input().preprocess().convert_element_type(openvino.Type.f32)
    steps.mean(list(rule.mean)).scale(list(rule.std))
    built = processor.build()
    built.input().get_tensor().set_names({IMAGE})
    return built
