"""An ONNX graph made ready to be written: one generation of opsets, shapes known, constants folded."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.opset import opset_of, raised
from edgecv.converters.tflite_gelu import name_gelus
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

OLDEST_OPSET = 13  # before it Clip, Softmax, Squeeze and others kept their arguments elsewhere
_ROUNDS = 20  # a folded constant gives the next shapes; graphs in use settle in three


class Prepared(NamedTuple):
    """A graph of at least OLDEST_OPSET with inferred shapes, and the constants that its nodes read."""

    graph: onnx.GraphProto
    constants: dict[str, NDArray]
    opset: int


def prepare(model: onnx.ModelProto) -> Prepared:
    """The same graph with constants folded, GELU named and dead nodes gone.

    Raises ConversionError when its opset cannot be raised or its shapes contradict each other.
    """
    import onnx
    from onnx import inliner, numpy_helper

    model = inliner.inline_local_functions(model) if model.functions else model
    model = raised(model, OLDEST_OPSET, OLDEST_OPSET)
    constants: dict[str, NDArray] = {}
    for _ in range(_ROUNDS):
        try:
            model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
        except onnx.shape_inference.InferenceError as error:
            raise ConversionError(
                f"the shapes of the graph cannot be worked out: {' '.join(str(error).split())[:300]}"
            ) from None
        if not constants:
            constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
        if not _fold(model, constants):
            break
    name_gelus(model.graph, constants)
    _prune(model.graph)
    return Prepared(model.graph, constants, opset_of(model))


def attributes(node: onnx.NodeProto) -> dict[str, object]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


# -- constants ---------------------------------------------------------------------------------------


def _fold(model: onnx.ModelProto, constants: dict[str, NDArray]) -> bool:
    """Replace every node whose inputs are constants, or that asks a known shape, by its value."""
    from onnx import numpy_helper

    shapes = dict(_fixed_shapes(model.graph))
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    kept, known = [], len(constants)
    for node in model.graph.node:
        feed = _constant_inputs(node, constants, shapes)
        results = None if feed is None else _evaluated(node, opsets, feed)
        if results is None:
            kept.append(node)
            continue
        for name, value in zip(node.output, results, strict=False):
            if name:
                constants[name] = np.asarray(value)
                model.graph.initializer.append(numpy_helper.from_array(constants[name], name))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return len(constants) > known


def _fixed_shapes(graph: onnx.GraphProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for info in (*graph.value_info, *graph.input, *graph.output):
        kind = info.type.tensor_type
        if kind.HasField("shape") and all(d.HasField("dim_value") for d in kind.shape.dim):
            yield info.name, tuple(d.dim_value for d in kind.shape.dim)


def _constant_inputs(
    node: onnx.NodeProto, constants: dict[str, NDArray], shapes: dict[str, tuple[int, ...]]
) -> dict[str, NDArray] | None:
    if node.domain not in ("", "ai.onnx") or any(a.HasField("g") or a.graphs for a in node.attribute):
        return None
    if node.op_type in ("Shape", "Size") and node.input[0] in shapes:
        # only its shape is looked at: one zero stands for all of them
        return {node.input[0]: np.broadcast_to(np.float32(0), shapes[node.input[0]])}
    if node.op_type.startswith("Random") or any(name and name not in constants for name in node.input):
        return None
    return {name: constants[name] for name in node.input if name}


def _evaluated(
    node: onnx.NodeProto, opsets: dict[str, int], feed: dict[str, NDArray]
) -> list[NDArray] | None:
    from onnx.reference import ReferenceEvaluator

    try:
        results = ReferenceEvaluator(node, opsets=opsets).run(None, feed)
    except Exception:  # noqa: BLE001  what onnx cannot compute stays a node: written, or refused by name
        return None
    return results if all(hasattr(value, "dtype") for value in results) else None


def _prune(graph: onnx.GraphProto) -> None:
    """Drop nodes that no output depends on: what asked for shapes, mostly."""
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed & {*node.output}:
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
