"""What `./mirror` runs."""

import sys
from io import TextIOWrapper

from cli.command import mirror

if isinstance(sys.stdout, TextIOWrapper):
    sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks is no reason to end
mirror(prog_name="mirror")
