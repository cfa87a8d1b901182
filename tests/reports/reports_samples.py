"""A small report with exact numbers, made without a model and without measuring."""

from __future__ import annotations

import msgspec
import numpy as np

from edgecv.reports.schema import (
    SCHEMA_VERSION,
    Accuracy,
    ArtifactReport,
    Conditions,
    Fault,
    Measured,
    Moment,
    Plan,
    Reason,
    Report,
    Turn,
    Verdict,
    WrongPicture,
)
from edgecv.spec import Drop, Format, Kind, Precision
from edgecv.statistics import rank_interval, share_interval
from edgecv.timing import Latency

FP32, INT8 = Kind(Format.ONNX, Precision.FP32), Kind(Format.ONNX, Precision.INT8)
THROTTLED = Reason(fault=Fault.THROTTLED, message="Soft temperature limit in 7 of 62 readings: cool it.")
SPREAD = Reason(
    fault=Fault.SPREAD,
    message="The median's 95 % interval is 8.1 to 9.3 ms, ±7 % of 8.99 ms, where ±5 % is allowed.",
    artifact="onnx:int8",
)
HOSTILE = '<script>alert("x")</script> | **b** [red]&amp;[/red] \x1b[2J `c`'
WARNING = "The governor powersave may hold the clock down."


def measured(inference_ms: tuple[float, ...], **more: object) -> Measured:
    """A run with that inference in ten turns, 1 ms of preprocessing and 0.1 ms of postprocessing a frame."""
    parts = [part for part in np.array_split(inference_ms, 10) if part.size]
    turns = tuple(
        Turn(
            start_s=3.0 * i,
            seconds=float(part.sum() + 1.1 * part.size) / 1000,
            samples=part.size,
            p50_ms=Latency.of(part).p50_ms,
        )
        for i, part in enumerate(parts)
    )
    values = {
        "engine": "Engine 1.0",
        "threads": 4,
        "load_ms": 12.5,
        "first_inference_ms": 9.0,
        "peak_memory_mb": 90.0,
        "warmup_ms": tuple(round(inference_ms[0] * (1 + 2.0 / (i + 1)), 3) for i in range(12)),
        "preprocess": Latency.of([1.0] * len(inference_ms)),
        "inference": Latency.of(inference_ms),
        "postprocess": Latency.of([0.1] * len(inference_ms)),
        "total": Latency.of([round(value + 1.1, 3) for value in inference_ms]),
        "turns": turns,
        "inference_ms": inference_ms,
        "p50_interval_ms": rank_interval([turn.p50_ms for turn in turns], 50),
        "p99_interval_ms": rank_interval(inference_ms, 99),
    }
    return Measured(**values | more)  # type: ignore[arg-type]


def make_report(
    scored: bool = True,
    skipped: str = 'no engine: pip install "edgecv[tflite]"',
    *,
    reasons: tuple[Reason, ...] = (),
    warnings: tuple[str, ...] = (),
    base_ms: tuple[float, float] = (20.0, 8.0),
) -> Report:
    """onnx fp32 at 20 ms, onnx int8 at 8 ms, and a tflite int8 that was skipped; VALID without `reasons`.

    The 200 samples of each are base, base + 0.01 .. base + 1.99, in an order without drift.
    """
    rows = []
    drop = Drop(points=0.8, low=-0.3, high=1.9, images=1000, basis="labels")
    for precision, base, size, top1, agreement in (
        (Precision.FP32, base_ms[0], 4 << 20, 0.913, 1.0),
        (Precision.INT8, base_ms[1], 1 << 20, 0.905, 0.97),
    ):
        accuracy = Accuracy(
            format=Format.ONNX,
            precision=precision,
            n=1000,
            top1=top1,
            top5=0.98,
            agreement=agreement,
            agreement_interval=share_interval(round(1000 * agreement), 1000),
            drop=None if precision is Precision.FP32 else drop,
            ece=0.031,
            unreadable=2,
        )
        rows.append(
            ArtifactReport(
                format=Format.ONNX,
                precision=precision,
                file_bytes=size,
                measured=measured(tuple(round(base + i * 7919 % 200 / 100, 3) for i in range(200))),
                accuracy=accuracy if scored else None,
            )
        )
    rows.append(
        ArtifactReport(format=Format.TFLITE, precision=Precision.INT8, file_bytes=2 << 20, skipped=skipped)
    )
    return Report(
        schema_version=SCHEMA_VERSION,
        edgecv="0.1.0",
        created="2026-01-02T03:04:05+00:00",
        bundle="tiny",
        manifest_sha256="ab" * 32,
        plan=Plan(),
        rule="nearest-rank",
        verdict=Verdict(reasons=reasons, warnings=warnings),
        conditions=make_conditions(),
        artifacts=tuple(rows),
    )


def make_conditions(during: tuple[Moment, ...] = (), **more: object) -> Conditions:
    values = {
        "device": "rpi5",
        "note": None,
        "model": "Raspberry Pi 5 Model B Rev 1.0",
        "architecture": "aarch64",
        "arithmetic": "aarch64 NEON dotprod",
        "cpu_features": ("dotprod", "neon"),
        "int8_saturates": False,
        "cores": 4,
        "ram_mb": 8062,
        "threads": 4,
        "python": "3.11.2",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "kernel": "6.6.51",
        "opencv": "4.12.0",
        "tools": {"onnxruntime": "1.23.2"},
        "governor": "ondemand",
        "before": Moment(temperature_c=50.0, clock_mhz=2400.0, load_1min=0.1),
        "after": Moment(temperature_c=63.5, clock_mhz=2400.0, load_1min=None),
        "during": during,
    }
    return Conditions(**values | more)  # type: ignore[arg-type]


def hostile_report() -> Report:
    """Every text in it that comes from elsewhere is HOSTILE."""
    report = make_report(skipped=HOSTILE)
    rows = list(report.artifacts[1:])
    assert rows[0].measured is not None
    rows[0] = msgspec.structs.replace(
        rows[0], measured=msgspec.structs.replace(rows[0].measured, engine=HOSTILE, notes=(HOSTILE,))
    )
    c = msgspec.structs.replace(
        report.conditions, model=HOSTILE, note=HOSTILE, os=HOSTILE, arithmetic=HOSTILE
    )
    wrong = WrongPicture(
        name=HOSTILE,
        jpeg=b"no picture",
        artifact=HOSTILE,
        truth=HOSTILE,
        float_label=HOSTILE,
        float_score=0.9,
        label=HOSTILE,
        score=0.4,
    )
    verdict = Verdict(
        reasons=(Reason(fault=Fault.LOAD, message=HOSTILE, artifact=HOSTILE),), warnings=(HOSTILE,)
    )
    return msgspec.structs.replace(
        report, bundle=HOSTILE, conditions=c, artifacts=tuple(rows), worst=(wrong,), verdict=verdict
    )
