"""What a person or a pipe sees: tables, progress, JSON lines. Results to stdout, the rest to stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from edgecv.api import Checked, Inspected
    from edgecv.bundle import Artifact, Manifest
    from edgecv.converters.collect import Collected
    from edgecv.converters.convert import Conversion
    from edgecv.devices import Detected
    from edgecv.reports.findings import Cells
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report
    from edgecv.runtime.replay import Replayed
    from edgecv.runtime.results import Result, Summary
    from edgecv.runtime.session import Session
    from edgecv.service import Installed, Status

REDRAW_S = 0.1  # of the live line
TRIED = ("Recipe", "Verdict", "Why", "Drop (95 % interval)", "Agree, %", "Latency, ms")
SENSITIVE = 10  # operations named without --operations


class _Stages:
    """A progress bar for each stage, or one for the whole of a job that tells its share done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole: TaskID | None = None

    def share(self, what: str, done: float) -> None:
        """Show `what` is being done and the share of everything that is done, 0 to 1."""
        if self._whole is None:
            self._whole = self._bars.add_task(what, total=100)
        self._bars.update(self._whole, description=what, completed=int(100 * done))

    @contextlib.contextmanager
    def stage(self, title: str, total: int | None) -> Iterator[Callable[[int], None]]:
        task = self._bars.add_task(title, total=total)
        try:
            yield lambda count: self._bars.advance(task, count)
        finally:
            self._bars.remove_task(task)


@contextlib.contextmanager
def progress() -> Iterator[_Stages]:
    """A progress display on stderr that keeps working while a library's own output is silenced."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
    )

    if not sys.stderr.isatty():
        yield _Stages(Progress(disable=True))
        return
    with os.fdopen(os.dup(2), "w") as stderr:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        console = Console(file=stderr)
        with Progress(
            *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
        ) as bars:
            yield _Stages(bars)


def conversion(done: Conversion) -> None:
    """The bundle's artifacts with how near each is to the float source, and where the time went."""
    from edgecv.reports.findings import arithmetic
    from edgecv.reports.table import megabytes

    manifest = done.bundle.manifest
    labelled = any(artifact.verified and artifact.verified.labelled for artifact in manifest.artifacts)
    table = _table("artifact", "size MB", "top-1 agreement", "SQNR dB", "largest error", numbers=4)
    if labelled:
        for name in ("top-1", "top-5", "points lost (95 % interval)"):
            table.add_column(name, justify="right")
    for artifact in manifest.artifacts:
        check = artifact.verified
        assert check is not None
        row = [
            str(artifact.kind),
            megabytes(artifact.bytes),
            f"{check.top1_agreement:.1%}",
            "exact" if check.sqnr_db is None else f"{check.sqnr_db:.1f}",
            f"{check.max_abs_error:.1e}",
        ]
        if labelled:
            row += [_percent(check.top1), _percent(check.top5), _lost(artifact)]
        table.add_row(*row)
    console = _console()
    console.print(table)
    check = manifest.artifacts[0].verified
    if manifest.guarantee:
        _searches(console, manifest)
        _verdict(console, manifest)
        if check:
            console.print(f"Judged on {check.pictures}; {arithmetic(manifest)}.", soft_wrap=True)
    elif check:
        console.print(
            f"Each against the float source on {check.images} pictures ({check.pictures}), "
            f"in its own engine, {arithmetic(manifest)}."
        )
    spent = sorted(done.seconds.items(), key=lambda item: -item[1])
    parts = [f"{title} {seconds:.1f} s" for title, seconds in spent if seconds >= 0.5]
    console.print(f"Time: {sum(done.seconds.values()):.1f} s" + (f" ({', '.join(parts)})" if parts else ""))
    _notes(done.notes)
    console.print(f"Bundle: {done.bundle.root}", soft_wrap=True)


def _verdict(console: Console, manifest: Manifest) -> None:
    from edgecv.reports.findings import verdict

    found = verdict(manifest)
    style = {True: "bold green", False: "bold red", None: "bold"}[found.good]
    console.print(f"{manifest.name}: {found.headline}", style=style, soft_wrap=True)
    for line in found.lines:
        console.print(line, soft_wrap=True)


def _searches(console: Console, manifest: Manifest) -> None:
    """The recipes that were tried under the bound, from the fastest to the safest of each artifact."""
    from edgecv.reports.findings import trial_cells

    for artifact in manifest.artifacts:
        if artifact.search:
            tried = trial_cells(artifact).only(*TRIED)
            console.print(_cells(tried, f"{artifact.kind}, tried from the fastest to the safest"))


def _lost(artifact: Artifact) -> str:
    from edgecv.reports.findings import points_and_interval
    from edgecv.spec import Precision

    drop = artifact.verified.drop if artifact.verified else None
    if drop is None or artifact.precision is Precision.FP32:
        return ""
    return points_and_interval(drop)


def conversion_json(done: Conversion) -> dict[str, Any]:
    import msgspec

    return {
        "bundle": str(done.bundle.root),
        "manifest": msgspec.to_builtins(done.bundle.manifest),
        "seconds": {title: round(seconds, 3) for title, seconds in done.seconds.items()},
        "notes": done.notes,
    }


@contextlib.contextmanager
def running() -> Iterator[Callable[[], None]]:
    """A process fit to run for months: log lines on stderr, memory that stays, systemd told.

    Gives what is to be called while the run is alive.
    """
    from edgecv import quiet
    from edgecv.runtime import heaps, log, notify

    heaps.bound()
    with log.setup(quiet.loud):
        yield notify.Watchdog(notify.watchdog_interval_s()).beat


def run(session: Session) -> None:
    """Follow a run on the terminal; SIGINT and SIGTERM end it after the frames in hand, with a summary."""
    from edgecv.runtime import notify

    def stop(*_: object) -> None:
        # A second signal means it: the default action is back in place.
        for number in previous:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        session.stop()

    for note in session.notes:
        _tell(f"note: {note}")
    _tell(
        f"{session.artifact.kind} on {session.engine}, {_counted(session.selected.threads, 'thread')}, "
        f"{session.selected.profile.title}; source {session.source}"
    )
    if session.page:
        _tell(f"Live page: {session.page}")
    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    notify.ready(f"running {session.artifact.kind} on {session.source}")
    try:
        _follow(session)
    except BrokenPipeError:  # `edgecv run | head -1`: whoever read has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    finally:
        notify.stopping()
        for number, handler in previous.items():
            signal.signal(number, handler)
        session.close()
        _tell(_summary(session.summary()))


def _tell(text: str) -> None:
    """On stderr, if it can be: a full disk behind it, or a reader that has left, does not end a run."""
    with contextlib.suppress(OSError):
        click.echo(text, err=True)


def _follow(session: Session) -> None:
    """Show results as they come.

    On a terminal a line that is redrawn, but for pictures and events, which stay; else a line each, unless
    there is a sink.
    """
    names = {outlet.traits.name for outlet in session.outlets}
    if sys.stdout.isatty() and "-" not in names:
        drawn = 0.0
        for result in session:
            if result.name or result.events:
                click.echo(f"\r\x1b[K{_line(result)}")
            elif (now := time.monotonic()) - drawn >= REDRAW_S:
                drawn = now
                width = os.get_terminal_size().columns
                click.echo(f"\r\x1b[K{_line(result)[: width - 1]}", nl=False)
        click.echo("\r\x1b[K", nl=False)
    elif names or session.page:
        for _ in session:
            pass
    else:
        for result in session:
            click.echo(_line(result))


def _line(result: Result) -> str:
    top = "  ".join(f"{p.label} {p.score:.2f}" for p in result.top)
    # A file may be called anything, a line break or an escape sequence of the terminal included.
    name = "".join(letter if letter.isprintable() else "\ufffd" for letter in result.name)
    where = "".join(f"{part}  " for part in (name, result.region) if part)
    still = "still  " if result.still else ""
    events = "".join(f"  [{event.label} {event.state}]" for event in result.events)
    return f"frame {result.frame}  {result.latency_ms:6.1f} ms  {where}{still}{top}{events}"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def _summary(summary: Summary) -> str:
    dropped = summary.dropped
    text = f"{_counted(summary.frames, 'frame')}, {dropped.total} dropped"
    if dropped.total:
        text += f" ({dropped.capture} before and {dropped.queue} after preparing, for newer ones)"
    if summary.skipped:
        text += f", {summary.skipped} unreadable"
    if summary.engine_failures:
        text += f", {summary.engine_failures} failed in the engine"
    for count, what in ((summary.reconnects, "reconnect"), (summary.events, "event")):
        if count:
            text += f", {_counted(count, what)}"
    if summary.fps is not None:
        text += f", {summary.fps:.1f} FPS"
    if latency := summary.latency:
        text += (
            f"\ncapture to result p50 {latency.p50_ms:.1f}, p90 {latency.p90_ms:.1f}, "
            f"p99 {latency.p99_ms:.1f} ms (nearest rank)"
        )
    if summary.queue and summary.inference:
        text += f"; waiting p50 {summary.queue.p50_ms:.1f}, engine p50 {summary.inference.p50_ms:.1f} ms"
    if summary.avoided:
        text += (
            f"\nmotion gate: {_counted(summary.avoided.inferences, 'inference')} avoided, "
            f"about {summary.avoided.cpu_s:.1f} s of CPU time"
        )
    for sink in summary.sinks:
        text += f"\n{sink.name}: {sink.delivered} delivered"
        text += "".join(
            f", {count} {what}"
            for count, what in ((sink.dropped, "dropped"), (sink.failed, "failed"))
            if count
        )
    return text


def installed(done: Installed) -> None:
    click.echo(f"Wrote {done.unit}" + (", and started it" if done.running else ""))
    _notes(done.notes)


def service_status(found: Status, as_json: bool) -> None:
    import json

    facts = found._asdict()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        memory_mb = facts.pop("memory_mb")
        _facts({**facts, "memory": f"{memory_mb} MB" if memory_mb else None})


def report(result: Report, written: Written) -> None:
    from edgecv.reports.table import terminal_table

    console = _console()
    console.print(terminal_table(result))
    _notes([written.note] if written.note else [])
    for path in written.paths:
        console.print(f"Wrote {path}", soft_wrap=True)


def accuracies(rows: Sequence[Accuracy], as_json: bool) -> None:
    from edgecv.reports.accuracy import eval_json
    from edgecv.reports.table import accuracy_table

    if as_json:
        click.echo(eval_json(rows))
    else:
        _console().print(accuracy_table(rows))


def replayed(rows: Sequence[Replayed]) -> None:
    table = _table("artifact", "engine", "golden samples", "", numbers=0)
    for row in rows:
        verdict = {True: "pass", False: "FAIL", None: "not run"}[row.passed]
        table.add_row(row.artifact, row.engine, verdict, row.message)
    _console().print(table)


def device_list() -> None:
    from edgecv.devices import load_profiles

    table = _table("name", "board", "family", "threads", "int8", "first choice", numbers=0)
    for profile in load_profiles():
        name = f"{profile.name} (default)" if profile.default_of_family else profile.name
        table.add_row(
            name,
            profile.title,
            profile.family.value,
            str(profile.inference.threads or "cores"),
            "saturates" if profile.inference.int8_saturates else "exact sums",
            str(profile.inference.kinds[0]),
        )
    _console().print(table)


def device(name: str) -> None:
    from edgecv.devices import get_profile

    profile = get_profile(name)
    console = _console()
    console.print(f"{profile.title} ({profile.name}, family {profile.family.value})", style="bold")
    console.print(f"artifacts in order: {', '.join(str(kind) for kind in profile.inference.kinds)}")
    console.print(f"why: {profile.inference.why}")
    console.print(f"threads: {profile.inference.threads or 'the cores of the machine'}")
    console.print(f"int8 saturates: {'yes' if profile.inference.int8_saturates else 'no'}")
    console.print(f"memory: {', '.join(map(str, profile.memory.ram_mb)) or 'unknown'} MB")
    console.print(f"camera: --source {profile.camera.source}")
    table = _table("fact", "value", "source", "verified", numbers=0)
    for fact in profile.facts:
        table.add_row(fact.name, str(fact.value), fact.source, "yes" if fact.verified else "no")
    console.print(table)


def detected(as_json: bool) -> None:
    import json

    from edgecv.devices import select

    selected = select("auto")
    found: Detected = selected.detected
    facts = {
        "model": found.model,
        "profile": selected.profile.name,
        "architecture": found.architecture,
        "arithmetic": found.arithmetic,
        "cpu_features": sorted(found.cpu_features),
        "physical_cores": found.physical_cores,
        "logical_cores": found.logical_cores,
        "threads": selected.threads,
        "ram_mb": found.ram_mb,
        "int8_saturates": found.int8_saturates,
        "reason": found.reason,
        "note": selected.note,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    _facts({name: value for name, value in facts.items() if name != "note" or value})


def _facts(facts: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    table = _table("", "", numbers=0)
    table.show_header = False
    for name, value in facts.items():
        shown = ", ".join(value) if isinstance(value, list) else value
        table.add_row(name.replace("_", " "), "unknown" if value in (None, "", []) else str(shown))
    _console().print(table)


# Calibration pictures -------------------------------------------------------------------------------------


def checked(done: Checked, as_json: bool) -> None:
    """What the doctor found, a row a finding, then the verdicts."""
    import json

    if as_json:
        click.echo(json.dumps(checked_json(done), indent=2))
        return
    report, console = done.report, _console()
    if report.findings:
        table = _table("finding", "", "what", "where", "what to do", numbers=0)
        for finding in report.findings:
            table.add_row(
                finding.check.value,
                "left out" if finding.dropped else "said",
                finding.what,
                finding.where,
                finding.advice,
            )
        console.print(table)
    varied = "" if report.variety is None else f", as varied as {report.variety:.1f} different ones"
    console.print(f"{report.usable} of {report.seen} pictures are fit to calibrate on{varied}.")
    if done.ranges:
        console.print(f"{str(done.ranges)[0].upper()}{str(done.ranges)[1:]}.", soft_wrap=True)
    _notes(done.notes)


def checked_json(done: Checked) -> dict[str, Any]:
    import msgspec

    report = done.report
    ranges = done.ranges and {**msgspec.to_builtins(done.ranges), "stable": done.ranges.stable}
    return {**msgspec.to_builtins(report), "enough": report.enough, "ranges": ranges, "notes": done.notes}


def collected(done: Collected) -> None:
    """One line of what was seen, kept and left out, and one of why it ended early."""
    from edgecv.converters.collect import Ended

    left_out = ", ".join(f"{count} {check.value}" for check, count in done.dropped.items())
    there = f" ({done.before + done.kept} there now)" if done.before else ""
    click.echo(
        f"{done.seen} frames seen, {done.kept} kept in {done.folder}{there}"
        + (f"; left out: {left_out}" if left_out else "")
    )
    if done.ended is not Ended.DONE:
        _notes([f"{done.kept} of {done.wanted} frames: {done.ended.value}; {done.advice}"])


# What is in a bundle --------------------------------------------------------------------------------------


def inspected(found: Inspected, operations: bool, as_json: bool) -> None:
    """The verdict, the artifacts, their files, the search behind them, and how all of it was made."""
    import json

    from edgecv.reports import findings

    if as_json:
        click.echo(json.dumps(inspected_json(found), indent=2))
        return
    manifest, console = found.bundle.manifest, _console()
    _verdict(console, manifest)
    console.print(_cells(findings.artifact_cells(found.artifacts)))
    console.print(_cells(findings.file_cells(found.contents)))
    for row in found.contents:
        if row.unread:
            console.print(f"{row.kind}: {row.unread}", soft_wrap=True)
        elif operations:
            console.print(_cells(findings.operation_cells(row.operations), row.kind))
    for artifact in found.artifacts:
        if artifact.search:
            tried = findings.trial_cells(artifact).only(*TRIED)
            console.print(_cells(tried, f"{artifact.kind}, what was tried"))
    if manifest.sensitivity:
        most = None if operations else SENSITIVE
        console.print(_cells(findings.sensitivity_cells(manifest, most), "Sensitivity to int8"))
    for what, value in findings.condition_rows(manifest):
        console.print(f"{what}: {value}", soft_wrap=True)


def inspected_json(found: Inspected) -> dict[str, Any]:
    import msgspec

    from edgecv.converters.inspect import contents_json
    from edgecv.reports.findings import verdict

    manifest = found.bundle.manifest
    kept = msgspec.structs.replace(manifest, artifacts=found.artifacts)
    return {
        "bundle": str(found.bundle.root),
        "verdict": verdict(manifest)._asdict(),
        "manifest": msgspec.to_builtins(kept),
        "files": contents_json(found.contents),
    }


def _cells(cells: Cells, title: str | None = None) -> Table:
    """A table of findings, its headings on two lines; text, since names come from files."""
    from rich.text import Text

    table = _table(numbers=0)
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    table.pad_edge, table.collapse_padding = False, True
    for position, heading in enumerate(cells.headings):
        words = position < cells.words
        folded = heading.replace(", ", "\n").replace(" (", "\n(")
        table.add_column(folded, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in cells.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _notes(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def _table(*names: str, numbers: int) -> Table:
    """A plain table whose last `numbers` columns are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(names):
        table.add_column(name, justify="right" if position >= len(names) - numbers else "left")
    return table


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width: lines are left whole for whoever reads them.
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
