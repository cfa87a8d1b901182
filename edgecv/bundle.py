"""The bundle: a folder that is the contract between the workstation and the board.

manifest.json   everything below, typed and validated
labels.txt      one class a line
golden.npz      a few inputs with the float model's answers
model.fp32.tflite, model.int8.onnx, model.int8.xml + .bin, ...
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated

import msgspec

from edgecv.errors import BundleError, UsageError
from edgecv.files import cache_dir, sha256_file
from edgecv.spec import (
    Drop,
    Format,
    Fraction,
    Kind,
    NonNegativeInt,
    PositiveInt,
    Precision,
    Preprocess,
    Sha256,
    Struct,
    TensorSpec,
)

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
LABELS = "labels.txt"
GOLDEN = "golden.npz"
PAGE = "conversion.html"
SCHEMA_VERSION = 2
DEFAULT_BUNDLE = "efficientnet-lite0"


class File(Struct):
    """A file of the bundle, by its path inside the folder."""

    path: str
    bytes: NonNegativeInt
    sha256: Sha256


class Agreement(Struct):
    """An artifact against the float source on the same pictures, measured in the artifact's own engine.

    `sqnr_db` is 10*log10(sum(float^2) / sum((float - artifact)^2)) over all logits; None when they are equal.
    `top1` and `top5` are accuracies over `labelled` pictures, None when no labels were given.
    `arithmetic` is the CPU arithmetic it ran on, which decides what int8 gives.
    """

    images: PositiveInt
    pictures: str
    max_abs_error: float
    top1_agreement: Fraction
    sqnr_db: float | None
    labelled: NonNegativeInt = 0
    top1: Fraction | None = None
    top5: Fraction | None = None
    drop: Drop | None = None
    arithmetic: str | None = None


class Trial(Struct):
    """One recipe that a search tried, in the order of trying; `reason` says why it ended as it did.

    verdict: `missed` the bound; `rejected`, as another recipe as fast is nearer to float; `failed` to build.
    latency_ms: median of single pictures while verifying, in the recipe's own engine.
    """

    recipe: str
    verdict: Annotated[str, msgspec.Meta(pattern="^(kept|rejected|missed|failed)$")]
    reason: str
    drop: Drop | None = None
    top1_agreement: Fraction | None = None
    sqnr_db: float | None = None
    bytes: NonNegativeInt | None = None
    latency_ms: float | None = None


class Sensitivity(Struct):
    """What one operation of the float graph costs: the logits' SQNR when it alone is int8 (None: exact)."""

    name: str
    operator: str
    sqnr_db: float | None


class Guarantee(Struct):
    """The bound that was asked for with --max-drop, for which target, and whether all met it."""

    max_drop: float
    target: str
    met: bool


class Artifact(Struct):
    """One model file for one engine. `files[0]` is what the engine opens.

    precise_if_saturating: the engine is to be told to sum exactly on a CPU whose int8 saturates.
    needs_exact_sums: there is no such switch, and on such a CPU it loses accuracy that was not measured.
    search: the recipes that were tried for it.
    """

    format: Format
    precision: Precision
    files: Annotated[tuple[File, ...], msgspec.Meta(min_length=1)]
    input: TensorSpec
    output: TensorSpec
    recipe: str
    precise_if_saturating: bool = False
    needs_exact_sums: bool = False
    verified: Agreement | None = None
    search: tuple[Trial, ...] = ()

    @property
    def kind(self) -> Kind:
        return Kind(self.format, self.precision)

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)


class Origin(Struct):
    """Where the weights came from."""

    model: str
    weights: str
    sha256: Sha256


class Calibration(Struct):
    """The pictures int8 ranges were taken from; `digest` is over the preprocessed pixels, in order."""

    pictures: str
    images: PositiveInt
    digest: Sha256


class Preparation(Struct):
    """An edit of the float graph before int8: the logits' SQNR with it and without, and if it was used."""

    step: str
    sqnr_db: float
    without_db: float
    used: bool


class Made(Struct):
    """How the bundle was made, enough to make it again."""

    origin: Origin
    tools: dict[str, str]
    seed: int
    arithmetic: str
    calibration: Calibration | None = None
    target: str | None = None
    preparation: tuple[Preparation, ...] = ()


class Manifest(Struct):
    schema_version: int
    name: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
    task: Annotated[str, msgspec.Meta(pattern="^classification$")]
    labels: File
    classes: PositiveInt
    preprocess: Preprocess
    artifacts: Annotated[tuple[Artifact, ...], msgspec.Meta(min_length=1)]
    golden: File
    made: Made
    sensitivity: tuple[Sensitivity, ...] = ()
    guarantee: Guarantee | None = None

    def __post_init__(self) -> None:
        seen = set()
        for artifact in self.artifacts:
            if artifact.kind in seen:
                raise ValueError(f"two artifacts are {artifact.kind}")
            seen.add(artifact.kind)
            image, logits = (1, *self.preprocess.size_hw, 3), (1, self.classes)
            if artifact.input.shape != image or artifact.input.dtype != "uint8":
                raise ValueError(f"{artifact.kind} takes another input than the {image} uint8 of preprocess")
            if artifact.output.shape != logits:
                raise ValueError(f"{artifact.kind} gives {artifact.output.shape}, not {logits}")


@dataclass(frozen=True)
class Golden:
    """A few inputs and the float source's answers, to replay on any board.

    images: [N, H, W, 3] uint8 RGB, already preprocessed; logits: [N, classes] float32.
    """

    images: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Bundle:
    """An opened bundle whose manifest is valid and whose files are the ones that were written."""

    root: Path
    manifest: Manifest

    @classmethod
    def open(cls, where: str | Path, whole: bool = True) -> Bundle:
        """Open the bundle in folder `where`, checking the manifest and every file's size and hash.

        whole: False leaves the artifacts to `check`, since hashing those that are not run takes longer than
        loading the one that is. Raises BundleError, which names the file and the key.
        """
        root = Path(where)
        manifest_path = root / MANIFEST
        try:
            text = manifest_path.read_bytes()
        except FileNotFoundError:
            raise BundleError(
                f"no bundle at {root}: {MANIFEST} is not there; `edgecv convert --int8 -o {root}` makes one"
            ) from None
        except OSError as error:
            raise BundleError(f"cannot read {manifest_path}: {error.strerror}") from error
        manifest = _decode(text, manifest_path)
        bundle = cls(root, manifest)
        _check_file(root, manifest.labels)
        _check_file(root, manifest.golden)
        if whole:
            bundle.check(*manifest.artifacts)
        return bundle

    def check(self, *artifacts: Artifact) -> None:
        """Compare the files of these artifacts with their sizes and hashes in the manifest."""
        for artifact in artifacts:
            for file in artifact.files:
                _check_file(self.root, file)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        path = self.root / self.manifest.labels.path
        labels = tuple(path.read_text(encoding="utf-8").splitlines())
        if len(labels) != self.manifest.classes:
            raise BundleError(f"{path}: {len(labels)} labels for {self.manifest.classes} classes")
        return labels

    def path(self, artifact: Artifact) -> Path:
        """The file the engine opens."""
        return self.root / artifact.files[0].path

    def golden(self) -> Golden:
        """The golden samples; BundleError when they are not what this bundle's model takes and gives."""

        import zipfile

        import numpy as np

        path = self.root / self.manifest.golden.path
        try:
            with np.load(path, allow_pickle=False) as arrays:
                images, logits = arrays["images"], arrays["logits"]
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise BundleError(f"{path}: not a golden sample file: {error}") from error
        count = len(images) if images.ndim else 0
        takes, gives = (count, *self.manifest.preprocess.size_hw, 3), (count, self.manifest.classes)
        if not count or (images.shape, images.dtype) != (takes, np.uint8):
            raise BundleError(f"{path}: images are {images.shape} {images.dtype}, not samples of this model")
        if (logits.shape, logits.dtype) != (gives, np.float32):
            raise BundleError(f"{path}: logits are {logits.shape} {logits.dtype}, not {gives} float32")
        return Golden(images, logits)

    def select(
        self, format: Format | None = None, precision: Precision | None = None
    ) -> tuple[Artifact, ...]:
        """The artifacts of that format and precision, None meaning any.

        Raises BundleError when there is none, with what there is.
        """
        chosen = tuple(
            artifact
            for artifact in self.manifest.artifacts
            if format in (None, artifact.format) and precision in (None, artifact.precision)
        )
        if not chosen:
            wanted = ":".join(part.value for part in (format, precision) if part)
            held = ", ".join(str(artifact.kind) for artifact in self.manifest.artifacts)
            raise BundleError(f"{self.root} has no {wanted} artifact; it holds {held}")
        return chosen


def find_bundle(name: str | None) -> Path:
    """A folder, or the name of a bundle in the cache; None is the default model's.

    Raises UsageError for one that is not there, BundleError with the one command that makes the default one.
    """
    if name == "":
        raise UsageError("an empty bundle name; leave it out for the default bundle")
    if name and Path(name).is_file():
        raise UsageError(f"{name} is a file; give the folder of the bundle it belongs to")
    if name and Path(name).is_dir():
        return Path(name)
    if name and os.sep in name:
        raise UsageError(f"{name}: there is no such folder; give that of a bundle")
    cached = bundle_cache(name or DEFAULT_BUNDLE)
    if (cached / MANIFEST).is_file():
        return cached
    if name in (None, DEFAULT_BUNDLE):
        command = "`edgecv convert --int8` makes it (needs: pip install 'edgecv[convert]')"
        raise BundleError(f"no bundle named, and the default one is not in the cache; {command}")
    raise UsageError(
        f"no bundle {name!r} here or in the cache; give the folder of one, or make it with "
        "`edgecv convert MODEL --int8`"
    )


def is_bundle(folder: Path) -> bool:
    """Whether `folder` holds a bundle, perhaps an old or damaged one, and not one file beside it.

    That is what a new bundle may replace.
    """
    try:
        manifest = (folder / MANIFEST).read_bytes()
    except OSError:
        return False
    models = r"model\.(fp32|fp16|int8|dynamic)\.(tflite|onnx|xml|bin)"
    own = re.compile(f"{MANIFEST}|{LABELS}|{GOLDEN}|{PAGE}|{models}")
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return b'"schema_version"' in manifest and all(own.fullmatch(name) for name in names)


def bundle_cache(name: str) -> Path:
    return cache_dir() / "bundles" / name


def describe_file(root: Path, path: str) -> File:
    """The manifest's entry for a file that has just been written at `root/path`."""
    full = root / path
    return File(path=path, bytes=full.stat().st_size, sha256=sha256_file(full))


def _decode(text: bytes, path: Path) -> Manifest:
    try:
        version = msgspec.json.decode(text, type=_Versioned).schema_version
        if version != SCHEMA_VERSION:
            raise BundleError(
                f"{path}: schema_version {version}, this edgecv reads {SCHEMA_VERSION}; "
                + ("upgrade edgecv" if version > SCHEMA_VERSION else "convert the model again")
            )
        return msgspec.json.decode(text, type=Manifest)
    except msgspec.DecodeError as error:  # covers malformed JSON and, as its subclass, validation
        raise BundleError(f"{path}: {error}") from error
    except RecursionError:
        raise BundleError(f"{path}: nested too deeply to be a manifest") from None
    except UnicodeDecodeError as error:
        raise BundleError(f"{path}: not UTF-8 text ({error})") from error


class _Versioned(msgspec.Struct):
    schema_version: int


def _check_file(root: Path, file: File) -> None:
    inside = PurePosixPath(file.path)
    path = root / inside
    if inside.is_absolute() or ".." in inside.parts or "\\" in file.path or "\0" in file.path:
        raise BundleError(f"{root / MANIFEST}: path {file.path!r} leaves the bundle")
    if not path.resolve().is_relative_to(root.resolve()):
        raise BundleError(f"{root / MANIFEST}: path {file.path!r} is a link out of the bundle")
    if not path.is_file():
        raise BundleError(f"{path}: missing; copy the whole bundle folder again")
    size = path.stat().st_size
    if size != file.bytes:
        raise BundleError(f"{path}: {size} bytes, the manifest says {file.bytes}; copy the bundle again")
    if sha256_file(path) != file.sha256:
        raise BundleError(
            f"{path}: damaged or changed (sha256 differs from the manifest); copy the bundle again"
        )
