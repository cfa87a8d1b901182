"""A bundle on this machine and on 64-bit Arm, picture by picture, for replay_arm64.sh and arm64.sh.

python arm64_replay.py pictures BUNDLE OUT.npz [LABELLED COUNT]   the golden samples, and labelled pictures
python arm64_replay.py logits BUNDLE OUT.npz [PICTURES.npz]       through every engine that is here
python arm64_replay.py compare BUNDLE PICTURES.npz HOST.npz ARM.npz
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import select
from edgecv.runtime.engines import Options, installed, open_engine
from edgecv.spec import Format, Kind, Precision

Logits = NDArray[np.float32]


def allowed(kind: Kind) -> float | None:
    """The largest difference of a logit between x86-64 and arm64; 0 is bit for bit, None is only reported.

    None where the arithmetic differs by design: int8 of ONNX Runtime saturates or does not, by CPU; float16
    is computed in float16 by some CPUs and in float32 by others; OpenVINO has other kernels for each.
    """
    if kind.format is Format.TFLITE:
        return 0.0 if kind.precision is Precision.INT8 else 1e-4
    exact = kind.precision in (Precision.FP32, Precision.DYNAMIC)
    return 1e-3 if exact and kind.format is Format.ONNX else None


def logits(bundle: Bundle, artifact: Artifact, images: NDArray[np.uint8]) -> Logits:
    """[N, classes] float32: the artifact's answers to [N, H, W, 3] uint8, on one thread."""
    options = Options(1, bool(select("auto").detected.int8_saturates))
    engine = open_engine(bundle.path(artifact), artifact, options)
    try:
        return np.concatenate([engine.infer(image[None]).copy() for image in images])
    finally:
        engine.close()


class Compared(NamedTuple):
    """One artifact on both machines.

    golden, labelled: the largest difference of a logit. same: the share of labelled pictures whose top-1
    answer is one on both. top1: the accuracy here and on arm64.
    """

    kind: Kind
    golden: float
    labelled: float
    same: float
    top1: tuple[float, float]

    @property
    def passed(self) -> bool:
        limit = allowed(self.kind)
        return limit is None or max(self.golden, self.labelled) <= limit

    def line(self, pictures: int) -> str:
        limit = allowed(self.kind)
        worst = max(self.golden, self.labelled)
        verdict = "for information" if limit is None else "passed" if self.passed else "FAILED"
        wanted = "" if limit is None else " (bit for bit)" if limit == 0 else f" (at most {limit:.0e})"
        text = f"{self.kind!s:17} largest difference of a logit {worst:.2g}{wanted}"
        if pictures:
            text += (
                f"; same answer {self.same:.1%} of {pictures} pictures, top-1 {self.top1[0]:.1%} here, "
                f"{self.top1[1]:.1%} on arm64"
            )
        return f"{text}: {verdict}"


def compared(kind: Kind, golden: int, host: Logits, arm: Logits, labels: NDArray[np.int64]) -> Compared:
    """The first `golden` rows of both are golden samples, the others have `labels`."""
    difference = np.abs(host - arm)
    best = [rows[golden:].argmax(axis=1) for rows in (host, arm)]
    if not len(labels):
        return Compared(kind, float(difference.max()), 0.0, 1.0, (0.0, 0.0))
    return Compared(
        kind,
        float(difference[:golden].max()),
        float(difference[golden:].max()),
        float((best[0] == best[1]).mean()),
        (float((best[0] == labels).mean()), float((best[1] == labels).mean())),
    )


def pictures(bundle: Bundle, out: Path, data: str = "", count: str = "20") -> None:
    """Decoded and resized here: what is compared is the engines."""
    images, labels = bundle.golden().images, np.zeros(0, np.int64)
    if data:
        from edgecv.data import load_labelled, read_pictures

        labelled = load_labelled(Path(data), bundle.labels)
        spread = np.linspace(0, len(labelled.paths) - 1, min(int(count), len(labelled.paths))).astype(int)
        read, kept = read_pictures([labelled.paths[i] for i in spread], bundle.manifest.preprocess, data)
        images = np.concatenate([images, read.images])
        labels = np.int64([labelled.labels[spread[i]] for i in kept])
    np.savez(out, images=images, labels=labels)


def answers(bundle: Bundle, out: Path, given: str = "") -> None:
    images = bundle.golden().images
    if given:
        with np.load(given) as arrays:
            images = arrays["images"]
    here = [artifact for artifact in bundle.manifest.artifacts if installed(artifact.format)]
    np.savez(out, **{str(artifact.kind): logits(bundle, artifact, images) for artifact in here})


def compare(bundle: Bundle, given: str, host: str, arm: str) -> bool:
    """Print a line an artifact; whether all are as near as they must be."""
    golden, passed = len(bundle.golden().images), True
    with np.load(given) as seen, np.load(host) as here, np.load(arm) as there:
        labels = seen["labels"]
        for artifact in bundle.manifest.artifacts:
            kind = str(artifact.kind)
            if kind not in here or kind not in there:
                where = "this machine" if kind not in here else "the arm64 tree"
                print(f"{kind:17} not replayed: {where} has no engine for {artifact.format.value} files")
                continue
            result = compared(artifact.kind, golden, here[kind], there[kind], labels)
            print(result.line(len(labels)))
            passed = passed and result.passed
    return passed


if __name__ == "__main__":
    command, folder, *rest = sys.argv[1:]
    opened = Bundle.open(folder)
    if command == "compare":
        sys.exit(0 if compare(opened, *rest) else 1)
    {"pictures": pictures, "logits": answers}[command](opened, Path(rest[0]), *rest[1:])
