"""The record of a run in the bucket: its manifest, and what became of each of its tables."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from shared import names, times
from shared.errors import Outrun
from shared.messages import MirrorRequest, TableExport, TableOfRun
from shared.pipelines import Pipeline

VERSION = 1
SILENT_AFTER = timedelta(hours=24)
"""Since the request, when a table of which nothing has come counts as failed, so that every run ends."""

Settled = dict[str, set[str]]
"""The ids of the tables that were `exported`, have `failed`, or were `skipped`; one may be in more than one of them."""


class Bucket(Protocol):
    """A pipeline's bucket, as far as records need it."""

    def read(self, name: str) -> tuple[bytes, int] | None:
        """The content of an object and its generation; None where there is none."""

    def write(self, name: str, content: bytes, onto: int) -> None:
        """Write an object over its generation `onto` (0: where there is none); raises Outrun where it is another."""

    def names(self, prefix: str) -> list[str]:
        """The names of all objects that begin so."""

    def delete(self, name: str) -> None:
        """Delete an object, if it is there."""


class Storage(Protocol):
    """Cloud Storage."""

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a run exports; `tables` are its `table-exports` messages, `content` is the file as it was written."""

    run_id: str
    requested_at: datetime
    day: date
    tables: tuple[dict[str, Any], ...]
    content: bytes

    def table_ids(self, pipeline: Pipeline) -> set[str]:
        """The ids of its tables."""
        return {names.table_id(each["schema"], each["table"], pipeline.schemas[0]) for each in self.tables}


def folder(pipeline: str, run_id: str) -> str:
    """Where the record of a run is kept."""
    return f"{pipeline}/_runs/{run_id}"


def manifest_file(pipeline: str, run_id: str) -> str:
    return f"{folder(pipeline, run_id)}/manifest.json"


def newest_manifest_file(pipeline: str, day: date) -> str:
    """Where the manifest of the newest run over the whole database stands, by its shard date."""
    return f"{pipeline}/manifest_{times.stamp(day)}.json"


def new_manifest(request: MirrorRequest, tables: Sequence[dict[str, Any]]) -> Manifest:
    """The manifest of a run that begins; `tables` are its `table-exports` messages."""
    content = {
        "version": VERSION,
        "run_id": request.run_id,
        "pipeline": request.pipeline.name,
        "database": request.pipeline.database,
        "shard_date": request.shard_date.isoformat(),
        "requested_at": times.rfc3339(request.requested_at),
        "tables": tables,
    }
    written = json.dumps(content, ensure_ascii=False).encode()
    return Manifest(request.run_id, request.requested_at, request.shard_date, tuple(tables), written)


def requested_at(content: bytes) -> datetime:
    """When a manifest's run was requested, without reading its tables, which come last and may be many."""
    head = content[: content.index(b', "tables": ')]
    return times.moment(json.loads(head + b"}")["requested_at"])


def read_manifest(content: bytes) -> Manifest:
    fields = json.loads(content)
    return Manifest(
        run_id=fields["run_id"],
        requested_at=times.moment(fields["requested_at"]),
        day=times.day(fields["shard_date"]),
        tables=tuple(fields["tables"]),
        content=content,
    )


def record(bucket: Bucket, of: TableOfRun, table_id: str, settled: str, content: dict[str, Any]) -> None:
    """
    Write down how a table of a run settled: `exported`, `failed` or `skipped`.

    What was written first stands, so that a redelivery changes nothing.
    """
    _write_once(bucket, f"{folder(of.pipeline.name, of.run_id)}/{settled}/{table_id}.json", content)


def record_reason(bucket: Bucket, of: TableOfRun, table_id: str, settled: str, function: str, reason: str) -> None:
    """Write down, as `record` does, that a table has no export or no shard in this run, which function says so, and why."""
    record(bucket, of, table_id, settled, {"function": function, "error": reason})


def record_silence(bucket: Bucket, pipeline: str, run_id: str, tables: Iterable[str]) -> None:
    """Write down that tables failed of which nothing has been heard for a day."""
    reason = f"nothing has come of it {SILENT_AFTER.total_seconds() / 3600:g} hours after the run was requested"
    for table_id in sorted(tables):
        content = {"function": "refresh_views", "error": reason}
        _write_once(bucket, failed_file(pipeline, run_id, table_id), content)


def failed_file(pipeline: str, run_id: str, table_id: str = "") -> str:
    """Where it is written that a table failed; without a table, what all these names begin with."""
    return f"{folder(pipeline, run_id)}/failed/" + (f"{table_id}.json" if table_id else "")


def settled(bucket: Bucket, pipeline: str, run_id: str) -> Settled:
    """What is written down of a run's tables, by one list of its folder."""
    found: Settled = {"exported": set(), "failed": set(), "skipped": set()}
    prefix = f"{folder(pipeline, run_id)}/"
    for name in bucket.names(prefix):
        how, _, file = name.removeprefix(prefix).partition("/")
        if how in found:
            found[how].add(file.removesuffix(".json"))
    return found


def announced_file(pipeline: str, run_id: str) -> str:
    """The object that decides who says that a run is whole."""
    return f"{folder(pipeline, run_id)}/run_exported.json"


def clear_failure(bucket: Bucket, of: TableOfRun, table_id: str) -> None:
    """Take back what was written down of a failure that a replay has made good."""
    bucket.delete(failed_file(of.pipeline.name, of.run_id, table_id))


def write_relisted(bucket: Bucket, export: TableExport) -> dict[str, Any]:
    """
    Write down how a table of a run is described anew, and give what counts: what was written first, if that was another.

    It is the `table-exports` message, as in the manifest.
    """
    message = export.to_json()
    try:
        bucket.write(_relisted_file(export), json.dumps(message, ensure_ascii=False).encode(), onto=0)
    except Outrun:
        return read_relisted(bucket, export) or message
    return message


def read_relisted(bucket: Bucket, export: TableExport) -> dict[str, Any] | None:
    """The `table-exports` message that describes a table of a run anew; None where there is none."""
    found = bucket.read(_relisted_file(export))
    if not found:
        return None
    message: dict[str, Any] = json.loads(found[0])
    return message


def _write_once(bucket: Bucket, name: str, content: dict[str, Any]) -> None:
    try:
        bucket.write(name, json.dumps(content, ensure_ascii=False).encode(), onto=0)
    except Outrun:
        return


def _relisted_file(export: TableExport) -> str:
    return f"{folder(export.pipeline.name, export.run_id)}/relisted/{export.table_id}.json"
