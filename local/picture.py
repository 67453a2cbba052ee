"""
`make picture`: draw what a person sees of a mirror on this machine.

docs/demo.svg: a whole `make demo`, with a pause before each command. docs/status.svg: `mirror status`, where one table cannot be mirrored
and one view is pinned.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local import command, demo, terminal
from local.cloud import REPOSITORY
from local.postgres import Postgres
from local.source import Source
from local.terminal import Line

STATUS = REPOSITORY / "docs" / "status.svg"
DEMO = REPOSITORY / "docs" / "demo.svg"
_ROWS, _PAUSE, _HOLD = 24, 3, 8
_GOOD = "All tables agree after"
_ASKED = frozenset({"SOURCE", "EXCLUDE", "LOADER", "SMALL", "KEEP"})
_STATEMENTS = (
    "CREATE TABLE customers (id int PRIMARY KEY, name text)",
    "CREATE TABLE orders (id int PRIMARY KEY, customer int)",
    "CREATE TABLE refunds (id int PRIMARY KEY, amount numeric(9,2))",
    "CREATE TABLE salaries (id int PRIMARY KEY, amount numeric(9,2))",
    "ALTER TABLE salaries ENABLE ROW LEVEL SECURITY",
    "INSERT INTO orders SELECT n, n FROM generate_series(1, 100) n",
)


def main() -> None:
    """Run the demo, and then the mirror, and draw. Raises RuntimeError if the demo fails."""
    said = terminal.run(_demo)
    if not said or _GOOD not in said[-1].text:
        raise RuntimeError("\n".join(line.text for line in said))
    shown = [Line(0, "$ make demo"), *terminal.paused(said, "$ ", _PAUSE)]
    DEMO.write_text(terminal.film(shown, rows=_ROWS, hold=_HOLD), encoding="utf-8")
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
            STATUS.write_text(terminal.still("mirror status", _status(command.environ(cloud, file))), encoding="utf-8")


def _demo(output: int) -> "subprocess.Popen[bytes]":
    environ = {name: value for name, value in os.environ.items() if name not in _ASKED}
    return subprocess.Popen(
        [sys.executable, "-m", "local.demo"],
        cwd=REPOSITORY,
        env={**environ, "TERM": "xterm-256color"},
        stdout=output,
        stderr=output,
    )


def _status(environ: Mapping[str, str]) -> list[str]:
    """Have two days mirrored with a view pinned in between, and give what `mirror status` says then."""
    pipeline, yesterday = demo.PIPELINE, datetime.now(UTC).date() - timedelta(days=1)
    _mirror(environ, "request", pipeline, "--date", yesterday.isoformat(), "--follow")
    _mirror(environ, "pin", pipeline, "refunds", "--date", yesterday.isoformat())
    time.sleep(2)
    _mirror(environ, "request", pipeline, "--follow")
    return ["$ mirror status", *(line.text for line in _mirror(environ, "status"))]


def _mirror(environ: Mapping[str, str], *arguments: str) -> list[Line]:
    return terminal.run(lambda output: command.start({**environ, "TERM": "xterm-256color"}, *arguments, output=output))


if __name__ == "__main__":
    main()
