"""Which tables are read by snapshot, and in which of a run's snapshots: the small ones, where the pipeline asks for that."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared import times
from shared.messages.snapshots import SnapshotRead
from shared.pipelines import Pipeline
from shared.tables import Table

LARGEST_TABLE = 64 * 1024**2
"""Bytes of a table up to which it is read by snapshot."""
LARGEST_SNAPSHOT = 1024**3
"""Bytes of all tables of one snapshot, so that it is read within one delivery and holds back no VACUUM for long."""
MOST_TABLES = 2_000
"""Of one snapshot."""
SMALL = f"it has at most {LARGEST_TABLE // 1024**2} MiB"
"""Why a table is read by snapshot."""


def numbers(tables: Iterable[Table], pipeline: Pipeline) -> dict[Table, int]:
    """The number of each table's snapshot, from 1 on. What has none is exported: it may be large, or is not for us to read."""
    found: dict[Table, int] = {}
    number, count, size = 1, 0, 0
    for table in tables:
        if table.size is None or reason_to_export(table, pipeline):
            continue
        if count == MOST_TABLES or size + table.size > LARGEST_SNAPSHOT:
            number, count, size = number + 1, 0, 0
        found[table] = number
        count, size = count + 1, size + table.size
    return found


def reason_to_export(table: Table, pipeline: Pipeline) -> str | None:
    """Why a table is not read by snapshot. None if it is."""
    if pipeline.small_tables != "snapshot":
        return 'small_tables is "export"'
    if not table.may_select:
        return f"{pipeline.user} may not SELECT it"
    if table.row_security:
        return "it has row-level security"
    if table.size is None:
        return "its size is not known: it was never analyzed, or was locked"
    return f"it has more than {LARGEST_TABLE // 1024**2} MiB" if table.size > LARGEST_TABLE else None


def reads(entries: Sequence[Mapping[str, Any]], pipeline: Pipeline) -> list[SnapshotRead]:
    """The wishes for the snapshots that a run's manifest has, in order."""
    first = {number: entry for entry in reversed(entries) if (number := entry.get("snapshot"))}
    return [
        SnapshotRead(
            run_id=entry["run_id"],
            requested_at=times.moment(entry["requested_at"]),
            pipeline=pipeline,
            shard_date=times.day(entry["shard_date"]),
            replace=entry["replace"],
            snapshot=number,
            check=entry.get("check", False),
        )
        for number, entry in sorted(first.items())
    ]
