"""Begin a run: read the catalog once, write down what is to be exported, then ask for each table's export, or for a snapshot."""

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Protocol

from shared import log
from shared.bucket import Bucket, Storage
from shared.errors import Denied, Permanent
from shared.listing import columns, deciding, snapshots
from shared.listing.deciding import Datasets
from shared.listing.selection import RefusedTable
from shared.listing.wanted import meant_of_run, shown
from shared.messages import exports
from shared.messages.exports import TableExport
from shared.messages.outcome import Outcome
from shared.messages.requests import MirrorRequest
from shared.messages.snapshots import SnapshotRead
from shared.pipelines import Pipeline
from shared.runs import announcing, digests, manifest, records
from shared.runs.announcing import Listeners
from shared.runs.manifest import Manifest
from shared.tables import Table, TableName
from shared.times import Clock

_FUNCTION = "list_tables"
_WAITED_FOR = timedelta(minutes=15)
"""As long as somebody waits for a check, at most, who removes what it leaves."""


class Database(Protocol):
    """The source."""

    def tables(self, pipeline: Pipeline) -> list[Table]:
        """All tables of the pipeline's schemas, with their columns, as they stand now."""

    def tables_and_hidden(self, pipeline: Pipeline) -> tuple[list[Table], Set[TableName]]:
        """The same, and those of them that the role may not read that Cloud SQL exports with, where it is there."""


class Exports(Protocol):
    """The topic that exports are asked for on."""

    def request(self, exports: Sequence[dict[str, Any]], instance: str, *, is_replay: bool, is_relist: bool) -> None:
        """
        Publish one message per table, in order, in the instance's lane. Return when all are confirmed.

        `is_replay`: the request was published again, so that each of them is as late as it is. `is_relist`: they describe tables
        again, and come when the others of their run are in the lane.
        """


class Snapshots(Protocol):
    """The topic that snapshots are asked for on."""

    def request_snapshots(self, reads: Sequence[SnapshotRead], *, is_replay: bool) -> None:
        """Publish one message per snapshot, and return when all are confirmed. `is_replay` as for an export."""


@dataclass(frozen=True, slots=True)
class ListServices:
    """
    What listing works with.

    Without `snapshots`, all is exported, of a run that began when there were some, too.
    """

    database: Database
    storage: Storage
    exports: Exports
    datasets: Datasets
    listeners: Listeners
    clock: Clock
    snapshots: Snapshots | None = None


def list_tables(request: MirrorRequest, services: ListServices) -> Outcome:
    """
    Publish an export for each table that a request means, and a wish for each snapshot of those that are read so.

    The manifest is written once. A redelivered request publishes what it says, whatever the database holds by then. Raises
    Permanent if the request names what the pipeline does not mirror, or the database has nothing to mirror. A check that comes
    late is not begun.
    """
    pipeline = request.pipeline
    if request.check and services.clock.now() - request.requested_at > _WAITED_FOR:
        return Outcome("skipped", "nobody waits for this check any more: ask for another", request.subject, "WARNING")
    bucket = services.storage.bucket(pipeline.bucket)
    wanted = _described_again(request, bucket, services) if request.relist else _listed(request, bucket, services)
    exported = _published(request, wanted, services)
    if not wanted:
        _announce_run(request, bucket, services)
    said = f"{len(exported)} tables of {pipeline.database} are to be exported"
    if read := len(wanted) - len(exported):
        said += f", and {read} to be read by snapshot"
    return Outcome("listed", said, request.subject)


def _published(
    request: MirrorRequest, wanted: Sequence[dict[str, Any]], services: ListServices
) -> Sequence[dict[str, Any]]:
    """Ask for the snapshots, then for the exports, which are given: nothing waits for a snapshot, and it is over in seconds."""
    pipeline, is_replay = request.pipeline, request.is_replay
    if services.snapshots and (reads := snapshots.reads(wanted, pipeline)):
        services.snapshots.request_snapshots(reads, is_replay=is_replay)
        wanted = [each for each in wanted if not each.get("snapshot")]
    services.exports.request(wanted, pipeline.instance, is_replay=is_replay, is_relist=request.relist)
    return wanted


def _listed(request: MirrorRequest, bucket: Bucket, services: ListServices) -> Sequence[dict[str, Any]]:
    """The exports of a run, by its manifest. A check is no run of a day: nobody waits for its end, or looks for it."""
    pipeline = request.pipeline
    run, new = manifest.find(bucket, pipeline, request.run_id), None
    if not run:
        wanted, refused = (
            (deciding.canary_exports(request), ()) if request.check else _exports(request, bucket, services)
        )
        entries = [export.to_json() for export in wanted]
        new = manifest.of_request(request, entries, [each.to_json() for each in refused])
        run = manifest.write(bucket, pipeline, new)
    digests.write(bucket, pipeline, run, is_new=run is new)
    if run.is_check:
        return run.tables
    records.open_run(bucket, pipeline, run.run_id)
    # The run's own word counts: a request that is published again may bear the id of another one.
    is_whole = request.tables is None if run.is_whole is None else run.is_whole
    if is_whole:
        manifest.show_newest(bucket, pipeline, run)
    return run.tables


def _described_again(request: MirrorRequest, bucket: Bucket, services: ListServices) -> Sequence[dict[str, Any]]:
    """The exports of tables that have been altered since their run began, as they are now. What is published once stands."""
    run = manifest.find(bucket, request.pipeline, request.run_id)
    if not run or not run.tables:
        raise Permanent(
            f"the pipeline {request.pipeline.name} has no run {request.run_id} to describe tables of again: leave out run_id and relist"
        )
    if request.shard_date != run.day:
        raise Permanent(
            f"the run {run.run_id} is of {run.day}, not of {request.shard_date}: leave out run_id and relist"
        )
    # A delivery that came twice may have exported a table before it was altered.
    listed = [each for each in _as_listed(request, run) if not records.is_exported(bucket, each)]
    if not listed:
        return []
    first = run.tables[0]
    as_first = replace(
        request,
        requested_at=run.requested_at,
        replace=first["replace"],
        replace_asked=first.get("replace_asked", False),
        tables=tuple((each.schema, each.table) for each in listed),
    )
    try:
        found, _ = _exports(as_first, bucket, services, run_tables=len(run.tables))
    except (Permanent, Denied) as failure:
        if isinstance(failure, Permanent) or request.last_try:
            for each in listed:
                records.record_reason(bucket, each, records.FAILED, _FUNCTION, str(failure))
            _announce_run(as_first, bucket, services)
        raise
    formats = {(each.schema, each.table): each.format for each in listed}  # decided once
    return [
        records.write_described_again(
            bucket, replace(export, format=formats[export.schema, export.table], snapshot=None)
        )
        for export in found
    ]


def _as_listed(request: MirrorRequest, run: Manifest) -> list[TableExport]:
    """The requested tables as the run's manifest has them. Raises Permanent for one that it has not."""
    entries = {(entry["schema"], entry["table"]): entry for entry in run.tables}
    found = {each: meant_of_run(each, entries.keys()) for each in request.tables or ()}
    unknown = [shown(each) for each, name in found.items() if name is None]
    if unknown:
        raise Permanent(f"the run {run.run_id} has no table {', '.join(unknown)}: leave out run_id and relist")
    pipelines = {request.pipeline.name: request.pipeline}
    return [exports.listed_export(entries[name], pipelines) for name in dict.fromkeys(found.values()) if name]


def _exports(
    request: MirrorRequest, bucket: Bucket, services: ListServices, run_tables: int | None = None
) -> tuple[list[TableExport], Sequence[RefusedTable]]:
    """
    The exports of the tables that the request means and that can be mirrored. The others are reported.

    `run_tables`: how many tables the run has, None if these are all.
    """
    chosen = deciding.decide(request, _found(request, services), services.datasets, run_tables)
    recorded: set[str] = set()
    for refused in chosen.refused:
        export = deciding.export_of(refused.table, refused.table_id, request, None)
        keeps_id = refused.keeps_id or run_tables is not None  # a table of a run has its id there, whoever has it now
        if keeps_id and export.table_id not in recorded:
            records.record_reason(bucket, export, records.FAILED, _FUNCTION, refused.reason)
            recorded.add(export.table_id)
        _log(Outcome("dead", f"not mirrored: {refused.reason}", export.subject, "ERROR"))
    for table, export in chosen.exports.items():
        if table.row_security:
            _log(Outcome("listed", f"{table} {deciding.FILTERED}", export.subject, "WARNING"))
    return list(chosen.exports.values()), chosen.refused


def _found(request: MirrorRequest, services: ListServices) -> list[Table]:
    """All tables of the database, without the columns that are left out. A pattern that matches none is reported, once in a run."""
    pipeline = request.pipeline
    tables = services.database.tables(pipeline)
    patterns = columns.patterns(tables, pipeline)
    for each in patterns:
        if each.is_idle and not request.relist:
            _log(Outcome("listed", each.idle_in(pipeline.database), request.subject, "WARNING"))
    return columns.decided(tables, pipeline, patterns)


def _announce_run(request: MirrorRequest, bucket: Bucket, services: ListServices) -> None:
    """No export is to follow that would: the run has no tables that can be mirrored, or its last one has left the database."""
    announcing.announce(bucket, request.pipeline, request.run_id, _FUNCTION, services.listeners)


def _log(outcome: Outcome) -> None:
    log.write(_FUNCTION, outcome.to_json())
