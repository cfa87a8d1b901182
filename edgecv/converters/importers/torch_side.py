"""What runs in the process that has PyTorch: a module or an exported program -> ONNX."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from edgecv.errors import ModelError, UsageError

_INTERPOLATION = {"bilinear": "linear", "bicubic": "cubic"}


def export_factory(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write folder/model.onnx from `package.module:factory`; returns what a timm model says of pictures."""
    import torch

    model = _make(job)
    if not isinstance(model, torch.nn.Module):
        raise ModelError(f"the factory returned {type(model).__name__}, not a torch.nn.Module")
    if job["weights"]:
        _load_weights(model, Path(job["weights"]))
    model = model.float().eval()
    says, told = _timm(model)
    size = job["size_hw"] or says.get("size_hw")
    if not size:
        raise UsageError("a PyTorch module does not say how large its pictures are; give --size HxW")
    example = torch.zeros(1, 3, *size)
    try:
        with torch.no_grad():
            model(example)
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ModelError(f"it does not take a picture [1, 3, {size[0]}, {size[1]}] ({text})") from error
    _export(model, (example,), folder)
    return {"says": says, "told": told}


def export_exported(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write folder/model.onnx from a .pt2 file that torch_export.check has looked through."""
    import torch

    program = torch.export.load(job["path"])
    program._guards_code = []  # Python code from the file; fixed sizes need no guards
    _export(program, None, folder)
    return {}


def _make(job: dict[str, Any]) -> Any:
    module, _, name = job["factory"].partition(":")
    sys.path.insert(0, job["here"])
    try:
        factory = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ModelError(f"cannot be imported ({error})") from error
    return factory() if callable(factory) and not hasattr(factory, "state_dict") else factory


def _load_weights(model: Any, path: Path) -> None:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        state = load_file(path)
    else:
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:
            raise ModelError(
                f"{path.name} is not a plain state dict, and a pickle's code is not run: save it with "
                "torch.save(model.state_dict(), FILE)"
            ) from error
    for key in ("state_dict", "model"):  # as training scripts nest it
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    try:
        model.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        text = " ".join(str(error).split())[:300]
        raise ModelError(f"{path.name} does not fit the factory's model ({text})") from error


def _timm(model: Any) -> tuple[dict[str, Any], str | None]:
    """What a timm model's pretrained_cfg says, as fields of preprocess_rules.Wanted, and in words."""
    config = getattr(model, "pretrained_cfg", None)
    try:
        config = dict(config) if config else {}
        size, mean, std = config["input_size"], config["mean"], config["std"]
        says: dict[str, Any] = {
            "size_hw": [int(size[1]), int(size[2])],
            "mean": [round(255 * float(value), 6) for value in mean],
            "std": [round(255 * float(value), 6) for value in std],
            "color": "rgb",
        }
    except (KeyError, TypeError, ValueError, IndexError):
        return {}, None
    if config.get("interpolation") in _INTERPOLATION:
        says["interpolation"] = _INTERPOLATION[config["interpolation"]]
    if config.get("crop_mode", "center") == "center" and 0 < config.get("crop_pct", 1.0) <= 1:
        says["resize"], says["crop_fraction"] = "center_crop", float(config.get("crop_pct", 1.0))
    return says, ", ".join(f"{name} {value}" for name, value in says.items())


def _export(model: Any, arguments: Any, folder: Path) -> None:
    import torch

    target = folder / "model.onnx"
    program = torch.onnx.export(
        model, arguments, dynamo=True, external_data=False, input_names=["input"], verbose=False
    )
    program.save(str(target), external_data=False)
