"""int8 TFLite files whose biases fit into 32 bits."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_STEPS = 2**30  # of a bias, which leaves as much for the sum


def give_room(model: Any, source: Any) -> None:
    """Coarser weight scales for channels whose bias does not fit: those of (almost) nothing but zeros.

    A bias counts in steps of input scale * weight scale. Trained networks have dead channels, whose weights
    are all 0 and whose answer is the bias alone; the scale of such weights is next to 0, and the quantizer
    cuts the bias off at 2**31 steps. MobileNetV2 (Keras) has some in three layers.

    model: the int8 file (schema.ModelT), edited in place; source: the float one, which knows the biases.
    """
    graph = model.subgraphs[0]
    floats = {tensor.name: tensor for tensor in source.subgraphs[0].tensors}
    users: dict[int, list[tuple[Any, Any]]] = {}  # weights -> (input, bias) of every convolution with them
    for operator, (picture, _, bias) in _convolutions(model):
        if bias.name in floats:
            users.setdefault(int(operator.inputs[1]), []).append((picture, bias))
    for index, pairs in users.items():
        weights = graph.tensors[index]
        old = new = np.float64(weights.quantization.scale)
        exact = [np.float64(_data(source, floats[bias.name], np.float32)) for _, bias in pairs]
        for (picture, _), values in zip(pairs, exact, strict=True):
            new = np.maximum(new, np.abs(values) / (picture.quantization.scale[0] * _MOST_STEPS))
        changed = new > old
        if not changed.any():
            continue
        along = [1] * len(weights.shape)
        along[weights.quantization.quantizedDimension] = -1
        codes = _data(model, weights, np.int8).reshape(weights.shape)
        _store(model, weights, np.round(codes * (old / new).reshape(along)).astype(np.int8), new)
        for (picture, bias), values in zip(pairs, exact, strict=True):
            steps = picture.quantization.scale[0] * new
            counts = np.where(changed, np.round(values / steps), _data(model, bias, np.int32))
            _store(model, bias, counts.astype(np.int32), steps)


def _convolutions(model: Any) -> Iterator[tuple[Any, tuple[Any, Any, Any]]]:
    """(operator, (input, weights, bias)) of int8 weights with a scale a channel and int32 biases."""
    from ai_edge_litert import schema_py_generated as schema

    tensors = model.subgraphs[0].tensors
    for operator in model.subgraphs[0].operators:
        if len(operator.inputs) < 3 or operator.inputs[2] < 0:
            continue
        picture, weights, bias = (tensors[i] for i in operator.inputs[:3])
        if (weights.type, bias.type) != (schema.TensorType.INT8, schema.TensorType.INT32):
            continue
        if len(weights.quantization.scale) == bias.shape[0]:
            yield operator, (picture, weights, bias)


def _data(model: Any, tensor: Any, dtype: Any) -> NDArray:
    return np.frombuffer(bytes(model.buffers[tensor.buffer].data), dtype)


def _store(model: Any, tensor: Any, codes: NDArray, scales: NDArray) -> None:
    """Codes and scales of a tensor, in a buffer of its own: equal tensors may share one."""
    from ai_edge_litert import schema_py_generated as schema

    shared = sum(each.buffer == tensor.buffer for each in model.subgraphs[0].tensors) > 1
    if shared:
        model.buffers.append(schema.BufferT())
        tensor.buffer = len(model.buffers) - 1
    model.buffers[tensor.buffer].data = np.frombuffer(codes.tobytes(), np.uint8)
    tensor.quantization.scale = np.float32(scales)
