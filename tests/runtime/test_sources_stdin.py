"""Frames on standard input: MJPEG found by its markers, and raw pixels."""

from __future__ import annotations

import contextlib
import itertools
import os
import pty
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mjpeg_server import jpeg
from scripted import level
from waits import WAIT_S

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.sources import Counts, open_source
from edgecv.runtime.sources import mjpeg as mjpeg_module
from edgecv.runtime.sources.mjpeg import jpegs
from edgecv.runtime.sources.stdin import FORMATS, open_stdin


def noise(seed: int, *parameters: int) -> bytes:
    """A JPEG with every byte value in its pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (40, 56, 3), np.uint8)
    return cv2.imencode(".jpg", pixels, list(parameters))[1].tobytes()


PLAIN = noise(0)
PROGRESSIVE = noise(1, cv2.IMWRITE_JPEG_PROGRESSIVE, 1)  # several scans, with tables between them
RESTARTS = noise(2, cv2.IMWRITE_JPEG_RST_INTERVAL, 1)  # markers within the pixels
THUMBNAIL = PLAIN[:2] + b"\xff\xe1" + (len(PLAIN) + 2).to_bytes(2, "big") + PLAIN + PLAIN[2:]
PADDED = PLAIN[:2] + b"\xff\xff" + PLAIN[2:-2] + b"\xff" + PLAIN[-2:]
ALL = (PLAIN, PROGRESSIVE, RESTARTS, THUMBNAIL, PADDED)


def split(content: bytes, cuts: Sequence[int] = ()) -> list[bytes | None]:
    """What `jpegs` makes of a stream that arrives in pieces, cut at these places."""
    edges = [0, *sorted(cut % (len(content) + 1) for cut in cuts), len(content)]
    pieces = (content[start:end] for start, end in itertools.pairwise(edges) if end > start)
    return list(jpegs(lambda: next(pieces, b"")))


# --- MJPEG


@given(
    st.lists(st.sampled_from(ALL), max_size=4),
    st.lists(st.integers(0, 2**16), max_size=12),
    st.binary(max_size=40).filter(lambda garbage: b"\xff" not in garbage),
)
def test_pictures_are_found_however_the_stream_is_cut(
    pictures: list[bytes], cuts: list[int], garbage: bytes
) -> None:
    content = garbage + b"".join(picture + garbage for picture in pictures)
    assert split(content, cuts) == pictures


@given(st.binary(max_size=300).map(lambda tail: PLAIN[:30] + tail), st.lists(st.integers(0, 400), max_size=4))
def test_no_bytes_do_any_harm(content: bytes, cuts: list[int]) -> None:
    assert split(content, cuts) == split(content)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (PLAIN[:-2] + PLAIN, [None, PLAIN]),  # the writer was killed, and another began
        (PLAIN[:-300] + PLAIN, [None, PLAIN]),
        (PLAIN + PLAIN[:-300], [PLAIN, None]),  # the stream ends within a picture
        (PLAIN + PLAIN[:3], [PLAIN, None]),
        (PLAIN + b"\xff", [PLAIN]),
        (b"\xff\xd8" + PLAIN, [None, PLAIN]),  # a start and nothing more
        (b"--frame\r\nContent-Type: image/jpeg\r\n\r\n" + PLAIN + b"\r\n", [PLAIN]),  # ffmpeg -f mpjpeg
        (PLAIN[:100] + PLAIN, [None, PLAIN]),  # the length of a table leads into the next picture
        (PLAIN[:20] + b"\x00" * 900 + PLAIN, [None, PLAIN]),  # zeros where segments should be
        (THUMBNAIL[:-2] + PLAIN, [None, PLAIN]),  # torn, and its thumbnail is not taken for it
        (b"no picture at all", []),
        (b"", []),
    ],
)
def test_torn_pictures(content: bytes, found: list[bytes | None]) -> None:
    assert split(content) == found
    assert split(content, range(len(content))) == found


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (PLAIN[:-2], "no end of a picture within 64 MiB of the stream; is it MJPEG"),
        (b"no picture", "no JPEG within 64 MiB of the stream; is it MJPEG"),
    ],
)
def test_memory_is_bounded(start: bytes, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mjpeg_module, "MAX_PICTURE", 2**16)
    pieces = iter([start])
    with pytest.raises(SourceError, match=words):
        list(jpegs(lambda: next(pieces, b"\x00" * 1000)))


# --- the source


@contextlib.contextmanager
def piped(content: bytes) -> Iterator[int]:
    """The reading end of a pipe into which somebody writes this, and leaves."""
    reading, writing = os.pipe()

    def write() -> None:
        with contextlib.suppress(BrokenPipeError), os.fdopen(writing, "wb") as pipe:
            pipe.write(content)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield reading
    finally:
        os.close(reading)
        writer.join(WAIT_S)


def test_every_picture_comes_once_and_torn_ones_are_counted() -> None:
    broken = jpeg(40)[:-100] + b"\xff\xd9"  # its tables end too early
    content = b"".join([*map(jpeg, range(0, 200, 2)), jpeg(40)[:-10], broken, jpeg(250)])
    with piped(content) as descriptor, open_stdin(descriptor=descriptor) as source:
        assert not source.live
        assert source.fps is None
        frames = list(source)
        assert source.counts == Counts(skipped=2)
    assert [frame.index for frame in frames] == list(range(101))
    assert [level(frame) for frame in frames] == pytest.approx([*range(0, 200, 2), 250], abs=1)


@pytest.mark.parametrize("name", FORMATS)
def test_raw_pixels(name: str) -> None:
    bgr = np.zeros((48, 64, 3), np.uint8)
    bgr[:, :32] = (255, 0, 0)  # blue on the left, grey on the right
    bgr[:, 32:] = (90, 90, 90)
    pixels = {
        "bgr24": bgr,
        "rgb24": bgr[..., ::-1],
        "gray": cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY),
        "yuv420p": cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420),
    }[name]
    expected = cv2.cvtColor(pixels, cv2.COLOR_GRAY2BGR) if name == "gray" else bgr
    content = pixels.tobytes()
    with (
        piped(content * 3 + content[:100]) as descriptor,
        open_stdin(f"raw=64x48&format={name}", descriptor) as source,
    ):
        frames = list(source)
        assert source.counts == Counts(skipped=1)  # the stream ended within the fourth
    assert len(frames) == 3
    for frame in frames:
        assert frame.bgr.shape == (48, 64, 3)
        np.testing.assert_allclose(frame.bgr.astype(int), expected, atol=3)


@pytest.mark.parametrize("start", [b"", jpeg(10), jpeg(10) + jpeg(20)[:100]])
def test_close_ends_a_wait_for_the_writer(start: bytes) -> None:
    reading, writing = os.pipe()
    try:
        os.write(writing, jpeg(0) + start)
        source = open_stdin(descriptor=reading)
        assert level(next(source)) == 0
        threading.Timer(0.05, source.close).start()
        assert len(list(source)) <= 1
        source.close()
        assert next(source, None) is None
        os.fstat(reading)  # not ours to close
    finally:
        os.close(reading)
        os.close(writing)


def test_a_file_redirected(tmp_path: Path) -> None:
    (tmp_path / "clip.mjpeg").write_bytes(jpeg(10) + jpeg(20))
    with (tmp_path / "clip.mjpeg").open("rb") as file, open_stdin(descriptor=file.fileno()) as source:
        assert [level(frame) for frame in source] == pytest.approx([10, 20], abs=1)


def test_a_terminal() -> None:
    try:
        ours, theirs = pty.openpty()
    except OSError:
        pytest.skip("no pseudo-terminals here")
    try:
        with pytest.raises(UsageError, match="standard input is a terminal"):
            open_stdin(descriptor=theirs)
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(
    ("content", "query", "words"),
    [
        (b"", None, r"ended before a whole picture came \(0 torn\); a camera's program must write MJPEG"),
        (jpeg(1)[:-5], None, r"before a whole picture came \(1 torn\)"),
        (b"12345", "raw=640x480", r"before a whole picture came \(1 torn\)"),
    ],
)
def test_a_stream_without_any_frame(content: bytes, query: str | None, words: str) -> None:
    with piped(content) as descriptor, pytest.raises(SourceError, match=words):
        open_stdin(query, descriptor)


def test_a_standard_input_that_is_closed() -> None:
    with pytest.raises(SourceError, match="standard input cannot be read"):
        open_stdin(descriptor=9999)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("raw=640", "'raw=640' is not one of its options, which are raw=640x480, format=NAME"),
        ("raw=0x480", "'raw=0x480' is not"),  # no pixels
        ("raw=9999x480", "'raw=9999x480' is not"),  # more than a camera has
        ("size=640x480", "'size=640x480' is not"),  # that is for cameras
        ("raw=4x4&raw=4x4", "'raw=4x4' is not"),  # twice
        ("format=rgb24", "of raw=WxH; without raw it is MJPEG"),
        ("raw=64x48&format=nv12", "a format is bgr24, rgb24, gray, yuv420p"),
        ("raw=63x48&format=yuv420p", "yuv420p has an even width and height"),
    ],
)
def test_a_query_that_cannot_be(query: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        open_source(f"-?{query}")


READER = """
from edgecv.runtime.sources import open_source
with open_source("-") as source:
    print([round(float(frame.bgr.mean()), -1) for frame in source], source.counts.skipped)
"""


def test_a_pipe_from_another_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", READER],
        input=b"".join(map(jpeg, (50, 100, 150))),
        capture_output=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.decode() == "[50.0, 100.0, 150.0] 0\n"


def test_what_ffmpeg_writes() -> None:
    if not shutil.which("ffmpeg"):
        pytest.skip("needs ffmpeg, which is not installed")
    command = "ffmpeg -v error -f lavfi -i testsrc=size=128x96:rate=25:duration=2 -f mjpeg -"
    content = subprocess.run(command.split(), capture_output=True, timeout=60, check=True).stdout
    with piped(content) as descriptor, open_stdin(descriptor=descriptor) as source:
        assert [frame.bgr.shape for frame in source] == [(96, 128, 3)] * 50
        assert source.counts == Counts()
