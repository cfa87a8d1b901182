"""A TFLite file being written from an ONNX graph, with the schema that LiteRT ships.

ONNX pictures are NCHW, TFLite's NHWC. Each value is kept in whatever order its producer wrote it in,
together with the permutation that explains it; a transpose is only emitted where a consumer truly needs
another order. A graph that starts with Transpose(NHWC -> NCHW) therefore contains none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

NHWC = (0, 2, 3, 1)  # TFLite axis i holds ONNX axis NHWC[i]


@dataclass(frozen=True)
class Value:
    """A tensor of the file: TFLite axis i holds ONNX axis order[i]; `shape` is in ONNX's order."""

    index: int
    shape: tuple[int, ...]
    order: tuple[int, ...]
    dtype: np.dtype

    @property
    def stored(self) -> tuple[int, ...]:
        return tuple(self.shape[axis] for axis in self.order)

    def axis(self, onnx_axis: int) -> int:
        """Where an ONNX axis (negative counts from the end) is in the file."""
        return self.order.index(onnx_axis % len(self.shape))


class Emitter:
    """One graph being written. Operators (tflite_ops.py) call tensor(), constant(), node() and the rest."""

    def __init__(self, model: onnx.ModelProto) -> None:
        import onnx
        from ai_edge_litert import schema_py_generated as schema
        from onnx import numpy_helper

        self.schema = schema
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        self.graph = inferred.graph
        self.constants = {c.name: numpy_helper.to_array(c) for c in self.graph.initializer}
        self.values: dict[str, Value] = {}
        self.users: dict[str, list[onnx.NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self._types = {
            info.name: info.type.tensor_type
            for info in (*self.graph.value_info, *self.graph.input, *self.graph.output)
        }
        self._subgraph = schema.SubGraphT()
        self._subgraph.name, self._subgraph.tensors, self._subgraph.operators = "main", [], []
        self._buffers = [schema.BufferT()]
        self._codes: list[tuple[int, int]] = []
        self._dtypes = {
            np.dtype(np.float32): schema.TensorType.FLOAT32,
            np.dtype(np.int32): schema.TensorType.INT32,
            np.dtype(np.int64): schema.TensorType.INT64,
            np.dtype(np.uint8): schema.TensorType.UINT8,
            np.dtype(np.int8): schema.TensorType.INT8,
            np.dtype(np.bool_): schema.TensorType.BOOL,
        }

    # -- what operators ask ------------------------------------------------------------------------

    def shape(self, name: str) -> tuple[int, ...]:
        """An ONNX value's static shape; ConversionError when it is dynamic."""
        if name in self.constants:
            return self.constants[name].shape
        dimensions = self._types[name].shape.dim if name in self._types else None
        if dimensions is None or any(not d.HasField("dim_value") for d in dimensions):
            raise ConversionError(f"value {name}: its shape is not fixed; export the model with a fixed size")
        return tuple(d.dim_value for d in dimensions)

    def dtype(self, name: str) -> np.dtype:
        from onnx import helper

        if name in self.constants:
            return self.constants[name].dtype
        return helper.tensor_dtype_to_np_dtype(self._types[name].elem_type)

    def only_user(self, name: str) -> onnx.NodeProto | None:
        """The one node that reads `name`, when there is one and it is not an output of the graph."""
        users = self.users.get(name, [])
        is_output = any(output.name == name for output in self.graph.output)
        return users[0] if len(users) == 1 and not is_output else None

    # -- what operators write ----------------------------------------------------------------------

    def tensor(self, name: str, stored: tuple[int, ...], dtype: np.dtype, data: NDArray | None = None) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = name, [int(n) for n in stored], 0
        if dtype not in self._dtypes:
            raise ConversionError(f"value {name}: TFLite files have no place for {dtype}")
        tensor.type = self._dtypes[dtype]
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def constant(self, name: str, data: NDArray) -> int:
        """A constant exactly as stored in the file."""
        return self.tensor(name, data.shape, data.dtype, data)

    def output(self, name: str, order: tuple[int, ...] | None = None) -> int:
        """Declare the tensor of an ONNX value, stored in `order` (None: as ONNX has it)."""
        shape, dtype = self.shape(name), self.dtype(name)
        order = order if order is not None else tuple(range(len(shape)))
        stored = tuple(shape[axis] for axis in order)
        self.values[name] = Value(self.tensor(name, stored, dtype), shape, order, dtype)
        return self.values[name].index

    def operator(
        self, builtin: str, inputs: list[int], outputs: list[int], version: int = 1, options: Any = None
    ) -> None:
        code = (getattr(self.schema.BuiltinOperator, builtin), version)
        if code not in self._codes:
            self._codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._codes.index(code)
        operator.inputs, operator.outputs = inputs, outputs
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self._subgraph.operators.append(operator)

    def read(self, name: str, order: tuple[int, ...] | None = None) -> Value:
        """The value, stored in `order` (None: whatever order it has); transposed if it must be."""
        if name not in self.values:
            if name not in self.constants:
                raise ConversionError(f"value {name} is read before it is written")
            array = self.constants[name]
            wanted = order or tuple(range(array.ndim))
            index = self.constant(name, array.transpose(wanted))
            return Value(index, array.shape, wanted, array.dtype)
        value = self.values[name]
        if order is None or order == value.order:
            return value
        stored = tuple(value.shape[axis] for axis in order)
        index = self.tensor(f"{name}.{'x'.join(map(str, order))}", stored, value.dtype)
        permutation = np.int32([value.order.index(axis) for axis in order])
        self.operator(
            "TRANSPOSE",
            [value.index, self.constant(f"{name}.permutation", permutation)],
            [index],
            options=self.schema.TransposeOptionsT(),
        )
        return Value(index, value.shape, order, value.dtype)

    # -- the file ----------------------------------------------------------------------------------

    def finish(self) -> bytes:
        import flatbuffers

        schema = self.schema
        model = schema.ModelT()
        model.version, model.description = 3, "edgecv"
        model.buffers, model.subgraphs = self._buffers, [self._subgraph]
        inputs = {i.name: self.values[i.name].index for i in self.graph.input if i.name in self.values}
        outputs = {
            o.name: self.read(o.name, tuple(range(len(self.shape(o.name))))).index for o in self.graph.output
        }
        # After the outputs: one that needed a last transpose has made a new operator.
        model.operatorCodes = [_operator_code(schema, *code) for code in self._codes]
        self._subgraph.inputs, self._subgraph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = _names(schema, inputs), _names(schema, outputs)
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def _operator_code(schema: Any, builtin: int, version: int) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode, code.version = builtin, version
    code.deprecatedBuiltinCode = min(builtin, 127)  # 127: look at builtinCode
    return code


def _names(schema: Any, tensors: dict[str, int]) -> list[Any]:
    entries = []
    for name, index in tensors.items():
        entry = schema.TensorMapT()
        entry.name, entry.tensorIndex = name, index
        entries.append(entry)
    return entries
