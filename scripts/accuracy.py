"""Convert both models with real weights under --max-drop 0.5 and write the tables of docs/accuracy.md.

python scripts/accuracy.py SHARED                 SHARED holds data/coco128, data/nips17 and models/
python scripts/accuracy.py SHARED --target x86    OpenVINO for CPUs without VNNI
python scripts/accuracy.py SHARED --steps         each preparation of the float graph alone, without a bound
"""

from __future__ import annotations

import argparse
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from edgecv import api
from edgecv.bundle import Artifact, Bundle
from edgecv.converters.calibration import load as load_calibration
from edgecv.converters.convert import Silent
from edgecv.converters.models import get_model, load
from edgecv.converters.preparation import Prepared, bias_corrected, equalised
from edgecv.converters.recipes import Source
from edgecv.converters.search import Judged, search
from edgecv.converters.verify import float_logits
from edgecv.data import load_labelled, read_pictures
from edgecv.spec import Format, Kind, Precision

PAGE = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
MODELS = (
    ("efficientnet-lite0", "EfficientNet-Lite0", None),
    ("mobilenetv2", "MobileNetV2 1.0", "mobilenetv2_1.0_224.weights.h5"),
)
MAX_DROP = 0.5
HEAD = """\
| model | artifact | recipe | top-1 | top-5 | points lost (95 % interval) | agree | MB | ms |
|---|---|---|---:|---:|---:|---:|---:|---:|"""


def rows(title: str, bundle: Bundle) -> Iterator[str]:
    """One row an artifact, the float ones first; the latency is the median while it was measured."""
    for artifact in sorted(bundle.manifest.artifacts, key=lambda a: a.precision is not Precision.FP32):
        if artifact.precision is Precision.FP32 and artifact.format is not Format.TFLITE:
            continue  # the float artifacts answer alike: one row for the three
        yield f"| {title} | {' | '.join(cells(artifact))} |"
        title = ""


def cells(artifact: Artifact) -> Iterator[str]:
    verified = artifact.verified
    assert verified is not None
    floats = artifact.precision is Precision.FP32
    yield "fp32, all three" if floats else str(artifact.kind)
    yield "" if floats else artifact.recipe
    yield f"{100 * (verified.top1 or 0):.1f}"
    yield f"{100 * (verified.top5 or 0):.1f}"
    drop = verified.drop
    yield "" if floats or drop is None else f"{drop.points:+.1f} ({drop.low:+.1f} to {drop.high:+.1f})"
    yield "" if floats else f"{100 * verified.top1_agreement:.1f}"
    yield f"{artifact.bytes / 1e6:.1f}"
    kept = next((trial for trial in artifact.search if trial.verdict == "kept"), None)
    yield "" if kept is None or kept.latency_ms is None else f"{kept.latency_ms:.1f}"


def table(shared: Path, target: str) -> str:
    lines = [HEAD]
    with tempfile.TemporaryDirectory() as folder:
        for name, title, weights in MODELS:
            done = api.convert(
                name,
                int8=True,
                fp16=target == "auto",
                dynamic=target == "auto",
                max_drop=MAX_DROP,
                target=target,
                formats=tuple(Format) if target == "auto" else (Format.OPENVINO,),
                weights=shared / "models" / weights if weights else None,
                calibration=shared / "data" / "coco128" / "images",
                data=shared / "data" / "nips17",
                out=Path(folder) / name,
            )
            made = done.bundle.manifest.artifacts
            lines += [row for row in rows(title, done.bundle) if target == "auto" or "fp32" not in row]
            print(title, "missed" if done.missed else "held", [a.verified and a.verified.drop for a in made])
    return "\n".join(lines)


def steps(shared: Path) -> str:
    """Agreement with float on the labelled pictures, by what the float graph was prepared with."""
    host = api.converting_host()
    lines = ["| model | prepared by | TFLite | ONNX | OpenVINO |", "|---|---|---:|---:|---:|"]
    for name, title, weights in MODELS:
        model = load(get_model(name), shared / "models" / weights if weights else None)
        images = load_calibration(shared / "data" / "coco128" / "images", model.preprocess).pictures.images
        listed = load_labelled(shared / "data" / "nips17", model.labels)
        pictures, _ = read_pictures(listed.paths, model.preprocess, "nips17")
        reference = float_logits(model.graph, model.preprocess, pictures.images, host.threads, _quietly)
        judged = Judged(pictures, reference, None)
        given = (model.preprocess, images, host.threads, _quietly)
        equal = equalised(model.graph, *given)
        for what, graph in (
            ("nothing", model.graph),
            ("channels equalised", equal),
            ("bias corrected", bias_corrected(model.graph, *given)),
            ("both", bias_corrected(equal, *given)),
        ):
            source = Source(
                model.graph,
                Prepared(graph, graph, ()),
                model.preprocess,
                host.threads,
                images,
                lambda _share: (),
            )
            agree = []
            for format in Format:
                kind = Kind(format, Precision.INT8)
                with tempfile.TemporaryDirectory() as folder:
                    found = search(kind, source, Path(folder), host, Silent().stage, judged, None)
                assert found.artifact.verified is not None
                agree.append(f"{100 * found.artifact.verified.top1_agreement:.1f}")
            lines.append(f"| {title} | {what} | {' | '.join(agree)} |")
            print(lines[-1], flush=True)
            title = ""
    return "\n".join(lines)


def _quietly(_count: int) -> None:
    pass


def put(page: str, name: str, content: str) -> str:
    """The page with what stands between <!-- NAME --> and <!-- /NAME --> replaced."""
    block = f"<!-- {name} -->\n{content}\n<!-- /{name} -->"
    return re.sub(rf"<!-- {name} -->.*?<!-- /{name} -->", lambda _: block, page, flags=re.DOTALL)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shared", type=Path)
    parser.add_argument("--target", default="auto", help="auto, or x86: OpenVINO for CPUs without VNNI")
    parser.add_argument("--steps", action="store_true", help="what each preparation is worth")
    given = parser.parse_args()
    made = steps(given.shared) if given.steps else table(given.shared, given.target)
    where = "steps" if given.steps else "here" if given.target == "auto" else given.target
    PAGE.write_text(put(PAGE.read_text(), where, made))
    print(made)
