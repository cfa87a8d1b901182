"""A fleet in words, tables and files: fleet.json to keep, fleet.md to paste, fleet.html to look at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from edgecv.reports.facts import Headline, in_short
from edgecv.reports.fleet import MAX_DROP, Board, Fleet, Result
from edgecv.reports.fleet_plots import fleet_plots
from edgecv.reports.pages import Written, render_page, require_packages, write_files
from edgecv.reports.sheets import Line, Sheet, markdown, markdown_sheet, text_column
from edgecv.reports.wording import INVALID, NONE, artifact_name, ms, number, optional, plain, plural, share

JSON, MARKDOWN, HTML = "fleet.json", "fleet.md", "fleet.html"
TEMPLATE = "fleet.html.jinja"
BEST = (
    f"Best: a board's fastest artifact, by the p50 of inference, of those that lost at most {MAX_DROP:g} "
    f"top-1 points against float, where that was measured; none that is {INVALID}, unless forced. mJ: energy "
    "of a frame. MiB: peak memory. °C: the highest seen."
)
_HEADINGS = (
    ("Inference, ms", "p50"),
    ("Inference, ms", "p90"),
    ("", "FPS"),
    ("", "top-1 %"),
    ("", "mJ"),
    ("", "MiB"),
    ("", "°C"),
)


def write_fleet(fleet: Fleet, folder: Path) -> Written:
    """Write fleet.json, fleet.md and, where the `report` extra is installed, fleet.html.

    Raises EdgecvError when the disk refuses.
    """
    texts = {JSON: fleet_json(fleet), MARKDOWN: fleet_markdown(fleet)}
    return write_files(folder, texts, HTML, lambda: fleet_html(fleet))


def fleet_json(fleet: Fleet) -> str:
    return msgspec.json.format(msgspec.json.encode(fleet), indent=1).decode() + "\n"


def title(fleet: Fleet) -> str:
    bundles = sorted({board.bundle for board in fleet.boards})
    what = bundles[0] if len(bundles) == 1 else plural(len(bundles), "bundle")
    return plain(f"{what} on {plural(len(fleet.boards), 'board')}")


def verdict(fleet: Fleet) -> tuple[bool, str, tuple[tuple[str, str], ...]]:
    """Whether all are VALID, that as a headline, and each board that is not with what was found."""
    bad = [board for board in fleet.boards if not board.verdict.valid]
    found = tuple((plain(board.name), in_short(board.verdict)) for board in bad)
    count = len(fleet.boards)
    headline = f"{plural(count, 'board')}, VALID" if not bad else f"{len(bad)} of {count} boards {INVALID}"
    return not bad, headline, found


def headlines(fleet: Fleet) -> tuple[Headline, ...]:
    """The fastest, most accurate and most efficient of the boards' best artifacts."""
    best = [(board, result) for board in fleet.boards if (result := board.result(board.best))]

    def tile(what: str, key: Callable[[Result], float | None], value: str, detail: str) -> Iterator[Headline]:
        known = [(order, i) for i, (_, result) in enumerate(best) if (order := key(result)) is not None]
        if known:
            board, result = best[min(known)[1]]
            cells = dict(zip((heading for _, heading in _HEADINGS), _cells(result), strict=True))
            who = f"{plain(board.name)}, {artifact_name(result.artifact)}"
            yield Headline(what, who, value.format_map(cells), detail.format_map(cells), result.valid)

    return (
        *tile("Fastest", lambda r: r.p50_ms, "{p50} ms", "p50 inference · {FPS} frames/s"),
        *tile("Most accurate", lambda r: r.top1 and -r.top1, "{top-1 %} %", "top-1 · {p50} ms p50 inference"),
        *tile("Most efficient", lambda r: r.energy_mj, "{mJ} mJ", "a frame"),
    )


def board_sheet(fleet: Fleet) -> Sheet:
    """A line a board, with its best artifact."""
    columns = [text_column("Best", words=True)]
    columns += [text_column(heading, group) for group, heading in _HEADINGS]
    columns += [text_column(heading, words=True) for heading in ("Mode", "Profile")]
    lines = []
    for board in fleet.boards:
        result = board.result(board.best)
        cells = [NONE] * (len(_HEADINGS) - 1) + [_heat(board)]
        cells = [artifact_name(result.artifact), *_cells(result, board)] if result else [NONE, *cells]
        cells += [board.mode.value, plain(board.device)]
        mark = "" if board.verdict.valid else INVALID
        lines.append(Line(plain(board.name), tuple(cells), below=plain(board.model), mark=mark))
    return Sheet("Boards", BEST, "Board", tuple(columns), tuple(lines))


def artifact_sheets(fleet: Fleet) -> tuple[Sheet, ...]:
    """A table for each board, of all its artifacts."""
    columns = tuple(text_column(heading, group) for group, heading in _HEADINGS)
    found = []
    for board in fleet.boards:
        lines = tuple(
            Line(
                artifact_name(result.artifact),
                () if result.skipped is not None else tuple(_cells(result)),
                below=plain(result.engine or ""),
                mark="" if result.valid else INVALID,
                best=result.artifact == board.best,
                instead=optional(result.skipped, lambda why: f"skipped: {plain(why)}", ""),
            )
            for result in board.results
        )
        found.append(Sheet(plain(board.name), plain(board.model), "Artifact", columns, lines))
    return tuple(found)


def _cells(result: Result, board: Board | None = None) -> list[str]:
    """In the order of _HEADINGS; with a board, its own highest temperature."""
    known: tuple[tuple[float | None, Callable[[float], str]], ...] = (
        (result.p50_ms, ms),
        (result.p90_ms, ms),
        (result.fps, number),
        (result.top1, share),
        (result.energy_mj, number),
        (result.memory_mb, number),
    )
    heat = _heat(board) if board else optional(result.temperature_c, lambda c: f"{c:.0f}")
    return [*(optional(value, text) for value, text in known), heat]


def _heat(board: Board) -> str:
    return optional(board.temperature_c, lambda celsius: f"{celsius:.0f}")


def fleet_markdown(fleet: Fleet) -> str:
    _, headline, reasons = verdict(fleet)
    lines = [f"# {markdown(title(fleet))}", "", f"**{headline}**", ""]
    lines += [f"- **{INVALID}:** {markdown(f'{name}: {reason}')}" for name, reason in reasons]
    lines += [f"- **Note:** {markdown(note)}" for note in fleet.notes]
    for sheet in (board_sheet(fleet), *artifact_sheets(fleet)):
        lines += markdown_sheet(sheet)
    return "\n".join(lines) + "\n"


def fleet_html(fleet: Fleet) -> str:
    """One page that needs nothing beside itself; raises UsageError when the `report` extra is missing."""
    require_packages(f"read {MARKDOWN}")
    good, headline, found = verdict(fleet)
    return render_page(
        TEMPLATE,
        sortable=True,
        title=title(fleet),
        good=good,
        headline=headline,
        found=found,
        headlines=headlines(fleet),
        boards=board_sheet(fleet),
        plots=fleet_plots(fleet),
        sheets=artifact_sheets(fleet),
        notes=tuple(map(plain, fleet.notes)),
    )
