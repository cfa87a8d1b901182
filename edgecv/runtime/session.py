"""A run with everything around it: the engine, the source, the sinks and the live page, opened and closed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import Selected
from edgecv.runtime.engines import Engine, open_engine
from edgecv.runtime.pipeline import Run, Settings, engine_options
from edgecv.runtime.results import Result, Summary
from edgecv.runtime.sinks import open_sink
from edgecv.runtime.sinks.base import Context, Sink
from edgecv.runtime.sinks.outlet import Outlet
from edgecv.runtime.sources import masked_uri, open_source


@dataclass(frozen=True)
class Wanted:
    """From where to where: a source with how it is read, sinks by their URIs, the live page's address."""

    source: str
    loop: bool = False
    realtime: bool = False
    reconnect: bool = True
    frozen_s: float = 10.0
    out: Sequence[str] = ()
    serve: str | None = None
    token: str | None = None
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Session:
    """A run about to start: what it runs on, with which artifact and engine, and what is worth saying.

    Iterate it for results. stop: ends the run after the frames in hand; safe from a signal handler.
    page: where the live page is.
    """

    run: Run
    live: bool
    selected: Selected
    artifact: Artifact
    engine: str
    source: str
    notes: tuple[str, ...]
    page: str | None
    outlets: tuple[Outlet, ...]

    def __iter__(self) -> Iterator[Result]:
        outlets, wait = self.outlets, not self.live
        for item in self.run:
            for outlet in outlets:
                outlet.offer(item, wait)
            yield item.result
            if any(outlet.closed for outlet in outlets):
                return

    def stop(self) -> None:
        self.run.stop()

    def close(self) -> None:
        """Deliver what the sinks still hold, and close them."""
        for outlet in self.outlets:
            outlet.close()

    def summary(self) -> Summary:
        counts = tuple(outlet.counts() for outlet in self.outlets)
        return msgspec.structs.replace(self.run.summary(), sinks=counts)


@contextlib.contextmanager
def open_session(
    bundle: Bundle, artifact: Artifact, selected: Selected, wanted: Wanted, notes: Sequence[str] = ()
) -> Iterator[Session]:
    """Open all of it; at the end what is on its way to the sinks is delivered.

    Raises EngineError, SourceError, SinkError or UsageError for what cannot be opened.
    """

    def load() -> Engine:
        return open_engine(bundle.path(artifact), artifact, engine_options(selected))

    settings, where = wanted.settings, masked_uri(wanted.source)
    with contextlib.ExitStack() as stack:
        # The engine first: a live source would drop frames, and count them, while a model loads.
        engine = load()
        stack.callback(engine.close)
        source = stack.enter_context(
            open_source(
                wanted.source,
                input_hw=bundle.manifest.preprocess.size_hw,
                loop=wanted.loop,
                realtime=wanted.realtime,
                reconnect=wanted.reconnect,
                frozen_s=wanted.frozen_s,
            )
        )
        run = Run(bundle, engine, source, settings, load)
        context = Context(
            model=f"{bundle.manifest.name} {artifact.kind}",
            labels=bundle.labels,
            device=selected.profile.title,
            engine=engine.name,
            source=where,
            summary=lambda: session.summary(),
            fps=source.fps,
        )
        sinks: list[Sink] = [open_sink(uri, context) for uri in wanted.out]
        page = None
        if wanted.serve is not None:
            from edgecv.runtime.page import open_page

            page = open_page(wanted.serve, context, run.controls, wanted.token)
            sinks.append(page)
        session = Session(
            run=run,
            live=source.live,
            selected=selected,
            artifact=artifact,
            engine=engine.name,
            source=where,
            notes=tuple(notes),
            page=page.url if page else None,
            outlets=tuple(Outlet(sink) for sink in sinks),
        )
        stack.callback(session.close)
        yield session
