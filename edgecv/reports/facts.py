"""A report as sentences: its verdict, headlines, notes and conditions, alike in every rendering."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from edgecv.reports.schema import (
    Accuracy,
    ArtifactReport,
    Conditions,
    Fault,
    Measured,
    Mode,
    Moment,
    Plan,
    Report,
    Verdict,
)
from edgecv.reports.wording import INVALID, artifact_name, ms, name, number, optional, plain, plural, share
from edgecv.statistics import resolved

UNKNOWN = "unknown"
# What befalls single artifacts, where there is no room for each one's numbers.
_FAULTS = {
    Fault.SAMPLES: "Too few samples",
    Fault.SPREAD: "Spread too wide",
    Fault.DRIFT: "Drifted",
    Fault.CLOCK: "The clock moved",
}


class Ruling(NamedTuple):
    """The verdict in words. reasons: (artifact or "all artifacts", all that was found of it)."""

    valid: bool
    headline: str
    line: str
    reasons: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


class Headline(NamedTuple):
    """One finding: "Fastest", "onnx int8", "7.4 ms", "135 frames/s in all"; valid: may it be quoted."""

    what: str
    who: str
    value: str
    detail: str
    valid: bool = True


def valid(report: Report, artifact: ArtifactReport | Accuracy) -> bool:
    """Whether no reason concerns this artifact."""
    return not report.verdict.of(str(artifact.kind))


def busy(report: Report) -> bool:
    """Whether something else ran beside the measurement, and so beside that of the board's peaks, too."""
    return any(reason.fault in (Fault.LOAD, Fault.STOLEN) for reason in report.verdict.reasons)


def ruling(report: Report) -> Ruling:
    verdict = report.verdict
    found: dict[str, list[str]] = {}
    for reason in verdict.reasons:
        who = artifact_name(reason.artifact) if reason.artifact else "all artifacts"
        found.setdefault(who, []).append(plain(reason.message))
    reasons = tuple((who, " ".join(messages)) for who, messages in found.items())
    warnings = tuple(plain(warning) for warning in verdict.warnings)
    if verdict.valid:
        line = "Nothing was found that makes these numbers doubtful."
        return Ruling(True, "VALID", line, (), warnings)
    good = [name(a) for a in report.artifacts if a.measured and valid(report, a)]
    line = "These numbers are neither to be quoted nor compared."
    if good:
        line = f"Neither quote nor compare what is marked {INVALID}. Valid: {', '.join(good)}."
    return Ruling(False, INVALID, line, reasons, warnings)


def in_short(verdict: Verdict) -> str:
    """The reasons without their remedies, and those of single artifacts by their fault, without numbers.

    `Other programs took 0.57 cores on average, more than 0.2. Drifted: onnx fp32, onnx int8.`
    """
    found: dict[str, list[str]] = {}
    for reason in verdict.reasons:
        if reason.artifact is None:
            found[reason.message.partition(": ")[0].rstrip(".")] = []
        else:
            what = _FAULTS.get(reason.fault, reason.fault.value.capitalize())
            found.setdefault(what, []).append(artifact_name(reason.artifact))
    said = (f"{what}: {', '.join(who)}." if who else f"{what}." for what, who in found.items())
    return plain(" ".join(said))


def headlines(report: Report) -> tuple[Headline, ...]:
    """Fastest, smallest, most accurate and most efficient, where known; ties go to the faster one."""
    measured = [(a, a.measured) for a in report.artifacts if a.measured]
    if not measured:
        return ()
    measured.sort(key=lambda pair: pair[1].inference.p50_ms)
    found = [_fastest(*measured[0]), _smallest(*min(measured, key=lambda pair: pair[0].file_bytes))]
    scored = [(a, a.accuracy) for a, _ in measured if a.accuracy]
    if scored:
        artifact, accuracy = max(scored, key=lambda pair: pair[1].top1)
        detail = f"top-1 of {plural(accuracy.n, 'picture')} · {share(accuracy.top5)} % top-5"
        found.append((artifact, Headline("Most accurate", "", f"{share(accuracy.top1)} %", detail)))
    metered = [(a, run, run.energy_mj) for a, run in measured if run.energy_mj is not None]
    if metered:
        artifact, run, energy_mj = min(metered, key=lambda row: row[2])
        detail = "a frame" + optional(run.power_w, lambda w: f" · {number(w)} W", "")
        if report.conditions.power_source:
            detail += f" ({plain(report.conditions.power_source)})"
        found.append((artifact, Headline("Most efficient", "", f"{number(energy_mj)} mJ", detail)))
    return tuple(line._replace(who=name(a), valid=valid(report, a)) for a, line in found)


def _fastest(artifact: ArtifactReport, run: Measured) -> tuple[ArtifactReport, Headline]:
    detail = f"p50 inference · {number(run.fps)} frames/s in all"
    return artifact, Headline("Fastest", "", f"{ms(run.inference.p50_ms)} ms", detail)


def _smallest(artifact: ArtifactReport, run: Measured) -> tuple[ArtifactReport, Headline]:
    detail = "on disk" + optional(run.peak_memory_mb, lambda mb: f" · {number(mb)} MiB peak memory", "")
    return artifact, Headline("Smallest", "", f"{number(artifact.file_bytes / 2**20)} MiB", detail)


def title(report: Report) -> str:
    return plain(f"{report.bundle} on {board_name(report.conditions)}")


def board_name(c: Conditions) -> str:
    """The machine's own name, the profile's where it does not know one."""
    return c.device if c.model == UNKNOWN else c.model


def plan_text(plan: Plan) -> str:
    """What was asked for: `full: at least 1,024 samples and 60 s an artifact, in 20 turns`."""
    asked = f"at least {plural(plan.samples, 'sample')} and {plan.seconds:g} s an artifact"
    text = f"{plan.mode.value}: {asked}, in {plural(plan.turns, 'turn')}"
    if plan.mode is Mode.SUSTAINED:
        text = f"{plan.mode.value}: {plan.minutes:g} minutes"
    return f"{text}; {', '.join(scenario.value for scenario in plan.scenarios)}"


def notes(report: Report) -> tuple[str, ...]:
    """What a reader has to know before believing the numbers, beside the verdict."""
    of: dict[str, list[str]] = {}
    for a in report.artifacts:
        for note in dict.fromkeys(a.measured.notes if a.measured else ()):
            of.setdefault(plain(note), []).append(name(a))
    found = (f"{', '.join(who)}: {note}" for note, who in of.items())
    return (*found, *drop_notes(a.accuracy for a in report.artifacts if a.accuracy))


def drop_notes(accuracies: Iterable[Accuracy]) -> tuple[str, ...]:
    """What a drop is, and which are no more than chance gives."""
    with_drop = [(a, a.drop) for a in accuracies if a.drop is not None]
    if not with_drop:
        return ()
    text = "Drop: top-1 points lost against float on the same pictures, with the 95 % interval."
    unclear = [name(a) for a, drop in with_drop if not resolved(drop)]
    if unclear:
        pictures = f"{with_drop[0][1].images:,} pictures"
        text += f" On {pictures} that of {', '.join(unclear)} cannot be told from 0."
    return (text,)


def condition_rows(report: Report) -> tuple[tuple[str, str], ...]:
    c = report.conditions
    pairs = (
        ("Device", f"{c.model} (profile {c.device})" + (f"; {c.note}" if c.note else "")),
        ("Processor", f"{c.arithmetic}, {optional(c.cores, str, UNKNOWN)} cores"),
        ("Architecture", c.architecture),
        ("CPU features", " ".join(c.cpu_features) or UNKNOWN),
        ("int8 products", "summed in 16 bits, may saturate" if c.int8_saturates else "summed exactly"),
        ("Memory", optional(c.ram_mb, lambda v: f"{v:,} MiB", UNKNOWN)),
        ("Threads", str(c.threads)),
        ("Governor", c.governor or UNKNOWN),
        *_course_rows(c, busy(report)),
        ("System", f"{c.os}, kernel {c.kernel}"),
        ("Software", f"edgecv {report.edgecv}, Python {c.python}, OpenCV {c.opencv}"),
        ("Engines", ", ".join(f"{tool} {version}" for tool, version in c.tools.items()) or UNKNOWN),
        ("Bundle", f"{report.bundle}, manifest sha256 {report.manifest_sha256}"),
        ("Pictures", _pictures(report)),
        ("Plan", plan_text(report.plan)),
        ("Command", c.command or UNKNOWN),
        ("Measured", report.created),
    )
    return tuple((what, plain(value)) for what, value in pairs)


def _course_rows(c: Conditions, busy: bool) -> tuple[tuple[str, str], ...]:
    """What may have moved while measuring."""
    peaks = peaks_text(c) + ("; the machine was busy" if c.peaks and busy else "")
    return (
        ("Temperature", _course(c, "temperature_c", "°C", ".1f")),
        ("Clock", _course(c, "clock_mhz", "MHz", ",.0f")),
        ("Power", _course(c, "power_w", "W", ".2f") + (f", from {c.power_source}" if c.power_source else "")),
        ("Load, 1 min", _course(c, "load_1min", "", ".2f")),
        ("Other programs", _taken(c, "other_cores")),
        ("Hypervisor", _taken(c, "stolen_cores")),
        ("Throttled", _throttled(c)),
        ("Pages swapped", optional(c.swapped_pages, lambda n: f"{n:,}", UNKNOWN)),
        ("Supply", c.supply or UNKNOWN),
        ("Power mode", c.power_mode or UNKNOWN),
        ("Measured peaks", peaks),
    )


def peaks_text(c: Conditions) -> str:
    """`57.3 GFLOP/s, 6.10 GB/s`"""
    return f"{number(c.peaks.gflops)} GFLOP/s, {number(c.peaks.copy_gb_s)} GB/s" if c.peaks else UNKNOWN


def _course(c: Conditions, key: str, unit: str, form: str) -> str:
    """`50.0 → 63.5 °C (before → after), 49.8 to 66.1 between`."""
    before, after = getattr(c.before, key), getattr(c.after, key)
    between = [value for moment in c.during if (value := getattr(moment, key)) is not None]
    if before is None and after is None and not between:
        return UNKNOWN
    texts = [optional(value, lambda v: format(v, form), UNKNOWN) for value in (before, after)]
    text = f"{texts[0]} → {texts[1]} {unit}".rstrip() + " (before → after)"
    return text + (f", {min(between):{form}} to {max(between):{form}} between" if between else "")


def _taken(c: Conditions, key: str) -> str:
    """How many cores' time was taken: the mean and the most."""
    taken = [value for moment in (*c.during, c.after) if (value := getattr(moment, key)) is not None]
    if not taken:
        return UNKNOWN
    return f"{sum(taken) / len(taken):.2f} cores' time on average, {max(taken):.2f} at most"


def _throttled(c: Conditions) -> str:
    moments = [m for m in (c.before, *c.during, c.after) if m.throttled is not None]
    if not moments:
        return UNKNOWN
    reasons = dict.fromkeys(reason for moment in moments for reason in moment.throttled or ())
    text = f"{', '.join(reasons)} (in {throttled_share(moments)})" if reasons else "never"
    earlier = c.after.throttled_since_boot
    return text + (f"; since the start of the machine: {', '.join(earlier)}" if earlier else "")


def throttled_share(moments: Iterable[Moment]) -> str:
    """`7 of 62 readings`."""
    readings = [bool(moment.throttled) for moment in moments]
    return f"{sum(readings)} of {plural(len(readings), 'reading')}"


def _pictures(report: Report) -> str:
    scored = next((a.accuracy for a in report.artifacts if a.accuracy), None)
    if scored is None:
        return "accuracy was not measured"
    text = f"{scored.n:,} labelled, {scored.unreadable:,} others unreadable"
    return f"{text}; {report.pictures.source}, sha256 {report.pictures.digest}" if report.pictures else text
