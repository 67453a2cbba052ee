"""
Whom to believe: a message on a topic of the mirror's own counts only if the run's record says the same.

    a message on      is held against
    table-exports     the entry of the run's manifest, or the table's new description in `relisted/`
    table-exported    the run's moment, day and `replace`; the names that follow from these; the seal of the pair
    snapshots         the run's moment, day and `replace`, and the numbers of the snapshots in its manifest
    run-exported      the announcement in the run's `run_exported.json`

What differs is Permanent, and so is what has no record any more: files and records expire together. Each check comes before
anything is done, so that a message that is not believed leaves no trace but its dead letter.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from shared import bucket as paths
from shared import canaries, times
from shared.bucket import Bucket
from shared.errors import Permanent
from shared.messages import exports
from shared.messages.exports import RunExported, TableExport, TableExported, TableOfRun
from shared.messages.snapshots import SnapshotRead
from shared.runs import announcing, digests, manifest, records, schema_file
from shared.runs.digests import Digests, KnownRuns
from shared.runs.manifest import Manifest
from shared.runs.schema_file import Seal


def check_export(export: TableExport, bucket: Bucket, runs: KnownRuns) -> Digests:
    """
    The run, if its record asks for this export. An honest first description costs no call of its own.

    Raises Permanent if it does not.
    """
    run = _run(export, bucket, runs)
    listed = run.tables.get(export.table_id)
    if listed is None:
        raise Permanent(f"{_differs(export)}: the run has no such table")
    if listed != digests.of_export(export) and _described_again(export, bucket) != export:
        raise Permanent(f"{_differs(export)}: it describes the table, or the run, otherwise")
    return run


def check_exported(exported: TableExported, bucket: Bucket, runs: KnownRuns) -> Seal:
    """
    The seal of the pair that is announced: the run's own, or that of a later run.

    Raises Permanent if it is another, or gone.
    """
    run = _run(exported, bucket, runs)
    pipeline, day = exported.pipeline, run.day
    table_id = pipeline.table_id(exported.schema, exported.table)
    if table_id not in run.tables:
        raise Permanent(f"{_differs(exported)}: the run has no such table")
    schema_name = paths.schema_file(pipeline.name, table_id, day)
    data_name = paths.data_file(pipeline.name, table_id, day, exported.format)
    derived = replace(
        exported,
        table_id=table_id,
        shard_date=day,
        requested_at=run.requested_at,
        replace=exported.replace and run.replace,
        schema_uri=paths.uri(pipeline.bucket, schema_name),
        data_uri=paths.uri(pipeline.bucket, data_name),
        check=canaries.is_canary(table_id),
    )
    _check_same(_said(derived), _said(exported), _differs(exported))
    seal = seal_of(exported, bucket)
    _check_seal(exported, seal)
    return seal


def seal_of(exported: TableExported, bucket: Bucket) -> Seal:
    """The seal where the announcement says that it is. Raises Permanent if there is none."""
    found = bucket.read(paths.object_name(exported.pipeline.bucket, exported.schema_uri))
    seal = schema_file.read(found[0]) if found else None
    if seal is None:
        raise Permanent(f"{exported.schema_uri} is gone, or no schema file. {_remedy(exported)}")
    return seal


def check_snapshot(wish: SnapshotRead, bucket: Bucket) -> Manifest:
    """The manifest of the run whose snapshot is to be read. Raises Permanent unless it asks for that."""
    run, pipeline = manifest.find(bucket, wish.pipeline, wish.run_id), wish.pipeline
    if run is None:
        request = json.dumps({"pipeline": pipeline.name, "shard_date": wish.shard_date.isoformat()})
        raise Permanent(
            f"no run {wish.run_id} of {pipeline.name} is on record in the bucket {pipeline.bucket}. If it has expired, publish "
            f"{request} on mirror-requests"
        )
    differs = f"what is said of the snapshot {wish.snapshot} is not what the record of the run {wish.run_id} says"
    if not any(entry.get("snapshot") == wish.snapshot for entry in run.tables):
        raise Permanent(f"{differs}: the run has no such snapshot")
    recorded = replace(
        wish,
        requested_at=run.requested_at,
        shard_date=run.day,
        replace=any(entry.get("replace") for entry in run.tables),
        check=run.is_check,
    )
    _check_same(_said(recorded), _said(wish), differs)
    return run


def check_run(run: RunExported, bucket: Bucket) -> None:
    """Raise Permanent unless the run is complete, and this is how it was announced."""
    said = announcing.announcement(bucket, run.pipeline, run.run_id)
    request = json.dumps({"pipeline": run.pipeline.name, "shard_date": run.shard_date.isoformat()})
    if said is None:
        raise Permanent(
            f"no run {run.run_id} of {run.pipeline.name} is on record as complete. If it has expired, publish {request} "
            "on mirror-requests"
        )
    _check_same(said.to_json(), run.to_json(), f"the run {run.run_id} was announced otherwise")


def _run(table: TableOfRun, bucket: Bucket, runs: KnownRuns) -> Digests:
    known = KnownRuns() if table.check else runs  # the record of a check is cleared away when it is over
    run = known.find(bucket, table.pipeline, table.run_id)
    if run is None:
        raise Permanent(
            f"no run {table.run_id} of {table.pipeline.name} is on record in the bucket {table.pipeline.bucket}. {_remedy(table)}"
        )
    return run


def _described_again(export: TableExport, bucket: Bucket) -> TableExport | None:
    found = records.read_described_again(bucket, export)
    with suppress(Permanent):  # what cannot be read any more describes nothing
        return exports.listed_export(found, {export.pipeline.name: export.pipeline}) if found else None
    return None


def _check_seal(exported: TableExported, seal: Seal) -> None:
    """Raise Permanent unless the seal is of this pair, and no earlier run's."""
    sealed: dict[str, Any] = dict(seal.whose)
    if seal.run_id == exported.run_id:
        sealed |= {"requested_at": times.rfc3339(seal.requested_at), "format": seal.format, "data_uri": seal.data_uri}
        if seal.replace is not None:
            sealed["replace"] = seal.replace
    elif not seal.outranks(exported.run_id, exported.requested_at):
        raise Permanent(f"{_differs(exported)}: {exported.schema_uri} is sealed by the earlier run {seal.run_id}")
    _check_same(sealed, exported.to_json(), f"{_differs(exported)}: {exported.schema_uri} says otherwise")


def _check_same(recorded: Mapping[str, Any], said: Mapping[str, Any], reason: str) -> None:
    if keys := [key for key in recorded if recorded[key] != said[key]]:
        raise Permanent(f"{reason}, by {', '.join(keys)}: it is not the mirror's own message, and nothing is done")


def _said(message: TableExported | SnapshotRead) -> dict[str, Any]:
    """What a message says, whether it is of a check among it, which most leave out."""
    return message.to_json() | {"check": message.check}


def _differs(table: TableOfRun) -> str:
    return f"what is said of {table.schema}.{table.table} is not what the record of the run {table.run_id} says"


def _remedy(table: TableOfRun) -> str:
    request = {
        "pipeline": table.pipeline.name,
        "tables": [{"schema": table.schema, "table": table.table}],
        "shard_date": table.shard_date.isoformat(),
    }
    return f"If the run has expired, publish {json.dumps(request, ensure_ascii=False)} on mirror-requests"
