from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from fakes import write_bundle

from edgecv.bundle import Bundle, describe_file, find_bundle, is_bundle
from edgecv.errors import BundleError, UsageError
from edgecv.spec import Format, Kind, Precision


def edit(bundle: Bundle, path: tuple[str | int, ...], value: object) -> None:
    """Set (or with ... delete) one key of the manifest, as somebody with an editor would."""
    file = bundle.root / "manifest.json"
    manifest = json.loads(file.read_text())
    *parents, last = path
    target = manifest
    for key in parents:
        target = target[key]
    if value is ...:
        del target[last]
    else:
        target[last] = value
    file.write_text(json.dumps(manifest))


def test_a_bundle_opens_with_its_labels_and_golden_samples(bundle: Bundle) -> None:
    assert bundle.labels[:2] == ("class 0", "class 1")
    assert bundle.golden().images.shape == (1, 16, 16, 3)
    assert [str(a.kind) for a in bundle.select(Format.ONNX)] == ["onnx:fp32", "onnx:int8"]
    assert bundle.path(bundle.select(Format.TFLITE)[0]).is_file()


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("surprise",), 1, "unknown field `surprise`"),  # a key nobody knows
        (
            ("preprocess", "size_hw"),
            ...,
            "missing required field `size_hw` - at `$.preprocess`",
        ),  # one too few
        (("preprocess", "crop_fraction"), 1.5, "$.preprocess.crop_fraction"),  # out of range
        (("preprocess", "interpolation"), "magic", "$.preprocess.interpolation"),  # not a filter we have
        (("preprocess", "color"), "grey", "$.preprocess.color"),  # three channels, one of two orders
        (("preprocess", "std"), [1.0, 0.0, 1.0], "$.preprocess.std[1]"),  # a division by zero
        (("artifacts", 1, "format"), "tensorrt", "$.artifacts[1].format"),  # not a format we have
        (("artifacts",), [], "$.artifacts"),  # a bundle of nothing
        (("classes",), "ten", "$.classes"),  # the wrong type
        (("labels", "sha256"), "abc", "$.labels.sha256"),  # not a hash
        (("name",), "../../escape", "$.name"),  # a name is a file name, too
        (
            ("preprocess", "size_hw"),
            [8, 8],
            "takes another input than the (1, 8, 8, 3) uint8",
        ),  # not the model's
        (("preprocess", "size_hw"), [10**9, 8], "$.preprocess.size_hw"),  # absurd
        (("artifacts", 0, "output", "shape"), [1, 7], "gives (1, 7), not (1, 10)"),  # other classes
        (("artifacts", 1, "precision"), "fp32", "two artifacts are onnx:fp32"),  # twice the same
        (("schema_version",), 3, "upgrade edgecv"),  # written by a later edgecv
        (("schema_version",), 1, "convert the model again"),  # by an earlier one
    ],
)
def test_a_wrong_manifest_is_named_by_file_and_key(
    bundle: Bundle, path: tuple[str | int, ...], value: object, says: str
) -> None:
    edit(bundle, path, value)
    with pytest.raises(BundleError) as caught:
        Bundle.open(bundle.root)
    assert "manifest.json" in str(caught.value)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "truncated"),  # an interrupted copy
        (b"{", "truncated"),
        (b"not json", "malformed"),
        (b"[]", "Expected `object`"),
        (b'{"schema_version": 1, "a": ' + b"[" * 100_000, "nested too deeply|truncated|ecursion"),  # absurd
        (b'{"schema_version": "\xff"}', "manifest.json"),  # not UTF-8
    ],
)
def test_a_damaged_manifest(bundle: Bundle, content: bytes, says: str) -> None:
    (bundle.root / "manifest.json").write_bytes(content)
    with pytest.raises(BundleError, match=says):
        Bundle.open(bundle.root)


@pytest.mark.parametrize(
    "outside",
    ["../secret", "/etc/passwd", "a/../../secret", "..\\secret", "link/secret"],
)
def test_a_path_that_leaves_the_bundle_is_refused(bundle: Bundle, tmp_path: Path, outside: str) -> None:
    (tmp_path / "secret").write_text("x")
    (bundle.root / "link").symlink_to(tmp_path)
    edit(bundle, ("artifacts", 0, "files", 0, "path"), outside)
    with pytest.raises(BundleError, match="bundle"):
        Bundle.open(bundle.root)


def test_every_file_is_checked(tmp_path: Path) -> None:
    names = [path.name for path in write_bundle(tmp_path / "one").root.iterdir()]
    for number, name in enumerate(names):
        if name == "manifest.json":
            continue
        for fault, says in (
            ("flip", "damaged or changed"),
            ("cut", "bytes, the manifest says"),
            ("gone", "missing"),
        ):
            root = write_bundle(tmp_path / f"{number}-{fault}").root
            content = bytearray((root / name).read_bytes())
            if fault == "flip":
                content[len(content) // 2] ^= 1
                (root / name).write_bytes(content)
            elif fault == "cut":
                (root / name).write_bytes(content[:-1])
            else:
                (root / name).unlink()
            with pytest.raises(BundleError, match=says) as caught:
                Bundle.open(root)
            assert name in str(caught.value)


def test_labels_must_fit_the_classes(bundle: Bundle) -> None:
    (bundle.root / "labels.txt").write_text("a\nb\n")
    entry = describe_file(bundle.root, "labels.txt")
    edit(bundle, ("labels",), {"path": entry.path, "bytes": entry.bytes, "sha256": entry.sha256})
    with pytest.raises(BundleError, match="2 labels for 10 classes"):
        _ = Bundle.open(bundle.root).labels


def test_only_a_bundle_and_nothing_beside_may_be_replaced(bundle: Bundle, tmp_path: Path) -> None:
    for path in bundle.root.glob("model.*"):  # the fake's names are no artifact's
        path.rename(path.with_suffix(".bin"))
    assert is_bundle(bundle.root)
    edit(bundle, ("schema_version",), 0)
    assert is_bundle(bundle.root)  # of an earlier edgecv: to convert again is what opening it advises
    (bundle.root / "notes.txt").write_text("mine")
    assert not is_bundle(bundle.root)
    web = tmp_path / "web"
    web.mkdir()
    (web / "manifest.json").write_text('{"name": "an app"}')
    assert not is_bundle(web)


GOOD_IMAGES, GOOD_LOGITS = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 10), np.float32)


@pytest.mark.parametrize(
    ("images", "logits", "says"),
    [
        (np.array([{}], dtype=object), GOOD_LOGITS, "not a golden sample file"),  # would need pickle
        (GOOD_IMAGES[:, :8], GOOD_LOGITS, "images are"),  # another size
        (GOOD_IMAGES.astype(np.float32), GOOD_LOGITS, "images are"),  # another type
        (GOOD_IMAGES[:0], GOOD_LOGITS[:0], "images are"),  # none
        (np.uint8(3), GOOD_LOGITS, "images are"),  # not even an array
        (GOOD_IMAGES, GOOD_LOGITS[:1], "logits are"),  # fewer answers than questions
        (GOOD_IMAGES, GOOD_LOGITS[:, :5], "logits are"),  # other classes
        (GOOD_IMAGES, GOOD_LOGITS.astype(np.float64), "logits are"),
    ],
)
def test_golden_samples_must_be_this_models(
    bundle: Bundle, images: np.ndarray, logits: np.ndarray, says: str
) -> None:
    np.savez(bundle.root / "golden.npz", images=images, logits=logits)
    entry = describe_file(bundle.root, "golden.npz")
    edit(bundle, ("golden",), {"path": entry.path, "bytes": entry.bytes, "sha256": entry.sha256})
    with pytest.raises(BundleError, match=says):
        Bundle.open(bundle.root).golden()


def test_what_a_bundle_does_not_hold_is_said_with_what_it_holds(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"no tflite:fp32 artifact; it holds onnx:fp32, onnx:int8"):
        bundle.select(Format.TFLITE, Precision.FP32)


def test_bundles_are_found_by_folder_and_by_name(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    with pytest.raises(BundleError, match="edgecv convert --int8"):
        find_bundle(None)
    with pytest.raises(UsageError, match="there is no such folder"):
        find_bundle("./other")
    with pytest.raises(UsageError, match="no bundle 'other' here or in the cache"):
        find_bundle("other")
    shutil.copytree(bundle.root, tmp_path / "cache" / "bundles" / "other")
    assert find_bundle("other") == tmp_path / "cache" / "bundles" / "other"
    assert find_bundle(str(bundle.root)) == bundle.root
    with pytest.raises(BundleError, match="manifest.json is not there"):
        Bundle.open(tmp_path / "nowhere")


def test_kinds_are_read_as_they_are_written() -> None:
    for kind in (Kind(f, p) for f in Format for p in Precision):
        assert Kind.parse(str(kind)) == kind
    with pytest.raises(ValueError, match="fp64"):
        Kind.parse("onnx:fp64")
