"""What converting MobileNetV2 costs, here and with the usual tools: python benchmarks/convert.py --help

Every tool runs in a fresh process, imports included, because that is what a user waits for; README.md beside
this file says what is compared with what.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from processes import Cost, reason, spawn, workplace

HERE = Path(__file__).resolve().parent
OTHER = str(HERE / "other_tools.py")
OURS = "edgecv"


@dataclass(frozen=True)
class Step:
    """One process: the environment it runs in (OURS, tensorflow or torch), and its arguments."""

    environment: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Tool:
    """One way of making one artifact; `makes` is what it is compared within."""

    makes: str
    name: str
    steps: tuple[Step, ...]


@dataclass
class Row:
    """A tool's median over its runs; `status` is ok, or why there is none."""

    makes: str
    tool: str
    status: str
    cost: Cost | None = None
    runs: list[Cost] = field(default_factory=list)
    stages: dict[str, float] = field(default_factory=dict)  # wall seconds of ours, of the last run


def tools(weights: Path, calibration: Path, images: Path, out: Path) -> list[Tool]:
    """Every comparison. `calibration` is a folder of pictures for ours, `images` the same as an array."""

    def ours(formats: str, *more: str) -> Step:
        given = ("--weights", str(weights), "--to", formats, "-o", str(out / "bundle"), "--json", *more)
        return Step(OURS, ("-m", "edgecv", "convert", "mobilenetv2", *given))

    def other(environment: str, tool: str, source: Path, name: str, *more: str) -> Step:
        return Step(environment, (OTHER, tool, str(source), str(out / name), *more))

    int8 = ("--int8", "--calibration", str(calibration))
    seen = str(images)
    torch_onnx = other("torch", "torch-onnx", weights, "torch.onnx")
    keras_onnx = other("tensorflow", "keras-onnx", weights, "keras.onnx")
    torch_file, keras_file = out / "torch.onnx", out / "keras.onnx"
    tflite_int8 = other("tensorflow", "keras-tflite", weights, "i.tflite", seen)
    return [
        Tool("tflite fp32", OURS, (ours("tflite"),)),
        Tool("tflite fp32", "TFLiteConverter", (other("tensorflow", "keras-tflite", weights, "f.tflite"),)),
        Tool("onnx fp32", OURS, (ours("onnx"),)),
        Tool("onnx fp32", "Keras export (tf2onnx)", (keras_onnx,)),
        Tool("onnx fp32", "torch.onnx.export", (torch_onnx,)),
        Tool("openvino fp32", OURS, (ours("openvino"),)),
        Tool("openvino fp32", "Keras, openvino", (other("tensorflow", "keras-openvino", weights, "f.xml"),)),
        Tool(
            "openvino fp32",
            "torch.onnx.export, openvino",
            (torch_onnx, other(OURS, "onnx-openvino", torch_file, "g.xml")),
        ),
        Tool("all three fp32", OURS, (ours("tflite,onnx,openvino"),)),
        Tool("tflite int8", OURS, (ours("tflite", *int8),)),
        Tool("tflite int8", "TFLiteConverter", (tflite_int8,)),
        Tool("onnx int8", OURS, (ours("onnx", *int8),)),
        Tool(
            "onnx int8",
            "Keras export, quantize_static",
            (keras_onnx, other(OURS, "onnx-int8", keras_file, "i.onnx", seen)),
        ),
        Tool(
            "onnx int8",
            "torch.onnx.export, quantize_static",
            (torch_onnx, other(OURS, "onnx-int8", torch_file, "j.onnx", seen)),
        ),
        Tool("openvino int8", OURS, (ours("openvino", *int8),)),
        Tool(
            "openvino int8", "Keras, nncf", (other("tensorflow", "keras-openvino", weights, "i.xml", seen),)
        ),
        Tool(
            "openvino int8",
            "torch.onnx.export, nncf",
            (torch_onnx, other(OURS, "onnx-openvino", torch_file, "j.xml", seen)),
        ),
    ]


def run(tool: Tool, pythons: Mapping[str, str], environment: Mapping[str, str]) -> tuple[str, Cost, str]:
    """(ok or why not, the cost of all steps together, what the last printed)."""
    total, printed = Cost(0.0, 0.0, 0.0), ""
    for step in tool.steps:
        done = spawn([pythons[step.environment], *step.arguments], environment)
        if done.status:
            return reason(done), total, ""
        total = Cost(
            total.wall_s + done.cost.wall_s,
            total.cpu_s + done.cost.cpu_s,
            max(total.peak_mb, done.cost.peak_mb),
        )
        printed = done.stdout
    return "ok", total, printed


def measure(tool: Tool, repeats: int, pythons: Mapping[str, str], environment: Mapping[str, str]) -> Row:
    """Once to compile bytecode and fill the file cache, not counted; then `repeats` times."""
    row = Row(tool.makes, tool.name, "ok")
    for number in range(repeats + 1):
        row.status, cost, printed = run(tool, pythons, environment)
        if row.status != "ok":
            return row
        if number:
            row.runs.append(cost)
            row.stages = stages(printed) if tool.name == OURS else {}
    row.cost = median(row.runs)
    return row


def median(runs: Sequence[Cost]) -> Cost:
    return Cost(*(statistics.median(getattr(run, name) for run in runs) for name in asdict(runs[0])))


def stages(printed: str) -> dict[str, float]:
    """The seconds of each stage, as `edgecv convert --json` prints them."""
    return dict(json.loads(printed)["seconds"])


def ratios(rows: Sequence[Row]) -> dict[tuple[str, str], tuple[float, float]]:
    """For every measured tool: its wall and CPU time against ours of the same artifact."""
    ours = {row.makes: row.cost for row in rows if row.tool == OURS and row.cost}
    return {
        (row.makes, row.tool): (row.cost.wall_s / base.wall_s, row.cost.cpu_s / base.cpu_s)
        for row in rows
        if row.cost and (base := ours.get(row.makes))
    }


def cells(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table: artifact, tool, wall s, CPU s, peak MB, wall and CPU time against ours."""
    against = ratios(rows)
    table = []
    for row in rows:
        if row.cost is None:
            table.append((row.makes, row.tool, row.status, "", "", "", ""))
            continue
        times = against.get((row.makes, row.tool))
        shown = ("", "") if times is None else tuple(f"{ratio:.1f}" for ratio in times)
        numbers = (f"{row.cost.wall_s:.1f}", f"{row.cost.cpu_s:.1f}", f"{row.cost.peak_mb:.0f}")
        table.append((row.makes, row.tool, *numbers, *shown))
    return table


HEADER = ("artifact", "tool", "wall s", "CPU s", "peak MB", "wall / ours", "CPU / ours")


def show(rows: Sequence[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*HEADER[:2])
    for name in HEADER[2:]:
        table.add_column(name, justify="right")
    for line in cells(rows):
        table.add_row(*line)
    console = Console(width=None if sys.stdout.isatty() else 110)
    console.print(table)
    for row in rows:
        if row.stages:
            parts = ", ".join(f"{name} {seconds:.1f}" for name, seconds in row.stages.items())
            console.print(f"{row.makes}, seconds of ours: {parts}", highlight=False)


def pictures(calibration: Path | None, count: int, folder: Path) -> tuple[Path, Path]:
    """(a folder of pictures, the same as [N, 224, 224, 3] uint8 in a .npy file).

    Without a folder of the user's, smooth random pictures are drawn: the time is the same.
    """
    import cv2
    import numpy as np

    if calibration is None:
        calibration = folder / "pictures"
        calibration.mkdir()
        random = np.random.default_rng(0)
        for i in range(count):
            small = random.integers(0, 256, (12, 16, 3), dtype=np.uint8)
            large = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(calibration / f"{i:03}.jpg"), large)
    from edgecv.converters.models import get_model
    from edgecv.data import load_pictures

    images = load_pictures(calibration, get_model("mobilenetv2").preprocess, count).images
    np.save(folder / "images.npy", images)
    return calibration, folder / "images.npy"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--tensorflow-python", default=sys.executable, help="Python with TensorFlow and Keras."
    )
    parser.add_argument("--torch-python", default=sys.executable, help="Python with PyTorch and onnxscript.")
    parser.add_argument(
        "--weights", type=Path, help="MobileNetV2 .weights.h5 (default: random ones, by Keras)."
    )
    parser.add_argument("--calibration", type=Path, help="Folder of pictures (default: drawn).")
    parser.add_argument("--repeats", type=int, default=3, help="Measured runs of each; the median is shown.")
    parser.add_argument("--only", default="", help="Only artifacts with this in their name, such as fp32.")
    parser.add_argument("--json", type=Path, help="Write every run here.")
    return parser.parse_args(arguments)


def main() -> int:
    given = parse()
    pythons = {OURS: sys.executable, "tensorflow": given.tensorflow_python, "torch": given.torch_python}
    with workplace(TF_CPP_MIN_LOG_LEVEL="2", KERAS_BACKEND="tensorflow") as (folder, environment):
        weights = given.weights or folder / "random.weights.h5"
        if given.weights is None:
            made = spawn([pythons["tensorflow"], OTHER, "random-weights", "", str(weights)], environment)
            if made.status:
                print(
                    f"random weights: {reason(made)}; give --weights or --tensorflow-python", file=sys.stderr
                )
                return 1
        calibration, images = pictures(given.calibration, 128, folder)
        rows = []
        for tool in tools(weights, calibration, images, folder):
            if given.only in tool.makes:
                print(f"{tool.makes}: {tool.name}", file=sys.stderr, flush=True)
                rows.append(measure(tool, given.repeats, pythons, environment))
        show(rows)
        if given.json:
            given.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
