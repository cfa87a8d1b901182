from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from edgecv.errors import EdgecvError
from edgecv.files import new_folder, sha256_file, write_text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def ours(folder: Path) -> bool:
    return names(folder) == {"manifest.json"}


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "abc").startswith("ba7816bf8f01cfea")


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "bundle"
    with new_folder(target, ours) as folder:
        (folder / "manifest.json").write_text("1")
        assert not target.exists()
    assert names(target) == {"manifest.json"}
    with pytest.raises(ZeroDivisionError), new_folder(target, ours) as folder:
        (folder / "half").write_text("2")
        _ = 1 / 0
    assert names(target) == {"manifest.json"}
    assert names(target.parent) == {"bundle"}


def test_a_folder_of_ours_is_replaced_and_a_stranger_is_not(tmp_path: Path) -> None:
    mine, photos, empty, file = (tmp_path / name for name in ("mine", "photos", "empty", "file"))
    for folder, content in ((mine, "manifest.json"), (photos, "cat.jpg")):
        folder.mkdir()
        (folder / content).write_text("old")
    empty.mkdir()
    file.write_text("old")
    for target in (mine, empty):
        with new_folder(target, ours) as folder:
            (folder / "manifest.json").write_text("new")
        assert (target / "manifest.json").read_text() == "new"
    for target in (photos, file):
        with pytest.raises(EdgecvError, match="choose another -o"), new_folder(target, ours):
            pass
    assert (photos / "cat.jpg").read_text() == file.read_text() == "old"
    assert names(tmp_path) == {"mine", "photos", "empty", "file"}


def test_a_full_disk_leaves_nothing_and_says_where(tmp_path: Path) -> None:
    with (
        pytest.raises(EdgecvError, match=r"cannot write .*bundle: No space left on device"),
        new_folder(tmp_path / "bundle", ours) as folder,
    ):
        (folder / "half").write_text("x")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert names(tmp_path) == set()


def test_text_is_written_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "é\n")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    with pytest.raises(EdgecvError, match="cannot write"):
        write_text(tmp_path / "nowhere" / "a.txt", "x")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\udcff")
    assert (tmp_path / "a.txt").read_bytes() == "é\n".encode()
    assert names(tmp_path) == {"a.txt"}


def test_what_was_there_comes_back_when_the_swap_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "bundle"
    target.mkdir()
    (target / "manifest.json").write_text("old")
    replace = os.replace

    def fails_the_second_time(source: Path, destination: Path) -> None:
        if Path(destination) == target and Path(source).name != "old":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(source, destination)

    monkeypatch.setattr(os, "replace", fails_the_second_time)
    with pytest.raises(EdgecvError, match="Permission denied"), new_folder(target, ours) as folder:
        (folder / "manifest.json").write_text("new")
    assert (target / "manifest.json").read_text() == "old"
    assert names(tmp_path) == {"bundle"}
