"""Several artifacts of one bundle side by side: each picture is prepared once and shown to all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgecv.bundle import Artifact, Bundle
from edgecv.errors import DataError, EngineError
from edgecv.image import Preprocessor
from edgecv.photos import read_image
from edgecv.runtime.choice import engine_options
from edgecv.runtime.engines import open_engine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgecv.devices import Selected
    from edgecv.spec import Kind


class Panel:
    """The engines of some artifacts, open for as long as the `with` lasts.

    Raises EngineMissing or EngineError when one of them cannot be opened.
    """

    def __init__(self, bundle: Bundle, artifacts: Iterable[Artifact], selected: Selected) -> None:
        self.manifest = bundle.manifest
        self._root = bundle.root
        self._preprocessor = Preprocessor(bundle.manifest.preprocess)
        options = engine_options(selected)
        with contextlib.ExitStack() as stack:
            self._engines = {
                a.kind: stack.enter_context(contextlib.closing(open_engine(bundle.path(a), a, options)))
                for a in artifacts
            }
            self._stack = stack.pop_all()

    @property
    def kinds(self) -> tuple[Kind, ...]:
        return tuple(self._engines)

    def ask(self, bgr: NDArray[np.uint8], name: str) -> Iterator[tuple[Kind, NDArray[np.float32]]]:
        """The [classes] logits of each artifact for a [H, W, 3] uint8 frame, valid until the next call.

        Raises EngineError, with the picture's `name`, when they are no scores for the classes.
        """
        image, classes = self._preprocessor(bgr), self.manifest.classes
        for kind, engine in self._engines.items():
            logits = engine.infer(image).reshape(-1)
            if logits.size != classes:
                raise EngineError(f"{self._root}: {kind} gives {logits.size} scores for {classes} classes")
            if not np.isfinite(logits).all():
                raise EngineError(f"{self._root}: {kind} gives scores that are not finite for {name}")
            yield kind, logits

    def __enter__(self) -> Panel:
        return self

    def __exit__(self, *_error: object) -> None:
        self._stack.close()


def read_again(path: Path) -> NDArray[np.uint8]:
    """[H, W, 3] uint8 BGR of a picture that could be read before; DataError when it no longer can."""
    bgr = read_image(path)
    if bgr is None:
        raise DataError(f"{path}: changed or taken away while it was being used")
    return bgr
