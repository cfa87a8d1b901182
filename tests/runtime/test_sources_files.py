"""Sources that lose nothing (videos, photographs, the pattern without a rate), and what every error says."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from waits import WAIT_S

from edgecv import data
from edgecv.errors import DataError, SourceError, UsageError
from edgecv.photos import decode, natural_order
from edgecv.runtime.sources import Counts, open_source
from edgecv.runtime.sources import camera as camera_module
from edgecv.runtime.sources.camera import open_camera
from edgecv.runtime.sources.synthetic import Synthetic

SHARED = Path(__file__).resolve().parents[2].parent / "shared"


def write_video(path: Path, frames: int, fourcc: str) -> Path:
    """Grey 64x48 pictures, 10 levels brighter each."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*fourcc), 10, (64, 48))
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 10 * index, np.uint8))
    writer.release()
    return path


def write_image(path: Path, level: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))
    return path


def noise(suffix: str) -> bytes:
    """An encoded 60x80 picture of noise, so that half of the file is half of the picture."""
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    return cv2.imencode(suffix, pixels)[1].tobytes()


# --- videos


@pytest.mark.parametrize(
    ("name", "fourcc"),
    [
        ("clip.avi", "MJPG"),
        ("clip.mp4", "mp4v"),
        ("clip:with %03d odd name.avi", "MJPG"),  # neither a protocol nor a numbered series to FFmpeg
    ],
)
def test_a_video_gives_every_frame_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, fourcc: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / f"plain{name[-4:]}", 20, fourcc).rename(name)
    with open_source(name) as source:
        assert not source.live
        frames = list(source)
        assert source.counts == Counts()
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.name for frame in frames] == [""] * 20  # a name tells pictures apart
    assert [float(frame.bgr.mean()) for frame in frames] == pytest.approx(
        [10 * index for index in range(20)],
        abs=4.9,  # lossy, and 10 apart
    )
    assert frames[0].bgr.shape == (48, 64, 3)
    assert frames[0].bgr.dtype == np.uint8
    times = [frame.captured_s for frame in frames]
    assert times == sorted(times)


def test_a_damaged_frame_does_not_end_a_video(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.avi", 9, "MJPG")
    content = bytearray(path.read_bytes())
    fourth = [match.end() for match in re.finditer(rb"00dc....\xff\xd8", content, re.DOTALL)][3]
    content[fourth : fourth + 40] = b"\xff\xc4\x00\x28" + b"\xff" * 36  # Huffman tables that cannot be
    path.write_bytes(content)
    with open_source(str(path)) as source:
        levels = [round(float(frame.bgr.mean()), -1) for frame in source]
        assert source.counts == Counts(skipped=1)
    assert levels == [0, 10, 20, 40, 50, 60, 70, 80]


def test_a_looped_video_begins_again_after_its_last_frame(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", 5, "MJPG")
    with open_source(str(clip), loop=True) as source:
        assert not source.live
        assert source.fps == 10
        frames = list(itertools.islice(source, 17))
        clip.unlink()  # the pass that goes on is the last
        with pytest.raises(SourceError, match="not a video"):
            list(source)
    assert [frame.index for frame in frames] == list(range(17))
    levels = [10 * (index % 5) for index in range(17)]
    assert [float(frame.bgr.mean()) for frame in frames] == pytest.approx(levels, abs=4.9)


def test_a_video_in_real_time_is_live_and_ends(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with open_source(str(write_video(tmp_path / "clip.avi", 5, "MJPG")), realtime=True) as source:
        assert source.live
        assert source.fps == 10
        frames = list(source)
        assert len(frames) + source.counts.dropped == 5
    took_s = frames[-1].captured_s - frames[0].captured_s
    assert took_s >= 0.1 * (len(frames) - 2)
    assert caplog.messages == []  # nothing is lost where a film is over


def test_a_video_in_real_time_may_be_looped(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", 2, "MJPG")
    with open_source(str(clip), loop=True, realtime=True) as source:
        assert [frame.index for frame in itertools.islice(source, 5)] == list(range(5))


@pytest.mark.parametrize("name", ["photo.png", "", "*.png"])
def test_pictures_cannot_be_looped(tmp_path: Path, name: str) -> None:
    write_image(tmp_path / "photo.png")
    with pytest.raises(UsageError, match="cannot be looped; only a video file can"):
        open_source(f"{tmp_path}/{name}", loop=True)


def test_the_street_clip_has_250_frames() -> None:
    clip = SHARED / "data" / "video" / "bikes.mp4"
    if not clip.is_file():
        pytest.skip("the shared clip bikes.mp4 is not beside this checkout")
    with open_source(str(clip)) as source:
        assert sum(1 for _ in source) == 250


def test_an_iteration_that_was_left_goes_on(tmp_path: Path) -> None:
    with open_source(str(write_video(tmp_path / "clip.avi", 5, "MJPG"))) as source:
        assert [next(source).index for _ in range(2)] == [0, 1]
        assert [frame.index for frame in source] == [2, 3, 4]
        assert next(source, None) is None


def test_close_ends_a_video_and_may_be_repeated(tmp_path: Path) -> None:
    source = open_source(str(write_video(tmp_path / "clip.avi", 5, "MJPG")))
    next(source)
    source.close()
    source.close()
    assert next(source, None) is None


def test_close_from_another_thread_while_reading() -> None:
    source = open_source("synthetic:320x240")
    started = threading.Event()

    def take() -> None:
        for _ in source:
            started.set()

    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    assert started.wait(WAIT_S)
    source.close()
    taker.join(WAIT_S)
    assert not taker.is_alive()


# --- photographs


def test_a_folder_in_natural_order(tmp_path: Path) -> None:
    for name in ("img10.png", "img2.png", "IMG1.PNG", "b/img3.bmp"):
        write_image(tmp_path / name)
    write_image(tmp_path / ".thumbnails" / "img2.png")  # hidden: not the user's picture
    (tmp_path / "notes.txt").write_text("not an image, and not counted as one")
    with open_source(str(tmp_path)) as source:
        assert [frame.name for frame in source] == ["img3.bmp", "IMG1.PNG", "img2.png", "img10.png"]
        assert source.counts == Counts()


def test_unreadable_images_are_skipped_and_counted(tmp_path: Path) -> None:
    write_image(tmp_path / "2.png", level=2)
    write_image(tmp_path / "4.png", level=4)
    (tmp_path / "1.jpg").write_bytes(b"")
    (tmp_path / "3.jpg").write_bytes(noise(".jpg")[:3000])
    with open_source(str(tmp_path)) as source:
        frames = list(source)
        assert source.counts == Counts(skipped=2)
    assert [(frame.index, frame.name, frame.bgr[0, 0, 0]) for frame in frames] == [
        (0, "2.png", 2),
        (1, "4.png", 4),
    ]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("*.jpg", ["a1.jpg", "a10.jpg"]),  # one folder, one suffix
        ("**/*.jpg", ["a1.jpg", "a10.jpg", "c.jpg"]),  # and below
        ("a?.*", ["a1.jpg"]),  # what is no image stays out
        ("[bc]/*", ["c.jpg"]),  # a set
        ("odd[1].png", ["odd[1].png"]),  # a file of that very name comes before the pattern
    ],
)
def test_patterns(tmp_path: Path, pattern: str, names: list[str]) -> None:
    for name in ("a1.jpg", "a10.jpg", "b/c.jpg", "odd[1].png"):
        write_image(tmp_path / name)
    (tmp_path / "a2.txt").write_text("no image")
    with open_source(f"{tmp_path}/{pattern}") as source:
        assert [frame.name for frame in source] == names


def test_one_image_has_its_colours_in_bgr_order(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "blue.png"), np.full((4, 6, 3), (255, 128, 0), np.uint8))
    with open_source(str(tmp_path / "blue.png")) as source:
        (frame,) = source
    assert frame.bgr.shape == (4, 6, 3)
    assert frame.bgr[0, 0].tolist() == [255, 128, 0]


@pytest.mark.parametrize(
    ("content", "whole"),
    [
        (noise(".jpg"), True),
        (noise(".jpg") + b"\xff\xda appended by a phone", True),  # motion photographs carry a video
        (noise(".jpg")[:-2], False),  # the end marker is the last thing copied
        (noise(".jpg")[:30], False),  # ends within the tables
        (b"\xff\xd8\xff\xe1\x00\x08\xff\xd8\xff\xd9xx" + noise(".jpg")[2:], True),  # a thumbnail in EXIF ...
        (b"\xff\xd8\xff\xe1\x00\x08\xff\xd8\xff\xd9xx" + noise(".jpg")[2:-2], False),  # ... is not the end
        (noise(".png"), True),
        (noise(".png")[:-12], False),  # IEND is missing
        (noise(".png").replace(b"IDAT", b"IDAX", 1), False),  # a checksum that does not fit
        (noise(".bmp")[:200], False),
        (noise(".webp")[:200], False),
        (b"hello", False),
        (b"", False),
    ],
)
def test_only_whole_images_are_decoded_and_nothing_is_printed(
    content: bytes, whole: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    picture = decode(content)
    assert (picture is not None) == whole
    assert picture is None or picture.shape == (60, 80, 3)
    assert capfd.readouterr().err == ""


@given(st.lists(st.text("ab01.", min_size=1, max_size=6), unique=True))
def test_natural_order_does_not_depend_on_the_order_found(names: list[str]) -> None:
    paths = [Path("folder") / f"x{name}" for name in names]
    assert natural_order(paths) == natural_order(reversed(paths))


# --- the synthetic pattern


def test_the_pattern_is_the_same_every_time_and_moves() -> None:
    with open_source("synthetic:320x200") as first, open_source("synthetic:320x200@0") as second:
        assert not first.live
        assert not second.live
        pairs = [(next(first), next(second)) for _ in range(50)]
    for one, two in pairs:
        assert one.bgr.shape == (200, 320, 3)
        assert not one.bgr.flags.writeable  # every frame is a view of the same picture
        np.testing.assert_array_equal(one.bgr, two.bgr)
    for (before, _), (after, _) in itertools.pairwise(pairs):
        assert (before.bgr != after.bgr).any()


thousandths = st.integers(0, 1_000_000).map(lambda number: number / 1000)


@given(st.builds(Synthetic, st.integers(1, 8192), st.integers(1, 8192), thousandths))
def test_the_grammar_reads_what_it_writes(spec: Synthetic) -> None:
    assert Synthetic.parse(str(spec)) == spec


@given(st.text("synthetic:x@.0123456789-", max_size=30).map("synthetic:".__add__))
def test_any_text_is_a_valid_spec_or_a_usage_error(text: str) -> None:
    try:
        spec = Synthetic.parse(text)
    except UsageError:
        return
    assert Synthetic.parse(str(spec)) == spec


# --- samples


@pytest.mark.parametrize(
    ("uri", "locate"), [("sample:video", data.sample_video), ("sample:photos", data.sample_photos)]
)
def test_samples_are_those_of_the_data_module(uri: str, locate: Callable[[], Path | list[Path]]) -> None:
    try:
        files = locate()
    except DataError as missing:
        with pytest.raises(DataError, match=re.escape(str(missing))):
            open_source(uri)
        return
    with open_source(uri) as source:
        names = {frame.name for frame in source}
    assert names == ({""} if isinstance(files, Path) else {path.name for path in files})


# --- what cannot be


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("", "an empty source"),
        ("  ", "an empty source"),
        ("ftp://host/clip.mp4", "ftp:// is not a source"),
        ("ftp://me:secret@host/clip.mp4", "ftp://me:\\*\\*\\*@host"),  # no password in any message
        ("sample:music", "there are sample:video and sample:photos"),
        ("synthetic:", "synthetic:WxH"),  # no size
        ("synthetic:640", "synthetic:WxH"),  # no height
        ("synthetic:0x480", "W and H are 1..8192"),  # no pixels
        ("synthetic:640x9999", "W and H are 1..8192"),  # 24 MB a frame and more
        ("synthetic:640x480@", "FPS 0..1000"),  # a rate without a number
        ("synthetic:640x480@1001", "FPS 0..1000"),  # no camera is that fast
        ("synthetic:640x480@-1", "FPS 0..1000"),
        ("synthetic:640x480@nan", "FPS 0..1000"),
        ("synthetic:640x480@30 ", "FPS 0..1000"),  # something behind it
        ("synthetic:٣x٣", "synthetic:WxH"),  # digits, but not ASCII
    ],
)
def test_a_string_that_names_no_source(uri: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        open_source(uri)
    assert "\n" not in str(raised.value)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A folder with everything that can be wrong with a file."""
    (tmp_path / "text.mp4").write_text("not a video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    whole = write_video(tmp_path / "whole.avi", 5, "MJPG").read_bytes()
    (tmp_path / "cut.avi").write_bytes(whole[: whole.index(b"movi") + 12])
    (tmp_path / "text.jpg").write_text("not an image at all")
    (tmp_path / "half.png").write_bytes(noise(".png")[:500])
    (tmp_path / "nothing").mkdir()
    for name in ("1.jpg", "2.jpg"):
        (tmp_path / "broken").mkdir(exist_ok=True)
        (tmp_path / "broken" / name).write_bytes(noise(".jpg")[:900])
    return tmp_path


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.mp4", "no file or folder .*nowhere.mp4 here; a source is a camera"),  # a slip
        ("nowhere/", "no file or folder .*nowhere"),
        ("text.mp4", "text.mp4 is not a video"),  # its suffix lies
        ("empty.mp4", "empty.mp4 is not a video"),  # a copy that never began
        ("cut.avi", "cut.avi was opened but holds no frame.*copy it again"),  # a header and no picture
        ("text.jpg", "text.jpg cannot be read as an image"),
        ("half.png", "half.png cannot be read as an image; is it damaged or half copied"),
        ("nothing", "no image in .*nothing or below it \\(.jpg"),  # an empty folder
        ("broken", "broken: none of its 2 images can be read"),  # images by name only
        ("*.gif", "\\*.gif: no match"),
        ("*.mp4", "\\*.mp4: 2 matches, none an image"),  # videos are given one at a time
    ],
)
def test_a_file_that_gives_no_frame(bad: Path, name: str, words: str) -> None:
    with pytest.raises(SourceError, match=words) as raised:
        open_source(f"{bad}/{name}")
    assert "\n" not in str(raised.value)


def test_opencv_ffmpeg_libjpeg_and_libpng_print_nothing(bad: Path) -> None:
    """In a process of its own, since FFmpeg takes its log level from whoever uses it first."""
    code = """
import contextlib, sys
from edgecv.errors import SourceError
from edgecv.runtime.sources import open_source
for uri in sys.argv[1:]:
    with contextlib.suppress(SourceError):
        open_source(uri)
        sys.exit(f"{uri} was opened")
"""
    uris = [*map(str, bad.iterdir()), "977", "http://127.0.0.1:9/", "rtsp://127.0.0.1:9/", "/dev/null"]
    uris.remove(str(bad / "whole.avi"))
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("OPENCV_")}
    done = subprocess.run(
        [sys.executable, "-c", code, *uris],
        capture_output=True,
        text=True,
        timeout=60,
        env=quiet,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_nobody_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_image(tmp_path / "private.png")
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who runs tests in containers, may read all
    with pytest.raises(SourceError, match=r"no permission to read .*private.png"):
        open_source(str(path))


# --- cameras that are not there


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ((), "no camera at .*video4; there is no /dev/video\\* here at all"),
        (("video10", "video2"), "no camera at .*video4; here are .*/video2, .*/video10"),
        (("video4",), "video4 gives no pictures: another program has it, or"),  # a node that is no camera
    ],
)
def test_a_camera_that_cannot_be_opened(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    there: tuple[str, ...],
    words: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(camera_module, "DEV", tmp_path)
    for name in there:
        (tmp_path / name).touch()
    with pytest.raises(SourceError, match=words):
        open_camera(tmp_path / "video4")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("uri", ["977", "/dev/video977", "0977"])
def test_a_camera_by_number_and_by_path(uri: str) -> None:
    with pytest.raises(SourceError, match=r"no camera at /dev/video977; (here are|there is no)"):
        open_source(uri)


def test_a_camera_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "video0").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may open everything
    with pytest.raises(SourceError, match=r"no permission for .*video0; add yourself to the group video"):
        open_camera(tmp_path / "video0")


def test_importing_sources_does_not_import_opencv() -> None:
    code = "import sys, edgecv.runtime.sources; sys.exit('cv2' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=30)
