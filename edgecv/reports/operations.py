"""The costliest operations of an artifact, and how near to the board's peak each of them comes.

The roofline (Williams, Waterman, Patterson, CACM 2009): an operation takes at least the longer of its
arithmetic at the measured peak, two operations a multiply-add, and its bytes at the measured bandwidth.
`peak_share` is that time over the one it took. The peak is float32's and the bandwidth the memory's: int8 and
half precision, and whatever stays in the caches, may come to more than 1.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgecv.reports.schema import Operation, Operations, Peaks
from edgecv.runtime.engines import Timed

COSTLIEST = 10

# What engines append to the name that an operation, or the value it makes, has in the file: ONNX Runtime for
# its own layout and for int8, OpenVINO for a product whose bias it adds in another node.
_APPENDED = re.compile(r"(?:_nchwc|_token_\d+|/WithoutBiases|/DequantizationMultiply)$")


class Work(NamedTuple):
    """What an operation has to do: multiply-adds, and bytes that go in, are kept for it, and come out.

    names: what an engine may call it besides its name: those of the file's nodes that are computed in it,
    and of the values they make.
    """

    macs: int
    bytes: int
    names: tuple[str, ...] = ()


def summarise(rows: Sequence[Timed], work: Mapping[str, Work], peaks: Peaks | None) -> Operations:
    """The costliest of `rows`, with the work of the file's operation (`work`, by its name) where it is known.

    An operation is taken for the file's only by a name that is its own, and only when no other row claims it.
    """
    if not rows:
        return Operations(unknown="the engine timed no operation")
    total_ms = sum(row.ms for row in rows)
    known = _by_every_name(work)
    claimed = Counter(_match(row.name, known) for row in rows)
    costliest = []
    for row in sorted(rows, key=lambda row: -row.ms)[:COSTLIEST]:
        match = _match(row.name, known)
        mine = work[match] if match is not None and claimed[match] == 1 else None
        costliest.append(
            Operation(
                name=match if match is not None and mine else row.name,
                operator=row.operator,
                ms=row.ms,
                share=row.ms / total_ms if total_ms else 0.0,
                macs=mine.macs if mine else None,
                peak_share=peak_share(mine, row.ms, peaks) if mine and peaks else None,
            )
        )
    return Operations(count=len(rows), total_ms=total_ms, costliest=tuple(costliest))


def peak_share(work: Work, ms: float, peaks: Peaks) -> float | None:
    """The share of what the roofline allows; None when no time was seen, or nothing had to be done."""
    attainable_ms = max(2 * work.macs / peaks.gflops, work.bytes / peaks.copy_gb_s) / 1e6
    return attainable_ms / ms if ms > 0 and attainable_ms > 0 else None


def _by_every_name(work: Mapping[str, Work]) -> dict[str, str]:
    """An operation's name by each of the names it may have; those that two operations have are left out."""
    claims: dict[str, set[str]] = {}
    for name, each in work.items():
        for alias in (name, *each.names):
            claims.setdefault(alias, set()).add(name)
    return {alias: names.pop() for alias, names in claims.items() if len(names) == 1}


def _match(name: str, known: Mapping[str, str]) -> str | None:
    """The file's operation by the engine's name for it, then by that without what engines append."""
    while name not in known:
        shorter = _APPENDED.sub("", name)
        if shorter == name:
            return None
        name = shorter
    return known[name]
