"""The ribbon cameras of a Raspberry Pi, through picamera2 and libcamera.

Not run on hardware: written after picamera2's own sources, tested on a fake of its API.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import time
from typing import TYPE_CHECKING, Any

from edgecv.errors import SourceError
from edgecv.runtime.sources.base import Opened, Shot, Shots
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.options import Options, covering

if TYPE_CHECKING:
    import numpy as np
    from picamera2 import CompletedRequest, Picamera2

TAKES = ("size", "fps")
SIZE = (1280, 720)
FPS = 30.0


def open_picamera(
    number: int,
    query: str | None = None,
    input_hw: tuple[int, int] | None = None,
    patience: Patience | None = None,
) -> Live:
    """The newest frame of camera `number`, `query` being `size=1280x720&fps=30` or part of it.

    The camera's hardware shrinks the picture as far as a model of `input_hw` allows. Raises SourceError with
    what to do when there is no such camera or no picamera2, UsageError for a malformed query.
    """
    where = f"picamera2:{number}"
    options = Options.parse(query, TAKES, where)
    wait = patience or Patience()
    return Live(lambda _stop: _open(number, options, input_hw, wait.frozen_s, where), where, wait)


def _open(
    number: int, options: Options, input_hw: tuple[int, int] | None, frozen_s: float, where: str
) -> Opened:
    try:
        from libcamera import ColorSpace
        from picamera2 import Picamera2
    except ImportError as missing:
        raise SourceError(
            f"{where} needs picamera2 ({missing}): `sudo apt install python3-picamera2`, not by pip; "
            "a virtual environment sees it when made with --system-site-packages"
        ) from None
    there = len(Picamera2.global_camera_info())
    if number >= there:
        raise SourceError(
            f"{where}: libcamera finds {there or 'no'} camera{'s' * (there > 1)}, counted from 0; "
            "`rpicam-hello --list-cameras` shows them; check the ribbon cable"
        )
    fps = options.fps or FPS
    try:
        camera = Picamera2(number)
    except (RuntimeError, IndexError) as error:
        raise SourceError(f"{where} cannot be opened ({error}); is another program using it?") from None
    try:
        stream = _configure(camera, options.size or SIZE, input_hw, fps, ColorSpace.Smpte170m())
        camera.start()
    except RuntimeError as error:
        camera.close()
        raise SourceError(f"{where}: {error}; another size may help") from None
    return Opened(_shots(camera, stream, frozen_s, where), fps)


def _configure(
    camera: Picamera2, size: tuple[int, int], input_hw: tuple[int, int] | None, fps: float, colour_space: Any
) -> str:
    """Set the streams up, and say which one to take frames of.

    main has the whole picture; picamera2 crops it to the aspect ratio of `size`. lores is the same picture,
    shrunk. It may be RGB on a Raspberry Pi 5, but is 4:2:0 on all of them. The colour space is the one that
    OpenCV's conversion of 4:2:0 assumes.
    """
    small = covering(size, input_hw)
    frame_us = round(1e6 / fps)
    config = camera.create_video_configuration(
        main={"size": size, "format": "RGB888"},
        lores=None if small == size else {"size": small, "format": "YUV420"},
        colour_space=colour_space,
        controls={"FrameDurationLimits": (frame_us, frame_us)},
        display=None,
        encode=None,
    )
    camera.configure(config)
    return "main" if small == size else "lores"


def _shots(camera: Picamera2, stream: str, frozen_s: float, where: str) -> Shots:
    """Frames until the camera fails. Raises SourceError when it does, and closes it at the end."""
    width = camera.stream_configuration(stream)["size"][0]
    try:
        while True:
            request = camera.capture_request(wait=frozen_s)
            try:
                bgr = _bgr(request.make_array(stream), width)
                captured_s = _captured_s(request)
            finally:
                request.release()
            yield Shot(bgr, captured_s)
    except concurrent.futures.TimeoutError:
        camera.cancel_all_and_flush()  # the pending request would make close() wait for ever
        raise SourceError(f"{where}: no frame for {frozen_s:g} s; check the ribbon cable") from None
    except RuntimeError as error:
        raise SourceError(f"{where}: {error}") from None
    finally:
        with contextlib.suppress(RuntimeError):
            camera.close()


def _bgr(pixels: np.ndarray, width: int) -> np.ndarray:
    """[H, W, 3] uint8 BGR of what make_array gives, which nobody else holds.

    pixels: "RGB888", which is [H, W, 3] with blue first; or "YUV420", which is [H * 3/2, stride] with
    padding at the end of each row.
    """
    import cv2

    if pixels.ndim == 3:
        return pixels
    return cv2.cvtColor(pixels, cv2.COLOR_YUV2BGR_I420)[:, :width]


def _captured_s(request: CompletedRequest) -> float:
    """When the exposure began, on the clock of time.perf_counter()."""
    began_ns = request.get_metadata().get("SensorTimestamp")
    if began_ns is None:
        return time.perf_counter()
    age_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - began_ns
    return time.perf_counter() - max(0, age_ns) / 1e9
