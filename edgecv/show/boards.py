"""Devices: what there are, and what this machine is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edgecv.show.terminal import new_console, new_table, print_facts

if TYPE_CHECKING:
    from edgecv.devices import Detected


def device_list() -> None:
    from edgecv.devices import load_profiles

    table = new_table("name", "board", "family", "threads", "int8", "first choice", numbers=0)
    for profile in load_profiles():
        name = f"{profile.name} (default)" if profile.default_of_family else profile.name
        table.add_row(
            name,
            profile.title,
            profile.family.value,
            str(profile.inference.threads or "cores"),
            "saturates" if profile.inference.int8_saturates else "exact sums",
            str(profile.inference.kinds[0]),
        )
    new_console().print(table)


def device(name: str) -> None:
    from edgecv.devices import get_profile

    profile = get_profile(name)
    console = new_console()
    console.print(f"{profile.title} ({profile.name}, family {profile.family.value})", style="bold")
    console.print(f"artifacts in order: {', '.join(str(kind) for kind in profile.inference.kinds)}")
    console.print(f"why: {profile.inference.why}")
    console.print(f"threads: {profile.inference.threads or 'the cores of the machine'}")
    console.print(f"int8 saturates: {'yes' if profile.inference.int8_saturates else 'no'}")
    console.print(f"memory: {', '.join(map(str, profile.memory.ram_mb)) or 'unknown'} MB")
    console.print(f"camera: --source {profile.camera.source}")
    table = new_table("fact", "value", "source", "verified", numbers=0)
    for fact in profile.facts:
        table.add_row(fact.name, str(fact.value), fact.source, "yes" if fact.verified else "no")
    console.print(table)


def detected(as_json: bool) -> None:
    import json

    from edgecv.devices import select

    selected = select("auto")
    found: Detected = selected.detected
    facts = {
        "model": found.model,
        "profile": selected.profile.name,
        "architecture": found.architecture,
        "arithmetic": found.arithmetic,
        "cpu_features": sorted(found.cpu_features),
        "physical_cores": found.physical_cores,
        "logical_cores": found.logical_cores,
        "threads": selected.threads,
        "ram_mb": found.ram_mb,
        "int8_saturates": found.int8_saturates,
        "reason": found.reason,
        "note": selected.note,
    }
    if as_json:
        click.echo(json.dumps(facts, indent=2))
        return
    print_facts({name: value for name, value in facts.items() if name != "note" or value})
