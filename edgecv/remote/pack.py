"""`edgecv pack`: a bundle and all that a board needs to run it, in one archive that needs no network."""

from __future__ import annotations

import gzip
import hashlib
import os
import tarfile
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import IO, NamedTuple

from edgecv.bundle import Bundle
from edgecv.devices.profile import Profile
from edgecv.errors import EdgecvError
from edgecv.files import scratch_folder, sha256_file, write_text, writing
from edgecv.remote.cargo import bundle_files, engines_of
from edgecv.remote.own_wheel import write_wheel
from edgecv.remote.systems import System, target
from edgecv.remote.wheelhouse import Target, gather

SUMS = "SHA256SUMS"

Progress = Callable[[str, float], None]


class Packed(NamedTuple):
    """path: the archive, which unpacks to `folder`. target: whose wheels it has. notes: for a user.

    system: what is assumed on the board.
    """

    path: Path
    folder: str
    bytes: int
    target: Target
    system: System
    engines: tuple[str, ...]
    notes: tuple[str, ...]


def pack(
    bundle: Bundle,
    profile: Profile,
    python: str | None,
    glibc: str | None,
    engines: Sequence[str] | None,
    out: Path | None,
    progress: Progress,
) -> Packed:
    """Write the archive (None: ./edgecv-BUNDLE-DEVICE-pyVERSION.tar.gz), and read it back to check it.

    python, glibc: as "3.11", None for those of the board's usual system. engines: extras, all of which must
    have wheels there; None: those of the bundle's formats that have. The same wheels, bundle and code make
    the same archive to the byte. Raises UsageError when there are no such wheels, EdgecvError when something
    cannot be got or written; a file that was at `out` is then still there.
    """
    aim, system = target(profile, python, glibc)
    name = f"edgecv-{bundle.manifest.name}-{profile.name}-py{''.join(map(str, aim.python))}"
    out = Path(os.path.abspath(out or f"{name}.tar.gz"))
    asked = engines or engines_of(bundle)
    with scratch_folder(out) as scratch:
        own = write_wheel(scratch)
        house = gather(own, asked, aim, engines is not None, lambda what, share: progress(what, 0.6 * share))
        files = {f"wheels/{path.name}": path for path in (own, *house.files)}
        where = f"bundle/{bundle.manifest.name}"
        files |= {f"{where}/{path}": copy.source for path, copy in bundle_files(bundle)}
        files |= _written(scratch, bundle, aim, system, house.engines)
        progress("writing the archive", 0.6)
        sums = {path: sha256_file(source) for path, source in sorted(files.items())}
        write_text(scratch / SUMS, "".join(f"{digest}  {path}\n" for path, digest in sums.items()))
        archive = scratch / "archive"
        with writing(out):
            _write(archive, name, files | {SUMS: scratch / SUMS})
            progress("checking the archive", 0.9)
            _check(archive, name, sums)
            os.replace(archive, out)
    return Packed(out, name, out.stat().st_size, aim, system, house.engines, house.notes)


def _written(
    scratch: Path, bundle: Bundle, aim: Target, system: System, engines: tuple[str, ...]
) -> dict[str, Path]:
    """The archive's own files: what to do, and what install.sh has to know."""
    values = {
        "python": aim.python_number,
        "machine": aim.machine,
        "glibc": aim.glibc_number,
        "bundle": bundle.manifest.name,
    }
    texts = {
        "install.sh": (resources.files("edgecv.remote") / "install.sh").read_text(encoding="utf-8"),
        "settings.sh": "".join(f"{name}='{value}'\n" for name, value in values.items()),
        "README.txt": _README.format(title=system.title, target=aim, engines=", ".join(engines), **values),
    }
    for name, text in texts.items():
        write_text(scratch / name, text)
    return {name: scratch / name for name in texts}


_README = """\
edgecv with the bundle {bundle}, for {target}
(as on {title}, and newer systems with that Python). No network is needed.

    sh install.sh

checks every file against SHA256SUMS, installs the wheels into the folder env beside this file, and says what
to type next. PYTHON=/path/to/python{python} sh install.sh uses that Python. Engines: {engines}.
Deleting this folder removes everything.
"""


def _write(archive: Path, top: str, files: dict[str, Path]) -> None:
    """A .tar.gz whose bytes follow from the files' alone: sorted, no times, no owners."""
    # Wheels are compressed already, and a model's weights hardly can be.
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for path, source in sorted(files.items()):
            member = tarfile.TarInfo(f"{top}/{path}")
            member.size = source.stat().st_size
            member.mode = 0o755 if path.endswith("install.sh") else 0o644
            with source.open("rb") as file:
                tar.addfile(member, file)


def _check(archive: Path, top: str, sums: dict[str, str]) -> None:
    """Read the archive back; EdgecvError when it does not hold what was put in."""
    with tarfile.open(archive) as tar:
        held = {member.name.removeprefix(f"{top}/"): _sha256(tar.extractfile(member)) for member in tar}
    held.pop(SUMS, None)
    if held != sums:
        wrong = sorted(path for path in held.keys() | sums.keys() if held.get(path) != sums.get(path))
        raise EdgecvError(f"the archive was not written as it should be ({wrong[0]}); is the disk sound?")


def _sha256(file: IO[bytes] | None) -> str:
    digest = hashlib.sha256()
    while block := file.read(1 << 20) if file else b"":
        digest.update(block)
    return digest.hexdigest()
