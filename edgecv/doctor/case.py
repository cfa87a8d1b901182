"""What the checks are about: this machine, the profile it runs with, a bundle and a source."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from edgecv.bundle import Bundle
from edgecv.devices import Detected, Selected, detect
from edgecv.devices.profile import Own
from edgecv.devices.telemetry import Reading, Telemetry
from edgecv.doctor.child import Answer
from edgecv.doctor.machine import Machine
from edgecv.errors import BundleError, EdgecvError, EngineMissing
from edgecv.runtime.choice import Choice, choose, saved_choice
from edgecv.runtime.engines import ENGINES, Entry
from edgecv.runtime.tuned import Tuned
from edgecv.spec import Kind


@dataclass
class Case:
    """bundle: what `run` would open, or the error it would end with. named: the user named it.

    tunable: whether `run` would follow what `edgecv tune` saved, as it does unless a device is named.
    source: as `--source` takes it; None for the profile's.
    """

    machine: Machine
    selected: Selected
    bundle: Bundle | EdgecvError
    named: bool = False
    tunable: bool = True
    source: str | None = None

    @property
    def uri(self) -> str:
        return self.source if self.source is not None else self.selected.profile.camera.source

    @cached_property
    def built_in(self) -> Detected:
        """The machine by EdgeCV's own profiles: one of the user's need not hold what is known of a board."""
        return detect(self.machine.root, Own())

    @cached_property
    def reading(self) -> Reading:
        command = ("vcgencmd", "get_throttled")
        return Telemetry(self.machine.root, lambda: self.machine.run(command)).read()

    @cached_property
    def engines(self) -> dict[Entry, Answer]:
        """Every engine that is installed: its name and version, or why it cannot be imported."""
        return {
            entry: self.machine.ask("engine", entry.target)
            for entry in ENGINES
            if self.machine.importable(entry.needs)
        }

    @cached_property
    def opencv(self) -> Answer:
        return self.machine.ask("opencv")

    @cached_property
    def choice(self) -> Choice | EdgecvError:
        """What `run` would run, or the error it would end with."""
        if isinstance(self.bundle, EdgecvError):
            return self.bundle
        try:
            return choose(self.bundle, self.selected, tuned=self.tuned)
        except EngineMissing as error:
            return error

    @cached_property
    def damaged(self) -> dict[Kind, str]:
        """Artifacts whose files are not those that were written, and what is wrong with them."""
        if isinstance(self.bundle, EdgecvError):
            return {}
        damaged = {}
        for artifact in self.bundle.manifest.artifacts:
            try:
                self.bundle.check(artifact)
            except BundleError as error:
                damaged[artifact.kind] = str(error)
        return damaged

    @property
    def deciding(self) -> Entry | None:
        """The engine that `run` would load, as far as that is known without a bundle."""
        order = [kind.format for kind in self.selected.profile.inference.kinds]
        if isinstance(self.choice, Choice):
            order = [self.choice.artifact.format]
        return next((entry for format in order for entry in self.engines if entry.format is format), None)

    @cached_property
    def tuned(self) -> Tuned | None:
        """What `edgecv tune` saved for this bundle and board."""
        if isinstance(self.bundle, EdgecvError) or not self.tunable:
            return None
        return saved_choice(self.bundle, self.selected)[0]  # a damaged one is no reason for `run` to stop
