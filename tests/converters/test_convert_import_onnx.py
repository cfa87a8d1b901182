"""ONNX files of one's own: brought into canonical form with the same answers, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "ai_edge_litert"):
    pytest.importorskip(module, reason="a converting test: pip install edgecv[convert]")

import onnx
from convert_graphs import Constant, graph, run_onnx
from onnx import TensorProto, helper, numpy_helper

from edgecv.converters import importers
from edgecv.converters.float_model import FloatModel
from edgecv.converters.importers import ImportOptions
from edgecv.converters.preprocess_rules import Wanted, from_flags
from edgecv.converters.verify import float_logits
from edgecv.errors import EdgecvError, ModelError, UsageError
from edgecv.spec import Color

CLASSES, SIZE = 5, 8
WEIGHTS: dict[str, Constant] = {"w": (6, 3, 3, 3), "b": (6,), "v": (CLASSES, 6), "d": (CLASSES,)}
BODY = (
    "c = Conv<pads=[1,1,1,1]>(s, w, b) r = Relu(c) g = GlobalAveragePool(r) "
    "f = Flatten(g) y = Gemm<transB=1>(f, v, d)"
)
NCHW, NHWC = "float[1,3,8,8] x", "float[1,8,8,3] x"
ZERO_ONE = from_flags(range="0..1")
ONE_EACH = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


def source(body: str, inputs: str = NCHW, constants: dict[str, Constant] | None = None, opset: int = 17):
    return graph(inputs, body, {**WEIGHTS, **(constants or {})}, opset=opset)


def used(body: str, constants: dict[str, Constant] | None = None) -> dict[str, Constant]:
    return {n: c for n, c in {**WEIGHTS, **(constants or {})}.items() if n in body.replace("(", " ")}


def plain(inputs: str = NCHW) -> onnx.ModelProto:
    return source(f"s = Identity(x) {BODY}", inputs)


def saved(model: onnx.ModelProto, folder: Path) -> str:
    path = folder / "my model.onnx"
    path.write_bytes(model.SerializeToString())
    return str(path)


def read(
    model: onnx.ModelProto, folder: Path, preprocess: Wanted = ZERO_ONE, output: str | None = None
) -> FloatModel:
    return importers.load(saved(model, folder), ImportOptions(preprocess=preprocess, output=output))


def answers(model: FloatModel, rgb: np.ndarray) -> np.ndarray:
    """What the canonical graph says of [1, H, W, 3] uint8 RGB pixels, prepared by its own rule."""
    pixels = rgb[..., ::-1] if model.preprocess.color is Color.BGR else rgb
    return float_logits(model.graph, model.preprocess, pixels, 1, lambda _: None)


def picture(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (1, SIZE, SIZE, 3), dtype=np.uint8)


def assert_canonical(model: FloatModel) -> None:
    (given,), (made,) = model.graph.graph.input, model.graph.graph.output
    assert (given.name, made.name) == ("input", "logits")
    assert [d.dim_value for d in given.type.tensor_type.shape.dim] == [1, 3, SIZE, SIZE]
    assert given.type.tensor_type.elem_type == TensorProto.FLOAT
    assert [d.dim_value for d in made.type.tensor_type.shape.dim] == [1, CLASSES]
    assert {entry.domain for entry in model.graph.opset_import} == {""}
    assert max(entry.version for entry in model.graph.opset_import) >= 13
    constants = {c.name for c in model.graph.graph.initializer}
    for node in model.graph.graph.node:
        assert node.op_type not in ("Constant", "BatchNormalization", "Identity")
        if node.op_type == "Conv":
            assert len(node.input) == 3
            assert set(node.input[1:]) <= constants
    onnx.checker.check_model(model.graph, full_check=True)


# -- one form, whatever the file looks like --------------------------------------------------------

TO_NCHW = "s = Transpose<perm=[0,3,1,2]>(x)"
NORM = {"gamma": np.float32([1, 2, 3, 1, 2, 3]), "beta": (6,), "mean": (6,), "pvar": (6,)}
ROWS: list[tuple[str, str, str, dict[str, Constant], str]] = [
    ("as it should be", NCHW, f"s = Identity(x) {BODY}", {}, "Conv Relu GlobalAveragePool Flatten Gemm"),
    ("pictures NHWC", NHWC, f"{TO_NCHW} {BODY}", {}, "Conv Relu GlobalAveragePool Flatten Gemm"),
    (
        "a batch norm behind the convolution goes into it, which had no bias",
        NCHW,
        "c = Conv<pads=[1,1,1,1]>(x, w) n = BatchNormalization(c, gamma, beta, mean, pvar) r = Relu(n) "
        "g = GlobalAveragePool(r) f = Flatten(g) y = Gemm<transB=1>(f, v, d)",
        NORM,
        "Conv Relu GlobalAveragePool Flatten Gemm",
    ),
    (
        "one behind something else becomes Mul and Add",
        NCHW,
        "c = Conv<pads=[1,1,1,1]>(x, w, b) r = Relu(c) n = BatchNormalization(r, gamma, beta, mean, pvar) "
        "q = Relu(n) g = GlobalAveragePool(q) f = Flatten(g) y = Gemm<transB=1>(f, v, d)",
        NORM,
        "Conv Relu Mul Add Relu GlobalAveragePool Flatten Gemm",
    ),
    (
        "a pad of its own goes into the convolution",
        NCHW,
        "p = Pad(x, pads, zero) c = Conv(p, w, b) r = Relu(c) g = GlobalAveragePool(r) f = Flatten(g) "
        "y = Gemm<transB=1>(f, v, d)",
        {"pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]), "zero": np.float32(0)},
        "Conv Relu GlobalAveragePool Flatten Gemm",
    ),
    (
        "a shape that is computed becomes a constant",
        NCHW,
        "c = Conv<pads=[1,1,1,1]>(x, w, b) g = GlobalAveragePool(c) z = Shape<start=0, end=2>(g) "
        "f = Reshape(g, z) y = Gemm<transB=1>(f, v, d)",
        {},
        "Conv GlobalAveragePool Reshape Gemm",
    ),
    (
        "logits as [1, classes, 1, 1]",
        NCHW,
        "c = Conv<pads=[1,1,1,1]>(x, w, b) g = GlobalAveragePool(c) y = Conv(g, q, d)",
        {"q": (CLASSES, 6, 1, 1)},
        "Conv GlobalAveragePool Conv Reshape",
    ),
    (
        "logits as [classes]",
        NCHW,
        f"s = Identity(x) {BODY.replace('y =', 't =')} y = Squeeze(t)",
        {},
        "Conv Relu GlobalAveragePool Flatten Gemm",
    ),
    (
        "values that bear the names of the canonical edges",
        NCHW,
        "input = Relu(x) c = Conv<pads=[1,1,1,1]>(input, w, b) logits = Relu(c) "
        "g = GlobalAveragePool(logits) f = Flatten(g) y = Gemm<transB=1>(f, v, d)",
        {},
        "Relu Conv Relu GlobalAveragePool Flatten Gemm",
    ),
]


@pytest.mark.parametrize(
    ("inputs", "body", "constants", "operators"), [r[1:] for r in ROWS], ids=[r[0] for r in ROWS]
)
def test_any_form_becomes_the_canonical_one_with_the_same_answers(
    inputs: str, body: str, constants: dict[str, Constant], operators: str, tmp_path: Path
) -> None:
    original = graph(inputs, body, used(body, constants))
    model = read(original, tmp_path)
    assert_canonical(model)
    assert " ".join(node.op_type for node in model.graph.graph.node) == operators
    rgb = picture()
    own = rgb.astype(np.float32) / 255
    own = own if inputs == NHWC else own.transpose(0, 3, 1, 2)
    expected = run_onnx(original, {"x": np.ascontiguousarray(own)})["y"].reshape(1, -1)
    np.testing.assert_allclose(answers(model, rgb), expected, rtol=1e-4, atol=1e-5)
    assert model.name == "my-model"


@pytest.mark.parametrize("ending", ["Softmax<axis=1>", "LogSoftmax<axis=1>"])
def test_a_softmax_at_the_end_is_cut_off_and_said(ending: str, tmp_path: Path) -> None:
    body = f"s = Identity(x) {BODY.replace('y =', 't =')}"
    model = read(source(f"{body} y = {ending}(t)"), tmp_path)
    logits = run_onnx(
        source(body.replace("t =", "y =")), {"x": picture().transpose(0, 3, 1, 2).astype(np.float32) / 255}
    )
    np.testing.assert_allclose(answers(model, picture()), logits["y"], rtol=1e-4, atol=1e-5)
    assert any(ending.partition("<")[0] in note for note in model.notes)


# -- normalisation leaves the graph ------------------------------------------------------------------

MEAN_STD = {"m": ONE_EACH[0].reshape(3, 1, 1), "t": ONE_EACH[1].reshape(3, 1, 1)}
FRONTS: list[tuple[str, str, str, dict[str, Constant], Wanted, tuple, tuple, str]] = [
    (
        "Rescaling(1/127.5, -1) of Keras, before the transpose",
        NHWC,
        f"a = Mul(x, k) e = Sub(a, one) {TO_NCHW.replace('(x)', '(e)')}",
        {"k": np.float32(1 / 127.5), "one": np.float32(1)},
        Wanted(),
        (127.5,) * 3,
        (127.5,) * 3,
        "rgb",
    ),
    (
        "Rescaling and Normalization: scale, mean and std a channel",
        NHWC,
        f"a = Mul(x, k) e = Sub(a, m) q = Div(e, t) {TO_NCHW.replace('(x)', '(q)')}",
        {"k": np.float32(1 / 255), "m": ONE_EACH[0], "t": ONE_EACH[1]},
        Wanted(),
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
        "rgb",
    ),
    (
        "a PyTorch module that normalises pictures of 0..1",
        NCHW,
        "a = Sub(x, m) s = Div(a, t)",
        MEAN_STD,
        Wanted(),
        (123.675, 116.28, 103.53),
        (58.395, 57.12, 57.375),
        "rgb",
    ),
    (
        "the same, told that its input is 0..255: what is said counts",
        NCHW,
        "a = Sub(x, m) s = Div(a, t)",
        MEAN_STD,
        from_flags(range="0..255"),
        (0.485, 0.456, 0.406),
        (0.229, 0.224, 0.225),
        "rgb",
    ),
    (
        "Caffe's: channels reversed, a mean subtracted",
        NHWC,
        f"z = Gather<axis=3>(x, i) e = Sub(z, m) {TO_NCHW.replace('(x)', '(e)')}",
        {"i": np.int64([2, 1, 0]), "m": np.float32([103.939, 116.779, 123.68])},
        Wanted(),
        (103.939, 116.779, 123.68),
        (1.0,) * 3,
        "bgr",
    ),
    (
        "a Slice that reverses, behind a mean and std that were said",
        NCHW,
        "s = Slice(x, a, e, axis, step)",
        {
            "a": np.int64([-1]),
            "e": np.int64([-(2**31)]),
            "axis": np.int64([1]),
            "step": np.int64([-1]),
        },
        from_flags(mean="123.68,116.78,103.94", std="2,4,8"),
        (103.94, 116.78, 123.68),
        (8.0, 4.0, 2.0),
        "bgr",
    ),
    (
        "a batch norm on the picture itself",
        NCHW,
        "s = BatchNormalization<epsilon=0.0>(x, g3, b3, m3, v3)",
        {
            "g3": np.float32([1, 1, 2]),
            "b3": np.float32([0, 1, 0]),
            "m3": np.float32([120, 110, 100]),
            "v3": np.float32([3600, 2500, 3600]),
        },
        Wanted(),
        (120.0, 60.0, 100.0),
        (60.0, 50.0, 30.0),
        "rgb",
    ),
    (
        "bytes, cast to float",
        "uint8[1,8,8,3] x",
        f"a = Cast<to=1>(x) e = Div(a, k) {TO_NCHW.replace('(x)', '(e)')}",
        {"k": np.float32(255)},
        Wanted(),
        (0.0,) * 3,
        (255.0,) * 3,
        "rgb",
    ),
]


@pytest.mark.parametrize(
    ("inputs", "front", "constants", "said", "mean", "std", "color"),
    [row[1:] for row in FRONTS],
    ids=[row[0] for row in FRONTS],
)
def test_the_file_s_own_normalisation_becomes_the_rule(
    inputs: str,
    front: str,
    constants: dict[str, Constant],
    said: Wanted,
    mean: tuple[float, ...],
    std: tuple[float, ...],
    color: str,
    tmp_path: Path,
) -> None:
    original = source(f"{front} {BODY}", inputs, constants)
    model = read(original, tmp_path, said)
    assert_canonical(model)
    assert model.graph.graph.node[0].op_type == "Conv"
    assert model.preprocess.color.value == color
    assert model.preprocess.mean == pytest.approx(mean, rel=1e-5)
    assert model.preprocess.std == pytest.approx(std, rel=1e-5)
    # The file's input, from the same pixels, by what its user or its own constants say.
    rgb = picture()
    own = rgb.astype(np.float32)
    if said.mean is not None:
        own = (own - np.float32(said.mean)) / np.float32(said.std)
    elif said.range is None and "m" in constants and inputs == NCHW:
        own = own / 255
    own = own if inputs.endswith("8,8,3] x") else own.transpose(0, 3, 1, 2)
    kind = np.uint8 if inputs.startswith("uint8") else np.float32
    expected = run_onnx(original, {"x": np.ascontiguousarray(own, kind)})["y"]
    np.testing.assert_allclose(answers(model, rgb), expected, rtol=1e-4, atol=1e-4)


def test_what_the_file_says_is_told(tmp_path: Path) -> None:
    model = read(source(f"s = Div(x, k) {BODY}", constants={"k": np.float32(255)}), tmp_path, Wanted())
    assert "(x - 0) / 255, which was taken for pictures of 0..255" in "\n".join(model.notes)
    assert "--color rgb --resize center_crop --crop-fraction 1.0 --interpolation cubic" in "\n".join(
        model.notes
    )


@pytest.mark.parametrize(
    "front",
    [
        "s = Identity(x)",  # nothing in the file
        "s = Mul(x, k)",  # something, which fits no usual scale
        "s = Neg(x)",  # nothing that can be folded
    ],
)
def test_nothing_is_guessed(front: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(
            source(f"{front} {BODY}", constants={"k": np.float32(3)} if "k" in front else {}),
            tmp_path,
            Wanted(),
        )
    for flag in ("--range", "--mean", "--std", "--color", "--resize", "--data LABELLED"):
        assert flag in str(caught.value)
    assert "\n" not in str(caught.value)


# -- edges of the graph -------------------------------------------------------------------------------


def test_a_dynamic_batch_becomes_one_and_open_sizes_are_asked_for(tmp_path: Path) -> None:
    model = plain("float[N,3,H,W] x")
    with pytest.raises(UsageError, match=r"\[N, 3, H, W\] leaves height and width open; give --size HxW"):
        read(model, tmp_path)
    assert_canonical(read(model, tmp_path, from_flags(range="0..1", size="8x8")))
    taller = read(model, tmp_path, from_flags(range="0..1", size="16x8"))
    assert taller.preprocess.size_hw == (16, 8)
    with pytest.raises(UsageError, match="--size 9x8 cannot change that"):
        read(plain(), tmp_path, from_flags(range="0..1", size="9x8"))


def test_inputs_that_no_node_reads_are_dropped_and_others_refused(tmp_path: Path) -> None:
    unused = graph(f"{NCHW}, float[3] unused", f"s = Identity(x) {BODY}", WEIGHTS)
    assert_canonical(read(unused, tmp_path))
    two = graph(f"{NCHW}, float[1,3,8,8] second", f"s = Add(x, second) {BODY}", WEIGHTS)
    with pytest.raises(ModelError, match="one input, the picture; this has x, second"):
        read(two, tmp_path)


def test_one_of_several_outputs_is_chosen_by_name(tmp_path: Path) -> None:
    two = graph(NCHW, f"s = Identity(x) {BODY} other = Relu(r)", WEIGHTS, outputs=("y", "other"))
    with pytest.raises(UsageError, match=r"2 outputs \(y, other\).*--output NAME"):
        read(two, tmp_path)
    model = read(two, tmp_path, output="y")
    assert_canonical(model)
    assert any("y is the one that was converted" in note for note in model.notes)
    with pytest.raises(UsageError, match="no output 'z'; it has y, other"):
        read(two, tmp_path, output="z")


def test_an_older_opset_is_brought_up(tmp_path: Path) -> None:
    old = source(
        f"q = Identity(x) s = Clip<min=0.0, max=6.0>(q) {BODY}".replace("s = Clip", "s = Clip"), opset=9
    )
    model = read(old, tmp_path)
    assert_canonical(model)
    rgb = picture()
    expected = run_onnx(old, {"x": rgb.transpose(0, 3, 1, 2).astype(np.float32) / 255})["y"]
    np.testing.assert_allclose(answers(model, rgb), expected, rtol=1e-4, atol=1e-5)


# -- refusals -----------------------------------------------------------------------------------------


def with_nan(model: onnx.ModelProto) -> onnx.ModelProto:
    array = numpy_helper.to_array(model.graph.initializer[0]).copy()
    array.flat[0] = np.nan
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(array, "w"))
    return model


def with_node(model: onnx.ModelProto, operator: str, domain: str = "") -> onnx.ModelProto:
    model.graph.node.append(helper.make_node(operator, ["y"], ["extra"], name="culprit", domain=domain))
    return model


def half(model: onnx.ModelProto) -> onnx.ModelProto:
    for tensor in model.graph.initializer:
        tensor.CopyFrom(
            numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name)
        )
    return model


def int8_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    model.graph.initializer.append(numpy_helper.from_array(np.zeros(9, np.int8), "codes"))
    return model


POOLED = "g = GlobalAveragePool(c) y = Flatten(g)"
REFUSALS: list[tuple[Callable[[], onnx.ModelProto], str]] = [
    (lambda: with_node(plain(), "QuantizeLinear"), "already quantised (node culprit is QuantizeLinear)"),
    (lambda: with_node(plain(), "QLinearConv"), "give the float model"),  # the older form
    (lambda: int8_weights(plain()), "already quantised (codes is INT8)"),  # whatever reads them
    (lambda: half(plain()), "the weights w are FLOAT16; give the float32 model"),
    (lambda: with_nan(plain()), "w holds NaN or infinite values"),
    (lambda: with_node(plain(), "FusedConv", "com.microsoft"), "node culprit is com.microsoft:FusedConv"),
    (lambda: onnx.ModelProto(), "it has no graph"),  # an empty file is a valid protobuf
    (
        lambda: graph(
            "float[1,1,8,8] x",
            "c = Conv(x, w1) g = GlobalAveragePool(c) y = Flatten(g)",
            {"w1": (4, 1, 3, 3)},
        ),
        "takes pictures of one channel [1, 1, 8, 8]",
    ),
    (lambda: graph("float[1,10] x", "y = Relu(x)"), "input x is [1, 10], no colour picture"),
    (
        lambda: graph("float[4,3,8,8] x", "g = GlobalAveragePool(x) y = Flatten(g)"),
        "takes 4 pictures at a time",
    ),
    (lambda: graph("float16[1,3,8,8] x", "g = GlobalAveragePool(x) y = Flatten(g)"), "takes FLOAT16"),
    (lambda: source(f"s = Identity(x) {BODY.replace('y =', 't =')} y = Sigmoid(t)"), "ends in Sigmoid"),
    (lambda: graph(NCHW, "y = Conv(x, w, b)", used("w b")), "its output is [1, 6, 6, 6], no classifier's"),
    (
        lambda: graph(NCHW, f"c = Conv(x, q) {POOLED}", {"q": (1, 3, 3, 3)}),
        "its output is [1, 1, 1, 1], no classifier's",
    ),  # one score
    (lambda: graph("float[1,3,8,8] x", "y = Relu(z)", {"z": (1, 5)}), "this has none that a node reads"),
    (lambda: with_node(plain(), "NoSuchOperator"), "a damaged ONNX model"),
]


@pytest.mark.parametrize(("make", "says"), REFUSALS, ids=[says for _, says in REFUSALS])
def test_what_cannot_be_converted_is_refused_in_one_line(
    make: Callable[[], onnx.ModelProto], says: str, tmp_path: Path
) -> None:
    with pytest.raises(EdgecvError) as caught:
        read(make(), tmp_path)
    assert says in str(caught.value)
    assert "my model.onnx" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 1, 100, 0.5, 0.99])
def test_a_cut_off_file_is_one_line(kept: float, tmp_path: Path) -> None:
    content = plain().SerializeToString()
    path = tmp_path / "cut.onnx"
    path.write_bytes(content[: int(kept if isinstance(kept, int) else kept * len(content))])
    with pytest.raises(ModelError) as caught:
        importers.load(str(path), ImportOptions(preprocess=ZERO_ONE))
    assert "\n" not in str(caught.value)


# -- external data ------------------------------------------------------------------------------------


def external(folder: Path, location: str = "weights.bin") -> Path:
    path = folder / "model.onnx"
    onnx.save(plain(), str(path), save_as_external_data=True, location="weights.bin", size_threshold=0)
    if location != "weights.bin":
        model = onnx.load(str(path), load_external_data=False)
        for tensor in model.graph.initializer:
            tensor.external_data[0].value = location
        path.write_bytes(model.SerializeToString())
    return path


def test_weights_beside_the_model_are_read_and_counted_in_its_hash(tmp_path: Path) -> None:
    path = external(tmp_path)
    model = importers.load(str(path), ImportOptions(preprocess=ZERO_ONE))
    assert_canonical(model)
    np.testing.assert_allclose(answers(model, picture()), answers(read(plain(), tmp_path), picture()))
    before = model.origin.sha256
    content = bytearray((tmp_path / "weights.bin").read_bytes())
    content[3] ^= 1
    (tmp_path / "weights.bin").write_bytes(content)
    assert importers.load(str(path), ImportOptions(preprocess=ZERO_ONE)).origin.sha256 != before


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("../weights.bin", "outside the model's folder"),  # up
        ("/etc/passwd", "outside the model's folder"),  # from the root
        ("a/../../weights.bin", "outside the model's folder"),  # up, hidden
        ("link.bin", "outside the model's folder"),  # a link that leads out
        ("absent.bin", "its weights are in absent.bin, which is not beside it"),
        ("short.bin", "short.bin is shorter than the model says"),
    ],
)
def test_weights_elsewhere_are_refused(location: str, says: str, tmp_path: Path) -> None:
    folder = tmp_path / "inner"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(10000))
    (folder / "link.bin").symlink_to(tmp_path / "weights.bin")
    (folder / "short.bin").write_bytes(b"1")
    with pytest.raises(ModelError, match=says):
        importers.load(str(external(folder, location)), ImportOptions(preprocess=ZERO_ONE))


def test_every_node_gets_a_name_of_its_own(tmp_path: Path) -> None:
    """ONNX asks for none, and recipes leave operations in float by name."""
    model = plain()
    for node in model.graph.node:
        node.name = ""
    names = [node.name for node in read(model, tmp_path).graph.graph.node]
    assert len(set(names)) == len(names) > 1
    assert "" not in names


def test_bytes_are_0_to_255(tmp_path: Path) -> None:
    model = source(f"s = Cast<to=1>(x) {BODY}", NCHW.replace("float", "uint8"))
    silent = read(model, tmp_path, Wanted())
    assert (silent.preprocess.mean, silent.preprocess.std) == ((0.0,) * 3, (1.0,) * 3)
    assert any("uint8: the range is 0..255" in note for note in silent.notes)
    assert read(model, tmp_path, from_flags(range="0..255")).preprocess == silent.preprocess
    with pytest.raises(UsageError, match="takes uint8 pictures, which are 0..255"):
        read(model, tmp_path, from_flags(range="0..1"))
    with pytest.raises(UsageError, match="leave out .* and probe"):
        importers.load(saved(model, tmp_path), ImportOptions(probe=True, data=tmp_path))


def test_weights_of_a_file_are_its_own(tmp_path: Path) -> None:
    where = saved(plain(), tmp_path)
    with pytest.raises(UsageError, match="--weights: .* holds its own"):
        importers.load(where, ImportOptions(preprocess=from_flags(range="0..1"), weights=tmp_path / "w.npz"))
