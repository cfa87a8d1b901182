"""Cameras of trees of files: names as the kernel's drivers give them."""

from __future__ import annotations

import os
from dataclasses import replace

import msgspec
import pytest
from doctor_checks import OK, PROBLEM, UNKNOWN, WARNING, MakeCase, check

from edgecv.devices.profile import Camera
from edgecv.doctor import cameras
from edgecv.doctor.child import Answer
from edgecv.errors import BundleError

V4L = "sys/class/video4linux"
GROUP = "root:x:0:\nvideo:x:44:{}\n"


def nodes(*names: str, first: int = 0, indices: tuple[int, ...] = ()) -> dict[str, str]:
    files = {}
    for position, name in enumerate(names):
        node = f"video{first + position}"
        index = indices[position] if indices else 0
        files |= {f"dev/{node}": "", f"{V4L}/{node}/name": f"{name}\n", f"{V4L}/{node}/index": f"{index}\n"}
    return files


USB = nodes("HD Pro Webcam C920", "HD Pro Webcam C920", indices=(0, 1))
# A Raspberry Pi 4 has codecs whether there is a camera or not.
CODECS = nodes("bcm2835-codec-decode", "bcm2835-isp-output0", "rpivid", first=10)
RIBBON_PI4 = CODECS | nodes("unicam-image") | {f"{V4L}/v4l-subdev0/name": "imx708 10-001a\n"}
RIBBON_PI5 = nodes("rp1-cfe-csi2_ch0", "rp1-cfe-embedded", "pispbe-input", "rpi-hevc-dec") | {
    f"{V4L}/v4l-subdev0/name": "csi2\n",
    f"{V4L}/v4l-subdev2/name": "imx219 10-0010\n",
    f"{V4L}/v4l-subdev3/name": "dw9807 10-000c\n",  # moves the lens
}
JETSON = nodes("vi-output, imx219 9-0010") | {
    "proc/cpuinfo": "processor\t: 0\nFeatures\t: fp asimd asimddp\n\n",
    "proc/device-tree/compatible": "nvidia,p3768-0000+p3767-0005\0nvidia,p3767-0005\0nvidia,tegra234\0",
}
PI5 = {"proc/device-tree/compatible": "raspberrypi,5-model-b\0brcm,bcm2712\0"}


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        ({}, UNKNOWN, ("none was found",)),
        (CODECS, UNKNOWN, ("none was found",)),
        # the second node of a USB camera carries metadata
        (USB | CODECS, OK, ("/dev/video0 (HD Pro Webcam C920) |",)),
        (RIBBON_PI4, OK, ("ribbon camera imx708",)),
        (RIBBON_PI5, OK, ("ribbon camera imx219 |",)),
        (JETSON, OK, ("ribbon camera imx219",)),
        # no sysfs, as in some containers
        ({"dev/video0": ""}, OK, ("/dev/video0 (?)",)),
        # what cameras are called, and an image processor's node
        (nodes("Studio Display Camera"), OK, ("(Studio Display Camera)",)),
        (nodes("USB MJPEG Camera"), OK, ("(USB MJPEG Camera)",)),
        (nodes("rkisp1_mainpath", "mtk-jpeg-dec", "fimc_isp", "omap3isp"), UNKNOWN, ("none was found",)),
    ],
)
def test_which_there_are(
    make_case: MakeCase, files: dict[str, str], state: object, words: tuple[str, ...]
) -> None:
    check(cameras.cameras(make_case(PI5 | files)), (state, "cameras", words))


@pytest.mark.parametrize(
    ("members", "groups", "remedy"),
    [
        ("", ("pi",), "sudo usermod -aG video $USER"),
        ("pi", ("pi",), "log in again"),  # usermod was run, and nobody logged out
        ("pi", ("pi", "video"), "ls -l /dev/video*"),
    ],
)
def test_permission(make_case: MakeCase, members: str, groups: tuple[str, ...], remedy: str) -> None:
    case = make_case(PI5 | USB | {"etc/group": GROUP.format(members)}, groups=groups, closed=("video0",))
    check(
        cameras.cameras(case),
        (OK, "cameras", ()),
        (PROBLEM, "permission", ("pi may not use /dev/video0", remedy)),
    )
    check(cameras.source(case), (PROBLEM, "source", (remedy,)))


def test_a_camera_that_is_not_run_may_be_closed(make_case: MakeCase) -> None:
    case = make_case(PI5 | USB, closed=("video0",), source="rtsp://cam/live")
    check(cameras.cameras(case), (OK, "cameras", ()), (WARNING, "permission", ()))


def test_a_camera_that_somebody_has(make_case: MakeCase) -> None:
    case = make_case(PI5 | USB | {"proc/812/comm": "wireplumber\n", "proc/900/comm": "sshd\n"})
    for process, target in ((812, "/dev/video0"), (900, "/dev/null")):
        folder = case.machine.root / f"proc/{process}/fd"
        folder.mkdir()
        os.symlink(target, folder / "7")
    check(
        cameras.cameras(case),
        (OK, "cameras", ()),
        (WARNING, "in use", ("/dev/video0 is held open by wireplumber (process 812) |",)),
    )


@pytest.mark.parametrize(
    ("files", "state", "words"),
    [
        (USB, OK, ("/dev/video0", "not opened")),
        ({}, PROBLEM, ("no camera at /dev/video0", "--source: rtsp://")),
        (CODECS, PROBLEM, ("no camera at /dev/video0",)),
        (nodes("C920", first=2), PROBLEM, ("no camera at /dev/video0", "--source /dev/video2")),
        (RIBBON_PI5, PROBLEM, ("raw node", "--source picamera2")),
        (RIBBON_PI4, PROBLEM, ("raw node", "--source picamera2")),
        (JETSON, PROBLEM, ("raw node", "--source csi")),
    ],
)
def test_the_profile_s_camera(
    make_case: MakeCase, files: dict[str, str], state: object, words: tuple[str, ...]
) -> None:
    check(cameras.source(make_case(PI5 | files)), (state, "source", words))


def test_a_camera_by_the_link_of_its_name(make_case: MakeCase) -> None:
    case = make_case(PI5 | USB, closed=("video0",), source="/dev/v4l/by-id/usb-C920?fps=15")
    link = case.machine.root / "dev/v4l/by-id/usb-C920"
    link.parent.mkdir(parents=True)
    link.symlink_to("../../video0")
    check(cameras.cameras(case), (OK, "cameras", ()), (PROBLEM, "permission", ("/dev/video0",)))
    camera = Camera(source="/dev/v4l/by-id/usb-C920")
    profile = msgspec.structs.replace(case.selected.profile, camera=camera)
    case = make_case(PI5 | USB)
    case.selected = replace(case.selected, profile=profile)
    check(cameras.source(case), (OK, "source", ("/dev/video0",)))
    link.unlink()
    check(cameras.source(case), (PROBLEM, "source", ("no camera at /dev/v4l/by-id/usb-C920",)))


@pytest.mark.parametrize(
    ("source", "answer", "state", "words"),
    [
        ("0", Answer(value=[640, 480, 0.51]), OK, ("0: a frame of 640x480 after 0.5 s",)),
        (
            "rtsp://me:secret@cam/live",
            Answer(error="rtsp://me:***@cam/live gives no pictures; is it on?"),
            PROBLEM,
            ("rtsp://me:***@cam/live gives no pictures | is it on?",),
        ),
        ("clip.mp4", Answer(error="no answer within 30 s"), PROBLEM, ("clip.mp4: no answer", "--debug")),
        ("-", Answer(error="must not be asked"), UNKNOWN, ("not tried",)),
    ],
)
def test_a_source_that_was_named_is_tried(
    make_case: MakeCase, source: str, answer: Answer, state: object, words: tuple[str, ...]
) -> None:
    case = make_case(PI5, source=source, answers={"frame": answer})
    assert isinstance(case.bundle, BundleError)
    (found,) = cameras.source(case)
    check([found], (state, "source", words))
    assert "secret" not in found.what


IMPORT = "ModuleNotFoundError: No module named 'picamera2'"
NUMPY = "ValueError: numpy.dtype size changed, may indicate binary incompatibility"
SYSTEM_HAS_IT = {"usr/lib/python3/dist-packages/picamera2/__init__.py": ""}


@pytest.mark.parametrize(
    ("files", "answer", "words"),
    [
        ({}, Answer(error=IMPORT), ("not installed", "sudo apt install python3-picamera2")),
        (SYSTEM_HAS_IT, Answer(error=IMPORT), ("system's Python", "/home/pi/venv", "--system-site-packages")),
        (SYSTEM_HAS_IT, Answer(error=NUMPY), ("numpy", "numpy<2")),
        (SYSTEM_HAS_IT, Answer(error="ImportError: libcamera.so.0.5"), ("--reinstall",)),
        (SYSTEM_HAS_IT, Answer(value=0), ("no camera", "rpicam-hello --list-cameras")),
    ],
)
def test_picamera2(
    make_case: MakeCase, files: dict[str, str], answer: Answer, words: tuple[str, ...]
) -> None:
    told = {"picamera2": answer}
    check(
        cameras.picamera2(make_case(PI5 | RIBBON_PI5 | files, answers=told)),
        (WARNING, "picamera2", words),
    )
    wanted = make_case(PI5 | files, answers=told, source="picamera2:0?fps=10")
    check(cameras.picamera2(wanted), (PROBLEM, "picamera2", words))


def test_picamera2_that_works_and_where_it_is_not_missed(make_case: MakeCase) -> None:
    case = make_case(PI5 | RIBBON_PI5, answers={"picamera2": Answer(value=2)})
    check(cameras.picamera2(case), (OK, "picamera2", ("2 cameras",)))


def test_nobody_misses_picamera2_without_a_ribbon_camera(make_case: MakeCase) -> None:
    check(cameras.picamera2(make_case(PI5 | USB, answers={"picamera2": Answer(error=IMPORT)})))
