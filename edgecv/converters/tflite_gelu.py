"""GELU is five nodes in the ONNX of most exporters, and one operator in TFLite."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from numpy.typing import NDArray

if TYPE_CHECKING:
    import onnx


class _Links:
    """Who writes and who reads each value of a graph."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.writer = {name: node for node in graph.node for name in node.output if name}
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {output.name for output in graph.output}

    def only_reader(self, name: str, kind: str) -> onnx.NodeProto | None:
        """The node of type `kind` that alone reads `name`, None when there is no such node."""
        readers = self._readers.get(name, [])
        alone = len(readers) == 1 and name not in self._outputs and readers[0].op_type == kind
        return readers[0] if alone else None


def name_gelus(graph: onnx.GraphProto, constants: Mapping[str, NDArray]) -> None:
    """x * 0.5 * (1 + erf(x / sqrt 2)), in any order of its factors, becomes one Gelu node."""
    from onnx import helper

    links = _Links(graph)
    for erf in [node for node in graph.node if node.op_type == "Erf"]:
        scaled = links.writer.get(erf.input[0])
        plus = links.only_reader(erf.output[0], "Add")
        times = links.only_reader(plus.output[0], "Mul") if plus else None
        if scaled is None or times is None or _other(plus, erf.output[0], constants) != 1:
            continue
        x, factor = _scaled(scaled, constants)
        if factor is None or abs(factor - 0.5**0.5) > 1e-4:
            continue
        factors = [name for name in times.input if name != plus.output[0]]
        halved = links.writer.get(factors[0]) if factors else None
        if factors == [x]:  # (x * (1 + erf)) * 0.5
            last = links.only_reader(times.output[0], "Mul") or links.only_reader(times.output[0], "Div")
            if last is None or _scaled(last, constants) != (times.output[0], 0.5):
                continue
        elif halved is not None and _scaled(halved, constants) == (x, 0.5):  # (x * 0.5) * (1 + erf)
            last = times
        else:
            continue
        gelu = helper.make_node("Gelu", [x], [last.output[0]], name=last.name)
        last.CopyFrom(gelu)  # the nodes before it are dead now


def _other(node: onnx.NodeProto, name: str, constants: Mapping[str, NDArray]) -> float | None:
    """The scalar constant on the other side of a node with two inputs."""
    others = [constants.get(other) for other in node.input if other != name]
    return float(others[0].reshape(())) if others and others[0] is not None and others[0].size == 1 else None


def _scaled(node: onnx.NodeProto, constants: Mapping[str, NDArray]) -> tuple[str, float | None]:
    """(x, factor) of a node that computes x * factor or x / divisor with a scalar constant."""
    if node.op_type not in ("Mul", "Div") or len(node.input) != 2:
        return "", None
    x = next((name for name in node.input if name not in constants), "")
    factor = _other(node, x, constants)
    if factor is None or (node.op_type == "Div" and (x != node.input[0] or factor == 0)):
        return "", None
    return x, factor if node.op_type == "Mul" else 1 / factor
