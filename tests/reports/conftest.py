from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from edgecv.devices import Selected, select
from edgecv.runtime import engines
from edgecv.runtime.engines import Entry, register
from edgecv.spec import Format


@pytest.fixture
def selected() -> Selected:
    return select()


@pytest.fixture
def use_engine() -> Iterator[Callable[..., None]]:
    """Registers one of reports_engines for a format; without a class, the format has no engine at all."""
    kept = list(engines.ENGINES)

    def use(format: Format, engine: str | None, profiler: str = "") -> None:
        if engine is None:
            for entry in list(engines.ENGINES):
                if entry.format is format:
                    engines.ENGINES[engines.ENGINES.index(entry)] = entry._replace(needs="no_such_module")
        else:
            profiler = profiler and f"reports_engines:{profiler}"
            register(Entry("test-engine", format, "numpy", f"reports_engines:{engine}", "test", profiler))

    yield use
    engines.ENGINES[:] = kept
