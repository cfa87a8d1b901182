"""LiteRT's times of its operations: XNNPACK times its kernels, as it runs them, but knows them by type only.

A kernel gets the name of the file's operation where both sides, in order, are of the same kinds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgecv.runtime.engines import WARMUP_RUNS, Options, Timed, medians
from edgecv.runtime.engines._litert import CompiledModel, FileOperation, Kernel

# TensorFlow Lite's operators by their codes. A 1x1 convolution is a fully connected kernel to XNNPACK.
_FILE_KINDS = {0: "add", 3: "dense", 4: "depthwise", 9: "dense", 18: "multiply", 40: "mean", 41: "subtract"}
_PRODUCTS = ("dense", "depthwise")


def profile(path: Path, options: Options, image: NDArray[np.uint8], runs: int) -> tuple[Timed, ...]:
    """Each kernel's time, in the compiled model that has the interpreter's kernels and a profiler."""
    model = CompiledModel(path, options, profiled=True)
    try:
        for _ in range(WARMUP_RUNS):
            model.infer(image)
        operations = model.operations()
        return medians([named(model.profile(image), operations) for _ in range(runs)])
    finally:
        model.close()


def named(kernels: Sequence[Kernel], operations: Sequence[FileOperation]) -> list[Timed]:
    """Kernels with the names of the file's operations, or else with their type and their number.

    What no delegate took has its operation's number. Of the rest, products are taken for the file's when
    all of them, in order, are of the same kind (depthwise or not); so are additions, and others, each kind
    for itself.
    """
    names = {
        position: operations[kernel.index].name
        for position, kernel in enumerate(kernels)
        if not kernel.delegated and kernel.index < len(operations)
    }
    taken = {kernel.index for kernel in kernels if not kernel.delegated}
    theirs: defaultdict[str, list[tuple[str, str]]] = defaultdict(list)
    for index, operation in enumerate(operations):
        if index not in taken and (kind := _FILE_KINDS.get(operation.code)):
            theirs[_family(kind)].append((kind, operation.name))
    ours: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
    for position, kernel in enumerate(kernels):
        if kernel.delegated:
            ours[_family(kind := _kernel_kind(kernel.operator))].append((kind, position))
    for family, mine in ours.items():
        if [kind for kind, _ in mine] == [kind for kind, _ in theirs[family]]:
            names.update(
                (position, name) for (_, position), (_, name) in zip(mine, theirs[family], strict=True)
            )
    return [
        Timed(name=names.get(i, f"{kernel.operator} #{kernel.index}"), operator=kernel.operator, ms=kernel.ms)
        for i, kernel in enumerate(kernels)
    ]


def _family(kind: str) -> str:
    return "product" if kind in _PRODUCTS else kind


def _kernel_kind(operator: str) -> str:
    word = operator.partition(" (")[0]
    if word == "Convolution":
        return "depthwise" if "DWConv" in operator else "dense"
    return "dense" if word == "Fully Connected" else word.lower()
