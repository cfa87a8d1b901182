"""Scenes with a known truth: what moved, and when."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgecv.image import Preprocessor
from edgecv.runtime.motion import HOLD_S, MotionGate
from edgecv.spec import Preprocess

Picture = np.ndarray


class Camera:
    """Sensor noise of `sigma` grey levels over scenes of [size, size, 3] float32; the same every time."""

    def __init__(self, size: int = 96, sigma: float = 5.0) -> None:
        self._rng = np.random.default_rng(0)
        self._noise = self._rng.normal(0, sigma, (8, size, size, 3)).astype(np.float32)
        coarse = self._rng.integers(40, 180, (10, 10, 3)).astype(np.float32)
        self.scene = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_LINEAR)

    def __call__(self, scene: Picture) -> Picture:
        picture, shift = self._rng.integers(0, (8, len(scene)))
        return np.clip(scene + np.roll(self._noise[picture], shift, axis=0), 0, 255).astype(np.uint8)


def opened_s(frames: Iterable[Picture], fps: float, gate: MotionGate | None = None) -> list[float]:
    """The times at which the gate was open."""
    gate = gate or MotionGate()
    return [i / fps for i, frame in enumerate(frames) if gate.moved(frame, 1000 + i / fps)]


def after(times_s: list[float], begin_s: float) -> list[float]:
    return [t for t in times_s if t > begin_s + 1e-6]


@pytest.mark.parametrize(
    ("size", "fps"),
    [
        (96, 2),
        (96, 30),
        (224, 2),  # shrunk to 56: most of the noise is averaged away
        (32, 30),  # not shrunk at all
    ],
)
def test_sensor_noise_is_still(size: int, fps: int) -> None:
    camera = Camera(size)
    times_s = opened_s((camera(camera.scene) for _ in range(25 * fps)), fps)
    assert times_s[: fps + 1] == [i / fps for i in range(fps + 1)]  # while the background is learnt
    assert after(times_s, HOLD_S) == pytest.approx([11, 21], abs=0.6)  # one look every ten seconds


@pytest.mark.parametrize("fps", [2, 15])
@pytest.mark.parametrize("levels", [30, 120])
def test_slow_brightening_is_still(fps: int, levels: int) -> None:
    camera = Camera()
    scenes = (camera.scene * 0.6 + levels * min(1.0, i / fps / 30) for i in range(40 * fps))
    assert len(after(opened_s(map(camera, scenes), fps), HOLD_S)) <= 3


@pytest.mark.parametrize("fps", [2, 30])
def test_a_flash_opens_for_the_hold_time_only(fps: int) -> None:
    camera = Camera()
    scenes = (camera.scene + (60 if i == 5 * fps else 0) for i in range(9 * fps))
    assert after(opened_s(map(camera, scenes), fps), HOLD_S) == pytest.approx(
        [5 + i / fps for i in range(fps + 1)]
    )


@pytest.mark.parametrize("fps", [2, 60])  # learnt by the clock, not by the number of frames
def test_a_lamp_switched_on_is_learnt_within_seconds(fps: int) -> None:
    camera = Camera()
    scenes = (camera.scene + (50 if i >= 5 * fps else 0) for i in range(12 * fps))
    times_s = after(opened_s(map(camera, scenes), fps), HOLD_S)
    assert times_s == pytest.approx([5 + i / fps for i in range(len(times_s))])
    assert 3 <= times_s[-1] - 5 <= 4.5


def walk(
    camera: Camera, fps: int, begin_s: float, left: float, top: float, levels: float
) -> Iterator[Picture]:
    """An upright figure, 2 % of the picture, is there all at once and walks to the right for a second."""
    size = len(camera.scene)
    width = round(size * (0.02 / 3) ** 0.5)
    for i in range(round((begin_s + 1) * fps)):
        scene = camera.scene.copy()
        if i >= begin_s * fps:
            x, y = round(left * size + (i - begin_s * fps) * size / fps / 4), round(top * size)
            scene[y : y + 3 * width, x : x + width] += levels
        yield camera(scene)


@pytest.mark.parametrize("size", [96, 224])
@pytest.mark.parametrize("fps", [2, 15])
@pytest.mark.parametrize(
    ("left", "top", "levels"),
    [
        (0.0, 0.0, 20),  # in a corner
        (0.31, 0.52, 20),  # across the borders of what is averaged
        (0.6, 0.7, -20),  # darker than the background
    ],
)
def test_a_person_opens_on_the_first_frame(
    size: int, fps: int, left: float, top: float, levels: float
) -> None:
    times_s = opened_s(walk(Camera(size), fps, 4, left, top, levels), fps)
    assert after(times_s, HOLD_S) == pytest.approx([4 + i / fps for i in range(fps)])


@pytest.mark.parametrize("fps", [2, 15])
@pytest.mark.parametrize("stay_s", [4, 5, 8, 20])
def test_who_sat_still_is_seen_leaving(fps: int, stay_s: int) -> None:
    camera = Camera()
    someone = camera.scene.copy()
    someone[30:70, 40:60] = 210
    scenes = [camera.scene] * 3 * fps + [someone] * stay_s * fps + [camera.scene] * fps
    times_s = opened_s(map(camera, scenes), fps)
    assert len([t for t in times_s if 7 <= t < 3 + stay_s]) <= 1  # learnt by then, but for a refresh
    assert times_s[-fps:] == pytest.approx([3 + stay_s + i / fps for i in range(fps)])


def test_a_gate_left_alone_for_long_opens() -> None:
    camera, gate = Camera(), MotionGate(refresh_s=3.0)
    opened_s((camera(camera.scene) for _ in range(30)), 10, gate)
    assert not gate.moved(camera(camera.scene), 1003.5)
    assert gate.moved(camera(camera.scene), 1e6)
    assert not gate.moved(camera(camera.scene), 1e6 + 1)


@pytest.mark.parametrize(
    "view",
    [
        lambda picture: picture[None],  # as a model takes it
        lambda picture: picture[:, 1:],  # not contiguous
        lambda picture: picture[:1, :],  # a strip, larger than what is judged
        lambda picture: picture[:1, :1],
    ],
)
def test_any_picture_is_taken(view: Callable[[Picture], Picture]) -> None:
    camera = Camera(100)
    assert opened_s((view(camera(camera.scene)) for _ in range(30)), 10) == [i / 10 for i in range(11)]


@pytest.mark.parametrize("name", ["carphone_pristine", "bikes"])
def test_real_videos_move_and_their_pictures_do_not(shared: Path, name: str) -> None:
    capture, frames = cv2.VideoCapture(str(shared / "data" / "video" / f"{name}.mp4")), []
    fps, preprocess = capture.get(cv2.CAP_PROP_FPS), Preprocessor(Preprocess(size_hw=(224, 224)))
    while len(frames) < 120 and capture.grab():
        frames.append(preprocess(capture.retrieve()[1]).copy())
    capture.release()
    assert len(opened_s(frames, fps)) >= 0.95 * len(frames)
    assert len(opened_s(frames[::10], fps / 10)) == 12  # as a slow source gives them
    camera = Camera(224)
    assert not after(opened_s((camera(frames[60][0]) for _ in range(150)), fps), HOLD_S)
