"""A conversion as words: its verdict and its tables, the same for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

from edgecv.bundle import Artifact, Manifest, Trial
from edgecv.reports.wording import NONE, megabytes, number, optional, plain, share
from edgecv.spec import Drop, Precision
from edgecv.statistics import count_pictures, pictures_needed, resolved

BLAMED = 3  # operations named in a verdict
FLOAT_ONLY = "Float only: every format answers as the source does"


class Verdict(NamedTuple):
    """What came out: `good` None where nothing was asked for, or nothing is certain."""

    headline: str
    lines: tuple[str, ...]
    good: bool | None


class Cells(NamedTuple):
    """A table: headings, of which the first `words` are text, and rows of as many cells."""

    headings: tuple[str, ...]
    words: int
    rows: tuple[tuple[str, ...], ...]

    def only(self, *headings: str) -> Cells:
        """These columns alone, in their own order."""
        kept = [at for at, heading in enumerate(self.headings) if heading in headings]
        rows = tuple(tuple(row[at] for at in kept) for row in self.rows)
        return Cells(tuple(self.headings[at] for at in kept), sum(at < self.words for at in kept), rows)


class Computed(Protocol):
    """An operation of a file, as converters.inspect finds it."""

    name: str
    operator: str
    precision: str
    macs: int
    parameters: int


class Held(Protocol):
    """What a file holds, as converters.inspect finds it; reports do not import converters."""

    kind: str
    macs: int
    parameters: int

    def counts(self) -> dict[str, int]: ...

    def shares(self) -> dict[str, float]: ...


def verdict(manifest: Manifest) -> Verdict:
    """The one thing to know about a bundle, and what has to be said with it."""
    reduced = reduced_artifacts(manifest)
    drops = [(a, a.verified.drop) for a in reduced if a.verified and a.verified.drop]
    if not drops:
        return Verdict("Nothing was verified" if reduced else FLOAT_ONLY, (), None)
    bound = manifest.guarantee.max_drop if manifest.guarantee else None
    lines = [_measured_on(drops[0][1], manifest)]
    if bound is None:
        headline, good = _loss(drops)
    elif manifest.guarantee and manifest.guarantee.met:
        headline, good = _held(reduced, drops[0][1], bound), True
    else:
        headline, good = _missed(drops, bound), False
        blamed = ", ".join(plain(each.name) for each in manifest.sensitivity[:BLAMED])
        lines += [f"Most sensitive to int8: {blamed}."] if blamed else []
    if bound is not None:
        lines += _unresolved(drops, bound)
    return Verdict(headline, tuple(lines), good)


def reduced_artifacts(manifest: Manifest) -> tuple[Artifact, ...]:
    return tuple(a for a in manifest.artifacts if a.precision is not Precision.FP32)


def artifact_cells(artifacts: Sequence[Artifact]) -> Cells:
    """What was kept of each kind and what it loses."""
    scored = any(a.verified and a.verified.labelled for a in artifacts)
    headings = ("Artifact", "Size, MB", *(("Top-1, %", "Top-5, %") if scored else ()))
    headings += ("Agree, %", "SQNR, dB", "Drop, points" if scored else "Changed, %", "95 % interval")
    rows = []
    for artifact in artifacts:
        check = artifact.verified
        row = [str(artifact.kind), megabytes(artifact.bytes)]
        if check is None:
            rows.append((*row, *[NONE] * (len(headings) - 2)))
            continue
        if scored:
            row += [optional(check.top1, share), optional(check.top5, share)]
        row += [share(check.top1_agreement), sqnr(check.sqnr_db)]
        drop = None if artifact.precision is Precision.FP32 else check.drop
        row += [optional(drop, points), optional(drop, interval)]
        rows.append(tuple(row))
    return Cells(headings, 1, tuple(rows))


def file_cells(contents: Sequence[Held]) -> Cells:
    """What the artifacts' files hold."""
    headings = ("Artifact", "Operations", "MACs by precision", "Parameters, M", "MACs, M")
    rows = []
    for each in contents:
        counts = ", ".join(f"{count} {precision}" for precision, count in each.counts().items())
        shares = ", ".join(f"{share(part)} % {precision}" for precision, part in each.shares().items())
        sizes = (f"{each.parameters / 1e6:.2f}", f"{each.macs / 1e6:.1f}") if counts else (NONE, NONE)
        rows.append((each.kind, counts or NONE, shares or NONE, *sizes))
    return Cells(headings, 3, tuple(rows))


def operation_cells(operations: Iterable[Computed]) -> Cells:
    """Every operation of a file."""
    headings = ("Operation", "Kind", "Precision", "Parameters", "MACs")
    rows = tuple(
        (plain(o.name), plain(o.operator), o.precision, f"{o.parameters:,}", f"{o.macs:,}")
        for o in operations
    )
    return Cells(headings, 3, rows)


def trial_cells(artifact: Artifact) -> Cells:
    """The recipes that were tried for one artifact, in order; `+` stands for the first one's text."""
    drop = "Drop (95 % interval)"
    headings = ("Recipe", "Verdict", "Why", drop, "Agree, %", "SQNR, dB", "Size, MB", "Latency, ms")
    return Cells(headings, 3, tuple(_trial(trial, artifact.search[0].recipe) for trial in artifact.search))


def sensitivity_cells(manifest: Manifest, most: int | None = None) -> Cells:
    """The operations by what each costs alone, the worst first."""
    rows = manifest.sensitivity[:most]
    cells = tuple((plain(s.name), plain(s.operator), sqnr(s.sqnr_db)) for s in rows)
    return Cells(("Operation", "Kind", "SQNR of the logits, dB"), 2, cells)


def condition_rows(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """How the bundle was made and measured."""
    made, rule, check = manifest.made, manifest.preprocess, manifest.artifacts[0].verified
    height, width = rule.size_hw
    rows = [
        ("Model", f"{manifest.name}, {manifest.classes:,} classes, {width}x{height} pixels"),
        ("Weights", f"{made.origin.weights}, sha256 {made.origin.sha256}"),
        ("Pixels", f"{rule.resize.value}, {rule.interpolation.value}, mean {rule.mean}, std {rule.std}"),
    ]
    if made.calibration:
        used = made.calibration
        rows.append(("Calibrated on", f"{used.images:,} pictures: {used.pictures}; sha256 {used.digest}"))
    if check:
        known = f", {check.labelled:,} of them labelled" if check.labelled else ", without labels"
        rows.append(("Judged on", f"{check.images:,} pictures: {check.pictures}{known}"))
    rows += [("Target", made.target)] if made.target else []
    rows.append(("Arithmetic", arithmetic(manifest)))
    for step in made.preparation:
        used_text = "used" if step.used else "not used"
        rows.append(
            ("Preparation", f"{step.step}: {step.without_db:.1f} → {step.sqnr_db:.1f} dB, {used_text}")
        )
    rows.append(("Software", ", ".join(f"{tool} {version}" for tool, version in made.tools.items())))
    rows.append(("Seed", str(made.seed)))
    return tuple((what, plain(value)) for what, value in rows)


def in_points(bound: float) -> str:
    return f"{bound:g} point{'s' if bound != 1 else ''}"


def points(drop: Drop) -> str:
    return f"{drop.points:+.1f}" if drop.basis == "labels" else f"{drop.points:.1f}"


def interval(drop: Drop) -> str:
    sign = "+" if drop.basis == "labels" else ""
    return f"{drop.low:{sign}.1f} to {drop.high:{sign}.1f}"


def points_and_interval(drop: Drop) -> str:
    return f"{points(drop)} ({interval(drop)})"


def sqnr(value: float | None) -> str:
    return "exact" if value is None else f"{value:.1f}"


def _trial(trial: Trial, first: str) -> tuple[str, ...]:
    return (
        plain(trial.recipe.replace(f"{first}, ", "+ ")),
        trial.verdict,
        plain(trial.reason),
        optional(trial.drop, points_and_interval),
        optional(trial.top1_agreement, share),
        sqnr(trial.sqnr_db) if trial.verdict != "failed" else NONE,
        optional(trial.bytes, megabytes),
        optional(trial.latency_ms, number),
    )


def _held(reduced: Iterable[Artifact], drop: Drop, bound: float) -> str:
    on = f"on {count_pictures(drop.images)}"
    if drop.basis == "labels":
        return f"{_precisions(reduced)} accuracy in every format: within {in_points(bound)} {on}"
    names = " and ".join(dict.fromkeys(a.precision.value for a in reduced))
    return f"{names} changes at most {bound:g} % of the answers in every format, {on} without labels"


def _listed(names: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])


def _precisions(artifacts: Iterable[Artifact]) -> str:
    """`int8 keeps`, `int8 and dynamic keep`."""
    names = list(dict.fromkeys(a.precision.value for a in artifacts))
    return f"{' and '.join(names)} {'keeps' if len(names) == 1 else 'keep'}"


def _measured_on(drop: Drop, manifest: Manifest) -> str:
    kind, rest = ("labelled ", "") if drop.basis == "labels" else ("", " without labels")
    on = count_pictures(drop.images, kind) + rest
    target = f", for {manifest.guarantee.target}" if manifest.guarantee else ""
    return f"Each artifact in its own engine, against the float source, on {on}{target}."


def _loss(drops: list[tuple[Artifact, Drop]]) -> tuple[str, bool | None]:
    artifact, drop = max(drops, key=lambda pair: pair[1].points)
    if drop.basis == "float":
        return f"{artifact.kind} answers as float does on {100 - drop.points:.1f} % of the pictures", None
    if any(each.low > 0 for _, each in drops):
        return f"{artifact.kind} loses {drop.points:.1f} points, the most of all", None
    return f"No loss that {drop.images:,} pictures can show", None


def _missed(drops: list[tuple[Artifact, Drop]], bound: float) -> str:
    over = [(a, d) for a, d in drops if d.points > bound]
    if not over:
        return f"Missed: the bound of {in_points(bound)} was not held"
    if over[0][1].basis == "float":
        worst = ", ".join(f"{a.kind} changes {d.points:.1f} %" for a, d in over)
        return f"Missed: {worst} of the answers; {bound:g} % allowed"
    worst = ", ".join(f"{a.kind} loses {d.points:.1f}" for a, d in over)
    return f"Missed: {worst}; {in_points(bound)} allowed"


def _unresolved(drops: list[tuple[Artifact, Drop]], bound: float) -> list[str]:
    """Which drops the sample cannot tell from the bound, and how many pictures could."""
    unclear = [(a, d) for a, d in drops if not resolved(d, bound)]
    if not unclear:
        return []
    names = _listed([str(a.kind) for a, _ in unclear])
    needed = [pictures_needed(d, bound) for _, d in unclear]
    text = f"So few pictures cannot tell the drop of {names} from {in_points(bound)} for certain"
    known = [n for n in needed if n is not None]
    return [text + (f"; about {max(known):,} could." if len(known) == len(needed) else ".")]


def arithmetic(manifest: Manifest) -> str:
    """The machine's, and where artifacts were measured otherwise, that one's, with their names."""
    others: dict[str, list[str]] = {}
    for artifact in manifest.artifacts:
        measured = artifact.verified and artifact.verified.arithmetic
        if measured and measured != manifest.made.arithmetic:
            others.setdefault(measured, []).append(str(artifact.kind))
    return "; ".join(
        [manifest.made.arithmetic, *(f"{_listed(names)}: {text}" for text, names in others.items())]
    )
