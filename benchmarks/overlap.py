"""How near the pipeline comes to its engine, in short turns: python benchmarks/overlap.py --help

On a machine whose speed wanders, processes that follow each other meet different machines. Here the bare
engine, the pipeline and the serial loop take turns of half a second in one process, and each turn is compared
with the engine's own before and behind it.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

import numpy as np

from edgecv import api
from edgecv.bundle import Artifact, Bundle
from edgecv.image import Preprocessor
from edgecv.runtime.engines import Engine, Options, open_engine
from edgecv.runtime.pipeline import Run, Settings
from edgecv.runtime.sources import open_source
from edgecv.tasks import classify

SOURCE = "synthetic:1280x720"
WARM_UP = 20


def turns(
    bundle: Bundle, artifact: Artifact, threads: int, count: int, turn_s: float
) -> dict[str, list[float]]:
    """Rates a second of each way, a turn each, in order."""

    def load() -> Engine:
        return open_engine(bundle.path(artifact), artifact, Options(threads))

    rule, engine = bundle.manifest.preprocess, load()
    picture = np.random.default_rng(0).integers(0, 256, (1, *rule.size_hw, 3), np.uint8)
    prepare = Preprocessor(rule)
    for _ in range(WARM_UP):
        engine.infer(picture)

    def limit() -> float:
        began_s, done = time.perf_counter(), 0
        while (elapsed_s := time.perf_counter() - began_s) < turn_s:
            engine.infer(picture)
            done += 1
        return done / elapsed_s

    def pipeline() -> float:
        with open_source(SOURCE) as source:
            run = Run(bundle, _Kept(engine), source, Settings(top_k=1, frames=max(20, frames)), load)
            for _ in run:
                pass
            return run.summary().fps or 0.0

    def serial() -> float:
        with open_source(SOURCE) as source:
            began_s = time.perf_counter()
            for done, frame in enumerate(source, start=1):
                classify(engine.infer(prepare(frame.bgr)), bundle.labels, 1)
                if (elapsed_s := time.perf_counter() - began_s) >= turn_s:
                    return done / elapsed_s
        return 0.0

    frames = round(limit() * turn_s)
    ways: dict[str, Callable[[], float]] = {"limit": limit, "pipeline": pipeline, "serial": serial}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(count):
        for name, way in ways.items():
            rates[name].append(way())
    return rates


class _Kept:
    """An engine that outlives the runs it is lent to."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.infer = engine.name, engine.infer

    def close(self) -> None: ...


def ratios(rates: dict[str, list[float]], name: str) -> list[float]:
    """Each turn against the mean of the engine's before and behind it; the last has none behind."""
    limit = rates["limit"]
    return [rate / ((a + b) / 2) for rate, a, b in zip(rates[name], limit, limit[1:], strict=False)]


def shown(values: list[float]) -> str:
    low, middle, high = statistics.quantiles(values, n=4)
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", help="A bundle's folder (default: the default model's).")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=0.5, help="Of a turn.")
    given = parser.parse_args()
    bundle = api.open_bundle(given.bundle)
    print("| artifact | engine alone, 1/s | pipeline | serial loop |")
    print("|---|---:|---:|---:|")
    for artifact in bundle.manifest.artifacts:
        rates = turns(bundle, artifact, given.threads, given.turns + 1, given.seconds)
        limit = f"{statistics.median(rates['limit']):.0f}"
        cells = [str(artifact.kind), limit, *(shown(ratios(rates, way)) for way in ("pipeline", "serial"))]
        print(f"| {' | '.join(cells)} |")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
