"""From a model to a bundle: convert, inspect, and the pictures it is calibrated on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from edgecv.cli.options import artifact_options, check_there, json_option, options, split_formats
from edgecv.errors import ConversionError

if TYPE_CHECKING:
    from edgecv.spec import Format, Precision


# The options of `convert` that say what a model's own file does not.
own_model_options = options(
    click.option("--labels", metavar="FILE", help="Its class names, one a line; or imagenet."),
    click.option("--preprocess", metavar="FILE", help="A preprocess.toml; or probe, to try on --data."),
    click.option("--mean", metavar="X[,Y,Z]", help="What it subtracts, on the 0..255 scale."),
    click.option("--std", metavar="X[,Y,Z]", help="What it divides by, on the 0..255 scale."),
    click.option("--range", help="What its input spans: 0..1, -1..1 or 0..255."),
    click.option("--color", help="rgb or bgr."),
    click.option("--resize", help="center_crop, stretch or letterbox."),
    click.option("--crop-fraction", type=float, help="Share of the picture that a centre crop keeps."),
    click.option("--interpolation", help="linear, cubic or area."),
    click.option("--pad-value", type=click.IntRange(0, 255), help="Grey of a letterbox's border."),
    click.option("--size", metavar="HxW", help="Input size, where the file leaves it open."),
    click.option("--output", help="Which of several outputs holds the classes."),
)
OWN_MODEL = (
    *("labels", "preprocess", "mean", "std", "range", "color", "resize", "crop_fraction"),
    *("interpolation", "pad_value", "size", "output"),
)


@click.command()
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
@json_option
def convert(model: str | None, formats: str | None, no_check: bool, as_json: bool, **asked: Any) -> None:
    """Convert MODEL to one verified bundle of TFLite, ONNX and OpenVINO files.

    MODEL is a known one (efficientnet-lite0 is the default; mobilenetv2, efficientnet-b0, ...), or your own:
    an .onnx, .keras, .h5 or .pt2 file, a SavedModel folder, or package.module:factory for PyTorch.
    """
    from edgecv import api
    from edgecv.converters.models import DEFAULT_MODEL
    from edgecv.show import converting
    from edgecv.show.terminal import progress
    from edgecv.spec import Format

    check_there(data=asked["data"], weights=asked["weights"])
    own = {name: asked.pop(name) for name in OWN_MODEL}
    with progress() as reporter:
        conversion = api.convert(
            model or DEFAULT_MODEL,
            formats=tuple(map(Format, split_formats(formats, "--to") or Format)),
            check_pictures=not no_check,
            own={name: value for name, value in own.items() if value is not None},
            reporter=reporter,
            **asked,
        )
    if as_json:
        click.echo(json.dumps(converting.conversion_json(conversion), indent=2))
    else:
        converting.conversion(conversion)
    if conversion.missed:
        raise ConversionError(conversion.missed)


@click.command()
@artifact_options
@click.option("--operations", is_flag=True, help="List every operation with its precision.")
@json_option
def inspect(
    bundle: str | None, format: Format | None, precision: Precision | None, operations: bool, as_json: bool
) -> None:
    """Show what BUNDLE's files hold, what they lose, and what was tried for them."""
    from edgecv import api
    from edgecv.show import converting

    converting.inspected(api.inspect(bundle, format, precision), operations, as_json)


@click.group()
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
@json_option
def calibration_check(
    where: str, data: str | None, model: str | None, weights: str | None, seed: int, as_json: bool
) -> None:
    """Say what is wrong with calibration pictures, and whether more are needed.

    Blurred, badly exposed, damaged, too small and repeated pictures are those `convert` leaves out. The exit
    code is 1 when fewer than 16 are left.
    """
    from edgecv import api
    from edgecv.show import calibration as shown
    from edgecv.show.terminal import progress

    check_there(data=data, weights=weights)
    with progress() as reporter:
        checked = api.check_calibration(
            where, data=data, model=model, weights=weights, seed=seed, reporter=reporter
        )
    shown.checked(checked, as_json)
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
    from edgecv import api
    from edgecv.show import calibration as shown
    from edgecv.show.terminal import progress

    with progress() as reporter:
        collected = api.collect_calibration(
            source, out, count, device=device, append=append, minutes=minutes, reporter=reporter
        )
    shown.collected(collected)
    if not collected.enough:
        raise SystemExit(1)
