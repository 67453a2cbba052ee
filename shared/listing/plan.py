"""What a run would do, as a document for people and programs: made from what was decided, and from the newest run."""

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

from shared import remedies, times
from shared.listing import snapshots
from shared.listing.columns import Pattern
from shared.listing.deciding import FILTERED, Decided
from shared.messages.exports import TableExport
from shared.messages.requests import MirrorRequest
from shared.runs.manifest import Manifest
from shared.tables import Column, Table, TableName

VERSION = 1
GUESS = 15.0
"""Seconds of an operation, where no run is on record that has exported something. The smallest table takes about so long."""
LOADS_A_DAY = 100_000
"""Load jobs of a project (https://cloud.google.com/bigquery/quotas#load_jobs)."""
_DAY = 24 * 3600
_NEAR_LOADS, _NEAR_DAY = 0.1, 0.5
"""The parts of the loads, and of a day of the instance's operations, from which on a run comes near the limit."""
_COMPARED = ("data_type", "nullable", "base_type", "hashed")


@dataclass(frozen=True, slots=True)
class LastRun:
    """The newest run over the whole database. `seconds`: what the operations of some of its tables took, by their table_id."""

    manifest: Manifest
    seconds: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Known:
    """
    All that a plan is made from.

    `catalog`: the tables with all of their columns. `hidden`: those that the role may not read that Cloud SQL exports with.
    """

    request: MirrorRequest
    catalog: Sequence[Table]
    patterns: Sequence[Pattern]
    decided: Decided
    hidden: Set[TableName]
    last: LastRun | None


def document(known: Known) -> dict[str, Any]:
    """The plan. Times are estimates, in seconds; sizes are the server's own estimates, in bytes."""
    request, exports = known.request, known.decided.exports
    seconds = _seconds(known)
    operations = sum(seconds.values())
    return {
        "version": VERSION,
        "pipeline": request.pipeline.name,
        "database": request.pipeline.database,
        "shard_date": request.shard_date.isoformat(),
        "requested_at": times.rfc3339(request.requested_at),
        "last_run": _last_run(known.last),
        "tables": _tables(known, seconds),
        "refused": [each.to_json() for each in known.decided.refused],
        "gone": _gone(known),
        "exports": {
            "tables": len(seconds),
            "seconds": round(operations, 1),
            "measured": bool(known.last and known.last.seconds),
        },
        "snapshots": {"tables": len(exports) - len(seconds), "would_save": _would_save(known, seconds)},
        "warnings": [*_idle(known), *_quotas(known, operations)],
    }


def _last_run(last: LastRun | None) -> dict[str, str] | None:
    if last is None:
        return None
    run = last.manifest
    return {
        "run_id": run.run_id,
        "shard_date": run.day.isoformat(),
        "requested_at": times.rfc3339(run.requested_at),
    }


def _tables(known: Known, seconds: Mapping[Table, float]) -> list[dict[str, Any]]:
    before, columns = _entries(known.last), {(each.schema, each.name): each.columns for each in known.catalog}
    return [
        _table(table, export, before.get((table.schema, table.name)))
        | {
            "seconds": round(seconds[table], 1) if table in seconds else None,
            "left_out": _left_out(columns[table.schema, table.name], export),
            "warnings": _warnings(table, export, known.hidden),
        }
        for table, export in known.decided.exports.items()
    ]


def _table(table: Table, export: TableExport, before: Mapping[str, Any] | None) -> dict[str, Any]:
    return {
        "schema": table.schema,
        "table": table.name,
        "table_id": export.table_id,
        "way": "snapshot" if export.snapshot else "export",
        "snapshot": export.snapshot,
        "why": snapshots.reason_to_export(table, export.pipeline) or snapshots.SMALL,
        "bytes": table.size,
        "format": export.format,
        "new": before is None,
        "altered": _altered(before, export) if before else None,
        "hashed": [column.name for column in export.columns if column.hashed],
    }


def _left_out(columns: Sequence[Column], export: TableExport) -> list[str]:
    kept = {column.name for column in export.columns}
    return [column.name for column in columns if column.name not in kept]


def _entries(last: LastRun | None) -> Mapping[TableName, Mapping[str, Any]]:
    return {(each["schema"], each["table"]): each for each in last.manifest.tables} if last else {}


def _altered(before: Mapping[str, Any], export: TableExport) -> dict[str, list[str]] | None:
    """The names of its columns that were added, removed or changed since the run listed it. None if there are none."""
    then = {each["name"]: each for each in before["columns"]}
    now = {each.name: each.to_json() for each in export.columns}
    changed = [
        name for name in now if name in then and any(then[name].get(key) != now[name].get(key) for key in _COMPARED)
    ]
    found = {
        "added": [name for name in now if name not in then],
        "removed": [name for name in then if name not in now],
        "changed": changed,
    }
    return found if any(found.values()) else None


def _warnings(table: Table, export: TableExport, hidden: Set[TableName]) -> list[str]:
    found = [f"{table} {FILTERED}"] if table.row_security else []
    if (table.schema, table.name) in hidden and not export.snapshot:
        found.append(
            f"its export will be denied. Grant SELECT on it, and USAGE on its schema, {remedies.TO_THE_EXPORTER}"
        )
    return found


def _gone(known: Known) -> list[dict[str, str]]:
    """The tables of the last run that are no longer there, or are excluded."""
    there = {(table.schema, table.name) for table in known.decided.exports}
    there |= {(each.table.schema, each.table.name) for each in known.decided.refused}
    return [
        {"schema": schema, "table": table, "table_id": known.request.pipeline.table_id(schema, table)}
        for schema, table in _entries(known.last)
        if (schema, table) not in there
    ]


def _seconds(known: Known) -> dict[Table, float]:
    """What each operation will take: as in the last run, else the median of those that are known, else a guess."""
    measured = known.last.seconds if known.last else {}
    other = median(measured.values()) if measured else GUESS
    exported = ((table, export) for table, export in known.decided.exports.items() if not export.snapshot)
    return {table: measured.get(export.table_id, other) for table, export in exported}


def _would_save(known: Known, seconds: Mapping[Table, float]) -> dict[str, Any] | None:
    """What `"small_tables": "snapshot"` would save. None where the pipeline says so already, or nothing is known to be small."""
    pipeline = known.request.pipeline
    if pipeline.small_tables == "snapshot":
        return None
    small = snapshots.numbers(seconds, replace(pipeline, small_tables="snapshot"))
    saved = round(sum(seconds[table] for table in small), 1)
    return {"tables": len(small), "seconds": saved} if small else None


def _idle(known: Known) -> list[str]:
    return [each.idle_in(known.request.pipeline.database) for each in known.patterns if each.is_idle]


def _quotas(known: Known, operations: float) -> Iterable[str]:
    """The limits of the services that a run a day comes near."""
    pipeline, loads = known.request.pipeline, len(known.decided.exports)
    if pipeline.loader == "bigquery" and loads >= LOADS_A_DAY * _NEAR_LOADS:
        most = LOADS_A_DAY // loads
        yield (
            f"a run is {loads:,} load jobs, and a project has {LOADS_A_DAY:,} a day, for all of its pipelines: "
            f"ask for at most {most} such runs a day, or exclude tables"
        )
    if operations >= _DAY * _NEAR_DAY:
        yield (
            f"the exports of a run take about {operations / 3600:.0f} hours, and {pipeline.instance} runs one operation at a time, "
            "backups among them: exclude tables, read small ones by snapshot, or ask less often than each day"
        )
