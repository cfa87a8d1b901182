"""A `uv` that resolves to wheels made here: two packages for every engine but those it has nothing for."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

SCRIPT = """\
#!/bin/sh
[ "$1" != --version ] || exit 0
read -r wanted || true
printf '%s\\n' "$*" >>"{folder}/calls"
case "$wanted" in *"["*{without}*"]"*)
    echo "  No solution found when resolving dependencies:" >&2
    echo "  ╰─▶ Because {without} has no wheels with a matching platform tag, nothing can be used." >&2
    exit 1
esac
cat "{folder}/pylock.toml"
"""
PACKAGE = """
[[packages]]
name = "{name}"
version = "1.0"
wheels = [{wheels}]
"""


def fake_uv(folder: Path, without: str = "nothing") -> list[Path]:
    """Put `uv` and its wheels into a new folder; the wheels it names, one for each of two packages."""
    folder.mkdir()
    chosen, packages = [], ['lock-version = "1.0"\ncreated-by = "uv"\n']
    for name, names in {
        "fast": ("fast-1.0-py3-none-any.whl", "fast-1.0-cp311-cp311-manylinux_2_28_aarch64.whl"),
        "pure": ("pure-1.0-py3-none-any.whl",),
    }.items():
        wheels = [_wheel(folder, wheel) for wheel in names]
        chosen.append(wheels[-1])
        rows = (
            f'{{ url = "{wheel.as_uri()}", hashes = {{ sha256 = "{_sha256(wheel)}" }} }}' for wheel in wheels
        )
        packages.append(PACKAGE.format(name=name, wheels=", ".join(rows)))
    (folder / "pylock.toml").write_text("".join(packages))
    (folder / "uv").write_text(SCRIPT.format(folder=folder, without=without))
    (folder / "uv").chmod(0o755)
    return chosen


def _wheel(folder: Path, name: str) -> Path:
    package, version = name.split("-")[:2]
    info = f"{package}-{version}.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        tag = name.removesuffix(".whl").partition(f"{version}-")[2]
        wheel.writestr(f"{package}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder / name


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
