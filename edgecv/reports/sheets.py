"""Tables of text beside an artifact's own: their columns, and any table as Markdown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.errors import UsageError
from edgecv.files import write_text, writing
from edgecv.reports.render import Written
from edgecv.reports.table import Column, Line, Sheet
from edgecv.reports.wording import NONE, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def text_column(heading: str, group: str = "", words: bool = False) -> Column:
    """A column whose cells are in the lines: they are of no single artifact."""
    return Column(group, heading, lambda _artifact, _measured: NONE, words=words)


def markdown_sheet(sheet: Sheet, level: str = "##") -> list[str]:
    """A sheet's title, note and rows as lines of Markdown."""
    lines = ["", f"{level} {markdown(sheet.title)}"] if sheet.title else []
    lines += ["", markdown(sheet.note)] if sheet.note else []
    headings = [sheet.first, *(f"{column.group} {column.heading}".strip() for column in sheet.columns)]
    lines += ["", _row(headings)]
    lines.append("|---|" + "|".join("---" if column.words else "---:" for column in sheet.columns) + "|")
    return [*lines, *(_row(_cells(line, len(sheet.columns))) for line in sheet.lines)]


def _row(cells: list[str]) -> str:
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


def write_files(folder: Path, texts: Mapping[str, str], html: str, page: Callable[[], str]) -> Written:
    """Write `texts` by their names into a folder, and the page as `html` where it can be made.

    Older ones are replaced, other files left alone. Raises EdgecvError when the disk refuses.
    """
    note = None
    files = dict(texts)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        files[html] = page()
    except UsageError as error:
        note = f"no {html}: {error}"
        with writing(folder / html):
            (folder / html).unlink(missing_ok=True)  # it would show the numbers of an older run
    for name, text in files.items():
        write_text(folder / name, text)
    return Written(tuple(folder / name for name in files), note)
