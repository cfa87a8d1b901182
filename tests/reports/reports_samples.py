"""Bundles and reports for tests, made without a model and without measuring."""

from __future__ import annotations

from edgecv.reports.schema import (
    SCHEMA_VERSION,
    Accuracy,
    ArtifactReport,
    Conditions,
    Measured,
    Moment,
    Report,
)
from edgecv.spec import Drop, Format, Precision
from edgecv.timing import Latency


def measured(inference_ms: tuple[float, ...]) -> Measured:
    """A run with that inference, 1 ms of preprocessing and 0.1 ms of postprocessing a frame."""
    return Measured(
        engine="Engine 1.0",
        load_ms=12.5,
        first_inference_ms=9.0,
        peak_memory_mb=90.0,
        warmup=40,
        preprocess=Latency.of([1.0] * len(inference_ms)),
        inference=Latency.of(inference_ms),
        postprocess=Latency.of([0.1] * len(inference_ms)),
        total=Latency.of([round(value + 1.1, 3) for value in inference_ms]),
        inference_ms=inference_ms,
    )


def make_report(scored: bool = True, skipped: str = 'no engine: pip install "edgecv[tflite]"') -> Report:
    """onnx fp32 at 20 ms, onnx int8 at 8 ms, and a tflite int8 that was skipped."""
    rows = []
    drop = Drop(points=0.8, low=-0.3, high=1.9, images=1000, basis="labels")
    for precision, base, size, top1, agreement in (
        (Precision.FP32, 20.0, 4 << 20, 0.913, 1.0),
        (Precision.INT8, 8.0, 1 << 20, 0.905, 0.97),
    ):
        accuracy = Accuracy(
            format=Format.ONNX,
            precision=precision,
            n=1000,
            top1=top1,
            top5=0.98,
            agreement=agreement,
            drop=None if precision is Precision.FP32 else drop,
            unreadable=2,
        )
        rows.append(
            ArtifactReport(
                format=Format.ONNX,
                precision=precision,
                file_bytes=size,
                measured=measured(tuple(round(base + i / 100, 3) for i in range(200))),
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
        rule="nearest-rank",
        conditions=make_conditions(),
        artifacts=tuple(rows),
    )


def make_conditions() -> Conditions:
    return Conditions(
        device="rpi5",
        note=None,
        model="Raspberry Pi 5 Model B Rev 1.0",
        architecture="aarch64",
        arithmetic="aarch64 NEON dotprod",
        cpu_features=("dotprod", "neon"),
        int8_saturates=False,
        cores=4,
        ram_mb=8062,
        threads=4,
        python="3.11.2",
        os="Debian GNU/Linux 12 (bookworm)",
        kernel="6.6.51",
        opencv="4.12.0",
        governor="ondemand",
        before=Moment(temperature_c=50.0, clock_mhz=2400.0, load_1min=0.1),
        after=Moment(temperature_c=63.5, clock_mhz=2400.0, load_1min=None),
    )
