"""A bundle's golden samples through every engine that is here: python golden_logits.py BUNDLE OUT.npz"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

from edgecv.bundle import Artifact, Bundle
from edgecv.runtime.engines import Options, installed, open_engine


def logits(bundle: Bundle, artifact: Artifact) -> NDArray[np.float32]:
    """[N, classes] float32: the artifact's answers to the bundle's golden pictures."""
    engine = open_engine(bundle.path(artifact), artifact, Options())
    try:
        return np.concatenate([engine.infer(image[None]).copy() for image in bundle.golden().images])
    finally:
        engine.close()


if __name__ == "__main__":
    opened = Bundle.open(sys.argv[1])
    here = [artifact for artifact in opened.manifest.artifacts if installed(artifact.format)]
    np.savez(sys.argv[2], **{str(artifact.kind): logits(opened, artifact) for artifact in here})
