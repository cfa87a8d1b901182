"""Older ONNX graphs brought to a newer generation of operators."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

_RESIZE_OPSET = 11  # from here on Resize says how it samples; before, it was asymmetric and rounded down


def opset_of(model: onnx.ModelProto) -> int:
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def raised(model: onnx.ModelProto, oldest: int, target: int) -> onnx.ModelProto:
    """The graph, brought to `target` where it is older than `oldest`; ConversionError where onnx cannot."""
    from onnx import helper, version_converter

    opset = opset_of(model)
    if opset >= oldest:
        return model
    try:
        newer = version_converter.convert_version(model, target)
    except Exception as error:  # noqa: BLE001  what onnx raises depends on the operator
        why = " ".join(str(error).split())[:200]
        raise ConversionError(
            f"the graph is of opset {opset}, which onnx cannot raise ({why}); export it with opset {oldest} "
            "or a later one"
        ) from None
    if opset < _RESIZE_OPSET:  # onnx's converter leaves the new defaults: another resampling
        old_rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        for node in newer.graph.node:
            if node.op_type == "Resize":
                node.attribute.extend(helper.make_attribute(*pair) for pair in old_rule.items())
    return newer
