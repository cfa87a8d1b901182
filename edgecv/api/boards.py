"""Boards: profiles of one's own, what one needs to run a bundle, and one across the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.api.bundles import PathLike, open_bundle, select_device
from edgecv.errors import UsageError

if TYPE_CHECKING:
    from edgecv.devices import Detected
    from edgecv.remote.bench import Away
    from edgecv.remote.pack import Packed
    from edgecv.reports.pages import Written
    from edgecv.reports.schema import Report

Progress = Callable[[str, float], None]


def new_device(
    name: str,
    out: PathLike | None = None,
    *,
    report: PathLike | None = None,
    measure: PathLike | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, bool]:
    """Write the profile of this machine (default: NAME.toml in the user's folder of profiles).

    report: a report.json of this machine whose medians order the artifacts; measure: a bundle to measure now
    instead. force: replace a file, and believe an INVALID report. Gives the path, and whether `auto` follows
    the profile here from now on. Raises UsageError for a report of another machine, or an INVALID one.
    """
    from edgecv.devices.new import new_profile, own_path
    from edgecv.files import write_text, writing

    if report is not None and measure is not None:
        raise UsageError("give a report or a bundle to measure, not both")
    path = Path(out) if out else own_path(name)
    if path.exists() and not force:
        raise UsageError(f"{path} is there already: name another file, or give --force to replace it")
    selected = select_device()
    content = new_profile(name, selected.detected)  # refuses a name before anything is measured for it
    if report is not None or measure is not None:
        measured = _read(report, selected.detected) if report is not None else _measure(measure, progress)
        if not measured.verdict.valid and not force:
            reason = measured.verdict.reasons[0].message
            raise UsageError(f"the measurement is INVALID ({reason}); measure again, or give --force")
        runs = [(a.kind, a.measured) for a in measured.artifacts if a.measured]
        order = [(kind, run.inference.p50_ms) for kind, run in runs]
        threads = next((run.threads for _, run in runs), None)
        content = new_profile(name, selected.detected, order, threads)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, content)
    origin = select_device().detected.origin
    return path, origin is not None and origin.resolve() == path.resolve()


def bench_at(
    host: str,
    bundle: PathLike | None = None,
    words: Sequence[str | Path] = (),
    *,
    data: PathLike | None = None,
    engines: Sequence[str] | None = None,
    wheelhouse: bool = False,
    out: PathLike | None = None,
    command: str | None = None,
    progress: Progress | None = None,
    line: Callable[[str], None] | None = None,
) -> tuple[Away, Report, Written]:
    """`edgecv bench` on the board at `host`, over ssh, and its reports written here.

    words: options of the bench there. line: gets what the bench there says. See remote.bench for errors.
    """
    import msgspec

    from edgecv.api.measuring import check_folder, refuse_empty, report_folder
    from edgecv.remote.bench import bench_at as there
    from edgecv.remote.cargo import Wanted
    from edgecv.reports.render import write_reports

    refuse_empty(data=data, out=out)
    opened = open_bundle(bundle)
    folder = Path(out or report_folder(opened))
    check_folder(folder)
    wanted = Wanted(opened, words, Path(data) if data else None, engines, wheelhouse)
    away = there(host, wanted, progress or (lambda _what, _share: None), line or (lambda _text: None))
    conditions = msgspec.structs.replace(
        away.report.conditions, command=command or away.report.conditions.command
    )
    report = msgspec.structs.replace(away.report, conditions=conditions)
    return away, report, write_reports(report, folder)


def pack(
    bundle: PathLike | None = None,
    device: str = "auto",
    *,
    python: str | None = None,
    glibc: str | None = None,
    engines: Sequence[str] | None = None,
    out: PathLike | None = None,
    progress: Progress | None = None,
) -> Packed:
    """A bundle and all that a board needs to run it in one archive; see remote.pack."""
    from edgecv.devices import load_profiles
    from edgecv.remote.pack import pack as write

    # "x86" is a family and a profile: an archive is for the board that is named, not for this machine.
    named = {profile.name: profile for profile in load_profiles()}
    profile = named.get(device) or select_device(device).profile
    where = Path(out) if out else None
    quiet: Progress = progress or (lambda _what, _share: None)
    return write(open_bundle(bundle), profile, python, glibc, engines, where, quiet)


def _read(report: PathLike, detected: Detected) -> Report:
    """The report; UsageError unless it is of this machine."""
    from edgecv.api.measuring import load_reports

    [loaded] = load_reports([Path(report)])
    of = loaded.conditions
    there = (of.model, of.architecture, of.cpu_features)
    if there != (detected.model, detected.architecture, tuple(sorted(detected.cpu_features))):
        raise UsageError(f"{report} is of another machine ({of.model}, {of.arithmetic}): measure on this one")
    return loaded


def _measure(bundle: PathLike | None, progress: Progress | None) -> Report:
    from edgecv.reports.bench import bench

    opened = open_bundle(bundle)
    return bench(opened, opened.manifest.artifacts, select_device(), progress=progress)
