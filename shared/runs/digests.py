"""
A run in small: what its messages have to say to be believed, without the columns of all its tables.

    {"version": 2, "replace": true, "requested_at": "…", "shard_date": "…", "tables": {"orders": "<SHA-256>"}, "last": "orders"}

It is written once, beside the manifest and after it. Where it is missing, the manifest itself is read.
"""

import hashlib
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from threading import Lock
from typing import Any

from shared import bucket as paths
from shared import times
from shared.bucket import Bucket
from shared.errors import Permanent
from shared.messages import exports
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from shared.runs import manifest, records
from shared.runs.manifest import Manifest

VERSION = 2
"""Of how a table is digested. It goes up whenever the same message gets another digest."""
_MOST_RUNS = 8


@dataclass(frozen=True, slots=True)
class Digests:
    """
    A run.

    `tables`: the digest of each table's first `table-exports` message, by its table_id. `last`: the one whose message is the last
    in the lane, None if there is none.
    """

    requested_at: datetime
    day: date
    replace: bool
    tables: Mapping[str, str]
    last: str | None

    def to_json(self) -> dict[str, Any]:
        return {
            "version": VERSION,
            "replace": self.replace,
            "requested_at": times.rfc3339(self.requested_at),
            "shard_date": self.day.isoformat(),
            "tables": self.tables,
            "last": self.last,
        }


class KnownRuns:
    """The runs that this instance has read lately. A run's record never changes, so that it is read once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Digests] = {}
        self._lock = Lock()

    def find(self, bucket: Bucket, pipeline: Pipeline, run_id: str) -> Digests | None:
        """A run of the pipeline. None if none is on record: one may come to be, so that it is looked for again."""
        key = (pipeline.bucket, pipeline.name, run_id)
        with self._lock:
            known = self._known.get(key)
        if known := known or find(bucket, pipeline, run_id):
            with self._lock:
                self._known.pop(key, None)
                self._known[key] = known
                for oldest in list(self._known)[:-_MOST_RUNS]:
                    del self._known[oldest]
        return known


def of_export(export: TableExport) -> str:
    """The digest of what a `table-exports` message means, however it is written."""
    return _of(export.to_json())


def of_manifest(run: Manifest, pipeline: Pipeline) -> Digests:
    """A run by its manifest, whichever version has written it. An entry that cannot be read any more has no digest."""
    tables = {}
    for entry in run.tables:
        with suppress(Permanent):
            export = exports.listed_export(entry, {pipeline.name: pipeline})
            tables[export.table_id] = of_export(export)
    return _of_run(run, pipeline, tables)


def write(bucket: Bucket, pipeline: Pipeline, run: Manifest, *, is_new: bool) -> None:
    """Write a run's digests down, unless they are there. `is_new`: the entries are as this version writes them."""
    name = paths.digests_file(pipeline.name, run.run_id)
    if is_new or not bucket.stat(name):
        digests = _of_new(run, pipeline) if is_new else of_manifest(run, pipeline)
        records.write_once(bucket, name, digests.to_json())


def _of_new(run: Manifest, pipeline: Pipeline) -> Digests:
    """The same without a reading of the entries, which takes most of the time of a run of many tables."""
    ids = (pipeline.table_id(entry["schema"], entry["table"]) for entry in run.tables)
    return _of_run(run, pipeline, dict(zip(ids, map(_of, run.tables), strict=True)))


def _of_run(run: Manifest, pipeline: Pipeline, tables: Mapping[str, str]) -> Digests:
    # What is read in a snapshot is in no lane.
    lane = [entry for entry in run.tables if not entry.get("snapshot")]
    return Digests(
        requested_at=run.requested_at,
        day=run.day,
        replace=any(entry.get("replace") for entry in run.tables),
        tables=tables,
        last=pipeline.table_id(lane[-1]["schema"], lane[-1]["table"]) if lane else None,
    )


def _of(message: Mapping[str, Any]) -> str:
    """A table that a snapshot could not read is exported by the same message: how it was to be read does not count."""
    said = {key: value for key, value in message.items() if key != "snapshot"}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def find(bucket: Bucket, pipeline: Pipeline, run_id: str) -> Digests | None:
    """A run, as it was when it was listed. None if none is on record."""
    found = bucket.read(paths.digests_file(pipeline.name, run_id))
    fields = json.loads(found[0]) if found else {}
    if fields.get("version") != VERSION:
        run = manifest.find(bucket, pipeline, run_id)
        return of_manifest(run, pipeline) if run else None
    return Digests(
        requested_at=times.moment(fields["requested_at"]),
        day=times.day(fields["shard_date"]),
        replace=fields["replace"],
        tables=fields["tables"],
        last=fields["last"],
    )
