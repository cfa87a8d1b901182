"""Whether tune finds what measuring everything finds, and in what time: python benchmarks/tune.py --help

Every candidate that tune looks at is measured as `edgecv bench` would: ten turns of a second, in rounds, so
that drift hits all alike. tune then runs several times on the same machine. Regret is how much slower than
the best, by the exhaustive measurement, a choice of tune's is.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import time
from pathlib import Path

from edgecv.api import open_bundle, select_device
from edgecv.reports.monitor import Monitor
from edgecv.reports.process import SILENCE_S
from edgecv.reports.tune import tune
from edgecv.reports.tune_bench import Bench
from edgecv.reports.tune_bound import bounded
from edgecv.reports.tune_candidates import Candidate, Objective, candidates_of

TURNS, TURN_S = 10, 1.0


def exhaustive(candidates: list[Candidate], bench: Bench) -> dict[str, float]:
    """The median of each candidate's turns in milliseconds, by name."""
    turns: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for number in range(TURNS):
        for candidate in candidates if number % 2 == 0 else reversed(candidates):
            turns[candidate.name].append(bench.measure(candidate, TURN_S))
    return {name: statistics.median(found) for name, found in turns.items()}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("bundle", nargs="?", help="a bundle; default: the default one")
    parser.add_argument("--max-drop", type=float, default=0.5)
    parser.add_argument("--times", type=int, default=5, help="runs of tune; default: 5")
    parser.add_argument("--json", type=Path, help="write everything here, too")
    given = parser.parse_args()
    bundle, selected = open_bundle(given.bundle), select_device()
    inside, _ = bounded(bundle, bundle.manifest.artifacts, selected, given.max_drop, None, lambda *_: None)
    candidates = list(candidates_of(inside, selected, Objective.LATENCY))
    began_s = time.perf_counter()
    with contextlib.ExitStack() as stack:
        found = exhaustive(
            candidates, Bench(bundle, stack, SILENCE_S, Objective.LATENCY, selected, Monitor())
        )
    everything_s = time.perf_counter() - began_s
    ranked = sorted(found.items(), key=lambda pair: pair[1])
    print(f"exhaustive, {len(found)} candidates, {everything_s:.0f} s:")
    for name, value in ranked:
        print(f"  {value:8.3f} ms  {name}")
    runs = []
    for _ in range(given.times):
        done = tune(bundle, bundle.manifest.artifacts, selected, max_drop=given.max_drop)
        regret = found[done.winner.name] / ranked[0][1] - 1
        took_s, share = done.seconds, done.seconds / everything_s
        runs.append({"winner": done.winner.name, "regret": regret, "seconds": took_s, "share": share})
        said = f"{100 * regret:+.1f} % regret, {took_s:.1f} s, {share:.2f} of the exhaustive time"
        print(f"tune: {done.winner.name}, {said}", flush=True)
    if given.json:
        given.json.write_text(json.dumps({"exhaustive_s": everything_s, "ms": found, "tune": runs}, indent=1))


if __name__ == "__main__":
    main()
