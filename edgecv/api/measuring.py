"""What artifacts do on this machine, in numbers: measured, compared, chosen by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgecv.api.bundles import PathLike, open_bundle, select_device
from edgecv.bundle import Artifact, Bundle
from edgecv.data import load_labelled
from edgecv.errors import DataError, UsageError
from edgecv.files import check_writable
from edgecv.spec import Format, Kind, Precision

if TYPE_CHECKING:
    from edgecv.converters.inspect import Operation
    from edgecv.devices import Selected
    from edgecv.reports.accuracy import Evaluation
    from edgecv.reports.compare import Comparison
    from edgecv.reports.fleet import Fleet
    from edgecv.reports.gates import Failure
    from edgecv.reports.operations import Work
    from edgecv.reports.pages import Written
    from edgecv.reports.schema import Plan, Report
    from edgecv.reports.tune import Tuning

Progress = Callable[[str, float], None]

# Bytes of an activation and of a parameter; else float32's, since engines unpack float16 when they load it.
_WIDTHS = {"int8": (1, 1), "dynamic": (4, 1)}


def bench(
    bundle: PathLike | None = None,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    *,
    plan: Plan | None = None,
    data: PathLike | None = None,
    robustness: int = 0,
    operations: bool = False,
    power_command: str | None = None,
    out: PathLike | None = None,
    command: str | None = None,
    progress: Progress | None = None,
) -> tuple[Report, Written]:
    """Measure a bundle's artifacts on this machine and write the reports (default: ./edgecv-NAME-report).

    plan: a quick one without. A sustained plan is for one artifact: of those asked for the one that `run`
    would take. operations: profile them, as a full plan does anyhow. power_command: prints watts. command:
    what was typed, for the report, which says itself whether it is VALID. See reports.bench for errors.
    """
    from edgecv.reports.bench import bench as measure
    from edgecv.reports.monitor import power_command as reader
    from edgecv.reports.render import write_reports
    from edgecv.reports.schema import Mode, Plan

    plan = plan or Plan()
    refuse_empty(data=data, out=out, power_command=power_command)
    if robustness and data is None:
        raise UsageError("robustness is measured on labelled pictures: give --data, too")
    power = reader(power_command) if power_command else None
    selected, opened = select_device(device, threads), open_bundle(bundle)
    artifacts = opened.select(format, precision)
    if data is not None:
        load_labelled(Path(data), opened.labels)  # raises before minutes are measured
    folder = Path(out or report_folder(opened))
    check_folder(folder)
    if plan.mode is Mode.SUSTAINED:
        artifacts = (_chosen(opened, selected, format, precision),)
    report = measure(
        opened,
        artifacts,
        selected,
        plan,
        data=Path(data) if data else None,
        robustness=robustness,
        work=_work(opened, artifacts) if operations or plan.mode is Mode.FULL else None,
        power=power,
        command=command,
        progress=progress,
    )
    return report, write_reports(report, folder)


def refuse_empty(**values: object) -> None:
    """Raise UsageError for an option that was given as nothing."""
    for name, value in values.items():
        if value == "":
            raise UsageError(f"an empty --{name.replace('_', '-')}; leave it out, or give one")


def check_folder(folder: Path) -> None:
    """Raise before minutes are measured whose report could not be written."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a folder for the report")
    check_writable(folder / "report.json")


def report_folder(bundle: Bundle) -> Path:
    return Path(f"edgecv-{bundle.manifest.name}-report")


def render(report: PathLike, out: PathLike | None = None) -> tuple[Report, Written]:
    """Write the reports of a report.json, perhaps from another board (default: beside it)."""
    from edgecv.reports.render import write_reports

    refuse_empty(report=report, out=out)
    path = Path(report)
    [loaded] = load_reports([path])
    return loaded, write_reports(loaded, Path(out) if out else path.parent)


def compare(
    reports: Sequence[PathLike],
    fail_if: Sequence[str] = (),
    *,
    force: bool = False,
    out: PathLike | None = None,
) -> tuple[Comparison, tuple[Failure, ...], Written | None]:
    """Hold reports against the first one, and the difference against gates such as "latency_p90 > +5%".

    force: INVALID reports, too. out: a folder for compare.json, .md and .html. Raises UsageError for a gate
    or a report that cannot be read, fewer than two reports, and for INVALID ones without `force`.
    """
    from edgecv.reports import gates
    from edgecv.reports.compare import compare as against
    from edgecv.reports.compare_pages import write_comparison
    from edgecv.reports.fleet import report_names

    refuse_empty(out=out)
    parsed = [gates.parse_gate(text) for text in fail_if]  # before anything is read
    paths = [Path(report) for report in reports]
    found = against(load_reports(paths), report_names(paths), force)
    written = write_comparison(found, Path(out), parsed) if out else None
    return found, gates.check(found, parsed), written


def merge(
    reports: Sequence[PathLike], out: PathLike = "edgecv-fleet", *, force: bool = False
) -> tuple[Fleet, Written]:
    """Reports of many boards on one page; an INVALID one is shown as such, and never best without `force`."""
    from edgecv.reports.fleet import merge as together
    from edgecv.reports.fleet import report_names
    from edgecv.reports.fleet_words import write_fleet

    refuse_empty(out=out)
    paths = [Path(report) for report in reports]
    fleet = together(load_reports(paths), report_names(paths), force)
    return fleet, write_fleet(fleet, Path(out))


def load_reports(paths: Sequence[Path]) -> list[Report]:
    """The reports; UsageError for one that cannot be read, since a crossed gate is a failure's exit code."""
    from edgecv.reports.render import load_report

    try:
        return [load_report(path) for path in paths]
    except DataError as error:
        raise UsageError(str(error)) from error


def evaluate(
    bundle: PathLike | None,
    data: PathLike,
    device: str = "auto",
    format: Format | None = None,
    precision: Precision | None = None,
    threads: int | None = None,
    robustness: int = 0,
    progress: Progress | None = None,
) -> Evaluation:
    """Top-1, top-5, calibration and agreement with float on labelled pictures.

    robustness: so many of them through the corruptions of cameras, too.
    """
    from edgecv.reports.accuracy import evaluate as score

    refuse_empty(data=data)
    selected, opened = select_device(device, threads), open_bundle(bundle)
    return score(opened, opened.select(format, precision), Path(data), selected, progress, robustness)


def tune(
    bundle: PathLike | None = None,
    max_drop: float = 0.5,
    objective: str = "latency",
    *,
    format: Format | None = None,
    precision: Precision | None = None,
    data: PathLike | None = None,
    power_command: str | None = None,
    save: bool = True,
    force: bool = False,
    progress: Progress | None = None,
) -> tuple[Tuning, Path | None]:
    """Find the best way to run a bundle on this board; `edgecv run` follows it from then on.

    max_drop: top-1 points that may be lost against float, on `data` where it is given, else as the conversion
    measured it. objective: latency, energy or throughput. What a disturbed board chose is saved with `force`
    only. Gives where the choice was saved, too.
    """
    from edgecv.reports.monitor import power_command as reader
    from edgecv.reports.tune import tune as search
    from edgecv.reports.tune_candidates import Objective
    from edgecv.runtime import tuned

    refuse_empty(data=data, power_command=power_command)
    if not 0 <= max_drop <= 100:
        raise UsageError(f"--max-drop {max_drop:g}: give percentage points from 0 to 100")
    power = reader(power_command) if power_command else None
    selected, opened = select_device(), open_bundle(bundle)
    done = search(
        opened,
        opened.select(format, precision),
        selected,
        max_drop=max_drop,
        objective=Objective(objective),
        data=Path(data) if data else None,
        power=power,
        progress=progress,
    )
    save = save and (force or not done.warnings)
    return done, tuned.save(done.tuned, opened, selected.detected) if save else None


def forget_tuned(bundle: PathLike | None = None) -> bool:
    """Let `run` follow the device's profile again; False when there was no choice for this bundle here."""
    from edgecv.runtime import tuned

    return tuned.forget(open_bundle(bundle), select_device().detected)


def _chosen(
    bundle: Bundle, selected: Selected, format: Format | None, precision: Precision | None
) -> Artifact:
    from edgecv.runtime.choice import choose

    return choose(bundle, selected, format, precision).artifact


def _work(bundle: Bundle, artifacts: Sequence[Artifact]) -> dict[Kind, dict[str, Work]]:
    """What each operation has to do, by the names in the files; nothing of files that cannot be read here."""
    from edgecv.converters.inspect import contents

    return {artifact.kind: _work_of(contents(bundle, artifact).operations) for artifact in artifacts}


def _work_of(operations: Sequence[Operation]) -> dict[str, Work]:
    from edgecv.reports.operations import Work

    counts = Counter(operation.name for operation in operations)
    found = {}
    for one in operations:
        if counts[one.name] == 1:
            value_bytes, weight_bytes = _WIDTHS.get(one.precision, (4, 4))
            moved = one.activations * value_bytes + one.parameters * weight_bytes
            found[one.name] = Work(one.macs, moved, one.names)
    return found
