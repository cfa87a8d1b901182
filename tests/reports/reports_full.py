"""A full report of six artifacts: every scenario and section, with plausible random series."""

from __future__ import annotations

import cv2
import numpy as np
from reports_samples import make_conditions, make_report, measured

from edgecv.reports.classes import ece
from edgecv.reports.schema import (
    Accuracy,
    Answers,
    ArtifactReport,
    Camera,
    Conditions,
    Measured,
    Minute,
    Mode,
    Moment,
    Offline,
    Operation,
    Operations,
    Peaks,
    Pictures,
    Plan,
    Reason,
    Report,
    Robustness,
    Scenario,
    Turn,
    WrongPicture,
)
from edgecv.spec import Format, Precision
from edgecv.statistics import accuracy_drop, rank_interval, share_interval
from edgecv.timing import Latency

NAMES = """
tabby cat, Egyptian cat, golden retriever, Labrador retriever, beagle, red fox, coyote, timber wolf,
zebra, sorrel, ox, bison, ram, goldfinch, house finch, junco, robin, magpie, jay, ostrich, hen, cock, peacock,
monarch, cabbage butterfly, admiral, bee, ladybug, dragonfly, sports car, convertible, minivan, pickup,
tiger cat, fire engine, garbage truck, trolleybus, school bus, mountain bike, unicycle
"""
LABELS = tuple(name.strip() for name in NAMES.split(","))
CORRUPTIONS = ("sensor noise", "motion blur", "defocus", "low light", "JPEG", "white balance")


def make_full_report(
    *,
    reasons: tuple[Reason, ...] = (),
    warnings: tuple[str, ...] = (),
    minutes: int = 12,
    pictures: int = 600,
) -> Report:
    """Six artifacts in three formats on a Raspberry Pi that grows warm, with plausible random series.

    pictures: how many were labelled and answered, 0 for no accuracy at all.
    """
    rng = np.random.default_rng(7)
    truth = rng.integers(0, len(LABELS), pictures)
    confused = np.clip(truth + rng.choice((-2, -1, 1, 2), pictures), 0, len(LABELS) - 1)
    float_best = np.where(rng.random(pictures) < 0.9, truth, confused)
    rows = []
    for place, (format, precision, base, size, share) in enumerate(
        (
            (Format.TFLITE, Precision.FP32, 31.2, 18_500_000, 1.0),
            (Format.TFLITE, Precision.INT8, 12.9, 5_400_000, 0.965),
            (Format.ONNX, Precision.FP32, 28.4, 18_600_000, 1.0),
            (Format.ONNX, Precision.INT8, 15.6, 5_600_000, 0.972),
            (Format.OPENVINO, Precision.FP32, 27.6, 18_700_000, 0.998),
            (Format.OPENVINO, Precision.INT8, 14.1, 5_500_000, 0.968),
        )
    ):
        answers, accuracy = None, None
        if pictures:
            best = np.where(rng.random(pictures) < share, float_best, rng.permutation(truth))
            answers = _answers(best, best == truth, rng)
            accuracy = _accuracy(format, precision, truth, float_best, answers)
        rows.append(
            ArtifactReport(
                format=format,
                precision=precision,
                file_bytes=size,
                measured=_run(rng, place, base, minutes),
                accuracy=accuracy,
                answers=answers,
                robustness=_robustness(accuracy.top1, precision, rng) if accuracy else (),
            )
        )
    report = make_report(reasons=reasons, warnings=warnings)
    return Report(
        **{key: getattr(report, key) for key in ("schema_version", "edgecv", "created", "manifest_sha256")},
        bundle="efficientnet-lite0",
        plan=Plan(
            mode=Mode.FULL, scenarios=tuple(Scenario), samples=1024, seconds=60.0, turns=20, minutes=minutes
        ),
        rule=(
            "nearest rank; preprocess, inference and postprocess of synthetic 1280x720 frames in 20 turns an "
            "artifact, one artifact after the other; the median's interval is of the turns' medians"
        ),
        verdict=report.verdict,
        conditions=_long_conditions(rng),
        artifacts=tuple(rows),
        pictures=Pictures(source="photos", digest="cd" * 32, truth=tuple(truth.tolist()))
        if pictures
        else None,
        labels=LABELS if pictures else (),
        worst=tuple(_wrong(i, rng) for i in range(8 if pictures else 0)),
    )


def _run(rng: np.random.Generator, place: int, base: float, minutes: int) -> Measured:
    """1,040 samples in 20 turns around `base` ms, slightly skewed, with a rare late one."""
    samples, turns = [], []
    for turn in range(20):
        heat = 1 + 0.012 * turn / 19
        part = base * heat * (1 + rng.gamma(2.0, 0.008, 52)) + (rng.random(52) < 0.012) * base * 0.3
        samples += [round(float(value), 3) for value in part]
        turns.append(
            Turn(
                start_s=round(18.4 * turn + 3.05 * place, 2),
                seconds=3.0,
                samples=52,
                p50_ms=Latency.of(part).p50_ms,
                temperature_c=round(float(52 + 15 * (1 - np.exp(-turn / 8)) + rng.normal(0, 0.3)), 1),
                clock_mhz=2400.0,
                power_w=round(6.4 + float(rng.normal(0, 0.1)), 1),
            )
        )
    before, after = rng.normal(2.6, 0.05, len(samples)), rng.normal(0.09, 0.004, len(samples))
    rate = 1000 / base * 1.25
    dropped = max(round(300 * (1 - 33 / (base + 5))), 0)
    return measured(
        tuple(samples),
        engine=("LiteRT 2.1.0", "ONNX Runtime 1.23.2", "OpenVINO 2025.3")[place // 2],
        load_ms=round(float(rng.uniform(20, 160)), 1),
        first_inference_ms=round(base * 1.9, 2),
        peak_memory_mb=round(float(rng.uniform(90, 260)), 1),
        warmup_ms=tuple(
            round(float(base * (1 + 0.6 * np.exp(-i / 2) + rng.normal(0, 0.01))), 3) for i in range(24)
        ),
        preprocess=Latency.of(before),
        postprocess=Latency.of(after),
        total=Latency.of(np.asarray(samples) + before + after),
        turns=tuple(turns),
        p50_interval_ms=rank_interval([turn.p50_ms for turn in turns], 50),
        power_w=6.4,
        energy_mj=round(6.4 * (base + 2.7), 1),
        minutes=tuple(_minute(i, base, rng) for i in range(minutes)),
        operations=_operations(base, rng),
        offline=Offline(inferences_per_s=rate, inferences=int(10 * rate), seconds=10.0, streams=4),
        camera=Camera(
            fps=30.0,
            frames=300 - dropped,
            dropped=dropped,
            age=Latency.of(rng.gamma(6.0, 1.0, 300) + base + 4),
        ),
    )


def _minute(i: int, base: float, rng: np.random.Generator) -> Minute:
    """From the fifth minute on the board is too warm, and its clock goes down."""
    hot = max(i - 4, 0) / 8
    p50 = base * (1 + 0.34 * hot + abs(float(rng.normal(0, 0.004))))
    return Minute(
        minute=i + 1,
        samples=int(60_000 / (p50 + 2.7)),
        p50_ms=round(p50, 3),
        p90_ms=round(p50 * 1.06, 3),
        fps=round(1000 / (p50 + 2.7), 2),
        temperature_c=round(54 + 31 * (1 - float(np.exp(-i / 2.2))), 1),
        clock_mhz=float(round(2400 - 700 * hot)),
        power_w=6.4,
        throttled=("soft temperature limit",) if i > 4 else (),
    )


def _operations(base: float, rng: np.random.Generator) -> Operations:
    shares = np.sort(rng.dirichlet(np.full(60, 1.1)))[::-1]
    names = ("expand_conv/Conv2D", "depthwise_conv/DepthwiseConv2D", "project_conv/Conv2D", "se/Add")
    operators = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D", "ADD")
    costliest = tuple(
        Operation(
            name=f"efficientnet-lite0/blocks_{i + 1}/{names[i % 4]}",
            operator=operators[i % 4],
            ms=round(base * share, 4),
            share=float(share),
            macs=None if i % 4 == 3 else int(2.4e7 * share / shares[0]),
            peak_share=None
            if i % 4 == 3
            else float(np.clip((0.62, 0.21, 0.55)[i % 4 % 3] + rng.normal(0, 0.04), 0, 1)),
        )
        for i, share in enumerate(shares[:10].tolist())
    )
    return Operations(count=60, total_ms=base, costliest=costliest)


def _answers(best: np.ndarray, right: np.ndarray, rng: np.random.Generator) -> Answers:
    score = np.where(right, rng.beta(9, 0.9, best.size), rng.beta(3, 2.2, best.size))
    return Answers(best=tuple(best.tolist()), score=tuple(np.round(score, 4).tolist()))


def _accuracy(
    format: Format, precision: Precision, truth: np.ndarray, float_best: np.ndarray, answers: Answers
) -> Accuracy:
    best, n = np.asarray(answers.best), truth.size
    same = int((best == float_best).sum())
    reduced = precision is not Precision.FP32
    return Accuracy(
        format=format,
        precision=precision,
        n=n,
        top1=float((best == truth).mean()),
        top5=min(float((best == truth).mean()) + 0.07, 1.0),
        agreement=same / n,
        agreement_interval=share_interval(same, n),
        drop=accuracy_drop(float_best == truth, best == truth) if reduced else None,
        ece=ece(truth, best, answers.score),
    )


def _robustness(top1: float, precision: Precision, rng: np.random.Generator) -> tuple[Robustness, ...]:
    found = []
    for i, corruption in enumerate(CORRUPTIONS):
        fall = (0.06, 0.05, 0.07, 0.04, 0.03, 0.02)[i] * (1.15 if precision is Precision.INT8 else 1.0)
        for strength in range(6):
            value = top1 * (1 - fall * strength**1.35) + (rng.normal(0, 0.004) if strength else 0)
            found.append(
                Robustness(corruption=corruption, strength=strength, n=200, top1=float(np.clip(value, 0, 1)))
            )
    return tuple(found)


def _long_conditions(rng: np.random.Generator) -> Conditions:
    moments = tuple(
        Moment(
            at_s=6.0 * i,
            temperature_c=round(52 + 16 * (1 - float(np.exp(-i / 20))) + float(rng.normal(0, 0.3)), 1),
            clock_mhz=2400.0 if i < 48 or i % 5 else 1800.0,
            power_w=round(6.4 + float(rng.normal(0, 0.15)), 2),
            load_1min=round(3.4 + float(rng.normal(0, 0.1)), 2),
            memory_available_mb=6100,
            other_cores=round(abs(float(rng.normal(0.03, 0.02))) + (0.4 if 20 <= i < 24 else 0), 3),
            stolen_cores=0.0,
            throttled=("soft temperature limit",) if 48 <= i < 55 else (),
            throttled_since_boot=(),
        )
        for i in range(62)
    )
    return make_conditions(
        moments,
        cpu_features=("aes", "asimddp", "asimdhp", "crc32", "fp16", "neon", "sha2"),
        governor="ondemand",
        before=moments[0],
        after=moments[-1],
        tools={"ai-edge-litert": "2.1.0", "onnxruntime": "1.23.2", "openvino": "2025.3.0"},
        swapped_pages=0,
        power_source="PMIC",
        peaks=Peaks(gflops=57.3, copy_gb_s=6.1),
        command="edgecv bench efficientnet-lite0 --mode full --data photos",
    )


def _wrong(i: int, rng: np.random.Generator) -> WrongPicture:
    picture = cv2.resize(
        rng.integers(40, 220, (4, 5, 3), np.uint8), (200, 160), interpolation=cv2.INTER_CUBIC
    )
    truth, other = LABELS[3 * i % 40], LABELS[(3 * i + 1) % 40]
    return WrongPicture(
        name=f"photo_{i:03}.jpg",
        jpeg=cv2.imencode(".jpg", picture)[1].tobytes(),
        artifact=("tflite:int8", "onnx:int8", "openvino:int8")[i % 3],
        truth=truth,
        float_label=truth,
        float_score=round(0.97 - 0.02 * i, 3),
        label=other,
        score=round(0.41 + 0.03 * i, 3),
    )
