"""Tables of text, for the pages and for Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from typing import NamedTuple

from edgecv.reports.schema import ArtifactReport, Measured
from edgecv.reports.wording import NONE, plain


class Column(NamedTuple):
    """A column about an artifact.

    cell: from a measured artifact to text. narrow: the heading in a terminal, which has no room for the
    columns without one. words: text, aligned left, where the others are numbers.
    """

    group: str
    heading: str
    cell: Callable[[ArtifactReport, Measured], str]
    narrow: str = ""
    words: bool = False


class Line(NamedTuple):
    """A table's row: its name with what stands small below, and its cells.

    mark: a word of warning beside the name. best: whether it stands out. bar: 0 to 1, drawn below the name.
    instead: what is said where there are no cells.
    """

    name: str
    cells: tuple[str, ...] = ()
    below: str = ""
    mark: str = ""
    best: bool = False
    bar: float | None = None
    instead: str = ""


class Sheet(NamedTuple):
    """A table for the page and for Markdown. first: the heading of the names."""

    title: str
    note: str
    first: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Neighbouring columns of one group, with their number."""
        neighbours = itertools.groupby(self.columns, key=lambda column: column.group)
        return [(group, len(list(members))) for group, members in neighbours]


def text_column(heading: str, group: str = "", words: bool = False) -> Column:
    """A column whose cells are in the lines: they are of no single artifact."""
    return Column(group, heading, lambda _artifact, _measured: NONE, words=words)


def markdown_sheet(sheet: Sheet) -> list[str]:
    """A sheet's title, note and rows as lines of Markdown."""
    lines = ["", f"## {markdown(sheet.title)}"] if sheet.title else []
    lines += ["", markdown(sheet.note)] if sheet.note else []
    if not sheet.lines:
        return lines
    headings = [sheet.first, *(f"{column.group} {column.heading}".strip() for column in sheet.columns)]
    lines += ["", markdown_row(headings)]
    lines.append("|---|" + "|".join("---" if column.words else "---:" for column in sheet.columns) + "|")
    return [*lines, *(markdown_row(_cells(line, len(sheet.columns))) for line in sheet.lines)]


def markdown_row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(map(markdown, cells)) + " |"


def _cells(line: Line, count: int) -> list[str]:
    """A row's cells, its name first, with what stands beside and below it."""
    beside = ", ".join(filter(None, (line.mark, line.below)))
    name = f"{line.name} ({beside})" if beside else line.name
    return [name, *([line.instead, *[NONE] * (count - 1)] if line.instead else line.cells)]


def markdown(text: str) -> str:
    """Plain text in Markdown: neither a table's bar, nor HTML, nor emphasis or links of its own."""
    text = plain(text).replace("&", "&amp;").replace("<", "&lt;")
    for character in "\\|`*_[]":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())
