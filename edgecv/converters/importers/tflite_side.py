"""What runs in the process that has TensorFlow: a model -> TensorFlow's own TFLite file of its logits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.converters.graph import IMAGE, LOGITS
from edgecv.converters.importers.process import one_line
from edgecv.converters.importers.tensorflow_side import Opened, open_model
from edgecv.errors import ModelError

if TYPE_CHECKING:
    import tensorflow as tf

_SHAPE_ONLY = ("Identity", "Reshape", "Squeeze", "ExpandDims")
_PROBABILITIES = ("Softmax", "LogSoftmax")


def write(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write folder/model.tflite: `image` [1, H, W, 3] -> `logits` [1, classes] float32.

    job: open_model's; `pixels`, whether `image` is uint8 or float32; and what makes of it the file's own
    input: `scale` and `shift`, three each (scale * image + shift), then the channels `reversed` or not.
    """
    import tensorflow as tf

    opened = open_model(job)
    logits = _logits(opened, job)
    classes = int(np.prod(logits.outputs[0].shape))

    @tf.function(input_signature=[_input(opened, job)])
    def serve(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {LOGITS: tf.reshape(logits(image), [1, classes])}

    module = tf.Module()
    module.serve = serve
    saved = folder / "saved_model"
    tf.saved_model.save(module, str(saved), signatures=serve.get_concrete_function())
    converter = tf.lite.TFLiteConverter.from_saved_model(str(saved))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]  # what every runtime has
    try:
        content = converter.convert()
    except Exception as error:
        lacking = sorted(set(re.findall(r"'(tf\.\w+)' op", str(error))))
        reason = f"TFLite has no operator for {', '.join(lacking)}" if lacking else one_line(error)
        raise ModelError(reason) from error
    (folder / "model.tflite").write_bytes(content)
    return {}


def _input(opened: Opened, job: dict[str, Any]) -> tf.TensorSpec:
    import tensorflow as tf

    return tf.TensorSpec(opened.signature.shape, tf.uint8 if job["pixels"] else tf.float32, name=IMAGE)


def _logits(opened: Opened, job: dict[str, Any]) -> Any:
    """The frozen function `image` -> what stands before the softmax at the model's end, if one does."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    def call(image: tf.Tensor) -> tf.Tensor:
        x = tf.cast(image, tf.float32)
        x = x if job["scale"] == [1, 1, 1] else x * tf.constant(job["scale"], tf.float32)
        x = x if job["shift"] == [0, 0, 0] else x + tf.constant(job["shift"], tf.float32)
        x = x[..., ::-1] if job["reversed"] else x
        own = opened.signature.dtype
        (result,) = tf.nest.flatten(opened.call(x if own == tf.float32 else tf.cast(tf.round(x), own)))
        return result

    function = tf.function(call, input_signature=[_input(opened, job)])
    frozen = convert_variables_to_constants_v2(function.get_concrete_function())
    return frozen.prune(frozen.inputs[0], _before_softmax(frozen.outputs[0]))


def _before_softmax(output: tf.Tensor) -> tf.Tensor:
    """As canonical_ends.cut_classifier does: nothing else is taken off when there is no softmax."""
    tensor = output
    while tensor.op.type in _SHAPE_ONLY:
        tensor = tensor.op.inputs[0]
    return tensor.op.inputs[0] if tensor.op.type in _PROBABILITIES else output
