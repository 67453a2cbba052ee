"""What runs leave in the bucket for refresh_views to read: manifests, schema files, and records of tables that failed."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from shared import times
from tests.support.delivery import table_export
from tests.support.stage import Stage


def begin(
    stage: Stage, run_id: str, stamp: str, tables: Iterable[str], ago: timedelta = timedelta(), *, whole: bool = True
) -> None:
    """A run that was requested so long ago; a `whole` one is over the whole database."""
    requested_at, day = times.rfc3339(datetime.now(UTC) - ago), _day(stamp)
    manifest = {
        "version": 1,
        "run_id": run_id,
        "pipeline": "billing",
        "database": "billing",
        "shard_date": day,
        "requested_at": requested_at,
        "tables": [table_export(table, run_id=run_id, requested_at=requested_at, shard_date=day) for table in tables],
    }
    stage.put(f"billing/_runs/{run_id}/manifest.json", manifest)
    if whole:
        stage.put(f"billing/manifest_{stamp}.json", manifest)


def seal(stage: Stage, run_id: str, shard: str) -> None:
    """The schema file that says which run has made the data of a shard."""
    table, _, stamp = shard.rpartition("_")
    content = {
        "version": 1,
        "pipeline": "billing",
        "database": "billing",
        "schema": "public",
        "table": table,
        "table_id": table,
        "run_id": run_id,
        "requested_at": "2026-01-16T02:00:00Z",
        "exported_at": "2026-01-16T02:01:00Z",
        "shard_date": _day(stamp),
        "format": "csv",
        "description": None,
        "data_uri": f"gs://{stage.bucket.name}/billing/{table}/data_{stamp}.csv",
        "data_generation": 1,
        "columns": [],
    }
    stage.put(f"billing/{table}/schema_{stamp}.json", content)


def loaded(stage: Stage, run_id: str, table: str) -> None:
    """The record of load_shard that a table's shard is complete."""
    stage.put(f"billing/_runs/{run_id}/loaded/{table}.json", {"rows": 2, "job": "a-job"})


def fail(stage: Stage, run_id: str, table: str) -> None:
    """The record of a table that failed."""
    stage.put(f"billing/_runs/{run_id}/failed/{table}.json", {"function": "export_table", "error": "it is locked"})


def _day(stamp: str) -> str:
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}"
