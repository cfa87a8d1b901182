from __future__ import annotations

from pathlib import Path

import pytest
from board_server import BoardServer
from fake_board import FAILS, NEVER_ENDS, REPORT, bench_words, fake_python, left_in, pip_calls

from edgecv import __version__
from edgecv.bundle import Bundle
from edgecv.errors import DataError, EdgecvError, UsageError
from edgecv.remote.bench import Away, bench_at, clean
from edgecv.remote.cargo import Wanted, data_files


def measured(wanted: Wanted, said: list[str] | None = None) -> Away:
    shares: list[float] = []
    away = bench_at(
        "board", wanted, lambda _, share: shares.append(share), [].append if said is None else said.append
    )
    assert shares == sorted(shares)
    return away


def test_the_report_comes_back_and_only_the_cache_stays(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board)
    before = left_in(board.home)
    said: list[str] = []
    words = ["--mode", "full", "a b", "'\"$(reboot)`;\\", "ü", "-"]
    away = measured(Wanted(bundle, words), said)
    assert away.report == REPORT
    assert (away.where, away.cache, away.notes) == ("board", str(board.cache), ())
    assert said == ["a note"]
    folder = f"{board.cache}/bundles/tiny-"
    got = bench_words(board)
    assert got[:3] == ["-m", "edgecv", "bench"]
    assert got[3].startswith(folder)
    assert got[4:-2] == words
    assert Bundle.open(got[3]).manifest == bundle.manifest
    assert left_in(board.cache) == ["bundles", "environments", "lock", "parts"]
    assert left_in(board.home) == sorted([*before, ".cache", "pip.log", "words.json"])
    assert board.sessions() == []

    assert len(pip_calls(board)) == 1
    assert "--only-binary :all:" in pip_calls(board)[0]
    assert pip_calls(board)[0].endswith(f"edgecv-{__version__}-py3-none-any.whl[onnx,tflite,openvino]")
    measured(Wanted(bundle))
    assert len(pip_calls(board)) == 1  # the second time nothing is installed
    ready = next((board.cache / "environments").glob("*/edgecv.json"))
    ready.write_text(ready.read_text().replace('"sha256": "', '"sha256": "another'))
    measured(Wanted(bundle))
    assert "--no-deps" in pip_calls(board)[1]  # other code, the same requirements
    assert "[onnx" not in pip_calls(board)[1]

    assert clean("board") == (str(board.cache), 0)
    assert not board.cache.exists()


@pytest.mark.slow
def test_an_engine_without_wheels_there_is_left_out_and_said(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board, no_wheels="openvino")
    away = measured(Wanted(bundle))
    assert away.notes == ("openvino could not be installed there: ERROR: No matching distribution found",)
    assert measured(Wanted(bundle)).notes == away.notes  # and again, when nothing is installed


@pytest.mark.slow
def test_an_engine_that_was_asked_for_is_not_left_out(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board, no_wheels="openvino")
    with pytest.raises(EdgecvError, match=r"board: installing edgecv\[onnx,openvino\]: ERROR: No matching"):
        measured(Wanted(bundle, engines=("onnx", "openvino")))


def test_data_and_files_are_copied_once(board: BoardServer, bundle: Bundle, tmp_path: Path) -> None:
    fake_python(board)
    pictures = tmp_path / "photos"
    (pictures / "in").mkdir(parents=True)
    (pictures / "labels.csv").write_text("file,label\nin/a.jpg,1\ngone.jpg,2\n")
    (pictures / "in/a.jpg").write_bytes(b"a picture")
    (pictures / "private.txt").write_text("not a picture of the list")
    profile = tmp_path / "my.toml"
    profile.write_text("name = 'my'")
    measured(Wanted(bundle, ["--device", profile], data=pictures))
    got = bench_words(board)
    assert Path(got[got.index("--device") + 1]).read_text() == "name = 'my'"
    folder = Path(got[got.index("--data") + 1])
    assert folder.name == "photos"  # as reports name it
    assert left_in(folder) == ["in", "labels.csv"]
    assert (folder / "in/a.jpg").read_bytes() == b"a picture"


@pytest.mark.slow
def test_a_bench_that_fails_there_says_why_in_one_line(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board, bench=FAILS)
    with pytest.raises(EdgecvError, match="^board: the bench there ended with 2: no such profile$"):
        measured(Wanted(bundle))
    assert "run" not in left_in(board.cache)


def test_ctrl_c_here_stops_it_there(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board, bench=NEVER_ENDS)

    def line(text: str) -> None:
        if text == "deaf":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bench_at("board", Wanted(bundle), lambda *_: None, line)
    assert board.sessions() == []
    assert "run" not in left_in(board.cache)


@pytest.mark.slow
def test_a_broken_connection_stops_it_there(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board, bench=NEVER_ENDS)

    def line(text: str) -> None:
        if text == "deaf":
            board.break_connections()

    with pytest.raises(EdgecvError, match="the connection was lost"):
        bench_at("board", Wanted(bundle), lambda *_: None, line)
    fake_python(board)
    assert measured(Wanted(bundle)).report == REPORT  # it waits until the first has ended
    assert board.sessions() == []


@pytest.mark.slow
def test_a_full_board_is_said_before_anything_is_copied(board: BoardServer, bundle: Bundle) -> None:
    fake_python(board)
    board.script("df", "echo; echo disk 100000 90000 51200 1% /")
    with pytest.raises(EdgecvError, match="board: 50 MiB are free below .*cache.*about 7.. are needed"):
        measured(Wanted(bundle))
    assert left_in(board.cache) == ["lock"]


def test_a_profile_that_is_not_there_is_said_before_the_board_is_asked(bundle: Bundle) -> None:
    with pytest.raises(UsageError, match=r"my\.toml: there is no such file"):
        bench_at("board", Wanted(bundle, ["--device", Path("my.toml")]), lambda *_: None, lambda _: None)


def test_pictures_outside_their_folder_are_refused(tmp_path: Path) -> None:
    inside = tmp_path / "photos"
    inside.mkdir()
    (inside / "labels.csv").write_text("file,label\n../a.jpg,1\n")
    with pytest.raises(UsageError, match="outside of .*photos, and only that folder is copied"):
        data_files(inside)
    with pytest.raises(DataError, match="neither a folder nor"):
        data_files(tmp_path / "nowhere")
