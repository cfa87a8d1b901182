"""Python, its C library, the engines and OpenCV: is what is installed made for this machine?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from edgecv.devices.cpu import ARM
from edgecv.devices.health import Finding, ok, problem, unknown, warning
from edgecv.doctor.case import Case
from edgecv.doctor.child import Answer
from edgecv.doctor.machine import Python
from edgecv.runtime.engines import ENGINES, Entry

SUPPORTED = ((3, 10), (3, 13))
TFLITE_RUNTIME_UP_TO = (3, 11)
OLD_NUMPY = 'pip install "numpy<2" "opencv-python-headless<4.11"'
ONE_OPENCV = "pip install --force-reinstall --no-deps opencv-python-headless"
OPENCVS = (
    *("opencv-python", "opencv-python-headless"),
    *("opencv-contrib-python", "opencv-contrib-python-headless"),
)


class Wheel(NamedTuple):
    """The oldest glibc that a package's newest wheel runs with, by architecture."""

    package: str
    glibc: dict[str, tuple[int, int]]


# The manylinux tags on PyPI of ai-edge-litert 2.3.0, onnxruntime 1.32.0 and openvino 2026.4.1.
WHEELS = (
    Wheel("ai-edge-litert", {"x86_64": (2, 27), "aarch64": (2, 27)}),
    Wheel("onnxruntime", {"x86_64": (2, 28), "aarch64": (2, 28)}),
    Wheel("openvino", {"x86_64": (2, 28), "aarch64": (2, 35)}),
)
BINARY = (*(wheel.package for wheel in WHEELS), "tflite-runtime", "numpy", "msgspec", *OPENCVS)


def python(case: Case) -> Iterator[Finding]:
    """Its version and size against what there are wheels for."""
    from edgecv import __version__

    here = case.machine.python
    version = ".".join(map(str, here.version))
    what = f"{version}, {here.bits}-bit, {here.machine}; edgecv {__version__}"
    oldest, newest = (".".join(map(str, edge)) for edge in SUPPORTED)
    if not SUPPORTED[0] <= here.version[:2] <= SUPPORTED[1]:
        remedy = f"use Python {oldest} to {newest}: `uv venv --python {newest}`, or the system's own"
        yield warning(
            "Python", f"{what}: tested with {oldest} to {newest}, engines may have no wheels", remedy
        )
    elif here.bits == 32:
        yield _python_32(here, what)
    else:
        yield ok("Python", what)


def _python_32(here: Python, what: str) -> Finding:
    """32-bit Arm has tflite-runtime and nothing else; on a 64-bit kernel pip is even told another machine."""
    if here.version[:2] > TFLITE_RUNTIME_UP_TO:
        remedy = "install the 64-bit system, or take Python 3.11 for tflite-runtime"
        return warning("Python", f"{what}: no engine has a wheel for it", remedy)
    if here.machine in ("aarch64", "x86_64"):
        remedy = f"install the 64-bit system; or `pip install tflite-runtime` and `{OLD_NUMPY}`"
        return warning(
            "Python", f"{what}: 32-bit programs on a 64-bit kernel, pip looks for the wrong wheels", remedy
        )
    remedy = "install the 64-bit system where the board can: its engines are several times faster"
    return warning("Python", f"{what}: tflite-runtime is the only engine", remedy)


def c_library(case: Case) -> Iterator[Finding]:
    """glibc against the wheels that are installed, and those that could be."""
    here = case.machine.python
    own = _version(here.glibc)
    if own is None:
        if any((case.machine.root / "lib").glob("ld-musl-*")):
            remedy = "use a system with glibc: Debian, Ubuntu, the image python:3.11-slim instead of alpine"
            yield warning("C library", "musl: no engine has a wheel for it", remedy)
        else:
            yield unknown("C library", "which one this is cannot be read")
        return
    too_new = []
    for name in BINARY:
        found = case.machine.package(name)
        needs = found and _glibc_of(found.tags)
        if found and needs and needs > own:
            too_new.append(f"{name} {found.version} (made for {_dotted(needs)})")
    if too_new:
        remedy = "install them here, with this machine's pip; environments are not copied between systems"
        yield warning(
            "C library",
            f"glibc {here.glibc} is older than what is installed needs: {', '.join(too_new)}",
            remedy,
        )
        return
    newer = [
        f"{wheel.package} ({_dotted(needs)})"
        for wheel in WHEELS
        if (needs := wheel.glibc.get(here.machine)) and needs > own
    ]
    note = (
        f"; older than the newest wheels of {', '.join(newer)}, of which pip takes an older one"
        if newer
        else ""
    )
    yield ok("C library", f"glibc {here.glibc}{note}")


def packages(case: Case) -> Iterator[Finding]:
    """Pairs of packages that do not go together."""
    look = case.machine.package
    there = [name for name in OPENCVS if look(name)]
    if len(there) > 1:
        yield warning(
            "packages",
            f"{' and '.join(there)} write into the same folder, cv2: which one is used is chance",
            f"`pip uninstall -y {' '.join(there)} && {ONE_OPENCV}`",
        )
    runtime, numpy = look("tflite-runtime"), look("numpy")
    if runtime and numpy and (_version(numpy.version) or (0, 0)) >= (2, 0):
        what = f"tflite-runtime {runtime.version} works with numpy below 2, and numpy is {numpy.version}"
        newer = case.machine.python.bits == 64
        yield warning(
            "packages", what, '`pip install "edgecv[tflite]"`, its successor' if newer else f"`{OLD_NUMPY}`"
        )
    machine = case.machine.python.machine
    alien = [name for name in BINARY if (found := look(name)) and _alien(found.tags, machine)]
    if alien:
        remedy = "make the environment anew on this machine"
        yield warning("packages", f"made for another machine than {machine}: {', '.join(alien)}", remedy)


def engines(case: Case) -> Iterator[Finding]:
    """Each engine that is installed, really imported."""
    for entry, answer in case.engines.items():
        if not answer.error:
            yield ok("engine", str(answer.value))
            continue
        state = problem if entry is case.deciding else warning
        yield state(
            "engine",
            f"{entry.name} is installed, and cannot be loaded: {answer.error}",
            _engine_remedy(entry, answer),
        )
    if not case.engines:
        yield problem("engine", "none is installed", _install_one(case))


def opencv(case: Case) -> Iterator[Finding]:
    """The OpenCV that is imported, and its GStreamer, which no wheel has."""
    answer = case.opencv
    if answer.error:
        yield problem("OpenCV", f"cannot be imported: {answer.error}", _opencv_remedy(answer.error))
        return
    version, gstreamer = answer.value
    if gstreamer:
        yield ok("OpenCV", f"{version}, with GStreamer")
    elif re.match(r"csi|gst:", case.uri):
        yield problem(
            "OpenCV",
            f"{version} has no GStreamer, as none from PyPI has, and {case.uri.partition(':')[0]} needs it",
            "`sudo apt install python3-opencv` (JetPack has its own), an environment made with "
            "--system-site-packages, and `pip uninstall opencv-python-headless` there",
        )
    else:
        yield ok("OpenCV", f"{version}, without GStreamer, which only csi and gst: sources need")


def _engine_remedy(entry: Entry, answer: Answer) -> str:
    again = f'`pip install --force-reinstall "edgecv[{entry.install}]"`'
    if answer.died == "SIGILL":
        other = next(other.install for other in ENGINES if other.install not in ("", entry.install))
        return f'take an older version of it, or another engine: `pip install "edgecv[{other}]"`'
    if _numpy_clash(answer.error):
        newer = f"`pip install --upgrade numpy`, then {again}"
        return f"`{OLD_NUMPY}`" if entry.name == "tflite-runtime" else newer
    if "GLIBC" in answer.error:
        return "a newer system (Debian 12, Ubuntu 22.04), or an older version of the engine"
    return f"{again}, or remove it and run another (--format)"


def _install_one(case: Case) -> str:
    here = case.machine.python
    if here.bits == 32 and here.machine in ARM:
        if here.version[:2] > TFLITE_RUNTIME_UP_TO:
            return "no engine has a wheel for this Python: install the 64-bit system, or take Python 3.11"
        return f"`pip install tflite-runtime` and `{OLD_NUMPY}`"
    return f'`pip install "edgecv[{case.selected.profile.inference.kinds[0].format.value}]"`'


def _opencv_remedy(error: str) -> str:
    if "libGL" in error or "libgthread" in error or "libglib" in error:
        one = f"`pip uninstall -y opencv-python opencv-contrib-python && {ONE_OPENCV}`"
        return f"{one}, or `sudo apt install libgl1 libglib2.0-0`"
    if _numpy_clash(error):
        return '`pip install --upgrade "numpy>=2" opencv-python-headless`'
    return f"`{ONE_OPENCV}`"


def _numpy_clash(error: str) -> bool:
    return bool(re.search(r"numpy\.dtype size changed|multiarray|_ARRAY_API|NumPy 1\.x", error))


def _glibc_of(tags: tuple[str, ...]) -> tuple[int, int] | None:
    """The oldest glibc that any of a wheel's tags promises, None where none says."""
    legacy = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
    versions = [
        legacy.get(found[1]) or (int(found[2]), int(found[3]))
        for tag in tags
        if (found := re.search(r"(manylinux(?:[0-9]{1,4}|_([0-9]+)_([0-9]+)))_", tag))
    ]
    return min(versions, default=None)


def _alien(tags: tuple[str, ...], machine: str) -> bool:
    platforms = [tag.rpartition("-")[2] for tag in tags if "linux" in tag]
    family = r"arm(v[0-9]+l)?|aarch64" if machine in ARM else re.escape(machine)
    return bool(platforms) and not any(re.search(rf"_({family})\b", name) for name in platforms)


def _version(text: str) -> tuple[int, int] | None:
    found = re.match(r"([0-9]+)\.([0-9]+)", text)
    return (int(found[1]), int(found[2])) if found else None


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
