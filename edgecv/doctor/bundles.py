"""The bundle: is it whole, does each engine here give its golden answers, and what would be run?"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from edgecv.bundle import Artifact, Bundle
from edgecv.devices.health import Finding, ok, problem, warning
from edgecv.doctor.case import Case
from edgecv.doctor.child import REPLAY_TIMEOUT_S
from edgecv.errors import EdgecvError
from edgecv.runtime.choice import Choice, engine_options
from edgecv.runtime.engines import Entry

_COPY = "copy the whole bundle folder again, or convert it again"


def bundle(case: Case) -> Iterator[Finding]:
    """Whether it is there, and its files are those that were written."""
    found = case.bundle
    if isinstance(found, EdgecvError):
        what, _, remedy = str(found).partition("; ")
        remedy = remedy or "name another, or make one with `edgecv convert --int8`"
        yield (problem if case.named else warning)("bundle", what, remedy)
        return
    artifacts = found.manifest.artifacts
    for artifact in artifacts:
        if error := case.damaged.get(artifact.kind):
            yield _state(case, artifact)("bundle", error.partition("; ")[0], _COPY)
    if not case.damaged:
        size_mb = sum(artifact.bytes for artifact in artifacts) / 1e6
        kinds = f"{len(artifacts)} artifact{'s' * (len(artifacts) > 1)}"
        yield ok("bundle", f"{found.manifest.name}: {kinds}, {size_mb:.1f} MB, every hash is right")


def choice(case: Case) -> Iterator[Finding]:
    """What `edgecv run` would run here, and why."""
    if isinstance(case.bundle, EdgecvError):
        return
    chosen = case.choice
    if isinstance(chosen, EdgecvError):
        what, _, remedy = str(chosen).partition("; ")[0].partition(": ")
        yield problem("choice", what, f"`{remedy}`")
        return
    entry, threads = case.deciding, chosen.options.threads
    engine = (case.engines[entry].value or entry.name) if entry else "no engine"
    what = f"{chosen.artifact.kind} in {engine}, {threads} thread{'s' * (threads > 1)}"
    title = case.selected.profile.title
    if chosen.artifact.kind in case.damaged:
        yield problem("choice", f"{what}: its file is damaged", "copy the bundle again")
    elif case.tuned and case.tuned.kind == chosen.artifact.kind:
        yield ok("choice", f"{what}: {chosen.note}")
    elif chosen.note:
        yield warning("choice", f"{what}: {chosen.note}", "`edgecv tune` measures which is best here")
    else:
        yield ok("choice", f"{what}: the first in the order of {title}; `edgecv tune` measures")


def replays(case: Case) -> Iterator[Finding]:
    """The golden samples, through every artifact in each engine that loads."""
    if isinstance(case.bundle, EdgecvError):
        return
    for entry, answer in case.engines.items():
        for artifact in case.bundle.manifest.artifacts:
            if artifact.format is entry.format and not answer.error and artifact.kind not in case.damaged:
                yield _replay(case, case.bundle, entry, artifact)


def _replay(case: Case, bundle: Bundle, entry: Entry, artifact: Artifact) -> Finding:
    answer = case.machine.ask(
        "replay",
        entry,
        str(bundle.root.absolute()),
        str(artifact.kind),
        engine_options(case.selected),
        timeout_s=REPLAY_TIMEOUT_S,
    )
    where = f"{artifact.kind} in {case.engines[entry].value}"
    if answer.error:
        message, passed = answer.error, False
    else:
        message, passed = answer.value["message"], answer.value["passed"]
    if passed:
        return ok("golden samples", f"{where}: {message}")
    target = case.selected.profile.name
    remedy = (
        f"run another (--format, --precision), or `edgecv convert --target {target}`, made for this device"
    )
    state = _state(case, artifact) if entry is case.deciding else warning
    return state("golden samples", f"{where}: {message}", remedy)


def _state(case: Case, artifact: Artifact) -> Callable[[str, str, str], Finding]:
    """What is wrong with the artifact that would be run is a problem; with another, a warning."""
    chosen = case.choice
    return problem if isinstance(chosen, Choice) and chosen.artifact == artifact else warning
