"""From a source to results."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgecv.api.bundles import PathLike, select_device
from edgecv.bundle import Bundle, find_bundle
from edgecv.errors import UsageError
from edgecv.spec import Format, Precision

if TYPE_CHECKING:
    from edgecv.runtime.events import Rules
    from edgecv.runtime.results import Result
    from edgecv.runtime.session import Session


def stream(
    bundle: PathLike | None = None, source: PathLike | int | None = None, **options: Any
) -> Iterator[Result]:
    """Classify every frame of a source (None: the device's camera) until it ends; yields Results.

    options: those of `open_run`.
    """
    with open_run(bundle, source, **options) as session:
        yield from session


def open_run(
    bundle: PathLike | None = None,
    source: PathLike | int | None = None,
    *,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    top_k: int = 5,
    frames: int | None = None,
    loop: bool = False,
    realtime: bool = False,
    reconnect: bool = True,
    frozen_s: float = 10.0,
    regions: Sequence[str] = (),
    allow: Sequence[str] = (),
    deny: Sequence[str] = (),
    rules: Rules | None = None,
    motion_gate: bool = False,
    out: Sequence[str] = (),
    serve: str | None = None,
    token: str | None = None,
    heartbeat: Callable[[], None] | None = None,
) -> contextlib.AbstractContextManager[Session]:
    """Everything `edgecv run` needs, opened and at the end closed; iterate the session for results.

    source, regions, allow, deny, out, serve and token are as on the command line (serve: "" for the default
    address); rules: when a label counts as seen. heartbeat: called while the run is alive, about once a
    second and at every frame. Raises UsageError for what cannot be asked for, and any EdgecvError on the way.
    """
    for name, number in (("top_k", top_k), ("frames", frames), ("threads", threads)):
        if number is not None and number < 1:
            raise UsageError(f"{name}={number}: give at least 1")
    if token == "":
        raise UsageError("an empty token; leave it out, or give one")
    if token is not None and serve is None:
        raise UsageError("a token is for the live page, and there is none: give serve, too")
    regions, allow, deny, out = (
        (str(given),) if isinstance(given, (str, Path)) else tuple(map(str, given))
        for given in (regions, allow, deny, out)
    )
    from edgecv.runtime.choice import choose, saved_choice
    from edgecv.runtime.controls import Controls
    from edgecv.runtime.events import Rules
    from edgecv.runtime.labels import mask
    from edgecv.runtime.pipeline import Settings
    from edgecv.runtime.regions import parse_regions
    from edgecv.runtime.session import Wanted, open_session

    selected = select_device(device, threads)
    opened = Bundle.open(find_bundle(None if bundle is None else str(bundle)), whole=False)
    found, damaged = saved_choice(opened, selected, "named" if threads is not None else device)
    choice = choose(opened, selected, format, precision, found)
    opened.check(choice.artifact)
    rules = rules or Rules()
    settings = Settings(
        top_k=top_k,
        frames=frames,
        regions=parse_regions(regions),
        rules=rules,
        controls=Controls(rules.on, rules.off, motion_gate),
        shown=mask(opened.labels, allow, deny),
        threads=choice.options.threads,
        heartbeat=heartbeat or (lambda: None),
    )
    wanted = Wanted(
        source=str(source) if source is not None else selected.profile.camera.source,
        loop=loop,
        realtime=realtime,
        reconnect=reconnect,
        frozen_s=frozen_s,
        out=out,
        serve=serve,
        token=token,
        settings=settings,
    )
    notes = tuple(text for text in (selected.note, damaged, choice.note) if text)
    return open_session(opened, choice, selected, wanted, notes)
