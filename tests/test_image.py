from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.image import Preprocessor
from edgecv.spec import Color, Interpolation, Preprocess, Resize


def gradient(height: int, width: int) -> np.ndarray:
    """Blue grows to the right, green downwards, red is 200 everywhere; BGR."""
    frame = np.empty((height, width, 3), np.uint8)
    frame[..., 0] = np.linspace(0, 255, width).astype(np.uint8)
    frame[..., 1] = np.linspace(0, 255, height).astype(np.uint8)[:, None]
    frame[..., 2] = 200
    return frame


def test_colour_order_is_swapped_once() -> None:
    image = Preprocessor(Preprocess(size_hw=(8, 8)))(gradient(8, 8))
    assert image.shape == (1, 8, 8, 3)
    assert image.dtype == np.uint8
    assert (image[0, ..., 0] == 200).all()  # red first
    assert image[0, 0, 0].tolist() == [200, 0, 0]
    assert image[0, -1, -1].tolist() == [200, 255, 255]


@pytest.mark.parametrize("resize", list(Resize))
def test_bgr_is_rgb_with_the_channels_reversed(resize: Resize) -> None:
    frame = gradient(30, 50)
    rgb = Preprocessor(Preprocess(size_hw=(12, 16), resize=resize))(frame)
    bgr = Preprocessor(Preprocess(size_hw=(12, 16), resize=resize, color=Color.BGR))(frame)
    assert (bgr == rgb[..., ::-1]).all()
    assert (bgr[0, 0, 0] != rgb[0, 0, 0]).any()


@pytest.mark.parametrize(
    ("height", "width", "inner"),
    [
        (20, 40, (8, 16)),  # wide: grey below
        (40, 20, (16, 8)),  # tall: grey on the right
        (16, 16, (16, 16)),  # the same shape: no grey
        (2, 900, (1, 16)),  # so wide that less than a row would be left of it
    ],
)
def test_letterbox_keeps_the_aspect_ratio_and_pads_right_and_bottom(
    height: int, width: int, inner: tuple[int, int]
) -> None:
    preprocessor = Preprocessor(Preprocess(size_hw=(16, 16), resize=Resize.LETTERBOX, pad_value=7))
    preprocessor(np.full((16, 16, 3), 99, np.uint8))  # what an earlier frame left must not show through
    image = preprocessor(np.full((height, width, 3), 200, np.uint8))[0]
    expected = np.full((16, 16, 3), 7, np.uint8)
    expected[: inner[0], : inner[1]] = 200
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize(
    ("height", "width", "fraction", "left", "right"),
    [
        (100, 200, 1.0, 50, 149),  # the middle square of a wide frame
        (200, 100, 1.0, 0, 99),  # a tall frame keeps its whole width
        (100, 200, 0.5, 75, 124),  # half of the shorter side
        (100, 100, 1.0, 0, 99),  # a square is left alone
    ],
)
def test_centre_crop_takes_the_middle(
    height: int, width: int, fraction: float, left: int, right: int
) -> None:
    frame = np.zeros((height, width, 3), np.uint8)
    frame[..., 0] = np.arange(width, dtype=np.uint8)
    size = round(min(height, width) * fraction)
    rule = Preprocess(size_hw=(size, size), crop_fraction=fraction)
    image = Preprocessor(rule)(frame)
    assert image[0, 0, [0, -1], 2].tolist() == [left, right]


def test_stretch_takes_everything() -> None:
    image = Preprocessor(Preprocess(size_hw=(8, 8), resize=Resize.STRETCH, interpolation=Interpolation.AREA))(
        gradient(16, 64)
    )
    assert image[0, 0, 0, 2] < 20
    assert image[0, 0, -1, 2] > 235


def test_area_averages_and_the_others_sample() -> None:
    """A checkerboard of single pixels shrunk 4 times: antialiasing averages it to grey."""
    board = np.indices((64, 64)).sum(axis=0) % 2 * np.uint8(255)
    frame = np.repeat(board[..., None].astype(np.uint8), 3, axis=2)

    def shrunk(interpolation: Interpolation) -> np.ndarray:
        return Preprocessor(Preprocess(size_hw=(16, 16), interpolation=interpolation))(frame)

    assert np.abs(shrunk(Interpolation.AREA).astype(int) - 127).max() <= 1
    assert (
        shrunk(Interpolation.CUBIC).std() + shrunk(Interpolation.LINEAR).std() < 2
    )  # symmetric taps agree here


@given(
    st.integers(1, 80),
    st.integers(1, 80),
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(0.05, 1.0),
    st.sampled_from(list(Resize)),
    st.sampled_from(list(Interpolation)),
)
def test_any_frame_gives_the_shape_and_a_flat_one_stays_flat(
    height: int, width: int, h: int, w: int, fraction: float, resize: Resize, interpolation: Interpolation
) -> None:
    rule = Preprocess(size_hw=(h, w), crop_fraction=fraction, resize=resize, interpolation=interpolation)
    image = Preprocessor(rule)(np.full((height, width, 3), (10, 20, 30), np.uint8))
    assert image.shape == (1, h, w, 3)
    if resize is Resize.LETTERBOX:
        image = image[:, : max(1, round(height * min(h / height, w / width)))]
        image = image[:, :, : max(1, round(width * min(h / height, w / width)))]
    assert (image == (30, 20, 10)).all()


def test_the_frame_is_not_written_and_the_buffer_is_reused() -> None:
    frame = gradient(30, 40)
    before = frame.copy()
    preprocessor = Preprocessor(Preprocess(size_hw=(8, 8)))
    assert preprocessor(frame) is preprocessor(frame)
    assert (frame == before).all()
