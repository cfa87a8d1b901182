"""Lines in files and on stdout, and the string that names a sink."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sinks_samples import IMPORTABLE, context, event, item, result, settle
from waits import WAIT_S

from edgecv.errors import SinkError, UsageError
from edgecv.runtime.results import Result
from edgecv.runtime.sinks import GRAMMAR, Item, Outlet, SinkClosed, check_distinct, open_sink
from edgecv.runtime.sinks.lines import Lines
from edgecv.runtime.sinks.options import split_options

FULL = Path("/dev/full")
HEADER = "frame,unix_s,time_s,latency_ms,queue_ms,infer_ms,region,name,still,on"


def write(uri: str, *items: Item, **about: object) -> None:
    sink = open_sink(uri, context(**about))  # type: ignore[arg-type]
    for one in items:
        sink.write(one)
    sink.close()


def decoded(path: Path) -> list[Result]:
    return [msgspec.json.decode(line, type=Result) for line in path.read_bytes().splitlines()]


# --- the grammar


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("a.jsonl", "a.jsonl"),
        ("a.NDJSON", "a.NDJSON"),
        ("jsonl:a.txt", "a.txt"),  # any name with the prefix
        ("csv:a", "a"),
        ("./b?c.csv", "b?c.csv"),  # files have no options
        ("shots/", "shots/"),
        ("snapshots:shots?keep=2", "shots/"),
        ("folder", "folder/"),  # it is there
        ("-", "-"),
    ],
)
def test_what_a_string_names(uri: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    sink = open_sink(uri, context())
    assert sink.traits.name == name
    sink.close()


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", GRAMMAR),
        ("result.json", f"'result.json' is not a sink; give {GRAMMAR}"),
        ("s/foo", "'s/foo' is not a sink (a folder ends with /); give"),
        ("jsonl:", "no file is named"),
        ("csv:", "no file is named"),
        ("ftp://user:secret@host/x.csv", "'ftp://user:***@host/x.csv' is not a sink"),
        ("a.csv?keep=1", "is not a sink"),
        ("shots/?kept=1", "?kept= is no option of this sink; there are keep, off"),
        ("shots/?keep=1&keep=2", "?keep= is given twice"),
        ("shots/?keep=0", "?keep=0: give a whole number from 1 on"),
        ("shots/?keep=²", "?keep=²: give a whole number"),
        ("shots/?off=yes", "?off=yes: give 0 or 1"),
        ("video:clip.webm", "a video is named .mp4, .mkv, .avi"),
        ("prometheus:x", "give prometheus:[HOST:]PORT"),
        ("prometheus:70000", "give prometheus:[HOST:]PORT"),
        ("https://", "address is not valid"),
        ("http://user:sec:ret@host:x/", "address is not valid"),
        ("http://user:ge#secret@host/", "percent-encoded: # is %23"),
        ("http://exa mple/", "address is not valid"),
        ("http://exam\nple/", "address is not valid"),  # urlsplit would drop the line end
        ("http:///path", "address is not valid"),
        ("mqtt://host", "give mqtt://[user:password@]HOST[:PORT]/BASE/TOPIC"),
        ("mqtt://host/a/+/b", "+ and # are wildcards"),
        ("mqtt://u:p@host/a/#", "+ and # are wildcards"),  # which is no fragment
        ("mqtt://u:ge#secret@host/a", "percent-encoded: # is %23"),
        ("mqtt://u:ge?secret@host/a", "percent-encoded: # is %23"),
        ("mqtt://ho st/a", "address is not valid"),
        ("mqtt://host:secret/a", "is not valid"),
        ("mqtt://host/a?discovery=#", "?discovery=#"),
        ("mqtt://host/a?results=2", "?results=2: give 0 or 1"),
        ("mqtt://host/a?ca=x.pem", "?ca= is for mqtts://"),
        ("mqtts://host/a?key=x.pem", "?key= needs ?cert="),
        ("mqtts://host/a?qos=2", "?qos= is no option"),
    ],
)
def test_what_cannot_be_a_sink(uri: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_sink(uri, context())
    assert says in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("none/a.jsonl", "cannot write none/a.jsonl: No such file or directory"),
        ("none/a.csv", "cannot write none/a.csv: No such file"),
        ("jsonl:.", "cannot write .: Is a directory"),
        ("none/a.mp4", "cannot write none/a.mp4: none is not there, or not writable"),
        ("none/shots/", "cannot make the folder none/shots"),
        ("file/", "cannot make the folder file: "),
        ("mqtt://u@host/a?password_file=none", "cannot read the password in none: No such file"),
        ("mqtts://host/a?ca=none.pem", "cannot read none.pem: No such file"),
        ("mqtts://host/a?ca=file", "cannot read file: not a certificate or key in PEM form"),
    ],
)
def test_what_cannot_be_written_to_is_known_at_opening(
    uri: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(SinkError) as caught:
        open_sink(uri, context())
    assert says in str(caught.value)


@pytest.mark.parametrize(
    "uris",
    [
        ("-", "-"),
        ("s/a.jsonl", "s/a.jsonl"),
        ("s/a.jsonl", "./s/a.jsonl"),
        ("s/a.jsonl", "-", "jsonl:s/../s/a.jsonl"),
        ("s/a.csv", "jsonl:s/a.csv"),
        ("b.mp4", "video:b.mp4"),
        ("s/", "s"),  # the folder is there
        ("s/shots/", "snapshots:s/shots?keep=3"),
        ("s/a.csv", "link/a.csv"),
        ("~/a.csv", "home/a.csv"),
        ("mqtt://u:secret@host/a", "mqtt://u:secret@host/a"),
    ],
)
def test_one_place_under_two_names(
    uris: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "s").mkdir()
    (tmp_path / "link").symlink_to("s")
    with pytest.raises(UsageError, match="are the same place: give one of them") as caught:
        check_distinct(uris)
    assert "secret" not in str(caught.value)
    assert f"'{uris[0]}' and '{uris[-1]}'".replace("secret", "***") in str(caught.value)


def test_places_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check_distinct(["-", "a.jsonl", "s/a.jsonl", "a.csv", "s/", "prometheus:0", "http://h/a", "http://h/b"])


@given(st.text())
def test_any_options_are_read_or_refused(text: str) -> None:
    try:
        _, found = split_options(text, ("keep", "off"))
    except UsageError:
        return
    assert set(found) <= {"keep", "off"}


# --- JSON lines


def test_json_lines_are_added_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    write(str(path), item(0, event("cat"), on=("cat",)))
    write(str(path), item(1), item(2, region="door"))
    assert decoded(path) == [
        result(0, event("cat"), on=("cat",)),
        result(1),
        result(2, region="door"),
    ]


def test_a_line_is_out_as_soon_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    sink = open_sink(str(path), context())
    sink.write(item(5))
    assert decoded(path) == [result(5)]
    sink.close()


def test_a_line_torn_by_a_power_cut_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(b'{"frame":')
    write(str(path), item(1))
    assert path.read_bytes().startswith(b'{"frame":\n{')


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full, a device of Linux")
def test_a_full_disk_is_counted_and_nothing_more(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    full = Outlet(open_sink(f"jsonl:{FULL}", context()))
    good = Outlet(open_sink(str(tmp_path / "out.jsonl"), context()))
    for frame in range(20):
        for front in (full, good):
            front.offer(item(frame), True)
    for front in (full, good):
        front.close()
    assert (full.counts().failed, good.counts().delivered) == (20, 20)
    assert caplog.messages == ["/dev/full: lost an item: cannot write /dev/full: No space left on device"]


def test_the_piece_that_still_fitted_on_the_disk_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"

    class NearlyFull:
        """Takes 10 bytes, and no more."""

        def __init__(self) -> None:
            self.file, self.room = path.open("ab", buffering=0), 10

        def write(self, data: bytes) -> int:
            if not self.room:
                raise OSError(28, "No space left on device")
            written, self.room = self.file.write(data[: self.room]), 0
            return written or 0

        def fileno(self) -> int:
            return self.file.fileno()

        def close(self) -> None:
            self.file.close()

    path.write_bytes(b"one\n")
    lines = Lines("nearly", NearlyFull(), ours=True)
    with pytest.raises(SinkError, match="cannot write nearly: No space left"):
        lines.write(b"a line of more than ten bytes\n")
    lines.close()
    assert path.read_bytes() == b"one\n"


def test_stdout_whose_reader_leaves_ends_cleanly() -> None:
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from sinks_samples import context, item\n"
        "from edgecv.runtime.sinks import Outlet, open_sink\n"
        "front = Outlet(open_sink('-', context()))\n"
        "offered = 0\n"
        "while not front.closed:\n"
        "    front.offer(item(offered), True)\n"
        "    offered += 1\n"
        "front.close()\n"
        "found = front.counts()\n"
        "assert found.delivered + found.dropped == offered and not found.failed, found\n"
        "print('ended', file=sys.stderr)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *IMPORTABLE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ,
    ) as run:
        assert run.stdout
        assert msgspec.json.decode(run.stdout.readline(), type=Result).frame == 0
        run.stdout.close()
        assert run.stderr
        assert run.stderr.read() == b"ended\n"
        assert run.wait(WAIT_S) == 0


def test_stdout_keeps_the_order_of_what_was_printed_before(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    print("before")
    write("-", item(3))
    lines = capfdbinary.readouterr().out.splitlines()
    assert lines[0] == b"before"
    assert msgspec.json.decode(lines[1], type=Result) == result(3)


def test_a_pipe_that_nobody_reads_is_closed_for_good() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as raw, pytest.raises(SinkClosed):
        Lines("pipe", raw).write(b"x\n")


def test_a_fifo_that_nobody_reads_is_an_error_at_opening(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "out.jsonl")
    with pytest.raises(SinkError, match="a FIFO that nobody reads; start its reader first"):
        open_sink(str(tmp_path / "out.jsonl"), context())


@pytest.mark.parametrize("suffix", ["jsonl", "csv"])
def test_a_fifo_loses_items_while_nobody_reads_and_goes_on(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"out.{suffix}"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    front = Outlet(open_sink(str(path), context()))
    os.close(reading)
    front.offer(item(0), True)
    settle(front)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    front.offer(item(1), True)
    front.close()
    assert (front.counts().failed, front.counts().delivered, front.closed) == (1, 1, False)
    with os.fdopen(reading, "rb") as file:
        assert len(file.readlines()) == 1 + (suffix == "csv")  # whose header waited in the pipe


def test_a_slow_reader_of_a_fifo_gets_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    os.mkfifo(path)
    reading = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reading, True)
    front = Outlet(open_sink(str(path), context()))
    for frame in range(900):  # several times what a pipe holds
        front.offer(item(frame), True)
    front.finish()
    with os.fdopen(reading, "rb") as file:
        found = [msgspec.json.decode(line, type=Result).frame for line in file]
    front.close()
    assert found == list(range(900))


def test_a_buffer_of_lines_is_emptied_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    front = Outlet(open_sink(str(path), context()))
    for frame in range(3000):  # more than the buffer holds
        front.offer(item(frame), True)
    front.close()
    assert [one.frame for one in decoded(path)] == list(range(3000))
    assert front.counts().delivered == 3000


# --- CSV


def test_a_row_a_result(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(str(path), item(0, on=("cat", "dog")), item(1, region='the "door"'), top_k=3)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    pairs = "label_1,score_1,label_2,score_2,label_3,score_3"
    assert ",".join(rows[0]) == f"{HEADER},{pairs}"
    assert rows[0]["on"] == "cat;dog"
    assert rows[0]["label_3"] == "crane, bird"
    assert float(rows[0]["score_1"]) == 0.9
    assert float(rows[1]["unix_s"]) == result(1).unix_s
    assert (rows[1]["frame"], rows[1]["region"], rows[1]["still"]) == ("1", 'the "door"', "0")


def test_the_header_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    for frame in range(2):
        write(str(path), item(frame), top_k=1)
    assert [line.partition(",")[0] for line in path.read_text().splitlines()] == ["frame", "0", "1"]


@pytest.mark.parametrize(
    ("found", "advice"),
    [
        ("a,b,c\n", "name another file"),  # somebody's table
        (f"{HEADER},label_1,score_1,label_2,score_2\n", "give --top 2 or another file"),
        (HEADER, "name another file"),  # torn
    ],
)
def test_other_columns_are_refused_and_kept(found: str, advice: str, tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text(found)
    with pytest.raises(SinkError, match=f"holds other columns than this run's with --top 1; {advice}"):
        open_sink(str(path), context(top_k=1))
    assert path.read_text() == found


def test_fewer_classes_than_asked_for_are_all_there_are(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(str(path), item(0), labels=("cat", "dog"), top_k=5)
    assert path.read_text().splitlines()[0].endswith(",label_2,score_2")


def test_a_name_says_nothing_to_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    write(str(path), Item(result(0, region="a\x9bb", name="\x1b[31m\n.jpg\udcff")))
    row = path.read_text().splitlines()[1]
    assert ",a\ufffdb,\ufffd[31m\ufffd.jpg\ufffd," in row
