"""Whether anything moves in front of the camera, so that the model need not look when nothing does."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_SIDE = 80  # pixels of the picture that is judged
MEMORY_S = 4.0  # time constant of the background; what has not moved for 0.7 of it belongs to it
HOLD_S = 1.0
SHARE = 0.004  # of the picture, in spots of at least 3x3 pixels
LEAST_STD = 2.0  # of 255; four times this is the smallest change that is seen


class MotionGate:
    """Background subtraction (OpenCV's MOG2) on a small grey picture; nothing to tune.

    The background is learnt by time, not by frames, so that the rate of the source does not matter.
    refresh_s: the longest time without a look, so that no wrong answer stays for ever.
    """

    def __init__(self, refresh_s: float = 10.0) -> None:
        import cv2

        self._cv2, self._refresh_s = cv2, refresh_s
        self._model = cv2.createBackgroundSubtractorMOG2(detectShadows=False)
        # Only the one state that a pixel is in most of the time is background: whoever sat still for long
        # enough to belong to it is seen when leaving.
        self._model.setBackgroundRatio(0.5)
        self._model.setVarMin(LEAST_STD**2)
        self._model.setVarInit(LEAST_STD**2)
        self._square = np.ones((3, 3), np.uint8)
        self._before_s = self._opened_s = self._moved_s = -math.inf

    def moved(self, picture: NDArray[np.uint8], captured_s: float) -> bool:
        """Whether to look at this frame: it moves, or did within HOLD_S, or none was for `refresh_s`.

        picture: the model's input, [1, h, w, 3] or [h, w, 3] uint8 in any colour order, the same size each
        time. captured_s: of a clock that does not jump. The first frame always moves.
        """
        if self._share(picture, captured_s) >= SHARE:
            self._moved_s = captured_s
        opened = captured_s - self._moved_s <= HOLD_S or captured_s - self._opened_s >= self._refresh_s
        if opened:
            self._opened_s = captured_s
        return opened

    def _share(self, picture: NDArray[np.uint8], captured_s: float) -> float:
        """Share of the picture, 0 to 1, that is not as it was; the first frame is all new."""
        cv2 = self._cv2
        small = picture.reshape(picture.shape[-3:])
        while max(small.shape) > MAX_SIDE:  # halving is the one shrinking by area that OpenCV does fast
            h, w = (max(1, side // 2) for side in small.shape[:2])
            small = cv2.resize(small[: h * 2, : w * 2], (w, h), interpolation=cv2.INTER_AREA)
        grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), (3, 3), 0)
        passed_s = min(max(0.0, captured_s - self._before_s), MEMORY_S)
        self._before_s = captured_s
        rate = 1 - math.exp(-passed_s / MEMORY_S)
        foreground = self._model.apply(grey, learningRate=rate)
        spots = cv2.morphologyEx(foreground, cv2.MORPH_OPEN, self._square)
        return cv2.countNonZero(spots) / spots.size
