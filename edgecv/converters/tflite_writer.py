"""Who writes a TFLite file: EdgeCV's own emitter, or, where that cannot, TensorFlow's converter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from edgecv.converters import graph, tflite
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    import onnx

    from edgecv.spec import Preprocess

BY_TENSORFLOW = "file written by TensorFlow's converter"  # behind the text of a recipe


class Written(NamedTuple):
    """A float TFLite file `image` -> `logits`. by: BY_TENSORFLOW, or None for the emitter."""

    content: bytes
    by: str | None = None


@dataclass(frozen=True)
class TfliteWriter:
    """fallback: FloatModel.tflite. notes: told once when it was used."""

    fallback: Callable[[Preprocess | None], bytes] | None = None
    notes: list[str] = field(default_factory=list)
    _made: dict[Preprocess | None, bytes] = field(default_factory=dict)

    def from_pixels(self, model: onnx.ModelProto, rule: Preprocess) -> Written:
        """`image` [1, H, W, 3] uint8, from a canonical graph and its rule. Raises ConversionError."""
        return self._write(graph.with_image_input(model, rule), None)

    def from_normalised(self, model: onnx.ModelProto, rule: Preprocess) -> Written:
        """`image` [1, H, W, 3] float32, normalised by `rule`; the same otherwise."""
        return self._write(graph.with_nhwc_input(model, rule), rule)

    def _write(self, model: onnx.ModelProto, given: Preprocess | None) -> Written:
        try:
            return Written(tflite.emit(model))
        except ConversionError as error:
            if self.fallback is None:
                raise
            if given not in self._made:
                self._made[given] = self._by_tensorflow(self.fallback, given, str(error))
            note = f"TFLite: written by TensorFlow's converter, since {error}"
            if note not in self.notes:
                self.notes.append(note)
            return Written(self._made[given], BY_TENSORFLOW)

    @staticmethod
    def _by_tensorflow(
        fallback: Callable[[Preprocess | None], bytes], given: Preprocess | None, reason: str
    ) -> bytes:
        try:
            return _named(fallback(given))
        except ConversionError as error:
            raise ConversionError(
                f"{reason}; TensorFlow's converter cannot write it either: {error}"
            ) from error


def _named(content: bytes) -> bytes:
    """The file with the input and the output called `image` and `logits`, as the emitter calls them."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    subgraph = model.subgraphs[0]
    subgraph.tensors[subgraph.inputs[0]].name = graph.IMAGE
    subgraph.tensors[subgraph.outputs[0]].name = graph.LOGITS
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())
