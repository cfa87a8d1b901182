"""A bundle made without a model: ten classes, 16x16 pictures, artifacts for the fake engine only."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from edgecv.bundle import SCHEMA_VERSION, Artifact, Bundle, Made, Manifest, Origin, describe_file
from edgecv.spec import Format, Precision, Preprocess, TensorSpec

CLASSES = 10
SIZE = 16
KINDS = (
    (Format.ONNX, Precision.FP32),
    (Format.ONNX, Precision.INT8),
    (Format.TFLITE, Precision.INT8),
    (Format.OPENVINO, Precision.INT8),
)


def write_bundle(root: Path, kinds: tuple[tuple[Format, Precision], ...] = KINDS) -> Bundle:
    root.mkdir()
    (root / "labels.txt").write_text("".join(f"class {i}\n" for i in range(CLASSES)))
    images = np.zeros((1, SIZE, SIZE, 3), np.uint8)
    np.savez(root / "golden.npz", images=images, logits=np.zeros((1, CLASSES), np.float32))
    artifacts = []
    for format, precision in kinds:
        path = f"model.{precision.value}.{format.value}"
        (root / path).write_bytes(b"\0" * (4096 if precision is Precision.FP32 else 1024))
        artifacts.append(
            Artifact(
                format=format,
                precision=precision,
                files=(describe_file(root, path),),
                input=TensorSpec(name="image", shape=(1, SIZE, SIZE, 3), dtype="uint8"),
                output=TensorSpec(name="logits", shape=(1, CLASSES), dtype="float32"),
                recipe="none",
            )
        )
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        name="tiny",
        task="classification",
        labels=describe_file(root, "labels.txt"),
        classes=CLASSES,
        preprocess=Preprocess(size_hw=(SIZE, SIZE)),
        artifacts=tuple(artifacts),
        golden=describe_file(root, "golden.npz"),
        made=Made(
            origin=Origin(model="tiny", weights="none", sha256="0" * 64), tools={}, seed=0, arithmetic="none"
        ),
    )
    (root / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return Bundle.open(root)
