"""What this machine is, from the files of a Linux system; never a guess, and never an exception."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgecv.devices import cpu
from edgecv.devices.cpu import UNKNOWN, Cpu
from edgecv.devices.jetson import jetpack, l4t_release
from edgecv.devices.profile import Detect, Own, Profile, load_own
from edgecv.devices.recognise import Clues, recognise, rule, tree_names
from edgecv.devices.system import SYSTEM, meminfo_mb, printable, text


@dataclass(frozen=True)
class Detected:
    """The machine as its files describe it.

    profile: None when no profile fits; `exact` is False when it is a sibling's or a generic one. origin: the
    file it is in where it is one of the user's own.
    model: "Raspberry Pi 5 Model B Rev 1.0", the product name of a PC, or "unknown". cpu: "4x Cortex-A76", the
    model name of a PC's CPU, or "unknown".
    cpu_features: among neon, dotprod, fp16, i8mm, sve2, bf16, avx2, avx512_vnni, avx_vnni, amx_int8, ...;
    empty when they are not known. Cores are those online that this process may use; None is unknown.
    ram_mb: MiB, a little less than what was bought (firmware takes its part). swap_mb: 0 where there is none.
    int8_saturates: whether int8 products are summed in 16 bits here; None is unknown.
    l4t: a Jetson's release, "36.4.7".
    reason: a sentence saying what the profile was decided by. rule: what would recognise this machine.
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
    cpu: str = UNKNOWN
    swap_mb: int | None = None
    l4t: str | None = None
    origin: Path | None = None
    rule: Detect = field(default_factory=Detect)

    @property
    def cores(self) -> int | None:
        """Physical cores, or else logical ones."""
        return self.physical_cores or self.logical_cores

    @property
    def arithmetic(self) -> str:
        """What an accuracy was measured on, in a few words: "aarch64 NEON dotprod"."""
        return cpu.describe(self.architecture, self.cpu_features)

    @property
    def jetpack(self) -> str | None:
        """The JetPack of a Jetson, "6.2.1"; None elsewhere, and where its release is not known here."""
        return jetpack(self.l4t) if self.l4t else None


def detect(root: Path = SYSTEM, own: Own | None = None) -> Detected:
    """Look at the system below `root`; only for "/" is Python asked what the files do not say.

    own: the user's own profiles, read from their folder when not given.
    """
    chip = cpu.parse_cpuinfo(text(root / "proc/cpuinfo"))
    if root == SYSTEM:
        chip = _ask_python(chip)
    model = (
        printable(text(root / "proc/device-tree/model"))
        or printable(text(root / "sys/class/dmi/id/product_name"))
        or printable(chip.pi_model)
        or UNKNOWN
    )
    compatible = text(root / "proc/device-tree/compatible")
    clues = Clues(model, tree_names(compatible), chip, l4t_release(root))
    match, origin = recognise(clues, load_own() if own is None else own)
    memory = meminfo_mb(root)
    return Detected(
        profile=match.profile,
        exact=match.exact,
        origin=origin,
        model=model,
        cpu=printable(chip.name) or UNKNOWN,
        architecture=chip.architecture,
        cpu_features=chip.features,
        physical_cores=chip.physical_cores,
        logical_cores=chip.logical_cores,
        ram_mb=memory.get("MemTotal") or _sold_mb(chip.pi_revision),
        swap_mb=memory.get("SwapTotal"),
        int8_saturates=cpu.int8_saturates(chip.architecture, chip.features),
        l4t=clues.l4t,
        reason=match.reason,
        rule=rule(clues),
    )


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


def _sold_mb(pi_revision: int | None) -> int | None:
    size = 7 if pi_revision is None else pi_revision >> 20 & 7  # 7 is "other"
    return None if size == 7 else 256 << size
