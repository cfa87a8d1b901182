"""Photographs: one file, a folder, a pattern, or a list of paths."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from edgecv.errors import SourceError
from edgecv.photos import SUFFIXES, list_images, match_images, read_image
from edgecv.runtime.sources.base import Opened, Shot, Shots
from edgecv.runtime.sources.replay import Replay


def open_images(paths: Sequence[Path], where: str) -> Replay:
    """The photographs in the order given; those that cannot be read are counted as skipped."""
    nothing = f"{where}: none of its {len(paths)} images can be read; are they damaged or half copied?"
    if len(paths) == 1:
        nothing = f"{paths[0]} cannot be read as an image; is it damaged or half copied?"
    return Replay(Opened(_shots(paths)), nothing)


def open_folder(folder: Path) -> Replay:
    """The images in and below a folder, `img2` before `img10`; hidden ones stay out, being thumbnails mostly.

    Raises SourceError when there is none.
    """
    paths = list_images(folder)
    if not paths:
        raise SourceError(f"no image in {folder} or below it ({' '.join(SUFFIXES)})")
    return open_images(paths, str(folder))


def open_pattern(pattern: str) -> Replay:
    """The images a shell pattern matches, `**` reaching into folders. SourceError when there is none."""
    paths, matches = match_images(pattern)
    if not paths:
        what = f"{matches} matches, none an image ({' '.join(SUFFIXES)})" if matches else "no match"
        raise SourceError(f"{pattern}: {what}; patterns choose images, a video is given by its own path")
    return open_images(paths, pattern)


def _shots(paths: Sequence[Path]) -> Shots:
    for path in paths:
        bgr = read_image(path)
        yield (
            None
            if bgr is None
            else Shot(bgr, time.perf_counter(), os.fsencode(path.name).decode(errors="replace"))
        )
