"""TensorFlow and PyTorch in a process of their own: their memory, threads and output stay there."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from edgecv import quiet
from edgecv.errors import ConversionError, ModelError, UsageError

# The parent's import path; the job and the answer are files, so that nothing a library prints is read.
_CHILD = (
    "import sys; folder, target = sys.argv[1:3]; sys.path[:] = sys.argv[3:]; "
    "from edgecv.converters.importers.process import child; child(folder, target)"
)
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",  # converting needs no GPU, and must not take its memory
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",  # torch.export.load would fall back to running pickles
}


def require(extra: str, *modules: str) -> None:
    """ConversionError with what to install when one of `modules` is not there."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConversionError(f'reading it needs {", ".join(missing)}: pip install "edgecv[{extra}]"')


def run(target: str, job: dict[str, Any], folder: Path, where: str) -> dict[str, Any]:
    """Call `module:function` with (job, folder) in a fresh interpreter; what it returns, through JSON.

    Raises ModelError (or UsageError) with the one line that it raised, or that says how the process died.
    """
    (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    log = folder / "log.txt"
    with log.open("wb") as printed:
        shown = None if quiet.loud else printed
        done = subprocess.run(
            [sys.executable, "-c", _CHILD, str(folder), target, *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=shown,
            stderr=shown,
            env={**os.environ, **_ENVIRONMENT},
            check=False,
        )
    answer = folder / "answer.json"
    if done.returncode == 0 and answer.is_file():
        result = json.loads(answer.read_text(encoding="utf-8"))
        if error := result.get("error"):
            raise (UsageError if result.get("usage") else ModelError)(f"{where}: {error}")
        return result
    raise ModelError(f"{where}: {_died(done.returncode)}{_last_line(log)}")


def child(folder: str, target: str) -> None:
    """The other side: one line of JSON whatever happens."""
    here = Path(folder)
    job = json.loads((here / "job.json").read_text(encoding="utf-8"))
    module, _, function = target.partition(":")
    try:
        result = getattr(importlib.import_module(module), function)(job, here)
    except (ModelError, UsageError) as error:
        result = {"error": str(error), "usage": isinstance(error, UsageError)}
    except Exception as error:  # noqa: BLE001  whatever a framework raises is one line
        if os.environ.get("EDGECV_DEBUG") or quiet.loud:
            import traceback

            traceback.print_exc()
        result = {"error": f"{type(error).__name__}: {one_line(error)}"}
    (here / "answer.json").write_text(json.dumps(result), encoding="utf-8")


def one_line(error: BaseException) -> str:
    """An exception's message without its line breaks, at most 300 characters."""
    return " ".join(str(error).split())[:300]


def _died(code: int) -> str:
    if code >= 0:
        return f"reading it ended with exit status {code}"
    name = signal.Signals(-code).name
    return f"reading it was ended by {name}" + (
        " (the system does that when memory runs out)" if name == "SIGKILL" else ""
    )


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f" ({last[:300]})" if last else ""
