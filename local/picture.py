"""
`make picture`: draw docs/status.svg, what `mirror status` shows of a mirror that runs on this machine.

One table of its database cannot be mirrored, and one view is pinned.
"""

import fcntl
import io
import os
import pty
import re
import struct
import tempfile
import termios
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from local import command, demo
from local.cloud import REPOSITORY
from local.postgres import Postgres
from local.source import Source

PICTURE = REPOSITORY / "docs" / "status.svg"
_COLUMNS = 100
_STATEMENTS = (
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "CREATE TABLE orders (id int PRIMARY KEY, customer int)",
    "CREATE TABLE refunds (id int PRIMARY KEY, amount numeric(9,2))",
    "CREATE TABLE salaries (id int PRIMARY KEY, amount numeric(9,2))",
    "ALTER TABLE salaries ENABLE ROW LEVEL SECURITY",
    "INSERT INTO orders SELECT n, n FROM generate_series(1, 100) n",
)
_ERASED = "\x1b[2K"
"""Of a terminal's line. The last one that is erased says that the command is still looking."""
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
"""Which are on other people's servers."""


def main() -> None:
    """Run the mirror, and draw."""
    with Postgres() as server, tempfile.TemporaryDirectory() as folder:
        server.create("billing")
        with closing(server.connect("billing")) as connection:
            for statement in _STATEMENTS:
                connection.run(statement)
        settings = {"user": server.user, "host": server.host, "schemas": ["public"], "small_tables": "snapshot"}
        database = Source("billing", settings, server.connect)
        with demo.cloud_of(database, Path(folder), small="snapshot", by_beam=False) as cloud:
            file = Path(folder) / "settings.json"
            command.write(cloud, Path(folder))
            PICTURE.write_text(svg(_said(command.environ(cloud, file))), encoding="utf-8")


def svg(said: str) -> str:
    """What a terminal shows, as a picture."""
    console = Console(record=True, width=_COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text("$ mirror status"))
    console.print(Text.from_ansi(said.rpartition(_ERASED)[2]))
    return _FONTS.sub("", console.export_svg(title="mirror status", theme=MONOKAI, unique_id="status"))


def _said(environ: Mapping[str, str]) -> str:
    """Have two days mirrored with a view pinned in between, and give what `mirror status` says then."""
    pipeline, yesterday = demo.PIPELINE, datetime.now(UTC).date() - timedelta(days=1)
    _mirror(environ, "request", pipeline, "--date", yesterday.isoformat(), "--follow")
    _mirror(environ, "pin", pipeline, "refunds", "--date", yesterday.isoformat())
    time.sleep(2)
    _mirror(environ, "request", pipeline, "--follow")
    return _mirror(environ, "status")


def _mirror(environ: Mapping[str, str], *arguments: str) -> str:
    """Run the command at a terminal, and give all that it says."""
    terminal, its_side = pty.openpty()
    fcntl.ioctl(its_side, termios.TIOCSWINSZ, struct.pack("HHHH", 50, _COLUMNS, 0, 0))
    process = command.start({**environ, "TERM": "xterm-256color"}, *arguments, output=its_side)
    os.close(its_side)
    said = b""
    try:
        while part := os.read(terminal, 65536):
            said += part
    except OSError:  # how a terminal says that nobody writes to it any more
        pass
    os.close(terminal)
    process.wait()
    return said.decode().replace("\r\n", "\n")


if __name__ == "__main__":
    main()
