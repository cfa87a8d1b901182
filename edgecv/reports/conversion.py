"""The page of a conversion: what was kept, what it costs, what was tried, and where it goes wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from edgecv.bundle import Manifest
from edgecv.files import write_text
from edgecv.reports.conversion_plots import conversion_plots
from edgecv.reports.findings import (
    Cells,
    Held,
    artifact_cells,
    condition_rows,
    file_cells,
    reduced_artifacts,
    trial_cells,
    verdict,
)
from edgecv.reports.pages import render_page, require_packages
from edgecv.reports.schema import WrongPicture
from edgecv.reports.wording import plain

TEMPLATE = "conversion.html.jinja"


class _Search(NamedTuple):
    """The recipes tried for one artifact; `kept` is the number of the row that was kept."""

    kind: str
    cells: Cells
    kept: int | None


def write(
    path: Path,
    manifest: Manifest,
    worst: Sequence[WrongPicture] = (),
    contents: Sequence[Held] = (),
) -> None:
    """Write the page at `path`, which needs nothing beside itself.

    worst: pictures to show with both answers, from `reports.worst.worst_pictures`. contents: what the files
    hold, from `converters.inspect.contents`.
    Raises UsageError when the `report` extra is missing, EdgecvError when the disk refuses.
    """
    write_text(path, render(manifest, worst, contents))


def render(manifest: Manifest, worst: Sequence[WrongPicture] = (), contents: Sequence[Held] = ()) -> str:
    """The page as text; UsageError when the `report` extra is missing."""
    require_packages()
    reduced = [artifact for artifact in reduced_artifacts(manifest) if artifact.search]
    return render_page(
        TEMPLATE,
        title=plain(manifest.name),
        verdict=verdict(manifest),
        artifacts=artifact_cells(manifest.artifacts),
        recipes={str(a.kind): plain(a.recipe) for a in manifest.artifacts},
        files=file_cells(contents),
        plots=conversion_plots(manifest),
        searches=[_search(str(a.kind), trial_cells(a)) for a in reduced],
        pictures=worst,
        conditions=condition_rows(manifest),
    )


def _search(kind: str, cells: Cells) -> _Search:
    kept = next((i for i, row in enumerate(cells.rows) if row[1] == "kept"), None)
    return _Search(kind, cells, kept)
