"""What `./mirror` runs."""

from cli.command import mirror

mirror(prog_name="mirror")
