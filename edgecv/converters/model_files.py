"""TFLite, ONNX and OpenVINO files as one plain graph, read as data: nothing in them is run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from edgecv.errors import BundleError
from edgecv.spec import Format


class Value(NamedTuple):
    """A tensor: NumPy's name of its type, its shape (0 where it is not fixed), whether the file holds it."""

    dtype: str
    shape: tuple[int, ...]
    stored: bool = False

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Node(NamedTuple):
    """One operation as the file has it; inputs that are left out are not listed by `values`."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass
class Graph:
    """Nodes in the order they run, the values between them, and what leaves the graph."""

    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


PACKAGES = {Format.TFLITE: "ai-edge-litert", Format.ONNX: "onnx"}  # that reading takes


def read(path: Path, format: Format) -> Graph:
    """Read a model file; ImportError when its package is missing, BundleError when it is not what it says."""
    reader = {Format.TFLITE: _tflite, Format.ONNX: _onnx, Format.OPENVINO: _openvino}[format]
    try:
        return reader(path)
    except ImportError:
        raise
    except Exception as error:
        raise BundleError(f"{path}: cannot be read as {format.value} ({error})") from error


def _tflite(path: Path) -> Graph:
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    operators = _names(schema.BuiltinOperator)
    dtypes = {code: name.lower() for code, name in _names(schema.TensorType).items()}
    (graph,) = model.subgraphs
    found = Graph(outputs=tuple(str(i) for i in graph.outputs))
    for index, tensor in enumerate(graph.tensors):
        buffer = model.buffers[tensor.buffer]
        # The quantizer keeps weights behind the flatbuffer, by offset.
        stored = buffer.data is not None or buffer.offset > 1
        shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
        found.values[str(index)] = Value(dtypes[tensor.type], shape, stored)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        name = operators[max(code.builtinCode, code.deprecatedBuiltinCode)]
        first = graph.tensors[operator.outputs[0]].name.decode("utf-8", "replace").split(";")[0]
        inputs = tuple(str(i) for i in operator.inputs)
        found.nodes.append(Node(first, name, inputs, tuple(str(i) for i in operator.outputs)))
    return found


def _onnx(path: Path) -> Graph:
    import onnx
    from onnx import helper

    model = onnx.load(path, load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    found = Graph(outputs=tuple(output.name for output in graph.output))
    for info in (*graph.value_info, *graph.input, *graph.output):
        kind = info.type.tensor_type
        shape = tuple(dimension.dim_value for dimension in kind.shape.dim)
        found.values[info.name] = Value(helper.tensor_dtype_to_np_dtype(kind.elem_type).name, shape)
    for constant in graph.initializer:
        dtype = helper.tensor_dtype_to_np_dtype(constant.data_type).name
        found.values[constant.name] = Value(dtype, tuple(constant.dims), stored=True)
    for node in graph.node:
        if node.op_type == "Constant":
            value = found.values.get(node.output[0], Value("float32", ()))
            found.values[node.output[0]] = value._replace(stored=True)
            continue
        name = node.name or node.output[0]
        found.nodes.append(Node(name, node.op_type, tuple(node.input), tuple(node.output)))
    return found


def _names(numbers: type) -> dict[int, str]:
    """What a schema's enumeration calls its numbers."""
    return {code: name for name, code in vars(numbers).items() if not name.startswith("_")}


_KINDS = {"FP": "float", "BF": "bfloat", "I": "int", "U": "uint"}  # FP32, I8, ... to NumPy's names


def _openvino(path: Path) -> Graph:
    import xml.etree.ElementTree as ElementTree

    content = path.read_bytes()
    if b"<!" in content:  # an IR has no declarations: what they are good for is entities that explode
        raise ValueError("it has a document type or another declaration")
    net = ElementTree.fromstring(content)
    edges = {}
    for edge in net.iterfind("./edges/edge"):
        at = edge.attrib
        edges[at["to-layer"], at["to-port"]] = f"{at['from-layer']}:{at['from-port']}"
    found = Graph()
    for layer in net.iterfind("./layers/layer"):
        key, operator = layer.attrib["id"], layer.attrib["type"]
        outputs = []
        for port in layer.iterfind("./output/port"):
            precision = port.attrib["precision"]
            kind = precision.rstrip("0123456789")
            dtype = _KINDS.get(kind, kind.lower()) + precision[len(kind) :]
            shape = tuple(max(int(dimension.text or 0), 0) for dimension in port.iterfind("dim"))
            outputs.append(f"{key}:{port.attrib['id']}")
            found.values[outputs[-1]] = Value(dtype, shape, stored=operator == "Const")
        inputs = tuple(edges[key, port.attrib["id"]] for port in layer.iterfind("./input/port"))
        if operator == "Result":
            found.outputs += inputs
        elif operator not in ("Const", "Parameter"):
            found.nodes.append(Node(layer.attrib["name"], operator, inputs, tuple(outputs)))
    return found
