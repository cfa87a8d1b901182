"""The other side of edgecv.converters.importers.process, in tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from edgecv.errors import UsageError


def answer(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    del folder
    print("hundreds of lines", flush=True)
    if job["do"] == "refuse":
        raise UsageError("say --size")
    if job["do"] == "fail":
        raise RuntimeError("two\nlines")
    if job["do"] == "die":
        os.kill(os.getpid(), 9)
    return {"said": job["do"]}
