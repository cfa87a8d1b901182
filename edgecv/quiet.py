"""Silence for libraries that print: what a user reads is one clear line, and that line is ours."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator

loud = False  # `--debug` sets this


@contextlib.contextmanager
def quiet(stdout: bool = True) -> Iterator[None]:
    """Send file descriptor 2, and 1 too unless told otherwise, to nowhere inside the block.

    Native code's lines and Python warnings are dropped. For short, foreign calls only: other threads are
    silenced as well, so where one may be writing results, `stdout` must be left alone.
    """
    if loud:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    kept = {number: os.dup(number) for number in ((1, 2) if stdout else (2,))}
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(null, number)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, saved in kept.items():
            os.dup2(saved, number)
            os.close(saved)
        os.close(null)
