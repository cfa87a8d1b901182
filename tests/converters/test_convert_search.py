"""The search under --max-drop: the fastest recipe that holds, and what happens when none does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

for needed in ("onnxruntime", "litert_quantizer", "openvino", "nncf"):
    pytest.importorskip(needed, reason="a conversion needs it")

import convert_tiny
from test_convert_preparation import CHANNEL, HARD

from edgecv import api
from edgecv.bundle import Artifact, Bundle
from edgecv.converters import recipes
from edgecv.converters.recipes import RECIPES, Recipe
from edgecv.errors import DataError, UsageError
from edgecv.image import Preprocessor
from edgecv.photos import list_images, read_image
from edgecv.spec import Format, Kind, Precision

PICTURES = 64
ONNX8 = Kind(Format.ONNX, Precision.INT8)


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with convert_tiny.known():
        yield


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of the tiny model with one channel scaled, and the scale taken back where it is read."""
    folder = tmp_path_factory.mktemp("hard")
    with np.load(convert_tiny.write_weights(folder / "plain.npz")) as arrays:
        changed = {name: arrays[name].copy() for name in arrays.files}
    for name in ("block1.project", "block2.project"):
        changed[f"{name}.weight"][CHANNEL] *= HARD
        changed[f"{name}.bias"][CHANNEL] *= HARD
    for name in ("block2.expand", "head"):
        changed[f"{name}.weight"][:, CHANNEL] /= HARD
    np.savez(folder / "hard.npz", **changed)
    return folder / "hard.npz"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return convert_tiny.write_pictures(tmp_path_factory.mktemp("photos") / "all", PICTURES)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, hard: Path) -> Path:
    """Other pictures, labelled with the float model's own answers."""
    from edgecv.converters.models import get_model, load
    from edgecv.converters.verify import float_logits

    folder = convert_tiny.write_pictures(tmp_path_factory.mktemp("data") / "all", 100, seed=1)
    model = load(get_model("tiny"), hard)
    prepare = Preprocessor(model.preprocess)
    paths = list_images(folder)
    images = np.concatenate([prepare(read_image(path)).copy() for path in paths])
    answers = float_logits(model.graph, model.preprocess, images, 1, lambda _: None).argmax(axis=1)
    rows = [f"{path.name},{label}" for path, label in zip(paths, answers, strict=True)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]))
    return folder


def convert(out: Path, hard: Path, photos: Path, **options: object) -> api.Conversion:
    return api.convert(
        "tiny",
        weights=hard,
        calibration=photos,
        check_pictures=False,
        out=out,
        **{"int8": True, **options},
    )


def int8_of(bundle: Bundle) -> list[Artifact]:
    return [a for a in bundle.manifest.artifacts if a.precision is Precision.INT8]


@pytest.mark.slow
def test_a_hard_model_collapses_with_the_first_recipe_and_is_saved_by_the_search(
    tmp_path: Path, hard: Path, photos: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgecv.converters import preparation

    done = convert(tmp_path / "saved", hard, photos, data=data, max_drop=2.0)
    assert done.missed is None
    assert done.bundle.manifest.guarantee.met
    assert done.bundle.manifest.made.preparation[0].used
    for artifact in int8_of(done.bundle):
        assert artifact.verified.drop.points <= 2.0
        assert artifact.verified.drop.basis == "labels"
        assert [t.verdict for t in artifact.search][-1] == "kept"
    # The same recipes on the graph as it is: hardly anything is left of the logits.
    unprepared = preparation.Prepared
    monkeypatch.setattr(preparation, "choose", lambda graph, *_: unprepared(graph, graph, ()))
    lost = convert(tmp_path / "lost", hard, photos, data=data)
    for artifact in int8_of(lost.bundle):
        assert artifact.verified.drop.points > 5, artifact.kind
        assert artifact.verified.sqnr_db < 6, artifact.kind


def noise(source: recipes.Source, path: Path, _: recipes.Advance) -> None:
    """A recipe that is worse than any: weights of another seed."""
    from onnx import ModelProto, numpy_helper

    from edgecv.converters.graph import with_image_input

    broken = ModelProto()
    broken.CopyFrom(source.model)
    rng = np.random.default_rng(0)
    for constant in broken.graph.initializer:
        array = numpy_helper.to_array(constant)
        if array.ndim > 1:
            other = rng.standard_normal(array.shape).astype(np.float32) * array.std()
            constant.CopyFrom(numpy_helper.from_array(other, constant.name))
    path.write_bytes(with_image_input(broken, source.rule).SerializeToString())


def refused(_: recipes.Source, _path: Path, _advance: recipes.Advance) -> None:
    from edgecv.errors import ConversionError

    raise ConversionError("this recipe cannot be built")


@pytest.fixture
def ladder(monkeypatch: pytest.MonkeyPatch):
    def use(*steps: Recipe) -> None:
        monkeypatch.setitem(RECIPES, ONNX8, steps)

    return use


def test_recipes_are_tried_in_order_until_one_holds(
    ladder, tmp_path: Path, hard: Path, photos: Path, data: Path
) -> None:
    good = RECIPES[ONNX8][1]
    ladder(Recipe("refused", refused), Recipe("noise", noise), good, Recipe("never", refused))
    done = convert(tmp_path / "out", hard, photos, data=data, max_drop=2.0, formats=[Format.ONNX])
    (artifact,) = int8_of(done.bundle)
    assert [(t.recipe, t.verdict) for t in artifact.search] == [
        ("refused", "failed"),
        ("noise", "missed"),
        (good.text, "kept"),
    ]
    assert artifact.search[0].reason == "this recipe cannot be built"
    assert artifact.search[1].drop.points > 20
    assert "more than 2" in artifact.search[1].reason
    # nothing is left of the recipes that were passed over
    assert {p.name for p in done.bundle.root.iterdir()} >= {"model.int8.onnx"}
    assert not [p.name for p in done.bundle.root.iterdir() if p.name.count(".") > 2]


def test_a_bound_that_cannot_be_held_leaves_a_best_effort_and_no_bundle(
    ladder, tmp_path: Path, hard: Path, photos: Path, data: Path
) -> None:
    ladder(Recipe("noise", noise))
    done = convert(tmp_path / "out", hard, photos, data=data, max_drop=0.5, formats=[Format.ONNX])
    assert sorted(os.listdir(tmp_path)) == ["out.best-effort"]
    manifest = done.bundle.manifest
    assert (manifest.guarantee.max_drop, manifest.guarantee.met) == (0.5, False)
    assert "could not be held" in done.missed
    assert "onnx:int8" in done.missed
    blamed = manifest.sensitivity[0].name
    assert blamed in done.missed  # which layers are to blame
    assert "out.best-effort" in done.missed


def test_without_labels_changed_answers_count_on_pictures_held_back(
    tmp_path: Path, hard: Path, photos: Path
) -> None:
    done = convert(tmp_path / "out", hard, photos, max_drop=30, formats=[Format.ONNX])
    (artifact,) = int8_of(done.bundle)
    assert artifact.verified.drop.basis == "float"
    assert artifact.verified.drop.images == PICTURES // 4
    assert done.bundle.manifest.made.calibration.images == PICTURES - PICTURES // 4
    assert "held back" in artifact.verified.pictures


@pytest.mark.slow
def test_operations_are_left_in_float_by_sensitivity(
    tmp_path: Path, hard: Path, photos: Path, data: Path
) -> None:
    from functools import partial

    for kind, build in (
        (ONNX8, recipes._onnx_int8),
        (Kind(Format.TFLITE, Precision.INT8), recipes._tflite_int8),
        (Kind(Format.OPENVINO, Precision.INT8), partial(recipes._openvino_int8, fix="disable")),
    ):
        with pytest.MonkeyPatch.context() as patch:
            steps = [Recipe(str(share), partial(build, share=share)) for share in (0.4, 1.0)]
            patch.setitem(RECIPES, kind, (Recipe("all int8", build), *steps))
            done = convert(tmp_path / kind.format, hard, photos, data=data, max_drop=0, formats=[kind.format])
        (artifact,) = int8_of(done.bundle)
        noise_db = [trial.sqnr_db for trial in artifact.search]
        assert all(more > less - 0.1 for less, more in pairwise(noise_db)), kind
        if len(noise_db) == 3:  # nothing is left in int8 but what only moves values
            assert noise_db[-1] > 40, kind
        if len(artifact.search) > 1:
            assert done.bundle.manifest.sensitivity


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_drop": -1}, UsageError, "from 0 to 100"),
        ({"max_drop": float("nan")}, UsageError, "from 0 to 100"),
        ({"max_drop": 1, "int8": False}, UsageError, "add --int8"),
        ({"target": "toaster"}, UsageError, "toaster"),
        ({"own": {"mean": "127"}}, UsageError, "--mean: for a model of your own"),
    ],
)
def test_wrong_calls_are_refused(tmp_path: Path, hard: Path, photos: Path, options, error, message) -> None:
    with pytest.raises(error, match=message):
        convert(tmp_path / "out", hard, photos, **options)
    assert os.listdir(tmp_path) == []


def test_a_bound_needs_more_than_a_handful_of_pictures(tmp_path: Path, hard: Path) -> None:
    few = convert_tiny.write_pictures(tmp_path / "few", 10)
    with pytest.raises(DataError, match="give 16 or more"):
        convert(tmp_path / "out", hard, few, max_drop=1)


def test_a_bound_needs_labels_that_fit_the_model(
    tmp_path: Path, hard: Path, photos: Path, data: Path
) -> None:
    """All wrong, nothing can be lost: a bound on accuracy would be held by any model."""
    rows = [row.split(",") for row in (data / "labels.csv").read_text().splitlines()[1:]]
    classes = len(api.convert("tiny", weights=hard, out=tmp_path / "float").bundle.labels)
    table = tmp_path / "labels.csv"

    def write(count: int, by: int) -> None:
        wrong = [f"{data / name},{(int(label) + by) % classes}" for name, label in rows[:count]]
        table.write_text("\n".join(["file,label", *wrong]))

    write(len(rows), 2)
    given = {"data": table, "formats": [Format.ONNX]}
    with pytest.raises(DataError, match="0.0% of the 100 pictures right, no better than guessing"):
        convert(tmp_path / "wrong", hard, photos, max_drop=1, **given)
    assert any("no better than guessing" in n for n in convert(tmp_path / "w", hard, photos, **given).notes)
    write(3, 0)
    with pytest.raises(DataError, match="3 labelled pictures cannot carry a --max-drop: give 16 or more"):
        convert(tmp_path / "few", hard, photos, max_drop=1, **given)


def test_fp16_and_dynamic_artifacts_are_verified_too(tmp_path: Path, hard: Path, photos: Path) -> None:
    done = convert(tmp_path / "out", hard, photos, int8=False, fp16=True, dynamic=True)
    by_kind = {artifact.kind: artifact for artifact in done.bundle.manifest.artifacts}
    assert len(by_kind) == 9
    for format in Format:
        full, half, whole = (
            by_kind[Kind(format, p)] for p in (Precision.FP32, Precision.FP16, Precision.DYNAMIC)
        )
        assert full.verified.sqnr_db > half.verified.sqnr_db > whole.verified.sqnr_db > 10
    assert all(row.passed for row in api.verify(done.bundle.root))


@pytest.mark.slow
def test_the_target_decides_which_recipes_are_tried(tmp_path: Path, hard: Path, photos: Path) -> None:
    tried = {}
    for target in ("rpi5", "x86"):
        done = convert(
            tmp_path / target, hard, photos, target=target, formats=[Format.OPENVINO], max_drop=100
        )
        manifest = done.bundle.manifest
        assert (manifest.made.target, manifest.guarantee.target) == (target, target)
        (artifact,) = int8_of(done.bundle)
        tried[target] = artifact
    assert "8-bit weights" in tried["rpi5"].recipe
    assert tried["rpi5"].needs_exact_sums
    assert "7-bit weights" in tried["x86"].recipe
    assert not tried["x86"].needs_exact_sums
    assert "Raspberry Pi 5" in tried["rpi5"].verified.arithmetic


def test_the_manifest_keeps_the_search(tmp_path: Path, hard: Path, photos: Path, data: Path) -> None:
    done = convert(tmp_path / "out", hard, photos, data=data, max_drop=2.0, formats=[Format.ONNX])
    written = json.loads((done.bundle.root / "manifest.json").read_text())
    (artifact,) = [a for a in written["artifacts"] if a["precision"] == "int8"]
    (trial,) = artifact["search"]
    assert trial["drop"]["images"] == 100
    assert trial["drop"]["low"] <= trial["drop"]["points"] <= trial["drop"]["high"]
    assert trial["latency_ms"] > 0
    assert trial["bytes"] == sum(file["bytes"] for file in artifact["files"])
