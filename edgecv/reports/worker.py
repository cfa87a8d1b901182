"""One artifact measured in a process of its own: `main` is the child's side of edgecv.reports.bench.

A job comes as JSON on stdin, messages go back as JSON lines on what was stdout. Everything else that
a native library prints ends up on stderr, which the parent keeps for the case that this process dies.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgecv.bundle import Artifact
from edgecv.errors import EdgecvError, EngineError
from edgecv.image import Preprocessor
from edgecv.reports.schema import MIN_SAMPLES, Measured, thin
from edgecv.runtime.engines import Engine, Entry, Options, load
from edgecv.spec import Preprocess, Struct
from edgecv.tasks import classify
from edgecv.timing import Latency

FRAME_HW = (720, 1280)
FRAMES = 4
WARMUP = 10
WARMUP_S = 0.5
TOP = 5
STATUS = Path("/proc/self/status")


class Job(Struct):
    """The engine is passed as its entry, because engines registered by the parent are unknown here."""

    entry: Entry
    path: str
    artifact: Artifact
    options: Options
    rule: Preprocess
    labels: tuple[str, ...]
    samples: int
    seconds: float


class Progress(Struct, tag=True):
    fraction: float


class Done(Struct, tag=True):
    measured: Measured


class Failed(Struct, tag=True):
    message: str


Message = Progress | Done | Failed


def main() -> None:
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # an engine that prints must not write into the messages

    def send(message: Message) -> None:
        channel.write(msgspec.json.encode(message) + b"\n")

    job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
    try:
        send(Done(measured=measure(job, lambda fraction: send(Progress(fraction=fraction)))))
    except EdgecvError as error:
        send(Failed(message=str(error)))
    except Exception as error:  # noqa: BLE001  whatever an engine raises is one line in the report
        send(Failed(message=f"{job.path}: {job.entry.name} failed: {type(error).__name__}: {error}"))


def measure(job: Job, progress: Callable[[float], None]) -> Measured:
    """Load, warm up and time one artifact; raises EngineError, or whatever the engine raises."""
    frames = synthetic_frames()
    preprocessor = Preprocessor(job.rule)
    _import(job.entry)
    start = time.perf_counter_ns()
    engine = load(job.entry, Path(job.path), job.artifact, job.options)
    load_ms = _ms(time.perf_counter_ns() - start)
    try:
        logits, first_ms = _first(engine, preprocessor(frames[0]))
        if logits.size != len(job.labels):
            raise EngineError(f"{job.path}: gives {logits.size} scores for {len(job.labels)} labels")
        warmup = _warm_up(engine, preprocessor, frames)
        stages = _time(engine, preprocessor, frames, job, progress)
    finally:
        engine.close()
    return Measured(
        engine=engine.name,
        load_ms=load_ms,
        first_inference_ms=first_ms,
        peak_memory_mb=peak_memory_mb(),
        warmup=warmup + 1,
        preprocess=Latency.of(stages[0]),
        inference=Latency.of(stages[1]),
        postprocess=Latency.of(stages[2]),
        total=Latency.of(stages[3]),
        inference_ms=thin(stages[1]),
    )


def synthetic_frames() -> list[NDArray[np.uint8]]:
    """FRAMES different [720, 1280, 3] uint8 BGR pictures: gradients under seeded noise."""
    height, width = FRAME_HW
    random = np.random.default_rng(0)
    y = np.linspace(0, 160, height, dtype=np.float32)[:, None, None]
    x = np.linspace(0, 64, width, dtype=np.float32)[None, :, None]
    frames = []
    for shift in range(FRAMES):
        slope = np.roll(np.array([1.0, 0.6, 0.2], np.float32), shift)
        noise = random.integers(0, 32, (height, width, 3), dtype=np.uint8)
        frames.append((y * slope + x).astype(np.uint8) + noise)
    return frames


def peak_memory_mb(status: Path = STATUS) -> float | None:
    """The process's highest resident set in MiB, None where /proc is not Linux's.

    VmHWM and not getrusage: ru_maxrss survives exec, so it would start at the parent's own peak.
    """
    try:
        lines = status.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return round(int(kib) / 1024, 1) if kib else None


def _import(entry: Entry) -> None:
    """Import the engine's framework ahead of the clock: `load_ms` is the model's, not Python's."""
    import importlib

    importlib.import_module(entry.target.partition(":")[0])


def _first(engine: Engine, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], float]:
    start = time.perf_counter_ns()
    logits = engine.infer(image)
    return logits, _ms(time.perf_counter_ns() - start)


def _warm_up(engine: Engine, preprocessor: Preprocessor, frames: list[NDArray[np.uint8]]) -> int:
    count, start = 0, time.perf_counter()
    while count < WARMUP or time.perf_counter() - start < WARMUP_S:
        engine.infer(preprocessor(frames[count % FRAMES]))
        count += 1
    return count


def _time(
    engine: Engine,
    preprocessor: Preprocessor,
    frames: list[NDArray[np.uint8]],
    job: Job,
    progress: Callable[[float], None],
) -> tuple[list[float], list[float], list[float], list[float]]:
    """Milliseconds of preprocessing, inference, postprocessing and their sum, frame by frame."""
    clock = time.perf_counter_ns
    stages: tuple[list[float], ...] = ([], [], [], [])
    begin = said = clock()
    count = 0
    while True:
        elapsed = (clock() - begin) / 1e9
        if count >= MIN_SAMPLES and (count >= job.samples or elapsed >= job.seconds):
            return stages
        if clock() - said > 250e6:
            said = clock()
            progress(min(1.0, max(count / max(job.samples, MIN_SAMPLES), elapsed / max(job.seconds, 1e-9))))
        frame = frames[count % FRAMES]
        start = clock()
        image = preprocessor(frame)
        prepared = clock()
        logits = engine.infer(image)
        inferred = clock()
        classify(logits, job.labels, TOP)
        end = clock()
        count += 1
        times = (prepared - start, inferred - prepared, end - inferred, end - start)
        for stage, ns in zip(stages, times, strict=True):
            stage.append(_ms(ns))


def _ms(ns: int) -> float:
    """Milliseconds to 1 µs, so that a percentile is found among the samples that are written."""
    return round(ns / 1e6, 3)
