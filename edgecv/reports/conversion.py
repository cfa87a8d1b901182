"""The page of a conversion: what was kept, what it costs, what was tried, and where it goes wrong."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
from edgecv.reports.table import plain
from edgecv.reports.worst import WorstPicture

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

TEMPLATE = "conversion.html.jinja"
THUMBNAIL = 240  # pixels on the longer side: sharp on a phone, 10 kB


class _Search(NamedTuple):
    """The recipes tried for one artifact; `kept` is the number of the row that was kept."""

    kind: str
    cells: Cells
    kept: int | None


class _Picture(NamedTuple):
    name: str
    source: str
    kind: str
    truth: str | None
    reference: str
    answer: str


def write(
    path: Path,
    manifest: Manifest,
    worst: Sequence[WorstPicture] = (),
    contents: Sequence[Held] = (),
) -> None:
    """Write the page at `path`, which needs nothing beside itself.

    worst: pictures to show with both answers, from `reports.worst.worst_pictures`. contents: what the files
    hold, from `converters.inspect.contents`.
    Raises UsageError when the `report` extra is missing, EdgecvError when the disk refuses.
    """
    write_text(path, render(manifest, worst, contents))


def render(manifest: Manifest, worst: Sequence[WorstPicture] = (), contents: Sequence[Held] = ()) -> str:
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
        pictures=[_picture(each) for each in worst],
        conditions=condition_rows(manifest),
    )


def _search(kind: str, cells: Cells) -> _Search:
    kept = next((i for i, row in enumerate(cells.rows) if row[1] == "kept"), None)
    return _Search(kind, cells, kept)


def _picture(picture: WorstPicture) -> _Picture:
    return _Picture(
        name=plain(picture.name),
        source=_data_uri(picture.rgb),
        kind=str(picture.kind),
        truth=None if picture.truth is None else plain(picture.truth),
        reference=f"{plain(picture.reference.label)} {picture.reference.score:.2f}",
        answer=f"{plain(picture.answer.label)} {picture.answer.score:.2f}",
    )


def _data_uri(rgb: NDArray[np.uint8]) -> str:
    """A JPEG of at most THUMBNAIL pixels inside an address."""
    import cv2

    height, width = rgb.shape[:2]
    factor = min(THUMBNAIL / max(height, width), 1)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    _, jpeg = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(jpeg.tobytes()).decode("ascii")
