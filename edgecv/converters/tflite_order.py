"""Stored orders: which permutation of an ONNX value's axes lies in the TFLite file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

Shape = tuple[int, ...]
Order = tuple[int, ...]

NHWC = (0, 2, 3, 1)  # TFLite axis i holds ONNX axis NHWC[i]


@dataclass(frozen=True)
class Value:
    """A tensor of the file: TFLite axis i holds ONNX axis order[i]; `shape` is in ONNX's order."""

    index: int
    shape: Shape
    order: Order
    dtype: np.dtype

    @property
    def stored(self) -> Shape:
        return tuple(self.shape[axis] for axis in self.order)

    def axis(self, onnx_axis: int) -> int:
        """Where an ONNX axis (negative counts from the end) is in the file."""
        return self.order.index(onnx_axis % len(self.shape))


def natural(rank: int) -> Order:
    """ONNX's own order."""
    return tuple(range(rank))


def without_ones(order: Order, shape: Shape) -> Order:
    """The axes that decide where elements lie: those longer than 1."""
    return tuple(axis for axis in order if shape[axis] != 1)


def common(values: Sequence[Value], rank: int) -> Order:
    """The order that spares most transposes to values of `rank` that meet in one operator."""
    full = [value for value in values if len(value.shape) == rank]
    # a value with one real axis fits any order
    decisive = [v for v in full if len(without_ones(v.order, v.shape)) > 1] or full
    orders = [value.order for value in decisive]
    if rank == len(NHWC) and NHWC in orders:
        return NHWC
    return max(set(orders), key=lambda order: (orders.count(order), order)) if orders else natural(rank)


def dropped(order: Order, axes: Iterable[int]) -> Order:
    """The order that is left, renumbered, when some ONNX axes are gone."""
    gone = set(axes)
    left = [axis for axis in range(len(order)) if axis not in gone]
    return tuple(left.index(axis) for axis in order if axis not in gone)


def with_last(order: Order, axis: int) -> Order:
    """The nearest order that ends with one ONNX axis: the same, ONNX's own, or the same with it moved."""
    if order[-1] == axis:
        return order
    if axis == len(order) - 1:
        return natural(len(order))
    return (*(other for other in order if other != axis), axis)


class _Block(NamedTuple):
    """Neighbouring axes that a reshape turns into neighbouring axes of the same product."""

    before: list[int]
    after: list[int]


def regrouped(value: Value, shape: Shape, plain: bool) -> tuple[Order, Order]:
    """A reshape of `value` to `shape`: (the order its elements must be stored in, the result's order).

    [1, C, H, W] kept as NHWC needs no transpose to become [1, C, H*W]: only axes that are joined or split
    together must lie together. Axes of length 1 lie anywhere; they go where the result is plain (ONNX's
    order, when `plain` asks for it) or a picture (NHWC).
    """
    place = {axis: position for position, axis in enumerate(value.order)}
    blocks = sorted(_blocks(value.shape, shape), key=lambda block: min(place[axis] for axis in block.before))
    needed = tuple(axis for block in blocks for axis in block.before)
    ones = tuple(axis for axis in value.order if value.shape[axis] == 1)
    before = value.order if without_ones(value.order, value.shape) == needed else (*ones, *needed)
    after = tuple(axis for block in blocks for axis in block.after)
    candidates = [natural(len(shape))]
    if len(shape) == len(NHWC):
        candidates.insert(1 if plain else 0, NHWC)
    fitting = [order for order in candidates if without_ones(order, shape) == after]
    ones = tuple(axis for axis, n in enumerate(shape) if n == 1)
    return before, fitting[0] if fitting else (*ones, *after)


def _blocks(before: Shape, after: Shape) -> list[_Block]:
    """The finest blocks of a reshape, without axes of length 1."""
    left = [axis for axis, n in enumerate(before) if n != 1]
    right = [axis for axis, n in enumerate(after) if n != 1]
    if 0 in before:
        return [_Block(left, right)]
    blocks = []
    while left:
        block = _Block([left.pop(0)], [right.pop(0)])
        while (gap := _product(before, block.before) - _product(after, block.after)) != 0:
            block.before.append(left.pop(0)) if gap < 0 else block.after.append(right.pop(0))
        blocks.append(block)
    return blocks


def _product(shape: Shape, axes: list[int]) -> int:
    return math.prod(shape[axis] for axis in axes)
