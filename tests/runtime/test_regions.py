from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.regions import Region, parse_region, parse_regions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("door=0.1,0.2,0.5,0.25", Region("door", 0.1, 0.2, 0.5, 0.25)),
        ("64,48,320,240", Region("", 64, 48, 320, 240)),
        ("0,0,1,1", Region("", 0, 0, 1, 1)),  # one pixel
        ("0.,.0,1.,1.0", Region("", 0.0, 0.0, 1.0, 1.0)),  # the whole frame
        ("left door=1, 2, 3, 4", Region("left door", 1, 2, 3, 4)),
        ("Tür-2=1,2,3,4", Region("Tür-2", 1, 2, 3, 4)),
    ],
)
def test_a_region_is_read(text: str, expected: Region) -> None:
    region = parse_region(text)
    assert region == expected
    assert {type(value) for value in region[1:]} == {type(expected.x)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "door",
        "=0.1,0.2,0.5,0.5",  # a name, but empty
        "a/b=1,2,3,4",  # would be two levels of an MQTT topic
        "a=b=1,2,3,4",
        "0.1,0.2,0.5",
        "1,2,3,4,5",
        "0,0,0.5,0.5",  # pixels and fractions
        "0.0,0.0,1,1",
        "0.1,0.2,0.0,0.5",  # nothing of it
        "0,0,0,10",
        "0.1,0.2,1.5,0.5",
        "1.0,0.2,0.5,0.5",  # begins behind the frame
        "-1,0,5,5",
        "0.1,0.2,nan,0.5",
        "1e-1,0.2,0.5,0.5",
        "0.1,0.2,.,0.5",
        "1_0,2,3,4",
        "123456,0,1,1",
    ],
)
def test_what_is_no_region_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a region: give .NAME=.X,Y,W,H"):
        parse_region(text)


def test_regions_get_names_by_their_place() -> None:
    regions = parse_regions(["1,2,3,4", "door=1,2,3,4", "5,6,7,8"])
    assert [region.name for region in regions] == ["region 1", "door", "region 3"]
    assert parse_regions([]) == ()
    with pytest.raises(UsageError, match="two regions are named 'door'"):
        parse_regions(["door=1,2,3,4", "door=5,6,7,8"])


FRAME = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2,1,4,3", FRAME[1:4, 2:6]),
        ("0,0,8,6", FRAME),
        ("7,5,1,1", FRAME[5:, 7:]),
        ("0.25,0.5,0.5,0.5", FRAME[3:, 2:6]),
        ("0.0,0.0,1.0,1.0", FRAME),
        ("0.75,0.5,0.5,1.0", FRAME[3:, 6:]),  # clipped
        ("0.5,0.5,0.01,0.01", FRAME[3:4, 4:5]),  # less than a pixel
        ("0.99,0.99,0.01,0.01", FRAME[5:, 7:]),  # the same, at the border
    ],
)
def test_a_crop_is_a_view_of_these_pixels(text: str, expected: np.ndarray) -> None:
    crop = parse_region(text).crop(FRAME)
    np.testing.assert_array_equal(crop, expected)
    assert np.shares_memory(crop, FRAME)


@pytest.mark.parametrize("text", ["door=1,0,8,6", "door=0,1,8,6", "door=100,100,5,5"])
def test_pixels_beyond_the_frame_are_refused(text: str) -> None:
    with pytest.raises(SourceError, match="region 'door' reaches to .* frame of 8x6 pixels"):
        parse_region(text).crop(FRAME)


def fractions(least: float) -> st.SearchStrategy[str]:
    return st.floats(least, 1.0, exclude_max=least == 0).map("{:.6f}".format)


@given(
    st.tuples(fractions(0), fractions(0), fractions(1e-3), fractions(1e-3)),
    st.integers(1, 50),
    st.integers(1, 50),
)
def test_any_fractions_fit_any_frame(numbers: tuple[str, ...], height: int, width: int) -> None:
    if "1.000000" in numbers[:2]:
        return
    crop = parse_region(",".join(numbers)).crop(np.zeros((height, width, 3), np.uint8))
    assert crop.shape[0] >= 1
    assert crop.shape[1] >= 1
    assert abs(crop.shape[1] - min(float(numbers[2]), 1 - float(numbers[0])) * width) <= 1


@given(st.from_regex(r"(\w{0,3}=)?[\d., -]{0,12}(,[\d.]{1,4}){0,4}", fullmatch=True))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        region = parse_region(text)
    except UsageError:
        return
    assert min(region.w, region.h) > 0
