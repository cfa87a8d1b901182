"""How much of a measurement is done, told as it goes on."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]


class Meter:
    """Tells what is begun, and what share of everything was done before it, 0 to 1.

    expected_s: of all that is begun; together it is `share` of everything, and the `rest` comes after it.
    """

    def __init__(self, tell: Progress | None, expected_s: float, share: float) -> None:
        self._tell = tell or (lambda _what, _fraction: None)
        self._expected_s, self._share = max(expected_s, 1e-9), share
        self._done_s = self._going_s = 0.0

    def begin(self, what: str, seconds: float) -> None:
        # A board that is too slow for its seconds takes more turns than were expected.
        self._done_s = min(self._done_s + self._going_s, self._expected_s)
        self._going_s = seconds
        self._tell(what, self._share * self._done_s / self._expected_s)

    def rest(self, what: str, fraction: float) -> None:
        self._tell(what, self._share + (1 - self._share) * fraction)
