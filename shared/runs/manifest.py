"""The manifest of a run: which tables it exports. Written once, before anything is published."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from shared import times
from shared.bucket import Bucket, manifest_file, newest_manifest_file, newest_manifest_files
from shared.errors import LostRace
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline

VERSION = 1
_DAY = timedelta(days=1)
_REQUESTED_AT = "requested_at"


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    What a run exports. `tables` are its `table-exports` messages; `content` is the file as it was written.

    `is_whole`: it is over the whole database. None if it does not say, as before 0.2. `refused`: the tables that cannot be mirrored,
    each with its schema, table and reason. `is_check`: its tables are canaries, and nothing is told of it.
    """

    run_id: str
    requested_at: datetime
    day: date
    tables: tuple[dict[str, Any], ...]
    content: bytes
    is_whole: bool | None = None
    refused: tuple[dict[str, str], ...] = ()
    is_check: bool = False

    def table_ids(self, pipeline: Pipeline) -> frozenset[str]:
        """The ids of its tables."""
        return frozenset(self.by_id(pipeline))

    def by_id(self, pipeline: Pipeline) -> Mapping[str, Mapping[str, Any]]:
        """Its tables by their ids."""
        return {pipeline.table_id(each["schema"], each["table"]): each for each in self.tables}


def of_request(
    request: MirrorRequest, tables: Sequence[dict[str, Any]], refused: Sequence[dict[str, str]] = ()
) -> Manifest:
    """The manifest of a run that begins. `tables` are its `table-exports` messages, `refused` those that cannot be mirrored."""
    content = {
        "version": VERSION,
        "run_id": request.run_id,
        "pipeline": request.pipeline.name,
        "database": request.pipeline.database,
        "shard_date": request.shard_date.isoformat(),
        "requested_at": times.rfc3339(request.requested_at),
        "is_whole": request.tables is None,
        "tables": tables,
        "refused": refused,
        **({"check": True} if request.check else {}),
    }
    written = json.dumps(content, ensure_ascii=False).encode()
    return Manifest(
        request.run_id,
        request.requested_at,
        request.shard_date,
        tuple(tables),
        written,
        request.tables is None,
        tuple(refused),
        request.check,
    )


def write(bucket: Bucket, pipeline: Pipeline, manifest: Manifest) -> Manifest:
    """Write a run's manifest, and give the one that counts: what another delivery of its request wrote first stands."""
    try:
        bucket.write(manifest_file(pipeline.name, manifest.run_id), manifest.content, onto=0)
    except LostRace:
        return find(bucket, pipeline, manifest.run_id) or manifest
    return manifest


def find(bucket: Bucket, pipeline: Pipeline, run_id: str) -> Manifest | None:
    """The manifest of a run. None if there is none."""
    found = bucket.read(manifest_file(pipeline.name, run_id))
    return _read(found[0]) if found else None


def show_newest(bucket: Bucket, pipeline: Pipeline, manifest: Manifest) -> None:
    """
    Put the manifest where readers find that of the day's newest run, unless that of a later run is there.

    A mark says when the run was requested, so that a manifest of many tables need not be read to be compared.
    """
    name = newest_manifest_file(pipeline.name, manifest.day)
    found = bucket.stat(name)
    there = found.marks.get(_REQUESTED_AT) if found else None
    if there and times.moment(there) >= manifest.requested_at:
        return
    try:
        marks = {_REQUESTED_AT: times.rfc3339(manifest.requested_at)}
        bucket.write(name, manifest.content, onto=found.generation if found else 0, marks=marks)
    except LostRace:
        show_newest(bucket, pipeline, manifest)


def newest(bucket: Bucket, pipeline: Pipeline) -> Manifest | None:
    """The manifest of the newest day that a run over the whole database was for. None if none is on record."""
    known = days(bucket, pipeline)
    found = bucket.read(newest_manifest_file(pipeline.name, known[-1])) if known else None
    return _read(found[0]) if found else None


def days(bucket: Bucket, pipeline: Pipeline) -> list[date]:
    """The days that runs over the whole database were for, oldest first."""
    prefix = newest_manifest_files(pipeline.name)
    stamps = (name.removeprefix(prefix).removesuffix(".json") for name in bucket.names(prefix))
    return sorted(filter(None, map(times.stamped_day, stamps)))


def of_last_days(bucket: Bucket, pipeline: Pipeline, now: datetime) -> Iterator[Manifest]:
    """The manifests of the newest whole-database runs of today, yesterday and the day before."""
    for back in range(3):
        found = bucket.read(newest_manifest_file(pipeline.name, times.day_in(pipeline.time_zone, now - back * _DAY)))
        if found:
            yield _read(found[0])


def _read(content: bytes) -> Manifest:
    fields = json.loads(content)
    return Manifest(
        run_id=fields["run_id"],
        requested_at=times.moment(fields["requested_at"]),
        day=times.day(fields["shard_date"]),
        tables=tuple(fields["tables"]),
        content=content,
        is_whole=fields.get("is_whole"),
        refused=tuple(fields.get("refused", ())),
        is_check=fields.get("check", False),
    )
