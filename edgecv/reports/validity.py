"""Whether a run's numbers can be trusted: VALID, or INVALID with the reasons and what to do about them.

A sustained run is judged by other rules: it is there to show what heat does, so throttling for heat, a clock
that falls and a latency that grows are its findings and become warnings. What is not the board's own heat
(a weak supply, other programs, the hypervisor, swapping, too few samples) makes it INVALID like any other.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import pairwise
from statistics import median

from edgecv.reports.monitor import mean
from edgecv.reports.schema import (
    ArtifactReport,
    Conditions,
    Fault,
    Measured,
    Mode,
    Plan,
    Reason,
    Verdict,
)
from edgecv.reports.wording import plural

# Latency goes with the clock, so that a clock which moves more moves the median more than a gate of 5 % sees.
CLOCK_MOVED = 0.05
# One turn of so many may stand out at either end: a governor takes part of a turn to ramp up, and turbo is
# given and taken within one. A clock that has really moved has moved for more than a tenth of the turns, and
# a tenth of the samples cannot move a median by much.
TURNS_A_STRAY = 10
# Cores' time. An idle system's services take a few hundredths of a core. A fifth of a core is a program that
# runs in every fifth sample, or on a board with four busy threads 5 % of what there is to take.
OTHER_CORES = 0.2
# Of the cores that were used. Stolen time comes in ticks of 10 ms, a whole inference each: at 2 % a p99 is
# the hypervisor's. The count's own step, a tick in a second, is 1 %.
STOLEN_SHARE = 0.02
# Frames that warm a turn up are not counted, and in a sustained run their time is not made up for.
SECONDS_SHORT = 0.05
# Half the width of the median's 95 % interval, of the median: wider, and a change of 5 % cannot be seen.
SPREAD = 0.05
# Of the first third's median: what two runs of the same thing should agree within.
DRIFT = 0.05
# Drift must be beyond so many standard errors of a difference of two thirds' medians: about 95 %.
DRIFT_ERRORS = 2.0
# Load per core before the run above which the machine was doing something else.
BUSY = 0.5

_UNDER_VOLTAGE = "under-voltage"
_SLOW_GOVERNORS = ("powersave", "conservative")
_SLOW_MODES = ("low-power", "quiet", "cool")  # of the firmware's platform profile
_COOL = "cool the board, let it rest, and measure again"
_SUPPLY = "use the supply and the cable that the board's maker names"
_FIX = "let the board cool down, or fix its clock (governor performance, turbo off)"


def judge(plan: Plan, conditions: Conditions, artifacts: Sequence[ArtifactReport]) -> Verdict:
    """The verdict on a run; skipped artifacts have no part in it, and a run of none but those is INVALID.

    Every reason's message is one sentence with the numbers and the remedy.
    """
    runs = {str(artifact.kind): artifact.measured for artifact in artifacts if artifact.measured}
    reasons = [*_throttled(conditions, supply=True), *_taken(conditions), *_samples(plan, runs)]
    heat = [*_throttled(conditions, supply=False), *_clock(runs)]
    findings: list[str] = []
    if plan.mode is Mode.SUSTAINED:
        findings = [sentence(reason) for reason in heat] + list(_minutes(runs))
    else:
        reasons += heat
        for name, run in runs.items():
            reasons += [*_spread(name, run), *_drift(name, run)]
    return Verdict(reasons=tuple(reasons), warnings=(*findings, *_warnings(conditions)))


def disturbances(conditions: Conditions) -> tuple[Reason, ...]:
    """What spoils any measurement, whatever is measured: throttling, other programs, the hypervisor, swap."""
    throttled = (*_throttled(conditions, supply=True), *_throttled(conditions, supply=False))
    return (*throttled, *_taken(conditions))


def sentence(reason: Reason) -> str:
    """A reason's message, with its artifact where it has one."""
    return f"{reason.artifact}: {reason.message}" if reason.artifact else reason.message


def _throttled(conditions: Conditions, supply: bool) -> Iterator[Reason]:
    """A reason for each kind of throttling, those of the power supply or those of heat."""
    moments = (conditions.before, *conditions.during, conditions.after)
    known = [moment.throttled for moment in moments if moment.throttled is not None]
    counts = Counter(reason for reasons in known for reason in set(reasons))
    before = set(conditions.before.throttled_since_boot or ())
    since = {reason for moment in moments[1:] for reason in moment.throttled_since_boot or ()}
    for reason in sorted(counts.keys() | (since - before)):
        is_supply = _UNDER_VOLTAGE in reason
        if is_supply is not supply:
            continue
        seen = f"in {counts[reason]} of {plural(len(known), 'reading')}"
        if not counts[reason]:
            seen = "between two readings"
        remedy = _SUPPLY if is_supply else _COOL
        message = f"{reason[:1].upper()}{reason[1:]} {seen}: {remedy}."
        yield Reason(fault=Fault.THROTTLED, message=message)


def _taken(conditions: Conditions) -> Iterator[Reason]:
    """What was taken from the run by other programs, by the hypervisor and by a memory too small."""
    moments = (*conditions.during, conditions.after)
    other = mean(moment.other_cores for moment in moments)
    if other is not None and other > OTHER_CORES:
        message = f"Other programs took {other:.2f} cores on average, more than {OTHER_CORES}: stop them."
        yield Reason(fault=Fault.LOAD, message=message)
    used = min(conditions.threads, conditions.cores or conditions.threads)
    stolen = mean(moment.stolen_cores for moment in moments)
    if stolen is not None and stolen > STOLEN_SHARE * used:
        message = (
            f"The hypervisor took {stolen:.2f} of the {plural(used, 'core')} in use, more than "
            f"{100 * STOLEN_SHARE:.0f} %: measure when the host is less busy, or on a machine of your own."
        )
        yield Reason(fault=Fault.STOLEN, message=message)
    if conditions.swapped_pages:
        pages = plural(conditions.swapped_pages, "page")
        message = f"{pages} went to swap or came back: close what fills the memory, or measure fewer threads."
        yield Reason(fault=Fault.SWAP, message=message)


def _samples(plan: Plan, runs: dict[str, Measured]) -> Iterator[Reason]:
    """Less than was asked for, or than the mode is defined by."""
    if not runs:
        yield Reason(fault=Fault.SAMPLES, message="Nothing was measured: every artifact was skipped.")
    least = Plan.of(plan.mode)
    samples = max(plan.samples, least.samples)
    seconds = max(plan.seconds, least.seconds) if plan.mode is Mode.FULL else plan.seconds
    for name, run in runs.items():
        ran_s = sum(turn.seconds for turn in run.turns)
        lacking = []
        if run.inference.samples < samples:
            lacking.append(f"{plural(run.inference.samples, 'sample')} of at least {samples:,}")
        if ran_s < (1 - SECONDS_SHORT) * seconds:
            lacking.append(f"{ran_s:.1f} of at least {seconds:g} s")
        if lacking:
            message = f"It was measured for {' and '.join(lacking)}: measure again, for longer."
            yield Reason(fault=Fault.SAMPLES, message=message, artifact=name)


def _clock(runs: dict[str, Measured]) -> Iterator[Reason]:
    """A clock that moved between the turns of an artifact, or that differs from one artifact to another.

    Clocks are those read under load, of turns: an idle clock says nothing.
    """
    steady: list[tuple[float, str]] = []
    for name, run in runs.items():
        clocks = sorted(turn.clock_mhz for turn in run.turns if turn.clock_mhz is not None)
        if not clocks:
            continue
        stray = len(clocks) // TURNS_A_STRAY
        low, high = clocks[stray], clocks[-1 - stray]
        if high - low > CLOCK_MOVED * high:
            message = f"The clock moved between {low:.0f} and {high:.0f} MHz while it ran: {_FIX}."
            yield Reason(fault=Fault.CLOCK, message=message, artifact=name)
        else:
            steady.append((median(clocks), name))
    if not steady:
        return
    (low, slow), (high, fast) = min(steady), max(steady)
    if high - low > CLOCK_MOVED * high:
        message = f"The clock was {low:.0f} MHz under {slow} and {high:.0f} MHz under {fast}: {_FIX}."
        yield Reason(fault=Fault.CLOCK, message=message)


def _spread(name: str, run: Measured) -> Iterator[Reason]:
    interval, p50 = run.p50_interval_ms, run.inference.p50_ms
    if interval is None:
        turns = plural(len(run.turns), "turn")
        message = f"{turns} are too few for the median's 95 % interval, which takes 6: measure for longer."
        yield Reason(fault=Fault.SPREAD, message=message, artifact=name)
    elif (half := (interval.high - interval.low) / 2) > SPREAD * p50:
        message = (
            f"The median's 95 % interval is {interval.low:.3g} to {interval.high:.3g} ms, "
            f"±{_percent(half, p50)} of {p50:.3g} ms, where ±{100 * SPREAD:.0f} % is allowed: quieten the "
            "machine or measure for longer."
        )
        yield Reason(fault=Fault.SPREAD, message=message, artifact=name)


def _drift(name: str, run: Measured) -> Iterator[Reason]:
    """The last third of the turns against the first, beyond what turns differ by anyhow.

    What one turn differs by from the next is noise whether or not all drift, so it gives the noise: 0.6745 is
    the median of |x| of a normal distribution, and sqrt(2) the ratio of a difference's deviation to a single
    one's. 1.2533 is the ratio of a median's standard error to a mean's.
    """
    medians = [turn.p50_ms for turn in run.turns]
    third = len(medians) // 3
    if not third:
        return
    first, last = median(medians[:third]), median(medians[-third:])
    noise = median(abs(b - a) for a, b in pairwise(medians)) / (0.6745 * math.sqrt(2))
    error = 1.2533 * noise * math.sqrt(2 / third)
    if abs(last - first) > max(DRIFT * first, DRIFT_ERRORS * error):
        message = (
            f"It drifted: the first third of its turns took {first:.3g} ms, the last {last:.3g} ms "
            f"({_percent(last - first, first, '+')}): warm the board up for longer, or cool it."
        )
        yield Reason(fault=Fault.DRIFT, message=message, artifact=name)


def _minutes(runs: dict[str, Measured]) -> Iterator[str]:
    """What a sustained run found: its last minute against its first."""
    for name, run in runs.items():
        if len(run.minutes) < 2:
            continue
        first, last = run.minutes[0], run.minutes[-1]
        change = last.p50_ms - first.p50_ms
        if abs(change) > DRIFT * first.p50_ms:
            yield (
                f"{name}: minute {last.minute} took {last.p50_ms:.3g} ms where minute {first.minute} took "
                f"{first.p50_ms:.3g} ms ({_percent(change, first.p50_ms, '+')}): quote the last."
            )


def _warnings(conditions: Conditions) -> Iterator[str]:
    c = conditions
    if c.note:
        yield f"{c.note[:1].upper()}{c.note[1:]}."
    if c.governor in _SLOW_GOVERNORS:
        yield (
            f"The governor {c.governor} may hold the clock down: set performance "
            "(sudo cpupower frequency-set -g performance)."
        )
    if c.supply == "battery":
        yield "The machine ran on its battery, which may hold the clock down: plug it in."
    if c.power_mode and c.power_mode.lower() in _SLOW_MODES:
        yield f"The power mode is {c.power_mode}, which holds the clock down: choose a faster one."
    load, cores = c.before.load_1min, c.cores or 1
    if load is not None and load > BUSY * cores:
        yield f"The machine was busy before the run (load {load:.2f} on {plural(cores, 'core')})."
    if all(moment.throttled is None for moment in (c.before, *c.during, c.after)) and (how := _tells(c)):
        yield f"Not known to be unthrottled: {how}."


def _tells(conditions: Conditions) -> str | None:
    """How to have a board tell of its throttling that can; None for one that cannot."""
    device, model = conditions.device.lower(), conditions.model.lower()
    if device.startswith("rpi") or "raspberry pi" in model:
        return "neither the kernel nor vcgencmd says so here; install vcgencmd (raspi-utils)"
    if device.startswith("jetson") or "jetson" in model:
        return "this kernel has no throttle alerts"
    return None


def _percent(part: float, whole: float, sign: str = "") -> str:
    return f"{100 * part / whole:{sign}.0f} %" if whole else "many times"
