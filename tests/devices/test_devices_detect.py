from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.devices import detect
from edgecv.devices.profile import Detect

ORIN_NANO_KIT = ("nvidia,p3768-0000+p3767-0005", "nvidia,p3767-0005", "nvidia,tegra234")

# model, compatible, CPU, profile, exact
BOARDS = [
    ("Raspberry Pi Zero 2 W Rev 1.0", "raspberrypi,model-zero-2-w brcm,bcm2837", "4 A53", "rpi-zero2w", True),
    (
        "Raspberry Pi 3 Model B Plus Rev 1.3",
        "raspberrypi,3-model-b-plus brcm,bcm2837",
        "4 A53",
        "rpi3b+",
        True,
    ),
    # the plain 3B is a prefix of the 3B+'s name
    ("Raspberry Pi 3 Model B Rev 1.2", "raspberrypi,3-model-b brcm,bcm2837", "4 A53", "rpi3b+", False),
    ("Raspberry Pi 3 Model A Plus", "raspberrypi,3-model-a-plus brcm,bcm2837", "4 A53", "rpi3b+", False),
    ("Compute Module 3", "raspberrypi,3-compute-module brcm,bcm2837", "4 A53", "rpi3b+", False),
    ("Raspberry Pi 4 Model B Rev 1.5", "raspberrypi,4-model-b brcm,bcm2711", "4 A72", "rpi4b", True),
    # 32-bit system on the same board
    ("Raspberry Pi 4 Model B Rev 1.5", "raspberrypi,4-model-b brcm,bcm2711", "4 A53, 32-bit", "rpi4b", True),
    ("Compute Module 4 Rev 1.0", "raspberrypi,4-compute-module brcm,bcm2711", "4 A72", "rpi4b", False),
    # documented as 4s-compute-module, seen as 4-compute-module-s
    ("Compute Module 4S Rev 1.0", "raspberrypi,4s-compute-module brcm,bcm2711", "4 A72", "rpi4b", False),
    ("Compute Module 4S Rev 1.0", "raspberrypi,4-compute-module-s brcm,bcm2711", "4 A72", "rpi4b", False),
    ("Raspberry Pi 400 Rev 1.0", "raspberrypi,400 brcm,bcm2711", "4 A72", "rpi4b", False),
    ("Raspberry Pi 5 Model B Rev 1.0", "raspberrypi,5-model-b brcm,bcm2712", "4 A76", "rpi5", True),
    # the D0 stepping has a SoC entry of its own
    ("Raspberry Pi 5 Model B Rev 1.1", "raspberrypi,5-model-b brcm,bcm2712d0", "4 A76", "rpi5", True),
    ("Compute Module 5 Rev 1.0", "raspberrypi,5-compute-module brcm,bcm2712", "4 A76", "rpi5", False),
    ("Raspberry Pi 500 Rev 1.0", "raspberrypi,500 brcm,bcm2712", "4 A76", "rpi5", False),
    # a board of somebody else's with a known SoC
    ("A carrier", "acme,carrier brcm,bcm2712d0", "4 A76", "rpi5", False),
    # JetPack 4: no entry for the module alone
    (
        "NVIDIA Jetson Nano Developer Kit",
        "nvidia,p3449-0000-b00+p3448-0000-b00 nvidia,jetson-nano nvidia,tegra210",
        "4 A57",
        "jetson-nano",
        True,
    ),
    ("Jetson TX1", "nvidia,p2371-2180 nvidia,tegra210", "4 A57", "jetson-nano", False),
    (
        "NVIDIA Jetson Xavier NX Developer Kit",
        "nvidia,p3509-0000+p3668-0000 nvidia,p3668-0000 nvidia,tegra194",
        "6 Carmel",
        "jetson-xavier-nx",
        True,
    ),
    # a third party's carrier names itself first
    (
        "ThinkEdge",
        "lenovo,thinkedge-se70 nvidia,p3668-0001 nvidia,tegra194",
        "6 Carmel",
        "jetson-xavier-nx",
        True,
    ),
    (
        "Jetson AGX Xavier",
        "nvidia,p2972-0000 nvidia,p2888-0001 nvidia,tegra194",
        "6 Carmel",
        "jetson-xavier-nx",
        False,
    ),
    ("Orin Nano Developer Kit", " ".join(ORIN_NANO_KIT), "6 A78AE", "jetson-orin-nano", True),
    (
        "Orin Nano Developer Kit Super",
        "nvidia,p3768-0000+p3767-0005-super nvidia,p3767-0005 nvidia,tegra234",
        "6 A78AE",
        "jetson-orin-nano",
        True,
    ),
    # -super and no entry for the module alone
    (
        "Orin Nano Super",
        "nvidia,p3768-0000+p3767-0003-super nvidia,tegra234",
        "6 A78AE",
        "jetson-orin-nano",
        True,
    ),
    ("Orin Nano 4 GB", "nvidia,p3768-0000+p3767-0004 nvidia,p3767-0004", "6 A78AE", "jetson-orin-nano", True),
    ("Orin NX 16 GB", "nvidia,p3768-0000+p3767-0000 nvidia,p3767-0000", "8 A78AE", "jetson-orin-nx", True),
    (
        "Orin NX 8 GB Super",
        "nvidia,p3768-0000+p3767-0001-super nvidia,p3767-0001 nvidia,tegra234",
        "6 A78AE",
        "jetson-orin-nx",
        True,
    ),
    # the module entry decides, whatever the carrier's entry says
    ("Custom", "acme,x+p3767-0000 nvidia,p3767-0005 nvidia,tegra234", "6 A78AE", "jetson-orin-nano", True),
    ("AGX Orin", "nvidia,p3737-0000+p3701-0005 nvidia,p3701-0005", "12 A78AE", "jetson-agx-orin", True),
    (
        "Thor",
        "nvidia,p4071-0000+p3834-0008 nvidia,p3834-0008 nvidia,tegra264",
        "14 V3AE",
        "jetson-thor",
        True,
    ),
    # a Thor module that came after this package
    ("New Thor", "nvidia,p9999-0001 nvidia,tegra264", "14 V3AE", "jetson-thor", False),
    # an Orin module that came after this package
    ("New Orin", "nvidia,p9999-0000 nvidia,tegra234", "8 A78AE", "jetson-orin-nano", False),
    # an unlisted Arm board, with a number that merely begins like a known one
    ("Radxa ROCK 5B", "radxa,rock-5b rockchip,rk3588", "8 A78AE", "arm64", False),
    ("No Pi", "raspberrypi,5000 brcm,bcm27129", "4 A76", "arm64", False),
    # 32 bits, no NEON: there is no profile
    ("Raspberry Pi Zero W Rev 1.1", "raspberrypi,model-zero-w brcm,bcm2835", "1 ARM1176", None, False),
]


@pytest.mark.parametrize(("model", "compatible", "cpu", "profile", "exact"), BOARDS)
def test_boards_by_device_tree(tree, model, compatible, cpu, profile, exact):
    found = detect(tree(cpu=cpu, compatible=compatible.split(), model=model))
    assert (found.profile and found.profile.name) == profile
    assert (found.model, found.exact) == (model, exact)
    assert found.int8_saturates is False


@pytest.mark.parametrize(
    ("revision", "profile", "exact", "ram_mb"),
    [
        ("902120", "rpi-zero2w", True, 512),
        ("a020d3", "rpi3b+", True, 1024),
        ("a02082", "rpi3b+", False, 1024),  # 3B
        ("9020e0", "rpi3b+", False, 512),  # 3A+
        ("a02100", "rpi3b+", False, 1024),  # CM3+
        ("c03115", "rpi4b", True, 4096),
        ("c03130", "rpi4b", False, 4096),  # Pi 400
        ("d03140", "rpi4b", False, 8192),  # CM4
        ("e04171", "rpi5", True, 16384),
        ("d04180", "rpi5", False, 8192),  # CM5
        ("b041a0", "rpi5", False, 2048),  # CM5 Lite
        ("e04190", "rpi5", False, 16384),  # Pi 500+
        ("f04171", "rpi5", True, None),  # memory size "other"
        ("a01041", "arm64", False, 1024),  # 2B: no profile of its own
    ],
)
def test_raspberry_pi_in_a_container_by_revision(tree, revision, profile, exact, ram_mb):
    # Docker hides the device tree; /proc/cpuinfo is the host's
    found = detect(tree(cpu="4 A76", revision=revision, model="Raspberry Pi"))
    assert (found.profile.name, found.exact) == (profile, exact)
    assert (found.ram_mb, found.model) == (ram_mb, "Raspberry Pi")


def test_reason_of_a_compute_module_names_it_and_its_stand_in(tree):
    root = tree(cpu="4 A72", compatible=["raspberrypi,4-compute-module", "brcm,bcm2711"])
    assert detect(root).reason == (
        "device tree: raspberrypi,4-compute-module: Compute Module 4, taken for a Raspberry Pi 4 Model B"
    )


def test_device_tree_wins_over_revision(tree):
    root = tree(cpu="4 A76", compatible=["raspberrypi,5-model-b"], revision="c03115")
    assert detect(root).profile.name == "rpi5"


def test_jetson_container_has_only_the_release_file(tree):
    release = "# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic, EABI: aarch64, DATE: x\n"
    found = detect(tree(cpu="8 A78AE", tegra=release))
    assert (found.profile.name, found.exact) == ("jetson-orin-nano", False)
    assert "L4T 36.4.7" in found.reason


@pytest.mark.parametrize(
    ("cpu", "profile", "saturates"),
    [
        ("4 AVX2", "x86", True),
        ("2 SSE2", "x86", True),
        ("2 AVX-512 VNNI", "x86-vnni", False),
        ("2 AVX-VNNI", "x86-vnni", False),
        ("8 AMX", "x86-vnni", False),
        ("1 i686", None, True),  # no engine has 32-bit x86 wheels
        ("riscv", None, None),
        ("none", None, None),
    ],
)
def test_machines_without_a_device_tree(tree, cpu, profile, saturates):
    found = detect(tree(cpu=cpu, product="ThinkPad X1"))
    assert (found.profile and found.profile.name) == profile
    assert found.exact is (profile is not None)
    assert found.int8_saturates is saturates
    assert found.model == "ThinkPad X1"


def test_ram_is_what_the_kernel_has_not_what_the_board_was_sold_with(tree):
    root = tree(cpu="4 A72", compatible=["raspberrypi,4-model-b"], revision="c03115", mem_kb=3884304)
    assert detect(root).ram_mb == 3793


def test_swap_that_is_not_there_is_not_unknown(tree):
    assert detect(tree(cpu="4 A72", mem_kb=1024)).swap_mb == 0
    assert detect(tree(cpu="4 A72", mem_kb=1024, swap_kb=204800)).swap_mb == 200
    assert detect(tree(cpu="4 A72")).swap_mb is None


@pytest.mark.parametrize(
    ("l4t", "name"),
    [
        ("32.7.1", "4.6"),
        ("32.7", "4.6"),
        ("32.70.1", None),
        ("35.4.1", "5.1.2"),
        ("36.3.0", "6.0"),
        ("36.4.0", "6.1"),
        ("36.4.3", "6.2"),
        ("36.4.7", "6.2.1"),
        ("36.4.1", None),  # not in the table: unknown, and not the nearest
        ("38.2.0", "7.0"),
        ("38.4.0", "7.1"),
    ],
)
def test_the_jetpack_of_a_release(tree, l4t, name):
    release, _, revision = l4t.partition(".")
    found = detect(tree(cpu="6 A78AE", tegra=f"# R{release} (release), REVISION: {revision}, GCID: 1\n"))
    assert (found.l4t, found.jetpack) == (l4t, name)


@pytest.mark.parametrize(
    ("machine", "rule"),
    [
        (
            {"compatible": ["raspberrypi,5-model-b", "brcm,bcm2712"]},
            {"compatible": ("raspberrypi,5-model-b",)},
        ),
        # the module, not the carrier that it is on
        (
            {"compatible": ["nvidia,p3768-0000+p3767-0005-super", "nvidia,p3767-0005", "nvidia,tegra234"]},
            {"compatible": ("nvidia,p3767-0005",)},
        ),
        ({"cpu": "4 A76", "revision": "c04170", "model": "a Pi"}, {"revision_types": (0x17,)}),
        ({"cpu": "4 AVX2", "product": "ThinkPad X1"}, {"models": ("ThinkPad X1",)}),
        ({"cpu": "2 AVX-VNNI"}, {"architecture": "x86_64", "features": ("avx_vnni",)}),
        ({"cpu": "4 AVX2"}, {"architecture": "x86_64"}),
        ({}, {}),  # nothing to tell it by
    ],
)
def test_the_rule_that_would_recognise_a_machine(tree, machine, rule):
    assert detect(tree(**machine)).rule == Detect(**rule)


def test_an_empty_root_is_unknown_through_and_through(tmp_path):
    found = detect(tmp_path / "missing")
    assert found.profile is None
    assert (found.model, found.architecture, found.arithmetic) == ("unknown", "unknown", "unknown")
    assert (found.physical_cores, found.logical_cores, found.cores) == (None, None, None)
    assert (found.cpu, found.swap_mb, found.l4t, found.jetpack) == ("unknown", None, None, None)
    assert (found.ram_mb, found.int8_saturates, found.cpu_features) == (None, None, frozenset())
    assert "unknown" in found.reason


def test_folders_in_place_of_files_are_unknown(tmp_path):
    (tmp_path / "proc/cpuinfo").mkdir(parents=True)
    (tmp_path / "proc/device-tree/compatible").mkdir(parents=True)
    assert detect(tmp_path).architecture == "unknown"


def test_terminal_escapes_do_not_reach_the_model(tree):
    root = tree(compatible=["acme,board"], model="Pi\x1b[31m\x07 board " + "x" * 5000)
    assert detect(root).model.startswith("Pi[31m board xxx")
    assert len(detect(root).model) <= 200


def test_this_very_machine():
    found = detect()
    assert found.logical_cores >= 1
    assert found.architecture != "unknown"


FILES = (
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/device-tree/compatible",
    "proc/device-tree/model",
    "sys/class/dmi/id/product_name",
    "etc/nv_tegra_release",
)
# Raw bytes, and the words detection looks for in any order.
WORDS = (
    *(b"processor : 9\n", b"Features : asimd", b"flags : fpu lm", b"Revision : ffffffff\n", b"MemTotal: 1"),
    *(b" kB\n", b"\0", b"nvidia,", b"+", b"raspberrypi,4-model-b", b"# R36 (release), REVISION: ", b"\xff"),
)
GARBAGE = st.binary(max_size=200) | st.lists(st.sampled_from(WORDS)).map(b"".join)


@pytest.fixture(scope="module")
def shared_root(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("garbled")
    for name in FILES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
    return root


@settings(deadline=None)
@given(st.tuples(*(GARBAGE for _ in FILES)))
def test_garbled_files_never_raise(shared_root, contents):
    for name, content in zip(FILES, contents, strict=True):
        (shared_root / name).write_bytes(content)
    found = detect(shared_root)
    assert found.reason
    assert found.model.isprintable()
    assert found.cores is None or found.cores >= 1
