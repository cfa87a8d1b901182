"""What an artifact's file holds: its operations, in which arithmetic each is done, and how much of it.

The three formats write int8 differently: TFLite as tensors that are int8, ONNX and OpenVINO as float
operations between pairs of QuantizeLinear and DequantizeLinear, or behind a FakeQuantize, from which the
engine makes int8. Either way an operation is int8 when what it multiplies comes rounded.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from edgecv.bundle import Artifact, Bundle
from edgecv.converters.model_files import PACKAGES, Graph, Node, Value, read
from edgecv.errors import BundleError
from edgecv.spec import NonNegativeInt, Struct


class Operation(Struct):
    """One operation with the bias and clamp that engines compute inside it.

    precision: `int8`; `dynamic`, int8 weights and float values; `fp16`, weights of two bytes; `fp32`; or
    another type by NumPy's name. macs: multiplications with a sum, for one picture. parameters: numbers
    that the file keeps for it, scales left out. activations: numbers that go in and come out, for one
    picture. names: what an engine may call it: its nodes and the values they make.
    """

    name: str
    operator: str
    precision: str
    macs: NonNegativeInt
    parameters: NonNegativeInt
    activations: NonNegativeInt = 0
    names: tuple[str, ...] = ()


class Contents(Struct):
    """The operations of one artifact, in the order they run; `unread` says why there are none."""

    kind: str
    bytes: NonNegativeInt
    operations: tuple[Operation, ...] = ()
    unread: str | None = None

    @property
    def macs(self) -> int:
        return sum(operation.macs for operation in self.operations)

    @property
    def parameters(self) -> int:
        return sum(operation.parameters for operation in self.operations)

    def counts(self) -> dict[str, int]:
        """How many operations are of each precision, the commonest first."""
        return dict(Counter(operation.precision for operation in self.operations).most_common())

    def shares(self) -> dict[str, float]:
        """Of the multiplications, the share of each precision, the largest first."""
        sums: Counter[str] = Counter()
        for operation in self.operations:
            sums[operation.precision] += operation.macs
        return {precision: macs / self.macs for precision, macs in sums.most_common() if macs}


def contents(bundle: Bundle, artifact: Artifact) -> Contents:
    """Read the artifact's file; where that cannot be done here, `unread` says so in a line."""
    found = Contents(kind=str(artifact.kind), bytes=artifact.bytes)
    try:
        operations = operations_of(read(bundle.path(artifact), artifact.format))
    except ImportError:
        package = PACKAGES[artifact.format]
        return msgspec.structs.replace(
            found, unread=f"reading {artifact.format.value} files needs {package}: pip install {package}"
        )
    except BundleError as error:
        return msgspec.structs.replace(found, unread=str(error))
    return msgspec.structs.replace(found, operations=operations)


def contents_json(rows: tuple[Contents, ...]) -> list[dict[str, Any]]:
    """For each artifact: sums, counts and shares by precision, and every operation."""
    return [
        {
            "artifact": row.kind,
            "bytes": row.bytes,
            "parameters": row.parameters,
            "macs": row.macs,
            "operations_by_precision": row.counts(),
            "macs_by_precision": row.shares(),
            "operations": msgspec.to_builtins(row.operations),
            "unread": row.unread,
        }
        for row in rows
    ]


class _Product(NamedTuple):
    """An operator with weights: which input is the picture's, which the weights.

    kept: the axes of the weights that are not summed over; None when the picture's last axis is.
    by_input: each value that goes in, not each that comes out, meets that many weights.
    """

    values: int
    weights: int
    kept: tuple[int, ...] | None
    by_input: bool = False


_PRODUCTS = {
    # TFLite
    "CONV_2D": _Product(0, 1, (0,)),
    "DEPTHWISE_CONV_2D": _Product(0, 1, (-1,)),
    "FULLY_CONNECTED": _Product(0, 1, (0,)),
    "TRANSPOSE_CONV": _Product(2, 1, (-1,), by_input=True),
    "BATCH_MATMUL": _Product(0, 1, None),
    # ONNX
    "Conv": _Product(0, 1, (0,)),
    "ConvInteger": _Product(0, 1, (0,)),
    "QLinearConv": _Product(0, 3, (0,)),
    "ConvTranspose": _Product(0, 1, (0,), by_input=True),
    "Gemm": _Product(0, 1, None),
    "MatMul": _Product(0, 1, None),  # OpenVINO's, too
    "MatMulInteger": _Product(0, 1, None),
    "QLinearMatMul": _Product(0, 3, None),
    # OpenVINO
    "Convolution": _Product(0, 1, (0,)),
    "GroupConvolution": _Product(0, 1, (0, 1)),
    "ConvolutionBackpropData": _Product(0, 1, (0,), by_input=True),
}
_ROUNDING = {"QuantizeLinear", "FakeQuantize", "QUANTIZE"}
_CASTS = {"Cast", "Convert", "CAST", "DequantizeLinear", "DEQUANTIZE", "DynamicQuantizeLinear"}
# Where the values stay what they are.
_MOVES = {
    *("Flatten", "Identity", "Reshape", "Squeeze", "Transpose", "Unsqueeze"),
    *("RESHAPE", "SQUEEZE", "TRANSPOSE", "EXPAND_DIMS"),
}
_SHAPES = {"Shape", "ShapeOf", "SHAPE"}  # constant, since sizes are fixed
# Computed inside the operation in front, when the other operand is a constant.
_TAILS = {"Add", "Clip", "Clamp", "Maximum", "Minimum", "Multiply", "ReLU", "Relu"}
_BYTES = {"int8", "uint8"}
_INDICES = {"bool", "int32", "int64", "uint64"}


def operations_of(graph: Graph) -> tuple[Operation, ...]:
    """What a graph computes: rounding, casts, moves, and arithmetic of shapes and constants are left out."""
    view = _View(graph)
    made: dict[str, list[Node]] = {}  # by the value that comes out last
    for node in graph.nodes:
        if not view.computes(node):
            continue
        moving = view.moving(node)
        front = made.get(moving[0]) if len(moving) == 1 and node.operator in _TAILS else None
        if front is not None and view.readers[moving[0]] == 1:
            del made[moving[0]]
            made[node.outputs[0]] = [*front, node]
        else:
            made[node.outputs[0]] = [node]
    return tuple(view.operation(nodes) for nodes in made.values())


class _View:
    """A graph with the questions that are asked of its values."""

    def __init__(self, graph: Graph) -> None:
        self.values: Mapping[str, Value] = graph.values
        self.producers = {name: node for node in graph.nodes for name in node.outputs}
        readers = (node for node in graph.nodes if node.operator not in _SHAPES)
        self.readers = Counter(name for node in readers for name in node.inputs)
        self.readers.update(graph.outputs)
        self._constants: dict[str, bool] = {}

    def value(self, name: str) -> Value:
        return self.values.get(name, Value("float32", ()))

    def constant(self, name: str) -> bool:
        """Whether the file holds it, or all that it is computed from."""
        if name not in self._constants:
            node = self.producers.get(name)
            inputs = [i for i in node.inputs if i] if node else []
            computed = bool(inputs) and all(self.constant(i) for i in inputs)
            shape = node is not None and node.operator in _SHAPES
            self._constants[name] = self.value(name).stored or computed or shape
        return self._constants[name]

    def moving(self, node: Node) -> list[str]:
        """The inputs that depend on the picture."""
        return [name for name in node.inputs if name and not self.constant(name)]

    def computes(self, node: Node) -> bool:
        if node.operator in _ROUNDING | _CASTS | _MOVES or self.constant(node.outputs[0]):
            return False
        return node.operator in _PRODUCTS or self.value(node.outputs[0]).dtype not in _INDICES

    def operation(self, nodes: list[Node]) -> Operation:
        first = nodes[0]
        product = _PRODUCTS.get(first.operator)
        constants = {name for node in nodes for name in node.inputs if name and self.constant(name)}
        held = [self.value(name) for name in constants]
        if product is None:  # not the axes of a mean; a bias of int32 is one
            held = [value for value in held if value.dtype not in _INDICES]
        made = [name for node in nodes for name in node.outputs]
        moving = {name for node in nodes for name in self.moving(node)} - set(made)
        return Operation(
            name=first.name.removesuffix("/WithoutBiases"),  # what OpenVINO makes of a bias
            operator="+".join(node.operator for node in nodes),
            precision=self._product_precision(first, product) if product else self._precision(first),
            macs=self._macs(first, product) if product else 0,
            parameters=sum(value.size for value in held if value.size > 1),
            activations=sum(self.value(name).size for name in {*moving, nodes[-1].outputs[0]}),
            names=tuple(dict.fromkeys([*(node.name for node in nodes), *made])),
        )

    def _macs(self, node: Node, product: _Product) -> int:
        weights = self.value(node.inputs[product.weights])
        values = self.value(node.inputs[product.values])
        if product.kept is None:
            summed = values.shape[-1]
        else:
            summed = weights.size // max(math.prod(weights.shape[axis] for axis in product.kept), 1)
        return summed * (values if product.by_input else self.value(node.outputs[0])).size

    def _product_precision(self, node: Node, product: _Product) -> str:
        values, weights = node.inputs[product.values], node.inputs[product.weights]
        held, dtype = self._held(weights), self.value(values).dtype
        if held not in _BYTES:
            return _short("float16" if held == "float16" else dtype)
        if dtype == "int16":
            return dtype
        return "int8" if self._rounded(values) else "dynamic"

    def _precision(self, node: Node) -> str:
        """Of an operation without weights: int8 when everything that goes in is."""
        moving = [name for name in self.moving(node) if self.value(name).dtype not in _INDICES]
        if moving and all(self._rounded(name) for name in moving):
            return "int8"
        return _short(self.value(node.outputs[0]).dtype)

    def _rounded(self, name: str) -> bool:
        """Whether a value takes 256 levels that were calibrated, and the engine sees it so.

        TFLite's DEQUANTIZE is carried out; the other formats' is a note to the engine.
        """
        node = self.producers.get(name)
        if node is not None and node.operator in _MOVES | {"DequantizeLinear"}:
            return self._rounded(node.inputs[0])
        if node is not None and node.operator == "DynamicQuantizeLinear":
            return False
        return (node is not None and node.operator in _ROUNDING) or self.value(name).dtype in _BYTES

    def _held(self, name: str) -> str:
        """The type that weights have in the file: that of the largest constant they come from."""
        pending, leaves = [name], [Value("float32", (0,))]
        while pending:
            value = pending.pop()
            node = self.producers.get(value)
            if node is not None and node.operator == "FakeQuantize":
                return "int8"
            if node is None:
                leaves.append(self.value(value))
            else:
                pending.extend(i for i in node.inputs if i)
        return max(leaves, key=lambda leaf: leaf.size).dtype


def _short(dtype: str) -> str:
    return {"float32": "fp32", "float16": "fp16", "uint8": "int8"}.get(dtype, dtype)
