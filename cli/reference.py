"""The reference of the command, from its own help. `make readme` writes it into docs/command.md."""

import click

from cli.command import mirror

_WIDTH = 100


def text() -> str:
    """The help of each command, in Markdown."""
    return "\n".join(_section(name, each) for name, each in mirror.commands.items())


def _section(name: str, command: click.Command) -> str:
    settings = {**command.context_settings, "terminal_width": _WIDTH}
    context = click.Context(command, info_name=f"mirror {name}", **settings)
    return f"### mirror {name}\n\n```text\n{command.get_help(context)}\n```\n"
