"""Silence for libraries that print: what a user reads is one clear line, and that line is ours."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

loud = False  # `--debug` sets this


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Send file descriptors 1 and 2 to nowhere inside the block, native code's lines included.

    Python warnings are dropped too. For short, foreign calls only: other threads are silenced as well.
    """
    if loud:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 1)
        os.dup2(null, 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, saved in enumerate(kept, start=1):
            os.dup2(saved, descriptor)
            os.close(saved)
        os.close(null)
