"""Bounds on a comparison for CI: `latency_p90 > +5%` is what must not happen."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterator, Sequence

from edgecv.errors import UsageError
from edgecv.reports.compare import Change, Compared, Comparison, Row
from edgecv.reports.compare_words import change_text, find_row, interval_text, value_text
from edgecv.reports.metrics import BY_NAME, POINTS
from edgecv.spec import Struct

_GATE = re.compile(
    r"\s*(?P<metric>[a-z_0-9]+)\s*(?P<operator>[<>])\s*"
    r"(?P<sign>[+-]?)(?P<limit>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]{1,3})?|\.[0-9]+(?:[eE][+-]?[0-9]{1,3})?)"
    r"\s*(?P<percent>%?)\s*"
)
_EXAMPLES = '"latency_p90 > +5%", "top1 < -0.5", "memory > 200"'


class Against(str, enum.Enum):
    """What a gate's number is: a change in percent of the base, one in the metric's unit, or no change."""

    PERCENT = "percent"
    CHANGE = "change"
    VALUE = "value"


class Gate(Struct):
    """What fails: `metric` above or below `limit`. Its text is what `parse_gate` reads."""

    metric: str
    above: bool
    limit: float
    against: Against

    def __str__(self) -> str:
        digits = format(self.limit, "" if self.against is Against.VALUE else "+").removesuffix(".0")
        percent = "%" if self.against is Against.PERCENT else ""
        return f"{self.metric} {'>' if self.above else '<'} {digits}{percent}"


class Failure(Struct):
    """A gate that was crossed, or could not be checked; then `base`, `new` or `artifact` may be None.

    significant: whether the change is beyond chance, None where that is not known or not asked.
    """

    gate: str
    report: str
    message: str
    artifact: str | None = None
    base: float | None = None
    new: float | None = None
    significant: bool | None = None


def parse_gate(text: str) -> Gate:
    """Read `METRIC > LIMIT` or `METRIC < LIMIT`, which says when to fail.

    LIMIT with a sign is the change against the base: `+5%` of the base, `+5` in the metric's own unit, which
    for shares (top1, agreement) is percentage points. Without a sign it is the new report's own number:
    `latency_p50 > 20` is above 20 ms. Raises UsageError for anything else.
    """
    found = _GATE.fullmatch(text)
    if found is None:
        raise UsageError(f"gate {text!r}: write METRIC > LIMIT or METRIC < LIMIT, as in {_EXAMPLES}")
    name, percent = found["metric"], bool(found["percent"])
    metric = BY_NAME.get(name)
    if metric is None:
        raise UsageError(f"gate {text!r}: there is no metric {name!r}; there are {', '.join(BY_NAME)}")
    if percent and not found["sign"]:
        raise UsageError(f"gate {text!r}: a change in % needs its sign, as in +5% or -3%")
    if percent and metric.unit == POINTS:
        raise UsageError(f"gate {text!r}: {name} changes in percentage points; leave out the % sign")
    limit = float(found["sign"] + found["limit"])
    if not math.isfinite(limit):
        raise UsageError(f"gate {text!r}: {found['limit']} is no number that anything can reach")
    against = Against.PERCENT if percent else Against.CHANGE if found["sign"] else Against.VALUE
    return Gate(metric=name, above=found["operator"] == ">", limit=limit, against=against)


def check(comparison: Comparison, gates: Sequence[Gate]) -> tuple[Failure, ...]:
    """The gates that any artifact of any report but the base crosses, or that cannot be checked there.

    A gate is crossed by the number itself, whether or not the change is significant, which the message says.
    One fails, too, for an artifact that has the number in the base and was skipped or not asked for it in the
    other report, and where neither has it of any artifact: what cannot be checked has not passed.
    """
    return tuple(
        failure
        for gate in gates
        for place in range(1, len(comparison.reports))
        for failure in _check(comparison, gate, place)
    )


def _check(comparison: Comparison, gate: Gate, place: int) -> Iterator[Failure]:
    base, new = comparison.reports[0].name, comparison.reports[place].name
    checked = False
    for artifact in comparison.artifacts:
        row = find_row(comparison, artifact.artifact, gate.metric)
        if row is None or (artifact.missing[place] and not artifact.skipped[place]):
            continue
        value, change = row.values[place], row.changes[place]
        if value is None:
            checked = True
            why = artifact.missing[place] or "not measured there"
            message = f"{artifact.artifact} in {new}: {row.label} cannot be checked: {why}"
            yield Failure(
                gate=str(gate), report=new, message=message, artifact=artifact.artifact, base=row.values[0]
            )
            continue
        amount = value if gate.against is Against.VALUE else _amount(gate, change)
        if amount is None:
            continue
        checked = True
        if amount > gate.limit if gate.above else amount < gate.limit:
            yield _failure(gate, artifact, row, new, place)
    if not checked:
        message = f"{gate.metric} cannot be checked: it is known of no artifact in both {base} and {new}"
        yield Failure(gate=str(gate), report=new, message=message)


def _amount(gate: Gate, change: Change | None) -> float | None:
    if change is None or gate.against is Against.CHANGE:
        return change and change.absolute
    if change.relative is None:  # from 0, any change is beyond every percentage
        return math.copysign(math.inf, change.absolute) if change.absolute else 0.0
    return 100 * change.relative


def _failure(gate: Gate, artifact: Compared, row: Row, report: str, place: int) -> Failure:
    value, change = row.values[place], row.changes[place]
    assert value is not None
    most = "at most" if gate.above else "at least"
    if gate.against is Against.VALUE or change is None:
        limit = value_text(gate.limit, row.unit)
        text = f"is {value_text(value, row.unit)} where {most} {limit} is allowed"
    else:
        limit = str(gate).rsplit(" ", 1)[1].replace("%", " %")
        unit = "" if gate.against is Against.PERCENT else f" {'points' if row.unit == POINTS else row.unit}"
        by = change_text(row, change)
        if gate.against is Against.CHANGE and row.unit != POINTS:
            by += f" or {change.absolute:+.3g} {row.unit}"
        before = "?" if row.values[0] is None else value_text(row.values[0], row.unit)
        text = (
            f"went from {before} to {value_text(value, row.unit)}, {by}, where {most} "
            f"{limit}{unit} is allowed"
        )
    significant = None if gate.against is Against.VALUE else change and change.significant
    return Failure(
        gate=str(gate),
        report=report,
        message=f"{artifact.artifact} in {report}: {row.label} {text}" + _sure(gate, row, change),
        artifact=artifact.artifact,
        base=row.values[0],
        new=value,
        significant=significant,
    )


def _sure(gate: Gate, row: Row, change: Change | None) -> str:
    if gate.against is Against.VALUE or change is None:
        return ""
    if change.interval is None:
        return "; whether that is chance cannot be told"
    within = f"95 % interval {interval_text(row, change)}"
    if change.significant:
        return f"; significant ({within})"
    return f"; not significant, it may be chance ({within})"
