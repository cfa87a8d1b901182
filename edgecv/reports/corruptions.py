"""Camera frames as bad as cameras make them: six corruptions in five strengths each.

The idea, and the five strengths, are those of Hendrycks and Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", ICLR 2019. The parameters are this project's own. What
happens to light happens in linear light (gamma 2.2), as in a camera; noise is that of counting and reading
out electrons (Foi et al., IEEE Trans. Image Process. 17, 2008); blur is a share of the shorter side.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgecv.reports.panel import Panel, read_again
from edgecv.reports.schema import Robustness
from edgecv.spec import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Light = NDArray[np.float32]  # [H, W, 3] BGR, linear, 0 to 1

Listed = Sequence[tuple[Path, int]]  # pictures and their classes

STRENGTHS = 5
FRAME_SIDE = 480  # pixels on the shorter side of a camera's 640x480
GAMMA = 2.2

# One value a strength.
NOISE_ELECTRONS = (1000, 400, 160, 64, 25)  # that white counts; a good sensor's 10,000 show no noise
LIGHT_LEFT = (0.4, 0.2, 0.1, 0.05, 0.025)  # of what the camera can amplify to full brightness
MOTION_LENGTH = (0.012, 0.024, 0.036, 0.052, 0.075)  # of the shorter side, while the shutter is open
DEFOCUS_RADIUS = (0.005, 0.01, 0.016, 0.023, 0.033)  # of the shorter side
JPEG_QUALITY = (40, 25, 15, 9, 5)
COLOUR_RATIO = (1.15, 1.4, 1.8, 2.4, 3.2)  # gain of red and loss of blue, or the other way round

LOW_LIGHT_ELECTRONS = 1000  # that white would count in the light that the camera can still amplify
READ_ELECTRONS = 3.0  # standard deviation of reading a pixel out


class Corruption(str, enum.Enum):
    NONE = "none"
    NOISE = "sensor noise"
    MOTION = "motion blur"
    DEFOCUS = "defocus"
    LOW_LIGHT = "low light"
    JPEG = "JPEG"
    WHITE_BALANCE = "white balance"


SEVERITIES = (
    (Corruption.NONE, 0),
    *((c, s) for c in Corruption if c is not Corruption.NONE for s in range(1, STRENGTHS + 1)),
)


def measure_robustness(
    panel: Panel, files: Listed, count: int, tell: Callable[[int], None]
) -> dict[Kind, tuple[Robustness, ...]]:
    """Top-1 of every artifact after each of SEVERITIES, on `count` of the pictures, or all if they are fewer.

    Photographs larger than a camera's frame are made as small first. tell: called with how many corrupted
    pictures are done. Raises DataError for a picture that can no longer be read.
    """
    chosen, side = _spread(files, count), max(FRAME_SIDE, *panel.manifest.preprocess.size_hw)
    right = {kind: np.zeros(len(SEVERITIES), np.intp) for kind in panel.kinds}
    for number, (path, label) in enumerate(chosen):
        frame = shrink(read_again(path), side)
        for at, (corruption, strength) in enumerate(SEVERITIES):
            tell(number * len(SEVERITIES) + at)
            for kind, logits in panel.ask(corrupt(frame, corruption, strength, seed=number), path.name):
                right[kind][at] += int(logits.argmax()) == label
    n = len(chosen)
    return {
        kind: tuple(
            Robustness(corruption=corruption.value, strength=strength, n=n, top1=hits / n)
            for (corruption, strength), hits in zip(SEVERITIES, counts.tolist(), strict=True)
        )
        for kind, counts in right.items()
    }


def _spread(files: Listed, count: int, seed: int = 0) -> Listed:
    """`count` of the pictures evenly spread over the list, from a start that is drawn."""
    count = min(count, len(files))
    start = np.random.default_rng(seed).random()
    return [files[int((i + start) * len(files) / count)] for i in range(count)]


def shrink(bgr: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """The picture with at most `side` pixels on its shorter side."""
    import cv2

    height, width = bgr.shape[:2]
    factor = side / min(height, width)
    if factor >= 1:
        return bgr
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    return cv2.resize(bgr, size, interpolation=cv2.INTER_AREA)


def corrupt(bgr: NDArray[np.uint8], corruption: Corruption, strength: int, seed: int) -> NDArray[np.uint8]:
    """A frame with one corruption; strength 0 is the frame itself, 5 the worst.

    Args:
        bgr: [H, W, 3] uint8, as a camera delivers it and before preprocessing; left as it is.
        seed: of the noise, the direction of the motion and of the colour cast: the same for all strengths.

    Returns:
        [H, W, 3] uint8. Raises ValueError for a strength that is not 0 to 5.
    """
    if not 0 <= strength <= STRENGTHS:
        raise ValueError(f"strength {strength} is not one of 0 to {STRENGTHS}")
    if strength == 0 or corruption is Corruption.NONE:
        return bgr.copy()
    apply, values = _HOW[corruption]
    return apply(bgr, values[strength - 1], np.random.default_rng(seed))


def _noise(bgr: NDArray[np.uint8], electrons: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    light = _decode(bgr)
    return _encode(light + _sensor_noise(light, electrons, rng))


def _low_light(bgr: NDArray[np.uint8], left: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    dark = _decode(bgr) * np.float32(left)
    return _encode(dark + _sensor_noise(dark, LOW_LIGHT_ELECTRONS, rng))


def _sensor_noise(light: Light, electrons: float, rng: np.random.Generator) -> Light:
    """Shot and read noise where `electrons` are counted at white: variance n + READ_ELECTRONS^2 of n."""
    deviation = np.sqrt(light * np.float32(electrons) + np.float32(READ_ELECTRONS**2)) / np.float32(electrons)
    return rng.standard_normal(light.shape, np.float32) * deviation


def _motion(bgr: NDArray[np.uint8], length: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    return _filter(bgr, line_kernel(length * min(bgr.shape[:2]), rng.uniform(0, np.pi)))


def _defocus(bgr: NDArray[np.uint8], radius: float, _rng: np.random.Generator) -> NDArray[np.uint8]:
    return _filter(bgr, disc_kernel(radius * min(bgr.shape[:2])))


def line_kernel(length: float, angle: float) -> NDArray[np.float32]:
    """[n, n], n odd, of sum 1: a straight move of `length` pixels, points of it shared among four pixels."""
    half = int(np.ceil(length / 2)) + 1
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    along = np.linspace(-length / 2, length / 2, 4 * half + 1)
    x, y = half + along * np.cos(angle), half + along * np.sin(angle)
    left, top = np.floor(x).astype(np.intp), np.floor(y).astype(np.intp)
    right_share, bottom_share = x - left, y - top
    np.add.at(kernel, (top, left), (1 - bottom_share) * (1 - right_share))
    np.add.at(kernel, (top, left + 1), (1 - bottom_share) * right_share)
    np.add.at(kernel, (top + 1, left), bottom_share * (1 - right_share))
    np.add.at(kernel, (top + 1, left + 1), bottom_share * right_share)
    return kernel / kernel.sum()


def disc_kernel(radius: float) -> NDArray[np.float32]:
    """[n, n], n odd, of sum 1: the image of a point out of focus, its edge one pixel wide."""
    half = int(np.ceil(radius))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    kernel = np.clip(radius + 0.5 - np.hypot(x, y), 0, 1).astype(np.float32)
    return kernel / kernel.sum()


def _filter(bgr: NDArray[np.uint8], kernel: NDArray[np.float32]) -> NDArray[np.uint8]:
    import cv2

    return _encode(cv2.filter2D(_decode(bgr), -1, kernel, borderType=cv2.BORDER_REPLICATE))


def _white_balance(bgr: NDArray[np.uint8], ratio: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    gains = (1 / ratio, 1.0, ratio) if rng.random() < 0.5 else (ratio, 1.0, 1 / ratio)
    return _encode(_decode(bgr) * np.float32(gains))


def _jpeg(bgr: NDArray[np.uint8], quality: int, _rng: np.random.Generator) -> NDArray[np.uint8]:
    import cv2

    coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


_TO_LIGHT = (np.arange(256) / 255).astype(np.float32) ** np.float32(GAMMA)


def _decode(bgr: NDArray[np.uint8]) -> Light:
    return _TO_LIGHT[bgr]


def _encode(light: Light) -> NDArray[np.uint8]:
    return np.rint(255 * np.clip(light, 0, 1) ** np.float32(1 / GAMMA)).astype(np.uint8)


_HOW: dict[Corruption, tuple[Callable[..., NDArray[np.uint8]], tuple[Any, ...]]] = {
    Corruption.NOISE: (_noise, NOISE_ELECTRONS),
    Corruption.MOTION: (_motion, MOTION_LENGTH),
    Corruption.DEFOCUS: (_defocus, DEFOCUS_RADIUS),
    Corruption.LOW_LIGHT: (_low_light, LIGHT_LEFT),
    Corruption.JPEG: (_jpeg, JPEG_QUALITY),
    Corruption.WHITE_BALANCE: (_white_balance, COLOUR_RATIO),
}
