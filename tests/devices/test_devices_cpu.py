from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecv.devices.cpu import describe, int8_saturates, normalise_machine, parse_cpuinfo


@pytest.mark.parametrize(
    ("cpu", "architecture", "features", "saturates", "arithmetic"),
    [
        # plain NEON: Zero 2 W, 3B+, 4B, Jetson Nano
        ("4 A72", "aarch64", {"neon"}, False, "aarch64 NEON"),
        # Carmel has half precision and no dotprod
        ("6 Carmel", "aarch64", {"neon", "fp16"}, False, "aarch64 NEON"),
        ("4 A76", "aarch64", {"neon", "fp16", "dotprod"}, False, "aarch64 NEON dotprod"),
        (
            "14 V3AE",
            "aarch64",
            {"neon", "fp16", "dotprod", "i8mm", "sve2", "bf16"},
            False,
            "aarch64 NEON dotprod i8mm",
        ),
        # a 32-bit kernel calls it neon, a 64-bit one asimd
        ("4 A53, 32-bit", "armv7l", {"neon", "vfp"}, False, "armv7l NEON"),
        # the first Raspberry Pi: no NEON at all
        ("1 ARM1176", "armv6l", {"vfp"}, False, "armv6l"),
        ("4 AVX2", "x86_64", {"sse2", "avx2"}, True, "x86-64 AVX2 (int8 saturates)"),
        # a poor CPU is known to saturate, it is not unknown
        ("2 SSE2", "x86_64", {"sse2"}, True, "x86-64 without AVX2 (int8 saturates)"),
        ("2 AVX-512 VNNI", "x86_64", {"sse2", "avx2", "avx512_vnni"}, False, "x86-64 AVX-512 VNNI"),
        ("2 AVX-VNNI", "x86_64", {"sse2", "avx2", "avx_vnni"}, False, "x86-64 AVX-VNNI"),
        (
            "8 AMX",
            "x86_64",
            {"sse2", "avx2", "avx512_vnni", "amx_tile", "amx_int8", "amx_bf16"},
            False,
            "x86-64 AMX int8",
        ),
        # no `lm`: a 32-bit CPU
        ("1 i686", "i686", {"sse2"}, True, "i686 without AVX2 (int8 saturates)"),
        ("riscv", "unknown", set(), None, "unknown"),
        ("none", "unknown", set(), None, "unknown"),
    ],
)
def test_architecture_and_arithmetic(cpus, cpu, architecture, features, saturates, arithmetic):
    chip = parse_cpuinfo(cpus[cpu])
    assert (chip.architecture, chip.features) == (architecture, features)
    assert int8_saturates(chip.architecture, chip.features) is saturates
    assert describe(chip.architecture, chip.features) == arithmetic


def test_unread_features_are_said_to_be_unknown():
    # macOS and Windows have no /proc/cpuinfo, and Python only knows the architecture
    assert int8_saturates("x86_64", frozenset()) is None
    assert describe("x86_64", frozenset()) == "x86-64, features unknown"
    assert int8_saturates("aarch64", frozenset()) is False


@pytest.mark.parametrize(
    ("machine", "architecture"),
    [
        ("x86_64", "x86_64"),
        ("AMD64", "x86_64"),  # Windows
        ("arm64", "aarch64"),  # macOS
        ("riscv64", "riscv64"),
        ("", "unknown"),
    ],
)
def test_machine_names(machine, architecture):
    assert normalise_machine(machine) == architecture


@pytest.mark.parametrize(
    ("cpu", "physical", "logical"),
    [
        ("4 A72", 4, 4),
        ("4 AVX2", 4, 8),  # two threads a core
        ("2 AVX2, no topology", None, 2),  # some virtual machines
        ("riscv", None, 1),
        ("none", None, None),
    ],
)
def test_cores(cpus, cpu, physical, logical):
    chip = parse_cpuinfo(cpus[cpu])
    assert (chip.physical_cores, chip.logical_cores) == (physical, logical)


@pytest.mark.parametrize(
    ("cpu", "name"),
    [
        ("4 A76", "4x Cortex-A76"),
        ("6 Carmel", "6x NVIDIA Carmel"),  # of another implementer, where part numbers mean other cores
        ("4 A55 and 4 A76", "4x Cortex-A55, 4x Cortex-A76"),
        ("2 of a new kind", "2x unknown core (implementer 0x77, part 0x123)"),
        ("4 AVX2", "a CPU"),
        ("1 ARM1176", "unknown"),  # no part is given
        ("riscv", "unknown"),
        ("none", "unknown"),
    ],
)
def test_names(cpus, cpu, name):
    assert parse_cpuinfo(cpus[cpu]).name == name


def test_two_packages_are_counted_apart():
    block = "processor : {}\nphysical id : {}\ncore id : 0\nflags : fpu lm sse2\n\n"
    assert parse_cpuinfo(block.format(0, 0) + block.format(1, 1)).physical_cores == 2


@pytest.mark.parametrize(
    ("line", "revision"),
    [
        ("Revision : c03115", 0xC03115),
        ("Revision : 2e04171", 0x2E04171),  # warranty bit
        ("Revision : 000e", None),  # old style: a Model B of 2012
        ("Revision : 00000e", None),  # bit 23 is not set
        ("Revision : zz3115", None),
        ("Revision :", None),
        ("Revision : c03115c03115c03115", None),
    ],
)
def test_revision_codes(cpus, line, revision):
    assert parse_cpuinfo(cpus["4 A72"] + line + "\n").pi_revision == revision


@settings(deadline=None)
@given(st.binary() | st.text(alphabet="processor\t:0 flagsFeturidcv\n").map(str.encode))
def test_any_text_is_parsed(content):
    chip = parse_cpuinfo(content.decode("utf-8", errors="replace"))
    assert chip.logical_cores is None or chip.logical_cores >= 1
    assert describe(chip.architecture, chip.features)
