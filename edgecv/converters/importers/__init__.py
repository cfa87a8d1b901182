"""A model of one's own, from a file, a folder or a PyTorch factory -> FloatModel.

Each kind of source is a file of this package with one function `read(where, options) -> Imported`; which one
reads what is the table SOURCES. None of them runs code that a model file carries.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from edgecv.bundle import Origin
from edgecv.converters.float_model import FloatModel
from edgecv.converters.preprocess_rules import Wanted
from edgecv.errors import UsageError

if TYPE_CHECKING:
    import onnx

    from edgecv.converters.canonical_ends import Front
    from edgecv.converters.probe import Advance
    from edgecv.spec import Preprocess


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a model of their own.

    labels: a file, or `imagenet` for the built-in 1,000. preprocess: from preprocess_rules. probe: use the
    preprocessing that scores best on `data`, a labelled set (data.load_labelled). output: which of several
    outputs. weights: a state dict for a PyTorch factory.
    """

    labels: str | None = None
    preprocess: Wanted = field(default_factory=Wanted)
    probe: bool = False
    data: Path | None = None
    output: str | None = None
    weights: Path | None = None
    threads: int = 1


@dataclass(frozen=True)
class Imported:
    """A model as its importer read it: any float ONNX graph, and what the source says of its pictures.

    tflite: FloatModel.tflite, once it knows what was folded off the graph's front, and the rule of the rest.
    """

    graph: onnx.ModelProto
    name: str
    origin: Origin
    says: Wanted = field(default_factory=Wanted)
    notes: tuple[str, ...] = ()
    tflite: Callable[[Front, Preprocess, Preprocess | None], bytes] | None = None


class Source(NamedTuple):
    """One kind of model: how it is recognised (suffixes, or a rule), and `module:function` that reads it."""

    kind: str
    suffixes: tuple[str, ...]
    target: str


_HERE = "edgecv.converters.importers"
SOURCES = (
    Source("ONNX", (".onnx",), f"{_HERE}.onnx_file:read"),
    Source("Keras", (".keras", ".h5", ".hdf5"), f"{_HERE}.keras_file:read"),
    Source("PyTorch export", (".pt2",), f"{_HERE}.torch_export:read"),
)
SAVED_MODEL = Source("SavedModel", (), f"{_HERE}.saved_model:read")  # a folder
FACTORY = Source("PyTorch factory", (), f"{_HERE}.torch_factory:read")  # package.module:function

_REFUSED = {  # what people try, and what to give instead
    ".weights.h5": "holds weights only; save the whole model with model.save('model.keras')",
    ".pt": "a PyTorch pickle can run code when it is read, so it is not; give package.module:factory "
    "--weights STATE_DICT, or torch.export.save(torch.export.export(model, (example,)), 'model.pt2')",
    ".safetensors": "holds weights only; give package.module:factory --weights FILE",
    ".tflite": "is what a conversion makes; give the float model it came from",
    ".pb": "a frozen graph has no signature; give the SavedModel folder, or export to ONNX",
    ".mlmodel": "Core ML files cannot be read; export the model to ONNX",
    ".xml": "is what a conversion makes; give the float model it came from",
}
_REFUSED[".pth"] = _REFUSED[".ckpt"] = _REFUSED[".bin"] = _REFUSED[".pt"]
_FACTORY = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")


def is_path(model: str) -> bool:
    """Whether `model` is a file, a folder or package.module:factory, as against a known model's name."""
    if os.sep in model or _FACTORY.fullmatch(model) or _suffix(model):
        return True
    from edgecv.converters.models import MODELS

    known = model in {entry.name for entry in MODELS}
    return not known and (Path(model) / "saved_model.pb").is_file()


def load(where: str, options: ImportOptions, advance: Advance | None = None) -> FloatModel:
    """Read a model of one's own and bring it into canonical form.

    advance: told how many pictures the probe has seen. Raises ModelError (a file that cannot be used),
    UsageError (something has to be said), DataError (labels, pictures) or ConversionError.
    """
    from edgecv.converters import class_names
    from edgecv.converters.canonical import canonicalise
    from edgecv.converters.importers.rule import decide

    source = _find(where)
    module, _, function = source.target.partition(":")
    if options.weights is not None and not _FACTORY.fullmatch(where):
        raise UsageError(f"--weights: {where} holds its own; they are given for known models and factories")
    imported: Imported = getattr(importlib.import_module(module), function)(where, options)
    imported = _with_byte_range(imported, where, options)
    said = imported.says.updated(options.preprocess)
    canonical = canonicalise(imported.graph, where, said.size_hw, options.output)
    labels, label_notes = class_names.class_names(options.labels, canonical.classes)
    rule, rule_notes = decide(where, canonical, imported.says, labels, options, advance)
    notes = (*imported.notes, *canonical.notes, *rule_notes, *label_notes)
    tflite = partial(imported.tflite, canonical.front, rule) if imported.tflite else None
    return FloatModel(imported.name, canonical.graph, rule, labels, imported.origin, notes, tflite)


def _with_byte_range(imported: Imported, where: str, options: ImportOptions) -> Imported:
    """A graph that takes bytes says by that what range its pictures have."""
    import onnx

    constants = {constant.name for constant in imported.graph.graph.initializer}
    kinds = {i.type.tensor_type.elem_type for i in imported.graph.graph.input if i.name not in constants}
    if kinds != {onnx.TensorProto.UINT8}:
        return imported
    bytes_are = Wanted(range="0..255")
    if options.probe or options.preprocess.normalisation() not in (None, bytes_are.normalisation()):
        raise UsageError(
            f"{where} takes uint8 pictures, which are 0..255: leave out --range, --mean, --std and probe"
        )
    says = imported.says.updated(bytes_are)
    return replace(imported, says=says, notes=(*imported.notes, "its input is uint8: the range is 0..255"))


def model_name(text: str) -> str:
    """A bundle's name from a file's or a factory's: letters, digits, dot, dash and underscore."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")[:100]
    return name or "model"


def _find(where: str) -> Source:
    path = Path(where)
    if path.is_dir():
        if (path / "saved_model.pb").is_file():
            return SAVED_MODEL
        raise UsageError(f"{where}: a folder without saved_model.pb; give a model's file or a SavedModel")
    suffix = _suffix(where)
    if suffix in _REFUSED:
        raise UsageError(f"{where}: {_REFUSED[suffix]}")
    for source in SOURCES:
        if suffix in source.suffixes:
            if not path.is_file():
                raise UsageError(f"{where}: no such file")
            return source
    if _FACTORY.fullmatch(where):
        return FACTORY
    kinds = ", ".join(s for source in SOURCES for s in source.suffixes)
    raise UsageError(
        f"{where}: not a model that can be read; give a {kinds} file, a SavedModel folder or "
        "package.module:factory"
    )


def _suffix(where: str) -> str | None:
    """The known suffix that a name ends in, `.weights.h5` before `.h5`."""
    known = [*_REFUSED, *(s for source in SOURCES for s in source.suffixes)]
    endings = [suffix for suffix in known if where.lower().endswith(suffix)]
    return max(endings, key=len, default=None)


def options(
    flags: Mapping[str, Any], data: Path | str | None, weights: Path | str | None, threads: int
) -> ImportOptions:
    """ImportOptions from what was typed: `labels`, `preprocess` (a file, or `probe`), `output`, and
    preprocess_rules.from_flags' names. Raises UsageError naming the flag that is wrong.
    """
    from edgecv.converters.preprocess_rules import from_flags, read_toml

    said = dict(flags)
    labels, preprocess, output = (said.pop(name, None) for name in ("labels", "preprocess", "output"))
    probe = preprocess == "probe"
    if probe and data is None:
        raise UsageError("--preprocess probe: needs --data LABELLED to try the candidates on")
    base = read_toml(Path(preprocess)) if preprocess and not probe else Wanted()
    return ImportOptions(
        labels=labels,
        preprocess=base.updated(from_flags(**said)),
        probe=probe,
        data=Path(data) if data else None,
        output=output,
        weights=Path(weights) if weights else None,
        threads=threads,
    )
