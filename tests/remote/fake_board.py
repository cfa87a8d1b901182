"""A Python for the board that fakes what takes long: environments, pip and `edgecv bench`.

`venv` makes a folder with this very Python in it, pip writes down what it was asked for, and the bench writes
a report it was given. Everything else is the real Python's.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec
from board_server import BoardServer

from edgecv import __version__
from edgecv.reports.schema import (
    SCHEMA_VERSION,
    ArtifactReport,
    Conditions,
    Moment,
    Plan,
    Report,
    Verdict,
)
from edgecv.spec import Format, Precision

PYTHON = """\
case "$*" in
*edgecv-probe*) "{python}" "$@" | sed 's#"path": "[^"]*"#"path": "{home}/../bin/python3"#' ;; # not itself
"-m venv --clear "*)
    mkdir -p "$4/bin"
    ln -s "{home}/../bin/python3" "$4/bin/python"
    ;;
"-m pip install "*)
    echo "$*" >>"$HOME/pip.log"
    case "$*" in *".whl["*"$(cat "$HOME/no-wheels")"*)
        echo "ERROR: No matching distribution found"
        exit 1
    esac
    ;;
"-m edgecv bench "*) exec "{python}" "$HOME/bench.py" "$@" ;;
*) exec "{python}" "$@" ;;
esac
"""
BENCH = """\
import json, os, subprocess, signal, sys
from pathlib import Path
home, words = Path(os.environ["HOME"]), sys.argv[1:]
(home / "words.json").write_text(json.dumps(words))
print("a table for people")
print("edgecv-progress 0.500 tflite:int8", file=sys.stderr, flush=True)
print("a note", file=sys.stderr, flush=True)
{body}
folder = Path(words[words.index("--out") + 1])
folder.mkdir()
(folder / "report.json").write_text((home / "report.json").read_text())
"""
FAILS = "print('edgecv: error: no such profile', file=sys.stderr); sys.exit(2)"
# A child in the same group that no SIGINT or SIGTERM ends, and that keeps the pipes open.
NEVER_ENDS = """
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
deaf = "from signal import *; [signal(n, SIG_IGN) for n in (2, 15)]; print('deaf', flush=True); pause()"
subprocess.Popen([sys.executable, "-c", deaf], stdout=sys.stderr)
signal.pause()
"""


def fake_python(board: BoardServer, no_wheels: str = "nothing", bench: str = "") -> None:
    """Make the board's python3 the fake; `no_wheels`: an engine that pip finds nothing for."""
    board.script("python3", PYTHON.format(python=sys.executable, home=board.home))
    (board.home / "no-wheels").write_text(no_wheels)
    (board.home / "bench.py").write_text(BENCH.format(body=bench))
    (board.home / "report.json").write_bytes(msgspec.json.encode(REPORT))


def pip_calls(board: BoardServer) -> list[str]:
    log = board.home / "pip.log"
    return log.read_text().splitlines() if log.exists() else []


def bench_words(board: BoardServer) -> list[str]:
    return json.loads((board.home / "words.json").read_text())


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


REPORT = Report(
    schema_version=SCHEMA_VERSION,
    edgecv=__version__,
    created="2026-01-01T00:00:00+00:00",
    bundle="tiny",
    manifest_sha256="0" * 64,
    plan=Plan(),
    rule="nearest rank",
    verdict=Verdict(),
    conditions=Conditions(
        device="rpi5",
        note=None,
        model="Raspberry Pi 5 Model B Rev 1.0",
        architecture="aarch64",
        arithmetic="dotprod",
        cpu_features=("asimddp",),
        int8_saturates=False,
        cores=4,
        ram_mb=8192,
        threads=4,
        python="3.11.2",
        os="Debian GNU/Linux 12",
        kernel="6.6",
        opencv="4.11",
        tools={},
        governor=None,
        before=Moment(),
        after=Moment(),
    ),
    artifacts=(
        ArtifactReport(format=Format.ONNX, precision=Precision.INT8, file_bytes=9, skipped="no engine"),
    ),
)
