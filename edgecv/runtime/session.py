"""A run with everything around it: the engine, the source, the sinks and the live page, opened and closed."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import Selected
from edgecv.runtime import pipeline
from edgecv.runtime.choice import Choice
from edgecv.runtime.engines import Engine, Options, open_engine
from edgecv.runtime.pipeline import Run, Settings
from edgecv.runtime.results import Result, Summary
from edgecv.runtime.sinks import Context, Outlet, Sink, check_distinct, close_all, open_sink, takes_pictures
from edgecv.runtime.sources import masked_uri, open_source

STOP_S = 5.0
RECENT = 1000  # frames that sinks and the page are told of


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

    Iterate it for results. page: where the live page is.
    """

    run: Run
    live: bool
    selected: Selected
    artifact: Artifact
    options: Options
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
        """End after the frames in hand have been answered; safe from a signal handler."""
        self.run.stop()
        # A run that waits for room before a stuck reader does not hear of it: that ends, too.
        closing = threading.Timer(STOP_S, close_all, [self.outlets])
        closing.daemon = True
        closing.start()

    def close(self) -> None:
        """Deliver what the sinks still hold, within seconds, and close them."""
        close_all(self.outlets)

    def summary(self) -> Summary:
        return _summary(self.run, self.outlets, pipeline.RECENT)


@contextlib.contextmanager
def open_session(
    bundle: Bundle, choice: Choice, selected: Selected, wanted: Wanted, notes: Sequence[str] = ()
) -> Iterator[Session]:
    """Open all of it; at the end what is on its way to the sinks is delivered.

    Raises EngineError, SourceError, SinkError or UsageError for what cannot be opened.
    """
    artifact, options = choice.artifact, choice.options

    def load() -> Engine:
        return open_engine(bundle.path(artifact), artifact, options)

    check_distinct(wanted.out)
    settings, where = wanted.settings, masked_uri(wanted.source)
    with contextlib.ExitStack() as stack:
        # The engine first: a live source would drop frames, and count them, while a model loads.
        engine = load()
        stack.callback(engine.close)
        if choice.engine not in (None, engine.name):
            notes = (*notes, f"tuned with {choice.engine}, and this is {engine.name}: `edgecv tune` again")
        # A camera's hardware may shrink its pictures where nobody but the model looks at them.
        looked_at = settings.regions or wanted.serve is not None or any(map(takes_pictures, wanted.out))
        source = stack.enter_context(
            open_source(
                wanted.source,
                input_hw=None if looked_at else _seen_hw(bundle),
                loop=wanted.loop,
                realtime=wanted.realtime,
                reconnect=wanted.reconnect,
                frozen_s=wanted.frozen_s,
            )
        )
        run = Run(bundle, engine, source, settings, load)
        outlets: list[Outlet] = []
        context = Context(
            model=f"{bundle.manifest.name} {artifact.kind}",
            labels=bundle.labels,
            device=selected.profile.title,
            engine=engine.name,
            source=where,
            summary=lambda: _summary(run, outlets, RECENT),
            fps=source.fps,
            top_k=settings.top_k,
        )

        def attach(sink: Sink) -> None:
            outlets.append(Outlet(sink))
            stack.callback(outlets[-1].close)

        for uri in wanted.out:
            attach(open_sink(uri, context))
        page = None
        if wanted.serve is not None:
            from edgecv.runtime.page import open_page

            page = open_page(wanted.serve, context, run.controls, wanted.token)
            attach(page)
        stack.callback(close_all, outlets)  # first of all, and all at once
        session = Session(
            run=run,
            live=source.live,
            selected=selected,
            artifact=artifact,
            options=options,
            engine=engine.name,
            source=where,
            notes=tuple(notes),
            page=page.url if page else None,
            outlets=tuple(outlets),
        )
        yield session


def _seen_hw(bundle: Bundle) -> tuple[int, int]:
    """(height, width) of the picture whose centre crop is the model's input."""
    rule = bundle.manifest.preprocess
    height, width = (math.ceil(side / rule.crop_fraction) for side in rule.size_hw)
    return height, width


def _summary(run: Run, outlets: Sequence[Outlet], recent: int) -> Summary:
    return msgspec.structs.replace(run.summary(recent), sinks=tuple(outlet.counts() for outlet in outlets))
