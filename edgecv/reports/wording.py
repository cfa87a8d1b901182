"""Numbers, shares and names as reports write them, wherever they are shown."""

from __future__ import annotations

from collections.abc import Callable

from edgecv.reports.schema import Accuracy, ArtifactReport
from edgecv.spec import Interval, Kind, Precision

NONE = "\N{EN DASH}"
INVALID = "INVALID"


def name(artifact: ArtifactReport | Accuracy | Kind) -> str:
    return f"{artifact.format.value} {artifact.precision.value}"


def artifact_name(kind: str) -> str:
    """`onnx int8` of `onnx:int8`."""
    return plain(kind.replace(":", " "))


def tail(text: str, most: int) -> str:
    """The end of a long name, which tells one from another better than its beginning."""
    return text if len(text) <= most else f"…{text[1 - most :]}"


def ms(value: float) -> str:
    """Three significant digits are what a latency is good for: 0.021, 7.42, 31.4, 120."""
    return number(value) if value >= 1 else f"{value:.3f}"


def megabytes(size: int) -> str:
    """Millions of bytes: `5.2`, and `0.047` below 1."""
    return f"{size / 1e6:.1f}" if size >= 950_000 else f"{size / 1e6:.3f}"


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(fraction: float) -> str:
    """A fraction as percent, without the sign."""
    return f"{100 * fraction:.1f}"


def change(before: float, after: float) -> str:
    """By how much, as percent with sign: `+28.7 %`."""
    return f"{100 * (after / before - 1):+.1f} %" if before else NONE


def between(interval: Interval | None, text: Callable[[float], str]) -> str:
    """An interval as `7.4 to 7.6`."""
    return NONE if interval is None else f"{text(interval.low)} to {text(interval.high)}"


def agreement(accuracy: Accuracy) -> str:
    """Percent of pictures with the float artifact's answer; a float artifact is that answer."""
    if accuracy.precision is Precision.FP32:
        return "float"
    return optional(accuracy.agreement, share)


def lost(accuracy: Accuracy) -> str:
    """Points of top-1 lost against float, with the interval: `+0.8 (-0.3 to +1.9)`."""
    return optional(accuracy.drop, lambda d: f"{d.points:+.1f} ({d.low:+.1f} to {d.high:+.1f})")


def points_lost(accuracy: Accuracy) -> str:
    """As `lost`, without the interval."""
    return optional(accuracy.drop, lambda d: f"{d.points:+.1f}")


def optional(value: object, text: Callable[..., str], none: str = NONE) -> str:
    return none if value is None else text(value)


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' if count != 1 else ''}"


def plain(text: str) -> str:
    """Model and engine names come from files: no escape sequences may reach a terminal."""
    return "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text
    )
