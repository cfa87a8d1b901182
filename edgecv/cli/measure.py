"""Numbers: bench, tune, eval and verify."""

from __future__ import annotations

import math
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgecv.cli.options import (
    artifact_options,
    bundle_options,
    check_there,
    json_option,
    options,
    power_option,
    profiles_option,
    robustness_option,
    split_formats,
)
from edgecv.errors import UsageError

if TYPE_CHECKING:
    from edgecv.reports.schema import Plan

NO_PAGE = "note: no report.html"  # a board's, where the page is made here
HERE = ("bundle", "data", "out", "host", "wheelhouse", "engines", "clean", "require_valid")

host_options = options(
    click.option("--host", metavar="[USER@]HOST[:PORT]", help="Measure on that board, over ssh."),
    click.option("--wheelhouse", is_flag=True, help="With --host: install there what is downloaded here."),
    click.option("--engine", "engines", metavar="LIST", help="With --host: tflite,onnx,openvino to install."),
    click.option("--clean", is_flag=True, help="With --host: only delete what edgecv keeps there."),
)


@click.command()
@bundle_options
@click.option(
    "--mode",
    type=click.Choice(("quick", "full", "sustained")),
    default="quick",
    show_default=True,
    help="10 s an artifact; 60 s and 1,024 samples; or one artifact for --minutes.",
)
@click.option(
    "--minutes",
    type=click.FloatRange(2, 1440),
    help="Of a sustained run: its first minute against its last.  [default: 10]",
)
@click.option(
    "--scenario",
    "scenarios",
    multiple=True,
    type=click.Choice(("single-stream", "offline", "camera")),
    help="Repeatable.  [default: single-stream; full: all]",
)
@click.option(
    "--camera-fps",
    type=click.FloatRange(0, 1000, min_open=True),
    help="Rate of the camera scenario.  [default: 30]",
)
@click.option("--operations", is_flag=True, help="Time each operation, too; full does.")
@click.option("--data", type=click.Path(), help="Labelled pictures: adds accuracy to the report.")
@robustness_option
@power_option
@host_options
@click.option("--require-valid", is_flag=True, help="Exit with 1 when the report is INVALID.")
@click.option("--out", "-o", type=click.Path(), help="Report folder.  [default: ./edgecv-NAME-report]")
@click.pass_context
def bench(
    context: click.Context,
    mode: str,
    minutes: float | None,
    scenarios: tuple[str, ...],
    camera_fps: float | None,
    host: str | None,
    wheelhouse: bool,
    engines: str | None,
    clean: bool,
    require_valid: bool,
    **asked: Any,
) -> None:
    """Measure every artifact of BUNDLE on this machine, judge the numbers, and write a report.

    The report is VALID, or INVALID with the reasons: throttling, other load, too few samples and the like.
    """
    from edgecv import api
    from edgecv.show import measuring
    from edgecv.show.terminal import progress

    plan = _plan(mode, minutes, scenarios, camera_fps)
    check_there(data=asked["data"])
    # Reports are shared: whose home it was is nobody's business.
    command = shlex.join(("edgecv", *sys.argv[1:])).replace(str(Path.home()), "~")
    if host is None:
        if wheelhouse or engines or clean:
            raise UsageError("--wheelhouse, --engine and --clean are for --host, and there is none")
        with progress() as shown:
            result, written = api.bench(**asked, plan=plan, command=command, progress=shown.share)
    elif clean:
        from edgecv.remote.bench import clean as clean_board

        return measuring.cleaned(host, clean_board(host))
    else:
        with progress() as shown:
            away, result, written = api.bench_at(
                host,
                asked["bundle"],
                _words_for_board(context),
                data=asked["data"],
                engines=split_formats(engines, "--engine"),
                wheelhouse=wheelhouse,
                out=asked["out"],
                command=command,
                progress=shown.share,
                line=lambda text: None if text.startswith(NO_PAGE) else shown.say(text),
            )
        measuring.away(away)
    measuring.report(result, written)
    if require_valid and not result.verdict.valid:
        raise SystemExit(1)


def _plan(mode: str, minutes: float | None, scenarios: tuple[str, ...], camera_fps: float | None) -> Plan:
    import msgspec

    from edgecv.reports.schema import Mode, Plan, Scenario

    if minutes is not None and math.isnan(minutes):
        raise UsageError("--minutes nan: give a number from 2 to 1440")
    if minutes is not None and mode != "sustained":
        raise UsageError(f"--minutes is for --mode sustained; {mode} runs take as long as they take")
    plan = Plan.of(Mode(mode), minutes or 10.0, tuple(dict.fromkeys(map(Scenario, scenarios))))
    if camera_fps is None:
        return plan
    if Scenario.CAMERA not in plan.scenarios:
        raise UsageError("--camera-fps is for the camera scenario: give --scenario camera, too")
    return msgspec.structs.replace(plan, camera_fps=camera_fps)


def _words_for_board(context: click.Context) -> list[str | Path]:
    """What was typed, as the board's bench takes it; a profile file is a Path, which is copied."""
    words: list[str | Path] = []
    for option in context.command.params:
        typed = context.get_parameter_source(str(option.name)) is not click.core.ParameterSource.DEFAULT
        if (
            not isinstance(option, click.Option)
            or not option.expose_value
            or option.name in HERE
            or not typed
        ):
            continue
        flag, value = max(option.opts, key=len), context.params[str(option.name)]
        if option.is_flag:
            words += [flag] if value else []
            continue
        for one in value if option.multiple else (value,):
            text = str(getattr(one, "value", one))
            is_file = option.name == "device" and text.endswith(".toml")
            words += [flag, Path(text)] if is_file else [f"{flag}={text}"]
    return words


@click.command()
@artifact_options
@profiles_option
@click.option(
    "--max-drop",
    default=0.5,
    show_default=True,
    type=float,
    metavar="POINTS",
    help="Top-1 points that the choice may lose against float.",
)
@click.option(
    "--objective",
    type=click.Choice(("latency", "energy", "throughput")),
    default="latency",
    show_default=True,
    help="What is best; throughput is of one engine a core.",
)
@click.option("--data", type=click.Path(), help="Labelled pictures: accuracy is measured here, not believed.")
@power_option
@click.option("--dry-run", is_flag=True, help="Save nothing.")
@click.option("--force", is_flag=True, help="Save what a disturbed measurement chose, too.")
@click.option("--forget", is_flag=True, help="Only delete the saved choice.")
@json_option
def tune(forget: bool, as_json: bool, dry_run: bool, **asked: Any) -> None:
    """Find the fastest way to run BUNDLE on this board that keeps its accuracy.

    Engines, precisions, threads and engine options are measured against each other; `edgecv run` follows the
    winner from then on.
    """
    from edgecv import api
    from edgecv.show import measuring
    from edgecv.show.terminal import progress

    if forget:
        return measuring.forgotten(api.forget_tuned(asked["bundle"]))
    check_there(data=asked["data"])
    with progress() as shown:
        done, path = api.tune(**asked, save=not dry_run, progress=shown.share)
    measuring.tuned(done, path, as_json)


@click.command("eval")
@bundle_options
@click.option("--data", type=click.Path(), required=True, help="Labelled pictures (labels.csv or folders).")
@robustness_option
@json_option
def evaluate(as_json: bool, **asked: Any) -> None:
    """Measure accuracy, calibration and agreement with float on labelled pictures."""
    from edgecv import api
    from edgecv.show import measuring
    from edgecv.show.terminal import progress

    check_there(data=asked["data"])
    with progress() as shown:
        found = api.evaluate(**asked, progress=shown.share)
    measuring.accuracies(found, as_json)


@click.command()
@bundle_options
def verify(**asked: Any) -> None:
    """Check BUNDLE's hashes and replay its golden samples in every engine here."""
    from edgecv import api
    from edgecv.show import measuring

    rows = api.verify(**asked)
    measuring.replayed(rows)
    if not any(row.passed for row in rows) or any(row.passed is False for row in rows):
        raise SystemExit(1)
