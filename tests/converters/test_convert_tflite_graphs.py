"""Random graphs of a few operators answer in LiteRT as they do in ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
from convert_graphs import Constant, assert_same, feed, graph, run_onnx, run_tflite

from edgecv.converters.architecture import same_padding
from edgecv.converters.tflite import emit

Shape = tuple[int, ...]

ACTIVATIONS = (
    "Relu(a)",
    "Sigmoid(a)",
    "Tanh(a)",
    "HardSwish(a)",
    "Clip(a, zero, six)",
    "Clip(a, low, high)",
    "LeakyRelu<alpha=0.1>(a)",
    "Elu<alpha=0.5>(a)",
    "HardSigmoid(a)",
    "Softplus(a)",
    "Erf(a)",
    "Abs(a)",
    "Neg(a)",
)
PLACES = ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
REDUCTIONS = ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2", "ReduceLogSumExp")


class Draft:
    """A graph being drawn: lines of ONNX text, constants, and the shape of every value so far."""

    def __init__(self, draw: st.DrawFn, shape: Shape) -> None:
        self.draw = draw
        self.shapes: dict[str, Shape] = {"x": shape}
        self.lines: list[str] = []
        self.used: set[str] = set()
        self.constants: dict[str, Constant] = {
            "zero": np.float32(0),
            "six": np.float32(6),
            "low": np.float32(-0.5),
            "high": np.float32(0.75),
        }
        self._names = (f"v{i}" for i in itertools.count())

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def constant(self, value: Constant) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def write(self, call: str, shape: Shape, *reads: str) -> None:
        name = next(self._names)
        self.lines.append(f"{name} = {call}")
        self.shapes[name] = shape
        self.used.update(reads)

    # -- one drawn node each; `a` is a value and `shape` its shape -----------------------------------

    def activation(self, a: str, shape: Shape) -> None:
        call = self.draw(st.sampled_from(ACTIVATIONS)).replace("(a", f"({a}")
        self.write(call, shape, a)

    def convolution(self, a: str, shape: Shape) -> None:
        kernel, stride = self.integer(1, 3), self.integer(1, 2)
        pads = self._pads(shape, kernel, stride)
        sizes = [(n + p + q - kernel) // stride + 1 for n, p, q in zip(shape[2:], *pads, strict=True)]
        if min(sizes) < 1:
            return
        depthwise = self.draw(st.booleans()) and shape[1] > 1
        outputs = shape[1] * self.integer(1, 2) if depthwise else self.integer(1, 4)
        groups = shape[1] if depthwise else 1
        weight = self.constant((outputs, shape[1] // groups, kernel, kernel))
        bias = self.constant((outputs,))
        call = f"Conv<group={groups}, strides={[stride] * 2}, pads={[*pads[0], *pads[1]]}>"
        self.write(f"{call}({a}, {weight}, {bias})", (shape[0], outputs, *sizes), a)

    def max_pool(self, a: str, shape: Shape) -> None:
        kernel, stride = self.integer(2, 3), self.integer(1, 2)
        pads = self._pads(shape, kernel, stride, most=kernel - 1)
        sizes = [(n + p + q - kernel) // stride + 1 for n, p, q in zip(shape[2:], *pads, strict=True)]
        if min(sizes) < 1:
            return
        call = f"MaxPool<kernel_shape={[kernel] * 2}, strides={[stride] * 2}, pads={[*pads[0], *pads[1]]}>"
        self.write(f"{call}({a})", (*shape[:2], *sizes), a)

    def _pads(self, shape: Shape, kernel: int, stride: int, most: int = 2) -> list[tuple[int, int]]:
        """((top, left), (bottom, right)): SAME, VALID or any."""
        kind = self.draw(st.sampled_from(("same", "valid", "any")))
        if kind == "same":
            return list(zip(*(same_padding(n, kernel, stride) for n in shape[2:]), strict=True))
        if kind == "valid":
            return [(0, 0), (0, 0)]
        return [(self.integer(0, most), self.integer(0, most)) for _ in range(2)]

    def arithmetic(self, a: str, shape: Shape) -> None:
        operator = self.draw(st.sampled_from(("Add", "Sub", "Mul", "Max", "Min")))
        kin = [name for name, other in self.shapes.items() if other == shape]
        other = self.draw(st.sampled_from([*kin, "a constant"]))
        if other == "a constant":
            # any of the shape's axes broadcast, and any number of its leading axes left out
            full = tuple(n if self.draw(st.booleans()) else 1 for n in shape)
            other = self.constant(full[self.integer(0, len(full)) :])
        pair = (a, other) if self.draw(st.booleans()) else (other, a)
        self.write(f"{operator}({pair[0]}, {pair[1]})", shape, a, other)

    def concat(self, a: str, shape: Shape) -> None:
        kin = [name for name, other in self.shapes.items() if other == shape]
        other, axis = self.draw(st.sampled_from(kin)), self.integer(0, len(shape) - 1)
        joined = tuple(2 * n if i == axis else n for i, n in enumerate(shape))
        self.write(f"Concat<axis={axis}>({a}, {other})", joined, a, other)

    def transpose(self, a: str, shape: Shape) -> None:
        order = self.draw(st.permutations(range(len(shape))))
        self.write(f"Transpose<perm={order}>({a})", tuple(shape[axis] for axis in order), a)

    def reduction(self, a: str, shape: Shape) -> None:
        operator = self.draw(st.sampled_from(REDUCTIONS))
        axes = self.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
        keep = len(axes) == len(shape) or self.draw(st.booleans())
        left = [1 if i in axes else n for i, n in enumerate(shape) if keep or i not in axes]
        self.write(f"{operator}<axes={sorted(axes)}, keepdims={int(keep)}>({a})", tuple(left), a)

    def flatten(self, a: str, shape: Shape) -> None:
        axis = self.integer(0, len(shape))
        flat = (int(np.prod(shape[:axis])), int(np.prod(shape[axis:])))
        self.write(f"Flatten<axis={axis}>({a})", flat, a)

    def reshape(self, a: str, shape: Shape) -> None:
        """Its factors in another grouping: two neighbouring axes become one, or one becomes two."""
        axis = self.integer(0, len(shape) - 1)
        new = (*shape[:axis], *self._split(shape[axis]), *shape[axis + 1 :])
        if len(new) > 4:
            new = (new[0] * new[1], *new[2:])
        name = self.constant(np.array(new, np.int64))
        self.write(f"Reshape({a}, {name})", new, a)

    def _split(self, size: int) -> Shape:
        factor = self.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
        return (factor, size // factor)

    def softmax(self, a: str, shape: Shape) -> None:
        self.write(f"Softmax<axis={self.integer(-len(shape), len(shape) - 1)}>({a})", shape, a)

    def slice(self, a: str, shape: Shape) -> None:
        axis, step = self.integer(0, len(shape) - 1), self.draw(st.sampled_from((-2, -1, 1, 2)))
        begin, end = self.integer(0, shape[axis] - 1), self.integer(0, shape[axis] - 1)
        if (end - begin) * step <= 0:  # to the end, where what was drawn is empty
            end = shape[axis] if step > 0 else -shape[axis] - 1
        kept = len(range(shape[axis])[begin:end:step])
        numbers = (self.constant(np.array([n], np.int64)) for n in (begin, end, axis, step))
        new = (*shape[:axis], kept, *shape[axis + 1 :])
        self.write(f"Slice({', '.join([a, *numbers])})", new, a)

    def pad(self, a: str, shape: Shape) -> None:
        axis = self.integer(0, len(shape) - 1)
        mode = self.draw(st.sampled_from(("constant", "edge", "reflect")))
        most = shape[axis] - 1 if mode == "reflect" else 2
        before, after = self.integer(0, most), self.integer(0, most)
        pads = np.zeros((2, len(shape)), np.int64)
        pads[:, axis] = before, after
        new = (*shape[:axis], shape[axis] + before + after, *shape[axis + 1 :])
        self.write(f'Pad<mode="{mode}">({a}, {self.constant(pads.reshape(-1))})', new, a)

    def gather(self, a: str, shape: Shape) -> None:
        axis = self.integer(0, len(shape) - 1)
        some = st.integers(-shape[axis], shape[axis] - 1)
        indices = self.draw(st.one_of(some, st.lists(some, min_size=1, max_size=3)))
        array = np.array(indices, np.int64)
        new = (*shape[:axis], *array.shape, *shape[axis + 1 :])
        self.write(f"Gather<axis={axis}>({a}, {self.constant(array)})", new, a)

    def product(self, a: str, shape: Shape) -> None:
        """With a constant, or with itself transposed."""
        if len(shape) > 1 and self.draw(st.booleans()):
            plain = list(range(len(shape)))
            order = [*plain[:-2], plain[-1], plain[-2]]
            self.write(f"Transpose<perm={order}>({a})", tuple(shape[axis] for axis in order), a)
            turned = list(self.shapes)[-1]
            self.write(f"MatMul({a}, {turned})", (*shape[:-1], shape[-2]), a, turned)
        else:
            weight = self.constant((shape[-1], outputs := self.integer(1, 4)))
            self.write(f"MatMul({a}, {weight})", (*shape[:-1], outputs), a)

    def resize(self, a: str, shape: Shape) -> None:
        mode = self.draw(st.sampled_from(("nearest", "linear", "cubic")))
        where = self.draw(
            st.sampled_from(("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"))
        )
        size = tuple(self.integer(1, 9) for _ in range(2))
        new = (*shape[:2], *size)
        # halves are rounded in float32 here and in float64 there: a rule without any keeps the test sharp
        rule = "floor" if where == "asymmetric" else "round_prefer_floor"
        call = f'Resize<mode="{mode}", coordinate_transformation_mode="{where}", nearest_mode="{rule}">'
        self.write(f"{call}({a}, , , {self.constant(np.array(new, np.int64))})", new, a)

    def average_pool(self, a: str, shape: Shape) -> None:
        kernel, stride = self.integer(1, 3), self.integer(1, 3)
        pads = self._pads(shape, kernel, stride, most=kernel // 2)
        options = f"strides={[stride] * 2}, pads={[*pads[0], *pads[1]]}"
        sizes = [(n + p + q - kernel) // stride + 1 for n, p, q in zip(shape[2:], *pads, strict=True)]
        if min(sizes) < 1:
            return
        counts = self.integer(0, 1)
        call = f"AveragePool<kernel_shape={[kernel] * 2}, count_include_pad={counts}, {options}>"
        self.write(f"{call}({a})", (*shape[:2], *sizes), a)

    def transposed_convolution(self, a: str, shape: Shape) -> None:
        kernel, stride = self.integer(1, 4), self.integer(1, 3)
        pads = [(self.integer(0, kernel // 2), self.integer(0, kernel // 2)) for _ in range(2)]
        more = self.integer(0, stride - 1)
        sizes = [(n - 1) * stride + kernel - p - q + more for n, p, q in zip(shape[2:], *pads, strict=True)]
        if min(sizes) < 1:
            return
        weight, bias = self.constant((shape[1], outputs := self.integer(1, 3), kernel, kernel)), ""
        bias = self.constant((outputs,))
        flat = [*pads[0], *pads[1]]
        call = f"ConvTranspose<strides={[stride] * 2}, pads={flat}, output_padding={[more] * 2}>"
        self.write(f"{call}({a}, {weight}, {bias})", (shape[0], outputs, *sizes), a)

    def shuffle(self, a: str, shape: Shape) -> None:
        """Channels in groups of two, turned: what ShuffleNet does between convolutions."""
        if shape[1] % 2:
            return
        split = self.constant(np.array((shape[0], 2, shape[1] // 2, *shape[2:]), np.int64))
        self.write(f"Reshape({a}, {split})", tuple(self.constants[split].tolist()), a)
        grouped = list(self.shapes)[-1]
        five = self.shapes[grouped]
        self.write(f"Transpose<perm=[0,2,1,3,4]>({grouped})", (five[0], five[2], five[1], *five[3:]), grouped)
        turned = list(self.shapes)[-1]
        self.write(f"Reshape({turned}, {self.constant(np.array(shape, np.int64))})", shape, turned)

    def depth_to_space(self, a: str, shape: Shape) -> None:
        if shape[1] % 4:
            return
        mode = self.draw(st.sampled_from(("DCR", "CRD")))
        new = (shape[0], shape[1] // 4, 2 * shape[2], 2 * shape[3])
        self.write(f'DepthToSpace<blocksize=2, mode="{mode}">({a})', new, a)

    def gemm(self, a: str, shape: Shape) -> None:
        outputs = self.integer(1, 4)
        weight, bias = self.constant((shape[1], outputs)), self.constant((outputs,))
        self.write(f"Gemm({a}, {weight}, {bias})", (shape[0], outputs), a)


@st.composite
def graphs(draw: st.DrawFn) -> onnx.ModelProto:
    sizes = st.integers(1, 5)
    draft = Draft(draw, (1, draw(sizes), draw(sizes), draw(sizes)))
    anything = [draft.activation, draft.arithmetic, draft.concat, draft.transpose, draft.reduction]
    anything += [draft.flatten, draft.reshape, draft.softmax, draft.slice, draft.pad, draft.gather]
    anything += [draft.product]
    pictures = [draft.convolution, draft.convolution, draft.max_pool, draft.average_pool, draft.resize]
    pictures += [draft.transposed_convolution, draft.shuffle, draft.depth_to_space]
    by_rank = {4: pictures, 2: [draft.gemm]}
    for _ in range(draw(st.integers(1, 9))):
        name = draw(st.sampled_from(sorted(draft.shapes)))
        shape = draft.shapes[name]
        if shape:
            draw(st.sampled_from([*anything, *by_rank.get(len(shape), [])]))(name, shape)
    if not draft.lines:
        draft.activation("x", draft.shapes["x"])
    made = [name for name in draft.shapes if name != "x"]
    # what nobody reads, and at times a value in the middle as well
    extra = draw(st.sets(st.sampled_from(made), max_size=1))
    outputs = [name for name in made if name not in draft.used or name in extra]
    source = f"float{list(draft.shapes['x'])} x"
    return graph(source, "\n".join(draft.lines), draft.constants, outputs)


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graphs())
def test_random_graph_answers_as_onnx_runtime_does(model: onnx.ModelProto) -> None:
    inputs = feed(model)
    assert_same(run_tflite(emit(model), inputs), run_onnx(model, inputs))


@pytest.mark.slow
@settings(max_examples=600, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(graphs())
def test_many_random_graphs_answer_as_onnx_runtime_does(model: onnx.ModelProto) -> None:
    inputs = feed(model)
    assert_same(run_tflite(emit(model), inputs), run_onnx(model, inputs))
