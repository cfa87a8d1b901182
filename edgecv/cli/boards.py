"""The boards: profiles and this machine."""

from __future__ import annotations

import click

from edgecv.cli.options import json_option


@click.group(invoke_without_command=True)
@click.pass_context
def devices(context: click.Context) -> None:
    """List device profiles; show one; detect this machine."""
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
    """Say what this machine is and which profile it runs with."""
    from edgecv.show import boards

    boards.detected(as_json)
