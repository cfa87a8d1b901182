from __future__ import annotations

import subprocess
import sys
from importlib import resources

import pytest

from edgecv.devices import device_names, select
from edgecv.errors import DeviceError

PI5 = {"cpu": "4 A76", "compatible": ["raspberrypi,5-model-b", "brcm,bcm2712"]}
CM4 = {"cpu": "4 A72", "compatible": ["raspberrypi,4-compute-module", "brcm,bcm2711"]}
ORIN_NX = {"cpu": "8 A78AE", "compatible": ["nvidia,p3767-0000", "nvidia,tegra234"]}
ORIN_NX_8GB = {"cpu": "6 A78AE", "compatible": ["nvidia,p3767-0001", "nvidia,tegra234"]}
ROCK = {"cpu": "8 A78AE", "compatible": ["radxa,rock-5b", "rockchip,rk3588"]}
LAPTOP = {"cpu": "4 AVX2"}
VNNI = {"cpu": "2 AVX-512 VNNI"}
UNKNOWN = {}

NOT_A_PI = "not a Raspberry Pi: using the profile of Raspberry Pi 4 Model B; the order of engines follows it"


@pytest.mark.parametrize(
    ("name", "machine", "profile", "threads", "saturates"),
    [
        ("auto", PI5, "rpi5", 4, False),
        ("rpi", PI5, "rpi5", 4, False),
        ("rpi5", PI5, "rpi5", 4, False),
        ("auto", CM4, "rpi4b", 4, False),
        ("jetson", ORIN_NX, "jetson-orin-nx", 8, False),
        # the same profile on the smaller module, or with cores switched off by the power mode
        ("auto", ORIN_NX_8GB, "jetson-orin-nx", 6, False),
        # a family elsewhere: its default, on the cores there are
        ("rpi", LAPTOP, "rpi4b", 4, False),
        ("rpi", VNNI, "rpi4b", 2, False),
        ("jetson", VNNI, "jetson-orin-nano", 2, False),
        ("jetson", PI5, "jetson-orin-nano", 4, False),
        ("x86", PI5, "x86", 4, True),
        # the family x86 is the machine's own x86 profile; threads are physical cores, not hyperthreads
        ("x86", LAPTOP, "x86", 4, True),
        ("x86", VNNI, "x86-vnni", 2, False),
        ("auto", VNNI, "x86-vnni", 2, False),
        # the profile asks for VNNI, this x86 has none: the real CPU decides
        ("x86-vnni", LAPTOP, "x86-vnni", 4, True),
        ("x86-vnni", PI5, "x86-vnni", 4, False),
        ("jetson-agx-orin", PI5, "jetson-agx-orin", 4, False),
        # generic 64-bit Arm
        ("auto", ROCK, "arm64", 4, False),
        ("arm", ROCK, "arm64", 4, False),
        ("arm", PI5, "arm64", 4, False),
        ("auto", {"cpu": "4 A53, 32-bit"}, "arm64", 4, False),
        # two cores: fewer threads than the profile has
        ("auto", {"cpu": "2 A53"}, "arm64", 2, False),
        # a virtual machine that hides its topology: logical cores
        ("auto", {"cpu": "2 AVX2, no topology"}, "x86", 2, True),
        # nothing known: the careful arithmetic, one thread
        ("auto", UNKNOWN, "x86", 1, True),
        ("auto", {"cpu": "riscv"}, "x86", 1, True),
        # nothing known of the machine, but the board was named
        ("rpi4b", UNKNOWN, "rpi4b", 4, False),
    ],
)
def test_selection(tree, name, machine, profile, threads, saturates):
    chosen = select(name, tree(**machine))
    assert (chosen.profile.name, chosen.threads) == (profile, threads)
    assert chosen.int8_saturates is saturates


@pytest.mark.parametrize(
    ("name", "machine", "note"),
    [
        ("auto", PI5, None),
        ("rpi5", PI5, None),
        ("rpi", PI5, None),
        ("auto", VNNI, None),
        # asked for outright, and true of the machine
        ("arm", PI5, None),
        ("arm64", ROCK, None),
        ("rpi", LAPTOP, NOT_A_PI),
        ("rpi", ORIN_NX, NOT_A_PI),
        # what could not be recognised may still be one
        ("rpi", ROCK, NOT_A_PI.replace("not a", "not known to be a")),
        (
            "rpi4b",
            PI5,
            "this machine was not recognised as Raspberry Pi 4 Model B: "
            "engines and threads follow that profile",
        ),
        (
            "auto",
            ROCK,
            "a 64-bit Arm machine that is no board with a profile of its own; "
            "using the profile of 64-bit Arm board",
        ),
        (
            "auto",
            UNKNOWN,
            "no profile fits a machine with CPU architecture 'unknown'; "
            "using the profile of x86-64 without VNNI",
        ),
    ],
)
def test_notes(tree, name, machine, note):
    assert select(name, tree(**machine)).note == note


@pytest.mark.parametrize("name", ["auto", "rpi", "rpi4b"])
def test_a_compute_module_is_noted_however_it_was_chosen(tree, name):
    assert "Compute Module 4, taken for a Raspberry Pi 4 Model B" in select(name, tree(**CM4)).note


@pytest.mark.parametrize("name", device_names())
def test_every_name_can_be_selected_anywhere(tree, name):
    assert select(name, tree()).threads >= 1
    assert select(name).threads >= 1


def test_a_profile_file_of_ones_own(tree, tmp_path):
    text = (resources.files("edgecv.devices") / "profiles" / "rpi5.toml").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(text.replace('name = "rpi5"', 'name = "mine"').replace("threads = 4", "threads = 3"))
    chosen = select(str(path), tree(**PI5))
    assert (chosen.profile.name, chosen.threads, chosen.note) == ("mine", 3, None)
    assert "not recognised as Raspberry Pi 5" in select(str(path), tree(**LAPTOP)).note


def test_unknown_names_are_refused_with_what_is_allowed(tree):
    with pytest.raises(DeviceError) as caught:
        select("jetson-nanoo", tree())
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(
        "unknown device 'jetson-nanoo'; did you mean 'jetson-nano'? allowed: auto, "
    )
    for name in ("rpi", "jetson", "arm", "x86", "rpi3b+"):
        assert name in str(caught.value)


def test_importing_devices_loads_nothing_heavy():
    heavy = {"cv2", "numpy", "onnxruntime", "openvino", "ai_edge_litert", "tensorflow", "click", "rich"}
    code = "import sys, edgecv.devices; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert heavy.isdisjoint(run.stdout.split())
