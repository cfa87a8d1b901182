"""edgecv's own wheel, made of this installation: a board gets the very code that is here."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import edgecv
from edgecv.errors import EdgecvError
from edgecv.files import writing

_WHEEL = b"Wheel-Version: 1.0\nGenerator: edgecv\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_TIME = (1980, 1, 1, 0, 0, 0)  # the oldest a zip can hold: the same code is the same file


def write_wheel(folder: Path) -> Path:
    """Write `edgecv-VERSION-py3-none-any.whl` into a folder; no network and no build tool is needed.

    It is the same to the byte for the same code, be that installed, or a checkout installed with `-e`.
    Raises EdgecvError when edgecv is imported without being installed, or the disk refuses.
    """
    installed = _installed()
    name = f"edgecv-{installed.version}"
    files = dict(_package_files()) | dict(_metadata_files(installed, f"{name}.dist-info"))
    path = folder / f"{name}-py3-none-any.whl"
    with writing(path), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in sorted(files.items()):
            _add(wheel, member, content)
        _add(wheel, f"{name}.dist-info/RECORD", _record(files, f"{name}.dist-info/RECORD"))
    return path


def requirements() -> tuple[str, ...]:
    """What this edgecv needs, extras with their markers, as its metadata says."""
    return tuple(sorted(_installed().requires or ()))


def _installed() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution("edgecv")
    except importlib.metadata.PackageNotFoundError:
        raise EdgecvError(
            f"edgecv is imported from {Path(edgecv.__file__).parent.parent} but not installed; install it"
        ) from None


def _package_files() -> Iterator[tuple[str, bytes]]:
    root = Path(edgecv.__file__).parent
    for path in root.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield f"edgecv/{path.relative_to(root).as_posix()}", path.read_bytes()


def _metadata_files(installed: importlib.metadata.Distribution, info: str) -> Iterator[tuple[str, bytes]]:
    yield f"{info}/WHEEL", _WHEEL
    for file in installed.files or ():
        inside = file.parts[1:]
        kept = inside in (("METADATA",), ("entry_points.txt",)) or inside[:1] == ("licenses",)
        if kept and file.parts[0].endswith(".dist-info"):
            yield f"{info}/{'/'.join(inside)}", Path(str(file.locate())).read_bytes()


def _record(files: dict[str, bytes], own: str) -> bytes:
    """The wheel's table of hashes, its own row without one."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for name, content in sorted(files.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow((name, f"sha256={digest}", len(content)))
    rows.writerow((own, "", ""))
    return text.getvalue().encode()


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    member = zipfile.ZipInfo(name, _TIME)
    member.compress_type, member.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
    archive.writestr(member, content)
