"""Variants and operation times of the real engines, on a small classifier that the converters wrote."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert", "openvino"):
    pytest.importorskip(module, reason="needs every engine and the converters: pip install edgecv[convert]")

from engine_files import MACS, artifact, write

from edgecv.errors import EngineError
from edgecv.runtime.engines import ENGINES, Entry, Options, Timed, load, medians, profile_operations
from edgecv.runtime.engines._litert import FileOperation, Kernel
from edgecv.runtime.engines.litert_profile import named
from edgecv.spec import Format, Precision

IMAGE = np.random.default_rng(2).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
BY_NAME = {entry.name: entry for entry in ENGINES}
PROFILED = [BY_NAME[name] for name in ("litert", "onnxruntime", "openvino")]
VARIANTS = [(entry, variant) for entry in PROFILED for variant in entry.variants]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[Format, Path]:
    folder = tmp_path_factory.mktemp("classifier")
    return {format: write(folder, format) for format in Format}


def answers(entry: Entry, path: Path, variant: str) -> np.ndarray:
    engine = load(entry, path, artifact(entry.format), Options(variant=variant))
    engine.infer(np.zeros_like(IMAGE))  # its answer must not show in the next
    row = engine.infer(IMAGE).copy()
    engine.close()
    return row


@pytest.mark.parametrize(("entry", "variant"), VARIANTS, ids=lambda given: given.name)
def test_a_variant_answers_as_the_default_or_says_that_it_does_not(entry, variant, files) -> None:
    path = files[entry.format]
    usual, other = answers(entry, path, ""), answers(entry, path, variant.name)
    assert other.shape == usual.shape == (1, 100)
    assert other.dtype == np.float32
    if variant.changes_answers:
        # fp16 keeps 11 bits and bf16 8, through four layers.
        assert np.abs(other - usual).max() < 0.1 * np.abs(usual).max()
    else:
        np.testing.assert_array_equal(other, usual)


def test_every_variant_says_why_in_one_line() -> None:
    for entry in ENGINES:
        names = [variant.name for variant in entry.variants]
        assert len(names) == len(set(names))
        assert all(variant.why and "\n" not in variant.why for variant in entry.variants)


@pytest.mark.parametrize("entry", [*PROFILED, Entry("own", Format.ONNX, "numpy", "nowhere:Engine", "")])
def test_an_unknown_variant_is_refused_before_anything_is_loaded(entry: Entry) -> None:
    with pytest.raises(EngineError, match=rf"{entry.name} has no variant 'turbo'; it has "):
        load(entry, Path("nowhere"), artifact(entry.format), Options(variant="turbo"))
    with pytest.raises(EngineError):
        profile_operations(entry, Path("x"), artifact(entry.format), Options(variant="turbo"), IMAGE, 1)


@pytest.mark.parametrize("entry", PROFILED, ids=lambda entry: entry.name)
@pytest.mark.parametrize("threads", [1, 2])
def test_each_product_of_the_file_is_timed_once(entry: Entry, threads: int, files) -> None:
    options = Options(threads=threads)
    rows = profile_operations(entry, files[entry.format], artifact(entry.format), options, IMAGE, 7)
    for product in MACS:
        timed = [row for row in rows if row.name.startswith(product)]
        assert len(timed) == 1, (product, rows)
    assert all(0 <= row.ms < 1000 and row.operator for row in rows)


@pytest.mark.parametrize("variant", ["half", "no-xnnpack"])
def test_litert_profiles_the_kernels_of_a_variant(variant: str, files) -> None:
    kind, path = artifact(Format.TFLITE), files[Format.TFLITE]
    rows = profile_operations(BY_NAME["litert"], path, kind, Options(variant=variant), IMAGE, 3)
    operators = {row.name: row.operator for row in rows}
    if variant == "half":
        assert "F32" not in operators["depth6"] or "F16" not in "".join(operators.values())
    else:
        assert operators["depth6"] == "DEPTHWISE_CONV_2D"


def test_a_profile_leaves_no_file_behind(files, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for entry in PROFILED:
        profile_operations(entry, files[entry.format], artifact(entry.format), Options(), IMAGE, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("entry", PROFILED, ids=lambda entry: entry.name)
def test_a_damaged_file_is_one_clear_error(entry: Entry, tmp_path: Path) -> None:
    path = tmp_path / "model.xml"
    path.write_bytes(b"not a model")
    for options in (Options(), Options(variant=entry.variants[0].name)):
        with pytest.raises(EngineError, match=r"model\.xml") as caught:
            profile_operations(entry, path, artifact(entry.format), options, IMAGE, 1)
        assert "\n" not in str(caught.value)


def test_litert_refuses_a_picture_of_another_size(files) -> None:
    kind, path = artifact(Format.TFLITE), files[Format.TFLITE]
    with pytest.raises(EngineError, match="takes 3,072 bytes, the picture has 12,288"):
        profile_operations(BY_NAME["litert"], path, kind, Options(), np.zeros((1, 64, 64, 3), np.uint8), 1)


def test_an_engine_without_times_says_so() -> None:
    entry = BY_NAME["tflite-runtime"]
    with pytest.raises(EngineError, match="tflite-runtime tells no times of its operations"):
        profile_operations(entry, Path("x"), artifact(Format.TFLITE), Options(), IMAGE, 1)


def timed(*pairs: tuple[str, float]) -> list[Timed]:
    return [Timed(name=name, operator="Conv", ms=ms) for name, ms in pairs]


def test_the_median_of_each_operation_is_kept() -> None:
    runs = [timed(("a", 1.0), ("b", 5.0)), timed(("a", 2.0), ("b", 90.0)), timed(("a", 3.0), ("b", 4.0))]
    assert [(row.name, row.ms) for row in medians(runs)] == [("a", 2.0), ("b", 5.0)]


@pytest.mark.parametrize(
    "runs",
    [
        [],  # none at all
        [[]],  # an inference without operations
        [timed(("a", 1.0)), timed(("b", 1.0))],  # others in the second
        [timed(("a", 1.0)), timed(("a", 1.0), ("b", 1.0))],  # more
    ],
)
def test_runs_of_different_operations_have_no_median(runs: list[list[Timed]]) -> None:
    with pytest.raises(EngineError, match="not the same operations"):
        medians(runs)


CONV, DEPTHWISE, FULLY_CONNECTED, ADD, CAST = 3, 4, 9, 0, 53
FILE = [
    FileOperation(CAST, "float"),
    FileOperation(CONV, "stem"),
    FileOperation(DEPTHWISE, "depth"),
    FileOperation(ADD, "sum"),
    FileOperation(FULLY_CONNECTED, "logits"),
]


@pytest.mark.parametrize(
    ("kernels", "names"),
    [
        # All of them, in order; the cast was not delegated and has its place in the file.
        (
            ["CAST@0", "Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) DWConv", "Add (ND)",
             "Fully Connected (NC, F32) GEMM"],
            ["float", "stem", "depth", "sum", "logits"],
        ),
        # A kernel of another type between them changes nothing.
        (
            ["Convolution (NHWC, F32) IGEMM", "Transpose (ND)", "Convolution (NHWC, F32) DWConv",
             "Fully Connected (NC, F32) GEMM"],
            ["stem", "Transpose (ND) #1", "depth", "logits"],
        ),
        # The depthwise one became something else: no product can be told from another, the addition can.
        (
            ["Convolution (NHWC, F32) IGEMM", "Convolution (NHWC, F32) VMulCAddC", "Add (ND)",
             "Fully Connected (NC, F32) GEMM"],
            ["Convolution (NHWC, F32) IGEMM #0", "Convolution (NHWC, F32) VMulCAddC #1", "sum",
             "Fully Connected (NC, F32) GEMM #3"],
        ),
        # Two additions where the file has one.
        (["Add (ND)", "Add (ND)"], ["Add (ND) #0", "Add (ND) #1"]),
        # The product that no delegate took is not one of the delegate's.
        (
            ["CONV_2D@1", "Convolution (NHWC, F32) DWConv", "Fully Connected (NC, F32) GEMM"],
            ["stem", "depth", "logits"],
        ),
        # A node that only the delegate knows.
        (["TfLiteXNNPackDelegate@9"], ["TfLiteXNNPackDelegate #9"]),
    ],
)  # fmt: skip
def test_kernels_are_named_only_where_the_file_agrees(kernels: list[str], names: list[str]) -> None:
    given = []
    for number, text in enumerate(kernels):
        operator, at, index = text.partition("@")
        given.append(Kernel(operator, 1.0, not at, int(index or number)))
    assert [row.name for row in named(given, FILE)] == names


def test_half_is_for_float_artifacts() -> None:
    halves = [v for entry in ENGINES for v in entry.variants if v.name == "half"]
    assert halves
    assert all(v.changes_answers and Precision.INT8 not in v.only and v.only for v in halves)
