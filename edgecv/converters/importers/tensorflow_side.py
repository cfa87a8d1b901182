"""What runs in the process that has TensorFlow: a model -> ONNX of a fixed size, through tf2onnx."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecv.errors import ModelError, UsageError

if TYPE_CHECKING:
    import tensorflow as tf

OPSET = 17
# TensorFlow operators that run Python or touch files; a classifier has none.
_REFUSED = ("PyFunc", "PyFuncStateless", "EagerPyFunc", "ReadFile", "WriteFile", "MatchingFiles")


class Opened(NamedTuple):
    """A model as TensorFlow calls it: one picture [1, H, W, 3] (`signature`) in, a tensor or a dict out.

    owner: what keeps its variables alive.
    """

    call: Callable[[Any], Any]
    signature: tf.TensorSpec
    owner: Any


def export(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write folder/model.onnx from the model at job["path"], of job["kind"]: `keras` or `saved_model`."""
    import tensorflow as tf
    import tf2onnx

    opened = open_model(job)
    function = tf.function(opened.call, input_signature=[opened.signature])
    model, _ = tf2onnx.convert.from_function(function, input_signature=[opened.signature], opset=OPSET)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    return {}


def open_model(job: dict[str, Any]) -> Opened:
    """Load the model, with the size of its pictures fixed to job["size_hw"] where it leaves that open."""
    return {"keras": _open_keras, "saved_model": _open_saved_model}[job["kind"]](job)


def _open_keras(job: dict[str, Any]) -> Opened:
    import keras

    try:
        model = keras.saving.load_model(job["path"], compile=False, safe_mode=True)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"Keras cannot load it ({' '.join(str(error).split())[:300]})") from error
    if not getattr(model, "inputs", None):
        raise ModelError("it was never built, so its input is not known; call it once and save it again")
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ModelError(
            f"has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a classifier has one of each"
        )
    return Opened(lambda x: model(x, training=False), _signature(model.inputs[0].shape, job), model)


def _open_saved_model(job: dict[str, Any]) -> Opened:
    """A SavedModel's `serving_default`, or its only signature."""
    import tensorflow as tf

    _check_saved_model(Path(job["path"]) / "saved_model.pb")
    loaded = tf.saved_model.load(job["path"])
    signatures = loaded.signatures
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), None)
    if name is None:
        raise ModelError("a SavedModel without a signature; save it with model.export(folder)")
    signature = signatures[name]
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"its signature {name} takes {', '.join(inputs) or 'nothing'} and gives {', '.join(outputs)}; a "
            "classifier has one input and one output"
        )
    ((key, spec),) = inputs.items()
    return Opened(lambda x: signature(**{key: x}), _signature(spec.shape, job, spec.dtype), loaded)


def _signature(shape: Any, job: dict[str, Any], dtype: Any = None) -> tf.TensorSpec:
    import tensorflow as tf

    if shape is None or len(shape) != 4:
        raise ModelError(f"its input is {shape}, no picture [1, H, W, 3]")
    sizes = [1, *(None if n is None else int(n) for n in tuple(shape)[1:])]
    if job["size_hw"]:
        for axis, asked in zip((1, 2), job["size_hw"], strict=True):
            if sizes[axis] not in (None, asked):
                raise UsageError(f"takes {sizes[1]}x{sizes[2]} pictures; --size cannot change that")
            sizes[axis] = asked
    if None in sizes:
        raise UsageError("leaves the height and width of its pictures open; give --size HxW")
    return tf.TensorSpec(sizes, dtype or tf.float32, name="image")


def _check_saved_model(path: Path) -> None:
    """Before anything of it is run: loading a SavedModel runs its initialisers."""
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise ModelError("its saved_model.pb is damaged") from error
    for graph in saved.meta_graphs:
        nodes = list(graph.graph_def.node)
        nodes += (node for function in graph.graph_def.library.function for node in function.node_def)
        for node in nodes:
            if node.op in _REFUSED:
                raise ModelError(
                    f"holds {node.op} ({node.name}): it runs Python or touches files, and a model file's "
                    "code is not run"
                )
