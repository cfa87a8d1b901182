"""A line a result: JSON lines on stdout or at the end of a file, and CSV."""

from __future__ import annotations

import csv
import errno
import io
import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgecv.errors import SinkError, UsageError
from edgecv.runtime.results import Result
from edgecv.runtime.sinks.base import Context, Item, Sink, SinkClosed, Traits

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COLUMNS = (
    *("frame", "unix_s", "time_s", "latency_ms", "queue_ms", "infer_ms"),
    *("region", "name", "still", "on"),
)
UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")  # control characters and lone surrogates


def open_stdout(_text: str, _context: Context) -> Sink:
    """JSON lines on stdout; SinkError where it takes no bytes."""
    buffer = getattr(sys.stdout, "buffer", None)
    if buffer is None:
        raise SinkError("stdout cannot be written to here; give a file")
    sys.stdout.flush()
    return JsonLines("-", Lines("stdout", getattr(buffer, "raw", buffer)))


def open_jsonl(text: str, _context: Context) -> Sink:
    lines = _open_file(text)
    return JsonLines(lines.name, lines)


def open_csv(text: str, context: Context) -> Sink:
    """Raises SinkError for a file that does not begin with the header this run would write."""
    classes = min(context.top_k, len(context.labels))
    header, found = _header(classes), _first_line(os.path.expanduser(text))
    if found not in (b"", header):
        begun = found.count(b",label_")
        advice = f"give --top {begun} or another file" if found == _header(begun) else "name another file"
        raise SinkError(f"{text} holds other columns than this run's with --top {classes}; {advice}")
    lines = _open_file(text)
    if not found:
        lines.write(header)
    return Csv(lines, classes)


class Lines:
    """Lines at the end of a file, each of them whole or not there: no buffer, so what is written is out."""

    def __init__(self, name: str, raw: io.RawIOBase | SupportsWrite[bytes], ours: bool = False) -> None:
        self.name, self._raw, self._ours = name, raw, ours
        try:
            self._descriptor: int | None = raw.fileno()  # type: ignore[union-attr]
        except (AttributeError, io.UnsupportedOperation):  # in memory
            self._descriptor = None

    def write(self, line: bytes) -> None:
        """Raises SinkClosed when nobody reads stdout any more, SinkError when a file takes no more.

        A file without a reader is a FIFO: another reader may come.
        """
        done = 0
        try:
            while done < len(line):
                written = self._raw.write(line[done:])
                if written is None:
                    raise BlockingIOError(errno.EAGAIN, "whoever reads does not keep up")
                done += written
        except OSError as error:
            if isinstance(error, BrokenPipeError) and not self._ours:
                raise SinkClosed(f"{self.name}: nobody reads any more") from error
            self._take_back(done)
            raise SinkError(f"cannot write {self.name}: {error.strerror or error}") from error

    def close(self) -> None:
        if self._ours:
            self._raw.close()  # type: ignore[union-attr]

    def _take_back(self, count: int) -> None:
        """Cut the piece of a line off that still fitted on the disk."""
        if count and self._descriptor is not None and (size := _regular_size(self._descriptor)) is not None:
            os.ftruncate(self._descriptor, size - count)
            os.lseek(self._descriptor, 0, os.SEEK_END)


class JsonLines(Sink):
    def __init__(self, name: str, lines: Lines) -> None:
        self.traits = Traits(name, waits=True)
        self._lines, self._encode = lines, msgspec.json.Encoder().encode

    def write(self, item: Item) -> None:
        self._lines.write(self._encode(item.result) + b"\n")

    def close(self) -> None:
        self._lines.close()


class Csv(Sink):
    """`classes` pairs of label and score in each row."""

    def __init__(self, lines: Lines, classes: int) -> None:
        self.traits = Traits(lines.name, waits=True)
        self._lines, self._classes = lines, classes

    def write(self, item: Item) -> None:
        self._lines.write(_row(self._cells(item.result)))

    def close(self) -> None:
        self._lines.close()

    def _cells(self, r: Result) -> list[object]:
        top = [cell for p in r.top[: self._classes] for cell in (p.label, p.score)]
        return [
            *(r.frame, r.unix_s, r.time_s, r.latency_ms, r.queue_ms, r.infer_ms),
            *(r.region, r.name, int(r.still), ";".join(r.on)),
            *top,
            *[""] * (2 * self._classes - len(top)),
        ]


def _header(classes: int) -> bytes:
    pairs = [name for k in range(1, classes + 1) for name in (f"label_{k}", f"score_{k}")]
    return _row([*COLUMNS, *pairs])


def _row(cells: list[object]) -> bytes:
    """One line, nothing in it that a terminal would obey or UTF-8 cannot hold: names come from files."""
    text = io.StringIO()
    fit = [UNFIT.sub("\N{REPLACEMENT CHARACTER}", each) if isinstance(each, str) else each for each in cells]
    csv.writer(text, lineterminator="\n").writerow(fit)
    return text.getvalue().encode()


def _open_file(text: str) -> Lines:
    path = Path(os.path.expanduser(text))
    if not text:
        raise UsageError("no file is named; give FILE.jsonl or FILE.csv")
    try:
        raw = os.fdopen(_open_now(path), "ab", buffering=0)
    except OSError as error:
        fifo = error.errno == errno.ENXIO and path.is_fifo()
        reason = "a FIFO that nobody reads; start its reader first" if fifo else error.strerror or error
        raise SinkError(f"cannot write {path}: {reason}") from error
    lines = Lines(str(path), raw, ours=True)
    if _torn(path, raw.fileno()):
        lines.write(b"\n")
    return lines


def _open_now(path: Path) -> int:
    """Without waiting for the reader of a FIFO; writes wait for room as ever."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor


def _torn(path: Path, descriptor: int) -> bool:
    """Whether the file ends within a line, as after a power cut: the next one must not be added to that."""
    if not _regular_size(descriptor):
        return False
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


def _first_line(name: str) -> bytes:
    """b'' of a file that is empty, or not there yet."""
    if not os.path.isfile(name):
        return b""
    with open(name, "rb") as file:
        return file.readline(1 << 20)


def _regular_size(descriptor: int) -> int | None:
    """Bytes of a regular file, None of a pipe, a terminal or a device."""
    status = os.fstat(descriptor)
    return status.st_size if stat.S_ISREG(status.st_mode) else None
