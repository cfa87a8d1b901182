"""Options that several commands have."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from edgecv.errors import UsageError

if TYPE_CHECKING:
    from edgecv.spec import Format, Precision

FORMATS = ("tflite", "onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "int8", "dynamic")


def _to_format(_context: click.Context, _option: click.Parameter, name: str | None) -> Format | None:
    from edgecv.spec import Format

    return Format(name) if name else None


def _to_precision(_context: click.Context, _option: click.Parameter, name: str | None) -> Precision | None:
    from edgecv.spec import Precision

    return Precision(name) if name else None


def options(*decorators: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One decorator of several, in the order they are listed in the help."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def split_formats(text: str | None, option: str) -> tuple[str, ...] | None:
    """The names in a comma-separated list, None for no list; a wrong call unless all are of FORMATS."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    for name in names:
        if name not in FORMATS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(FORMATS)}", param_hint=option)
    return tuple(dict.fromkeys(names))


def check_there(**paths: str | None) -> None:
    """Raise UsageError for the file or folder of an option that is not there; an empty one is said later."""
    for name, path in paths.items():
        if path and not os.path.exists(path):
            raise UsageError(f"--{name} {path}: there is no such file or folder")


artifact_options = options(
    click.argument("bundle", required=False),
    click.option(
        "--format", type=click.Choice(FORMATS), callback=_to_format, help="Only artifacts of this format."
    ),
    click.option(
        "--precision",
        type=click.Choice(PRECISIONS),
        callback=_to_precision,
        help="Only artifacts of this precision.",
    ),
)


def _use_profiles(_context: click.Context, _option: click.Parameter, folder: str | None) -> None:
    if folder:
        os.environ["EDGECV_DEVICES"] = folder  # so that child processes find them, too


profiles_option = click.option(
    "--profiles",
    type=click.Path(exists=True, file_okay=False),
    expose_value=False,
    is_eager=True,
    callback=_use_profiles,
    help="Folder of device profiles of your own.  [env: EDGECV_DEVICES]",
)
device_option = options(
    click.option(
        "--device",
        default="auto",
        show_default=True,
        help="A profile, a family (rpi, jetson, x86) or auto; see `edgecv devices`.",
    ),
    profiles_option,
)
# What every command has that runs a bundle's artifacts.
bundle_options = options(
    artifact_options,
    device_option,
    click.option("--threads", type=click.IntRange(min=1), help="CPU threads instead of the profile's."),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
power_option = click.option(
    "--power-command", metavar="COMMAND", help="Prints watts: where the board has no sensor of its own."
)
robustness_option = click.option(
    "--robustness",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="With N of the pictures, how accuracy stands noise, blur, low light, JPEG and wrong colours.",
)
