"""Class names, preprocessing flags and the probe: what a user says about a model of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

from convert_graphs import graph

from edgecv.converters import importers, probe
from edgecv.converters.canonical_ends import Front
from edgecv.converters.class_names import class_names, imagenet, read_names, shifted_labels
from edgecv.converters.importers import ImportOptions
from edgecv.converters.importers.rule import composed, input_scale
from edgecv.converters.preprocess_rules import Wanted, flags_of, from_flags, parse_size, read_toml
from edgecv.errors import DataError, UsageError
from edgecv.spec import Color, Preprocess, Resize

# -- names ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels.txt", "cat\ndog\n"),  # one a line
        ("labels.txt", "\ufeffcat\r\ndog\r\n\r\n"),  # as Windows writes it
        ("labels.json", '["cat", "dog"]'),  # a list
        ("labels.json", '{"1": "dog", "0": "cat"}'),  # by index, in any order
        ("labels.json", '{"dog": 1, "cat": 0}'),  # the other way round, as Keras's class_indices
        ("labels.csv", "index,name\n1,dog\n0,cat\n"),  # with a header
        ("labels.csv", "0,cat\n1,dog\n"),  # without
    ],
)
def test_names_are_read_from_the_usual_files(name: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    assert class_names(str(path), 2) == (("cat", "dog"), ())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labels.txt", b"cat\n\ndog\n", "class 1 is empty"),  # a line is missing its name
        ("labels.txt", b"a\nb\nc\n", "3 names for the model's 2 classes"),
        ("labels.txt", b"a\n", "1 names for the model's 2 classes; index 0 is probably background"),
        ("labels.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("labels.json", b"{", "give a JSON list of names"),
        ("labels.json", b'[{"name": 1}]', "give a JSON list of names"),
        ("labels.json", b'{"0": "cat", "2": "dog"}', "indices must be 0 to 1"),  # a gap
        ("labels.csv", b"0\n1\n", "give two columns"),
        ("labels.csv", b"0,cat\n0,dog\n", "indices must be 0 to 1"),  # twice
        ("absent.txt", None, "No such file"),
    ],
)
def test_a_wrong_list_of_names_says_what_is_wrong(
    name: str, content: bytes | None, says: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        class_names(str(path), 2)
    assert says in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_imagenet_s_names_are_used_when_asked_for_only(tmp_path: Path) -> None:
    names, notes = class_names(None, 1000)
    assert names[:2] == ("class 0", "class 1")
    assert "--labels imagenet" in notes[0]
    assert class_names("imagenet", 1000) == (imagenet(), ())
    with_background, notes = class_names("imagenet", 1001)
    assert with_background == ("background", *imagenet())
    assert "background" in notes[0]
    with pytest.raises(UsageError, match="1000 names for the model's 90 classes"):
        class_names("imagenet", 90)
    own = tmp_path / "own.txt"  # somebody's own thousand: nothing is put in front of it
    own.write_text("\n".join(imagenet()))
    with pytest.raises(UsageError, match="index 0 is probably background"):
        class_names(str(own), 1001)


@settings(max_examples=40)
@given(st.binary(max_size=60), st.sampled_from([".txt", ".json", ".csv"]))
def test_any_bytes_are_names_or_one_line(content: bytes, suffix: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"labels{suffix}"
        path.write_bytes(content)
        try:
            names = read_names(path)
        except UsageError as error:
            names = (str(error),)
        assert all(name and len(name.splitlines()) == 1 for name in names)


@pytest.mark.parametrize(
    ("offset", "right", "shift"),
    [
        (0, 0.9, 0),  # as they should be
        (1, 0.9, 1),  # the model has a background class in front
        (-1, 0.9, -1),  # the labels have
        (0, 0.0, 0),  # a model that knows nothing
        (1, 0.2, 0),  # too weak a sign
    ],
)
def test_shifted_labels_are_seen_when_top1_jumps(offset: int, right: float, shift: int) -> None:
    random = np.random.default_rng(0)
    truth = random.integers(1, 19, 200)
    logits = random.standard_normal((200, 21)).astype(np.float32)
    known = random.random(200) < right
    logits[known, truth[known] + offset] += 20
    assert shifted_labels(logits, truth.tolist()) == shift


# -- flags ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "mean", "std"),
    [
        ({"range": "0..1"}, (0.0,) * 3, (255.0,) * 3),
        ({"range": "-1..1"}, (127.5,) * 3, (127.5,) * 3),
        ({"range": "0..255"}, (0.0,) * 3, (1.0,) * 3),
        (
            {"mean": "123.675,116.28,103.53", "std": "58.395,57.12,57.375"},
            (123.675, 116.28, 103.53),
            (58.395, 57.12, 57.375),
        ),
        ({"mean": "127", "std": "128"}, (127.0,) * 3, (128.0,) * 3),  # one for all channels
        ({"mean": "0", "std": "1"}, (0.0,) * 3, (1.0,) * 3),  # said in full, and not the 0..1 scale
    ],
)
def test_flags_give_mean_and_std(flags: dict[str, str], mean: tuple, std: tuple) -> None:
    assert from_flags(**flags).normalisation() == (mean, std)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (
            {"mean": "0.485,0.456,0.406", "std": "0.229,0.224,0.225"},
            "give --mean 123.675,116.28,103.53 --std 58.395,57.12,57.375",
        ),  # torchvision's numbers, which are of the 0..1 scale
        ({"mean": "0.5", "std": "0.5"}, "give --mean 127.5 --std 127.5"),
        ({"mean": "127.5"}, "add --std 1 where the model only subtracts"),
        ({"range": "0..1", "mean": "0", "std": "255"}, "--range already says"),
        ({"mean": "a", "std": "1"}, "--mean a: give one number, or three"),
        ({"mean": "1,2", "std": "1"}, "--mean is one number, or three"),
        ({"mean": "nan", "std": "1"}, "--mean is one number, or three"),
        ({"mean": "1", "std": "0"}, "--std is above 0"),
        ({"range": "0-1"}, "--range 0-1"),
        ({"color": "grey"}, "allowed: rgb, bgr"),
        ({"resize": "fit"}, "allowed: center_crop, stretch, letterbox"),
        ({"interpolation": "lanczos"}, "allowed: linear, cubic, area"),
        ({"crop_fraction": 1.5}, "--crop-fraction 1.5"),
        ({"pad_value": 256}, "--pad-value 256"),
        ({"size": "0x9"}, "--size 0x9: give HxW"),
        ({"size": "224x"}, "--size 224x: give HxW"),
    ],
)
def test_a_wrong_flag_is_named(flags: dict, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_flags(**flags).normalisation()
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sizes_are_height_by_width() -> None:
    assert parse_size("224x192") == (224, 192)
    assert parse_size("96") == (96, 96)


def test_a_toml_says_the_same_as_flags_and_flags_go_before_it(tmp_path: Path) -> None:
    path = tmp_path / "preprocess.toml"
    path.write_text(
        'size_hw = [224, 192]\nmean = 127.5\nstd = [127, 128, 129]\ncolor = "bgr"\nresize = "letterbox"\n'
    )
    said = read_toml(path)
    assert said == Wanted(
        size_hw=(224, 192), mean=127.5, std=(127.0, 128.0, 129.0), color=Color.BGR, resize=Resize.LETTERBOX
    )
    assert said.updated(from_flags(range="0..1", color="rgb")) == Wanted(
        size_hw=(224, 192), range="0..1", color=Color.RGB, resize=Resize.LETTERBOX
    )
    assert said.updated(Wanted()) == said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("colour = 'rgb'", "unknown field `colour`; the keys are size_hw, range"),
        ("mean = [1, 2]", "`mean` is one number, or three"),
        ("std = -1", "`std` is above 0"),
        ("size_hw = [0, 9]", "$.size_hw[0]"),
        ("range = 'all'", "$.range"),
        ("=", "Invalid"),
    ],
)
def test_a_wrong_toml_names_the_file_and_the_key(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "preprocess.toml"
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        read_toml(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    with pytest.raises(UsageError, match="No such file"):
        read_toml(tmp_path / "absent.toml")


numbers = st.floats(-100, 300).map(lambda value: round(value, 2))
positive = st.floats(0.5, 300).map(lambda value: round(value, 2))


@given(
    st.tuples(numbers, numbers, numbers),
    st.tuples(positive, positive, positive),
    st.tuples(positive, positive, positive),
    st.tuples(numbers, numbers, numbers),
    st.booleans(),
    st.sampled_from(Color),
)
def test_a_rule_in_front_of_a_front_is_one_rule(mean, std, scale, shift, turned, color) -> None:
    """(pixel - mean) / std in the file's order, then the file's own front: what `composed` says at once."""
    own = Preprocess(size_hw=(1, 1), mean=mean, std=std, color=color)
    front = Front(np.array(scale), np.array(shift), turned)
    rule = composed(own, front)
    rgb = np.array([10.0, 120.0, 250.0])

    def pixels(order: Color) -> np.ndarray:
        return rgb if order is Color.RGB else rgb[::-1]

    given_to_file = ((pixels(color) - mean) / std).reshape(1, 3, 1, 1)
    expected = front.apply(given_to_file).reshape(3)
    got = (pixels(rule.color) - rule.mean) / rule.std
    # The rule keeps six digits.
    assert got == pytest.approx(
        expected, rel=1e-4, abs=1e-4 * (1 + np.abs(np.float64(rule.mean) / rule.std).max())
    )


@given(st.sampled_from(probe.normalisations((8, 8))), st.sampled_from(Resize))
def test_the_flags_of_a_rule_say_that_rule(rule: Preprocess, resize: Resize) -> None:
    import msgspec

    from edgecv.converters.preprocess_rules import complete

    rule = msgspec.structs.replace(
        rule, resize=resize, crop_fraction=0.875 if resize is Resize.CENTER_CROP else 1.0
    )
    parts = flags_of(rule).split()
    typed = {
        flag.lstrip("-").replace("-", "_"): value for flag, value in zip(parts[::2], parts[1::2], strict=True)
    }
    crop = typed.pop("crop_fraction", None)
    said = from_flags(**typed, crop_fraction=float(crop) if crop else None)
    normalisation = said.normalisation()
    assert normalisation is not None
    assert complete(said, (8, 8), *normalisation)[0] == rule


@pytest.mark.parametrize(
    ("mean", "std", "scale"),
    [
        (0, 255, "0..255"),  # Rescaling(1 / 255)
        (127.5, 127.5, "0..255"),
        (103.9, 1, "0..255"),  # Caffe's
        (0.485, 0.229, "0..1"),
        (0.5, 0.5, "0..1"),
        (0, 1, None),  # nothing
        (0.02, 1.1, None),  # a batch norm on pictures that are normalised already
        (0, 0.33, None),
    ],
)
def test_what_a_file_does_first_speaks_of_its_scale(mean: float, std: float, scale: str | None) -> None:
    assert input_scale(Front(np.full(3, 1 / std), np.full(3, -mean / std))) == scale


# -- the probe -----------------------------------------------------------------------------------------


# So near each other that another scale, shift or order of the channels takes one for another.
COLOURS = [(level, 20, 20) for level in range(60, 256, 30)] + [(20, 20, level) for level in (60, 140, 220)]


def trained_on(rule: Preprocess):
    """A classifier by the nearest of COLOURS, as `rule` normalises them."""
    centres = np.float32(COLOURS)
    if rule.color is Color.BGR:
        centres = centres[:, ::-1]
    centres = (centres - np.float32(rule.mean)) / np.float32(rule.std)
    # The nearest centre: -|x - c|^2 = 2 c x - |c|^2, up to what all share.
    weights, bias = 2 * centres, -np.square(centres).sum(axis=1)
    return graph(
        "float[1,3,8,8] x",
        "g = GlobalAveragePool(x) f = Flatten(g) y = Gemm<transB=1>(f, v, d)",
        {"v": weights.astype(np.float32), "d": bias.astype(np.float32)},
    )


def labelled(folder: Path, count: int = 40) -> Path:
    import cv2

    folder.mkdir()
    random = np.random.default_rng(0)
    rows = ["file,label"]
    for i in range(count):
        label = i % len(COLOURS)
        rgb = np.array(COLOURS[label]) + random.integers(-5, 6)
        cv2.imwrite(str(folder / f"{i}.png"), np.full((12, 16, 3), rgb[::-1], np.uint8))
        rows.append(f"{i}.png,{label}")
    (folder / "labels.csv").write_text("\n".join(rows))
    return folder


@pytest.mark.parametrize("number", [0, 3, 7])
def test_the_probe_finds_what_a_model_was_trained_with(number: int, tmp_path: Path) -> None:
    truth = probe.normalisations((8, 8))[number]
    path = tmp_path / "model.onnx"
    path.write_bytes(trained_on(truth).SerializeToString())
    data = labelled(tmp_path / "data")
    seen = []
    model = importers.load(str(path), ImportOptions(probe=True, data=data), seen.append)
    assert (model.preprocess.color, model.preprocess.mean, model.preprocess.std) == (
        truth.color,
        truth.mean,
        truth.std,
    )
    assert "probe of" in "\n".join(model.notes)
    assert "100.0%" in "\n".join(model.notes)
    assert sum(seen) == 80  # two rounds over the pictures
    with pytest.raises(UsageError) as caught:  # not asked to use it, it says what to type
        importers.load(str(path), ImportOptions(data=data))
    assert flags_of(truth).partition(" --resize")[0] in str(caught.value)
    assert "--preprocess probe takes it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_was_said_is_not_varied_by_the_probe(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(trained_on(probe.normalisations((8, 8))[0]).SerializeToString())
    said = from_flags(resize="letterbox", pad_value=3, interpolation="area")
    data = labelled(tmp_path / "data")
    model = importers.load(str(path), ImportOptions(preprocess=said, probe=True, data=data))
    assert (model.preprocess.resize, model.preprocess.pad_value) == (Resize.LETTERBOX, 3)


def test_equal_candidates_are_within_noise_and_clear_ones_stop_early(tmp_path: Path) -> None:
    rules = probe.normalisations((8, 8))
    data = labelled(tmp_path / "data", 100)
    paths, labels = [data / f"{i}.png" for i in range(100)], [i % len(COLOURS) for i in range(100)]
    model = trained_on(rules[0])
    same = probe.compare(model_canonical(model), paths, labels, [rules[0], *probe.geometries(rules[0])])
    assert probe.within_noise(same)
    assert [len(row.right) for row in same] == [100, 100, 100]
    apart = probe.compare(model_canonical(model), paths, labels, rules)
    assert apart[0].rule == rules[0]
    assert not probe.within_noise(apart[:1])
    assert min(len(row.right) for row in apart) == probe.ROUND
    with pytest.raises(DataError, match="none of the 1 pictures"):
        probe.compare(model_canonical(model), [tmp_path / "absent.png"], [0], rules)


def model_canonical(model):
    from edgecv.converters.canonical import canonicalise

    return canonicalise(model, "model").graph


def test_a_probe_without_data_says_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(trained_on(probe.normalisations((8, 8))[0]).SerializeToString())
    with pytest.raises(UsageError, match="give --data LABELLED"):
        importers.load(str(path), ImportOptions(probe=True))
