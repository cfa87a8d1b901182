"""Frame -> model input: the one implementation behind calibration, running and scoring."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgecv.spec import Color, Interpolation, Preprocess, Resize

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Preprocessor:
    """Applies a bundle's preprocessing rule, into a buffer that is reused from call to call."""

    def __init__(self, rule: Preprocess) -> None:
        import cv2

        self.rule = rule
        height, width = rule.size_hw
        self._flag = {
            Interpolation.LINEAR: cv2.INTER_LINEAR,
            Interpolation.CUBIC: cv2.INTER_CUBIC,
            Interpolation.AREA: cv2.INTER_AREA,
        }[rule.interpolation]
        self._resize, self._convert, self._to_rgb = cv2.resize, cv2.cvtColor, cv2.COLOR_BGR2RGB
        self._input = np.empty((1, height, width, 3), np.uint8)
        # Colour order is swapped after shrinking, on the few pixels that remain; BGR is what OpenCV has.
        self._small = np.empty((height, width, 3), np.uint8) if rule.color is Color.RGB else None

    def __call__(self, bgr: NDArray[np.uint8], out: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
        """Prepare one frame.

        Args:
            bgr: [H, W, 3] uint8, any size, as OpenCV delivers it.
            out: [1, h, w, 3] uint8 to write into; None for a buffer that is the same every time.

        Returns:
            [1, h, w, 3] uint8 in the rule's colour order: `out`, or the buffer, valid until the next call.
        """
        out = self._input if out is None else out
        small = out[0] if self._small is None else self._small
        if self.rule.resize is Resize.LETTERBOX:
            self._letterbox(bgr, small)
        else:
            view = _center(bgr, self.rule) if self.rule.resize is Resize.CENTER_CROP else bgr
            self._resize(view, self.rule.size_hw[::-1], dst=small, interpolation=self._flag)
        if self._small is not None:
            self._convert(small, self._to_rgb, dst=out[0])
        return out

    def _letterbox(self, bgr: NDArray[np.uint8], small: NDArray[np.uint8]) -> None:
        """The frame in the top left corner, as large as it fits, and pad_value in what is left."""
        height, width = bgr.shape[:2]
        h, w = self.rule.size_hw
        scale = min(h / height, w / width)
        inner_h, inner_w = max(1, round(height * scale)), max(1, round(width * scale))
        inner = self._resize(bgr, (inner_w, inner_h), interpolation=self._flag)
        small[:inner_h, :inner_w] = inner
        small[inner_h:] = self.rule.pad_value
        small[:inner_h, inner_w:] = self.rule.pad_value


def _center(bgr: NDArray[np.uint8], rule: Preprocess) -> NDArray[np.uint8]:
    """The largest centred window of the input's aspect ratio, times crop_fraction; a view, no copy."""
    height, width = bgr.shape[:2]
    h, w = rule.size_hw
    scale = min(height / h, width / w) * rule.crop_fraction
    crop_h, crop_w = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (height - crop_h) // 2, (width - crop_w) // 2
    return bgr[top : top + crop_h, left : left + crop_w]
