"""Which artifact of a bundle runs here: the profile's order, among what the bundle and the board have."""

from __future__ import annotations

from edgecv.bundle import Artifact, Bundle
from edgecv.devices import Selected
from edgecv.errors import EngineMissing
from edgecv.runtime.engines import installed, missing_message
from edgecv.spec import Format, Precision


def choose(
    bundle: Bundle, selected: Selected, format: Format | None = None, precision: Precision | None = None
) -> tuple[Artifact, str | None]:
    """The artifact to run, and a note when the profile's first choice had to be passed over.

    Raises BundleError when the bundle has no such artifact, EngineMissing when no engine for one is here.
    """
    order = selected.profile.inference.kinds
    ranked = sorted(bundle.select(format, precision), key=lambda artifact: order.index(artifact.kind))
    for artifact in ranked:
        if installed(artifact.format):
            notes = [_warning(bundle, artifact, selected)]
            if artifact is not ranked[0]:
                notes.append(
                    f"running {artifact.kind}; {ranked[0].kind} comes first on {selected.profile.title}, "
                    f"but {missing_message(ranked[0].format)}"
                )
            return artifact, "; ".join(text for text in notes if text) or None
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
