"""The accelerators of a machine, by its device nodes and buses; none of them is opened. Not run on hardware.

It takes a few milliseconds, and nothing that is on the way to a result looks here.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from edgecv.devices.system import SYSTEM, printable, text

UNUSED = "not used by EdgeCV yet"
_NO_DRIVER = f"no driver is loaded for it; {UNUSED}"

# vendor:product of USB, before and after its firmware is loaded. (coral.ai)
_CORAL_USB = {("1a6e", "089a"), ("18d1", "9302")}
_CORAL_PCI = ("0x1ac1", "0x089a")
_HAILO = "0x1e60"
_HAILO_CHIPS = {"0x2864": "Hailo-8 or 8L", "0x45c4": "Hailo-10H"}  # the second as one public script has it
_NVIDIA = "0x10de"
_DISPLAY = "0x03"  # the PCI class of GPUs: VGA, 3D and other display controllers

# By the name of the kernel's driver. Of drivers/accel, all but intel_vpu and amdxdna are from memory.
_NPU_DRIVERS = {
    "intel_vpu": "Intel NPU",
    "amdxdna": "AMD NPU (XDNA)",
    "RKNPU": "Rockchip NPU",
    "rocket": "Rockchip NPU",
    "habanalabs": "Intel Gaudi",
    "qaic": "Qualcomm Cloud AI",
}
# Of drivers/gpu/drm, from memory.
_GPU_DRIVERS = {
    "v3d": "Broadcom VideoCore GPU (v3d)",
    "i915": "Intel GPU",
    "xe": "Intel GPU",
    "amdgpu": "AMD GPU",
    "panfrost": "Arm Mali GPU",
    "panthor": "Arm Mali GPU",
    "lima": "Arm Mali GPU",
    "msm": "Qualcomm Adreno GPU",
    "etnaviv": "Vivante GPU",
    "nouveau": "NVIDIA GPU (nouveau)",
}
_COMPUTE_CAPABILITY = {"tegra210": "5.3", "tegra194": "7.2", "tegra234": "8.7", "tegra264": "11.0"}


class Accelerator(NamedTuple):
    """name: its vendor and chip, or that it is unknown. kind: "TPU", "NPU" or "GPU".

    where: its device node, or its place on a bus. usable: what of EdgeCV can use it, and what is missing.
    """

    name: str
    kind: str
    where: str
    usable: str

    def __str__(self) -> str:
        return f"{self.name} ({self.kind}), {self.where}: {self.usable}"


class _Pci(NamedTuple):
    slot: str
    vendor: str
    device: str
    kind: str


def accelerators(root: Path = SYSTEM) -> tuple[Accelerator, ...]:
    """What is found below `root`; none found is not none there: a container sees what it is given."""
    folders = sorted((root / "sys/bus/pci/devices").glob("*"))
    pci = [_Pci(at.name, *(text(at / key) for key in ("vendor", "device", "class"))) for at in folders]
    return tuple(itertools.chain(_coral(root, pci), _hailo(root, pci), _nvidia(root, pci), _others(root)))


def _coral(root: Path, pci: list[_Pci]) -> Iterator[Accelerator]:
    for at in sorted((root / "sys/bus/usb/devices").glob("*")):
        if (text(at / "idVendor"), text(at / "idProduct")) in _CORAL_USB:
            yield Accelerator("Coral USB Accelerator", "TPU", f"USB {at.name}", UNUSED)
    nodes = _nodes(root, "dev/apex_*") or [
        f"/dev/{at.name}" for at in sorted((root / "sys/class/apex").glob("apex_*"))
    ]
    yield from (Accelerator("Coral PCIe", "TPU", node, UNUSED) for node in nodes)
    if not nodes:
        found = [at for at in pci if (at.vendor, at.device) == _CORAL_PCI]
        yield from (Accelerator("Coral PCIe", "TPU", f"PCI {at.slot}", _NO_DRIVER) for at in found)


def _hailo(root: Path, pci: list[_Pci]) -> Iterator[Accelerator]:
    chips = [at for at in pci if at.vendor == _HAILO]
    nodes = _nodes(root, "dev/hailo[0-9]*")
    for chip, node in itertools.zip_longest(chips, nodes):
        name = _HAILO_CHIPS.get(chip.device, f"Hailo, unknown chip {chip.device}") if chip else "Hailo"
        yield Accelerator(name, "NPU", node or f"PCI {chip.slot}", UNUSED if node else _NO_DRIVER)


def _nvidia(root: Path, pci: list[_Pci]) -> Iterator[Accelerator]:
    if built_in := _nodes(root, "dev/nvhost-gpu", "dev/nvgpu/igpu*"):
        compatible = text(root / "proc/device-tree/compatible")
        chip = next((chip for chip in _COMPUTE_CAPABILITY if f"nvidia,{chip}" in compatible), None)
        about = f" ({chip}, compute capability {_COMPUTE_CAPABILITY[chip]})" if chip else ", unknown chip"
        yield Accelerator(f"NVIDIA Jetson GPU{about}", "GPU", built_in[0], _libraries(root))
        return  # an Orin's /dev/nvidia0 is the display driver's
    nodes = _nodes(root, "dev/nvidia[0-9]*")
    usable = _libraries(root) if nodes else ""
    told = sorted((root / "proc/driver/nvidia/gpus").glob("*/information"))
    models = [re.search(r"^Model:\s*(.+)$", text(file), re.MULTILINE) for file in told]
    for model, node in zip(itertools.chain(models, itertools.repeat(None)), nodes, strict=False):
        yield Accelerator(printable(model[1]) if model else "NVIDIA GPU", "GPU", node, usable)
    if not nodes and not any((root / "sys/class/drm").glob("renderD*")):
        idle = (at for at in pci if at.vendor == _NVIDIA and at.kind.startswith(_DISPLAY))
        yield from (Accelerator("NVIDIA GPU", "GPU", f"PCI {at.slot}", _NO_DRIVER) for at in idle)


def _libraries(root: Path) -> str:
    """How usable a GPU is: the versions of CUDA and TensorRT in the folders where they usually are."""
    versions = [text(path) for path in sorted(root.glob("usr/local/cuda*/version.*"))]
    cuda = next(filter(None, map(_cuda_version, versions)), None) or _suffix(
        root.glob("usr/local/cuda*/lib64/libcudart.so.*")
    )
    folders = ("usr/lib/*-linux-gnu", "usr/lib64", "usr/lib/*-linux-gnu/nvidia", "usr/local/tensorrt/lib")
    tensorrt = _suffix(path for folder in folders for path in root.glob(f"{folder}/libnvinfer.so.*"))
    return f"CUDA {cuda or 'not found'}, TensorRT {tensorrt or 'not found'}; {UNUSED}"


def _cuda_version(said: str) -> str | None:
    """Of version.json, or of version.txt: "CUDA Version 10.2.300"."""
    try:
        return printable(str(json.loads(said)["cuda"]["version"]))
    except (ValueError, KeyError, TypeError):
        found = re.match(r"CUDA Version ([0-9.]+)", said)
        return found[1] if found else None


def _suffix(libraries: Iterable[Path]) -> str | None:
    """The longest version behind `.so.`: links have shorter ones."""
    versions = (path.name.partition(".so.")[2] for path in libraries)
    return max((v for v in versions if re.fullmatch("[0-9.]+", v)), key=len, default=None)


def _others(root: Path) -> Iterator[Accelerator]:
    """NPUs and GPUs that the kernel lists by their drivers; NVIDIA's own drivers are told of elsewhere."""
    for node in _nodes(root, "dev/accel/accel*"):
        driver = _driver(root / "sys/class/accel" / Path(node).name)
        yield Accelerator(_named(_NPU_DRIVERS, driver, "accelerator"), "NPU", node, UNUSED)
    for node in _nodes(root, "dev/rknpu"):
        yield Accelerator("Rockchip NPU", "NPU", node, UNUSED)
    for node in _nodes(root, "dev/ethosu[0-9]*"):
        yield Accelerator("Arm Ethos-U NPU", "NPU", node, UNUSED)
    for node in _nodes(root, "dev/dri/renderD*"):
        driver = _driver(root / "sys/class/drm" / Path(node).name)
        if driver in _NPU_DRIVERS:
            yield Accelerator(_NPU_DRIVERS[driver], "NPU", node, UNUSED)
        elif not re.search("nvidia|nvgpu|tegra|gk20a", driver):
            yield Accelerator(_named(_GPU_DRIVERS, driver, "GPU"), "GPU", node, UNUSED)


def _driver(entry: Path) -> str:
    found = re.search(r"^DRIVER=(\S+)$", text(entry / "device/uevent"), re.MULTILINE)
    return printable(found[1]) if found else ""


def _named(names: dict[str, str], driver: str, what: str) -> str:
    return names.get(driver, f"unknown {what}" + (f" (driver {driver})" if driver else ""))


def _nodes(root: Path, *patterns: str) -> list[str]:
    """Device nodes below `root`, as they are called from there."""
    found = (path for pattern in patterns for path in sorted(root.glob(pattern)))
    return [f"/{path.relative_to(root)}" for path in found]
