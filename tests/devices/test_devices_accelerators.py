"""Accelerators on fake buses. Not run on hardware."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from edgecv.devices.accelerators import UNUSED, accelerators

Lay = Callable[[dict[str, object]], Path]
NO_DRIVER = f"no driver is loaded for it; {UNUSED}"
NO_LIBRARIES = f"CUDA not found, TensorRT not found; {UNUSED}"


def pci(slot: str, vendor: str, device: str, kind: str = "0x088000") -> dict[str, object]:
    folder = f"sys/bus/pci/devices/{slot}"
    return {f"{folder}/vendor": vendor, f"{folder}/device": device, f"{folder}/class": kind}


def usb(place: str, vendor: str, product: str) -> dict[str, object]:
    folder = f"sys/bus/usb/devices/{place}"
    return {f"{folder}/idVendor": vendor, f"{folder}/idProduct": product}


@pytest.mark.parametrize(
    ("files", "name", "kind", "where", "usable"),
    [
        # before and after its firmware is loaded
        (usb("1-1", "1a6e", "089a"), "Coral USB Accelerator", "TPU", "USB 1-1", UNUSED),
        (usb("2-1.4", "18d1", "9302"), "Coral USB Accelerator", "TPU", "USB 2-1.4", UNUSED),
        (
            {"dev/apex_0": ""} | pci("0000:01:00.0", "0x1ac1", "0x089a"),
            "Coral PCIe",
            "TPU",
            "/dev/apex_0",
            UNUSED,
        ),
        # a container that was given /sys and not the node
        ({"sys/class/apex/apex_0/status": "ALIVE"}, "Coral PCIe", "TPU", "/dev/apex_0", UNUSED),
        (pci("0000:01:00.0", "0x1ac1", "0x089a"), "Coral PCIe", "TPU", "PCI 0000:01:00.0", NO_DRIVER),
        (
            {"dev/hailo0": ""} | pci("0001:01:00.0", "0x1e60", "0x2864"),
            "Hailo-8 or 8L",
            "NPU",
            "/dev/hailo0",
            UNUSED,
        ),
        ({"dev/hailo0": ""}, "Hailo", "NPU", "/dev/hailo0", UNUSED),
        (pci("0001:01:00.0", "0x1e60", "0x2864"), "Hailo-8 or 8L", "NPU", "PCI 0001:01:00.0", NO_DRIVER),
        (
            pci("0001:01:00.0", "0x1e60", "0x9999"),
            "Hailo, unknown chip 0x9999",
            "NPU",
            "PCI 0001:01:00.0",
            NO_DRIVER,
        ),
        (
            {"dev/nvgpu/igpu0/ctrl": ""},
            "NVIDIA Jetson GPU, unknown chip",
            "GPU",
            "/dev/nvgpu/igpu0",
            NO_LIBRARIES,
        ),
        ({"dev/nvidia0": "", "dev/nvidiactl": ""}, "NVIDIA GPU", "GPU", "/dev/nvidia0", NO_LIBRARIES),
        (
            pci("0000:01:00.0", "0x10de", "0x1234", kind="0x030200"),
            "NVIDIA GPU",
            "GPU",
            "PCI 0000:01:00.0",
            NO_DRIVER,
        ),
        (
            {
                "dev/nvidia0": "",
                "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: \t NVIDIA T4\nIRQ: 1",
                "usr/local/cuda/version.json": '{"cuda": {"version": "12.6.68"}}',
                "usr/lib/x86_64-linux-gnu/libnvinfer.so.10": "",
                "usr/lib/x86_64-linux-gnu/libnvinfer.so.10.3.0": "",
            },
            "NVIDIA T4",
            "GPU",
            "/dev/nvidia0",
            f"CUDA 12.6.68, TensorRT 10.3.0; {UNUSED}",
        ),
        # a library alone tells its major version
        (
            {
                "dev/nvidia0": "",
                "usr/local/cuda/lib64/libcudart.so.11.0": "",
                "usr/local/cuda/version.json": "{",
            },
            "NVIDIA GPU",
            "GPU",
            "/dev/nvidia0",
            f"CUDA 11.0, TensorRT not found; {UNUSED}",
        ),
        (
            {"dev/accel/accel0": "", "sys/class/accel/accel0/device/uevent": "DRIVER=amdxdna"},
            "AMD NPU (XDNA)",
            "NPU",
            "/dev/accel/accel0",
            UNUSED,
        ),
        (
            {"dev/accel/accel0": "", "sys/class/accel/accel0/device/uevent": "DRIVER=later"},
            "unknown accelerator (driver later)",
            "NPU",
            "/dev/accel/accel0",
            UNUSED,
        ),
        ({"dev/accel/accel0": ""}, "unknown accelerator", "NPU", "/dev/accel/accel0", UNUSED),
        ({"dev/rknpu": ""}, "Rockchip NPU", "NPU", "/dev/rknpu", UNUSED),
        ({"dev/ethosu0": ""}, "Arm Ethos-U NPU", "NPU", "/dev/ethosu0", UNUSED),
        ({"dev/dri/renderD128": ""}, "unknown GPU", "GPU", "/dev/dri/renderD128", UNUSED),
    ],
)
def test_each_kind(files: dict[str, object], name: str, kind: str, where: str, usable: str, lay: Lay) -> None:
    assert accelerators(lay(files)) == ((name, kind, where, usable),)


@pytest.mark.parametrize(
    "files",
    [
        {},
        usb("1-1", "046d", "0825"),  # a camera
        pci("0000:00:1f.3", "0x10de", "0x10f0", kind="0x040300"),  # the sound of a graphics card
        {"dev/nvidiactl": "", "dev/nvidia-uvm": ""},  # the driver without a card
        {"dev/dri/card0": ""},  # a display
    ],
)
def test_what_is_none(files: dict[str, object], lay: Lay) -> None:
    assert accelerators(lay(files)) == ()


def test_two_of_a_kind_are_two(lay: Lay) -> None:
    chips = pci("0000:01:00.0", "0x1e60", "0x2864") | pci("0000:02:00.0", "0x1e60", "0x45c4")
    found = accelerators(lay(chips | {"dev/hailo0": ""}))
    assert [(at.name, at.where) for at in found] == [
        ("Hailo-8 or 8L", "/dev/hailo0"),
        ("Hailo-10H", "PCI 0000:02:00.0"),
    ]


def test_this_very_machine() -> None:
    assert all(at.name and at.where.startswith(("/dev/", "USB ", "PCI ")) for at in accelerators())
