"""What a run logs: one line an event on stderr, in the form of whoever reads it, and no flood."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecv.runtime.log import BURST, CLEAR_LINE, WINDOW_S, Handler, setup

log = logging.getLogger("edgecv.runtime.test")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Logged:
    """A logger of its own with one handler, whose clock the test turns."""

    def __init__(self, debug: bool = False) -> None:
        self.out, self.clock = io.StringIO(), Clock()
        self.handler = Handler(self.out, debug, self.clock)
        self.logger = logging.Logger("edgecv.test", logging.DEBUG)
        self.logger.addHandler(self.handler)

    def lines(self) -> list[str]:
        """What was written since the last call, without its times."""
        lines = [re.sub(f"^{TIME}", "", line) for line in self.out.getvalue().splitlines()]
        self.out.seek(0)
        self.out.truncate()
        return lines


@pytest.fixture
def logged() -> Iterator[Logged]:
    made = Logged()
    yield made
    made.handler.close()


def test_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with setup():
        log.warning("%s is gone", "rtsp://cam", extra={"fields": {"source": "rtsp://cam", "waits_s": 2.5}})
        log.debug("nobody wants to know")
    line = capsys.readouterr().err
    assert re.fullmatch(TIME + 'level=warning source=rtsp://cam waits_s=2.5 msg="rtsp://cam is gone"\n', line)


def test_a_time_is_in_utc(logged: Logged) -> None:
    record = logging.makeLogRecord({"created": 1795356301.123, "msecs": 123.0, "levelname": "INFO"})
    assert logged.handler.format(record).startswith("2026-11-22T14:05:01.123Z level=info ")


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        (0.5, "0.5"),
        ("", '""'),
        ("two words", '"two words"'),
        ("a=b", '"a=b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("one\ntwo", r'"one\ntwo"'),
        # an escape sequence, DEL and a C1 control: what a terminal obeys
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\x7f\x9b", r'"\u007f\u009b"'),
        ("Käfer", "Käfer"),
        ("ein Käfer", '"ein Käfer"'),
        # a file name that is no UTF-8
        ("\udcff", r'"\udcff"'),
    ],
)
def test_values(value: object, written: str, logged: Logged) -> None:
    logged.logger.info("x", extra={"fields": {"value": value}})
    assert logged.lines() == [f"level=info value={written} msg=x"]


@given(st.text())
def test_any_text_is_one_line_and_comes_back(text: str) -> None:
    logged = Logged()
    logged.logger.info("%s", text)
    (line,) = logged.lines()
    assert line.isprintable()
    written = line.removeprefix("level=info msg=")
    assert (json.loads(written) if written.startswith('"') else written) == text


def test_the_journal_has_its_own_clock_and_levels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (tmp_path / "journal").open("w+") as stream, (tmp_path / "other").open("w+") as other:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        for target in (stream, other):
            with setup(debug=True, stream=target):
                log.error("out of memory")
                log.debug("detail")
            target.seek(0)
        assert stream.read() == '<3>level=error msg="out of memory"\n<7>level=debug msg=detail\n'
        # inherited by a process whose stderr somebody redirected
        assert re.match(TIME + "level=error", other.read())


def test_on_a_terminal_the_live_line_is_taken_away_first() -> None:
    terminal = Terminal()
    with setup(stream=terminal):
        log.info("hello")
    assert re.fullmatch(re.escape(CLEAR_LINE) + TIME + "level=info msg=hello\n", terminal.getvalue())


def test_a_flood_is_counted_and_its_last_line_kept(logged: Logged) -> None:
    for number in range(BURST + 7):
        logged.logger.warning("frame %d is torn", number)
    logged.logger.warning("another message")
    assert logged.lines() == [
        *(f'level=warning msg="frame {number} is torn"' for number in range(BURST)),
        'level=warning msg="another message"',
    ]
    logged.clock.now += WINDOW_S - 0.1
    logged.logger.warning("frame %d is torn", 12)
    assert logged.lines() == []
    logged.clock.now += 0.1
    # any message ends the window
    logged.logger.info("a third message")
    assert logged.lines() == [
        'level=warning repeated=8 msg="frame 12 is torn"',
        'level=info msg="a third message"',
    ]
    logged.logger.warning("frame %d is torn", 99)
    assert logged.lines() == ['level=warning msg="frame 99 is torn"']


def test_the_end_of_the_run_ends_the_windows(logged: Logged) -> None:
    for number in range(BURST + 1):
        logged.logger.warning("frame %d is torn", number)
    logged.lines()
    logged.handler.close()
    assert logged.lines() == ['level=warning repeated=1 msg="frame 5 is torn"']


def test_months_of_messages_are_not_kept(logged: Logged) -> None:
    for number in range(1000):
        logged.clock.now += 1.0
        logged.logger.info(f"message {number}")
    assert len(logged.handler._windows) <= WINDOW_S + 1


def test_debug_shows_everything() -> None:
    logged = Logged(debug=True)
    for _ in range(BURST + 1):
        logged.logger.info("again")
    assert len(logged.lines()) == BURST + 1
    try:
        raise ValueError("bad\nvalue")
    except ValueError:
        logged.logger.exception("sink failed")
    (line,) = logged.lines()
    assert line.startswith(r'level=error error="ValueError: bad\nvalue" trace="Traceback')
    assert "test_log.py" in line


def test_an_exception_is_named_without_its_traceback(logged: Logged) -> None:
    for _ in range(BURST + 1):
        try:
            raise OSError(28, "No space left on device")
        except OSError:
            logged.logger.exception("%s failed", "disk")
    logged.handler.close()
    first, *_, last = logged.lines()
    assert first == 'level=error error="OSError: [Errno 28] No space left on device" msg="disk failed"'
    assert last == first.replace(" msg=", " repeated=1 msg=")


def test_the_logger_is_lent_and_given_back(capsys: pytest.CaptureFixture[str]) -> None:
    root, theirs = logging.getLogger("edgecv"), logging.StreamHandler(io.StringIO())
    root.addHandler(theirs)
    try:
        before = root.handlers, list(root.handlers), root.level, root.propagate
        with pytest.raises(ZeroDivisionError), setup(), setup():
            log.warning("once")
            _ = 1 / 0
        assert (root.handlers, list(root.handlers), root.level, root.propagate) == before
        assert capsys.readouterr().err.count("once") == 1
        assert theirs.stream.getvalue() == ""
    finally:
        root.removeHandler(theirs)


def test_threads_write_whole_lines_and_lose_none(logged: Logged) -> None:
    def work(name: int) -> None:
        for number in range(200):
            logged.logger.info("thread %d", name, extra={"fields": {"number": number}})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logged.handler.close()
    lines = logged.lines()
    assert len(lines) == BURST + 1
    assert f"repeated={4 * 200 - BURST} " in lines[-1]
