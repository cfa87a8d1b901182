"""Corrupted frames: what holds for every frame, and levels and widths worked out by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import SIZE
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecv.bundle import Bundle
from edgecv.devices import Selected
from edgecv.errors import DataError
from edgecv.reports import corruptions
from edgecv.reports.corruptions import (
    FRAME_SIDE,
    SEVERITIES,
    STRENGTHS,
    Corruption,
    corrupt,
    disc_kernel,
    line_kernel,
    measure_robustness,
    shrink,
)
from edgecv.reports.panel import Panel

KINDS = tuple(corruption for corruption in Corruption if corruption is not Corruption.NONE)
frames = hnp.arrays(np.uint8, st.tuples(st.integers(1, 33), st.integers(1, 33), st.just(3)))
strengths = st.integers(1, STRENGTHS)
seeds = st.integers(0, 2**32)


def scene(height: int, width: int) -> np.ndarray:
    """Edges, gradients and colours, as in a photograph; [height, width, 3] uint8."""
    y, x = np.mgrid[0:height, 0:width] / min(height, width)
    stripes, rings = 120 * (np.sin(40 * x) > 0), 90 * (np.hypot(x, y) % 0.2 > 0.1)
    bgr = np.stack([60 + stripes, 200 - 100 * y, 80 + rings], axis=-1)
    return np.clip(bgr, 0, 255).astype(np.uint8)


def damage(frame: np.ndarray, corrupted: np.ndarray) -> float:
    return float(np.abs(frame.astype(np.float64) - corrupted).mean())


@settings(max_examples=40)
@given(frames, st.sampled_from(Corruption), strengths, seeds)
def test_every_frame(frame: np.ndarray, corruption: Corruption, strength: int, seed: int) -> None:
    before = frame.copy()
    corrupted = corrupt(frame, corruption, strength, seed)
    assert (corrupted.shape, corrupted.dtype) == (frame.shape, np.uint8)
    np.testing.assert_array_equal(corrupt(frame, corruption, strength, seed), corrupted)
    np.testing.assert_array_equal(frame, before)
    np.testing.assert_array_equal(corrupt(frame, corruption, 0, seed), frame)


@settings(max_examples=40)
@given(frames, st.sampled_from([Corruption.NOISE, Corruption.WHITE_BALANCE]), st.integers(1, 4), seeds)
def test_every_pixel_moves_on(frame: np.ndarray, corruption: Corruption, strength: int, seed: int) -> None:
    """Noise and colour casts of one seed differ between strengths in their size only."""
    less, more = (corrupt(frame, corruption, s, seed).astype(int) - frame for s in (strength, strength + 1))
    assert (np.abs(more) >= np.abs(less)).all()


@pytest.mark.parametrize("corruption", KINDS)
@pytest.mark.parametrize("size", [(120, 160), (299, 299), (61, 47)])
def test_damage_grows(corruption: Corruption, size: tuple[int, int]) -> None:
    frame = scene(*size)
    grown = [damage(frame, corrupt(frame, corruption, strength, 3)) for strength in range(STRENGTHS + 1)]
    assert sorted(grown) == grown
    # of a picture of 47 pixels the least blurs are less than half a pixel wide
    assert len(set(grown)) > (STRENGTHS if min(size) > 100 else STRENGTHS - 2)


@pytest.mark.parametrize("corruption", [Corruption.NOISE, Corruption.MOTION, Corruption.WHITE_BALANCE])
def test_seeds_differ(corruption: Corruption) -> None:
    frame = scene(40, 40)
    different = {corrupt(frame, corruption, 3, seed).tobytes() for seed in range(8)}
    assert len(different) >= 2


@pytest.mark.parametrize("corruption", [Corruption.MOTION, Corruption.DEFOCUS])
def test_blur_is_a_share_of_the_picture(corruption: Corruption) -> None:
    """A picture twice as large is damaged as much, not half as much."""
    small = scene(150, 200)
    large = cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    expected, found = (damage(frame, corrupt(frame, corruption, 4, 1)) for frame in (small, large))
    assert found == pytest.approx(expected, rel=0.1)


def test_noise_is_that_of_the_electrons() -> None:
    grey = np.full((200, 200, 3), 186, np.uint8)  # half of the light of white: (186 / 255)^2.2
    for strength, electrons in enumerate(corruptions.NOISE_ELECTRONS[:3], 1):
        noisy = (corrupt(grey, Corruption.NOISE, strength, 0) / 255) ** 2.2 * electrons
        assert noisy.mean() == pytest.approx(electrons / 2, rel=0.02)
        assert noisy.std() == pytest.approx(np.sqrt(electrons / 2 + 3**2), rel=0.03)


def test_low_light_by_hand() -> None:
    white = np.full((200, 200, 3), 255, np.uint8)
    dark = corrupt(white, Corruption.LOW_LIGHT, 1, 0)
    assert dark.mean() == pytest.approx(255 * 0.4 ** (1 / 2.2), abs=0.5)  # 168
    darkest = (corrupt(white, Corruption.LOW_LIGHT, 5, 0) / 255) ** 2.2 * 1000
    assert darkest.mean() == pytest.approx(25, abs=0.5)  # electrons of 1,000, and their noise
    assert darkest.std() == pytest.approx(np.sqrt(25 + 3**2), rel=0.03)


def test_white_balance_by_hand() -> None:
    grey = np.full((1, 1, 3), 100, np.uint8)
    up, down = (round(100 * ratio ** (1 / 2.2)) for ratio in (1.4, 1 / 1.4))
    found = {tuple(corrupt(grey, Corruption.WHITE_BALANCE, 2, seed)[0, 0].tolist()) for seed in range(16)}
    assert found == {(up, 100, down), (down, 100, up)}  # blue, or red


@given(st.floats(0, 40), st.floats(0, np.pi))
def test_line_kernel(length: float, angle: float) -> None:
    """Of sum 1, centred, and as wide along and across as the line is."""
    kernel = line_kernel(length, angle)
    half = len(kernel) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    assert kernel.min() >= 0
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert (kernel * x).sum() == pytest.approx(0, abs=1e-3)
    assert (kernel * y).sum() == pytest.approx(0, abs=1e-3)
    along = (kernel * (x * np.cos(angle) + y * np.sin(angle)) ** 2).sum()
    across = (kernel * (y * np.cos(angle) - x * np.sin(angle)) ** 2).sum()
    assert np.sqrt(along) == pytest.approx(length / np.sqrt(12), abs=0.6)
    assert across <= 0.6  # a pixel is as wide as it is


@given(st.floats(0, 40))
def test_disc_kernel(radius: float) -> None:
    kernel = disc_kernel(radius)
    half = len(kernel) // 2
    _, x = np.mgrid[-half : half + 1, -half : half + 1]
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    np.testing.assert_array_equal(kernel, kernel.T)
    np.testing.assert_array_equal(kernel, kernel[::-1, ::-1])
    assert np.sqrt((kernel * x**2).sum()) == pytest.approx(radius / 2, abs=0.4)


@pytest.mark.parametrize("strength", [-1, 6])
def test_no_such_strength(strength: int) -> None:
    with pytest.raises(ValueError, match=f"strength {strength} is not one of 0 to 5"):
        corrupt(scene(4, 4), Corruption.JPEG, strength, 0)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((960, 1280), (480, 640)),
        ((1280, 960), (640, 480)),
        ((480, 4000), (480, 4000)),  # the shorter side counts
        ((299, 299), (299, 299)),  # never enlarged
    ],
)
def test_shrink(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert shrink(np.zeros((*size, 3), np.uint8), FRAME_SIDE).shape == (*expected, 3)


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[Path, int]]:
    """Five white pictures, which the fake engine gives class 9; the last is said to be 0."""
    found = []
    for index in range(5):
        path = tmp_path / f"{index}.png"
        cv2.imwrite(str(path), np.full((SIZE, SIZE + 5, 3), 255, np.uint8))
        found.append((path, 9 if index < 4 else 0))
    return found


def test_robustness_by_hand(bundle: Bundle, files, selected: Selected, fake_engine: None) -> None:
    del fake_engine
    said: list[int] = []
    with Panel(bundle, bundle.manifest.artifacts[:2], selected) as panel:
        found = measure_robustness(panel, files, 9, said.append)
    assert said == list(range(5 * len(SEVERITIES)))
    assert list(found) == [artifact.kind for artifact in bundle.manifest.artifacts[:2]]
    for rows in found.values():
        assert [(row.corruption, row.strength) for row in rows] == [
            ("none", 0),
            *((kind.value, strength) for kind in KINDS for strength in (1, 2, 3, 4, 5)),
        ]
        assert {row.n for row in rows} == {5}
        top1 = {(row.corruption, row.strength): row.top1 for row in rows}
        assert top1["none", 0] == 0.8
        assert top1["motion blur", 5] == top1["defocus", 5] == top1["JPEG", 5] == 0.8  # white stays white
        # at 168 of 255 a picture is class 6, and at 48 class 2
        assert top1["low light", 1] == top1["low light", 5] == 0.0


def test_pictures_are_spread(bundle: Bundle, files, selected: Selected, fake_engine: None) -> None:
    del fake_engine
    with Panel(bundle, bundle.manifest.artifacts[:1], selected) as panel:
        (rows,) = measure_robustness(panel, files, 2, lambda _step: None).values()
        assert rows[0].n == 2
        files[-1][0].unlink()
        with pytest.raises(DataError, match=r"4\.png: changed or taken away"):
            measure_robustness(panel, files, 5, lambda _step: None)
    hundred = [(Path(str(i)), i) for i in range(100)]
    chosen = [label for _, label in corruptions._spread(hundred, 10)]
    assert len(chosen) == 10
    assert set(np.diff(chosen)) == {10}
    assert [label for _, label in corruptions._spread(hundred, 100)] == list(range(100))
