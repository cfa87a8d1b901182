"""What everything that is shown shares: progress, tables, notes."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID
    from rich.table import Table

    from edgecv.reports.findings import Cells


class _Stages:
    """A progress bar for each stage, or one for the whole of a job that tells its share done."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars
        self._whole: TaskID | None = None
        self._lines = os.environ.get("EDGECV_PROGRESS") == "lines"  # for a program that runs this one

    def say(self, text: str) -> None:
        """A line on stderr, above the bars."""
        if self._bars.disable:
            click.echo(text, err=True)
        else:
            self._bars.console.print(text, markup=False, highlight=False)

    def share(self, what: str, done: float) -> None:
        """Show `what` is being done and the share of everything that is done, 0 to 1."""
        if self._lines:
            click.echo(f"edgecv-progress {min(done, 1.0):.3f} {what}", err=True)
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


def counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'s' if count != 1 else ''}"


def print_whole(content: RenderableType) -> None:
    """Tables and the lines around them; in a pipe, where nothing has a width, no line is broken."""
    console = new_console()
    console.print(content, soft_wrap=not console.is_terminal)


def print_facts(facts: Mapping[str, Any]) -> None:
    """Names and values, a line each."""
    table = new_table("", "", numbers=0)
    table.show_header = False
    for name, value in facts.items():
        table.add_row(name.replace("_", " "), "unknown" if value in (None, "", []) else in_words(value))
    new_console().print(table)


def in_words(value: object) -> str:
    """A fact as it is said: no Python."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(in_words, value)) if isinstance(value, list | tuple) else str(value)


def cells_table(cells: Cells, title: str | None = None) -> Table:
    """A table of findings, its headings on two lines; text, since names come from files."""
    from rich.text import Text

    table = new_table(numbers=0)
    table.title, table.title_justify, table.title_style = title, "left", "bold"
    table.pad_edge, table.collapse_padding = False, True
    for position, heading in enumerate(cells.headings):
        words = position < cells.words
        folded = heading.replace(", ", "\n").replace(" (", "\n(")
        table.add_column(folded, justify="left" if words else "right", no_wrap=not words, overflow="fold")
    for row in cells.rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def print_notes(notes: Sequence[str]) -> None:
    for note in notes:
        click.echo(f"note: {note}", err=True)


def percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def new_table(*names: str, numbers: int) -> Table:
    """A plain table whose last `numbers` columns are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for position, name in enumerate(names):
        table.add_column(name, justify="right" if position >= len(names) - numbers else "left")
    return table


def new_console() -> Console:
    from rich.console import Console

    # A pipe has no width: lines are left whole for whoever reads them.
    return Console(width=None if sys.stdout.isatty() else 160, highlight=False, markup=False)
