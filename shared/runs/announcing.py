"""Say once that a run is complete: every table of it was exported, has failed, or was skipped."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from shared import bucket as paths
from shared.bucket import Bucket
from shared.errors import LostRace
from shared.messages.exports import RunExported
from shared.pipelines import Pipeline
from shared.runs import manifest, progress
from shared.runs.progress import Progress

_RECONCILE = "refresh_views"


class RunAnnouncements(Protocol):
    """The topic of those who load complete runs."""

    def announce_run(self, exported: RunExported) -> None:
        """Publish, and return when it is confirmed."""


def announce_if_complete(
    bucket: Bucket,
    pipeline: Pipeline,
    run_id: str,
    claimant: str,
    announcements: RunAnnouncements | None,
    run_tables: int | None = None,
) -> None:
    """
    Announce a run, if it is complete and has not been announced. Without `announcements`, do nothing.

    `run_tables`: how many tables it has. While fewer have settled, its manifest is not read. An object in the bucket decides
    who announces: it names the `claimant`. A claimant that crashes before it has published does so when its own message comes
    again.
    """
    if announcements is None:
        return
    settled = progress.settled(bucket, pipeline, run_id)
    if run_tables is not None and len(set().union(*settled.values())) < run_tables:
        return
    found = manifest.find(bucket, pipeline, run_id)
    run = progress.of_exports(found, pipeline, settled) if found else None
    marker = paths.run_exported_file(pipeline.name, run_id)
    if run and run.is_complete and (generation := _claim(bucket, marker, claimant)):
        announcements.announce_run(_announcement(run, pipeline))
        bucket.write(marker, _mark(claimant, announced=True), onto=generation)


def end_silent_runs(bucket: Bucket, pipeline: Pipeline, now: datetime, announcements: RunAnnouncements) -> None:
    """See that the whole-database runs of the last days end, once they have had their time, and are announced."""
    for found in manifest.of_last_days(bucket, pipeline, now):
        if progress.has_had_its_time(found, now):
            run = progress.of_exports(found, pipeline, progress.settled(bucket, pipeline, found.run_id))
            progress.end_silence(bucket, pipeline, run)
            announce_if_complete(bucket, pipeline, found.run_id, _RECONCILE, announcements)


def _announcement(run: Progress, pipeline: Pipeline) -> RunExported:
    return RunExported(
        run_id=run.run_id,
        pipeline=pipeline,
        shard_date=run.manifest.day,
        manifest_uri=paths.uri(pipeline.bucket, paths.manifest_file(pipeline.name, run.run_id)),
        tables=tuple(sorted(run.arrived)),
        failed=tuple(sorted(run.failed)),
    )


def _claim(bucket: Bucket, marker: str, claimant: str) -> int | None:
    """
    The generation of the marker, if it is the claimant's to announce the run.

    The reconcile comes a day later, when a claimant that has said nothing never will.
    """
    with suppress(LostRace):  # another one's claim stands, or our own, whose answer was lost
        bucket.write(marker, _mark(claimant, announced=False), onto=0)
    found = bucket.read(marker)
    if not found:
        return None
    mark = json.loads(found[0])
    return found[1] if not mark["announced"] and claimant in {mark["claimant"], _RECONCILE} else None


def _mark(claimant: str, *, announced: bool) -> bytes:
    return json.dumps({"announced": announced, "claimant": claimant}).encode()
