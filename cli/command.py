"""`mirror`: its commands, and what they have in common."""

from typing import Any

import click

from cli.commands.check import check
from cli.commands.pins import pin, unpin
from cli.commands.plan import plan
from cli.commands.replay import replay
from cli.commands.request import request
from cli.commands.status import status
from cli.commands.stop import stop

_INTERRUPTED = 130


class _Mirror(click.Group):
    """Its help has the commands in the order in which they are added: that of a day's work."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command. Ctrl-C ends it as a shell expects."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise SystemExit(_INTERRUPTED) from None


@click.group(cls=_Mirror, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def mirror() -> None:
    """
    Operate a mirror of Cloud SQL databases in BigQuery.

    Every command needs settings: `terraform output -json settings > settings.json` writes them; then say --settings settings.json,
    or set MIRROR_SETTINGS to that file. It works with your own rights: `gcloud auth application-default login`.

    Exit codes: 0 good; 1 something failed; 2 wrong use, or an unknown pipeline, function or day; 130 after Ctrl-C.
    """


for _each in (plan, check, request, status, pin, unpin, replay, stop):
    mirror.add_command(_each)
