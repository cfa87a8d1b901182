"""The two ends of a graph: normalisation folded off its front, the softmax cut off its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edgecv.errors import ModelError

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

_SHAPE_ONLY = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity")
_PROBABILITIES = ("Softmax", "LogSoftmax")


@dataclass(frozen=True)
class Front:
    """What the file does to a picture before its first layer: scale * x + shift, channels reversed first.

    scale, shift: [3] float64 in the order that the first layer sees. `nothing`: the file does not say.
    """

    scale: NDArray[np.float64] = field(default_factory=lambda: np.ones(3))
    shift: NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    reversed: bool = False

    @property
    def nothing(self) -> bool:
        return not self.reversed and (self.scale == 1).all() and not self.shift.any()

    def apply(self, pixels: NDArray) -> NDArray[np.float32]:
        """[1, 3, H, W] as the file takes it -> as its first layer does."""
        turned = pixels[:, ::-1] if self.reversed else pixels
        return (turned * self.scale[:, None, None] + self.shift[:, None, None]).astype(np.float32)

    def undo(self, normal: NDArray) -> NDArray[np.float32]:
        turned = (normal - self.shift[:, None, None]) / self.scale[:, None, None]
        return (turned[:, ::-1] if self.reversed else turned).astype(np.float32)


def fold_front(model: onnx.ModelProto) -> Front:
    """Take leading casts, scalings, shifts and channel swaps off the graph; returns what they did.

    model: its input `input` [1, 3, H, W]; afterwards float32, and in the order its first layer sees.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    constants = {c.name: numpy_helper.to_array(c) for c in graph.initializer}
    scale, shift, turned = np.ones(3), np.zeros(3), False
    permutation = (0, 1, 2, 3)  # axis i of the current value is axis permutation[i] of the input
    value, taken = graph.input[0].name, []
    outputs = {output.name for output in graph.output}
    while value not in outputs:
        users = [node for node in graph.node if value in node.input]
        if len(users) != 1:
            break
        node, axis = users[0], permutation.index(1)
        if node.op_type == "Transpose":
            permutation = tuple(permutation[i] for i in node.attribute[0].ints)
        elif node.op_type == "Cast":
            if node.attribute[0].i != TensorProto.FLOAT:
                break
        elif _reverses(node, constants, axis):
            scale, shift, turned = scale[::-1], shift[::-1], not turned
        elif node.op_type not in ("Identity", "Dropout"):
            step = _affine(node, value, constants, axis)
            if step is None or (step[0] <= 0).any():
                break
            scale, shift = scale * step[0], shift * step[0] + step[1]
        taken.append(node)
        value = node.output[0]
    for node in taken:
        graph.node.remove(node)
    source = graph.input[0].name
    _rename(graph, value, source)
    if permutation != (0, 1, 2, 3):
        inner = f"{source}.transposed"
        _rename(graph, source, inner)
        first = helper.make_node("Transpose", [source], [inner], name=inner, perm=permutation)
        graph.node.insert(0, first)
    graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT
    return Front(scale.copy(), shift.copy(), turned)


def cut_classifier(model: onnx.ModelProto, where: str) -> str | None:
    """End the graph at `logits` [1, classes]: a softmax goes, shapes that hold nothing else are flattened.

    Returns the name of the operator that was cut off, if one was. Raises ModelError for what is no classifier
    of one label a picture.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    makers = {name: node for node in graph.node for name in node.output}
    value, removed = graph.output[0].name, None
    while value in makers:
        node = makers[value]
        if node.op_type == "Sigmoid":
            raise ModelError(
                f"{where}: ends in Sigmoid: a yes or no for each class; only classifiers of one label a "
                "picture (softmax) can be converted"
            )
        if node.op_type in _PROBABILITIES:
            if removed:
                raise ModelError(f"{where}: ends in two softmaxes")
            removed = node.op_type
        elif node.op_type not in _SHAPE_ONLY:
            break
        value = node.input[0]
    shape = _shapes(model).get(value)
    if shape is None or not all(shape):
        raise ModelError(f"{where}: the shape of its output is not known; export it with a fixed input size")
    classes = int(np.prod(shape))
    if classes != max(shape) or classes < 2:
        raise ModelError(
            f"{where}: its output is {list(shape)}, no classifier's [1, classes]: detection, segmentation "
            "and yes-or-no models cannot be converted"
        )
    # A value of the graph that has the name by chance, or an output that other nodes read.
    _rename(graph, "logits", "logits.inner")
    value = "logits.inner" if value == "logits" else value
    graph.initializer.append(numpy_helper.from_array(np.int64([1, classes]), "logits.shape"))
    if tuple(shape) == (1, classes):
        graph.initializer.pop()
        graph.node.append(helper.make_node("Identity", [value], ["logits"], name="logits"))
    else:
        graph.node.append(helper.make_node("Reshape", [value, "logits.shape"], ["logits"], name="logits"))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, classes]))
    prune(model)
    _drop_last_identity(graph)
    return removed


def prune(model: onnx.ModelProto) -> None:
    """Remove nodes and constants that no output needs."""
    graph = model.graph
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # in topological order, so readers come first
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    constants = [c for c in graph.initializer if c.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(constants)


def _affine(
    node: onnx.NodeProto, value: str, constants: dict[str, NDArray], axis: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(scale, shift) a channel when the node is scale * value + shift, else None."""
    if node.op_type == "BatchNormalization" and axis == 1:
        return batch_norm_affine(node, constants) if all(n in constants for n in node.input[1:5]) else None
    if node.op_type not in ("Add", "Sub", "Mul", "Div"):
        return None
    first = node.input[0] == value
    other = constants.get(node.input[1 if first else 0])
    number = None if other is None else _per_channel(other, axis)
    if number is None or (node.op_type == "Div" and not first):
        return None
    one, zero = np.ones(3), np.zeros(3)
    return {
        "Add": lambda: (one, number),
        "Sub": lambda: (one, -number) if first else (-one, number),
        "Mul": lambda: (number, zero),
        "Div": lambda: (1 / number, zero),
    }[node.op_type]()


def batch_norm_affine(
    node: onnx.NodeProto, constants: dict[str, NDArray]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale, shift) a channel of a BatchNormalization with constant statistics."""
    gamma, beta, mean, variance = (constants[name].astype(np.float64) for name in node.input[1:5])
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def _per_channel(constant: NDArray, axis: int) -> NDArray[np.float64] | None:
    """[3] when the constant, broadcast, is one number a channel, else None."""
    if constant.ndim > 4:
        return None
    shape = (1,) * (4 - constant.ndim) + constant.shape
    if any(n != 1 for i, n in enumerate(shape) if i != axis) or shape[axis] not in (1, 3):
        return None
    return np.broadcast_to(constant.astype(np.float64).reshape(-1), 3)


def _reverses(node: onnx.NodeProto, constants: dict[str, NDArray], axis: int) -> bool:
    """x[..., ::-1] over the channels: a Gather of 2, 1, 0 or a Slice with a step of -1."""
    attributes = {a.name: a for a in node.attribute}
    known = [constants[name].reshape(-1).tolist() if name in constants else None for name in node.input[1:]]
    if node.op_type == "Gather":
        along = attributes["axis"].i if "axis" in attributes else 0
        return along % 4 == axis and known[0] is not None and [i % 3 for i in known[0]] == [2, 1, 0]
    if node.op_type == "Slice" and len(known) == 4 and None not in known:
        starts, ends, axes, steps = known
        return [a % 4 for a in axes] == [axis] and steps == [-1] and starts[0] in (-1, 2) and ends[0] < -3
    return False


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    infos = (*inferred.graph.value_info, *inferred.graph.output)
    return {
        info.name: tuple(d.dim_value for d in info.type.tensor_type.shape.dim)
        for info in infos
        if info.type.tensor_type.HasField("shape")
    }


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """A value by another name, everywhere but among the graph's inputs."""
    if old == new:
        return
    for node in graph.node:
        for names in (node.input, node.output):
            for position, name in enumerate(names):
                if name == old:
                    names[position] = new
    for info in (*graph.output, *graph.initializer):
        if info.name == old:
            info.name = new


def _drop_last_identity(graph: onnx.GraphProto) -> None:
    """`logits` written by its own node, where that node's output has no other reader."""
    last = graph.node[-1]
    if last.op_type != "Identity":
        return
    value = last.input[0]
    readers = [node for node in graph.node if value in node.input]
    if len(readers) == 1 and any(value in node.output for node in graph.node):
        graph.node.remove(last)
        _rename(graph, value, "logits")
