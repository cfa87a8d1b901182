"""A TFLite file being written, with the schema that LiteRT ships: tensors, operators, one signature."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgecv.errors import ConversionError

# Where the class of an operator's options is not the operator's name in camel case.
_OPTIONS = {
    "AVERAGE_POOL_2D": "Pool2D",
    "BATCH_MATMUL": "BatchMatMul",
    "MAXIMUM": "MaximumMinimum",
    "MAX_POOL_2D": "Pool2D",
    "MEAN": "Reducer",
    "MINIMUM": "MaximumMinimum",
    "PADV2": "PadV2",
    "REDUCE_MAX": "Reducer",
    "REDUCE_MIN": "Reducer",
    "REDUCE_PROD": "Reducer",
    "SUM": "Reducer",
    "TOPK_V2": "TopKV2",
}

_DTYPES = ("float32", "int8", "int16", "int32", "int64", "uint8", "uint32", "bool")


class TfliteFile:
    """One subgraph; tensors are spoken of by their index in it."""

    def __init__(self, reserved: Iterable[str]) -> None:
        """reserved: names that only name() may give."""
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self._subgraph = schema.SubGraphT()
        self._subgraph.name, self._subgraph.tensors, self._subgraph.operators = "main", [], []
        self._buffers = [schema.BufferT()]
        self._codes: list[tuple[int, int]] = []
        self._taken = set(reserved)

    def type(self, dtype: np.dtype) -> int:
        """The schema's number of a NumPy type; KeyError when it has none."""
        if dtype.name not in _DTYPES:
            raise KeyError(dtype.name)
        return getattr(self.schema.TensorType, dtype.name.upper())

    def tensor(self, name: str, stored: Sequence[int], dtype: np.dtype, data: NDArray | None = None) -> int:
        """A new tensor. Its name gets a number behind when it is taken: quantizers keep ranges by name."""
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.buffer = self._unique(name), [int(n) for n in stored], 0
        try:
            tensor.type = self.type(dtype)
        except KeyError:
            raise ConversionError(f"value {name}: TFLite files have no place for {dtype}") from None
        if data is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self._buffers.append(buffer)
            tensor.buffer = len(self._buffers) - 1
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def name(self, index: int) -> str:
        return self._subgraph.tensors[index].name

    def rename(self, index: int, name: str) -> None:
        self._subgraph.tensors[index].name = name

    def operator(
        self, builtin: str, inputs: Sequence[int], outputs: Sequence[int], version: int = 1, **options: Any
    ) -> None:
        """Append an operator; `options` are fields of its options table, by the schema's names."""
        code = (getattr(self.schema.BuiltinOperator, builtin), version)
        if code not in self._codes:
            self._codes.append(code)
        operator = self.schema.OperatorT()
        operator.opcodeIndex = self._codes.index(code)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        kind = _OPTIONS.get(builtin, builtin.title().replace("_", "")) + "Options"
        if hasattr(self.schema, f"{kind}T"):
            operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, kind)
            operator.builtinOptions = getattr(self.schema, f"{kind}T")()
        for field, value in options.items():
            getattr(operator.builtinOptions, field)  # AttributeError: the schema has no such field
            setattr(operator.builtinOptions, field, value)
        self._subgraph.operators.append(operator)

    def content(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The finished file, with these inputs and outputs by name."""
        import flatbuffers

        schema = self.schema
        model = schema.ModelT()
        model.version, model.description = 3, "edgecv"
        model.buffers, model.subgraphs = self._buffers, [self._subgraph]
        model.operatorCodes = [self._operator_code(*code) for code in self._codes]
        self._subgraph.inputs, self._subgraph.outputs = list(inputs.values()), list(outputs.values())
        signature = schema.SignatureDefT()
        signature.signatureKey, signature.subgraphIndex = "serving_default", 0
        signature.inputs, signature.outputs = self._names(inputs), self._names(outputs)
        model.signatureDefs = [signature]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _unique(self, name: str) -> str:
        base, number = name, 1
        while name in self._taken:
            number += 1
            name = f"{base}.{number}"
        self._taken.add(name)
        return name

    def _operator_code(self, builtin: int, version: int) -> Any:
        code = self.schema.OperatorCodeT()
        code.builtinCode, code.version = builtin, version
        code.deprecatedBuiltinCode = min(builtin, 127)  # 127: look at builtinCode
        return code

    def _names(self, tensors: Mapping[str, int]) -> list[Any]:
        entries = []
        for name, index in tensors.items():
            entry = self.schema.TensorMapT()
            entry.name, entry.tensorIndex = name, index
            entries.append(entry)
        return entries
