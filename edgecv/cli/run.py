"""From a source to results: run, and the service that keeps it running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from edgecv.cli.options import bundle_options, json_option, options
from edgecv.errors import UsageError

if TYPE_CHECKING:
    from edgecv.spec import Format, Precision


# Where the frames of `run` come from.
source_options = options(
    click.option(
        "--source",
        help="Camera, file, folder, stream, - or synthetic:WxH@FPS.  [default: the profile's camera]",
    ),
    click.option("--loop", is_flag=True, help="Start a video again at its end."),
    click.option("--realtime", is_flag=True, help="Play a video at its own rate, as a camera would."),
    click.option("--no-reconnect", is_flag=True, help="End when a live source ends."),
    click.option(
        "--frozen",
        "frozen_s",
        default=10.0,
        show_default=True,
        type=click.FloatRange(min=0.1),
        metavar="SECONDS",
        help="A live source without a frame for so long is opened again.",
    ),
)

# What of a frame is looked at, and when a label counts as seen.
event_options = options(
    click.option(
        "--region",
        "regions",
        multiple=True,
        metavar="[NAME=]X,Y,W,H",
        help="Classify this part of the picture; repeatable.",
    ),
    click.option(
        "--allow",
        multiple=True,
        metavar="LABEL",
        help="Answer only such labels: a name, a pattern or @FILE; repeatable.",
    ),
    click.option("--deny", multiple=True, metavar="LABEL", help="Never answer such labels; repeatable."),
    click.option(
        "--on",
        default=0.5,
        show_default=True,
        type=click.FloatRange(0, 1, min_open=True),
        help="Score from which a label goes on.",
    ),
    click.option(
        "--off",
        type=click.FloatRange(0, 1, min_open=True),
        help="Score below which a label goes off.  [default: 0.6 of --on]",
    ),
    click.option(
        "--hits",
        default="3/5",
        show_default=True,
        metavar="N/M",
        help="On, or off, after N of the last M frames.",
    ),
    click.option(
        "--min-duration",
        "min_duration_s",
        default=0.0,
        show_default=True,
        type=click.FloatRange(min=0),
        metavar="SECONDS",
        help="Labels seen for a shorter time are no event.",
    ),
    click.option("--motion-gate", is_flag=True, help="Skip inference while nothing moves."),
)


@click.command()
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
    format: Format | None,
    precision: Precision | None,
    as_json: bool,
    out: tuple[str, ...],
    no_reconnect: bool,
    on: float,
    off: float | None,
    hits: str,
    min_duration_s: float,
    **asked: Any,
) -> None:
    """Classify what a camera sees, until Ctrl-C or the end of the file."""
    from edgecv import api
    from edgecv.runtime.events import Rules, parse_hits
    from edgecv.show import running

    needed, window = parse_hits(hits)
    off = 0.6 * on if off is None else off
    rules = Rules(on=on, off=off, hits=needed, window=window, min_duration_s=min_duration_s)
    with running.running() as heartbeat:
        opened = api.open_run(
            format=format,
            precision=precision,
            rules=rules,
            out=("-", *out) if as_json and "-" not in out else out,
            reconnect=not no_reconnect,
            heartbeat=heartbeat,
            **asked,
        )
        with opened as session:
            running.run(session)


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


@click.group()
def service() -> None:
    """Keep `edgecv run` running: a systemd service."""


service_options = options(
    click.option("--name", default="edgecv", show_default=True, help="The service's name."),
    click.option("--system", is_flag=True, help="The machine's service, not the user's; takes root."),
)


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
def service_install(name: str, system: bool, arguments: tuple[str, ...], **asked: Any) -> None:
    """Write, enable and start the unit that runs `edgecv run RUN_OPTIONS`.

    For example: edgecv service install -- my-bundle --source 0 --out mqtt://broker/door
    """
    from edgecv import service
    from edgecv.show import running

    # A mistake is said now, not in the journal.
    given = run.make_context("edgecv run", list(arguments)).params
    if str(given["source"]).startswith("-"):
        raise UsageError("a service has no standard input: give another --source")
    if given["as_json"] or "-" in given["out"]:
        raise UsageError("a service has no standard output: give a file or another place to --out")
    if not given["out"] and given["serve"] is None:
        raise UsageError("nobody would see the results: give --out or --serve")
    running.installed(service.install(name, arguments, user=not system, **asked))


@service.command("status")
@service_options
@json_option
def service_status(name: str, system: bool, as_json: bool) -> None:
    """Say what systemd knows of the service."""
    from edgecv import service
    from edgecv.show import running

    running.service_status(service.status(name, user=not system), as_json)


@service.command("remove")
@service_options
def service_remove(name: str, system: bool) -> None:
    """Stop and disable the service, and remove its unit."""
    from edgecv import service

    click.echo(f"Removed {service.remove(name, user=not system)}")
