"""Cameras: which there are, who may use them, and whether the source of a run gives frames.

Not run on hardware: tested on trees of files as the boards have them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgecv.devices import Family
from edgecv.devices.health import Finding, ok, problem, unknown, warning
from edgecv.devices.system import number, printable, text
from edgecv.doctor.case import Case
from edgecv.doctor.child import SOURCE_TIMEOUT_S
from edgecv.doctor.machine import Machine
from edgecv.doctor.software import OLD_NUMPY
from edgecv.errors import EdgecvError
from edgecv.photos import natural_order
from edgecv.runtime.sources import masked_uri

# Codecs, scalers and image processors of the boards have nodes of their own, which give no camera's pictures.
_NO_CAMERA = re.compile(
    # "isp" and "jpeg" not as in "Display" and "MJPEG", which cameras are called
    r"codec|(?<![a-z])((rk|p)?isp|jpeg)|hevc|rpivid|scaler|encoder|decoder|m2m|vdec|venc",
    re.IGNORECASE,
)
_RIBBON = re.compile(r"unicam|rp1-cfe|vi-output|tegra-video", re.IGNORECASE)  # raw pictures of a CSI sensor
_SENSOR = re.compile(
    r"\b(?!dw9)([a-z]+[0-9]+[a-z0-9]*) [0-9]+-[0-9a-f]{4}"
)  # "imx708 10-001a"; dw9807 moves lenses
_SYSTEM_PICAMERA2 = "usr/lib/python3/dist-packages/picamera2"


class Node(NamedTuple):
    """A /dev/videoN that takes pictures. ribbon: raw ones of a CSI sensor, which OpenCV cannot use."""

    path: Path  # as the user writes it
    file: Path  # below root
    name: str
    ribbon: bool


def nodes(root: Path) -> list[Node]:
    """Those that capture: a USB camera's further nodes carry metadata, and have an index of 1 and more."""
    found = []
    for file in natural_order((root / "dev").glob("video[0-9]*")):
        folder = root / "sys/class/video4linux" / file.name
        name = printable(text(folder / "name"))
        if not number(folder / "index") and not _NO_CAMERA.search(name):
            found.append(Node(Path("/dev") / file.name, file, name or "?", bool(_RIBBON.search(name))))
        elif _RIBBON.search(name):
            found.append(Node(Path("/dev") / file.name, file, name, True))
    return found


def cameras(case: Case) -> Iterator[Finding]:
    """What is plugged in, whether this user may use it, and who else does."""
    found = [node for node in nodes(case.machine.root) if not node.ribbon]
    sensors = _sensors(case.machine.root)
    shown = [f"{node.path} ({node.name})" for node in found] + [f"ribbon camera {name}" for name in sensors]
    if shown:
        yield ok("cameras", ", ".join(shown))
    else:
        yield unknown("cameras", "none was found here; network streams and files need none")
    closed = [node for node in nodes(case.machine.root) if not case.machine.may_use(node.file)]
    wanted = _wanted(case)
    if closed:
        state = problem if any(node.path == wanted for node in closed) else warning
        paths = ", ".join(str(node.path) for node in closed)
        yield state(
            "permission", f"{case.machine.user.name} may not use {paths}", _group_remedy(case.machine)
        )
    for node in found:
        if users := _users(case.machine.root, node.path):
            remedy = (
                "stop it, unless it only waits (PipeWire does); `edgecv service status` shows edgecv's own"
            )
            yield warning("in use", f"{node.path} is held open by {', '.join(users)}", remedy)


def picamera2(case: Case) -> Iterator[Finding]:
    """The way to a Raspberry Pi's ribbon camera; nothing where there is none."""
    root, wanted = case.machine.root, case.uri.startswith("picamera2")
    pi = case.selected.detected.profile
    if not wanted and not (pi and pi.family is Family.RPI and _sensors(root)):
        return
    answer = case.machine.ask("picamera2")
    state = problem if wanted else warning
    if not answer.error:
        if answer.value:
            yield ok("picamera2", f"finds {answer.value} camera{'s' * (answer.value > 1)}")
            return
        remedy = "check the ribbon cable; `rpicam-hello --list-cameras` (`sudo apt install rpicam-apps`)"
        yield state("picamera2", "works, and libcamera finds no camera", remedy)
    elif "numpy" in answer.error:
        what = f"the system's does not go with this numpy: {answer.error}"
        yield state("picamera2", what, f"`{OLD_NUMPY}`")
    elif not (root / _SYSTEM_PICAMERA2).is_dir():
        remedy = "`sudo apt install python3-picamera2 rpicam-apps`; not by pip"
        yield state("picamera2", f"not installed: {answer.error}", remedy)
    elif "No module named" in answer.error:
        what = f"installed for the system's Python, and not seen from {case.machine.python.prefix}"
        remedy = "`/usr/bin/python3 -m venv --system-site-packages DIR`, and install edgecv in it"
        yield state("picamera2", what, remedy)
    else:
        remedy = "`sudo apt install --reinstall python3-picamera2 python3-libcamera`"
        yield state("picamera2", answer.error, remedy)


def source(case: Case) -> Iterator[Finding]:
    """Whether the run's source can be opened: tried when it was named, else seen from outside."""
    if case.source is not None:
        yield _tried(case, case.source)
    elif (path := _wanted(case)) is not None:
        yield _default_node(case, path)
    else:
        yield unknown(
            "source",
            f"{case.uri} is this profile's; not tried",
            f"`edgecv doctor --source {case.uri}` tries it",
        )


def _tried(case: Case, uri: str) -> Finding:
    shown = masked_uri(uri)
    if uri.startswith("-"):
        return unknown("source", "standard input is not tried")
    bundle = case.bundle
    input_hw = None if isinstance(bundle, EdgecvError) else bundle.manifest.preprocess.size_hw
    answer = case.machine.ask("frame", uri, input_hw, timeout_s=SOURCE_TIMEOUT_S)
    if answer.error:
        what, _, remedy = answer.error.partition("; ")
        where = "" if shown in what else f"{shown}: "
        return problem(
            "source", where + what, remedy or "`edgecv --debug run` with the same source says more"
        )
    width, height, seconds = answer.value
    return ok("source", f"{shown}: a frame of {width}x{height} after {seconds:.1f} s")


def _default_node(case: Case, path: Path) -> Finding:
    here = nodes(case.machine.root)
    node = next((node for node in here if node.path == path), None)
    usable = [node for node in here if not node.ribbon]
    if node and not node.ribbon:
        if not case.machine.may_use(node.file):
            return problem(
                "source", f"{path} is this profile's, and not yours to use", _group_remedy(case.machine)
            )
        return ok("source", f"{path}, this profile's; not opened (`--source {case.uri}` tries it)")
    what = (
        f"{path}, this profile's, is a ribbon camera's raw node"
        if node
        else f"no camera at {path}, this profile's"
    )
    others = ["--source " + str(node.path) for node in usable]
    if _sensors(case.machine.root) or node:
        pi = case.selected.detected.profile
        others.append("--source picamera2" if pi and pi.family is Family.RPI else "--source csi")
    if others:
        return problem("source", what, f"run with {' or '.join(f'`{other}`' for other in others)}")
    return problem(
        "source",
        what,
        "plug a camera in, or give --source: rtsp://…, http://…, a video, synthetic:640x480@30",
    )


def _wanted(case: Case) -> Path | None:
    """The video node that the source names, by itself or by a link, as /dev/v4l/by-id has them."""
    found = re.fullmatch(r"(?:([0-9]+)|(/dev/[^?]+))(?:\?.*)?", case.uri, re.ASCII)
    if not found:
        return None
    if found[1]:
        return Path(f"/dev/video{int(found[1])}")
    root = case.machine.root.resolve()
    file = (root / found[2].lstrip("/")).resolve()
    return Path("/") / file.relative_to(root) if file.is_relative_to(root) else Path(found[2])


def _sensors(root: Path) -> list[str]:
    """CSI sensors with a driver: V4L2 subdevices that are named after a chip on an I2C bus."""
    names = (text(path) for path in natural_order((root / "sys/class/video4linux").glob("v4l-subdev*/name")))
    nodes = (text(path) for path in (root / "sys/class/video4linux").glob("video*/name"))
    found = [match[1] for name in (*names, *nodes) if (match := _SENSOR.search(name))]
    return list(dict.fromkeys(found))


def _group_remedy(machine: Machine) -> str:
    members = {
        name
        for line in text(machine.root / "etc/group").splitlines()
        if line.startswith("video:")
        for name in line.split(":")[-1].split(",")
    }
    if machine.user.name in members and "video" not in machine.user.groups:
        return "you are in the group video since your last login: log in again, or reboot"
    if "video" in machine.user.groups:
        return "`ls -l /dev/video*` shows whose they are: a udev rule or a container has changed it"
    return "`sudo usermod -aG video $USER`, then log in again"


def _users(root: Path, path: Path) -> list[str]:
    """Processes that hold the node open, as far as this user may see."""
    found = set()
    for process in (root / "proc").glob("[0-9]*"):
        if process.name == str(os.getpid()):
            continue
        try:
            for file in (process / "fd").iterdir():
                if os.readlink(file) == str(path):
                    found.add(f"{printable(text(process / 'comm')) or '?'} (process {process.name})")
        except OSError:  # another user's, or one that has just ended
            continue
    return sorted(found)
