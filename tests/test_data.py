from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecv import data
from edgecv.errors import DataError
from edgecv.spec import Preprocess

RULE = Preprocess(size_hw=(8, 8))
LABELS = ("cat", "dog", "7")


def picture(path: Path, level: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((10, 12, 3), level, np.uint8))
    return path


def video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (32, 16))
    for index in range(frames):
        writer.write(np.full((16, 32, 3), index * 10, np.uint8))
    writer.release()
    return path


def levels(pictures: data.Pictures) -> list[int]:
    """The brightness each picture was made with, to the nearest ten."""
    return [round(float(image.mean()) / 10) * 10 for image in pictures.images]


def test_a_folder_gives_a_reproducible_draw_and_counts_what_it_cannot_read(tmp_path: Path) -> None:
    for number in range(1, 11):
        picture(tmp_path / f"{number}.png", number * 10)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no")
    (tmp_path / "notes.txt").write_text("not a picture")
    some = data.load_pictures(tmp_path, RULE, 4, seed=1)
    assert some.images.shape == (4, 8, 8, 3)
    again = data.load_pictures(tmp_path, RULE, 4, seed=1)
    assert some.digest == again.digest
    assert some.digest != data.load_pictures(tmp_path, RULE, 4, seed=2).digest
    everything = data.load_pictures(tmp_path, RULE, 100)
    assert sorted(levels(everything)) == list(range(10, 101, 10))
    assert everything.skipped == 1


def test_a_video_gives_frames_spread_over_it(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi", 21)
    assert levels(data.load_pictures(clip, RULE, 5)) == [0, 50, 100, 150, 200]
    assert len(data.load_pictures(clip, RULE, 100).images) == 21


def test_a_draw_names_every_picture_and_says_why_one_has_no_pixels(tmp_path: Path) -> None:
    picture(tmp_path / "sub" / "a.png", 10)
    (tmp_path / "b.jpg").touch()
    (tmp_path / "c.png").write_bytes((tmp_path / "sub" / "a.png").read_bytes()[:-9])
    (tmp_path / "d.bmp").write_text("no picture")
    drawn = data.draw(tmp_path, 1)
    assert (drawn.total, drawn.frames, drawn.even) == (4, False, False)
    assert sorted((c.name, c.bgr is not None, c.why) for c in drawn.candidates) == [
        ("b.jpg", False, "empty file"),
        ("c.png", False, "cut off or damaged"),
        ("d.bmp", False, "no image OpenCV can decode"),
        ("sub/a.png", True, ""),
    ]


def test_a_pattern_reaches_into_folders_and_takes_images_only(tmp_path: Path) -> None:
    for name in ("a.png", "x/b.png", "x/y/c.png", "x/y/c.jpg"):
        picture(tmp_path / name, 10)
    (tmp_path / "x" / "notes.png.txt").touch()
    found = {c.name for c in data.draw(f"{tmp_path}/**/*.png*", 1).candidates}
    assert found == {str(tmp_path / name) for name in ("a.png", "x/b.png", "x/y/c.png")}


def test_a_video_is_drawn_from_evenly(tmp_path: Path) -> None:
    drawn = data.draw(video(tmp_path / "clip.avi", 21), 5)
    assert (drawn.total, drawn.frames, drawn.even) == (5, True, True)
    assert [c.name for c in drawn.candidates] == [f"clip.avi frame {i}" for i in (0, 5, 10, 15, 20)]


def test_the_files_of_a_labelled_set_whatever_their_labels(tmp_path: Path) -> None:
    picture(tmp_path / "set" / "nobody" / "a.png", 1)
    assert data.labelled_files(tmp_path / "set") == [tmp_path / "set" / "nobody" / "a.png"]
    (tmp_path / "labels.csv").write_text("file,label\nelsewhere/b.png,nobody\n")
    expected = [tmp_path / "elsewhere" / "b.png"]
    assert data.labelled_files(tmp_path) == data.labelled_files(tmp_path / "labels.csv") == expected


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda _: None, "no such folder or video"),  # a slip in the path
        (lambda p: p.mkdir(), "no image files"),  # an empty folder
        (lambda p: (p.mkdir(), (p / "a.jpg").write_bytes(b"x")), "none of the 1 image files"),  # all damaged
        (lambda p: p.write_text("hello"), "not a video"),  # a file of another kind
    ],
)
def test_pictures_that_cannot_be_had(tmp_path: Path, make, says: str) -> None:
    make(tmp_path / "where")
    with pytest.raises(DataError, match=says) as caught:
        data.load_pictures(tmp_path / "where", RULE, 4)
    assert str(tmp_path / "where") in str(caught.value)


def test_labels_from_a_table(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("\ufefffile,label,author\na.png,1,x\nsub/b.png,cat,\nc.png,7,\n")
    labelled = data.load_labelled(tmp_path, LABELS)
    assert labelled.paths == (tmp_path / "a.png", tmp_path / "sub/b.png", tmp_path / "c.png")
    assert labelled.labels == (1, 0, 2)  # an index, a name, and a name that looks like an index
    assert data.load_labelled(tmp_path / "labels.csv", LABELS) == labelled


def test_labels_from_a_folder_for_each_class(tmp_path: Path) -> None:
    picture(tmp_path / "dog" / "2.png", 1)
    picture(tmp_path / "dog" / "10.png", 1)
    picture(tmp_path / "0" / "x.png", 1)
    (tmp_path / "empty").mkdir()
    labelled = data.load_labelled(tmp_path, LABELS)
    assert [path.name for path in labelled.paths] == ["x.png", "2.png", "10.png"]
    assert labelled.labels == (0, 1, 1)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("file,label\n", "no rows"),  # a header alone
        ("name,class\na,b\n", "must name the columns file,label"),  # another table
        ("", "must name the columns"),  # an empty file
        ("file,label\na.png,3\n", "labels.csv:2: '3' is neither"),  # an index past the last class
        ("file,label\na.png,0\nb.png,bird\n", "labels.csv:3: 'bird' is neither"),  # a class nobody knows
        ("file,label\na.png\n", "labels.csv:2: '' is neither"),  # a short row
    ],
)
def test_a_wrong_table_is_named_by_row(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "labels.csv").write_text(content)
    with pytest.raises(DataError, match=says):
        data.load_labelled(tmp_path, LABELS)


def test_a_folder_that_is_no_labelled_set(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither labels.csv"):
        data.load_labelled(tmp_path, LABELS)
    picture(tmp_path / "bird" / "1.png", 1)
    with pytest.raises(DataError, match="'bird' is neither a class name nor an index"):
        data.load_labelled(tmp_path, LABELS)
    with pytest.raises(DataError, match="neither a folder nor"):
        data.load_labelled(tmp_path / "gone", LABELS)


def test_sample_pictures_come_from_installed_packages() -> None:
    pytest.importorskip("skimage", reason="the sample photographs are in the convert extra's packages")
    try:
        pictures = data.sample_pictures(RULE, 20)
    except DataError as error:
        pytest.skip(str(error))
    assert pictures.images.shape == (20, 8, 8, 3)
    assert "7 photographs and 13 video frames" in pictures.description
    assert data.sample_video().name == "bikes.mp4"


def test_a_sample_that_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "_SAMPLE_PHOTOS", {"no-such-distribution": ("a.png",)})
    with pytest.raises(DataError, match=r'no sample photographs here: pip install "edgecv\[convert\]"'):
        data.sample_photos()
