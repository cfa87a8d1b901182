"""What this machine is, from the files of a Linux system; never a guess, and never an exception."""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, replace
from pathlib import Path

from edgecv.devices import cpu
from edgecv.devices.cpu import UNKNOWN, Cpu
from edgecv.devices.profile import Family, Profile, Sibling, family_default, load_profiles

SYSTEM = Path("/")
VENDORS = {"raspberrypi": Family.RPI, "brcm": Family.RPI, "nvidia": Family.JETSON}
_READ_LIMIT = 4 << 20  # bytes; the cpuinfo of a large server is under one MiB


@dataclass(frozen=True)
class Detected:
    """The machine as its files describe it.

    profile: None when no profile fits; `exact` is False when it is a sibling's or a generic one.
    model: "Raspberry Pi 5 Model B Rev 1.0", the product name of a PC, or "unknown".
    cpu_features: among neon, dotprod, fp16, i8mm, sve2, bf16, avx2, avx512_vnni, avx_vnni, amx_int8, ...;
    empty when they are not known. Cores are those online that this process may use; None is unknown.
    ram_mb: MiB, a little less than what was bought (firmware takes its part); None is unknown.
    int8_saturates: whether int8 products are summed in 16 bits here; None is unknown.
    reason: a sentence saying what the profile was decided by.
    """

    profile: Profile | None
    exact: bool
    model: str
    architecture: str
    cpu_features: frozenset[str]
    physical_cores: int | None
    logical_cores: int | None
    ram_mb: int | None
    int8_saturates: bool | None
    reason: str

    @property
    def cores(self) -> int | None:
        """Physical cores, or else logical ones."""
        return self.physical_cores or self.logical_cores

    @property
    def arithmetic(self) -> str:
        """What an accuracy was measured on, in a few words: "aarch64 NEON dotprod"."""
        return cpu.describe(self.architecture, self.cpu_features)


@dataclass(frozen=True)
class _Match:
    profile: Profile | None
    exact: bool
    reason: str


def detect(root: Path = SYSTEM) -> Detected:
    """Look at the system below `root`; only for "/" is Python asked what the files do not say."""
    chip = cpu.parse_cpuinfo(_read(root / "proc/cpuinfo"))
    if root == SYSTEM:
        chip = _ask_python(chip)
    model = (
        _printable(_read(root / "proc/device-tree/model"))
        or _printable(_read(root / "sys/class/dmi/id/product_name"))
        or _printable(chip.pi_model)
        or UNKNOWN
    )
    match = (
        _by_device_tree(_read(root / "proc/device-tree/compatible"))
        or _by_revision(chip.pi_revision)
        or _by_tegra_release(_read(root / "etc/nv_tegra_release"))
        or _by_architecture(chip)
        or _Match(None, False, f"no profile fits a machine with CPU architecture {chip.architecture!r}")
    )
    return Detected(
        profile=match.profile,
        exact=match.exact,
        model=model,
        architecture=chip.architecture,
        cpu_features=chip.features,
        physical_cores=chip.physical_cores,
        logical_cores=chip.logical_cores,
        ram_mb=_ram_mb(_read(root / "proc/meminfo"), chip.pi_revision),
        int8_saturates=cpu.int8_saturates(chip.architecture, chip.features),
        reason=match.reason,
    )


def _read(path: Path) -> str:
    """The text of a file, "" when it cannot be read; bytes that are no UTF-8 become U+FFFD."""
    try:
        with path.open("rb") as file:
            return file.read(_READ_LIMIT).decode("utf-8", errors="replace")
    except OSError:
        return ""


def _printable(text: str) -> str:
    # The text goes to terminals and reports: no NUL, no escape sequences, no page of them.
    return "".join(character for character in text[:200] if character.isprintable()).strip()


def _ask_python(chip: Cpu) -> Cpu:
    """Fill what /proc/cpuinfo left open, and count only the cores this process is allowed to use."""
    architecture = chip.architecture
    if architecture == UNKNOWN:
        architecture = cpu.normalise_machine(platform.machine())
    counts = [chip.logical_cores or os.cpu_count()]
    if hasattr(os, "sched_getaffinity"):
        counts.append(len(os.sched_getaffinity(0)))
    logical = min((count for count in counts if count), default=None)
    physical = chip.physical_cores
    if physical and logical:
        physical = min(physical, logical)
    return replace(chip, architecture=architecture, physical_cores=physical, logical_cores=logical)


def _by_device_tree(compatible: str) -> _Match | None:
    entries = [entry for entry in map(_printable, compatible.split("\0")) if entry]
    plain = [entry for entry in entries if "+" not in entry]
    # A Jetson's first entry is carrier+module, "nvidia,p3768-0000+p3767-0005-super". The module has an entry
    # of its own on newer systems; on JetPack 4 its half of that one is all there is.
    halves = ["nvidia," + entry.rpartition("+")[2] for entry in entries if "+" in entry]
    vendors = {name.partition(",")[0] for name in plain + halves}
    families = [family for vendor, family in VENDORS.items() if vendor in vendors]
    profiles = load_profiles(*dict.fromkeys(families)) if families else ()
    for names in (plain, halves):
        for name in names:
            for profile in profiles:
                if _names(name, profile.detect.compatible):
                    return _Match(profile, True, f"device tree: {name}")
    for name in plain + halves:
        for profile, sibling in _siblings(profiles):
            if _names(name, sibling.compatible):
                return _sibling_match(profile, sibling, f"device tree: {name}")
    return None


def _by_revision(code: int | None) -> _Match | None:
    """Containers hide the device tree; the revision code in /proc/cpuinfo still names the board."""
    if code is None:
        return None
    board = code >> 4 & 0xFF
    decided = f"Raspberry Pi revision code {code:x}, type 0x{board:02x}"
    profiles = load_profiles(Family.RPI)
    for profile in profiles:
        if board in profile.detect.revision_types:
            return _Match(profile, True, decided)
    for profile, sibling in _siblings(profiles):
        if board in sibling.revision_types:
            return _sibling_match(profile, sibling, decided)
    return None


def _by_tegra_release(text: str) -> _Match | None:
    """Some Jetson, when all that is left is L4T's release file: its BOARD field is not to be relied on."""
    found = re.match(r"# R([0-9]+) \(release\), REVISION: ([0-9.]+)", text)
    if not found:
        return None
    profile = family_default(Family.JETSON)
    release = ".".join(found.groups())
    return _Match(profile, False, f"a Jetson of unknown module (L4T {release}), taken for a {profile.title}")


def _by_architecture(chip: Cpu) -> _Match | None:
    fitting = [
        profile
        for profile in load_profiles(Family.ARM if chip.architecture in cpu.ARM else Family.X86)
        if profile.detect.architecture == chip.architecture
        and (not profile.detect.features or chip.features.intersection(profile.detect.features))
    ]
    if not fitting:
        return None
    # The profile that asks for features knows more about the machine than the one that does not.
    profile = max(fitting, key=lambda candidate: len(candidate.detect.features))
    if profile.family is Family.ARM:
        return _Match(profile, False, "a 64-bit Arm machine that is no board with a profile of its own")
    if not chip.features:
        return _Match(profile, False, f"{profile.family.title} whose CPU features could not be read")
    return _Match(profile, True, f"CPU: {cpu.describe(chip.architecture, chip.features)}")


def _siblings(profiles: tuple[Profile, ...]) -> list[tuple[Profile, Sibling]]:
    return [(profile, sibling) for profile in profiles for sibling in profile.detect.siblings]


def _sibling_match(profile: Profile, sibling: Sibling, decided: str) -> _Match:
    return _Match(profile, False, f"{decided}: {sibling.title}, taken for a {profile.title}")


def _names(entry: str, prefixes: tuple[str, ...]) -> bool:
    """Whether `entry` is one of `prefixes`, perhaps with a suffix ("-super", "-b00", the d0 of bcm2712d0)."""
    return any(re.match(re.escape(prefix) + "(?![0-9])", entry) for prefix in prefixes)


def _ram_mb(meminfo: str, pi_revision: int | None) -> int | None:
    found = re.search(r"^MemTotal:\s*([0-9]{1,15}) kB", meminfo, re.MULTILINE)
    if found:
        return int(found[1]) // 1024
    size = 7 if pi_revision is None else pi_revision >> 20 & 7  # 7 is "other"
    return None if size == 7 else 256 << size
