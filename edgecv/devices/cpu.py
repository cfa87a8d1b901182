"""What the text of Linux's /proc/cpuinfo says; whatever it does not say stays unknown."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

# What decides the speed and the arithmetic of int8, by the kernel's own names.
# sse2 and vfp tell nothing by themselves: they keep a poor CPU from reading as an unknown one.
_X86_FEATURES = {
    name: name for name in ("sse2", "avx2", "avx512_vnni", "avx_vnni", "amx_tile", "amx_int8", "amx_bf16")
}
_ARM_FEATURES = {
    "vfp": "vfp",
    "asimd": "neon",
    "neon": "neon",
    "asimddp": "dotprod",
    "asimdhp": "fp16",
    "fphp": "fp16",
    "i8mm": "i8mm",
    "sve2": "sve2",
    "bf16": "bf16",
}
INT32_SUMS = ("amx_int8", "avx512_vnni", "avx_vnni")  # x86 instructions that add int8 products in 32 bits
_X86_NAMES = {
    "amx_int8": "AMX int8",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx2": "AVX2",
}
# (implementer, part) of the MIDR register, after Linux's arch/arm64/include/asm/cputype.h; the two that are
# 32-bit, A7 and ARM1176, from memory.
_ARM_PARTS = {
    (0x41, 0xB76): "ARM1176",
    (0x41, 0xC07): "Cortex-A7",
    (0x41, 0xD03): "Cortex-A53",
    (0x41, 0xD04): "Cortex-A35",
    (0x41, 0xD05): "Cortex-A55",
    (0x41, 0xD07): "Cortex-A57",
    (0x41, 0xD08): "Cortex-A72",
    (0x41, 0xD09): "Cortex-A73",
    (0x41, 0xD0A): "Cortex-A75",
    (0x41, 0xD0B): "Cortex-A76",
    (0x41, 0xD0C): "Neoverse-N1",
    (0x41, 0xD0D): "Cortex-A77",
    (0x41, 0xD0E): "Cortex-A76AE",
    (0x41, 0xD40): "Neoverse-V1",
    (0x41, 0xD41): "Cortex-A78",
    (0x41, 0xD42): "Cortex-A78AE",
    (0x41, 0xD44): "Cortex-X1",
    (0x41, 0xD46): "Cortex-A510",
    (0x41, 0xD47): "Cortex-A710",
    (0x41, 0xD49): "Neoverse-N2",
    (0x41, 0xD4B): "Cortex-A78C",
    (0x41, 0xD4D): "Cortex-A715",
    (0x41, 0xD4F): "Neoverse-V2",
    (0x41, 0xD80): "Cortex-A520",
    (0x41, 0xD81): "Cortex-A720",
    (0x41, 0xD83): "Neoverse-V3AE",
    (0x41, 0xD84): "Neoverse-V3",
    (0x4E, 0x003): "NVIDIA Denver",
    (0x4E, 0x004): "NVIDIA Carmel",
}
X86 = frozenset({"x86_64", "i686"})
ARM = frozenset({"aarch64", "armv7l", "armv6l"})
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Cpu:
    """`features` is empty when they are not known; a count of cores is None when it is not known.

    name: "4x Cortex-A76", of a CPU with several kinds of cores "4x Cortex-A55, 4x Cortex-A76"; of a PC its
    model; or "unknown".
    """

    architecture: str = UNKNOWN
    name: str = UNKNOWN
    features: frozenset[str] = frozenset()
    physical_cores: int | None = None
    logical_cores: int | None = None
    pi_model: str = ""
    pi_revision: int | None = None


def parse_cpuinfo(text: str) -> Cpu:
    blocks = _blocks(text)
    flags = frozenset(_first(blocks, "flags").split())
    arm_flags = frozenset(_first(blocks, "Features").split())
    architecture = _architecture(flags, arm_flags, _first(blocks, "model name"))
    named = _X86_FEATURES if architecture in X86 else _ARM_FEATURES if architecture in ARM else {}
    physical, logical = _cores(blocks, architecture)
    return Cpu(
        architecture=architecture,
        name=_name(blocks, architecture),
        features=frozenset(named[flag] for flag in flags | arm_flags if flag in named),
        physical_cores=physical,
        logical_cores=logical,
        pi_model=_first(blocks, "Model"),
        pi_revision=_revision(_first(blocks, "Revision")) if architecture in ARM else None,
    )


def normalise_machine(machine: str) -> str:
    """What `platform.machine()` returns on any system, as an architecture of this module."""
    name = machine.lower()
    return {"amd64": "x86_64", "arm64": "aarch64", "": UNKNOWN}.get(name, name)


def int8_saturates(architecture: str, features: frozenset[str]) -> bool | None:
    """Whether engines sum int8 products in 16 bits; None when that is not known.

    Before VNNI the x86 instruction (vpmaddubsw) adds pairs of products in 16 bits; Arm has no such thing.
    """
    if architecture in ARM:
        return False
    if architecture in X86 and features:
        return features.isdisjoint(INT32_SUMS)
    return None


def describe(architecture: str, features: frozenset[str]) -> str:
    """The arithmetic in a few words, for a report: "x86-64 AVX2 (int8 saturates)"."""
    name = architecture.replace("x86_64", "x86-64")
    if not features:
        return name if architecture == UNKNOWN else f"{name}, features unknown"
    if architecture in X86:
        best = next((title for feature, title in _X86_NAMES.items() if feature in features), "without AVX2")
        return f"{name} {best}" + (" (int8 saturates)" if int8_saturates(architecture, features) else "")
    found = " ".join(feature for feature in ("dotprod", "i8mm") if feature in features)
    return f"{name} NEON {found}".rstrip() if "neon" in features else f"{name} {found}".rstrip()


def _blocks(text: str) -> list[dict[str, str]]:
    """One table a processor; what precedes the first processor is a table too."""
    blocks: list[dict[str, str]] = [{}]
    for line in text.split("\n"):
        key, colon, value = line.partition(":")
        key = key.strip()
        if key == "processor":
            blocks.append({})
        if colon:
            blocks[-1].setdefault(key, value.strip())
    return blocks


def _first(blocks: list[dict[str, str]], key: str) -> str:
    return next((block[key] for block in blocks if block.get(key)), "")


def _architecture(flags: frozenset[str], arm_flags: frozenset[str], model: str) -> str:
    if "fpu" in flags:
        return "x86_64" if "lm" in flags else "i686"  # lm = long mode
    if "asimd" in arm_flags:
        return "aarch64"
    if arm_flags & {"half", "thumb", "vfp", "neon"}:
        return "armv6l" if "ARMv6" in model else "armv7l"
    return UNKNOWN


def _name(blocks: list[dict[str, str]], architecture: str) -> str:
    if architecture not in ARM:
        return " ".join(_first(blocks, "model name").split()) or UNKNOWN
    parts = Counter(
        (block.get("CPU implementer", "?"), block["CPU part"]) for block in blocks if "CPU part" in block
    )
    return ", ".join(f"{count}x {_part(*part)}" for part, count in parts.items()) or UNKNOWN


def _part(implementer: str, part: str) -> str:
    try:
        return _ARM_PARTS[int(implementer, 16), int(part, 16)]
    except (ValueError, KeyError):
        return f"unknown core (implementer {implementer}, part {part})"


def _cores(blocks: list[dict[str, str]], architecture: str) -> tuple[int | None, int | None]:
    """Physical and logical cores that are online; a core is the pair of its package and its number there."""
    cores = [block for block in blocks if re.fullmatch("[0-9]+", block.get("processor", ""))]
    if not cores:
        return None, None
    if architecture in ARM:  # no core of these boards has hardware threads
        return len(cores), len(cores)
    if all("core id" in block for block in cores):
        return len({(block.get("physical id"), block["core id"]) for block in cores}), len(cores)
    return None, len(cores)


def _revision(text: str) -> int | None:
    """A new-style Raspberry Pi revision code (bit 23 set); the older ones are boards without NEON."""
    if not re.fullmatch("[0-9a-fA-F]{6,8}", text):
        return None
    code = int(text, 16)
    return code if code >> 23 & 1 else None
