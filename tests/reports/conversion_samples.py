"""A conversion as it comes out: three formats, a search, a ranking, with numbers as real ones are."""

from __future__ import annotations

import msgspec
import numpy as np

from edgecv.bundle import (
    SCHEMA_VERSION,
    Agreement,
    Artifact,
    Calibration,
    File,
    Guarantee,
    Made,
    Manifest,
    Origin,
    Preparation,
    Sensitivity,
    Trial,
)
from edgecv.reports.schema import WrongPicture
from edgecv.reports.worst import thumbnail
from edgecv.spec import Drop, Kind, Preprocess, TensorSpec
from edgecv.statistics import paired_interval

IMAGES = 1000
PICTURES = "photos/labelled"


def drop(lost: int, won: int, n: int = IMAGES) -> Drop:
    low, high = paired_interval(lost, won, n)
    return Drop(points=100 * (lost - won) / n, low=100 * low, high=100 * high, images=n, basis="labels")


def changed(points: float, low: float, high: float, n: int = 128) -> Drop:
    return Drop(points=points, low=low, high=high, images=n, basis="float")


def agreement(loss: Drop | None, agree: float, sqnr_db: float | None, top1: float | None) -> Agreement:
    return Agreement(
        images=loss.images if loss else IMAGES,
        pictures=PICTURES,
        max_abs_error=0.4,
        top1_agreement=agree,
        sqnr_db=sqnr_db,
        labelled=IMAGES if top1 else 0,
        top1=top1,
        top5=0.984 if top1 else None,
        drop=loss,
        arithmetic="x86 VNNI",
    )


def artifact(kind: str, size: int, check: Agreement, recipe: str, *search: Trial) -> Artifact:
    format, precision = Kind.parse(kind)
    return Artifact(
        format=format,
        precision=precision,
        files=(File(path=f"model.{precision.value}.{format.value}", bytes=size, sha256="0" * 64),),
        input=TensorSpec(name="image", shape=(1, 224, 224, 3), dtype="uint8"),
        output=TensorSpec(name="logits", shape=(1, 1000), dtype="float32"),
        recipe=recipe,
        verified=check,
        search=search,
    )


def trial(recipe: str, verdict: str, loss: Drop, agree: float, sqnr_db: float, latency_ms: float) -> Trial:
    why = "within 1" if loss.points <= 1 else "more than 1"
    return Trial(
        recipe=recipe,
        verdict=verdict,
        reason=f"{loss.points:+.1f} points, {why}",
        drop=loss,
        top1_agreement=agree,
        sqnr_db=sqnr_db,
        bytes=5_066_203,
        latency_ms=latency_ms,
    )


STATIC = "static int8, per-channel weights, min-max ranges; classifier dynamic int8, output float"
QDQ = "static int8 QDQ, uint8 activations, int8 per-channel weights; classifier output float"
NNCF = "nncf static int8, per-channel weights, mixed preset, fast bias correction, 8-bit weights"
FLOAT = agreement(drop(0, 0), 1.0, None, 0.899)

ARTIFACTS = (
    artifact("tflite:fp32", 18_541_084, FLOAT, "float32, written from the ONNX graph"),
    artifact(
        "tflite:int8",
        5_235_536,
        agreement(drop(17, 12), 0.968, 21.7, 0.894),
        f"{STATIC}, 5 % of operations float",
        trial(STATIC, "missed", drop(41, 17), 0.931, 17.2, 12.1),
        Trial(recipe=f"{STATIC}, weights of least squared error", verdict="failed", reason="no such option"),
        trial(f"{STATIC}, 5 % of operations float", "kept", drop(17, 12), 0.968, 21.7, 12.9),
    ),
    artifact("onnx:fp32", 18_541_333, FLOAT, "float32, batch norms folded"),
    artifact(
        "onnx:int8",
        5_066_203,
        agreement(drop(14, 18), 0.971, 22.3, 0.903),
        QDQ,
        trial(QDQ, "kept", drop(14, 18), 0.971, 22.3, 7.4),
    ),
    artifact("openvino:fp32", 18_922_331, FLOAT, "float32, from the ONNX graph"),
    artifact(
        "openvino:int8",
        6_064_020,
        agreement(drop(15, 14), 0.968, 21.9, 0.898),
        NNCF,
        trial(NNCF, "kept", drop(15, 14), 0.968, 21.9, 7.8),
    ),
)
SENSITIVITY = tuple(
    Sensitivity(name=name, operator=operator, sqnr_db=sqnr_db)
    for name, operator, sqnr_db in (
        ("block0.depthwise", "Conv+Clip", 24.8),
        ("stem", "Conv+Clip", 28.9),
        ("block1.project", "Conv", 30.1),
        ("block0.project", "Conv", 30.7),
        ("block11.project", "Conv", 32.2),
        ("block1.depthwise", "Conv+Clip", 33.0),
        ("block5.project", "Conv", 33.2),
        ("block15.project", "Conv", 33.8),
        ("block8.project.add", "Add", 34.1),
        ("block3.project", "Conv", 34.6),
        ("block1.expand", "Conv+Clip", 34.9),
        ("block8.depthwise", "Conv+Clip", 35.3),
        ("block9.depthwise", "Conv+Clip", 49.1),
        ("classifier", "Gemm", None),
    )
)


def make_manifest(met: bool | None = True) -> Manifest:
    """EfficientNet-Lite0 under --max-drop 1; met False: the TFLite file misses it; None: no bound at all."""
    artifacts = ARTIFACTS
    if met is False:
        missed = msgspec.structs.replace(ARTIFACTS[1], verified=agreement(drop(41, 17), 0.931, 17.2, 0.875))
        artifacts = (ARTIFACTS[0], missed, *ARTIFACTS[2:])
    return Manifest(
        schema_version=SCHEMA_VERSION,
        name="efficientnet-lite0",
        task="classification",
        labels=File(path="labels.txt", bytes=1, sha256="0" * 64),
        classes=1000,
        preprocess=Preprocess(
            size_hw=(224, 224), crop_fraction=0.875, mean=(127.0, 127.0, 127.0), std=(128.0, 128.0, 128.0)
        ),
        artifacts=artifacts,
        golden=File(path="golden.npz", bytes=1, sha256="0" * 64),
        made=Made(
            origin=Origin(model="efficientnet-lite0", weights="weights.pth", sha256="57" * 32),
            tools={"edgecv": "0.2.0", "onnxruntime": "1.31.1", "openvino": "2026.4.1"},
            seed=0,
            arithmetic="x86 VNNI",
            calibration=Calibration(pictures="photos/calibration", images=128, digest="ab" * 32),
            target="rpi5",
            preparation=(Preparation(step="equalisation", sqnr_db=22.4, without_db=21.9, used=True),),
        ),
        sensitivity=SENSITIVITY,
        guarantee=None if met is None else Guarantee(max_drop=1.0, target="rpi5", met=met),
    )


def make_worst() -> tuple[WrongPicture, ...]:
    """Coloured gradients with answers that a person could confuse."""
    answers = (("tabby", "Egyptian cat"), ("espresso", "cup"), ("laptop", "notebook"), ("pier", "dock"))
    y, x = np.mgrid[0:224, 0:224]
    found = []
    for i, (right, wrong) in enumerate(answers):
        bgr = np.stack([(x + y) // 2, (y + 60 * i) % 256, (x * (i + 1)) % 256], axis=-1).astype(np.uint8)
        found.append(
            WrongPicture(
                name=f"photo {i}.jpg",
                jpeg=thumbnail(bgr),
                artifact="tflite:int8",
                truth=right,
                float_label=right,
                float_score=0.91 - 0.1 * i,
                label=wrong,
                score=0.47,
            )
        )
    return tuple(found)
