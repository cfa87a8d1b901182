"""What an ONNX graph's operators are written with: values by ONNX's names, kept in whatever order suits.

ONNX pictures are NCHW, TFLite's NHWC. Each value is kept in the order its producer wrote it in, together
with the permutation that explains it; a transpose is only emitted where a consumer truly needs another
order. A graph that starts with Transpose(NHWC -> NCHW) therefore contains none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from edgecv.converters.tflite_file import TfliteFile
from edgecv.converters.tflite_order import Order, Shape, Value, common, natural, regrouped, without_ones
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

    from edgecv.converters.tflite_prepare import Prepared

Operand = Union[Value, "NDArray[Any]", float]


class Emitter:
    """One graph being written.

    Operators (tflite_ops/) read() the values of a node, apply() TFLite operators to them and define() the
    node's outputs. Every shape and axis is ONNX's unless it is said to be `stored`.
    """

    def __init__(self, prepared: Prepared) -> None:
        self.graph, self.constants, self.opset = prepared
        self.current = ""  # what is written now: its tensors without a name are called after it
        self.swallowed: set[str] = set()  # values that a node before their own has already written
        self.outputs = {info.name for info in self.graph.output}
        self.writers = {name: node for node in self.graph.node for name in node.output if name}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        self._types = {
            info.name: info.type.tensor_type
            for info in (*self.graph.value_info, *self.graph.input, *self.graph.output)
        }
        inputs = [info.name for info in self.graph.input if info.name not in self.constants]
        self.file = TfliteFile(reserved=[*self.writers, *inputs])
        self._values: dict[str, Value] = {}
        self._constants: dict[tuple[str, Order], Value] = {}
        self._moved: dict[tuple[int, Order], int] = {}
        self._unnamed: set[int] = set()  # tensors that no ONNX value is called by yet
        for name in inputs:
            shape = self.shape(name)
            self.define(name, self.result(shape, natural(len(shape)), self.dtype(name)))

    # -- what the graph says -----------------------------------------------------------------------

    def shape(self, name: str) -> Shape:
        """An ONNX value's static shape; ConversionError when it is dynamic."""
        if name in self.constants:
            return self.constants[name].shape
        kind = self._types.get(name)
        known = kind is not None and kind.HasField("shape")
        if not known or any(not d.HasField("dim_value") for d in kind.shape.dim):
            raise ConversionError(f"value {name}: its shape is not fixed; export the model with a fixed size")
        return tuple(d.dim_value for d in kind.shape.dim)

    def dtype(self, name: str) -> np.dtype:
        from onnx import helper

        if name in self.constants:
            return self.constants[name].dtype
        return helper.tensor_dtype_to_np_dtype(self._types[name].elem_type)

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads `name`, when there is one and it is not an output of the graph."""
        users = self._users.get(name, [])
        return users[0] if len(users) == 1 and name not in self.outputs else None

    # -- values ------------------------------------------------------------------------------------

    def read(self, name: str, order: Order | None = None) -> Value:
        """The value, stored in `order` (None: whatever order it has); transposed if it must be."""
        if name in self._values:
            value = self._values[name]
            return value if order is None else self.stored_as(value, order)
        if name not in self.constants:
            raise ConversionError(f"value {name} is read before it is written")
        array = self.constants[name]
        order = order or natural(array.ndim)
        if (name, order) not in self._constants:
            constant = self.constant(name, array.transpose(order))
            self._constants[name, order] = Value(constant.index, array.shape, order, array.dtype)
        return self._constants[name, order]

    def operands(self, names: Sequence[str], shape: Shape) -> tuple[list[Value], Order]:
        """Values that broadcast to `shape`, with ONNX's leading 1s written out, and the order all are in."""
        rank = len(shape)
        order = common([self.read(name) for name in names if name not in self.constants], rank)
        return [self._operand(name, rank, order) for name in names], order

    def _operand(self, name: str, rank: int, order: Order) -> Value:
        given = self.shape(name)
        if len(given) in (0, rank):
            return self.read(name, order if given else None)
        full = (1,) * (rank - len(given)) + given
        if name in self.constants:
            stored = self.constants[name].reshape(full).transpose(order)
            return Value(self.constant(f"{name}.{rank}d", stored).index, full, order, stored.dtype)
        return self.stored_as(self.reshaped(self.read(name), full), order)

    def constant(self, name: str, data: NDArray) -> Value:
        """A constant exactly as stored in the file."""
        index = self.file.tensor(name, data.shape, data.dtype, data)
        return Value(index, data.shape, natural(data.ndim), data.dtype)

    def define(self, name: str, value: Value) -> None:
        """`name` is this value from now on; a tensor that has no ONNX name yet is called by it."""
        self._values[name] = value
        if value.index in self._unnamed:
            self._unnamed.discard(value.index)
            self.file.rename(value.index, name)

    def stored_as(self, value: Value, order: Order) -> Value:
        """The same value in another order: a RESHAPE where only axes of length 1 move, else a TRANSPOSE."""
        if order == value.order:
            return value
        permutation = tuple(value.order.index(axis) for axis in order)
        stored = tuple(value.shape[axis] for axis in order)
        if (value.index, permutation) not in self._moved:
            name = f"{self.file.name(value.index)}.{'x'.join(map(str, order))}"
            index = self.file.tensor(name, stored, value.dtype)
            if without_ones(value.order, value.shape) == without_ones(order, value.shape):
                self._reshape(value.index, index, stored)
            else:
                by = self.constant(f"{name}.permutation", np.int32(permutation))
                self.file.operator("TRANSPOSE", [value.index, by.index], [index])
            self._moved[value.index, permutation] = index
        return Value(self._moved[value.index, permutation], value.shape, order, value.dtype)

    def reshaped(self, value: Value, shape: Shape, plain: bool | None = None) -> Value:
        """ONNX's Reshape: the elements keep ONNX's order, and are moved no further than that takes.

        plain: store the result in ONNX's order where that costs nothing (None: if it is an output).
        """
        plain = self.current in self.outputs if plain is None else plain
        needed, order = regrouped(value, shape, plain)
        source = self.stored_as(value, needed)
        stored = tuple(shape[axis] for axis in order)
        if stored == source.stored:
            return Value(source.index, shape, order, value.dtype)
        result = self.result(shape, order, value.dtype)
        self._reshape(source.index, result.index, stored)
        return result

    def _reshape(self, source: int, target: int, stored: Shape) -> None:
        shape = self.constant(f"{self.file.name(target)}.shape", np.int32(stored))
        self.file.operator("RESHAPE", [source, shape.index], [target], newShape=[int(n) for n in stored])

    # -- operators ---------------------------------------------------------------------------------

    def apply(
        self,
        builtin: str,
        inputs: Sequence[Operand],
        shape: Shape,
        order: Order | None = None,
        dtype: Any = None,
        version: int = 1,
        **options: Any,
    ) -> Value:
        """Write one operator whose one output has `shape`, stored in `order` (None: ONNX's).

        A NumPy array among the inputs is a constant as stored, a number a scalar of the first value's type;
        dtype is that of the first value unless given.
        """
        first = next(source for source in inputs if isinstance(source, Value)).dtype
        sources = []
        for position, source in enumerate(inputs):
            if not isinstance(source, Value):
                array = source if isinstance(source, np.ndarray) else np.array(source, first)
                source = self.constant(f"{self.current}.{builtin.lower()}.{position}", array)
            sources.append(source.index)
        output = self.result(shape, natural(len(shape)) if order is None else order, dtype or first)
        self.file.operator(builtin, sources, [output.index], version, **options)
        return output

    def like(self, builtin: str, *inputs: Operand, dtype: Any = None, **options: Any) -> Value:
        """apply() whose result has the shape and order of the first value: element by element."""
        first = next(source for source in inputs if isinstance(source, Value))
        return self.apply(builtin, inputs, first.shape, first.order, dtype, **options)

    def result(self, shape: Shape, order: Order, dtype: Any) -> Value:
        """A tensor for an operator to write."""
        stored = tuple(shape[axis] for axis in order)
        index = self.file.tensor(f"{self.current}.part", stored, np.dtype(dtype))
        self._unnamed.add(index)
        return Value(index, shape, order, np.dtype(dtype))

    def finish(self) -> bytes:
        inputs = {i.name: self._values[i.name].index for i in self.graph.input if i.name in self._values}
        outputs = {
            o.name: self.read(o.name, natural(len(self.shape(o.name)))).index for o in self.graph.output
        }
        return self.file.content(inputs, outputs)
