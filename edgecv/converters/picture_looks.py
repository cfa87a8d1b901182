"""What can be measured of one picture: sharpness, exposure, colour, and a fingerprint to find it again.

OpenCV and numpy only: `edgecv calibration collect` looks at frames on the board.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LOOK_SIDE = 224  # pixels of the shorter side, so that every measure means the same at every resolution
_TILES = 4  # sharpness is that of the sharpest of 4 x 4 tiles: a blurred background is no fault
_LAYOUT_SIDE = 16
_BLACK, _WHITE = 5, 250  # levels from which on a pixel says no more than "dark" or "bright"
_FLATTEST = 16  # levels; contrast below is not stretched further, or noise would count as sharpness

# A pair is one picture twice when both hold. Measured on 1,128 photographs and altered copies of 150 of them
# (JPEG at quality 20 and 50, halved, doubled, noise): copies differ in 4 bits at most (8 for drawn patterns)
# and by 15 levels, different photographs in 10 bits at least. The second rule keeps frames of a still camera
# in which something moved, which the hash alone would call the same.
SAME_HASH_BITS = 8  # of 64
SAME_LAYOUT_LEVELS = 24  # of 255, in the one of 16 x 16 places that differs most


class Look(NamedTuple):
    """The measures of one picture.

    sharpness: variance of the Laplacian in the sharpest tile, after stretching the contrast to 0..255
    (Pech-Pacheco et al., ICPR 2000, made blind to how dim it is). dark, light: the grey levels below which
    99 % and 1 % of the pixels lie. black, white: shares of clipped pixels. colour: mean distance of the
    largest from the smallest channel, in levels. phash: [8] uint8, 64 bits. layout: [16, 16, 3] float32,
    Lab in levels, each channel's mean taken away.
    """

    size_hw: tuple[int, int]
    sharpness: float
    dark: float
    light: float
    black: float
    white: float
    colour: float
    phash: NDArray[np.uint8]
    layout: NDArray[np.float32]


def look(bgr: NDArray[np.uint8]) -> Look:
    """Measure a picture [H, W, 3] uint8 BGR of any size."""
    import cv2

    height, width = bgr.shape[:2]
    scale = min(1.0, LOOK_SIDE / min(height, width))  # never enlarged: that would blur it
    if scale < 1:
        size_wh = (max(1, round(width * scale)), max(1, round(height * scale)))
        bgr = cv2.resize(bgr, size_wh, interpolation=cv2.INTER_AREA)
    grey = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    light, dark = np.percentile(grey, [1, 99])
    side = (_LAYOUT_SIDE, _LAYOUT_SIDE)
    lab = cv2.cvtColor(cv2.resize(bgr, side, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2LAB)
    layout = lab.astype(np.float32)
    channels = bgr.max(axis=2).astype(np.int16) - bgr.min(axis=2)
    return Look(
        size_hw=(height, width),
        sharpness=_sharpest(grey) * (255 / max(dark - light, _FLATTEST)) ** 2,
        dark=float(dark),
        light=float(light),
        black=float((grey <= _BLACK).mean()),
        white=float((grey >= _WHITE).mean()),
        colour=float(channels.mean()),
        phash=_phash(grey),
        layout=layout - layout.mean(axis=(0, 1)),
    )


def _sharpest(grey: NDArray[np.uint8]) -> float:
    import cv2

    edges = cv2.Laplacian(grey, cv2.CV_32F)
    rows = (part for part in np.array_split(edges, _TILES, axis=0) if part.size)
    tiles = (tile for row in rows for tile in np.array_split(row, _TILES, axis=1) if tile.size)
    return max(float(tile.var()) for tile in tiles)


def _phash(grey: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """[8] uint8: the signs of the 64 lowest frequencies about their median (Zauner, 2010), as ImageHash's
    `phash`, from which it differs in 2 bits at most for 95 % of photographs."""
    import cv2

    small = cv2.resize(grey, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    low = cv2.dct(small)[:8, :8].ravel()
    return np.packbits(low > np.median(low))


_ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)


class Seen:
    """Fingerprints of pictures, to find one that was there before."""

    def __init__(self) -> None:
        self._names: list[str] = []
        self._hashes = np.empty((64, 8), np.uint8)  # grown by doubling
        self._layouts: list[NDArray[np.float32]] = []

    def add(self, name: str, picture: Look) -> None:
        count = len(self._names)
        if count == len(self._hashes):
            self._hashes = np.concatenate([self._hashes, np.empty_like(self._hashes)])
        self._hashes[count] = picture.phash
        self._names.append(name)
        self._layouts.append(picture.layout)

    def find(self, picture: Look) -> str | None:
        """The name of a picture that is the same one, None when there is none."""
        bits = _ONES[self._hashes[: len(self._names)] ^ picture.phash].sum(axis=1)
        for index in np.flatnonzero(bits <= SAME_HASH_BITS):
            if np.abs(self._layouts[index] - picture.layout).max() <= SAME_LAYOUT_LEVELS:
                return self._names[index]
        return None

    def variety(self) -> float | None:
        """As how many wholly different pictures these count; None without any.

        The Vendi score (Friedman and Dieng, TMLR 2023): the exponential of the entropy of the eigenvalues
        of the similarity matrix over n, here the cosine of the layouts at half their size. 1 for one picture
        n times, n for n that have nothing in common.
        """
        if not self._layouts:
            return None
        half = _LAYOUT_SIDE // 2
        blocks = np.stack(self._layouts).reshape(-1, half, 2, half, 2, 3).mean(axis=(2, 4))
        rows = blocks.reshape(len(blocks), -1).astype(np.float64)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        rows = np.where(norms > 1e-6, rows / np.maximum(norms, 1e-6), 1 / np.sqrt(rows.shape[1]))
        # The n x n and the 192 x 192 product have the same eigenvalues but zeros: take the smaller one.
        product = rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows
        shares = np.linalg.eigvalsh(product) / len(rows)
        shares = shares[shares > 1e-12]
        return float(np.exp(-(shares * np.log(shares)).sum()))
