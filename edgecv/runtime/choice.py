"""Which artifact of a bundle runs here, and how: what tune measured, else the profile's order."""

from __future__ import annotations

from typing import NamedTuple

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import Selected
from edgecv.errors import DataError, EngineMissing
from edgecv.runtime.engines import Options, installed, missing_message
from edgecv.runtime.tuned import Tuned
from edgecv.runtime.tuned import load as load_tuned
from edgecv.spec import Format, Precision


class Choice(NamedTuple):
    """The artifact to run, how its engine is to run, and a note where there is something to say.

    engine: what it was chosen with, by name and version; None for a choice that was not measured.
    """

    artifact: Artifact
    options: Options
    note: str | None
    engine: str | None = None


def engine_options(selected: Selected) -> Options:
    """Threads from the profile; exact sums where this very CPU, not the profile's, would saturate."""
    return Options(selected.threads, bool(selected.detected.int8_saturates))


def saved_choice(bundle: Bundle, selected: Selected, device: str = "auto") -> tuple[Tuned | None, str | None]:
    """(what tune saved for this bundle and board, a note when the file is damaged).

    Who names a device wants that, not what was measured best.
    """
    if device != "auto":
        return None, None
    try:
        return load_tuned(bundle, selected.detected), None
    except DataError as error:  # a run does not end for a file in the cache
        return None, str(error)


def choose(
    bundle: Bundle,
    selected: Selected,
    format: Format | None = None,
    precision: Precision | None = None,
    tuned: Tuned | None = None,
) -> Choice:
    """Tune's choice where there is one of that format and precision, else the first of the profile's order.

    Raises BundleError when the bundle has no such artifact, EngineMissing when no engine for one is here.
    """
    artifacts = bundle.select(format, precision)
    if tuned and (
        found := next((a for a in artifacts if a.kind == tuned.kind and installed(a.format)), None)
    ):
        options = engine_options(selected)._replace(threads=tuned.threads, variant=tuned.variant)
        return Choice(found, options, f"chosen by `edgecv tune` on {tuned.created[:10]}", tuned.engine)
    order = selected.profile.inference.kinds
    ranked = sorted(artifacts, key=lambda artifact: order.index(artifact.kind))
    for artifact in ranked:
        if installed(artifact.format):
            notes = [_warning(bundle, artifact, selected)]
            if artifact is not ranked[0]:
                notes.append(
                    f"running {artifact.kind}; {ranked[0].kind} comes first on {selected.profile.title}, "
                    f"but {missing_message(ranked[0].format)}"
                )
            note = "; ".join(text for text in notes if text) or None
            return Choice(artifact, engine_options(selected), note)
    formats = dict.fromkeys(artifact.format for artifact in ranked)
    raise EngineMissing("; ".join(missing_message(format) for format in formats))


def _warning(bundle: Bundle, artifact: Artifact, selected: Selected) -> str | None:
    """What the conversion measured that does not hold for this artifact here."""
    guarantee = bundle.manifest.guarantee
    if artifact.needs_exact_sums and selected.int8_saturates:
        return (
            f"{artifact.kind} was made for CPUs that sum int8 exactly, and this one saturates: it loses "
            f"accuracy that was not measured; `edgecv convert --target {selected.profile.name}` makes one "
            "for it"
        )
    if guarantee and not guarantee.met and artifact.precision is not Precision.FP32:
        return f"a best effort: this bundle did not hold --max-drop {guarantee.max_drop:g}"
    return None
