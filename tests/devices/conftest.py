"""Fake systems: the few files of a board that detection reads, laid below a temporary folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

NEON = "fp asimd evtstrm crc32 cpuid"
CARMEL = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm dcpop"
DOTPROD = "fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"
AVX2 = "fpu vme sse sse2 syscall nx lm avx avx2 fma"


def arm(features: str, cores: int, part: int, implementer: int = 0x41, first: int = 0) -> str:
    block = "processor\t: {}\nBogoMIPS\t: 108.00\nFeatures\t: {}\nCPU implementer\t: 0x{:02x}\n"
    block += "CPU architecture: 8\nCPU part\t: 0x{:03x}\n\n"
    return "".join(block.format(first + core, features, implementer, part) for core in range(cores))


def x86(flags: str, cores: int, threads_a_core: int = 1, topology: bool = True) -> str:
    text = ""
    for processor in range(cores * threads_a_core):
        text += f"processor\t: {processor}\nvendor_id\t: GenuineIntel\nmodel\t\t: 167\nmodel name\t: a CPU\n"
        text += f"physical id\t: 0\ncore id\t\t: {processor % cores}\n" if topology else ""
        text += f"flags\t\t: {flags}\n\n"
    return text


# By a short name, so that the tables of the tests stay readable.
CPUS = {
    "4 A53": arm(NEON, 4, 0xD03),
    "4 A57": arm(NEON, 4, 0xD07),
    "4 A72": arm(NEON, 4, 0xD08),
    "4 A76": arm(DOTPROD, 4, 0xD0B),
    "4 A55 and 4 A76": arm(DOTPROD, 4, 0xD05) + arm(DOTPROD, 4, 0xD0B, first=4),
    "2 of a new kind": arm(DOTPROD, 2, 0x123, implementer=0x77),
    "6 Carmel": arm(CARMEL, 6, 0x004, implementer=0x4E),
    "6 A78AE": arm(DOTPROD, 6, 0xD42),
    "8 A78AE": arm(DOTPROD, 8, 0xD42),
    "12 A78AE": arm(DOTPROD, 12, 0xD42),
    "14 V3AE": arm(DOTPROD + " i8mm sve sve2 bf16", 14, 0xD83),
    "2 A53": arm(NEON, 2, 0xD03),
    "4 A53, 32-bit": arm(
        "half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae crc32", 4, 0xD03
    ),
    "1 ARM1176": "processor\t: 0\nmodel name\t: ARMv6-compatible processor rev 7 (v6l)\n"
    "Features\t: half thumb fastmult vfp edsp java tls\n",
    "4 AVX2": x86(AVX2, 4, threads_a_core=2),
    "2 AVX-512 VNNI": x86(AVX2 + " avx512f avx512_vnni", 2),
    "2 AVX-VNNI": x86(AVX2 + " avx_vnni", 2),
    "8 AMX": x86(AVX2 + " avx512f avx512_vnni amx_tile amx_int8 amx_bf16", 8),
    "2 SSE2": x86("fpu sse sse2 lm", 2),
    "2 AVX2, no topology": x86(AVX2, 2, topology=False),
    "1 i686": "processor\t: 0\nflags\t\t: fpu sse sse2\n",
    "riscv": "processor\t: 0\nhart\t: 0\nisa\t: rv64imafdc\n",
    "none": "",
}

MakeTree = Callable[..., Path]
Lay = Callable[[dict[str, object]], Path]


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of profiles: not there, whatever is in that of who runs the tests."""
    monkeypatch.delenv("EDGECV_DEVICES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "config" / "edgecv" / "devices"


@pytest.fixture
def lay(tmp_path: Path) -> Lay:
    """A function that writes these files below one root, over those there are."""

    def write(files: dict[str, object]) -> Path:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{content}\n")
        return tmp_path

    return write


@pytest.fixture
def tree(tmp_path: Path) -> MakeTree:
    """A function that makes a new root with the files it is given; the others are missing."""
    roots = itertools.count()

    def make(
        cpu: str = "none",
        compatible: Sequence[str] = (),
        model: str = "",
        revision: str = "",
        mem_kb: int | None = None,
        swap_kb: int = 0,
        product: str = "",
        tegra: str = "",
    ) -> Path:
        tail = f"Hardware\t: BCM2835\nRevision\t: {revision}\nSerial\t\t: 10000000abcdef01\n"
        tail += f"Model\t\t: {model}\n" if model else ""
        files = {
            "proc/cpuinfo": CPUS[cpu] + (tail if revision else ""),
            "proc/device-tree/compatible": "".join(entry + "\0" for entry in compatible),
            "proc/device-tree/model": model + "\0" if model and compatible else "",
            "proc/meminfo": f"MemTotal:       {mem_kb} kB\nMemFree:  1 kB\nSwapTotal:      {swap_kb} kB\n"
            if mem_kb
            else "",
            "sys/class/dmi/id/product_name": product + "\n" if product else "",
            "etc/nv_tegra_release": tegra,
        }
        root = tmp_path / f"root{next(roots)}"
        for name, text in files.items():
            if text:
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
        return root

    return make


@pytest.fixture(scope="session")
def cpus() -> dict[str, str]:
    """The text of /proc/cpuinfo by a short name of the CPU."""
    return CPUS
