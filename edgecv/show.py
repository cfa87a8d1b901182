"""What a person or a pipe sees: tables, progress, JSON lines. Results to stdout, the rest to stderr."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from edgecv.api import Session
    from edgecv.converters.convert import Conversion
    from edgecv.devices import Detected
    from edgecv.reports.render import Written
    from edgecv.reports.schema import Accuracy, Report
    from edgecv.runtime.pipeline import Result, Summary
    from edgecv.runtime.replay import Replayed

REDRAW_S = 0.1  # of the live line


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
    manifest = done.bundle.manifest
    labelled = any(artifact.verified and artifact.verified.labelled for artifact in manifest.artifacts)
    table = _table("artifact", "size MB", "top-1 agreement", "SQNR dB", "largest error", numbers=4)
    if labelled:
        for name in ("top-1", "top-5"):
            table.add_column(name, justify="right")
    for artifact in manifest.artifacts:
        check = artifact.verified
        assert check is not None
        row = [
            str(artifact.kind),
            f"{artifact.bytes / 1e6:.1f}",
            f"{check.top1_agreement:.1%}",
            "exact" if check.sqnr_db is None else f"{check.sqnr_db:.1f}",
            f"{check.max_abs_error:.1e}",
        ]
        if labelled:
            row += [_percent(check.top1), _percent(check.top5)]
        table.add_row(*row)
    console = _console()
    console.print(table)
    check = manifest.artifacts[0].verified
    if check:
        console.print(
            f"Each against the float source on {check.images} pictures ({check.pictures}), "
            f"in its own engine, {manifest.made.arithmetic}."
        )
    spent = sorted(done.seconds.items(), key=lambda item: -item[1])
    parts = [f"{title} {seconds:.1f} s" for title, seconds in spent if seconds >= 0.5]
    console.print(f"Time: {sum(done.seconds.values()):.1f} s" + (f" ({', '.join(parts)})" if parts else ""))
    _notes(done.notes)
    console.print(f"Bundle: {done.bundle.root}", soft_wrap=True)


def conversion_json(done: Conversion) -> dict[str, Any]:
    import msgspec

    return {
        "bundle": str(done.bundle.root),
        "manifest": msgspec.to_builtins(done.bundle.manifest),
        "seconds": {title: round(seconds, 3) for title, seconds in done.seconds.items()},
        "notes": done.notes,
    }


def run(session: Session, as_json: bool) -> None:
    """Print results as they come; SIGINT and SIGTERM end the run after the frame in hand, with a summary."""
    import msgspec

    stopped = False

    def stop(*_: object) -> None:
        # A second signal means it: the default action is back in place.
        nonlocal stopped
        stopped = True
        for number in previous:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)
        session.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    live = not as_json and sys.stdout.isatty()
    click.echo(
        f"{session.artifact.kind} on {session.engine}, {session.selected.threads} threads, "
        f"{session.selected.profile.title}; source {session.source}",
        err=True,
    )
    encode, out, drawn = msgspec.json.Encoder().encode, sys.stdout.buffer, 0.0
    try:
        for result in session.run:
            if as_json:
                out.write(encode(result) + b"\n")
                out.flush()
            elif not live:
                click.echo(_line(result))
            elif (now := time.monotonic()) - drawn >= REDRAW_S:
                drawn = now
                width = os.get_terminal_size().columns if sys.stdout.isatty() else 80
                click.echo(f"\r\x1b[K{_line(result)[: width - 1]}", nl=False)
            if stopped:
                break
    except BrokenPipeError:  # `edgecv run --json | head -1`: whoever read has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        if live:
            click.echo()
    click.echo(_summary(session.run.summary()), err=True)


def _line(result: Result) -> str:
    top = "  ".join(f"{p.label} {p.score:.2f}" for p in result.top)
    where = f"{result.name}  " if result.name else ""
    return f"frame {result.frame}  {result.latency_ms:6.1f} ms  {where}{top}"


def _summary(summary: Summary) -> str:
    text = f"{summary.frames} frames, {summary.dropped} dropped"
    if summary.skipped:
        text += f", {summary.skipped} unreadable"
    if summary.fps is not None:
        text += f", {summary.fps:.1f} FPS"
    if latency := summary.latency:
        text += (
            f"; capture to result p50 {latency.p50_ms:.1f}, p90 {latency.p90_ms:.1f}, "
            f"p99 {latency.p99_ms:.1f} ms (nearest rank)"
        )
    return text


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
    table = _table("", "", numbers=0)
    table.show_header = False
    for name, value in facts.items():
        if name == "note" and value is None:
            continue
        shown = ", ".join(value) if isinstance(value, list) else value
        table.add_row(name.replace("_", " "), "unknown" if value in (None, "", []) else str(shown))
    _console().print(table)


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
