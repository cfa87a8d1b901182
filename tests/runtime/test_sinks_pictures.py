"""The annotated video and the snapshots of events, read back from disk."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
from sinks_samples import context, event, item, result, settle

from edgecv.errors import SinkError
from edgecv.runtime.sinks import Item, Outlet, open_sink, snapshots
from edgecv.runtime.sinks.draw import annotated
from edgecv.runtime.sinks.snapshots import file_name

GREY = 128


def frames(path: Path) -> list[np.ndarray]:
    video = cv2.VideoCapture(str(path))
    found = []
    while (read := video.read())[0]:
        found.append(read[1])
    video.release()
    return found


def level(picture: np.ndarray) -> int:
    """Of the right lower corner, where nothing is written."""
    return round(float(picture[-16:, -16:].mean()))


def flat(frame: int, grey: int, height: int = 120, width: int = 160, region: str = "") -> Item:
    return Item(result(frame, region=region), np.full((height, width, 3), grey, np.uint8))


# --- what is drawn


def test_the_picture_itself_is_never_written_into() -> None:
    bgr = np.full((240, 320, 3), GREY, np.uint8)
    drawn = annotated(bgr, [result(0)])
    assert (bgr == GREY).all()
    assert (drawn != GREY).any()
    assert drawn.shape == bgr.shape


def test_what_is_on_is_green() -> None:
    bgr = np.full((240, 320, 3), GREY, np.uint8)

    def green(drawn: np.ndarray) -> int:
        return int(((drawn[..., 1] > 200) & (drawn[..., 2] < 80)).sum())

    assert green(annotated(bgr, [result(0)])) == 0
    assert green(annotated(bgr, [result(0, on=("cat",))])) > 100


@pytest.mark.parametrize("label", ["Café", "猫", "", "a" * 500])
@pytest.mark.parametrize("shape", [(1, 1), (7, 2000), (480, 640)])
def test_any_label_on_any_picture(label: str, shape: tuple[int, int]) -> None:
    bgr = np.zeros((*shape, 3), np.uint8)
    assert annotated(bgr, [result(0, on=(label,))]).shape == bgr.shape


# --- video


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_video_has_a_picture_a_frame_at_the_sources_rate(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"clip:2{suffix}"  # not a protocol
    sink = open_sink(str(path), context(fps=25.0))
    levels = [40, 90, 140, 190]
    for number, grey in enumerate(levels):
        sink.write(flat(number, grey))
    assert not path.exists()  # until it is whole
    sink.close()
    found = frames(path)
    assert [level(picture) for picture in found] == pytest.approx(levels, abs=4)
    assert found[0].shape == (120, 160, 3)
    assert float(found[0][:40, :80].std()) > 20  # there is writing
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(25.0)
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_rate_that_is_unknown_is_ten(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/a.mp4", context())
    sink.write(flat(0, GREY))
    sink.close()
    assert cv2.VideoCapture(f"{tmp_path}/a.mp4").get(cv2.CAP_PROP_FPS) == pytest.approx(10.0)


def test_regions_share_the_picture_of_their_frame(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/a.avi", context())
    for number, grey in enumerate([60, 200]):
        for region in ("door", "gate"):
            sink.write(flat(number, grey, region=region))
    sink.close()
    assert [level(picture) for picture in frames(tmp_path / "a.avi")] == pytest.approx([60, 200], abs=4)


def test_all_pictures_get_the_size_of_the_first(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/a.avi", context())
    sink.write(flat(0, 60))
    sink.write(flat(1, 200, 300, 100))
    sink.close()
    assert [picture.shape for picture in frames(tmp_path / "a.avi")] == [(120, 160, 3)] * 2


def test_a_run_without_frames_leaves_nothing(tmp_path: Path) -> None:
    open_sink(f"{tmp_path}/a.mp4", context()).close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_gets_full_ends_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage(NamedTuple):
        free: int

    sink = open_sink(f"{tmp_path}/a.avi", context())
    sink.write(flat(0, 60))
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: Usage(1000))
    with pytest.raises(SinkError, match="less than 64 MiB are free"):
        sink.write(flat(1, 200))
    sink.close()
    assert [level(picture) for picture in frames(tmp_path / "a.avi")] == pytest.approx([60], abs=4)


def test_a_size_no_encoder_takes_is_told_of(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/a.mp4", context())
    with pytest.raises(SinkError, match="OpenCV here encodes no 1x1 pixels"):
        sink.write(flat(0, GREY, 1, 1))
    sink.close()
    assert list(tmp_path.iterdir()) == []


def test_a_picture_no_encoder_takes_is_counted_and_the_next_begins_the_video(tmp_path: Path) -> None:
    front = Outlet(open_sink(f"{tmp_path}/a.avi", context()))
    for one in (flat(0, 60, 1, 1), flat(1, 200, 121, 161), flat(2, 60)):
        front.offer(one, True)
    front.close()
    assert (front.counts().failed, front.counts().delivered) == (1, 2)
    assert [level(picture) for picture in frames(tmp_path / "a.avi")] == pytest.approx([200, 60], abs=4)


def test_a_video_that_cannot_take_its_name_has_delivered_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    front = Outlet(open_sink(f"{folder}/a.avi", context()))
    front.offer(flat(0, 60), True)
    front.offer(flat(1, 60), True)
    settle(front)
    assert front.counts().delivered == 2
    shutil.rmtree(folder)
    front.close()
    assert (front.counts().failed, front.counts().delivered) == (2, 0)


def test_what_a_killed_run_has_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    kept = {
        f".a.{os.getppid()}.mp4",  # of a run that lives
        ".a.1.mp4",  # and of one of another user's
        f".a.{gone.pid}.avi",
        f".ab.{gone.pid}.mp4",
        f"a.{gone.pid}.mp4",
        ".a.old.mp4",
    }
    for name in (*kept, f".a.{gone.pid}.mp4"):
        (tmp_path / name).touch()
    open_sink(f"{tmp_path}/a.mp4", context()).close()
    assert {one.name for one in tmp_path.iterdir()} == kept


# --- snapshots


@pytest.mark.parametrize(
    ("label", "state", "region", "name"),
    [
        ("cat", "on", "", "20261122T141500.123_cat.jpg"),
        ("crane, bird", "on", "", "20261122T141500.123_crane-bird.jpg"),
        ("cat", "off", "front door", "20261122T141500.123_front-door_cat_off.jpg"),
        ("../../etc/passwd", "on", "", "20261122T141500.123_etc-passwd.jpg"),
        ("猫", "on", "", "20261122T141500.123_猫.jpg"),
        ("/", "on", "", "20261122T141500.123_-.jpg"),
        ("", "on", "", "20261122T141500.123_-.jpg"),
    ],
)
def test_names_sort_by_time_and_are_safe(label: str, state: str, region: str, name: str) -> None:
    found = file_name(event(label, state, region=region))
    assert found == name
    assert snapshots.OURS.fullmatch(found)


def test_a_snapshot_a_label_that_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    front = Outlet(open_sink(f"{folder}/", context()))
    front.offer(item(0, event("cat"), event("dog", "off"), on=("cat",)), True)
    front.offer(item(1), True)
    front.close()
    assert [one.name for one in folder.iterdir()] == ["20261122T141500.123_cat.jpg"]
    assert cv2.imread(str(folder / "20261122T141500.123_cat.jpg")).shape == (64, 96, 3)
    assert front.counts().delivered == 1


def test_off_too_where_asked_for(tmp_path: Path) -> None:
    sink = open_sink(f"{tmp_path}/?off=1", context())
    assert sink.wants(result(0, event("cat", "off")))
    sink.close()


def test_the_oldest_go_and_strangers_stay(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_text("x")
    for run in range(2):  # the second finds what the first has left
        front = Outlet(open_sink(f"{tmp_path}/?keep=3", context()))
        for frame in range(run * 4, run * 4 + 4):
            front.offer(item(frame, event("cat", frame=frame)), True)
        front.close()
    kept = sorted(one.name for one in tmp_path.iterdir())
    assert kept == [*(file_name(event("cat", frame=frame)) for frame in (5, 6, 7)), "holiday.jpg"]


def test_a_folder_that_is_gone_costs_its_snapshot_only(tmp_path: Path) -> None:
    folder = tmp_path / "shots"
    sink = open_sink(f"{folder}/", context())
    folder.rmdir()
    with pytest.raises(SinkError, match="cannot write"):
        sink.write(item(0, event("cat")))
    folder.mkdir()
    sink.write(item(1, event("cat")))
    assert len(list(folder.iterdir())) == 1
