"""Cameras of boards, on fakes of what their packages give: V4L2 through cv2, picamera2, GStreamer."""

from __future__ import annotations

import concurrent.futures
import queue
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import has, level, wait_for

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.sources import camera as camera_module
from edgecv.runtime.sources import is_path, open_source
from edgecv.runtime.sources.camera import open_camera
from edgecv.runtime.sources.gstreamer import csi_pipeline
from edgecv.runtime.sources.live import Patience
from edgecv.runtime.sources.options import Options, covering
from edgecv.runtime.sources.picamera import open_picamera

# --- options and sizes


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("0?size=640", "'size=640' is not one of its options, which are size=1280x720, fps=30, format=NAME"),
        ("0?fps=0", "'fps=0' is not one"),  # no frame ever
        ("/dev/video2?format=MJPEG", "a pixel format is four letters, as MJPG or YUYV, not 'MJPEG'"),
        ("/dev/video2?flip=2", "/dev/video2: 'flip=2' is not one"),  # that is for csi
        ("picamera2?format=YUYV", "picamera2:0: 'format=YUYV' is not one of its options"),
        ("csi:1?flip=8", "csi:1: 'flip=8' is not one .*flip=0..7"),
        ("gst:", "gst: needs a pipeline, as"),
    ],
)
def test_options_that_cannot_be(uri: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as raised:
        open_source(uri)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "uri", ["0", "/dev/video0", "picamera2", "csi", "-", "synthetic:8x8@5", "http://h/a"]
)
@pytest.mark.parametrize("asked", ["loop", "realtime"])
def test_only_a_video_file_can_be_looped_or_played(uri: str, asked: str) -> None:
    with pytest.raises(UsageError, match="only a video file can"):
        open_source(uri, **{asked: True})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("clip.mp4", True),
        ("photos/*.jpg", True),
        ("./csi", True),  # how a file of a camera's name is told apart
        ("csi.mp4", True),
        ("0", False),
        ("0?size=640x480", False),
        ("csi:0", False),
        ("-", False),
        ("rtsp://host/a", False),
        ("sample:photos", False),
    ],
)
def test_paths_are_what_no_other_kind_is(text: str, path: bool) -> None:
    assert is_path(text) == path


@pytest.mark.parametrize(
    ("size", "input_hw", "small"),
    [
        ((1280, 720), (224, 224), (400, 224)),  # 398.2 wide, made even
        ((640, 480), (224, 224), (300, 224)),
        ((480, 640), (224, 224), (224, 300)),  # upright
        ((1280, 720), (96, 320), (320, 180)),  # the width decides
        ((320, 240), (240, 240), (320, 240)),  # nothing to shrink
        ((320, 240), (300, 300), (320, 240)),  # and never enlarged
        ((1280, 720), None, (1280, 720)),
    ],
)
def test_the_size_hardware_shrinks_to(
    size: tuple[int, int], input_hw: tuple[int, int] | None, small: tuple[int, int]
) -> None:
    assert covering(size, input_hw) == small


sides = st.integers(16, 2000).map(lambda half: 2 * half)


@given(st.tuples(sides, sides), st.tuples(st.integers(16, 600), st.integers(16, 600)))
def test_the_shrunk_picture_holds_the_input_and_keeps_its_shape(
    size: tuple[int, int], input_hw: tuple[int, int]
) -> None:
    width, height = covering(size, input_hw)
    assert width % 2 == height % 2 == 0
    assert width <= size[0]
    assert height <= size[1]
    if input_hw[0] <= size[1] and input_hw[1] <= size[0]:
        assert height >= input_hw[0]
        assert width >= input_hw[1]
    assert abs(width - height * size[0] / size[1]) <= 2 * max(1, size[0] / size[1])


# --- V4L2


class FakeV4l2:
    """cv2.VideoCapture on a driver that has one mode, and gives frames until the camera is pulled out."""

    mode: ClassVar[dict[int, float]]
    levels: ClassVar[queue.Queue[int | None]]
    opened: ClassVar[list[list[int]]]
    works: ClassVar[bool]

    def __init__(self, _where: str, backend: int, parameters: list[int]) -> None:
        assert backend == cv2.CAP_V4L2
        self.opened.append(parameters)
        self.set_later: dict[int, float] = {}
        self.level: int | None = None

    def isOpened(self) -> bool:  # noqa: N802  OpenCV's name
        return self.works

    def set(self, key: int, value: float) -> bool:
        self.set_later[key] = value
        return True

    def get(self, key: int) -> float:
        return self.mode.get(key, 0.0)

    def grab(self) -> bool:
        self.level = self.levels.get()
        return self.level is not None

    def retrieve(self) -> tuple[bool, np.ndarray]:
        return True, np.full((4, 4, 3), self.level, np.uint8)

    def release(self) -> None:
        pass


@pytest.fixture
def v4l2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[FakeV4l2]:
    FakeV4l2.mode = {
        cv2.CAP_PROP_FOURCC: cv2.VideoWriter_fourcc(*"MJPG"),
        cv2.CAP_PROP_FRAME_WIDTH: 1280,
        cv2.CAP_PROP_FRAME_HEIGHT: 720,
        cv2.CAP_PROP_FPS: 30,
    }
    FakeV4l2.levels = queue.Queue()
    FakeV4l2.opened = []
    FakeV4l2.works = True
    monkeypatch.setattr(cv2, "VideoCapture", FakeV4l2)
    monkeypatch.setattr(camera_module, "DEV", tmp_path)
    (tmp_path / "video2").touch()
    return FakeV4l2


@pytest.mark.parametrize(
    ("query", "warnings"),
    [
        (None, []),
        ("size=1280x720&fps=30&format=MJPG", []),
        ("size=640x480", ["asked for width 640, its driver gives 1280", "height 480, its driver gives 720"]),
        ("format=YUYV", ["asked for format YUYV, its driver gives MJPG"]),
        ("fps=60", ["asked for fps 60, its driver gives 30"]),
    ],
)
def test_a_camera_gets_its_options_and_says_what_the_driver_made_of_them(
    v4l2: type[FakeV4l2],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    query: str | None,
    warnings: list[str],
) -> None:
    for one in (7, None):
        v4l2.levels.put(one)
    with open_camera(tmp_path / "video2", query, Patience(reconnect=False)) as source:
        told = list(caplog.messages)
        assert level(next(source)) == 7
        assert source.fps == 30
    assert len(told) == len(warnings)
    for message, words in zip(told, warnings, strict=True):
        assert words in message
        assert message.startswith(f"{tmp_path}/video2: ")


def test_options_are_set_in_the_order_a_driver_wants_them(v4l2: type[FakeV4l2], tmp_path: Path) -> None:
    v4l2.levels.put(None)
    open_camera(tmp_path / "video2", "fps=30&size=1280x720&format=MJPG", Patience(reconnect=False)).close()
    assert v4l2.opened[0][::2] == [
        cv2.CAP_PROP_FOURCC,  # decides on the sizes
        cv2.CAP_PROP_FRAME_WIDTH,
        cv2.CAP_PROP_FRAME_HEIGHT,  # which decide on the rates
        cv2.CAP_PROP_FPS,
    ]
    assert v4l2.opened[0][3::2] == [1280, 720, 30]


def test_a_mode_the_camera_has_not(v4l2: type[FakeV4l2], tmp_path: Path) -> None:
    v4l2.works = False
    with pytest.raises(SourceError, match=r"it has no such mode .*v4l2-ctl -d .*video2 --list-formats-ext"):
        open_camera(tmp_path / "video2", "format=H264")


def test_a_camera_that_is_pulled_out_and_put_in_again(
    v4l2: type[FakeV4l2], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    v4l2.levels.put(1)
    with open_camera(tmp_path / "video2", None, Patience(first_wait_s=0.001, longest_wait_s=0.001)) as source:
        assert level(next(source)) == 1
        (tmp_path / "video2").rename(tmp_path / "pulled")
        v4l2.levels.put(None)
        wait_for(source, lambda live: live.counts.lost)
        (tmp_path / "pulled").rename(tmp_path / "video2")
        v4l2.levels.put(2)
        assert level(next(source)) == 2
        assert source.counts.reconnects == 1
        v4l2.levels.put(3)
        wait_for(source, has(3))
        source._stop.set()
        v4l2.levels.put(None)
    assert [message.split()[2] for message in caplog.messages] == ["lost", "back"]


# --- picamera2


class FakePicamera2:
    """The part of picamera2's class that is used, with the checks and layouts of its own sources."""

    cameras: ClassVar[list[dict[str, str]]]
    made: ClassVar[list[FakePicamera2]]
    todo: ClassVar[queue.Queue[int | Exception]]  # what the camera gives, however often it is opened
    busy: ClassVar[bool]
    stride: ClassVar[int] = 64  # of 4:2:0, as the hardware aligns it

    @staticmethod
    def global_camera_info() -> list[dict[str, str]]:
        return FakePicamera2.cameras

    def __init__(self, number: int) -> None:
        if self.busy:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.number = number
        self.requests: list[FakeRequest] = []
        self.cancelled = self.closed = self.started = False
        self.made.append(self)

    def create_video_configuration(
        self, main: dict, lores: dict | None, colour_space: str, controls: dict, display: None, encode: None
    ) -> dict[str, Any]:
        del display, encode
        return {"main": main, "lores": lores, "colour_space": colour_space, "controls": controls}

    def configure(self, config: dict[str, Any]) -> None:
        for stream in filter(None, (config["main"], config["lores"])):
            if any(side % 2 for side in stream["size"]):
                raise RuntimeError("width and height should be even")
        if config["lores"] and config["lores"]["format"] != "YUV420":
            raise RuntimeError("lores stream must be YUV")
        self.config = config

    def stream_configuration(self, name: str) -> dict[str, Any]:
        return self.config[name]

    def start(self) -> None:
        self.started = True

    def capture_request(self, wait: float) -> FakeRequest:
        assert wait > 0
        what = self.todo.get()
        if isinstance(what, Exception):
            raise what
        self.requests.append(FakeRequest(self, what))
        return self.requests[-1]

    def cancel_all_and_flush(self) -> None:
        self.cancelled = True

    def close(self) -> None:
        self.closed = True


class FakeRequest:
    """A frame whose left half is blue, at a level, and whose right half is red."""

    metadata: ClassVar[Callable[[], dict[str, int]]] = staticmethod(dict)

    def __init__(self, camera: FakePicamera2, value: int) -> None:
        self.camera, self.value, self.released = camera, value, False

    def make_array(self, name: str) -> np.ndarray:
        stream = self.camera.config[name]
        width, height = stream["size"]
        bgr = np.zeros((height, width, 3), np.uint8)
        bgr[:, : width // 2, 0] = self.value
        bgr[:, width // 2 :, 2] = self.value
        if stream["format"] == "RGB888":  # blue first in memory
            return bgr
        stride = -(-width // self.camera.stride) * self.camera.stride
        padded = cv2.copyMakeBorder(bgr, 0, 0, 0, stride - width, cv2.BORDER_CONSTANT, value=(0, 255, 0))
        return cv2.cvtColor(padded, cv2.COLOR_BGR2YUV_I420)

    def get_metadata(self) -> dict[str, int]:
        return self.metadata()

    def release(self) -> None:
        self.released = True


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[FakePicamera2]:
    FakePicamera2.cameras = [{"Model": "imx708"}, {"Model": "ov5647"}]
    FakePicamera2.made = []
    FakePicamera2.todo = queue.Queue()
    FakePicamera2.busy = False
    libcamera = SimpleNamespace(ColorSpace=SimpleNamespace(Smpte170m=lambda: "BT.601"))
    monkeypatch.setitem(sys.modules, "picamera2", SimpleNamespace(Picamera2=FakePicamera2))
    monkeypatch.setitem(sys.modules, "libcamera", libcamera)
    return FakePicamera2


@pytest.mark.parametrize(
    ("query", "input_hw", "stream", "main", "frame", "frame_us"),
    [
        (None, None, "main", (1280, 720), (1280, 720), 33333),  # no model: the whole picture
        (None, (224, 224), "lores", (1280, 720), (400, 224), 33333),  # shrunk, its rows padded to 448
        ("size=640x480&fps=60", (96, 96), "lores", (640, 480), (128, 96), 16667),  # no padding
        ("size=320x240", (320, 320), "main", (320, 240), (320, 240), 33333),  # too small to be shrunk
    ],
)
def test_picamera2_gives_the_model_a_small_frame_in_bgr(
    picamera2: type[FakePicamera2],
    query: str | None,
    input_hw: tuple[int, int] | None,
    stream: str,
    main: tuple[int, int],
    frame: tuple[int, int],
    frame_us: int,
) -> None:
    with open_picamera(1, query, input_hw, Patience(reconnect=False)) as source:
        (camera,) = picamera2.made
        picamera2.todo.put(200)
        taken = next(source)
        picamera2.todo.put(RuntimeError("the end of the test"))
    assert (camera.number, camera.started) == (1, True)
    assert camera.config["main"] == {"size": main, "format": "RGB888"}
    assert (camera.config["lores"] is not None) == (stream == "lores")
    assert camera.config["controls"] == {"FrameDurationLimits": (frame_us, frame_us)}
    assert taken.bgr.shape == (frame[1], frame[0], 3)
    quarter = frame[0] // 4
    np.testing.assert_allclose(taken.bgr[5, quarter].astype(int), (200, 0, 0), atol=4)  # blue, in BGR
    np.testing.assert_allclose(taken.bgr[5, -quarter].astype(int), (0, 0, 200), atol=4)
    assert source.fps == pytest.approx(1e6 / frame_us, rel=1e-3)
    assert [request.released for request in camera.requests] == [True]
    assert camera.closed


@pytest.mark.parametrize(
    ("age_ms", "expected_ms"),
    [
        (25, 25),  # the sensor's own time
        (-5, 0),  # nothing is captured in the future
    ],
)
def test_a_frame_is_as_old_as_the_sensor_says(
    picamera2: type[FakePicamera2], monkeypatch: pytest.MonkeyPatch, age_ms: int, expected_ms: int
) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: 100.0)
    monkeypatch.setattr(time, "clock_gettime_ns", lambda clock: {time.CLOCK_BOOTTIME: 10**12}[clock])
    stamp = {"SensorTimestamp": 10**12 - age_ms * 10**6}
    monkeypatch.setattr(FakeRequest, "metadata", staticmethod(lambda: stamp))
    with open_picamera(0, patience=Patience(reconnect=False)) as source:
        picamera2.todo.put(1)
        assert next(source).captured_s == pytest.approx(100.0 - expected_ms / 1e3)
        picamera2.todo.put(RuntimeError("the end of the test"))


def test_a_ribbon_cable_that_comes_loose(picamera2: type[FakePicamera2]) -> None:
    for one in (1, concurrent.futures.TimeoutError()):
        picamera2.todo.put(one)
    with open_picamera(0, patience=Patience(first_wait_s=0.0)) as source:
        wait_for(source, lambda live: live.counts.lost)
        picamera2.todo.put(2)
        wait_for(source, lambda live: live._captured == 2)
        assert source.counts.reconnects == 1
        source._stop.set()
        picamera2.todo.put(RuntimeError("the end of the test"))
    first, _second = picamera2.made
    assert (first.cancelled, first.closed) == (True, True)  # or close() would wait for the pending request


def test_picamera2_without_such_a_camera(picamera2: type[FakePicamera2]) -> None:
    with pytest.raises(SourceError, match="picamera2:2: libcamera finds 2 cameras, counted from 0"):
        open_source("picamera2:2")
    picamera2.cameras = []
    with pytest.raises(SourceError, match="libcamera finds no camera, .*check the ribbon cable"):
        open_source("picamera2")
    picamera2.cameras = [{}]
    picamera2.busy = True
    with pytest.raises(SourceError, match="picamera2:0 cannot be opened .*another program using it"):
        open_source("picamera2")
    picamera2.busy = False
    with pytest.raises(SourceError, match="picamera2:0: width and height should be even"):
        open_source("picamera2?size=641x480")
    assert picamera2.made[-1].closed


def test_picamera2_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(SourceError, match="apt install python3-picamera2.*--system-site-packages") as raised:
        open_source("picamera2")
    assert "\n" not in str(raised.value)


# --- GStreamer


@pytest.mark.parametrize(
    ("query", "input_hw", "parts"),
    [
        (None, None, ("width=1280,height=720,framerate=30/1", "flip-method=0", "width=1280,height=720")),
        ("fps=29.97", (224, 224), ("framerate=2997/100", "flip-method=0", "width=400,height=224")),
        ("flip=2", (224, 224), ("height=720,framerate=30/1", "flip-method=2", "width=400,height=224")),
        (
            "size=640x480&flip=1",
            (224, 224),
            ("width=640,height=480", "flip-method=1", "width=224,height=300"),
        ),
    ],
)
def test_the_pipeline_of_a_csi_camera(
    query: str | None, input_hw: tuple[int, int] | None, parts: tuple[str, ...]
) -> None:
    pipeline = csi_pipeline(1, Options.parse(query, ("size", "fps", "flip"), "csi"), input_hw)
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),format=NV12,")
    assert re.search(".* ! .*".join(map(re.escape, parts)), pipeline), pipeline
    assert pipeline.endswith("format=BGR ! appsink drop=true max-buffers=1 sync=false")


@pytest.mark.parametrize("uri", ["csi", "csi:1?size=640x480", "gst:videotestsrc user-pw=secret"])
def test_an_opencv_without_gstreamer(uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _: False)  # as in every wheel of PyPI
    with pytest.raises(SourceError, match="has no GStreamer.*apt install python3-opencv.*") as raised:
        open_source(uri)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(SourceError, match="/dev/null is not a camera"):
        open_source("/dev/null")
