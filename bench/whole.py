"""
The whole mirror: how long each stage takes for two databases, compared with dlt, which streams their rows.

A first run is compared with a whole process of dlt: both import what they need meanwhile. A warm run is compared with what
dlt itself takes.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pg8000.native

from bench import streams
from bench.deployed import PIPELINE
from bench.figures import Figure
from bench.progress import Progress
from cli.following import OVER, Run, TableOfRun
from local import command, flights
from local.cloud import Cloud
from local.postgres import Postgres
from local.source import INSTANCE
from shared.runs.records import SHOWN

_STAGES = {"list_tables": "list", "export_table": "export", "load_shard": "load", "refresh_views": "view"}
_PATIENCE = 300.0
"""Seconds to wait until a database is mirrored."""
_TABLES = 5
_ROWS = 180_000
"""Rows of each generated table. All of them together take 100 MB on disk."""
_GENERATED = """
CREATE TABLE orders_{number} AS SELECT n AS id, md5(n::text) AS customer, now() - n * interval '1 second' AS placed,
    (n % 100000 / 7.0)::numeric(12,2) AS total, n % 50 AS quantity, n % 3 = 0 AS paid, 'note ' || n AS note
FROM generate_series(1, {rows}) AS n
"""


def measure(work: Path, progress: Progress) -> list[Figure]:
    """Mirror each database, then move it with dlt if that is installed."""
    figures: list[Figure] = []
    with Postgres() as server:
        for name, fill in (("flights", flights.fill), ("generated", _generate)):
            progress.step(f"whole: filling the database {name}")
            server.create(name)
            with closing(server.connect(name)) as connection:
                fill(connection)
                connection.run("ANALYZE")  # as autovacuum does within a minute: CSV is for tables whose size is known
                rows, size = _size(connection)
            named = f"{name} ({rows:,} rows, {size / 1e6:.0f} MB)"
            ours = _mirror(server, name, named, work / name, progress)
            figures += _figures(named, rows, ours, _stream(server, name, named, work / name, progress))
    return figures


def _figures(named: str, rows: int, ours: "_Mirrored", theirs: Sequence[float]) -> Iterator[Figure]:
    for stage, spent in ours.spent.items():
        yield Figure("whole", f"{named}: {stage}, all tables together", spent, "s")
    for what, seconds in zip(("a first run", "a warm run"), ours.seconds, strict=True):
        yield Figure("whole", f"{named}: the mirror, from request to last view, {what}", rows / seconds, "rows/s")
    for what, seconds in zip(("a process", "its run alone"), theirs, strict=False):
        yield Figure("whole", f"{named}: dlt, to local Parquet files, {what}", rows / seconds, "rows/s")
    for what, mine, other in zip(
        ("a first run over a process", "a warm run over a run alone"), ours.seconds, theirs, strict=False
    ):
        yield Figure("whole", f"{named}: {what} of dlt", mine / other, target=1.0)


@dataclass(frozen=True, slots=True)
class _Mirrored:
    """`spent`: seconds in each stage of a first run. `seconds`: of a first and of a warm run, from request to last view."""

    spent: dict[str, float]
    seconds: tuple[float, float]


def _generate(connection: pg8000.native.Connection) -> None:
    for number in range(_TABLES):
        connection.run(_GENERATED.format(number=number, rows=_ROWS))


def _size(connection: pg8000.native.Connection) -> tuple[int, int]:
    """The rows of all tables together, and their bytes on disk."""
    tables = [name for (name,) in connection.run("SELECT relname FROM pg_stat_user_tables")]
    rows = sum(connection.run(f"SELECT count(*) FROM {table}")[0][0] for table in tables)
    (size,) = connection.run("SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables")[0]
    return rows, int(size)


def _mirror(server: Postgres, database: str, named: str, work: Path, progress: Progress) -> _Mirrored:
    work.mkdir()
    pipeline = PIPELINE | {"host": server.host, "database": database}
    with Cloud({"bench": pipeline}, {INSTANCE: server.connect}, work) as cloud:
        progress.step(f"whole: the mirror of {named}")
        first = _seconds(cloud, progress)
        lines = [line for line in cloud.log() if "seconds" in line]
        progress.step(f"whole: the mirror of {named}, once more")
        warm = _seconds(cloud, progress)
    spent = {
        stage: sum(line["seconds"] for line in lines if line["function"] == function)
        for function, stage in _STAGES.items()
    }
    return _Mirrored(spent, (first, warm))


def _seconds(cloud: Cloud, progress: Progress) -> float:
    """How long a run takes, from its request to the last view."""
    began = time.perf_counter()
    run_id = cloud.publish("mirror-requests", {"pipeline": "bench"})
    tables = _followed(Run(*command.place(cloud, "bench"), run_id), progress)
    seconds = time.perf_counter() - began
    if failed := [table for table in tables if table.state != SHOWN]:
        raise RuntimeError(f"the mirror failed: {failed}")
    return seconds


def _followed(run: Run, progress: Progress) -> list[TableOfRun]:
    """The tables of a run, when it is over."""
    until = time.monotonic() + _PATIENCE
    while not (tables := run.look()) or any(table.state not in OVER for table in tables):
        if time.monotonic() > until:
            raise RuntimeError(f"the mirror has not ended in {_PATIENCE:g} s: {tables}")
        progress.at(", ".join(f"{table.table} {table.state}" for table in tables or ()))
        time.sleep(0.1)
    return tables


def _stream(server: Postgres, database: str, named: str, work: Path, progress: Progress) -> tuple[float, ...]:
    """How long a process of dlt takes, and of that its run. Nothing if dlt is not installed."""
    if not streams.DLT.exists():
        progress.step("whole: dlt is not installed, and is left out")
        return ()
    progress.step(f"whole: dlt moves {named} to local files")
    began = time.perf_counter()
    said = streams.dlt(server, database, work / "dlt")
    return time.perf_counter() - began, float(said.splitlines()[-1])
