"""The command line: parse, call one function of edgecv.api, print what it returns."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from edgecv import __version__
from edgecv.errors import ConversionError, EdgecvError, UsageError

if TYPE_CHECKING:
    from edgecv.spec import Format, Precision

FORMATS = ("tflite", "onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "int8", "dynamic")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgecv")
@click.option("--debug", is_flag=True, envvar="EDGECV_DEBUG", help="Show tracebacks and library messages.")
def cli(debug: bool) -> None:
    """Vision models on small computers: convert, run, bench."""
    if debug:
        from edgecv import quiet

        quiet.loud = True


def bundle_options(command: Any) -> Any:
    """The options of every command that runs a bundle's artifacts."""
    for option in (
        click.option("--threads", type=click.IntRange(min=1), help="CPU threads instead of the profile's."),
        click.option("--precision", type=click.Choice(PRECISIONS), help="Only artifacts of this precision."),
        click.option("--format", type=click.Choice(FORMATS), help="Only artifacts of this format."),
        click.option(
            "--device",
            default="auto",
            show_default=True,
            help="A profile, a family (rpi, jetson, x86) or auto; see `edgecv devices`.",
        ),
        click.argument("bundle", required=False),
    ):
        command = option(command)
    return command


def own_model_options(command: Any) -> Any:
    """The options of `convert` that say what a model's own file does not."""
    for option in (
        click.option("--output", help="Which of several outputs holds the classes."),
        click.option("--size", metavar="HxW", help="Input size, where the file leaves it open."),
        click.option("--pad-value", type=click.IntRange(0, 255), help="Grey of a letterbox's border."),
        click.option("--interpolation", help="linear, cubic or area."),
        click.option("--crop-fraction", type=float, help="Share of the picture that a centre crop keeps."),
        click.option("--resize", help="center_crop, stretch or letterbox."),
        click.option("--color", help="rgb or bgr."),
        click.option("--range", help="What its input spans: 0..1, -1..1 or 0..255."),
        click.option("--std", metavar="X[,Y,Z]", help="What it divides by, on the 0..255 scale."),
        click.option("--mean", metavar="X[,Y,Z]", help="What it subtracts, on the 0..255 scale."),
        click.option("--preprocess", metavar="FILE", help="A preprocess.toml; or probe, to try on --data."),
        click.option("--labels", metavar="FILE", help="Its class names, one a line; or imagenet."),
    ):
        command = option(command)
    return command


OWN_MODEL = (
    *("labels", "preprocess", "mean", "std", "range", "color", "resize", "crop_fraction"),
    *("interpolation", "pad_value", "size", "output"),
)


@cli.command()
@click.argument("model", required=False)
@click.option("--int8", is_flag=True, help="Add the int8 twin of each format.")
@click.option("--fp16", is_flag=True, help="Add float16 weights of each format, for GPUs and storage.")
@click.option("--dynamic", is_flag=True, help="Add int8 weights with float arithmetic: no calibration.")
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Lose at most this: top-1 points on --data, else changed answers; fail otherwise.",
)
@click.option(
    "--target",
    default="auto",
    show_default=True,
    help="The device the artifacts are for; see `edgecv devices`.",
)
@click.option("--to", "formats", help="Formats, comma-separated.  [default: tflite,onnx,openvino]")
@click.option(
    "--calibration",
    help="Where int8 ranges are from: a folder, a pattern, a video or a camera; see `edgecv calibration`.",
)
@click.option("--no-check", is_flag=True, help="Calibrate on all pictures, blurred or not.")
@click.option(
    "--data", type=click.Path(), help="Labelled pictures to measure accuracy on (labels.csv or folders)."
)
@click.option("--weights", type=click.Path(), help="Weights file instead of the published one.")
@own_model_options
@click.option("--out", "-o", type=click.Path(), help="Bundle folder to write.  [default: the cache]")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Draws the calibration pictures."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def convert(model: str | None, formats: str | None, no_check: bool, as_json: bool, **options: Any) -> None:
    """Convert MODEL to one verified bundle of TFLite, ONNX and OpenVINO files.

    MODEL is a known one (efficientnet-lite0 is the default; mobilenetv2, efficientnet-b0, ...), or your own:
    an .onnx, .keras, .h5 or .pt2 file, a SavedModel folder, or package.module:factory for PyTorch.
    """
    from edgecv import api, show
    from edgecv.converters.models import DEFAULT_MODEL

    own = {name: options.pop(name) for name in OWN_MODEL}
    with show.progress() as reporter:
        conversion = api.convert(
            model or DEFAULT_MODEL,
            formats=_formats(formats),
            check_pictures=not no_check,
            own={name: value for name, value in own.items() if value is not None},
            reporter=reporter,
            **options,
        )
    if as_json:
        click.echo(json.dumps(show.conversion_json(conversion), indent=2))
    else:
        show.conversion(conversion)
    if conversion.missed:
        raise ConversionError(conversion.missed)


def source_options(command: Any) -> Any:
    """Where the frames of `run` come from."""
    for option in (
        click.option(
            "--frozen",
            "frozen_s",
            default=10.0,
            show_default=True,
            type=click.FloatRange(min=0.1),
            metavar="SECONDS",
            help="A live source without a frame for so long is opened again.",
        ),
        click.option("--no-reconnect", is_flag=True, help="End when a live source ends."),
        click.option("--realtime", is_flag=True, help="Play a video at its own rate, as a camera would."),
        click.option("--loop", is_flag=True, help="Start a video again at its end."),
        click.option(
            "--source",
            help="Camera, file, folder, stream, - or synthetic:WxH@FPS.  [default: the profile's camera]",
        ),
    ):
        command = option(command)
    return command


def event_options(command: Any) -> Any:
    """What of a frame is looked at, and when a label counts as seen."""
    for option in (
        click.option("--motion-gate", is_flag=True, help="Skip inference while nothing moves."),
        click.option(
            "--min-duration",
            "min_duration_s",
            default=0.0,
            show_default=True,
            type=click.FloatRange(min=0),
            metavar="SECONDS",
            help="Labels seen for a shorter time are no event.",
        ),
        click.option(
            "--hits",
            default="3/5",
            show_default=True,
            metavar="N/M",
            help="On, or off, after N of the last M frames.",
        ),
        click.option(
            "--off",
            type=click.FloatRange(0, 1, min_open=True),
            help="Score below which a label goes off.  [default: 0.6 of --on]",
        ),
        click.option(
            "--on",
            default=0.5,
            show_default=True,
            type=click.FloatRange(0, 1, min_open=True),
            help="Score from which a label goes on.",
        ),
        click.option("--deny", multiple=True, metavar="LABEL", help="Never answer such labels; repeatable."),
        click.option(
            "--allow",
            multiple=True,
            metavar="LABEL",
            help="Answer only such labels: a name, a pattern or @FILE; repeatable.",
        ),
        click.option(
            "--region",
            "regions",
            multiple=True,
            metavar="[NAME=]X,Y,W,H",
            help="Classify this part of the picture; repeatable.",
        ),
    ):
        command = option(command)
    return command


@cli.command()
@bundle_options
@source_options
@event_options
@click.option(
    "--top", "top_k", default=3, show_default=True, type=click.IntRange(min=1), help="Classes a frame."
)
@click.option("--frames", type=click.IntRange(min=1, max=10**12), help="Stop after this many frames.")
@click.option(
    "--out",
    "-o",
    multiple=True,
    metavar="SINK",
    help="Where results go, repeatable: -, a .jsonl, .csv or .mp4 file, a folder/ for snapshots, mqtt://, "
    "http:// or prometheus:PORT.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as --out -: a JSON object a line and frame.")
@click.option(
    "--serve",
    is_flag=False,
    flag_value="",
    metavar="[HOST:PORT]",
    help="Show a live page; a PORT alone will do.  [default address: 127.0.0.1:8080]",
)
@click.option("--token", envvar="EDGECV_TOKEN", help="What the live page asks for; made where it must be.")
def run(
    format: str | None,
    precision: str | None,
    as_json: bool,
    out: tuple[str, ...],
    no_reconnect: bool,
    on: float,
    off: float | None,
    hits: str,
    min_duration_s: float,
    **options: Any,
) -> None:
    """Classify what a camera sees, until Ctrl-C or the end of the file."""
    from edgecv import api, show
    from edgecv.runtime.events import Rules, parse_hits

    needed, window = parse_hits(hits)
    off = 0.6 * on if off is None else off
    rules = Rules(on=on, off=off, hits=needed, window=window, min_duration_s=min_duration_s)
    with show.running() as heartbeat:
        opened = api.open_run(
            format=_format(format),
            precision=_precision(precision),
            rules=rules,
            out=("-", *out) if as_json and "-" not in out else out,
            reconnect=not no_reconnect,
            heartbeat=heartbeat,
            **options,
        )
        with opened as session:
            show.run(session)


class Listed(click.types.StringParamType):
    """Text, perhaps one of several in an environment variable: blanks are part of labels and files."""

    envvar_list_splitter = ";"


def from_environment(command: click.Command) -> None:
    """Let every option come from EDGECV_COMMAND_OPTION, too: a service's passwords do."""
    for option in command.params:
        if isinstance(option, click.Option):
            name = max(option.opts, key=len).lstrip("-").upper().replace("-", "_")
            own = [option.envvar] if isinstance(option.envvar, str) else []
            option.envvar = [*own, f"EDGECV_{str(command.name).upper()}_{name}"]
            if option.multiple:
                option.type = Listed()


from_environment(run)


@cli.group()
def service() -> None:
    """Keep `edgecv run` running: a systemd service."""


def service_options(command: Any) -> Any:
    for option in (
        click.option("--system", is_flag=True, help="The machine's service, not the user's; takes root."),
        click.option("--name", default="edgecv", show_default=True, help="The service's name."),
    ):
        command = option(command)
    return command


@service.command("install")
@service_options
@click.option(
    "--memory-max", "memory_max_mb", type=click.IntRange(min=1), metavar="MB", help="Its memory limit."
)
@click.option(
    "--watchdog",
    "watchdog_s",
    default=60,
    show_default=True,
    type=click.IntRange(min=0),
    metavar="SECONDS",
    help="Start it again when it was silent for so long.",
)
@click.option("--replace", is_flag=True, help="Replace a unit that edgecv did not write.")
@click.argument("arguments", nargs=-1, metavar="-- RUN_OPTIONS")
def service_install(name: str, system: bool, arguments: tuple[str, ...], **options: Any) -> None:
    """Write, enable and start the unit that runs `edgecv run RUN_OPTIONS`.

    For example: edgecv service install -- my-bundle --source 0 --out mqtt://broker/door
    """
    from edgecv import service, show

    # A mistake is said now, not in the journal.
    asked = run.make_context("edgecv run", list(arguments)).params
    if str(asked["source"]).startswith("-"):
        raise UsageError("a service has no standard input: give another --source")
    if asked["as_json"] or "-" in asked["out"]:
        raise UsageError("a service has no standard output: give a file or another place to --out")
    if not asked["out"] and asked["serve"] is None:
        raise UsageError("nobody would see the results: give --out or --serve")
    show.installed(service.install(name, arguments, user=not system, **options))


@service.command("status")
@service_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def service_status(name: str, system: bool, as_json: bool) -> None:
    """Say what systemd knows of the service."""
    from edgecv import service, show

    show.service_status(service.status(name, user=not system), as_json)


@service.command("remove")
@service_options
def service_remove(name: str, system: bool) -> None:
    """Stop and disable the service, and remove its unit."""
    from edgecv import service

    click.echo(f"Removed {service.remove(name, user=not system)}")


@cli.command()
@bundle_options
@click.option("--data", type=click.Path(), help="Labelled pictures: adds accuracy to the report.")
@click.option("--out", "-o", type=click.Path(), help="Report folder.  [default: ./edgecv-NAME-report]")
def bench(
    bundle: str | None,
    device: str,
    format: str | None,
    precision: str | None,
    threads: int | None,
    data: str | None,
    out: str | None,
) -> None:
    """Measure every artifact of BUNDLE on this machine and write a report."""
    from edgecv import api, show

    with show.progress() as shown:
        result, written = api.bench(
            bundle, device, _format(format), _precision(precision), threads, data, out, shown.share
        )
    show.report(result, written)


@cli.command("eval")
@bundle_options
@click.option("--data", type=click.Path(), required=True, help="Labelled pictures (labels.csv or folders).")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluate(
    bundle: str | None,
    device: str,
    format: str | None,
    precision: str | None,
    threads: int | None,
    data: str,
    as_json: bool,
) -> None:
    """Measure top-1, top-5 and agreement with float on labelled pictures."""
    from edgecv import api, show

    with show.progress() as shown:
        rows = api.evaluate(
            bundle, data, device, _format(format), _precision(precision), threads, shown.share
        )
    show.accuracies(rows, as_json)


@cli.command()
@bundle_options
def verify(
    bundle: str | None, device: str, format: str | None, precision: str | None, threads: int | None
) -> None:
    """Check BUNDLE's hashes and replay its golden samples in every engine here."""
    from edgecv import api, show

    rows = api.verify(bundle, device, _format(format), _precision(precision), threads)
    show.replayed(rows)
    if not any(row.passed for row in rows) or any(row.passed is False for row in rows):
        raise SystemExit(1)


@cli.command()
@click.argument("bundle", required=False)
@click.option("--format", type=click.Choice(FORMATS), help="Only artifacts of this format.")
@click.option("--precision", type=click.Choice(PRECISIONS), help="Only artifacts of this precision.")
@click.option("--operations", is_flag=True, help="List every operation with its precision.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def inspect(
    bundle: str | None, format: str | None, precision: str | None, operations: bool, as_json: bool
) -> None:
    """Show what BUNDLE's files hold, what they lose, and what was tried for them."""
    from edgecv import api, show

    show.inspected(api.inspect(bundle, _format(format), _precision(precision)), operations, as_json)


@cli.command()
@click.argument("report", type=click.Path())
@click.option("--out", "-o", type=click.Path(), help="Folder to write.  [default: beside the JSON]")
def report(report: str, out: str | None) -> None:
    """Render a bench's report.json, perhaps from another board, as Markdown and HTML."""
    from edgecv import api, show

    loaded, written = api.render(report, out)
    show.report(loaded, written)


@cli.group(invoke_without_command=True)
@click.pass_context
def devices(context: click.Context) -> None:
    """List device profiles; show one; detect this machine."""
    if context.invoked_subcommand is None:
        from edgecv import show

        show.device_list()


@devices.command("show")
@click.argument("name")
def devices_show(name: str) -> None:
    """Print the profile NAME with the source of every fact."""
    from edgecv import show

    show.device(name)


@devices.command("detect")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def devices_detect(as_json: bool) -> None:
    """Say what this machine is and which profile it runs with."""
    from edgecv import show

    show.detected(as_json)


@cli.group()
def calibration() -> None:
    """Look at the pictures int8 ranges are taken from; gather them from a camera."""


@calibration.command("check")
@click.argument("where", metavar="DIR|GLOB|VIDEO|SOURCE")
@click.option("--data", type=click.Path(), help="Labelled pictures to judge on: says which are in both.")
@click.option("--model", help="Measure how stable its ranges are.  [default: efficientnet-lite0]")
@click.option("--weights", type=click.Path(), help="Its weights file instead of the published one.")
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Draws the pictures ranges are measured on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def calibration_check(
    where: str, data: str | None, model: str | None, weights: str | None, seed: int, as_json: bool
) -> None:
    """Say what is wrong with calibration pictures, and whether more are needed.

    Blurred, badly exposed, damaged, too small and repeated pictures are those `convert` leaves out. The exit
    code is 1 when fewer than 16 are left.
    """
    from edgecv import api, show

    with show.progress() as reporter:
        checked = api.check_calibration(
            where, data=data, model=model, weights=weights, seed=seed, reporter=reporter
        )
    show.checked(checked, as_json)
    if not checked.report.enough:
        raise SystemExit(1)


@calibration.command("collect")
@click.option(
    "--source",
    default="camera",
    show_default=True,
    help="Camera, video, stream or synthetic:WxH@FPS; camera is the profile's.",
)
@click.option("--count", default=200, show_default=True, type=click.IntRange(1, 100_000), help="Frames.")
@click.option("--out", "-o", type=click.Path(), required=True, help="Folder to write the JPEG files to.")
@click.option("--append", is_flag=True, help="Add to the frames that are in the folder.")
@click.option(
    "--minutes",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="Stop after this time.",
)
@click.option("--device", default="auto", show_default=True, help="A profile, a family or auto.")
def calibration_collect(source: str, count: int, out: str, append: bool, minutes: float, device: str) -> None:
    """Gather different, sharp and well exposed frames from a camera, to calibrate on.

    Move the camera, or wait for the scene to change. Ctrl-C keeps what was gathered. The exit code is 1 when
    the folder holds fewer than 16 frames in the end.
    """
    from edgecv import api, show

    with show.progress() as reporter:
        collected = api.collect_calibration(
            source, out, count, device=device, append=append, minutes=minutes, reporter=reporter
        )
    show.collected(collected)
    if not collected.enough:
        raise SystemExit(1)


def _formats(text: str | None) -> tuple[Format, ...]:
    from edgecv.spec import Format

    if text is None:
        return tuple(Format)
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(FORMATS)}", param_hint="--to")
    return tuple(dict.fromkeys(Format(name) for name in names))


def _format(name: str | None) -> Format | None:
    from edgecv.spec import Format

    return Format(name) if name else None


def _precision(name: str | None) -> Precision | None:
    from edgecv.spec import Precision

    return Precision(name) if name else None


def main() -> None:
    """Entry point: 0 when done, 2 for a wrong call, 1 for a failure, 130 when interrupted early."""
    for number, name in enumerate(("stdout", "stderr"), start=1):
        if getattr(sys, name) is None:  # closed by the caller, as by `>&-`
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
            setattr(sys, name, os.fdopen(number, "w"))
    # As Ctrl-C does: half-written folders are removed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    debug = "--debug" in sys.argv[1:] or bool(os.environ.get("EDGECV_DEBUG"))
    try:
        status = cli.main(standalone_mode=False, prog_name="edgecv")
    except EdgecvError as error:
        status = _failed(error, error.exit_code, debug)
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        click.echo("edgecv: interrupted", err=True)
        status = 130
    except (OSError, MemoryError) as error:
        status = _failed(error, 1, debug)
    sys.exit(status if isinstance(status, int) else 0)


def _failed(error: Exception, status: int, debug: bool) -> int:
    with contextlib.suppress(OSError):  # stderr itself may be what failed
        if debug:
            import traceback

            traceback.print_exception(error)
        click.echo(f"edgecv: error: {error}", err=True)
    return status


if __name__ == "__main__":
    main()
