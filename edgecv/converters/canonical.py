"""Any float ONNX classifier -> the canonical graph: NCHW `input`, `logits`, fixed shapes, plain operators.

ONNX Runtime's basic optimisation does the folding (constants, batch norms, transposes, pads); what is here
decides what the edges of the graph mean, and holds the result against the file on random pictures.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.converters.canonical_ends import Front, batch_norm_affine, cut_classifier, fold_front, prune
from edgecv.converters.canonical_source import check_source, fix_input, keep_one_output
from edgecv.converters.opset import raised
from edgecv.errors import ConversionError, ModelError
from edgecv.tasks import softmax

if TYPE_CHECKING:
    import onnx
    from numpy.typing import NDArray

INPUT, LOGITS = "input", "logits"
OLDEST_OPSET = 13
OPSET = 17  # what an older graph is brought to
TOLERANCE = 1e-3  # of the largest logit: what is left is the order of float32 sums
_CONTROL = ("If", "Loop", "Scan")


@dataclass(frozen=True)
class Canonical:
    """The graph (see FloatModel), what was taken off its front, and what the user should be told."""

    graph: onnx.ModelProto
    size_hw: tuple[int, int]
    classes: int
    front: Front
    notes: tuple[str, ...]


def canonicalise(
    model: onnx.ModelProto, where: str, size_hw: tuple[int, int] | None = None, output: str | None = None
) -> Canonical:
    """Raises ModelError or UsageError naming `where` and what is wrong with the file, or what to give.

    size_hw: height and width for a graph that leaves them open. output: which of several outputs.
    """
    import onnx

    source = onnx.ModelProto()
    source.CopyFrom(model)
    check_source(source, where)
    notes = keep_one_output(source, where, output)
    layout, size = fix_input(source, where, size_hw)
    fixed = optimised(_at_opset(with_nchw_input(source, layout), where), where)
    left = {node.op_type for node in fixed.graph.node}
    if control := left.intersection(_CONTROL):
        raise ModelError(f"{where}: {', '.join(sorted(control))}: what it computes depends on the picture")
    _constants_to_initialisers(fixed)
    front = fold_front(fixed)
    removed = cut_classifier(fixed, where)
    if removed:
        notes.append(f"the {removed} at its end was cut off: the output is the logits before it")
    _fold_lone_batch_norms(fixed)
    _give_biases(fixed)
    finished = _finish(fixed, where)
    classes = finished.graph.output[0].type.tensor_type.shape.dim[1].dim_value
    _compare(source, layout, finished, front, removed, where)
    return Canonical(finished, size, classes, front, tuple(notes))


def with_nchw_input(model: onnx.ModelProto, layout: str) -> onnx.ModelProto:
    """The same graph behind an input `input` [1, 3, H, W]; the transpose cancels with the file's own."""
    import onnx
    from onnx import helper

    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    (old,) = edited.graph.input
    shape = [d.dim_value for d in old.type.tensor_type.shape.dim]
    if layout == "NHWC":
        shape = [shape[0], shape[3], shape[1], shape[2]]
        first = helper.make_node("Transpose", [INPUT], ["input.own"], name="input.nhwc", perm=[0, 2, 3, 1])
    else:
        first = helper.make_node("Identity", [INPUT], ["input.own"], name="input.own")
    for node in edited.graph.node:
        for position, name in enumerate(node.input):
            if name == old.name:
                node.input[position] = "input.own"
            elif name == INPUT:  # a value of the graph that has the name by chance
                node.input[position] = "input.inner"
        for position, name in enumerate(node.output):
            if name == INPUT:
                node.output[position] = "input.inner"
    nodes = [first, *edited.graph.node]
    del edited.graph.node[:]
    edited.graph.node.extend(nodes)
    new = helper.make_tensor_value_info(INPUT, old.type.tensor_type.elem_type, shape)
    del edited.graph.input[:]
    edited.graph.input.append(new)
    return edited


def optimised(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """ONNX Runtime's basic optimisation, which keeps to ONNX's own operators; ModelError when it cannot."""
    import onnx
    import onnxruntime

    settings = _settings()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="edgecv-") as folder:
        target = Path(folder) / "optimised.onnx"
        settings.optimized_model_filepath = str(target)
        _session(model, settings, where)
        result = onnx.load(str(target))
    versions = [entry for entry in result.opset_import if entry.domain in ("", "ai.onnx")]
    del result.opset_import[:]  # it lists every domain it knows
    result.opset_import.extend(versions)
    return result


def _at_opset(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    try:
        return raised(model, OLDEST_OPSET, OPSET)
    except ConversionError as error:
        raise ModelError(f"{where}: {error}") from error


def _constants_to_initialisers(model: onnx.ModelProto) -> None:
    from onnx import helper, numpy_helper

    for node in [n for n in model.graph.node if n.op_type == "Constant"]:
        value = helper.get_attribute_value(node.attribute[0])
        array = numpy_helper.to_array(value) if hasattr(value, "dims") else np.asarray(value)
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
        model.graph.node.remove(node)


def _fold_lone_batch_norms(model: onnx.ModelProto) -> None:
    """Those behind no convolution become one Mul and one Add; the others are in their weights already."""
    from onnx import helper, numpy_helper

    constants = {c.name: numpy_helper.to_array(c) for c in model.graph.initializer}
    ranks = value_ranks(model)
    nodes = []
    for node in model.graph.node:
        if node.op_type != "BatchNormalization" or not all(name in constants for name in node.input[1:5]):
            nodes.append(node)
            continue
        scale, shift = batch_norm_affine(node, constants)
        trailing = (1,) * (ranks.get(node.input[0], 4) - 2)
        names = [f"{node.output[0]}.{part}" for part in ("scaled", "scale", "shift")]
        for name, array in zip(names[1:], (scale, shift), strict=True):
            shaped = array.astype(np.float32).reshape(-1, *trailing)
            model.graph.initializer.append(numpy_helper.from_array(shaped, name))
        nodes.append(helper.make_node("Mul", [node.input[0], names[1]], [names[0]], name=names[0]))
        nodes.append(helper.make_node("Add", [names[0], names[2]], [node.output[0]], name=node.name))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _give_biases(model: onnx.ModelProto) -> None:
    """Zeros where a convolution has no bias: folding a mean into it needs somewhere to put it."""
    from onnx import numpy_helper

    outputs = {c.name: c.dims[0] for c in model.graph.initializer if c.dims}
    for node in model.graph.node:
        if node.op_type == "Conv" and len(node.input) == 2 and node.input[1] in outputs:
            name = f"{node.output[0]}.bias"
            zeros = np.zeros(outputs[node.input[1]], np.float32)
            model.graph.initializer.append(numpy_helper.from_array(zeros, name))
            node.input.append(name)


def _finish(model: onnx.ModelProto, where: str) -> onnx.ModelProto:
    """Without what nothing reads, with inferred shapes that are all fixed, and checked."""
    import onnx

    prune(model)
    _name_nodes(model)
    del model.graph.value_info[:]
    model.producer_name = "edgecv"
    try:
        onnx.checker.check_model(model, full_check=True)
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        raise ModelError(f"{where}: not a graph that can be checked ({first_line(error)})") from error
    for info in (*inferred.graph.value_info, *inferred.graph.output):
        dims = info.type.tensor_type.shape.dim
        if any(not d.HasField("dim_value") for d in dims):
            raise ModelError(f"{where}: the size of {info.name} is not fixed; export it with a fixed size")
    return model


def _name_nodes(model: onnx.ModelProto) -> None:
    """A name of its own for every node, which ONNX does not ask for: recipes speak of nodes by name."""
    taken: set[str] = set()
    for node in model.graph.node:
        base = node.name or node.output[0]
        number, node.name = 1, base
        while node.name in taken:
            number += 1
            node.name = f"{base}.{number}"
        taken.add(node.name)


def _compare(
    source: onnx.ModelProto,
    layout: str,
    finished: onnx.ModelProto,
    front: Front,
    removed: str | None,
    where: str,
) -> None:
    """The file as it is against the canonical graph, on two random pictures; ConversionError when apart."""
    random = np.random.default_rng(0)
    dims = [d.dim_value for d in finished.graph.input[0].type.tensor_type.shape.dim]
    own_input = source.graph.input[0]
    is_bytes = own_input.type.tensor_type.elem_type != 1
    plain = _settings()
    ours, theirs = _session(finished, plain, where), _session(source, plain, where)
    for _ in range(2):
        if is_bytes:
            pixels = random.integers(0, 256, dims).astype(np.float32)
            normal = front.apply(pixels)
        else:
            normal = random.standard_normal(dims).astype(np.float32)
            pixels = front.undo(normal)
        own = pixels.transpose(0, 2, 3, 1) if layout == "NHWC" else pixels
        given = np.ascontiguousarray(own, np.uint8 if is_bytes else np.float32)
        try:
            expected = theirs.run(None, {own_input.name: given})[0].reshape(-1)
        except Exception as error:
            raise ModelError(f"{where}: ONNX Runtime cannot run it ({first_line(error)})") from error
        got = ours.run(None, {INPUT: normal})[0].reshape(-1)
        if not np.isfinite(expected).all():
            raise ModelError(f"{where}: gives NaN or infinite values for a random picture")
        got = softmax(got) if removed == "Softmax" else got
        if removed == "LogSoftmax":
            got = np.log(softmax(got))
        apart = np.abs(got - expected).max()
        if apart > TOLERANCE * max(1.0, float(np.abs(expected).max())):
            raise ConversionError(
                f"{where}: brought into canonical form it differs from the file by {apart:.2g}; please "
                "report this with the model"
            )


def run_session(model: onnx.ModelProto, threads: int) -> Callable[[NDArray], NDArray[np.float32]]:
    """[1, 3, H, W] float32 -> [classes] float32 logits of a canonical graph, with every optimisation."""
    import onnxruntime

    settings = _settings()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.intra_op_num_threads = threads
    session = _session(model, settings, "the canonical graph")
    return lambda picture: session.run(None, {INPUT: picture})[0][0]


def value_ranks(model: onnx.ModelProto) -> dict[str, int]:
    """How many axes each value has, as far as shape inference knows."""
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    infos = (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output)
    return {i.name: len(i.type.tensor_type.shape.dim) for i in infos if i.type.tensor_type.HasField("shape")}


def first_line(error: BaseException) -> str:
    """The first line of an error that says something, without ONNX Runtime's code in front."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text.split(" : ", 3)[-1][:300]


def _settings():
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 4  # the exception says it
    return settings


def _session(model: onnx.ModelProto, settings, where: str):
    import onnxruntime

    try:
        return onnxruntime.InferenceSession(
            model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        raise ModelError(f"{where}: ONNX Runtime cannot load it ({first_line(error)})") from error
