"""How many heaps the C library makes for a process with many threads."""

from __future__ import annotations

M_ARENA_MAX = -8  # of glibc's malloc.h


def bound() -> None:
    """Two for all threads, where glibc makes up to eight a core; elsewhere nothing happens.

    A camera that comes back has a new thread, which may take a heap that has held no pictures yet; and a heap
    that has held some keeps their memory. A run would grow by megabytes with each loss, for hours. It is the
    whole process that changes, so the command line does this and the library does not.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 2)
