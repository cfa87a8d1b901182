"""A run on the terminal, and the service that keeps one."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from edgecv.show.terminal import counted, print_facts, print_notes

if TYPE_CHECKING:
    from edgecv.runtime.results import Result, Summary
    from edgecv.runtime.session import Session
    from edgecv.service import Installed, Status

REDRAW_S = 0.1  # of the live line


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
        f"{session.artifact.kind} on {session.engine}, {counted(session.options.threads, 'thread')}, "
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


def _summary(summary: Summary) -> str:
    dropped = summary.dropped
    text = f"{counted(summary.frames, 'frame')}, {dropped.total} dropped"
    if dropped.total:
        text += f" ({dropped.capture} before and {dropped.queue} after preparing, for newer ones)"
    if summary.skipped:
        text += f", {summary.skipped} unreadable"
    if summary.engine_failures:
        text += f", {summary.engine_failures} failed in the engine"
    for count, what in ((summary.reconnects, "reconnect"), (summary.events, "event")):
        if count:
            text += f", {counted(count, what)}"
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
            f"\nmotion gate: {counted(summary.avoided.inferences, 'inference')} avoided, "
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
    print_notes(done.notes)


def service_status(found: Status, as_json: bool) -> None:
    import json

    facts = found._asdict()
    if as_json:
        click.echo(json.dumps(facts, indent=2))
    else:
        memory_mb = facts.pop("memory_mb")
        print_facts({**facts, "memory": f"{memory_mb} MB" if memory_mb else None})
