"""
The lane: how much longer a run takes than its exports. An instance runs one export at a time.

Measured for the mirror and for the tools that people use today.
"""

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench import peers
from bench.figures import TIMES, Figure
from bench.progress import Progress
from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from local.source import INSTANCE
from shared import times

TABLES = 30
PEERS_TABLES = 5
SECONDS = 2.0
"""Seconds that an export takes beyond its COPY."""

_PIPELINE = {
    "instance": INSTANCE,
    "database": "postgres",
    "user": Postgres.user,
    "bucket": "bench",
    "shards_dataset": "shards",
    "views_dataset": "views",
}
_EXPORTS = f"projects/{PROJECT}/subscriptions/table-exports-export-table"


def measure(work: Path, progress: Progress) -> list[Figure]:
    """Export the same tables in each way, one way after the other. The peers export the first `PEERS_TABLES` only."""
    tables = [f"table_{number:02}" for number in range(TABLES)]
    with Postgres() as server:
        _fill(server, tables)
        pipeline = _PIPELINE | {"host": server.host}
        with Cloud({"bench": pipeline}, {INSTANCE: server.connect}, work, duration=SECONDS) as cloud:
            found = _figures("the mirror", cloud, TABLES, lambda: _mirror(cloud, progress), (1.03, 1, 8))
            for name, run in peers.available(cloud, work, tables[:PEERS_TABLES], progress).items():
                found += _figures(name, cloud, PEERS_TABLES, run)
    return [
        *found,
        _figure(
            "looks every 20 s, by arithmetic: wall time over its operations", peers.looked_at_intervals(SECONDS, 20)
        ),
    ]


def _fill(server: Postgres, tables: list[str]) -> None:
    with closing(server.connect()) as connection:
        for table in tables:
            connection.run(f"CREATE TABLE {table} AS SELECT n AS id, 'row ' || n AS note FROM generate_series(1, 10) n")


def _mirror(cloud: Cloud, progress: Progress) -> None:
    """Run the mirror for all tables, until the message of the last one is acknowledged."""
    progress.step(f"lane: the mirror, {TABLES} tables of {SECONDS:g} s")
    cloud.publish("mirror-requests", {"pipeline": "bench"})
    while (begun := len(cloud.admin.operations)) < TABLES or cloud.pubsub.backlog(_EXPORTS):
        progress.at(f"table {begun} of {TABLES}")
        time.sleep(0.01)


def _figures(
    name: str,
    cloud: Cloud,
    tables: int,
    run: Callable[[], None],
    targets: tuple[float | None, ...] = (None, None, None),
) -> list[Figure]:
    """
    What `run` costs.

    The wall time runs from the insertTime of the first operation until `run` returns. It is divided by the sum of the
    operations' own times. Operations and Admin API calls are counted for each of the `tables`.
    """
    calls, earlier = len(cloud.admin.calls), len(cloud.admin.operations)
    run()
    ended = datetime.now(UTC)
    operations = cloud.admin.operations[earlier:]
    spans = [(times.moment(each["insertTime"]), times.moment(each["endTime"])) for each in operations]
    busy = sum((end - begin for begin, end in spans), timedelta())
    return [
        _figure(f"{name}: wall time over its operations", (ended - spans[0][0]) / busy, target=targets[0]),
        _figure(f"{name}: operations", len(operations) / tables, "a table", targets[1]),
        _figure(f"{name}: Admin API calls", (len(cloud.admin.calls) - calls) / tables, "a table", targets[2]),
    ]


def _figure(what: str, value: float, unit: str = TIMES, target: float | None = None) -> Figure:
    return Figure("lane", what, value, unit, target)
