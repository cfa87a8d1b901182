"""`edgecv convert`, whole: a tiny model to a verified bundle in every format, and what can go wrong."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "litert_quantizer", "openvino", "nncf"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import convert_tiny

from edgecv import api
from edgecv.bundle import Artifact, Bundle
from edgecv.converters.convert import Conversion, Request, convert
from edgecv.converters.float_graph import build_onnx
from edgecv.converters.graph import normalise
from edgecv.converters.search import Host, Target
from edgecv.data import load_pictures
from edgecv.errors import ConversionError, DataError, EdgecvError, ModelError, UsageError
from edgecv.runtime.engines import Options, open_engine
from edgecv.spec import Format, Kind, Precision

KINDS = [Kind(format, precision) for format in Format for precision in (Precision.FP32, Precision.INT8)]
PICTURES = 12


class Sources(NamedTuple):
    weights: Path
    pictures: Path


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Sources:
    folder = tmp_path_factory.mktemp("sources")
    return Sources(
        convert_tiny.write_weights(folder / "tiny.npz"),
        convert_tiny.write_pictures(folder / "pictures", PICTURES),
    )


@pytest.fixture(scope="module", autouse=True)
def tiny() -> Iterator[None]:
    with convert_tiny.known():
        yield


def convert_tiny_to(out: Path, sources: Sources, **options: object) -> Conversion:
    return api.convert(
        "tiny",
        weights=sources.weights,
        calibration=sources.pictures,
        check_pictures=False,
        out=out,
        **{"int8": True, **options},
    )


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory, sources: Sources) -> Conversion:
    return convert_tiny_to(tmp_path_factory.mktemp("out") / "tiny", sources)


@pytest.fixture(scope="module")
def bundle(conversion: Conversion) -> Bundle:
    return Bundle.open(conversion.bundle.root)


def expected_logits(sources: Sources, images: np.ndarray) -> np.ndarray:
    """The canonical graph's answers, without anything in front of it."""
    import onnxruntime

    weights = convert_tiny.read_npz(sources.weights, convert_tiny.ARCHITECTURE).layers
    model = build_onnx("tiny", convert_tiny.ARCHITECTURE, weights, convert_tiny.RULE.size_hw)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {"input": normalise(image[None], convert_tiny.RULE)})[0] for image in images]
    return np.concatenate(rows)


def artifact(bundle: Bundle, kind: Kind) -> Artifact:
    return bundle.select(*kind)[0]


# -- what is in the bundle -------------------------------------------------------------------------


def test_the_bundle_holds_every_kind_once(bundle: Bundle) -> None:
    assert [a.kind for a in bundle.manifest.artifacts] == KINDS
    written = {file.path for a in bundle.manifest.artifacts for file in a.files}
    # nothing is left of the recipes that were not the best
    others = {"manifest.json", "labels.txt", "golden.npz", "conversion.html"}
    assert set(os.listdir(bundle.root)) == others | written
    assert written == {
        f"model.{precision}.{suffix}"
        for precision in ("fp32", "int8")
        for suffix in ("tflite", "onnx", "xml", "bin")
    }


def test_the_manifest_says_how_it_was_made(bundle: Bundle, sources: Sources) -> None:
    manifest = bundle.manifest
    assert (manifest.name, manifest.classes, manifest.preprocess) == ("tiny", 10, convert_tiny.RULE)
    assert bundle.labels == tuple(f"class {i}" for i in range(10))
    assert manifest.made.origin.weights == "tiny.npz"
    assert manifest.made.origin.sha256 == hashlib.sha256(sources.weights.read_bytes()).hexdigest()
    assert {"edgecv", "numpy", "onnx", "onnxruntime", "openvino", "nncf"} <= manifest.made.tools.keys()
    pictures = load_pictures(sources.pictures, convert_tiny.RULE, 128)
    assert manifest.made.calibration.images == PICTURES
    assert manifest.made.calibration.digest == pictures.digest
    # no path of the workstation but those that the user gave
    assert str(sources.weights) not in (bundle.root / "manifest.json").read_text()


def test_golden_samples_are_the_float_models_answers(bundle: Bundle, sources: Sources) -> None:
    golden = bundle.golden()
    assert golden.images.shape == (4, 32, 32, 3)
    np.testing.assert_allclose(golden.logits, expected_logits(sources, golden.images), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_artifact_takes_the_same_bytes(bundle: Bundle, sources: Sources, kind: Kind) -> None:
    """[1, H, W, 3] uint8 RGB in, float32 logits out; float equal, int8 near."""
    chosen = artifact(bundle, kind)
    assert (chosen.input.shape, chosen.input.dtype) == ((1, 32, 32, 3), "uint8")
    assert (chosen.output.shape, chosen.output.dtype) == ((1, 10), "float32")
    images = load_pictures(sources.pictures, convert_tiny.RULE, 128).images
    expected = expected_logits(sources, images)
    assert expected.std() > 0.3  # answers that say something
    engine = open_engine(bundle.path(chosen), chosen, Options(1, precise=True))
    got = np.concatenate([engine.infer(image[None]).copy() for image in images])
    engine.close()
    assert got.dtype == np.float32
    if kind.precision is Precision.FP32:
        np.testing.assert_allclose(got, expected, atol=1e-3)
    else:
        assert 10 * np.log10(np.square(expected).sum() / np.square(expected - got).sum()) > 15


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_recorded_agreement_was_measured(bundle: Bundle, kind: Kind) -> None:
    verified = artifact(bundle, kind).verified
    assert verified.images == PICTURES
    assert verified.labelled == 0
    if kind.precision is Precision.FP32:
        assert verified.max_abs_error < 1e-3
        assert verified.top1_agreement == 1.0
    else:
        assert verified.sqnr_db > 15


@pytest.mark.parametrize("format", [Format.TFLITE, Format.ONNX])
def test_int8_input_quantisation_is_the_files_own(bundle: Bundle, format: Format) -> None:
    """One scale and zero point for three channels, as graph.with_integer_mean makes of the rule."""
    quant = artifact(bundle, Kind(format, Precision.INT8)).input.quant
    assert quant.zero_point == 114  # (123.675 + 116.28 + 103.53) / 3, rounded
    assert quant.scale == pytest.approx(1 / 57.63, rel=1e-4)
    if format is Format.TFLITE:
        from ai_edge_litert.interpreter import Interpreter

        path = bundle.path(artifact(bundle, Kind(format, Precision.INT8)))
        scale, zero_point = Interpreter(str(path)).get_input_details()[0]["quantization"]
        assert (scale, zero_point) == (pytest.approx(quant.scale), quant.zero_point)


def test_replay_passes_here(bundle: Bundle) -> None:
    replayed = api.verify(bundle.root)
    assert [(r.artifact, r.passed) for r in replayed] == [(str(kind), True) for kind in KINDS]


def test_the_user_is_told_where_agreement_was_measured(conversion: Conversion) -> None:
    *few, note = conversion.notes  # so few that their stability says nothing
    assert "16" in " ".join(few)  # the tiny model has a tiny calibration set
    assert "on the calibration pictures" in note
    assert "--data LABELLED gives accuracy" in note
    assert re.search(r"median score of [01]\.\d\d", note)
    assert conversion.seconds["float graph"] > 0


def test_a_second_conversion_gives_the_same_files(bundle: Bundle, sources: Sources, tmp_path: Path) -> None:
    again = convert_tiny_to(tmp_path / "again", sources, formats=(Format.TFLITE, Format.ONNX)).bundle
    assert again.manifest.made.calibration.digest == bundle.manifest.made.calibration.digest
    assert again.manifest.golden == bundle.manifest.golden
    for made in again.manifest.artifacts:
        assert made.files == artifact(bundle, made.kind).files


def test_labelled_pictures_give_accuracy(sources: Sources, tmp_path: Path) -> None:
    """Labelled with the model's own answers, but for the last, which is labelled as it is not."""
    images = [
        load_pictures(path, convert_tiny.RULE, 1).images[0] for path in sorted(sources.pictures.iterdir())
    ]
    own = expected_logits(sources, np.stack(images)).argmax(1)
    own[-1] = (own[-1] + 1) % 10
    rows = [f"{path},{label}" for path, label in zip(sorted(sources.pictures.iterdir()), own, strict=True)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label", *rows]))
    done = convert_tiny_to(tmp_path / "out", sources, int8=False, formats=[Format.ONNX], data=tmp_path)
    verified = done.bundle.manifest.artifacts[0].verified
    assert (verified.labelled, verified.top1) == (PICTURES, pytest.approx(1 - 1 / PICTURES))
    assert done.bundle.manifest.made.calibration is None  # a float bundle is not calibrated
    assert done.notes == []


# -- replacing -------------------------------------------------------------------------------------


def test_an_older_bundle_is_replaced(sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_tiny_to(out, sources, int8=False, formats=[Format.ONNX])
    convert_tiny_to(out, sources, int8=False, formats=[Format.TFLITE])
    assert sorted(os.listdir(out)) == ["golden.npz", "labels.txt", "manifest.json", "model.fp32.tflite"]
    assert os.listdir(tmp_path) == ["out"]


def test_somebody_elses_folder_is_not_touched(sources: Sources, tmp_path: Path) -> None:
    holiday = tmp_path / "photographs"
    holiday.mkdir()
    (holiday / "beach.jpg").write_bytes(b"irreplaceable")
    with pytest.raises(
        EdgecvError, match=r"photographs exists and holds something that edgecv did not write"
    ):
        convert_tiny_to(holiday, sources, int8=False, formats=[Format.ONNX])
    assert os.listdir(tmp_path) == ["photographs"]
    assert {path.name: path.read_bytes() for path in holiday.iterdir()} == {"beach.jpg": b"irreplaceable"}


# -- failures --------------------------------------------------------------------------------------


def convert_with_engine(answer: np.ndarray, sources: Sources, out: Path) -> None:
    """A conversion whose engines give `answer` for every picture."""

    @contextlib.contextmanager
    def opened(path: Path, _: Artifact) -> Iterator:
        assert path.is_file()
        yield lambda _image: answer

    request = Request(
        "tiny", formats=(Format.ONNX,), calibration=str(sources.pictures), weights=sources.weights, out=out
    )
    convert(request, Host(opened, 1, False, "imagined", Target("imagined", False)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        # wrong numbers
        (np.full((1, 10), 100, np.float32), r"onnx:fp32: logits differ from the source's by .*1e\+02"),
        # not numbers
        (np.full((1, 10), np.nan, np.float32), r"onnx:fp32: .* not all of them finite"),
        # too few of them
        (np.zeros((1, 9), np.float32), r"onnx:fp32: the artifact gives \(12, 9\) logits"),
    ],
)
def test_a_wrong_float_artifact_leaves_nothing(
    answer: np.ndarray, message: str, sources: Sources, tmp_path: Path
) -> None:
    with pytest.raises(ConversionError, match=message):
        convert_with_engine(answer, sources, tmp_path / "out")
    assert os.listdir(tmp_path) == []


def test_a_failure_keeps_the_older_bundle(sources: Sources, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert_tiny_to(out, sources, int8=False, formats=[Format.ONNX])
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(ConversionError):
        convert_with_engine(np.zeros((1, 10), np.float32), sources, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"model": "tinny"}, UsageError, r"unknown model 'tinny'; did you mean tiny\?"),
        ({"weights": "gone.npz"}, ModelError, r"no weights file gone\.npz"),
        ({"weights": None}, ModelError, r"cannot download the weights .*tiny\.npz"),
        ({"calibration": "gone"}, DataError, r"gone: no such folder or video"),
        ({"data": "gone"}, DataError, r"gone is neither a folder nor a \.csv file"),
    ],
)
def test_a_wrong_request_is_named(
    options: dict[str, str | None],
    error: type[EdgecvError],
    message: str,
    sources: Sources,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("EDGECV_CACHE", str(tmp_path / "cache"))
    asked = {"model": "tiny", "weights": sources.weights, "calibration": sources.pictures, **options}
    with pytest.raises(error, match=message):
        api.convert(**asked, formats=[Format.ONNX], out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_missing_packages_are_named_before_anything_is_done(
    sources: Sources, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    absent = {"nncf", "litert_quantizer"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else real(name))
    with pytest.raises(ConversionError, match=r"converting needs litert_quantizer, nncf: pip install"):
        convert_tiny_to(tmp_path / "out", sources)
    assert not (tmp_path / "out").exists()
    # what does not need them still works
    convert_tiny_to(tmp_path / "out", sources, int8=False, formats=[Format.ONNX])


FULL_DISK = """
    import json, resource, signal, sys
    import convert_tiny
    from edgecv import api
    from edgecv.errors import EdgecvError
    from edgecv.spec import Format

    weights, pictures, out, format, int8, limit = sys.argv[1:]
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write past the limit is then an OSError
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
    try:
        with convert_tiny.known():
            api.convert("tiny", weights=weights, calibration=pictures, out=out, int8=int8 == "int8",
                        formats=[Format(format)])
    except EdgecvError as error:
        print(json.dumps(str(error)))
"""


@pytest.mark.parametrize(
    ("format", "precision", "limit"),
    [
        # the first artifact does not fit
        ("onnx", "fp32", 4000),
        pytest.param("tflite", "fp32", 4000, marks=pytest.mark.slow),
        pytest.param("openvino", "fp32", 4000, marks=pytest.mark.slow),
        # the weights (20 KB) fit, the graph (88 KB) does not
        ("openvino", "fp32", 40_000),
        # float (24 KB) fits, int8 (27 KB) does not
        ("onnx", "int8", 25_000),
    ],
)
def test_a_full_disk_leaves_nothing_and_says_one_line(
    format: str, precision: str, limit: int, sources: Sources, tmp_path: Path
) -> None:
    out = tmp_path / "out" / "tiny"
    arguments = [*sources, out, format, precision, limit]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(FULL_DISK), *map(str, arguments)],
        cwd=Path(__file__).parent,
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    message = json.loads(done.stdout)
    assert str(out) in message
    assert "\n" not in message
    assert not out.exists()
    assert os.listdir(out.parent) == []
