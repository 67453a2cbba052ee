"""Begin a run: read the catalog once, write down what is to be exported, then ask for each table's export."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from shared import catalog, completing, log, messages, outcome, runs
from shared.catalog import Refusal, Table
from shared.completing import RunAnnouncements
from shared.errors import Outrun, Permanent
from shared.messages import MirrorRequest, TableExport
from shared.outcome import Outcome
from shared.pipelines import Pipeline
from shared.runs import Manifest


class Database(Protocol):
    """The source."""

    def tables(self, pipeline: Pipeline) -> list[Table]:
        """All tables of the pipeline's schemas, with their columns, as they stand now."""


class Exports(Protocol):
    """The topic that exports are asked for on."""

    def request(self, exports: Sequence[dict[str, object]], instance: str) -> None:
        """Publish one message per table, in order, in the instance's lane; return when all are confirmed."""


@dataclass(frozen=True, slots=True)
class Services:
    """What listing works with. Without `run_announcements`, nobody is told that a run is whole."""

    database: Database
    storage: runs.Storage
    exports: Exports
    run_announcements: RunAnnouncements | None


def list_tables(request: MirrorRequest, services: Services) -> Outcome:
    """
    Publish an export for each table that a request means.

    The manifest is written once: a redelivered request publishes what it says, whatever the database holds by then. Raises
    Permanent where the request names what the pipeline does not mirror, or the database has nothing to mirror.
    """
    bucket = services.storage.bucket(request.pipeline.bucket)
    if request.relist:
        exports = _relisted(request, bucket, services)
    else:
        manifest = _existing(request, bucket) or _new(request, bucket, services.database)
        if request.tables is None:
            _show_newest(request, manifest, bucket)
        exports = manifest.tables
    services.exports.request(exports, request.pipeline.instance)
    if not exports:
        _announce_run(request, bucket, services)
    return outcome.of_run("listed", f"{len(exports)} tables of {request.pipeline.database} are to be exported", request)


def _announce_run(request: MirrorRequest, bucket: runs.Bucket, services: Services) -> None:
    """No export is to follow that would: the run has no tables that can be mirrored, or its last one has left the database."""
    completing.announce_if_whole(bucket, request.pipeline, request.run_id, "list_tables", services.run_announcements)


def _relisted(request: MirrorRequest, bucket: runs.Bucket, services: Services) -> Sequence[dict[str, Any]]:
    """The exports of tables that have been altered since their run began, as they are now; what is published once stands."""
    manifest = _existing(request, bucket)
    if not manifest or not manifest.tables:
        raise Permanent(
            f"the pipeline {request.pipeline.name} has no run {request.run_id} to describe tables of anew: leave out run_id and relist"
        )
    run = replace(request, requested_at=manifest.requested_at, replace=manifest.tables[0]["replace"])
    try:
        tables = _selected(run, bucket, services.database)
    except Permanent as failure:
        for table in _as_listed(run, manifest):
            runs.record_reason(bucket, table, table.table_id, "failed", "list_tables", str(failure))
        _announce_run(run, bucket, services)
        raise
    run_tables = len(manifest.tables)
    return [runs.write_relisted(bucket, _export(table, run, run_tables)) for table in tables]


def _as_listed(run: MirrorRequest, manifest: Manifest) -> list[TableExport]:
    """The requested tables as the run's manifest has them."""
    entries = [entry for entry in manifest.tables if f"{entry['schema']}.{entry['table']}" in (run.tables or ())]
    pipelines = {run.pipeline.name: run.pipeline}
    return [messages.table_export(json.dumps(entry).encode(), pipelines) for entry in entries]


def _existing(request: MirrorRequest, bucket: runs.Bucket) -> Manifest | None:
    found = bucket.read(runs.manifest_file(request.pipeline.name, request.run_id))
    return runs.read_manifest(found[0]) if found else None


def _new(request: MirrorRequest, bucket: runs.Bucket, database: Database) -> Manifest:
    tables = _selected(request, bucket, database)
    manifest = runs.new_manifest(request, [_export(table, request, len(tables)).to_json() for table in tables])
    try:
        bucket.write(runs.manifest_file(request.pipeline.name, request.run_id), manifest.content, onto=0)
    except Outrun:  # another delivery of the same request: what it wrote counts
        return _existing(request, bucket) or manifest
    return manifest


def _selected(request: MirrorRequest, bucket: runs.Bucket, database: Database) -> tuple[Table, ...]:
    """The tables that the request means and that can be mirrored; the others are reported."""
    selection = catalog.select(database.tables(request.pipeline), request.pipeline, request.tables)
    for refusal in selection.refusals:
        _refuse(refusal, request, bucket)
    for table in selection.tables:
        if table.row_security:
            _warn_of_row_security(table, request)
    return selection.tables


def _export(table: Table, request: MirrorRequest, run_tables: int | None = None) -> TableExport:
    return TableExport(
        run_id=request.run_id,
        requested_at=request.requested_at,
        pipeline=request.pipeline,
        schema=table.schema,
        table=table.name,
        shard_date=request.shard_date,
        replace=request.replace,
        columns=table.columns,
        comment=table.comment,
        has_children=table.has_children,
        run_tables=run_tables,
    )


def _refuse(refusal: Refusal, request: MirrorRequest, bucket: runs.Bucket) -> None:
    export = _export(refusal.table, request)
    runs.record_reason(bucket, export, refusal.table_id, "failed", "list_tables", refusal.reason)
    log.write(
        "list_tables", outcome.of_table("dead", f"not mirrored: {refusal.reason}", export, severity="ERROR").to_json()
    )


def _warn_of_row_security(table: Table, request: MirrorRequest) -> None:
    said = f"{table} has row-level security: its export holds only what its policies show to the user that Cloud SQL exports with"
    log.write("list_tables", outcome.of_table("listed", said, _export(table, request), severity="WARNING").to_json())


def _show_newest(request: MirrorRequest, manifest: Manifest, bucket: runs.Bucket) -> None:
    """Put the manifest where readers find that of the newest run, unless that of a later run is there."""
    name = runs.newest_manifest_file(request.pipeline.name, request.shard_date)
    found = bucket.read(name)
    if found and runs.requested_at(found[0]) >= manifest.requested_at:
        return
    try:
        bucket.write(name, manifest.content, onto=found[1] if found else 0)
    except Outrun:
        _show_newest(request, manifest, bucket)
