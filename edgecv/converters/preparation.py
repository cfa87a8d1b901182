"""Edits of the float graph that make it easier to quantise and cost nothing when it runs.

Equalisation leaves the function as it is and evens out what one int8 scale has to cover; bias correction
takes back the mean error that rounding the weights makes. Both only ever help or harm by measurement: see
`choose`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edgecv.bundle import Preparation
from edgecv.converters import int8_onnx, ranges
from edgecv.converters.graph import IMAGE, with_integer_mean
from edgecv.converters.verify import float_logits
from edgecv.spec import Preprocess
from edgecv.tasks import sqnr_db

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

Advance = Callable[[int], None]

# f(s * x) = s * f(x) for every channel and s > 0, so a channel's scale may pass through.
_HOMOGENEOUS = {
    "AveragePool",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "Identity",
    "LeakyRelu",
    "MaxPool",
    "Relu",
}


_PEAK, _MEAN = "GlobalMaxPool", "GlobalAveragePool"  # the same in every opset, which Reduce* are not
_FEWEST = 8  # pictures to measure on; fewer say nothing
_MOST = 32
_GAIN_DB = 0.05  # less than this is chance
_EXACT_DB = 200.0  # stands for no error at all


class Prepared(NamedTuple):
    """The graph that int8 artifacts are made from, and what was measured on the way to it.

    exact: the same without what is right in int8 alone, for operations that stay float.
    """

    graph: onnx.ModelProto
    exact: onnx.ModelProto
    steps: tuple[Preparation, ...]


class _Group(NamedTuple):
    """Values that share one scale a channel, the nodes whose weights write them and those that read them."""

    values: list[str]
    writers: list[onnx.NodeProto]
    readers: list[onnx.NodeProto]


def choose(
    model: onnx.ModelProto, rule: Preprocess, images: NDArray[np.uint8], threads: int, advance: Advance
) -> Prepared:
    """Switch on each preparation that brings an int8 model nearer to the float one, by measurement.

    The int8 model is ONNX Runtime's with exact sums, made from one half of `images` (at most 32) and judged
    on the other by the SQNR of its logits.
    """
    count = min(len(images) // 2, _MOST)
    if count < _FEWEST:
        return Prepared(model, model, ())
    seen, held_back = images[:count], images[count : 2 * count]
    reference = float_logits(model, rule, held_back, threads, lambda _: None)

    def noise_db(candidate: onnx.ModelProto) -> float:
        value = sqnr_db(reference, _int8_logits(candidate, rule, seen, held_back, threads))
        advance(1)
        return _EXACT_DB if value is None else value

    best = exact = model
    best_db = noise_db(model)
    steps = []
    for name, prepare in _STEPS:
        candidate = prepare(best, rule, images, threads, lambda _: None)
        found = best_db if candidate == best else noise_db(candidate)
        used = found > best_db + _GAIN_DB
        steps.append(Preparation(step=name, sqnr_db=found, without_db=best_db, used=used))
        if used:
            best, best_db = candidate, found
            exact = candidate if prepare is equalised else exact
    return Prepared(best, exact, tuple(steps))


def with_exact_biases(
    model: onnx.ModelProto, exact: onnx.ModelProto, nodes: Sequence[str]
) -> onnx.ModelProto:
    """The graph, with the biases that `exact` has in place of its own in the nodes of those names."""
    import onnx

    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    constants = {constant.name: constant for constant in edited.graph.initializer}
    right = {constant.name: constant for constant in exact.graph.initializer}
    before = {node.name: node for node in exact.graph.node}
    for node in edited.graph.node:
        if node.name in nodes and node.op_type == "Conv" and len(node.input) > 2:
            theirs = before[node.name].input[2:]
            if theirs:
                constants[node.input[2]].CopyFrom(right[theirs[0]])
            else:
                del node.input[2:]
    return edited


def _int8_logits(
    model: onnx.ModelProto,
    rule: Preprocess,
    seen: NDArray[np.uint8],
    judged: NDArray[np.uint8],
    threads: int,
) -> NDArray[np.float32]:
    import onnxruntime

    whole, rule = with_integer_mean(model, rule)
    quantised = int8_onnx.quantise(whole, rule, ranges.collect(whole, rule, seen, threads, lambda _: None))
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(
        quantised.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    return np.concatenate([session.run(None, {IMAGE: image[None]})[0] for image in judged])


def equalised(
    model: onnx.ModelProto, rule: Preprocess, images: NDArray[np.uint8], threads: int, advance: Advance
) -> onnx.ModelProto:
    """An equal graph in which the channels of each linear value reach equally far.

    Where convolutions are joined by nothing but sums and positively homogeneous operations, channel c of
    the value between them is divided by s_c: the writers' weights and biases by s_c, the readers' weights
    times s_c. s_c is the channel's peak over `images` ([N, H, W, 3] uint8), over the geometric mean of all
    peaks. Weights have a scale a channel, so only the readers' resolution moves, and it moves towards the
    channels that matter. Cross-layer equalisation (Nagel et al., 2019) on measured activations, as in
    SmoothQuant (Xiao et al., 2022) with alpha = 1.
    """
    edited, weights = _editable(model)
    groups = list(_groups(edited, weights))
    values = [value for group in groups for value in group.values]
    peaks = _per_channel(_PEAK, model, rule, images, values, threads, advance)
    for group in groups:
        peak = np.max([peaks[value].max(axis=0) for value in group.values], axis=0)
        live = peak > 1e-6 * peak.max()
        if not live.any():
            continue
        scale = np.where(live, peak, 1.0)
        scale[live] /= np.exp(np.log(scale[live]).mean())
        scale[~live] = 1.0
        for node in group.writers:
            weights[node.input[1]] /= scale[:, None, None, None]
            if len(node.input) > 2:
                weights[node.input[2]] /= scale
        for node in group.readers:
            weights[node.input[1]] *= _along_inputs(node, scale, weights[node.input[1]])
    return _with_weights(edited, weights)


def bias_corrected(
    model: onnx.ModelProto, rule: Preprocess, images: NDArray[np.uint8], threads: int, advance: Advance
) -> onnx.ModelProto:
    """The graph with each convolution's bias less the mean error of its int8 weights on `images`.

    E[(W8 - W) x] = (W8 - W) E[x], with W8 the weights rounded to int8 with one scale a channel and E[x] the
    measured mean of each input channel; the border is taken to be like the rest. Nagel et al., 2019,
    section 4.2. In float the result is slightly off; as int8 it is nearer.
    """
    from onnx import numpy_helper

    edited, weights = _editable(model)
    nodes = [n for n in edited.graph.node if n.op_type == "Conv" and weights.get(n.input[1], _NONE).ndim == 4]
    means = _per_channel(_MEAN, model, rule, images, [n.input[0] for n in nodes], threads, advance)
    for node in nodes:
        weight = weights[node.input[1]]
        scale = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
        scale[scale == 0] = 1.0
        error = (np.round(weight / scale) * scale - weight).sum(axis=(2, 3))  # [out, in/groups]
        mean = means[node.input[0]].mean(axis=0)
        groups = len(mean) // error.shape[1]
        per_output = mean.reshape(groups, -1).repeat(len(error) // groups, axis=0)
        shift = (error * per_output).sum(axis=1)
        if len(node.input) > 2 and node.input[2] in weights:
            weights[node.input[2]] = weights[node.input[2]] - shift
        else:
            name = f"{node.output[0]}.bias"
            edited.graph.initializer.append(numpy_helper.from_array((-shift).astype(np.float32), name))
            node.input[2:] = [name]
    return _with_weights(edited, weights)


_STEPS = (("channels equalised", equalised), ("bias corrected", bias_corrected))
MEASUREMENTS = 1 + len(_STEPS)
_NONE = np.zeros(0)


def _editable(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, NDArray[np.float64]]]:
    """A copy, and its float constants that only one node reads, in float64."""
    import onnx
    from onnx import numpy_helper

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    readers = [name for node in copy.graph.node for name in node.input]
    return copy, {
        constant.name: numpy_helper.to_array(constant).astype(np.float64)
        for constant in copy.graph.initializer
        if constant.data_type == onnx.TensorProto.FLOAT and readers.count(constant.name) == 1
    }


def _with_weights(model: onnx.ModelProto, weights: dict[str, NDArray[np.float64]]) -> onnx.ModelProto:
    from onnx import numpy_helper

    for constant in model.graph.initializer:
        if constant.name in weights:
            array = weights[constant.name].astype(np.float32)
            constant.CopyFrom(numpy_helper.from_array(array, constant.name))
    return model


def _groups(model: onnx.ModelProto, weights: dict[str, NDArray[np.float64]]) -> Iterator[_Group]:
    """The values whose channels may be scaled: all that write and read them are convolutions of their own."""
    constants = {constant.name for constant in model.graph.initializer}
    parent: dict[str, str] = {}

    def root(value: str) -> str:
        while parent.setdefault(value, value) != value:
            value = parent[value]
        return value

    writers: dict[str, list[onnx.NodeProto]] = {}
    readers: dict[str, list[onnx.NodeProto]] = {}
    fixed = {value.name for value in (*model.graph.input, *model.graph.output)}
    pictures: set[str] = set()
    for node in model.graph.node:
        computed = [name for name in node.input if name and name not in constants]
        if node.op_type == "Conv" and _scalable(node, weights):
            readers.setdefault(node.input[0], []).append(node)
            writers.setdefault(node.output[0], []).append(node)
            pictures.update((node.input[0], node.output[0]))
        elif node.op_type == "Gemm" and node.input[1] in weights and len(computed) == 1:
            readers.setdefault(node.input[0], []).append(node)
            fixed.add(node.output[0])
        elif (node.op_type == "Add" and len(computed) == 2) or (
            node.op_type in _HOMOGENEOUS and len(node.output) == 1
        ):
            for name in computed:
                parent[root(name)] = root(node.output[0])
        else:
            fixed.update((*computed, *node.output))
    fixed_roots = {root(value) for value in fixed}
    members: dict[str, list[str]] = {}
    for value in {**writers, **readers}:
        members.setdefault(root(value), []).append(value)
    for group_root, values in members.items():
        group = _Group(
            [value for value in values if value in pictures],
            [node for value in values for node in writers.get(value, [])],
            [node for value in values for node in readers.get(value, [])],
        )
        if group_root not in fixed_roots and group.writers and group.readers and _fits(group, weights):
            yield group


def _scalable(node: onnx.NodeProto, weights: dict[str, NDArray[np.float64]]) -> bool:
    """Whether the convolution's own weights can take a scale on either side: 2-D, full or depthwise."""
    weight = weights.get(node.input[1], _NONE)
    bias = len(node.input) < 3 or node.input[2] in weights
    return weight.ndim == 4 and bias and (_attribute(node, "group", 1) == 1 or _depthwise(node, weight))


def _depthwise(node: onnx.NodeProto, weight: NDArray[np.float64]) -> bool:
    return weight.shape[1] == 1 and _attribute(node, "group", 1) == weight.shape[0] > 1


def _fits(group: _Group, weights: dict[str, NDArray[np.float64]]) -> bool:
    """All sides agree on the number of channels: a Flatten of a picture larger than 1x1 does not."""
    channels = {len(weights[node.input[1]]) for node in group.writers}
    for node in group.readers:
        weight = weights[node.input[1]]
        if node.op_type == "Gemm":
            if weight.ndim != 2:
                return False
            channels.add(weight.shape[1 if _attribute(node, "transB", 0) else 0])
        else:
            channels.add(weight.shape[0] if _depthwise(node, weight) else weight.shape[1])
    return len(channels) == 1


def _along_inputs(
    node: onnx.NodeProto, scale: NDArray[np.float64], weight: NDArray[np.float64]
) -> NDArray[np.float64]:
    """`scale`, one value an input channel, shaped to multiply the node's weights."""
    if node.op_type == "Gemm":
        return scale[None, :] if _attribute(node, "transB", 0) else scale[:, None]
    return scale[:, None, None, None] if _depthwise(node, weight) else scale[None, :, None, None]


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _per_channel(
    operator: str,
    model: onnx.ModelProto,
    rule: Preprocess,
    images: NDArray[np.uint8],
    values: list[str],
    threads: int,
    advance: Advance,
) -> dict[str, NDArray[np.float64]]:
    """{value: [N, C]}, of N pictures, what `operator` makes of each channel of the 4-D `values`."""
    if not values:
        return {}
    import onnx
    from onnx import helper

    values = list(dict.fromkeys(values))
    probed = onnx.ModelProto()
    probed.CopyFrom(model)
    del probed.graph.output[:]
    for value in values:
        source, name = value, f"{value}.{operator}"
        if operator == _PEAK:
            source = f"{value}.magnitude"
            probed.graph.node.append(helper.make_node("Abs", [value], [source]))
        probed.graph.node.append(helper.make_node(operator, [source], [name]))
        probed.graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    found: dict[str, list[NDArray[np.float64]]] = {value: [] for value in values}
    with contextlib.closing(ranges.outputs(probed, rule, images, threads)) as pictures:
        for picture in pictures:
            for value, row in zip(values, picture, strict=True):
                found[value].append(np.float64(row).reshape(-1))
            advance(1)
    return {value: np.stack(rows) for value, rows in found.items()}
