"""Python, glibc, packages and engines, good and bad."""

from __future__ import annotations

from dataclasses import replace

import pytest
from doctor_checks import OK, PROBLEM, UNKNOWN, WARNING, Expected, MakeCase, check

from edgecv.doctor import software
from edgecv.doctor.child import Answer
from edgecv.doctor.machine import Package, Python

PI = Python((3, 11, 2), 64, "aarch64", "2.36", "/home/pi/venv")
NUMPY = (
    "ValueError: numpy.dtype size changed, may indicate binary incompatibility. "
    "Expected 96 from C header, got 88 from PyObject"
)


def wheel(version: str, *platforms: str) -> Package:
    return Package(version, tuple(f"cp311-cp311-{platform}" for platform in platforms))


@pytest.mark.parametrize(
    ("python", "state", "words"),
    [
        (PI, OK, ("3.11.2, 64-bit, aarch64",)),
        (replace(PI, version=(3, 14, 0)), WARNING, ("3.10 to 3.13",)),
        (replace(PI, version=(3, 9, 2)), WARNING, ("3.10 to 3.13",)),
        # 32-bit Raspberry Pi OS
        (replace(PI, bits=32, machine="armv7l"), WARNING, ("tflite-runtime is the only engine",)),
        (replace(PI, bits=32, machine="armv7l", version=(3, 13, 5)), WARNING, ("no engine has a wheel",)),
        # ... with the 64-bit kernel that it has had since 2023
        (replace(PI, bits=32), WARNING, ("64-bit kernel", "numpy<2", "tflite-runtime")),
    ],
)
def test_python(make_case: MakeCase, python: Python, state: object, words: tuple[str, ...]) -> None:
    check(software.python(make_case(python=python)), (state, "Python", words))


@pytest.mark.parametrize(
    ("glibc", "machine", "packages", "state", "words"),
    [
        ("2.36", "aarch64", {}, OK, ("glibc 2.36",)),
        # Debian 11: pip finds an older OpenVINO
        ("2.31", "aarch64", {}, OK, ("glibc 2.31", "openvino (2.35)")),
        ("2.31", "x86_64", {}, OK, ("glibc 2.31",)),
        # an environment that was copied from a newer system
        (
            "2.31",
            "aarch64",
            {"onnxruntime": wheel("1.32", "manylinux_2_38_aarch64"), "numpy": wheel("2.2", "linux_armv7l")},
            WARNING,
            ("onnxruntime 1.32 (made for 2.38)",),
        ),
        # the lowest of a wheel's tags is what it needs
        (
            "2.26",
            "aarch64",
            {"msgspec": wheel("0.19", "manylinux2014_aarch64", "manylinux_2_28_aarch64")},
            OK,
            (),
        ),
        ("", "aarch64", {}, UNKNOWN, ()),
    ],
)
def test_the_c_library(
    make_case: MakeCase,
    glibc: str,
    machine: str,
    packages: dict[str, Package],
    state: object,
    words: tuple[str, ...],
) -> None:
    python = replace(PI, glibc=glibc, machine=machine)
    check(software.c_library(make_case(python=python, packages=packages)), (state, "C library", words))


def test_alpine(make_case: MakeCase) -> None:
    case = make_case({"lib/ld-musl-aarch64.so.1": ""}, python=replace(PI, glibc=""))
    check(software.c_library(case), (WARNING, "C library", ("musl", "Debian")))


def test_packages_that_go_together(make_case: MakeCase) -> None:
    good = {
        "opencv-python-headless": wheel("4.12.0", "manylinux2014_aarch64"),
        "numpy": wheel("2.2.6", "manylinux_2_17_aarch64"),
        "ai-edge-litert": wheel("2.3.0", "manylinux_2_27_aarch64"),
        "msgspec": Package("0.19"),  # from source, or the system's
    }
    check(software.packages(make_case(packages=good)))


def test_packages_that_do_not(make_case: MakeCase) -> None:
    bad = {
        "opencv-python": wheel("4.12.0", "manylinux2014_x86_64"),
        "opencv-python-headless": wheel("4.12.0", "manylinux2014_aarch64"),
        "numpy": wheel("2.2.6", "manylinux2014_aarch64"),
        "tflite-runtime": wheel("2.14.0", "manylinux2014_aarch64"),
    }
    expected: tuple[Expected, ...] = (
        (
            WARNING,
            "packages",
            ("opencv-python and opencv-python-headless", "pip uninstall -y opencv-python "),
        ),
        (WARNING, "packages", ("numpy is 2.2.6", "edgecv[tflite]")),
        (WARNING, "packages", ("another machine than aarch64: opencv-python",)),
    )
    check(software.packages(make_case(packages=bad)), *expected)
    narrow = replace(PI, bits=32, machine="armv7l")
    only = {name: bad[name] for name in ("numpy", "tflite-runtime")}
    check(
        software.packages(make_case(packages=only, python=narrow)),
        (WARNING, "packages", ('pip install "numpy<2"',)),
    )


@pytest.mark.parametrize(
    ("answer", "source", "state", "words"),
    [
        (Answer(value=["5.0.0", True]), "csi", OK, ("with GStreamer",)),
        (Answer(value=["5.0.0", False]), "0", OK, ("without GStreamer",)),
        (Answer(value=["5.0.0", False]), "csi:1", PROBLEM, ("csi needs it", "--system-site-packages")),
        (Answer(value=["5.0.0", False]), "gst:videotestsrc", PROBLEM, ("gst needs it",)),
        (
            Answer(
                error="ImportError: libGL.so.1: cannot open shared object file: No such file or directory"
            ),
            "0",
            PROBLEM,
            ("libGL.so.1", "opencv-python-headless", "apt install libgl1"),
        ),
        (
            Answer(error="ImportError: numpy.core.multiarray failed to import"),
            "0",
            PROBLEM,
            ('pip install --upgrade "numpy>=2"',),
        ),
        (Answer(error="ModuleNotFoundError: No module named 'cv2'"), "0", PROBLEM, ("pip install",)),
    ],
)
def test_opencv(
    make_case: MakeCase, answer: Answer, source: str, state: object, words: tuple[str, ...]
) -> None:
    check(software.opencv(make_case(source=source, answers={"opencv": answer})), (state, "OpenCV", words))


def test_engines_that_load_and_one_that_crashes(make_case: MakeCase) -> None:
    litert, onnx = "edgecv.runtime.engines.litert:LiteRTEngine", "edgecv.runtime.engines.onnx:OnnxEngine"
    crash = Answer(error="the wheel needs CPU instructions that this machine lacks (SIGILL)", died="SIGILL")
    good = Answer(value="LiteRT 2.3.0")
    case = make_case(
        modules=("ai_edge_litert", "onnxruntime"),
        answers={f"engine {litert}": good, f"engine {onnx}": crash},
    )
    # A Raspberry Pi 5 runs TFLite first, so that ONNX Runtime is not missed.
    check(
        software.engines(case),
        (OK, "engine", ("LiteRT 2.3.0",)),
        (WARNING, "engine", ("CPU instructions", "SIGILL", 'another engine: `pip install "edgecv[tflite]"`')),
    )
    case = make_case(modules=("onnxruntime",), answers={f"engine {onnx}": crash})
    check(software.engines(case), (PROBLEM, "engine", ("onnxruntime is installed, and cannot be loaded",)))


@pytest.mark.parametrize(
    ("module", "answer", "words"),
    [
        ("tflite_runtime", Answer(error=NUMPY), ('pip install "numpy<2" "opencv-python-headless<4.11"',)),
        ("onnxruntime", Answer(error=NUMPY), ("pip install --upgrade numpy",)),
        (
            "openvino",
            Answer(error="ImportError: /lib/libc.so.6: version `GLIBC_2.35' not found"),
            ("newer system",),
        ),
        ("onnxruntime", Answer(error="no answer within 60 s"), ("--force-reinstall",)),
        ("onnxruntime", Answer(error="it crashes (SIGSEGV)", died="SIGSEGV"), ("SIGSEGV", "edgecv[onnx]")),
    ],
)
def test_an_engine_that_does_not_load(
    make_case: MakeCase, module: str, answer: Answer, words: tuple[str, ...]
) -> None:
    case = make_case(modules=(module,), answers={"engine": answer})
    check(software.engines(case), (PROBLEM, "engine", words))


@pytest.mark.parametrize(
    ("python", "words"),
    [
        (PI, ('pip install "edgecv[tflite]"',)),
        (replace(PI, bits=32), ("pip install tflite-runtime", "numpy<2")),
        (replace(PI, bits=32, version=(3, 13, 5)), ("no engine has a wheel", "64-bit")),
    ],
)
def test_no_engine_at_all(make_case: MakeCase, python: Python, words: tuple[str, ...]) -> None:
    check(software.engines(make_case(modules=(), python=python)), (PROBLEM, "engine", words))
