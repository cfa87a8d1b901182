"""A machine that is told what it is: a tree of files, a Python, and answers of processes that never ran."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from doctor_checks import PI5, MakeCase

from edgecv.bundle import Bundle
from edgecv.devices import select
from edgecv.devices.resources import Usage
from edgecv.doctor.case import Case
from edgecv.doctor.child import Answer
from edgecv.doctor.machine import Machine, Package, Python, User
from edgecv.errors import BundleError


@pytest.fixture
def make_case(tmp_path: Path) -> MakeCase:
    """A function that makes a case: by default a healthy Raspberry Pi 5 without cameras and bundle."""

    def make(
        files: Mapping[str, str] = PI5,
        *,
        python: Python | None = None,
        packages: Mapping[str, Package] | None = None,
        modules: tuple[str, ...] = ("onnxruntime",),
        answers: Mapping[str, Answer] | None = None,
        commands: Mapping[str, str] | None = None,
        groups: tuple[str, ...] = ("pi", "video"),
        closed: tuple[str, ...] = (),
        bundle: Bundle | None = None,
        named: bool = True,
        source: str | None = None,
    ) -> Case:
        root = tmp_path / "root"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        loaded = {"engine": Answer(value="ONNX Runtime 1.23"), "opencv": Answer(value=["4.12.0", False])}
        told = {**loaded, **(answers or {})}  # by function, or by function and first argument

        def ask(function: str, *arguments: Any, timeout_s: float = 60.0) -> Answer:
            del timeout_s
            first = " ".join((function, *map(str, arguments[:1])))
            return told.get(first) or told.get(function) or Answer(error="not told")

        machine = Machine(
            root=root,
            run=lambda command: (commands or {}).get(command[0], ""),
            ask=ask,
            python=python or Python((3, 11, 2), 64, "aarch64", "2.36", "/home/pi/venv"),
            package=(packages or {}).get,
            importable=modules.__contains__,
            user=User("pi", frozenset(groups)),
            may_use=lambda path: path.name not in closed,
            usage=lambda _: Usage(5000, False),
            now=lambda: datetime.datetime(2026, 3, 1, tzinfo=datetime.timezone.utc),
            cache=tmp_path / "cache",
        )
        missing = BundleError("no bundle here; `edgecv convert --int8` makes one")
        return Case(
            machine=machine,
            selected=select("auto", root),
            bundle=bundle or missing,
            named=named,
            tunable=False,
            source=source,
        )

    return make
