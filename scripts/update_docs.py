"""Write docs/cli.md from the commands' own --help; run it after changing a command."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from edgecv.cli import cli

TARGET = Path(__file__).resolve().parents[1] / "docs" / "cli.md"


def contexts(command: click.Command, name: str, parent: click.Context | None) -> Iterator[click.Context]:
    """A context for the command and for each below it, as click makes them when they are called."""
    width = {"max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings, **width)
    yield context
    if isinstance(command, click.Group):
        for sub_name, sub in command.commands.items():
            yield from contexts(sub, sub_name, context)


def text() -> str:
    """The page: one section a command, as `COMMAND --help` prints it on 100 columns."""
    parts = ["# The command line\n\nMade by `python scripts/update_docs.py`; a test compares.\n"]
    for context in contexts(cli, "edgecv", None):
        help_text = "\n".join(line.rstrip() for line in context.get_help().splitlines())
        parts.append(f"## {context.command_path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


if __name__ == "__main__":
    TARGET.write_text(text(), encoding="utf-8")
    print(f"wrote {TARGET}")
