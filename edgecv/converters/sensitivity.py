"""Which operations int8 hurts: each alone in int8, all others in float, and what is left of the logits.

The float values at the cut behind an operation are kept for all pictures, so that only the graph behind
it is run again: half of it on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.bundle import Sensitivity
from edgecv.converters.graph import normalise
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

# Operators with weights, and the axis of the weights that is the output channel.
_CHANNEL_AXIS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 1, "MatMul": -1}
# What every engine computes inside the operation in front, without a tensor in between.
_CLAMPS = {"Clip", "Relu"}
_CURVES = {
    *("Elu", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu"),
    *("Mish", "PRelu", "Sigmoid", "Softplus", "Tanh"),
}
# What only moves or selects values: int8 costs nothing there that it did not cost before.
MOVES = {
    *("Cast", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout", "Expand", "Flatten", "Gather"),
    *("Identity", "Pad", "Reshape", "Shape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Transpose"),
    "Unsqueeze",
}

Arrays = dict[str, "NDArray[Any]"]


@dataclass(frozen=True)
class Operation:
    """A node with the bias and activation behind it, under the node's name.

    steps: its nodes; each step ends in a tensor that int8 stores (a swish has three: convolution, sigmoid
    and product). operator: `Conv+Clip`.
    """

    name: str
    steps: tuple[tuple[onnx.NodeProto, ...], ...]

    @property
    def nodes(self) -> tuple[onnx.NodeProto, ...]:
        return tuple(node for step in self.steps for node in step)

    @property
    def operator(self) -> str:
        return "+".join(node.op_type for node in self.nodes)

    @property
    def moves(self) -> bool:
        """Whether it computes nothing, so that there is nothing to rank."""
        return self.nodes[0].op_type in MOVES


def operations(graph: onnx.ModelProto) -> tuple[Operation, ...]:
    """The operations of a float graph that `rank` ranks, in the order they run."""
    return tuple(operation for operation in _grouped(graph.graph) if not operation.moves)


def rank(
    graph: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    threads: int,
    advance: Callable[[int], None],
) -> tuple[Sensitivity, ...]:
    """The SQNR of the logits when one operation alone is int8, for every operation, the worst first.

    int8 means: weights per output channel, symmetric; what goes in and comes out as uint8 with one scale
    and the smallest and largest value over `images`. The graph's own output stays float, as in every recipe.
    The sums are exact, so that the ranking is the model's and not that of this machine's arithmetic.

    images: [N, H, W, 3] uint8. advance: told 1 for each of `operations(graph)`.
    """
    run = _Runner(graph, threads)
    source, (logits,) = graph.graph.input[0].name, [output.name for output in graph.graph.output]
    groups = tuple(_grouped(graph.graph))
    behind = [tuple(node for group in groups[i + 1 :] for node in group.nodes) for i in range(len(groups))]
    # One dictionary a picture: the float values that a node still to come reads.
    states: list[Arrays] = [{source: normalise(image[None], rule)} for image in images]
    alone: list[tuple[Operation, NDArray[np.float32]]] = []
    for group, rest in zip(groups, behind, strict=True):
        needed = {name for node in rest for name in node.input} | {logits}
        after = run.steps(group, states)
        if not group.moves:
            hurt = [_only(needed, state) for state in run.int8(group, states, after, exempt=logits)]
            answers = run.nodes(rest, hurt, [logits]) if rest else hurt
            alone.append((group, np.concatenate([answer[logits] for answer in answers])))
            advance(1)
        states = [_only(needed, state) for state in after]
    reference = np.concatenate([state[logits] for state in states])
    ranked = [
        Sensitivity(name=group.name, operator=group.operator, sqnr_db=sqnr_db(reference, answer))
        for group, answer in alone
    ]
    return tuple(sorted(ranked, key=lambda s: np.inf if s.sqnr_db is None else s.sqnr_db))


class _Runner:
    """Runs pieces of one graph on lists of pictures, each piece in a session of its own."""

    def __init__(self, model: onnx.ModelProto, threads: int) -> None:
        self._model, self._threads = model, threads
        self._constants = {constant.name: constant for constant in model.graph.initializer}

    def nodes(
        self,
        nodes: Sequence[onnx.NodeProto],
        feeds: Sequence[Arrays],
        wanted: Sequence[str],
        constants: Mapping[str, onnx.TensorProto] | None = None,
    ) -> list[Arrays]:
        """The `wanted` values for each picture; `constants` replace the graph's own."""
        import onnxruntime
        from onnx import helper

        made = {name for node in nodes for name in node.output}
        read = {name for node in nodes for name in node.input if name} - made
        held = {**self._constants, **(constants or {})}
        inputs = sorted(name for name in read if name in feeds[0])
        piece = helper.make_graph(
            nodes,
            "piece",
            [_typed(name, feeds[0][name]) for name in inputs],
            [helper.make_empty_tensor_value_info(name) for name in wanted],
            [held[name] for name in read if name in held],
        )
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = self._threads
        # Short runs with Python between them: a third of the CPU time would be threads that spin.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = onnxruntime.InferenceSession(
            helper.make_model(
                piece, opset_imports=self._model.opset_import, ir_version=self._model.ir_version
            ).SerializeToString(),
            settings,
            providers=["CPUExecutionProvider"],
        )
        rows = (session.run(wanted, {name: feed[name] for name in inputs}) for feed in feeds)
        return [dict(zip(wanted, row, strict=True)) for row in rows]

    def steps(self, group: Operation, feeds: Sequence[Arrays]) -> list[Arrays]:
        """What every step of a group gives in float, for each picture."""
        held = [dict(feed) for feed in feeds]
        for step in group.steps:
            for state, row in zip(held, self.nodes(step, held, _results(step)), strict=True):
                state.update(row)
        return held

    def int8(
        self, group: Operation, before: Sequence[Arrays], after: Sequence[Arrays], exempt: str
    ) -> list[Arrays]:
        """The pictures' values `after` the group when it is int8; the value `exempt` stays float."""
        own = {name for node in group.nodes for name in node.output}
        outside = {name for node in group.nodes for name in node.input if name in before[0]} - own
        held = [dict(state) for state in before]
        _round_all(held, outside, after)
        for step in group.steps:
            results = _results(step)
            rows = self.nodes(step, held, results, dict(self._rounded_constants(step)))
            _round_all(rows, set(results) - {exempt}, after)
            for state, row in zip(held, rows, strict=True):
                state.update(row)
        # What others read of its inputs is as it was.
        return [{**state, **_only(own, row)} for state, row in zip(after, held, strict=True)]

    def _rounded_constants(self, step: Sequence[onnx.NodeProto]) -> Iterator[tuple[str, onnx.TensorProto]]:
        from onnx import numpy_helper

        first = step[0]
        weighted = first.op_type in _CHANNEL_AXIS
        # A bias is int32, and so are the limits of a Clip as good as exact.
        for name in first.input[1:2] if weighted else first.input:
            array = numpy_helper.to_array(self._constants[name]) if name in self._constants else None
            if array is None or array.dtype != np.float32 or array.size == 1:
                continue
            if weighted:
                rounded = round_weights(array, _channel_axis(first))
            elif first.op_type in _CLAMPS | _CURVES | {"Resize"}:
                continue
            else:
                rounded = round_activations(array, float(array.min()), float(array.max()))
            yield name, numpy_helper.from_array(rounded, name)


def round_weights(weights: NDArray[np.float32], axis: int) -> NDArray[np.float32]:
    """To int8 and back: one scale for each index of `axis`, the largest value at 127."""
    others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    scale = np.abs(weights).max(axis=others, keepdims=True) / 127
    scale[scale == 0] = 1
    return np.rint(weights / scale) * scale


def round_activations(values: NDArray[np.float32], low: float, high: float) -> NDArray[np.float32]:
    """To uint8 and back: one scale and zero point for the range from `low` to `high`, zero included."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / 255)
    if not scale:
        return values
    zero = round(-low / float(scale))
    codes = values / scale
    np.rint(codes, out=codes)
    np.clip(codes, -zero, 255 - zero, out=codes)
    return np.multiply(codes, scale, out=codes)


def _round_all(states: Sequence[Arrays], names: set[str], float_states: Sequence[Arrays]) -> None:
    """Round the float values `names` in place of what they were, by their range over all pictures."""
    for name in names:
        value = float_states[0][name]
        if value.dtype != np.float32 or value.size == 1:  # such as the limits of a Clip
            continue
        low = min(float(state[name].min()) for state in float_states)
        high = max(float(state[name].max()) for state in float_states)
        for state in states:
            state[name] = round_activations(state[name], low, high)


def _grouped(graph: onnx.GraphProto) -> Iterator[Operation]:
    """All nodes in an order that runs, each with the bias and activation that belong to it."""
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    for output in graph.output:
        users.pop(output.name, None)  # read from outside, too: nothing can be drawn up to it
    fixed = {constant.name for constant in graph.initializer}
    fixed |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    taken: set[str] = set()
    # Constants first: what is drawn up to an operation may read one that is written behind it.
    for node in sorted(graph.node, key=lambda node: node.op_type != "Constant"):
        if node.output[0] not in taken:
            group = Operation(node.name or node.output[0], tuple(map(tuple, _steps(node, users, fixed))))
            taken.update(member.output[0] for member in group.nodes)
            yield group


def _steps(
    node: onnx.NodeProto, users: Mapping[str, list[onnx.NodeProto]], fixed: set[str]
) -> list[list[onnx.NodeProto]]:
    steps = [[node]]
    if node.op_type in MOVES | _CLAMPS | _CURVES:
        return steps
    weighted = node.op_type in _CHANNEL_AXIS
    while True:
        value = steps[-1][-1].output[0]
        readers = users.get(value, [])
        alone = len(readers) == 1 and all(
            name in fixed for name in readers[0].input if name not in ("", value)
        )
        bias = node.op_type == "MatMul" and len(steps[-1]) == 1
        if alone and (readers[0].op_type in _CLAMPS or (bias and readers[0].op_type == "Add")):
            steps[-1].append(readers[0])
            continue
        if alone and weighted and readers[0].op_type in _CURVES:
            steps.append([readers[0]])
        elif weighted and _is_gated(value, readers, users):
            steps += [[reader] for reader in sorted(readers, key=lambda reader: reader.op_type == "Mul")]
        return steps


def _is_gated(
    value: str, readers: Sequence[onnx.NodeProto], users: Mapping[str, list[onnx.NodeProto]]
) -> bool:
    """Whether `value` goes into value * curve(value) and nowhere else, as in swish."""
    if sorted(reader.op_type == "Mul" for reader in readers) != [False, True]:
        return False
    curve, product = sorted(readers, key=lambda reader: reader.op_type == "Mul")
    gate = curve.output[0]
    return curve.op_type in _CURVES and users.get(gate) == [product] and {*product.input} == {value, gate}


def _only(names: set[str], state: Arrays) -> Arrays:
    return {name: value for name, value in state.items() if name in names}


def _results(step: Sequence[onnx.NodeProto]) -> list[str]:
    return [name for name in step[-1].output if name]


def _channel_axis(node: onnx.NodeProto) -> int:
    if node.op_type == "Gemm" and any(a.name == "transB" and a.i for a in node.attribute):
        return 0
    return _CHANNEL_AXIS[node.op_type]


def _typed(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    from onnx import helper

    return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
