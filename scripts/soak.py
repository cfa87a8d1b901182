"""Let `edgecv run` go on for an hour with a camera, a broker and a webhook that fail, and account for all.

    python scripts/soak.py [--minutes 60] [--bundle PATH] [--json FILE]

Needs mosquitto and the extras `test` and `convert`: the latter for its photographs, and to make the default
bundle where it is missing. Everything is on 127.0.0.1. Prints a line for each check, and the table that is in
docs/reliability.md. When a check failed, the exit code is 1 and the run's files are kept.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil
import soak_checks as checks
from soak_camera import FAULTS, HOST
from soak_checks import Sample
from soak_report import Fault, Outcome, judge, table
from soak_world import Scraper, Viewer, World, world

from edgecv import api
from edgecv.data import sample_photos
from edgecv.errors import BundleError

SAMPLE_S, SCRAPE_S, LOOK_S = 10.0, 15.0, 20.0
START_S = 60.0
STOPPED_S, FROZEN_S, AWAY_S, REFUSED_S = 5.0, 15.0, 20.0, 10.0  # how long a fault takes
LAST_S = 25.0  # without a new fault, at the end


class Action(NamedTuple):
    """`at_s` seconds after the start a method of a member of the World is called; who == "": a sample."""

    at_s: float
    who: str = ""
    what: str = ""


def plan(total_s: float) -> list[Action]:
    """A fault of the camera a minute, the broker twice away, a webhook that refuses every five minutes.

    In a short run they come faster: six faults of the camera, three of the webhook.
    """
    camera_s, webhook_s = max(20.0, min(60.0, total_s / 6)), min(300.0, total_s / 3)
    last_s, short = total_s - LAST_S, min(1.0, total_s / 180)
    actions = [Action(number * SAMPLE_S) for number in range(1, int(total_s / SAMPLE_S) + 1)]
    for number in range(int(last_s / camera_s)):
        at_s, what = (number + 1) * camera_s, tuple(FAULTS)[number % len(FAULTS)]
        actions.append(Action(at_s, "camera", what))
        if what == "stop":
            actions.append(Action(at_s + STOPPED_S * short, "camera", "start"))
        if what == "freeze":
            actions.append(Action(at_s + FROZEN_S * short, "camera", "thaw"))
    for at_s in (total_s / 3, total_s * 2 / 3):
        actions += [Action(at_s, "broker", "stop"), Action(at_s + AWAY_S * short, "broker", "start")]
    for number in range(int(last_s / webhook_s + 0.5)):
        at_s = (number + 0.5) * webhook_s
        actions += [Action(at_s, "webhook", "fail"), Action(at_s + REFUSED_S * short, "webhook", "recover")]
    return sorted(actions)


def soak(around: World, bundle: str | None, total_s: float) -> Outcome:
    """Start the command, let `total_s` pass with all that is planned for it, and end it with SIGTERM."""
    command = [sys.executable, "-m", "edgecv", "run", *([bundle] if bundle else []), *around.options()]
    with (around.folder / "stderr.txt").open("w+") as stderr:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr)
        try:
            _wait_for_page(child, around)
            scraper, viewer = Scraper(around.metrics_port, SCRAPE_S), Viewer(around.page_port, LOOK_S)
            curve, faults = _pass_time(child, around, total_s)
            ended_early = child.poll() is not None
            for visitor in (scraper, viewer):
                visitor.over.set()  # what fails from here on is our doing; the viewer may still watch
            began_s = time.monotonic()
            child.send_signal(signal.SIGTERM)
            status = None
            with contextlib.suppress(subprocess.TimeoutExpired):
                status = child.wait(3 * checks.EXIT_S)
            exit_s = time.monotonic() - began_s
        finally:
            child.kill()
            child.wait()
        scraper.close()
        viewer.close()
        stderr.seek(0)
        return Outcome(status, ended_early, exit_s, stderr.read(), total_s, curve, faults, scraper, viewer)


def _wait_for_page(child: subprocess.Popen[bytes], around: World) -> None:
    end_s = time.monotonic() + START_S
    while child.poll() is None and time.monotonic() < end_s:
        with contextlib.suppress(OSError), socket.create_connection((HOST, around.page_port), 1):
            return
        threading.Event().wait(0.1)
    raise SystemExit(f"soak: the run did not start:\n{(around.folder / 'stderr.txt').read_text()}")


def _pass_time(
    child: subprocess.Popen[bytes], around: World, total_s: float
) -> tuple[list[Sample], list[Fault]]:
    process, began_s = psutil.Process(child.pid), time.monotonic()
    curve: list[Sample] = []
    faults: list[Fault] = []
    process.cpu_percent()
    for action in plan(total_s):
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(max(0.0, began_s + action.at_s - time.monotonic()))
            break  # it has ended
        if action.who:
            name = action.what if action.who == "camera" else f"{action.who} {action.what}"
            faults.append(Fault(name, time.time()))
            getattr(getattr(around, action.who), action.what)()
        else:
            with contextlib.suppress(psutil.Error):  # it has just ended
                curve.append(_sample(process, time.monotonic() - began_s))
    return curve, faults


def _sample(process: psutil.Process, at_s: float) -> Sample:
    with process.oneshot():
        rss_mb = process.memory_info().rss / 1e6
        return Sample(round(at_s, 1), rss_mb, process.cpu_percent(), process.num_threads(), process.num_fds())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--bundle", help="a folder, or a name in the cache")
    parser.add_argument("--json", type=Path, help="write all numbers, and the curve of the process's size")
    parser.add_argument("--size", default="640x480", help="of the camera's pictures (default 640x480)")
    given = parser.parse_args(arguments)
    if given.minutes < 1:
        parser.error("--minutes: at least 1")
    width, height = map(int, given.size.split("x"))
    if given.bundle is None:
        _have_default_bundle()
    folder = Path(tempfile.mkdtemp(prefix="edgecv-soak-"))
    with world(folder, sample_photos(), (width, height)) as around:
        outcome = soak(around, given.bundle, 60 * given.minutes)
        made, numbers = judge(outcome, around)
    passed = all(check.passed for check in made)
    print("\n".join(map(str, made)), "", table(made, numbers), sep="\n")
    if given.json:
        content = {
            "checks": [check._asdict() for check in made],
            **numbers,
            "faults": [fault._asdict() for fault in outcome.faults],
            "curve": [sample._asdict() for sample in outcome.curve],
        }
        given.json.write_text(json.dumps(content, indent=1) + "\n")
    if passed:
        shutil.rmtree(folder)
    else:
        print(f"\nThe run's files are kept: {folder}")
    return 0 if passed else 1


def _have_default_bundle() -> None:
    try:
        api.open_bundle()
    except BundleError:
        print("converting the default bundle", flush=True)
        api.convert(int8=True)


if __name__ == "__main__":
    sys.exit(main())
