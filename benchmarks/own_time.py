"""A small int8 model in edgecv's pipeline: python own_time.py JOB, a JSON object, as for bare.py.

Run by runtime.py, each time in a process of its own; prints one JSON line. `pipeline` is edgecv's own Run
with a JSON-lines file behind it, `preparation` the part of it that makes the model's input, alone.
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from bare import ENGINES, MISSING, SKIPPED, timed

from edgecv.image import Preprocessor
from edgecv.runtime.pipeline import Run, Settings
from edgecv.runtime.sinks import Context, Outlet, open_sink
from edgecv.runtime.sources import open_source
from edgecv.spec import Interpolation, Preprocess

if TYPE_CHECKING:
    import numpy as np

LABELS = ("no person", "person")


class Engine:
    """The engine of bare.py behind edgecv's protocol: the same calls, the same conversion to int8."""

    name = "bare"

    def __init__(self, job: dict[str, Any]) -> None:
        self._put, self._infer = ENGINES[job["format"]](job)

    def infer(self, image: np.ndarray) -> np.ndarray:
        self._put(image)
        return self._infer()

    def close(self) -> None: ...


def rule(job: dict[str, Any]) -> Preprocess:
    return Preprocess(
        size_hw=tuple(job["size_hw"]),
        crop_fraction=job["crop_fraction"],
        interpolation=Interpolation(job["interpolation"]),
    )


def pipeline(job: dict[str, Any]) -> float:
    """Results a second, from the first that counts to the last."""
    bundle: Any = SimpleNamespace(labels=LABELS, manifest=SimpleNamespace(preprocess=rule(job)))
    source = open_source(job["source"])
    run = Run(bundle, Engine(job), source, Settings(frames=job["frames"] + SKIPPED), lambda: Engine(job))
    context = Context("vww", LABELS, "", "", job["source"], run.summary)
    outlet = Outlet(open_sink(job["out"], context))
    count, first_s = 0, 0.0
    for item in run:
        outlet.offer(item, True)
        count += 1
        if count == SKIPPED:
            first_s = time.perf_counter()
    spent_s = time.perf_counter() - first_s
    outlet.close()
    return (count - SKIPPED) / spent_s


def preparation(job: dict[str, Any]) -> float:
    """Frames a second, taken and prepared one after the other."""
    source, prepare = open_source(job["source"]), Preprocessor(rule(job))
    for frame in itertools.islice(source, SKIPPED):
        prepare(frame.bgr)
    return timed(lambda: prepare(next(source).bgr), job["seconds"])


if __name__ == "__main__":
    task = json.loads(sys.argv[1])
    try:
        per_s = {"pipeline": pipeline, "preparation": preparation}[task["way"]](task)
    except ModuleNotFoundError as error:
        print(error.name)
        sys.exit(MISSING)
    print(json.dumps({"per_s": per_s}))
