"""The boards: profiles, this machine, what is wrong with it, and what another one needs."""

from __future__ import annotations

from typing import Any

import click

from edgecv.cli.options import device_option, json_option, profiles_option, split_formats


@click.group(invoke_without_command=True)
@profiles_option
@click.pass_context
def devices(context: click.Context) -> None:
    """List device profiles; show one; detect this machine; write a profile of it."""
    if context.invoked_subcommand is None:
        from edgecv.show import boards

        boards.device_list()


@devices.command("show")
@click.argument("name")
def devices_show(name: str) -> None:
    """Print the profile NAME with the source of every fact."""
    from edgecv.show import boards

    boards.device(name)


@devices.command("detect")
@json_option
def devices_detect(as_json: bool) -> None:
    """Say what this machine is, what is built in, and which profile it runs with."""
    from edgecv.show import boards

    boards.detected(as_json)


@devices.command("new")
@click.argument("name")
@click.option(
    "--report", type=click.Path(), help="Order artifacts as a report.json of this machine measured them."
)
@click.option("--measure", metavar="BUNDLE", help="Measure BUNDLE first, quickly, and order by that.")
@click.option("--force", is_flag=True, help="Replace the file; believe an INVALID measurement.")
@click.option(
    "--out", "-o", type=click.Path(), help="File to write.  [default: NAME.toml in your folder of profiles]"
)
def devices_new(**asked: Any) -> None:
    """Write a profile of this machine from what is detected and measured."""
    from edgecv import api
    from edgecv.show import boards
    from edgecv.show.terminal import progress

    with progress() as shown:
        path, followed = api.new_device(**asked, progress=shown.share)
    boards.new_device(path, followed)


@click.command()
@click.argument("bundle", required=False)
@device_option
@click.option("--source", help="Open this source for one frame.  [default: the profile's camera, not opened]")
@json_option
def doctor(bundle: str | None, device: str, source: str | None, as_json: bool) -> None:
    """Say what is wrong with this board, and what to do about it.

    The exit code is 1 when something would stop `edgecv run`. Nothing is changed.
    """
    from edgecv.doctor import examine
    from edgecv.show import boards
    from edgecv.show.terminal import progress

    with progress() as shown:
        found = examine(bundle, device=device, source=source, progress=shown.share)
    boards.diagnosed(found, as_json)
    if not found.ok:
        raise SystemExit(1)


@click.command()
@click.argument("bundle", required=False)
@click.option("--device", required=True, help="Which board it is for; see `edgecv devices`.")
@profiles_option
@click.option("--python", metavar="X.Y", help="Its Python.  [default: that of the board's usual system]")
@click.option("--glibc", metavar="X.Y", help="Its C library.  [default: that of the board's usual system]")
@click.option(
    "--engine",
    "engines",
    metavar="LIST",
    help="tflite,onnx,openvino.  [default: the bundle's that have wheels]",
)
@click.option(
    "--out",
    "-o",
    type=click.Path(),
    help="Archive to write.  [default: ./edgecv-BUNDLE-DEVICE-pyVERSION.tar.gz]",
)
def pack(engines: str | None, **asked: Any) -> None:
    """Put BUNDLE, edgecv and its wheels for a board into one archive that installs offline."""
    from edgecv import api
    from edgecv.show import boards
    from edgecv.show.terminal import progress

    with progress() as shown:
        done = api.pack(**asked, engines=split_formats(engines, "--engine"), progress=shown.share)
    boards.packed(done)
