"""Write docs/cli.md from the commands' own --help; run it after changing a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from edgecv.cli import cli

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"


def commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name, sub in command.commands.items():
            yield from commands(sub, f"{path} {name}")


def text() -> str:
    """The page: one section a command, as `COMMAND --help` prints it on 100 columns."""
    parts = ["# The command line\n\nMade by `python scripts/update_docs.py`; a test compares.\n"]
    for path, command in commands(cli, "edgecv"):
        context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
        help_text = "\n".join(line.rstrip() for line in command.get_help(context).splitlines())
        parts.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
