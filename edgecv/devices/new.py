"""A profile of one's own: TOML from what was detected here, and the order of what was measured."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgecv.devices.cpu import UNKNOWN
from edgecv.devices.detect import Detected
from edgecv.devices.profile import NAME_PATTERN, RESERVED, Detect, Fact, Profile, decode_profile, own_folder
from edgecv.devices.selection import stand_in
from edgecv.errors import DeviceError
from edgecv.spec import Kind

_HEAD = """\
# A device profile of EdgeCV, written from what the machine says of itself; change what you know better.
# In ~/.config/edgecv/devices, or the folder $EDGECV_DEVICES names, it is found by its name, and by
# `--device auto` on every machine that [detect] fits.
"""


def new_profile(
    name: str,
    detected: Detected,
    order: Sequence[tuple[Kind, float]] | None = None,
    threads: int | None = None,
) -> str:
    """The TOML text of a profile for the machine that was detected.

    order: what was measured there, each with its median in milliseconds; the fastest comes first, and what
    was not measured behind, as the profile that stands in has it. threads: what it was measured with.
    Raises DeviceError for a name that cannot be one, and a time that is none.
    """
    if name in RESERVED:
        raise DeviceError(f"{name!r} is a name that --device has a meaning for: choose another")
    if not re.fullmatch(NAME_PATTERN, name):
        raise DeviceError(
            f"{name!r} cannot be a profile's name: take a-z, 0-9, + and -, a letter or digit first"
        )
    base = stand_in(detected)
    measured = _fastest(order or ())
    kinds = [*measured, *(kind for kind in map(Kind.parse, base.inference.order) if kind not in measured)]
    listed = [f'  "{kind}",' + (f" # {measured[kind]:.4g} ms" if kind in measured else "") for kind in kinds]
    title = next((known for known in (detected.model, detected.cpu) if known != UNKNOWN), base.title)
    saturates = base.inference.int8_saturates if detected.int8_saturates is None else detected.int8_saturates
    lines = [
        _HEAD,
        f"name = {_value(name)}",
        f"title = {_value(title)}",
        f"family = {_value(base.family.value)}",
        "facts = [",
        *(f"  {_inline(fact)}," for fact in _facts(detected, measured)),
        "]",
        "",
        "[inference]",
        f"# best first: {'as measured here, then ' if measured else ''}as in the profile of {base.title}",
        "order = [",
        *listed,
        "]",
        f"threads = {threads or base.inference.threads} # 0: the machine's own physical cores",
        f"int8_saturates = {_value(saturates)}",
        f"why = {_value(_reason(measured, base))}",
        "",
        "[memory]",
        "ram_mb = [] # the sizes it is sold with, MiB; none: any",
        'source = "any size"',
        "",
        "[camera]",
        f"source = {_value(base.camera.source)} # as --source takes it",
        "",
        "[detect]",
        *(_rule(detected.rule) or ["# nothing is known to tell it by: it is chosen by name only"]),
    ]
    content = "\n".join(lines) + "\n"
    decode_profile(content.encode(), name)
    return content


def own_path(name: str) -> Path:
    """Where a profile of that name belongs in the user's folder."""
    return own_folder() / f"{name.replace('+', 'plus')}.toml"


def _fastest(order: Sequence[tuple[Kind, float]]) -> dict[Kind, float]:
    """Each kind with the best of its times, the fastest first."""
    for kind, ms in order:
        if not (math.isfinite(ms) and ms > 0):
            raise DeviceError(f"the measured time of {kind} is {ms} ms: it has to be above 0")
    best: dict[Kind, float] = {}
    for kind, ms in sorted(order, key=lambda pair: pair[1]):
        best.setdefault(kind, ms)
    return best


def _facts(detected: Detected, measured: dict[Kind, float]) -> list[Fact]:
    seen = {
        "cpu": detected.cpu,
        "cpu_features": ", ".join(sorted(detected.cpu_features)),
        "ram_mb": detected.ram_mb,
        "l4t": detected.l4t,
        "jetpack": detected.jetpack,
    }
    known = {name: value for name, value in seen.items() if value not in (None, "", UNKNOWN)}
    facts = [Fact(name=name, value=value, source="detected", verified=True) for name, value in known.items()]
    for kind, ms in measured.items():
        key = f"{kind.format.value}_{kind.precision.value}_p50_ms"
        facts.append(
            Fact(name=key, value=round(float(ms), 3), source="measured on this machine", verified=True)
        )
    return facts


def _reason(measured: dict[Kind, float], base: Profile) -> str:
    if not measured:
        return f"As for {base.title}. Not measured on this board."
    times = ", ".join(f"{kind} {ms:.4g} ms" for kind, ms in measured.items())
    return f"Median inference measured on this machine: {times}. Of speed only: accuracy is not in it."


def _rule(rule: Detect) -> list[str]:
    """The rule's keys that are set, each with what it does."""
    meaning = {
        "compatible": "entries of the device tree's `compatible`: this board, whatever system is on it",
        "revision_types": "bits 4 to 11 of a Raspberry Pi's revision code",
        "models": "what the machine calls itself, whole",
        "architecture": "any machine with such a CPU",
        "features": "and one of these",
    }
    values = msgspec.to_builtins(rule)
    return [f"{key} = {_value(values[key])} # {what}" for key, what in meaning.items() if values[key]]


def _inline(fact: Fact) -> str:
    pairs = msgspec.to_builtins(fact)
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in pairs.items() if value != "") + " }"


def _value(value: object) -> str:
    """A TOML value: JSON's are TOML's too, but for one character that TOML wants escaped."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
