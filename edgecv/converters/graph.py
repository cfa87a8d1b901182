"""Edits of an ONNX graph that the converters share: the uint8 image input, and its integer form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edgecv.spec import Preprocess

if TYPE_CHECKING:
    import onnx

IMAGE = "image"  # the name of every artifact's input
LOGITS = "logits"  # and of its output


def with_image_input(model: onnx.ModelProto, rule: Preprocess) -> onnx.ModelProto:
    """Put the whole contract in front: `image` [1, H, W, 3] uint8 RGB -> (x - mean) / std -> the graph.

    The transpose comes first, while a pixel is still one byte.
    """
    import onnx
    from onnx import helper, numpy_helper

    mean = np.float32(rule.mean).reshape(1, 3, 1, 1)
    scale = (1 / np.float64(rule.std)).astype(np.float32).reshape(1, 3, 1, 1)
    if len({*rule.mean}) == len({*rule.std}) == 1:  # scalars keep the file plain
        mean, scale = mean[:, :1], scale[:, :1]
    source = model.graph.input[0].name
    front = [
        helper.make_node("Transpose", [IMAGE], ["image.nchw"], name="image.transpose", perm=[0, 3, 1, 2]),
        helper.make_node(
            "Cast", ["image.nchw"], ["image.float"], name="image.cast", to=onnx.TensorProto.FLOAT
        ),
        helper.make_node("Sub", ["image.float", "image.mean"], ["image.centred"], name="image.subtract"),
        helper.make_node("Mul", ["image.centred", "image.scale"], [source], name="image.scale"),
    ]
    constants = [numpy_helper.from_array(mean, "image.mean"), numpy_helper.from_array(scale, "image.scale")]
    return _prepended(model, front, constants, onnx.TensorProto.UINT8, rule)


def with_nhwc_input(model: onnx.ModelProto, rule: Preprocess) -> onnx.ModelProto:
    """Put a transpose in front: `image` [1, H, W, 3] float32, already normalised -> the graph."""
    import onnx
    from onnx import helper

    transpose = helper.make_node(
        "Transpose", [IMAGE], [model.graph.input[0].name], name="image.transpose", perm=[0, 3, 1, 2]
    )
    return _prepended(model, [transpose], [], onnx.TensorProto.FLOAT, rule)


def integer_rule(rule: Preprocess) -> Preprocess:
    """The nearest rule with one whole mean and one std for all channels, as an int8 input needs."""
    mean = float(np.clip(np.round(np.mean(rule.mean)), 0, 255))
    return msgspec.structs.replace(rule, mean=(mean,) * 3, std=(float(np.mean(rule.std)),) * 3)


def with_integer_mean(model: onnx.ModelProto, rule: Preprocess) -> tuple[onnx.ModelProto, Preprocess]:
    """An equal graph whose normalisation is integer_rule's: one scale and one whole zero point.

    (x - mean) / std, with channel constants, becomes (x - m) / s with one integer m and one s: the first
    convolution takes w' = w * s / std and b' = b + sum(w * (m - mean) / std). Equal wherever the kernel
    lies inside the picture; in the border the padding stands for m instead of each channel's own mean.
    Where something else reads the input, the two rules' difference is a product and a sum in front of it.
    """
    import onnx
    from onnx import numpy_helper

    whole = integer_rule(rule)
    if whole == rule:
        return model, rule
    mean, std = np.float64(rule.mean), np.float64(rule.std)
    m, s = whole.mean[0], whole.std[0]
    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    constants = {constant.name: constant for constant in edited.graph.initializer}
    users = [node for node in edited.graph.node if edited.graph.input[0].name in node.input]
    own = [name for name in users[0].input[1:] if name in constants] if len(users) == 1 else []
    if len(own) != 2 or users[0].op_type != "Conv":
        return _with_rescaled_input(edited, rule, whole), whole
    weight_name, bias_name = own
    weight = numpy_helper.to_array(constants[weight_name]).astype(np.float64)
    bias = numpy_helper.to_array(constants[bias_name]).astype(np.float64)
    bias = bias + (weight * ((m - mean) / std)[None, :, None, None]).sum(axis=(1, 2, 3))
    weight = weight * (s / std)[None, :, None, None]
    for name, array in ((weight_name, weight), (bias_name, bias)):
        constants[name].CopyFrom(numpy_helper.from_array(array.astype(np.float32), name))
    return edited, whole


def _with_rescaled_input(model: onnx.ModelProto, rule: Preprocess, whole: Preprocess) -> onnx.ModelProto:
    """The graph behind x * s / std + (m - mean) / std, a channel: from the whole rule's input to its own."""
    from onnx import helper, numpy_helper

    mean, std = np.float64(rule.mean), np.float64(rule.std)
    old = model.graph.input[0].name
    for node in model.graph.node:
        for position, name in enumerate(node.input):
            if name == old:
                node.input[position] = f"{old}.rescaled"
    constants = {"scale": np.float64(whole.std) / std, "shift": (np.float64(whole.mean) - mean) / std}
    for name, values in constants.items():
        array = values.astype(np.float32).reshape(1, 3, 1, 1)
        model.graph.initializer.append(numpy_helper.from_array(array, f"{old}.{name}"))
    front = [
        helper.make_node("Mul", [old, f"{old}.scale"], [f"{old}.scaled"], name=f"{old}.multiply"),
        helper.make_node("Add", [f"{old}.scaled", f"{old}.shift"], [f"{old}.rescaled"], name=f"{old}.add"),
    ]
    nodes = [*front, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def depthwise(model: onnx.ModelProto) -> tuple[str, ...]:
    """Names of the depthwise convolutions: one filter a channel."""
    shapes = {constant.name: constant.dims for constant in model.graph.initializer}
    convolutions = (node for node in model.graph.node if node.op_type == "Conv")
    return tuple(
        node.name
        for node in convolutions
        if list(shapes.get(node.input[1], ()))[1:2] == [1]
        and any(a.name == "group" and a.i > 1 for a in node.attribute)
    )


def normalise(images: np.ndarray, rule: Preprocess) -> np.ndarray:
    """[N, H, W, 3] uint8 RGB -> [N, 3, H, W] float32, (x - mean) / std: what the canonical graph takes."""
    centred = (images.astype(np.float32) - np.float32(rule.mean)) / np.float32(rule.std)
    return np.ascontiguousarray(centred.transpose(0, 3, 1, 2))


def _prepended(
    model: onnx.ModelProto,
    front: list[onnx.NodeProto],
    constants: list[onnx.TensorProto],
    dtype: int,
    rule: Preprocess,
) -> onnx.ModelProto:
    import onnx
    from onnx import helper

    edited = onnx.ModelProto()
    edited.CopyFrom(model)
    nodes = [*front, *edited.graph.node]
    del edited.graph.node[:]
    edited.graph.node.extend(nodes)
    del edited.graph.input[:]
    edited.graph.input.append(helper.make_tensor_value_info(IMAGE, dtype, [1, *rule.size_hw, 3]))
    edited.graph.initializer.extend(constants)
    onnx.checker.check_model(edited)
    return edited
