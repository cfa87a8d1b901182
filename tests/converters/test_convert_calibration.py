"""Planted faults are found and named, good photographs are left alone, and a camera's frames become a set."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv import api
from edgecv.api import calibration as calibration_api
from edgecv.cli import cli
from edgecv.converters import calibration
from edgecv.converters.collect import STILL_FRAMES, Ended, collect
from edgecv.converters.picture_checks import MIN_PICTURES, Check, Doctor, Place, fault_of
from edgecv.converters.picture_looks import Seen, look
from edgecv.converters.range_stability import Stability, measure, stability
from edgecv.data import Candidate, draw, sample_photos
from edgecv.errors import DataError, EdgecvError, SourceError, UsageError
from edgecv.photos import read_image
from edgecv.spec import Preprocess

RULE = Preprocess(size_hw=(224, 224))
SMALL = Preprocess(size_hw=(32, 32))


@pytest.fixture(scope="session")
def photos() -> dict[str, np.ndarray]:
    """The photographs of installed packages by file name, 280 pixels on the shorter side."""
    pytest.importorskip("skimage", reason="the sample photographs are in the convert extra's packages")
    read = {path.name: read_image(path) for path in sample_photos()}
    return {name: scaled(bgr, 280 / min(bgr.shape[:2])) for name, bgr in read.items() if bgr is not None}


def blurred(bgr: np.ndarray, pixels_of_224: float) -> np.ndarray:
    return cv2.GaussianBlur(bgr, (0, 0), pixels_of_224 * min(bgr.shape[:2]) / 224)


def scaled(bgr: np.ndarray, factor: float) -> np.ndarray:
    return cv2.resize(bgr, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)


def brighter(bgr: np.ndarray, gain: float) -> np.ndarray:
    return np.clip(bgr * gain, 0, 255).astype(np.uint8)


def reencoded(bgr: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_COLOR)


def greyed(bgr: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def windows(bgr: np.ndarray, count: int, seed: int = 0) -> list[np.ndarray]:
    """`count` views of one photograph, each 60 % of it in some place."""
    rng = np.random.default_rng(seed)
    height, width = bgr.shape[:2]
    places = [(int(y * 0.4 * height), int(x * 0.4 * width)) for y, x in rng.random((count, 2))]
    return [bgr[y : y + int(0.6 * height), x : x + int(0.6 * width)] for y, x in places]


def write(folder: Path, pictures: dict[str, np.ndarray]) -> Path:
    for name, bgr in pictures.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(folder / name), bgr)
    return folder


def noise(count: int, seed: int = 0) -> list[np.ndarray]:
    """Pictures that have nothing in common: 6 x 6 colours with hard edges."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (count, 6, 6, 3), dtype=np.uint8)
    return [cv2.resize(one, (96, 96), interpolation=cv2.INTER_NEAREST) for one in small]


def candidates(pictures: list[np.ndarray]) -> Iterator[Candidate]:
    return (Candidate(f"frame {i}", bgr) for i, bgr in enumerate(pictures))


def video(path: Path, pictures: list[np.ndarray]) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, pictures[0].shape[1::-1])
    for bgr in pictures:
        writer.write(bgr)
    writer.release()
    return path


# --- one picture


@pytest.mark.parametrize(
    ("spoil", "check", "says"),
    [
        (lambda b: blurred(b, 3), Check.BLURRED, "sharpness"),  # out of focus
        (lambda b: blurred(brighter(b, 0.5), 4), Check.BLURRED, "sharpness"),  # and dim
        (lambda b: brighter(b, 0.12), Check.UNDER_EXPOSED, "below level"),  # an eighth of the light
        (lambda b: np.zeros_like(b), Check.UNDER_EXPOSED, "100% black"),  # the lens cap
        (lambda b: 255 - brighter(255 - b, 0.1), Check.OVER_EXPOSED, "above level"),  # washed out
        (lambda b: np.full_like(b, 255), Check.OVER_EXPOSED, "100% white"),  # into the sun
        (lambda b: np.full_like(b, 128), Check.BLURRED, "sharpness 0"),  # nothing at all to see
        (
            lambda b: scaled(b, 100 / min(b.shape[:2])),
            Check.TOO_SMALL,
            "the model takes 224x224",
        ),  # thumbnails
    ],
)
def test_a_spoiled_photograph_is_found(photos: dict[str, np.ndarray], spoil, check: Check, says: str) -> None:
    for name, bgr in photos.items():
        fault = fault_of(look(spoil(bgr)), RULE.size_hw)
        assert fault is not None, name
        assert fault[0] is check, (name, fault)
        assert says in fault[1]


@pytest.mark.parametrize(
    "change",
    [
        lambda b: b,  # as it is
        lambda b: blurred(b, 0.7),  # a soft lens
        lambda b: brighter(b, 0.4),  # a dim room
        lambda b: brighter(b, 2),  # a bright day, clipped here and there
        greyed,  # another kind of camera
        lambda b: reencoded(b, 20),  # a thrifty camera
        lambda b: scaled(b, 150 / min(b.shape[:2])),  # smaller than the input, not by half
    ],
)
def test_a_good_photograph_is_left_alone(photos: dict[str, np.ndarray], change) -> None:
    for name, bgr in photos.items():
        assert fault_of(look(change(bgr)), RULE.size_hw) is None, name


@pytest.mark.parametrize(
    ("copy", "same"),
    [
        (lambda b: reencoded(b, 40), True),  # sent through a messenger
        (lambda b: scaled(b, 0.5), True),  # resized
        (lambda b: brighter(b, 1.1), True),  # the camera adjusts
        (lambda b: b[:, ::-1], False),  # mirrored: other activations
        (lambda b: b[b.shape[0] // 3 :, b.shape[1] // 3 :], False),  # another view
    ],
)
def test_a_copy_is_known_again(photos: dict[str, np.ndarray], copy, same: bool) -> None:
    seen = Seen()
    for name, bgr in photos.items():
        assert seen.find(look(bgr)) is None, name  # no photograph is another
        seen.add(name, look(bgr))
    for name, bgr in photos.items():
        assert seen.find(look(copy(bgr))) == (name if same else None)


def test_a_still_camera_gives_new_pictures_when_something_moves(photos: dict[str, np.ndarray]) -> None:
    seen = Seen()
    background = photos["coffee.png"]
    seen.add("empty", look(background))
    passing = background.copy()
    cv2.rectangle(passing, (40, 40), (80, 100), (40, 200, 40), -1)  # 2 % of the picture
    assert seen.find(look(passing)) is None


shapes = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))


@settings(max_examples=40)
@given(shapes)
def test_every_size_can_be_measured(shape: tuple[int, int, int]) -> None:
    height, width, seed = shape
    bgr = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    measured = look(bgr)
    assert measured.size_hw == (height, width)
    assert 0 <= measured.light <= measured.dark <= 255
    assert measured.sharpness >= 0
    seen = Seen()
    seen.add("itself", measured)
    assert seen.find(measured) == "itself"
    assert seen.variety() == pytest.approx(1)


@settings(max_examples=15)
@given(st.integers(1, 12), st.integers(1, 4))
def test_variety_counts_what_differs_and_not_how_often_it_is_there(different: int, times: int) -> None:
    once, often = Seen(), Seen()
    for bgr in noise(different):
        once.add("", look(bgr))
        for _ in range(times):
            often.add("", look(bgr))
    variety = once.variety()
    assert variety is not None
    assert 1 <= variety <= different + 1e-6
    assert often.variety() == pytest.approx(variety)


def test_variety_of_more_pictures_than_numbers_in_a_layout() -> None:
    seen = Seen()  # 200 pictures against 192 numbers: the smaller of two products is taken
    looks = [look(bgr) for bgr in noise(4)]
    for i in range(200):
        seen.add("", looks[i % 4])
    assert seen.variety() == pytest.approx(few(looks).variety())


def few(looks: list) -> Seen:
    seen = Seen()
    for one in looks:
        seen.add("", one)
    return seen


# --- a whole set


def test_what_is_wrong_with_a_folder_is_named_and_left_out(
    tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    flower, cat = photos["flower.jpg"], photos["chelsea.png"]
    write(
        tmp_path,
        {
            **{f"good/{i:02}.png": one for i, one in enumerate(windows(flower, 10) + windows(cat, 10))},
            "soft.png": blurred(flower, 4),
            "dark.png": brighter(cat, 0.1),
            "tiny.png": scaled(cat, 0.2),
        },
    )
    write(tmp_path, {"zz/copy.jpg": reencoded(read_image(tmp_path / "good/00.png"), 40)})
    (tmp_path / "half.jpg").write_bytes((tmp_path / "zz/copy.jpg").read_bytes()[:500])
    (tmp_path / "empty.jpg").touch()
    done = calibration.load(tmp_path, RULE)
    places = {finding.check: [place.name for place in finding.places] for finding in done.report.findings}
    assert places.pop(Check.NEAR_DUPLICATE)[0] in {"zz/copy.jpg", "good/00.png"}  # whichever came second
    assert {check: sorted(names) for check, names in places.items()} == {
        Check.BLURRED: ["soft.png"],
        Check.UNDER_EXPOSED: ["dark.png"],
        Check.TOO_SMALL: ["tiny.png"],
        Check.UNREADABLE: ["empty.jpg", "half.jpg"],
    } | ({Check.LITTLE_VARIETY: []} if Check.LITTLE_VARIETY in places else {})
    assert done.report.seen == 26
    assert done.report.usable == len(done.pictures.images) == 20
    assert done.report.enough
    assert done.pictures.skipped == 2
    unreadable = done.report.found(Check.UNREADABLE)
    assert unreadable is not None
    assert set(unreadable.places) == {
        Place("empty.jpg", "empty file"),
        Place("half.jpg", "cut off or damaged"),
    }
    assert "2 of 26 left out: unreadable: " in str(unreadable)
    trusted = calibration.load(tmp_path, RULE, doctor=False)
    assert len(trusted.pictures.images) == 24
    assert [finding.check for finding in trusted.report.findings] == [Check.UNREADABLE]


def test_the_draw_is_that_of_the_seed_and_stops_when_there_are_enough(tmp_path: Path) -> None:
    write(tmp_path, {f"{i}.png": bgr for i, bgr in enumerate(noise(12))})
    some = calibration.load(tmp_path, SMALL, 5, seed=3)
    assert some.pictures.images.shape == (5, 32, 32, 3)
    assert some.report.seen == 5
    assert some.pictures.digest == calibration.load(str(tmp_path / "*.png"), SMALL, 5, seed=3).pictures.digest
    assert some.pictures.digest != calibration.load(tmp_path, SMALL, 5, seed=4).pictures.digest
    assert calibration.load(tmp_path, SMALL, 5, every=True).report.seen == 12


def test_a_video_gives_frames_over_all_of_it_and_repeats_are_left_out(tmp_path: Path) -> None:
    scenes = noise(8)
    clip = video(tmp_path / "clip.avi", [scenes[i // 5] for i in range(40)])
    done = calibration.load(clip, SMALL, 8)
    assert len(done.pictures.images) == done.report.usable == 8
    assert done.pictures.description == "8 frames of clip.avi"
    repeats = done.report.found(Check.NEAR_DUPLICATE)
    assert repeats is not None
    assert len(repeats.places) == 8  # of 16 looked at
    assert repeats.places[0].detail.startswith("as clip.avi frame ")


@pytest.mark.parametrize(("frames", "wanted"), [(3, 128), (3, 2)])  # shorter than the count, and longer
def test_a_video_of_a_few_frames_is_too_few(tmp_path: Path, frames: int, wanted: int) -> None:
    done = calibration.load(video(tmp_path / "clip.avi", noise(frames)), SMALL, wanted)
    assert len(done.pictures.images) == min(frames, wanted)
    assert not done.report.enough
    too_few = done.report.found(Check.FEW)
    assert too_few is not None
    assert "only 3 pictures fit" in too_few.what


def test_one_scene_is_said_and_kept(tmp_path: Path, photos: dict[str, np.ndarray]) -> None:
    background = photos["coffee.png"]
    frames = []
    for i in range(MIN_PICTURES):
        frame = background.copy()
        cv2.circle(frame, (20 + 23 * i, 40 + 40 * (i % 5)), 20, (30, 60, 250), -1)
        frames.append(frame)
    write(tmp_path, {f"{i}.png": frame for i, frame in enumerate(frames)})
    done = calibration.load(tmp_path, RULE).report
    assert [(finding.check, finding.dropped) for finding in done.findings] == [(Check.ONE_SCENE, False)]
    assert done.enough
    assert done.variety is not None
    assert done.variety < 2


def test_varied_pictures_without_colour_are_said_to_have_none(tmp_path: Path) -> None:
    write(tmp_path, {f"{i}.png": greyed(bgr) for i, bgr in enumerate(noise(20))})
    done = calibration.load(tmp_path, SMALL).report
    assert [(finding.check, finding.dropped) for finding in done.findings] == [(Check.GREYSCALE, False)]
    write(tmp_path, {f"c{i}.png": bgr for i, bgr in enumerate(noise(30, seed=9))})
    assert calibration.load(tmp_path, SMALL).report.findings == ()  # colour enough, from the others


@pytest.mark.parametrize(
    ("folders", "labels", "check", "says"),
    [
        (("cat", "dog"), ("cat", "dog", "owl"), Check.MISSING_CLASSES, "1 of 3 classes"),  # one forgotten
        (("cat",), ("cat", "dog", "owl"), Check.ONE_CLASS, "all pictures are of one class, cat"),
        (("cat", "dog"), ("cat", "dog"), None, ""),  # all there
        (("monday", "tuesday"), ("cat", "dog"), None, ""),  # folders that are no classes
        (("cat", "dog"), ("cat", "dog", *map(str, range(100, 200))), None, ""),  # more classes than pictures
    ],
)
def test_classes_without_a_picture(
    tmp_path: Path, folders: tuple[str, ...], labels: tuple[str, ...], check: Check | None, says: str
) -> None:
    for i, bgr in enumerate(noise(18)):
        write(tmp_path, {f"{folders[i % len(folders)]}/{i}.png": bgr})
    report = calibration.load(tmp_path, SMALL, labels=labels).report
    assert [finding.check for finding in report.findings] == ([check] if check else [])
    if check:
        assert says in report.findings[0].what


def test_pictures_that_are_judged_on_are_found_among_those_calibrated_on(tmp_path: Path) -> None:
    pictures = noise(20)
    write(tmp_path / "calibration", {f"{i}.png": bgr for i, bgr in enumerate(pictures)})
    write(tmp_path / "data", {"a.jpg": reencoded(pictures[7], 50), "b.png": noise(1, seed=5)[0]})
    report = calibration.load(
        tmp_path / "calibration", SMALL, judged=sorted((tmp_path / "data").iterdir())
    ).report
    found = report.found(Check.OVERLAP)
    assert found is not None
    assert not found.dropped
    assert found.places == (Place("7.png", f"as {tmp_path}/data/a.jpg"),)


@pytest.mark.parametrize(
    ("make", "where", "says"),
    [
        (lambda _: None, "gone", "no such folder or video"),  # a slip in the path
        (lambda _: None, "*.jpg", "no image files"),  # a pattern that matches nothing
        (lambda p: (p / "a.txt").touch(), "*.txt", "1 matches but no image files"),  # or nothing of use
        (lambda p: (p / "a.txt").write_text("hello"), "a.txt", "not a video"),  # a file of another kind
        (lambda p: write(p, {"a.png": np.zeros((50, 50, 3), np.uint8)}), "", "100% black"),  # none is fit
    ],
)
def test_a_set_that_cannot_be_had_says_why(tmp_path: Path, make: Callable, where: str, says: str) -> None:
    make(tmp_path)
    with pytest.raises(DataError, match=says) as caught:
        calibration.load(str(tmp_path / where), SMALL)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_said(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir(mode=0)
    with pytest.raises(DataError, match="no permission to read"):
        draw(tmp_path / "mine", 4)


def test_a_list_of_files_is_a_set(tmp_path: Path) -> None:
    write(tmp_path, {f"{i}.png": bgr for i, bgr in enumerate(noise(4))})
    (tmp_path / "labels.csv").write_text("file,label\n0.png,x\n2.png,y\n")
    assert calibration.load(tmp_path / "labels.csv", SMALL).report.seen == 2


def test_a_live_source_is_a_set_through_the_api() -> None:
    with api.calibration_pictures("synthetic:320x240", 4) as found:
        done = calibration.load(found, SMALL, 4)
    assert done.pictures.images.shape == (4, 32, 32, 3)
    assert done.pictures.description == "4 frames of synthetic:320x240"
    with api.calibration_pictures("some/folder", 4) as found:
        assert found == "some/folder"
    with pytest.raises(EdgecvError, match="no camera at /dev/video98"), api.calibration_pictures("98", 4):
        pass


# --- ranges


def of_ranges(high: np.ndarray) -> Stability:
    """The stability of activations from 0 to `high`, [pictures, activations]."""
    names = [f"a{i}" for i in range(high.shape[1])]
    return stability(names, np.stack([np.zeros_like(high), high], axis=1).astype(np.float32))


def test_ranges_that_every_picture_fills_are_stable_and_those_one_picture_makes_are_not() -> None:
    rng = np.random.default_rng(0)
    high = rng.uniform(9, 10, (64, 5))
    calm = of_ranges(high)
    assert calm.stable
    assert calm.growth < 0.01
    assert "more of the same kind would not help" in str(calm)
    high[40, 2] = 100  # half of the orders meet it late: half of 90 % on one activation of five
    wild = of_ranges(high)
    assert not wild.stable
    assert wild.growth == pytest.approx(0.5 * 0.9 / 5, rel=0.2)
    assert (wild.widest, wild.widest_growth) == ("a2", pytest.approx(0.45, rel=0.2))
    assert "give about twice as many" in str(wild)


def test_a_clip_that_is_reached_does_not_flatter_the_mean() -> None:
    rng = np.random.default_rng(0)
    free = rng.exponential(1, (32, 3))
    clipped = np.minimum(rng.exponential(20, (32, 30)), 6)
    alone = of_ranges(free)
    both = of_ranges(np.concatenate([free, clipped], axis=1))
    # The lower end of all is 0 in every picture: reached by all, as a Relu's is.
    assert both.activations == alone.activations == 3
    assert both.growth == pytest.approx(alone.growth)


@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([1e-30, 1.0, 1e30]))
def test_growth_is_a_share_whatever_the_scale(
    pictures: int, activations: int, seed: int, scale: float
) -> None:
    high = np.random.default_rng(seed).exponential(scale, (pictures, activations))
    found = of_ranges(high)
    assert 0 <= found.growth <= 1
    assert found.growth <= found.widest_growth + 1e-9
    if pictures == 1:
        assert found.growth == 1  # no half to compare with


def test_ranges_are_those_of_the_activations() -> None:
    onnx = pytest.importorskip("onnx", reason="ranges are measured with the convert extra's packages")
    pytest.importorskip("onnxruntime")
    from onnx import helper, numpy_helper

    nodes = [
        helper.make_node("Mul", ["input", "two"], ["doubled"]),
        helper.make_node("Relu", ["doubled"], ["held"]),  # int8 has one range for both: the Relu's
        helper.make_node("Sub", ["held", "two"], ["shifted"]),
        helper.make_node("GlobalAveragePool", ["shifted"], ["logits"]),
    ]
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "g",
        [info("input", onnx.TensorProto.FLOAT, [1, 3, 2, 2])],
        [info("logits", onnx.TensorProto.FLOAT, [1, 3, 1, 1])],
        [numpy_helper.from_array(np.float32([2.0]), "two")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    rule = Preprocess(size_hw=(2, 2), mean=(10.0,) * 3, std=(10.0,) * 3)
    images = np.full((3, 2, 2, 3), 10, np.uint8)
    images[1, 0, 0, 0] = 30  # (30 - 10) / 10 * 2 = 4
    images[2, 0, 0, 0] = 0  # -2, cut off by the Relu
    done: list[int] = []
    found = measure(model, rule, images, 2, done.append)
    # Half of three is one, the second in a third of the orders: else the Relu's whole range is missing, and
    # so are the others', but for input, which has 2, 1 or 0 of its 3.
    assert (found.pictures, found.activations) == (3, 4)
    assert found.growth == pytest.approx(2 / 3, abs=0.15)
    assert sum(done) == 3


# --- collecting


def test_different_frames_are_collected_and_the_rest_counted(
    tmp_path: Path, photos: dict[str, np.ndarray]
) -> None:
    scenes = windows(photos["chelsea.png"], 3) + windows(photos["flower.jpg"], 3)
    soft, dark = blurred(scenes[0], 4), brighter(scenes[1], 0.1)
    frames = [scenes[0], reencoded(scenes[0], 50), soft, scenes[1], dark, scenes[1], *scenes[2:], scenes[0]]
    out = tmp_path / "new" / "set"
    done = collect(candidates(frames), out, 10)
    assert (done.seen, done.kept, done.ended) == (11, 6, Ended.SOURCE)
    assert done.dropped == {Check.NEAR_DUPLICATE: 3, Check.BLURRED: 1, Check.UNDER_EXPOSED: 1}
    assert sorted(path.name for path in out.iterdir()) == [f"frame-{i:06d}.jpg" for i in range(1, 7)]
    second = read_image(out / "frame-000002.jpg")
    assert second is not None
    assert cv2.PSNR(second, scenes[1]) > 30
    assert not done.enough


def test_appending_goes_on_with_the_numbers_and_knows_what_is_there(tmp_path: Path) -> None:
    pictures = noise(30)
    assert collect(candidates(pictures[:12]), tmp_path, 10).ended is Ended.DONE
    with pytest.raises(UsageError, match="holds 10 frames; --append adds"):
        collect(candidates(pictures), tmp_path, 10)
    done = collect(candidates(pictures), tmp_path, 10, append=True)
    assert (done.before, done.kept, done.dropped) == (10, 10, {Check.NEAR_DUPLICATE: 10})
    assert len(list(tmp_path.iterdir())) == 20
    assert (tmp_path / "frame-000020.jpg").exists()
    assert done.enough


@pytest.mark.parametrize("append", [False, True])
def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, append: bool) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(UsageError, match="not collected frames \\(holiday.jpg\\)"):
        collect(candidates(noise(2)), tmp_path, 2, append=append)
    with pytest.raises(UsageError, match="is a file"):
        collect(candidates(noise(2)), tmp_path / "holiday.jpg", 2, append=append)


def test_a_scene_that_does_not_change_ends_the_gathering(tmp_path: Path) -> None:
    same = [bgr[:32, :32] for bgr in noise(1)] * (STILL_FRAMES + 50)
    done = collect(candidates(same), tmp_path / "file", 5)
    assert (done.kept, done.ended, done.seen) == (1, Ended.STILL, STILL_FRAMES + 1)
    seconds = iter(range(10_000))
    done = collect(candidates(same), tmp_path / "live", 5, live=True, clock=lambda: next(seconds))
    assert (done.kept, done.ended, done.seen) == (1, Ended.STILL, 61)
    assert "move the camera" in done.advice


def test_the_time_limit_ends_the_gathering(tmp_path: Path) -> None:
    seconds = iter(range(10_000))
    done = collect(candidates(noise(100)), tmp_path, 90, live=True, minutes=0.5, clock=lambda: next(seconds))
    assert (done.kept, done.ended) == (30, Ended.TIME)


def ending(pictures: list[np.ndarray], error: BaseException) -> Iterator[Candidate]:
    yield from candidates(pictures)
    raise error


def test_an_interrupt_or_a_lost_camera_keeps_what_was_gathered(tmp_path: Path) -> None:
    done = collect(ending(noise(3), KeyboardInterrupt()), tmp_path / "a", 10)
    assert (done.kept, done.ended) == (3, Ended.INTERRUPTED)
    with pytest.raises(SourceError, match="unplugged; 3 frames are in"):
        collect(ending(noise(3), SourceError("unplugged")), tmp_path / "b", 10)
    assert len(list((tmp_path / "b").iterdir())) == 3
    with pytest.raises(SourceError, match="^unplugged$"):
        collect(ending([], SourceError("unplugged")), tmp_path / "c", 10)
    assert not (tmp_path / "c").exists()


def test_what_the_doctor_knows_is_not_counted_as_looked_at() -> None:
    doctor = Doctor()
    first, second = candidates(noise(2))
    doctor.know(first)
    assert doctor.examine(first) is Check.NEAR_DUPLICATE
    assert doctor.examine(second) is None
    assert (doctor.seen, doctor.usable) == (2, 1)


def test_collecting_from_a_pattern_and_a_video_through_the_api(tmp_path: Path) -> None:
    done = api.collect_calibration("synthetic:320x240@200", tmp_path / "live", 2)
    assert (done.kept, done.ended) == (2, Ended.DONE)
    clip = video(tmp_path / "clip.avi", [bgr for bgr in noise(3) for _ in range(3)])
    done = api.collect_calibration(str(clip), tmp_path / "clip", 9)
    assert (done.seen, done.kept, done.ended) == (9, 3, Ended.SOURCE)


# --- the commands


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["calibration", *map(str, arguments)])


def test_check_prints_what_it_found_and_exits_by_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_api, "_ranges", lambda *_: (Stability(20, 9, 0.081, "a", 0.2), "a note"))
    pictures = [cv2.resize(bgr, (240, 240), interpolation=cv2.INTER_NEAREST) for bgr in noise(20)]
    write(tmp_path / "data", {"x.png": pictures[4]})
    write(tmp_path / "set", {f"{i}.png": bgr for i, bgr in enumerate(pictures)})
    (tmp_path / "set" / "half.jpg").write_bytes(b"\xff\xd8 no")
    done = invoke("check", tmp_path / "set", "--data", tmp_path / "data")
    assert done.exit_code == 0, done.output
    assert "20 of 21 pictures are fit" in done.stdout
    assert "half.jpg" in done.stdout
    assert "Ranges still grow" in done.stdout
    assert done.stderr == "note: a note\n"
    found = json.loads(invoke("check", tmp_path / "set", "--data", tmp_path / "data", "--json").stdout)
    assert set(found) == {"seen", "usable", "variety", "findings", "enough", "ranges", "notes"}
    assert (found["seen"], found["usable"], found["enough"]) == (21, 20, True)
    assert [(one["check"], one["dropped"], len(one["places"])) for one in found["findings"]] == [
        ("unreadable", True, 1),
        ("overlap", False, 1),
    ]
    assert found["findings"][0]["places"] == [{"name": "half.jpg", "detail": "cut off or damaged"}]
    assert found["ranges"]["stable"] is False


def test_check_of_too_few_fails_after_saying_so(tmp_path: Path) -> None:
    write(tmp_path, {"black.png": np.zeros((240, 240, 3), np.uint8)})
    done = invoke("check", tmp_path)
    assert done.exit_code == 1
    assert "0 of 1 pictures are fit" in done.stdout
    assert "under-exposed" in done.stdout


def test_collect_says_what_came_of_it(tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.avi", [bgr for bgr in noise(17) for _ in range(2)])
    done = invoke("collect", "--source", clip, "-o", tmp_path / "out", "--count", "5")
    assert done.exit_code == 1  # five are too few to calibrate on
    assert done.stdout == f"9 frames seen, 5 kept in {tmp_path}/out; left out: 4 near-duplicate\n"
    assert done.stderr == ""
    done = invoke("collect", "--source", clip, "-o", tmp_path / "out", "--count", "50", "--append")
    assert done.exit_code == 0
    assert "12 kept in" in done.stdout
    assert "(17 there now)" in done.stdout
    assert "note: 12 of 50 frames: the source ended; give a longer recording" in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("model", ["efficientnet-lite0"])
def test_a_real_model_has_stable_ranges_on_128_photographs(shared: Path, model: str) -> None:
    pytest.importorskip("onnxruntime", reason="ranges are measured with the convert extra's packages")
    checked = api.check_calibration(shared / "data" / "coco128" / "images", model=model)
    assert (checked.report.seen, checked.report.usable, checked.report.findings) == (128, 128, ())
    assert checked.ranges is not None
    assert 0.03 < checked.ranges.growth < 0.05
