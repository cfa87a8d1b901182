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
        swapped = rule.color is Color.RGB
        self._small = np.empty((height, width, 3), np.uint8) if swapped else self._input[0]
        self._swapped = swapped

    def __call__(self, bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Prepare one frame.

        Args:
            bgr: [H, W, 3] uint8, any size, as OpenCV delivers it.

        Returns:
            [1, h, w, 3] uint8 in the rule's colour order; the same buffer every time, valid until the
            next call.
        """
        if self.rule.resize is Resize.LETTERBOX:
            self._letterbox(bgr)
        else:
            view = _center(bgr, self.rule) if self.rule.resize is Resize.CENTER_CROP else bgr
            self._resize(view, self.rule.size_hw[::-1], dst=self._small, interpolation=self._flag)
        if self._swapped:
            self._convert(self._small, self._to_rgb, dst=self._input[0])
        return self._input

    def _letterbox(self, bgr: NDArray[np.uint8]) -> None:
        """The frame in the top left corner, as large as it fits, and pad_value in what is left."""
        height, width = bgr.shape[:2]
        h, w = self.rule.size_hw
        scale = min(h / height, w / width)
        inner_h, inner_w = max(1, round(height * scale)), max(1, round(width * scale))
        inner = self._resize(bgr, (inner_w, inner_h), interpolation=self._flag)
        self._small[:inner_h, :inner_w] = inner
        self._small[inner_h:] = self.rule.pad_value
        self._small[:inner_h, inner_w:] = self.rule.pad_value


def _center(bgr: NDArray[np.uint8], rule: Preprocess) -> NDArray[np.uint8]:
    """The largest centred window of the input's aspect ratio, times crop_fraction; a view, no copy."""
    height, width = bgr.shape[:2]
    h, w = rule.size_hw
    scale = min(height / h, width / w) * rule.crop_fraction
    crop_h, crop_w = max(1, round(h * scale)), max(1, round(w * scale))
    top, left = (height - crop_h) // 2, (width - crop_w) // 2
    return bgr[top : top + crop_h, left : left + crop_w]
