"""Say once that a run is whole: every table of it was exported, has failed, or was skipped."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from shared import names, runs, times
from shared.errors import Outrun
from shared.messages import RunExported
from shared.pipelines import Pipeline
from shared.runs import Bucket, Manifest

_RECONCILE = "refresh_views"


class RunAnnouncements(Protocol):
    """The topic of whoever loads a run as a whole."""

    def announce_run(self, exported: RunExported) -> None:
        """Publish, and return when it is confirmed."""


def announce_if_whole(
    bucket: Bucket,
    pipeline: Pipeline,
    run_id: str,
    claimant: str,
    announcements: RunAnnouncements | None,
    run_tables: int | None = None,
) -> None:
    """
    Announce a run, if it is whole and has not been announced; where nobody is to hear of it, do nothing.

    `run_tables` is how many tables it has, where that is known: while fewer have settled, its manifest is not read. An object
    in the bucket decides who announces: it names the `claimant`, who, should it crash before it has published, does so when
    its own message comes again.
    """
    if announcements is None:
        return
    settled = runs.settled(bucket, pipeline.name, run_id)
    if run_tables is not None and len(set().union(*settled.values())) < run_tables:
        return
    found = bucket.read(runs.manifest_file(pipeline.name, run_id))
    whole = _whole(runs.read_manifest(found[0]), settled, pipeline) if found else None
    marker = runs.announced_file(pipeline.name, run_id)
    if whole and (generation := _claim(bucket, marker, claimant)):
        announcements.announce_run(whole)
        bucket.write(marker, _mark(claimant, announced=True), onto=generation)


def end_silent_runs(bucket: Bucket, pipeline: Pipeline, now: datetime, announcements: RunAnnouncements) -> None:
    """
    See that the whole-database runs of the last days end.

    A table of which nothing has been written down a day after the request, such as one whose message Pub/Sub gave up on, has
    failed.
    """
    for back in (1, 2):
        day = times.day_in(pipeline.time_zone, now - back * runs.SILENT_AFTER)
        found = bucket.read(runs.newest_manifest_file(pipeline.name, day))
        manifest = runs.read_manifest(found[0]) if found else None
        if manifest and manifest.requested_at + runs.SILENT_AFTER <= now:
            settled = runs.settled(bucket, pipeline.name, manifest.run_id)
            silent = manifest.table_ids(pipeline).difference(*settled.values())
            runs.record_silence(bucket, pipeline.name, manifest.run_id, silent)
            announce_if_whole(bucket, pipeline, manifest.run_id, _RECONCILE, announcements)


def _whole(manifest: Manifest, settled: runs.Settled, pipeline: Pipeline) -> RunExported | None:
    """The announcement of a run; None while one of its tables has not settled."""
    tables = manifest.table_ids(pipeline)
    exported = settled["exported"] & tables
    if tables - exported - settled["failed"] - settled["skipped"]:
        return None
    return RunExported(
        run_id=manifest.run_id,
        pipeline=pipeline,
        shard_date=manifest.day,
        manifest_uri=names.uri(pipeline.bucket, runs.manifest_file(pipeline.name, manifest.run_id)),
        tables=tuple(sorted(exported)),
        failed=tuple(sorted(settled["failed"] - exported)),
    )


def _claim(bucket: Bucket, marker: str, claimant: str) -> int | None:
    """
    The generation of the marker, if it is the claimant's to announce the run.

    The reconcile comes a day later, when a claimant that has said nothing never will.
    """
    with suppress(Outrun):  # another one's claim stands, or our own, whose answer was lost
        bucket.write(marker, _mark(claimant, announced=False), onto=0)
    found = bucket.read(marker)
    if not found:
        return None
    mark = json.loads(found[0])
    return found[1] if not mark["announced"] and claimant in {mark["claimant"], _RECONCILE} else None


def _mark(claimant: str, *, announced: bool) -> bytes:
    return json.dumps({"announced": announced, "claimant": claimant}).encode()
