"""Cameras behind GStreamer: a Jetson's CSI cameras, and any pipeline.

The CSI pipeline was not run on hardware: nvarguscamerasrc and nvvidconv are a Jetson's.
"""

from __future__ import annotations

from fractions import Fraction

from edgecv.errors import SourceError, UsageError
from edgecv.runtime.sources.base import Opened
from edgecv.runtime.sources.live import Live, Patience
from edgecv.runtime.sources.masking import masked_uri
from edgecv.runtime.sources.options import Options, covering
from edgecv.runtime.sources.video import open_capture, rate, shots

TAKES = ("size", "fps", "flip")
SIZE = (1280, 720)
FPS = 30.0

# What OpenCV takes; the newest frame only, at once.
TAIL = "videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"


def open_csi(
    sensor: int,
    query: str | None = None,
    input_hw: tuple[int, int] | None = None,
    patience: Patience | None = None,
) -> Live:
    """The newest frame of a Jetson's CSI camera, `query` being `size=1280x720&fps=30&flip=2` or part of it.

    `size` is the sensor's, before `flip`. The hardware shrinks the picture as far as a model of `input_hw`
    allows. Raises SourceError with what to do when the camera gives none, UsageError for a malformed query.
    """
    where = f"csi:{sensor}"
    options = Options.parse(query, TAKES, where)
    return _open(csi_pipeline(sensor, options, input_hw), where, patience)


def csi_pipeline(sensor: int, options: Options, input_hw: tuple[int, int] | None) -> str:
    """nvarguscamerasrc, shrunk and turned by the video hardware (nvvidconv), as BGR."""
    width, height = options.size or SIZE
    # Odd ones swap the sides: 1 and 3 are quarter turns, 5 and 7 mirror along a diagonal.
    turned = (height, width) if options.flip % 2 else (width, height)
    out_width, out_height = covering(turned, input_hw)
    fps = Fraction(options.fps or FPS).limit_denominator(1001)
    return (
        f"nvarguscamerasrc sensor-id={sensor} ! video/x-raw(memory:NVMM),format=NV12,width={width},"
        f"height={height},framerate={fps.numerator}/{fps.denominator} ! "
        f"nvvidconv flip-method={options.flip} ! "
        f"video/x-raw,format=BGRx,width={out_width},height={out_height} ! {TAIL}"
    )


def open_gst(pipeline: str, patience: Patience | None = None) -> Live:
    """The newest frame of a GStreamer pipeline; without an appsink it gets one, and a conversion to BGR.

    Raises SourceError, with passwords masked, when it cannot be played.
    """
    pipeline = pipeline.strip()
    if not pipeline:
        raise UsageError("gst: needs a pipeline, as `gst:v4l2src device=/dev/video0`")
    if "appsink" not in pipeline:
        pipeline = f"{pipeline} ! {TAIL}"
    return _open(pipeline, masked_uri(f"gst:{pipeline}"), patience)


def _open(pipeline: str, where: str, patience: Patience | None) -> Live:
    return Live(lambda _stop: _play(pipeline, where), where, patience or Patience())


def _play(pipeline: str, where: str) -> Opened:
    import cv2

    if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
        raise SourceError(
            f"{where}: this OpenCV ({cv2.__version__}) has no GStreamer, as none from PyPI has; take the "
            "board's own (JetPack's, or `sudo apt install python3-opencv`) in a virtual environment made "
            "with --system-site-packages, and `pip uninstall opencv-python-headless` there"
        )
    capture = open_capture(pipeline, cv2.CAP_GSTREAMER)
    if capture is None:
        raise SourceError(
            f"{where} cannot be played; `gst-launch-1.0` with the same pipeline, "
            "and fakesink in place of appsink, says why"
        )
    return Opened(shots(capture, where), rate(capture))
