"""Small ONNX graphs as text, and their answers from ONNX Runtime and from LiteRT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import onnx
import onnxruntime
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from edgecv.converters.tflite import emit
from edgecv.quiet import quiet

Arrays = dict[str, NDArray]

# A shape stands for random numbers of that shape.
Constant = Sequence[int] | NDArray

BUILTINS = {code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")}


def graph(
    inputs: str,
    body: str,
    constants: Mapping[str, Constant] | None = None,
    outputs: Sequence[str] = ("y",),
    opset: int = 17,
) -> onnx.ModelProto:
    """A model from ONNX text: inputs `float[1,3,8,8] x`, body `y = Relu(x)`.

    A constant given as a tuple is that shape filled with random numbers of unit variance a sum (as
    weights), one whose name starts with `p` with numbers from 0.5 to 2 (as divisors).
    """
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> g ({inputs}) => () {{ {body} }}'
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(7)
    for name, given in (constants or {}).items():
        array = _random(rng, name, given) if isinstance(given, tuple) else np.asarray(given)
        model.graph.initializer.append(numpy_helper.from_array(array, name))
    model.graph.output.extend(helper.make_empty_tensor_value_info(name) for name in outputs)
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    known = {info.name: info for info in (*inferred.graph.value_info, *inferred.graph.output)}
    del model.graph.output[:]
    model.graph.output.extend(known[name] for name in outputs)
    onnx.checker.check_model(model, full_check=True)
    return model


def _random(rng: np.random.Generator, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if name.startswith("p"):
        return rng.uniform(0.5, 2, shape).astype(np.float32)
    fan = int(np.prod(shape[1:])) if len(shape) > 1 else 1
    return (rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32)


def feed(model: onnx.ModelProto, seed: int = 0) -> Arrays:
    """Random inputs: unit normal floats, any byte, integers from -9 to 9, either truth.

    One whose name starts with `p` is at least 1 (a divisor), one that starts with `i` is 0 or 1 (an index).
    """
    rng = np.random.default_rng(seed)
    arrays = {}
    for info in model.graph.input:
        shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if dtype == np.uint8:
            array = rng.integers(0, 256, shape)
        elif dtype.kind == "f":
            array = rng.standard_normal(shape)
        else:
            array = rng.integers(0, 2, shape) if dtype == np.bool_ else rng.integers(-9, 10, shape)
        if info.name.startswith("p"):
            array = np.abs(array) + 1
        arrays[info.name] = (array % 2 if info.name.startswith("i") else array).astype(dtype)
    return arrays


def run_onnx(model: onnx.ModelProto, inputs: Arrays) -> Arrays:
    settings = onnxruntime.SessionOptions()
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    settings.intra_op_num_threads = 1
    settings.log_severity_level = 3  # it warns of every constant that is drawn and not used
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), settings, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def run_tflite(content: bytes, inputs: Arrays) -> Arrays:
    with quiet():
        interpreter = Interpreter(model_content=content, num_threads=1)
        interpreter.allocate_tensors()
    return dict(interpreter.get_signature_runner()(**inputs))


def operators(content: bytes) -> list[str]:
    """The operators of a TFLite file in order; a fused activation is written behind: CONV_2D+RELU6."""
    model = schema.ModelT.InitFromPackedBuf(content, 0)
    activations = {code: name for name, code in vars(schema.ActivationFunctionType).items()}
    names = []
    for operator in model.subgraphs[0].operators:
        name = BUILTINS[model.operatorCodes[operator.opcodeIndex].builtinCode]
        fused = getattr(operator.builtinOptions, "fusedActivationFunction", 0)
        names.append(f"{name}+{activations[fused]}" if fused else name)
    return names


def assert_same(got: Arrays, want: Arrays) -> None:
    assert got.keys() == want.keys()
    for name, expected in want.items():
        assert (got[name].shape, got[name].dtype) == (expected.shape, expected.dtype)
        np.testing.assert_allclose(got[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


class Case(NamedTuple):
    """A graph and `writes`: the operators expected in its file, T standing for TRANSPOSE."""

    inputs: str
    body: str
    constants: Mapping[str, Constant]
    writes: str
    outputs: tuple[str, ...] = ("y",)
    opset: int = 17

    def model(self) -> onnx.ModelProto:
        return graph(self.inputs, self.body, self.constants, self.outputs, self.opset)

    def check(self) -> None:
        model = self.model()
        content, inputs = emit(model), feed(model)
        assert_same(run_tflite(content, inputs), run_onnx(model, inputs))
        written = ["T" if name == "TRANSPOSE" else name for name in operators(content)]
        assert " ".join(written) == self.writes


def ints(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def floats(*values: float) -> NDArray[np.float32]:
    return np.array(values, np.float32)


def number(value: float) -> NDArray[np.float32]:
    return np.array(value, np.float32)
