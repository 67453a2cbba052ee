"""What `./mirror` runs."""

import signal
import sys
from io import TextIOWrapper


def main() -> None:
    """Run the command. Ctrl-C while it starts ends it as it ends any program: there is nothing to tidy."""
    interrupted = signal.getsignal(signal.SIGINT)
    if interrupted is signal.default_int_handler:  # else somebody wants it to be ignored
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from cli.command import mirror

    signal.signal(signal.SIGINT, interrupted)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # what a terminal's encoding lacks is no reason to end
    mirror(prog_name="mirror")


main()
