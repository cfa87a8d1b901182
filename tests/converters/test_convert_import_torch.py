"""PyTorch models of one's own, where torch is installed: pip install edgecv[torch]. CI has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

for module in ("onnx", "onnxruntime", "torch", "onnxscript"):
    pytest.importorskip(module, reason="PyTorch models: pip install edgecv[convert,torch]")

import torch

from edgecv.converters import importers
from edgecv.converters.importers import ImportOptions
from edgecv.converters.preprocess_rules import Wanted, from_flags
from edgecv.converters.verify import float_logits
from edgecv.errors import ModelError, UsageError
from edgecv.spec import Interpolation

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

_MODULE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(),
            nn.Conv2d(8, 16, 3, 2, 1), nn.Dropout(0.5), nn.Hardswish(),
        )
        self.classifier = nn.Linear(16, 5)

    def forward(self, x):
        return self.classifier(self.features(x).mean((2, 3)))

def make():
    torch.manual_seed(0)
    net = Net()
    net.features[1].running_mean.uniform_(-1, 1)
    net.features[1].running_var.uniform_(0.5, 2)
    return net

def timm_like():
    net = make()
    net.pretrained_cfg = {
        "input_size": (3, 32, 32), "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
        "interpolation": "bilinear", "crop_pct": 0.9,
    }
    return net

def number():
    return 3
"""
SAID = from_flags(range="-1..1", size="32x32")


@pytest.fixture
def net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """Also importable as `own_net`, from the current folder and here."""
    (tmp_path / "own_net.py").write_text(_MODULE)
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(_MODULE, names)
    return names["make"]().eval()


def assert_same(model: importers.FloatModel, net: torch.nn.Module) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    rule = model.preprocess
    normal = (images.astype(np.float32) - np.float32(rule.mean)) / np.float32(rule.std)
    with torch.no_grad():
        expected = net(torch.from_numpy(normal.transpose(0, 3, 1, 2).copy())).numpy()
    got = float_logits(model.graph, rule, images, 1, lambda _: None)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_a_factory_gives_the_modules_own_logits(net: torch.nn.Module) -> None:
    model = importers.load("own_net:make", ImportOptions(preprocess=SAID))
    assert model.name == "own_net-make"
    assert_same(model, net)


@pytest.mark.parametrize("nested", [False, True])
def test_a_state_dict_goes_into_what_the_factory_makes(
    nested: bool, net: torch.nn.Module, tmp_path: Path
) -> None:
    with torch.no_grad():
        net.classifier.bias += 1
    state = {"state_dict": net.state_dict(), "epoch": 3} if nested else net.state_dict()
    torch.save(state, tmp_path / "best.pth")
    options = ImportOptions(preprocess=SAID, weights=tmp_path / "best.pth")
    model = importers.load("own_net:make", options)
    assert model.name == "best"
    assert_same(model, net)


def test_what_a_timm_model_says_of_its_pictures_is_used_and_told(net: torch.nn.Module) -> None:
    model = importers.load("own_net:timm_like", ImportOptions())
    assert model.preprocess.size_hw == (32, 32)
    assert model.preprocess.mean == pytest.approx((123.675, 116.28, 103.53))
    assert (model.preprocess.interpolation, model.preprocess.crop_fraction) == (Interpolation.LINEAR, 0.9)
    assert any("pretrained_cfg" in note for note in model.notes)
    assert_same(model, net)


@pytest.mark.parametrize("dynamic", [False, True])
def test_an_exported_program_gives_the_modules_own_logits(
    dynamic: bool, net: torch.nn.Module, tmp_path: Path
) -> None:
    shapes = ({0: torch.export.Dim("batch", min=1, max=64)},) if dynamic else None
    example = torch.zeros(2 if dynamic else 1, 3, 32, 32)
    program = torch.export.export(net, (example,), dynamic_shapes=shapes)
    torch.export.save(program, tmp_path / "own.pt2")
    assert_same(importers.load(str(tmp_path / "own.pt2"), ImportOptions(preprocess=SAID)), net)


class Evil:
    """What unpickling would run."""

    def __reduce__(self) -> tuple:
        return Path.touch, (Path("ran"),)


@pytest.mark.usefixtures("net")
@pytest.mark.parametrize(
    ("where", "said", "weights", "kind", "says"),
    [
        ("own_net:make", Wanted(range="0..1"), None, UsageError, "give --size HxW"),
        ("own_net:absent", SAID, None, ModelError, "cannot be imported"),
        ("no_such_package:make", SAID, None, ModelError, "cannot be imported"),
        ("own_net:number", SAID, None, ModelError, "returned int, not a torch.nn.Module"),
        ("own_net:make", SAID, "evil.pth", ModelError, "a pickle's code is not run"),
        ("own_net:make", SAID, "other.pth", ModelError, "does not fit the factory's model"),
        ("own_net:make", SAID, "absent.pth", ModelError, "no weights file absent.pth"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    where: str, said: Wanted, weights: str | None, kind: type[Exception], says: str
) -> None:
    torch.save({"a": Evil()}, "evil.pth")
    torch.save({"a": torch.zeros(1)}, "other.pth")
    with pytest.raises(kind, match=says) as caught:
        importers.load(where, ImportOptions(preprocess=said, weights=Path(weights) if weights else None))
    assert "\n" not in str(caught.value)
    assert not Path("ran").exists()
