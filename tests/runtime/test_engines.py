"""The real engines on tiny real files: what they refuse, and that threads and precision reach them."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest

from edgecv.errors import EngineError
from edgecv.runtime import engines
from edgecv.runtime.engines import ENGINES, Entry, Options, installed
from edgecv.spec import Format


@pytest.mark.parametrize("entry", ENGINES, ids=lambda entry: entry.name)
@pytest.mark.parametrize("content", [b"", b"not a model", b"\x1c\x00\x00\x00TFL3" + bytes(64)])
def test_a_damaged_file_is_one_clear_error(entry: Entry, content: bytes, tmp_path: Path) -> None:
    pytest.importorskip(entry.needs, reason=f"{entry.name} is not installed")
    module, _, attribute = entry.target.partition(":")
    engine = getattr(importlib.import_module(module), attribute)
    path = tmp_path / "model.xml"
    path.write_bytes(content)
    with pytest.raises(EngineError) as caught:
        engine(path, Options())
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "Exception from" not in str(caught.value)


def test_an_installed_engine_is_found_without_being_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Entry("there", Format.ONNX, "numpy", "nowhere:Engine", "")
    monkeypatch.setattr(engines, "ENGINES", [there._replace(needs="no_such_module"), there])
    assert installed(Format.ONNX) is there
    assert installed(Format.TFLITE) is None


def test_onnx_refuses_a_graph_that_is_no_image_classifier(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="writes its own little models")
    pytest.importorskip("onnxruntime", reason="ONNX Runtime is not installed")
    from edgecv.runtime.engines.onnx import OnnxEngine

    helper = onnx.helper
    shape = [1, 4, 4, 3]
    for inputs, outputs, says in (
        ([1, 3, 4, 4], [1, 3, 4, 4], "not one [1, H, W, 3]"),  # NCHW
        (shape, shape, "not one [1, classes]"),  # an image to image model
    ):
        graph = helper.make_graph(
            [helper.make_node("Relu", ["x"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, inputs)],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, outputs)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(EngineError) as caught:
            OnnxEngine(tmp_path / "m.onnx", Options())
        assert says in str(caught.value)


def test_the_fake_and_the_real_ones_have_the_protocol() -> None:
    from edgecv.runtime.engines.fake import FakeEngine

    engine = FakeEngine()
    assert engine.infer(np.zeros((1, 2, 2, 3), np.uint8)).shape == (1, 10)
    for entry in ENGINES:
        if installed(entry.format) is not entry:
            continue
        module, _, attribute = entry.target.partition(":")
        real = getattr(importlib.import_module(module), attribute)
        assert callable(real.infer)
        assert callable(real.close)
        assert real.name.split()[-1][0].isdigit()  # with its version
