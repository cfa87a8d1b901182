"""The measurements of runtime.py: what is started, with what, and in which order."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from processes import Finished, reason, spawn
from runtime_tables import (
    LIMIT,
    MEDIAPIPE,
    MEMORY,
    OURS,
    OWN_TIME,
    PREPARATION,
    SERIAL,
    START,
    THROUGHPUT,
    Series,
)

from edgecv.errors import UsageError
from edgecv.spec import Color, Format, Precision, Resize

if TYPE_CHECKING:
    from edgecv.bundle import Artifact, Bundle

HERE = Path(__file__).resolve().parent
SYNTHETIC = "synthetic:1280x720"
EDGECV = (sys.executable, "-c", "from edgecv.cli import main; main()")  # as pip's own script of that name
MODES = ("IMAGE", "VIDEO")  # of MediaPipe


class Unmeasured(Exception):  # noqa: N818  reads as the fact it states
    """Why there is no number, in one line."""


Seen = Mapping[str, float]  # what the ways before have given in this round


class Way(NamedTuple):
    name: str
    source: str
    measure: Callable[[Seen], float]


def interleaved(
    table: str, case: str, ways: Sequence[Way], rounds: int, warm_up: bool = False
) -> list[Series]:
    """All ways in each round; warm_up: and in one before, uncounted. A way that fails is not tried again."""
    found = [Series(table, case, way.name, way.source) for way in ways]
    for number in range(-warm_up, rounds):
        seen: dict[str, float] = {}
        for series, way in zip(found, ways, strict=True):
            if series.status != "ok":
                continue
            print(f"{table}, {case}: {way.name} {way.source}", file=sys.stderr, flush=True)
            try:
                seen[way.name] = value = way.measure(seen)
            except Unmeasured as error:
                series.status = str(error)
                continue
            if number >= 0:
                series.values.append(value)
    return found


@dataclass(frozen=True)
class Lab:
    """What the measurements share. seconds: of a run; rounds, starts: how often; frames: for the memory."""

    environment: Mapping[str, str]
    folder: Path
    seconds: float
    rounds: int
    starts: int
    frames: int
    threads: int
    video: Path | None
    mediapipe: str | None

    def run(self, command: Sequence[str]) -> Finished:
        """Raises Unmeasured for a program that is not there, and one that fails."""
        if shutil.which(command[0]) is None:
            raise Unmeasured(f"no such interpreter: {command[0]}")
        done = spawn(command, self.environment)
        if done.status:
            raise Unmeasured(reason(done))
        return done

    def per_s(self, job: Mapping[str, Any], script: str = "bare.py", python: str = sys.executable) -> float:
        done = self.run([python, str(HERE / script), json.dumps(job)])
        return float(json.loads(done.stdout)["per_s"])

    def sources(self) -> list[str]:
        return [SYNTHETIC, *([str(self.video)] if self.video else [])]


def frames_for(seconds: float, seen: Seen) -> int:
    if LIMIT not in seen:
        raise Unmeasured("its limit was not measured")
    return max(2, round(seconds * seen[LIMIT]))


def rate(summary: str) -> float:
    """Results a second as a run says them at its end: from the first capture to the last result.

    Not from its JSON lines: of a video they hold the video's time.
    """
    found = re.search(r"([\d.]+) FPS", summary)
    if found is None:
        raise Unmeasured("said no rate at its end")
    return float(found[1])


@dataclass(frozen=True)
class Subject:
    """One artifact: what runs it here, and what bare.py needs to."""

    lab: Lab
    bundle: Bundle
    artifact: Artifact
    precise: bool

    def job(self, way: str, source: str, frames: int | None = None, **more: Any) -> dict[str, Any]:
        rule = self.bundle.manifest.preprocess
        return {
            "way": way,
            "model": str(self.bundle.path(self.artifact)),
            "format": self.artifact.format.value,
            "threads": self.lab.threads,
            "precise": self.precise,
            "int8": False,
            "size_hw": rule.size_hw,
            "crop_fraction": rule.crop_fraction,
            "interpolation": rule.interpolation.value,
            "source": source,
            "seconds": self.lab.seconds,
            "frames": frames,
            **more,
        }

    def ours(self, source: str, frames: int, *more: str) -> Finished:
        """`edgecv run` over so many frames."""
        kind = self.artifact.kind
        chosen = ("--format", kind.format.value, "--precision", kind.precision.value)
        taken = ("--source", source, *(() if source == SYNTHETIC else ("--loop",)), "--frames", str(frames))
        threads = ("--threads", str(self.lab.threads))
        return self.lab.run([*EDGECV, "run", str(self.bundle.root), *chosen, *threads, *taken, *more])

    def rate(self, source: str, seen: Seen) -> float:
        out = self.lab.folder / "run.jsonl"
        out.unlink(missing_ok=True)  # results are added to a file
        frames = frames_for(self.lab.seconds, seen)
        return rate(self.ours(source, frames, "--out", str(out)).stderr)

    def throughput(self) -> list[Series]:
        lab = self.lab
        ways = [Way(LIMIT, "", lambda _: lab.per_s(self.job("limit", SYNTHETIC)))]
        for source in lab.sources():
            name = Path(source).name
            ways += [
                Way(OURS, name, lambda seen, source=source: self.rate(source, seen)),
                Way(SERIAL, name, lambda _, source=source: lab.per_s(self.job("serial", source))),
            ]
            if self.artifact.format is Format.TFLITE and lab.mediapipe:
                ways += [self._mediapipe(lab.mediapipe, mode, source) for mode in MODES]
        return interleaved(THROUGHPUT, str(self.artifact.kind), ways, lab.rounds)

    def _mediapipe(self, python: str, mode: str, source: str) -> Way:
        job = self.job("mediapipe", source, mode=mode)
        return Way(f"{MEDIAPIPE} {mode}", Path(source).name, lambda _: self.lab.per_s(job, python=python))

    def start(self) -> list[Series]:
        video = str(self.lab.video)
        ways = [
            Way(OURS, "", lambda _: first_s(self.ours(video, 1, "--json"))),
            Way(SERIAL, "", lambda _: first_s(self._serial(video, 1))),
        ]
        return interleaved(START, str(self.artifact.kind), ways, self.lab.starts, warm_up=True)

    def memory(self) -> list[Series]:
        video, frames = str(self.lab.video), self.lab.frames
        ways = [
            Way(OURS, "", lambda _: self.ours(video, frames, "--json").cost.peak_mb),
            Way(SERIAL, "", lambda _: self._serial(video, frames).cost.peak_mb),
        ]
        return interleaved(MEMORY, str(self.artifact.kind), ways, self.lab.rounds, warm_up=True)

    def _serial(self, source: str, frames: int) -> Finished:
        job = self.job("serial", source, frames)
        return self.lab.run([sys.executable, str(HERE / "bare.py"), json.dumps(job)])


def first_s(done: Finished) -> float:
    if done.first_s is None:
        raise Unmeasured("printed nothing")
    return done.first_s


def help_start(lab: Lab) -> list[Series]:
    ways = [
        Way(OURS, "", lambda _: lab.run([*EDGECV, "--help"]).cost.wall_s),
        Way(SERIAL, "", lambda _: lab.run([sys.executable, "-c", "import click"]).cost.wall_s),
    ]
    return interleaved(START, "edgecv --help / import click", ways, lab.starts, warm_up=True)


def own_time(lab: Lab, model: Path) -> list[Series]:
    """A TFLite model of [1, 96, 96, 3] int8 with the zero point -128, such as MLPerf Tiny's."""
    job = {
        "model": str(model),
        "format": "tflite",
        "threads": lab.threads,
        "int8": True,
        "size_hw": (96, 96),
        "crop_fraction": 1.0,
        "interpolation": "linear",
        "source": SYNTHETIC,
        "seconds": lab.seconds,
        "out": str(lab.folder / "own.jsonl"),
    }

    def ours(seen: Seen) -> float:
        frames = frames_for(lab.seconds, seen)
        return lab.per_s({**job, "way": "pipeline", "frames": frames}, "own_time.py")

    ways = [
        Way(LIMIT, "", lambda _: lab.per_s({**job, "way": "limit"})),
        Way(PREPARATION, "", lambda _: lab.per_s({**job, "way": "preparation"}, "own_time.py")),
        Way(OURS, "", ours),
    ]
    return interleaved(OWN_TIME, model.name, ways, lab.rounds)


def subjects(lab: Lab, bundle: str | None, only: str) -> list[Subject]:
    """The fp32 and int8 artifacts with `only` in their name.

    Raises BundleError, and UsageError where there is none, or bare.py would prepare frames in another way.
    """
    from edgecv.api import open_bundle
    from edgecv.devices import select

    opened, saturates = open_bundle(bundle), bool(select().detected.int8_saturates)
    rule = opened.manifest.preprocess
    if rule.resize is not Resize.CENTER_CROP or rule.color is not Color.RGB:
        raise UsageError(f"{opened.root}: takes no RGB centre crop, and bare.py makes nothing else")
    chosen = [
        Subject(lab, opened, artifact, saturates and artifact.precise_if_saturating)
        for artifact in opened.manifest.artifacts
        if artifact.precision in (Precision.FP32, Precision.INT8) and only in str(artifact.kind)
    ]
    if not chosen:
        raise UsageError(f"{opened.root}: no fp32 or int8 artifact with {only!r} in its name")
    return chosen
