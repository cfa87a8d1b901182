"""What a user's ONNX file must be before it is converted: one float picture in, one answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecv.errors import ModelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx

_QUANTISED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger")
_INTEGER_WEIGHTS = ("UINT8", "INT8", "UINT4", "INT4", "UINT2", "INT2")
_OTHER_FLOATS = ("FLOAT16", "BFLOAT16", "DOUBLE")
CHANNELS = 3


def check_source(model: onnx.ModelProto, where: str) -> None:
    """Refuse what is damaged, quantised, not of ONNX's own operators, or holds no numbers.

    Functions of the model's own are inlined. Raises ModelError.
    """
    import onnx

    if not model.graph.node or not model.graph.output:
        raise ModelError(f"{where}: no ONNX model, or a damaged one: it has no graph")
    if model.functions:
        model.CopyFrom(onnx.inliner.inline_local_functions(model))
    for node in _nodes(model.graph):
        name = node.name or (node.output[0] if node.output else "?")
        if node.op_type in _QUANTISED or node.op_type.startswith("QLinear"):
            raise ModelError(
                f"{where}: already quantised (node {name} is {node.op_type}); give the float model"
            )
        if node.domain not in ("", "ai.onnx"):
            raise ModelError(
                f"{where}: node {name} is {node.domain}:{node.op_type}, no operator of ONNX's own; export it "
                "again without an optimiser or plugin that writes such nodes"
            )
    for tensor in _tensors(model.graph):
        _check_numbers(tensor, where)
    try:
        onnx.checker.check_model(model)
    except Exception as error:
        said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        raise ModelError(f"{where}: a damaged ONNX model ({said[:300]})") from error


def keep_one_output(model: onnx.ModelProto, where: str, wanted: str | None) -> list[str]:
    """Leave one output, the one that is `wanted` where there are several; returns notes."""
    outputs = list(model.graph.output)
    names = [output.name for output in outputs]
    if wanted is not None and wanted not in names:
        raise UsageError(f"{where}: no output {wanted!r}; it has {', '.join(names)}")
    if wanted is None and len(outputs) > 1:
        raise UsageError(
            f"{where}: has {len(outputs)} outputs ({', '.join(names)}) and a classifier has one; choose it "
            "with --output NAME"
        )
    chosen = outputs[names.index(wanted)] if wanted is not None else outputs[0]
    del model.graph.output[:]
    model.graph.output.append(chosen)
    model.graph.output[0].type.tensor_type.ClearField("shape")  # of the old batch; inferred again
    if len(outputs) == 1:
        return []
    return [f"of its outputs {', '.join(names)}, {chosen.name} is the one that was converted"]


def fix_input(
    model: onnx.ModelProto, where: str, size_hw: tuple[int, int] | None
) -> tuple[str, tuple[int, int]]:
    """Leave one input, the picture, of one fixed shape: ("NCHW" or "NHWC", (height, width)).

    Raises ModelError when it is no colour picture, UsageError when its size has to be said.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    used = {name for node in _nodes(model.graph) for name in node.input}
    inputs = [i for i in model.graph.input if i.name in used and i.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(i.name for i in inputs) or "none that a node reads"
        raise ModelError(f"{where}: a classifier has one input, the picture; this has {names}")
    picture = inputs[0]
    _check_type(picture, where)
    dims = list(picture.type.tensor_type.shape.dim)
    sizes = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    text = f"[{', '.join(str(d.dim_value) if d.HasField('dim_value') else d.dim_param or '?' for d in dims)}]"
    layout, size = _layout(sizes, text, picture.name, where)
    if sizes[0] not in (None, 1):
        raise ModelError(f"{where}: takes {sizes[0]} pictures at a time; export it with a batch of 1")
    height, width = _size(size, text, where, size_hw)
    fixed = [1, CHANNELS, height, width] if layout == "NCHW" else [1, height, width, CHANNELS]
    for dim, value in zip(picture.type.tensor_type.shape.dim, fixed, strict=True):
        dim.dim_value = value
    del model.graph.input[:]
    model.graph.input.append(picture)
    del model.graph.value_info[:]  # of the old shape
    return layout, (height, width)


def _layout(
    sizes: list[int | None], text: str, name: str, where: str
) -> tuple[str, tuple[int | None, int | None]]:
    if len(sizes) == 4 and sizes[1] == CHANNELS:
        return "NCHW", (sizes[2], sizes[3])
    if len(sizes) == 4 and sizes[3] == CHANNELS:
        return "NHWC", (sizes[1], sizes[2])
    if len(sizes) == 4 and 1 in (sizes[1], sizes[3]):
        raise ModelError(f"{where}: takes pictures of one channel {text}; only colour can be converted")
    raise ModelError(f"{where}: input {name} is {text}, no colour picture [1, 3, H, W] or [1, H, W, 3]")


def _size(
    size: tuple[int | None, int | None], text: str, where: str, wanted: tuple[int, int] | None
) -> tuple[int, int]:
    if wanted is None:
        if None in size:
            raise UsageError(f"{where}: its input {text} leaves height and width open; give --size HxW")
        return size[0], size[1]
    if any(own not in (None, asked) for own, asked in zip(size, wanted, strict=True)):
        raise UsageError(f"{where}: its input is {text}; --size {wanted[0]}x{wanted[1]} cannot change that")
    return wanted


def _check_type(picture: onnx.ValueInfoProto, where: str) -> None:
    import onnx

    kind = onnx.TensorProto.DataType.Name(picture.type.tensor_type.elem_type)
    if kind in _OTHER_FLOATS:
        raise ModelError(f"{where}: takes {kind}; give the float32 model")
    if kind not in ("FLOAT", "UINT8"):  # a byte may be cast at once, which is folded
        raise ModelError(f"{where}: input {picture.name} is {kind}, not a float picture")


def _check_numbers(tensor: onnx.TensorProto, where: str) -> None:
    import onnx
    from onnx import numpy_helper

    kind = onnx.TensorProto.DataType.Name(tensor.data_type)
    count = int(np.prod(tensor.dims)) if tensor.dims else 1
    if kind in _INTEGER_WEIGHTS and count > 1:
        raise ModelError(f"{where}: already quantised ({tensor.name} is {kind}); give the float model")
    if (kind in _OTHER_FLOATS or kind.startswith("FLOAT8") or kind.startswith("FLOAT4")) and count > 1:
        raise ModelError(f"{where}: the weights {tensor.name} are {kind}; give the float32 model")
    if kind != "FLOAT":
        return
    try:
        array = numpy_helper.to_array(tensor)
    except Exception as error:
        raise ModelError(f"{where}: tensor {tensor.name} is cut off or damaged") from error
    # Infinite bounds of a Clip are harmless; infinite weights are not.
    if np.isnan(array).any() or (count > 1 and np.isinf(array).any()):
        raise ModelError(f"{where}: {tensor.name} holds NaN or infinite values")


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Every node, those of subgraphs (If, Loop) included."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """Every constant: initialisers, and the tensors in attributes."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)
