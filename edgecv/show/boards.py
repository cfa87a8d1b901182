"""Boards: their profiles, what this machine is, what is wrong with it, what another one needs."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgecv.show.terminal import in_words, new_console, new_table, print_facts, print_notes

if TYPE_CHECKING:
    from edgecv.doctor import Diagnosis
    from edgecv.remote.pack import Packed


def device_list() -> None:
    from edgecv.devices import load_own, load_profiles

    own = load_own()
    files = {profile.name: path.name for path, profile in own.profiles.items()}
    table = new_table("name", "board", "family", "threads", "int8", "first choice", "from", numbers=0)
    for profile in load_profiles():
        name = f"{profile.name} (default)" if profile.default_of_family else profile.name
        table.add_row(
            name,
            profile.title,
            profile.family.value,
            str(profile.inference.threads or "cores"),
            "saturates" if profile.inference.int8_saturates else "exact sums",
            str(profile.inference.kinds[0]),
            files.get(profile.name, "EdgeCV"),
        )
    new_console().print(table)
    print_notes([f"left out: {error}" for error in own.broken.values()])


def device(name: str) -> None:
    from edgecv.devices import get_profile, load_own

    own = load_own()
    profile = get_profile(name, own)
    path = own.path_of(profile)
    console = new_console()
    console.print(f"{profile.title} ({profile.name}, family {profile.family.value})", style="bold")
    if path:
        console.print(f"from: {path}", soft_wrap=True)
    console.print(f"artifacts in order: {', '.join(str(kind) for kind in profile.inference.kinds)}")
    console.print(f"why: {profile.inference.why}")
    console.print(f"threads: {profile.inference.threads or 'the cores of the machine'}")
    console.print(f"int8 saturates: {in_words(profile.inference.int8_saturates)}")
    sizes = ", ".join(map(str, profile.memory.ram_mb))
    console.print(f"memory: {sizes} MB" if sizes else f"memory: {profile.memory.source}")
    console.print(f"camera: --source {profile.camera.source}")
    table = new_table("fact", "value", "source", "verified", numbers=0)
    for fact in profile.facts:
        table.add_row(fact.name, in_words(fact.value), fact.source, "yes" if fact.verified else "no")
    console.print(table)


def detected(as_json: bool) -> None:
    from edgecv.devices import select
    from edgecv.devices.accelerators import accelerators
    from edgecv.devices.telemetry import Telemetry, power_mode, throttle_c

    selected = select("auto")
    found = selected.detected
    built_in = accelerators()
    facts = {
        "model": found.model,
        "profile": selected.profile.name,
        "profile_file": str(found.origin) if found.origin else None,
        "architecture": found.architecture,
        "cpu": found.cpu,
        "arithmetic": found.arithmetic,
        "cpu_features": sorted(found.cpu_features),
        "physical_cores": found.physical_cores,
        "logical_cores": found.logical_cores,
        "threads": selected.threads,
        "ram_mb": found.ram_mb,
        "swap_mb": found.swap_mb,
        "l4t": found.l4t,
        "jetpack": found.jetpack,
        "int8_saturates": found.int8_saturates,
        "power_mode": power_mode(),
        "power_source": Telemetry().power_source,
        "throttles_at_c": throttle_c(),
        "reason": found.reason,
        "note": selected.note,
    }
    if as_json:
        click.echo(json.dumps({**facts, "accelerators": [one._asdict() for one in built_in]}, indent=2))
        return
    unsaid = ("note", "profile_file", "l4t", "jetpack")  # said only where there is something to say
    print_facts({name: value for name, value in facts.items() if value or name not in unsaid})
    for one in built_in:
        click.echo(f"accelerator: {one}")
    if not built_in:
        click.echo("accelerators: none found")


def new_device(path: Path, followed: bool) -> None:
    from edgecv.devices import load_own
    from edgecv.devices.selection import namesake

    click.echo(f"Wrote {path}" + ("; `--device auto` follows it here from now on" if followed else ""))
    own, here = load_own(), path.resolve()
    notes = [namesake(profile, own) for file, profile in own.profiles.items() if file.resolve() == here]
    notes += [f"left out: {error}" for file, error in own.broken.items() if file.resolve() == here]
    print_notes([note for note in notes if note])


def diagnosed(found: Diagnosis, as_json: bool) -> None:
    from edgecv.doctor import words

    if as_json:
        click.echo(json.dumps(words.as_json(found), indent=2))
    else:
        new_console().print(words.text(found))


def packed(done: Packed) -> None:
    target = done.target
    click.echo(
        f"Wrote {done.path} ({done.bytes / 1e6:.0f} MB): {', '.join(done.engines)} for Python "
        f"{target.python_number} on {target.machine}, glibc {target.glibc_number} or newer"
    )
    print_notes(done.notes)
    click.echo(f"On the board: tar xzf {shlex.quote(done.path.name)} && sh {done.folder}/install.sh")
