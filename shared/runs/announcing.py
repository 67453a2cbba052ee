"""Say once that a run is complete: every table of it was exported, has failed, or was skipped."""

import json
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from shared import bucket as paths
from shared.bucket import Bucket
from shared.errors import LostRace
from shared.messages import exports
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

    `run_tables`: how many tables it has. While fewer have settled, its manifest is not read. A mark in the bucket decides who
    announces, and what: it names the `claimant`. A claimant that crashes before it has published does so when its own message
    comes again. Once there is a mark, nothing is listed.
    """
    if announcements is None:
        return
    mark = bucket.read(paths.run_exported_file(pipeline.name, run_id))
    if not mark:
        settled = progress.settled(bucket, pipeline, run_id)
        if run_tables is not None and len(set().union(*settled.values())) < run_tables:
            return
        found = manifest.find(bucket, pipeline, run_id)
        run = progress.of_exports(found, pipeline, settled) if found else None
        mark = _claim(bucket, pipeline, run, claimant) if run and run.is_complete else None
    if mark:
        _tell(bucket, pipeline, run_id, mark, claimant, announcements)


def announcement(bucket: Bucket, pipeline: Pipeline, run_id: str) -> RunExported | None:
    """How a run is announced. None if it is not complete, or not on record any more."""
    found = bucket.read(paths.run_exported_file(pipeline.name, run_id))
    if not found:
        return None
    if said := _said(json.loads(found[0]), pipeline):
        return said
    run = manifest.find(bucket, pipeline, run_id)  # as for a mark of the version before, which does not say
    return (
        _announcement(progress.of_exports(run, pipeline, progress.settled(bucket, pipeline, run_id)), pipeline)
        if run
        else None
    )


def end_silent_runs(bucket: Bucket, pipeline: Pipeline, now: datetime, announcements: RunAnnouncements) -> None:
    """
    See that the whole-database runs of the last days that are complete are announced, and end those that have had their time.

    It costs a list of the folder of each that nobody has claimed.
    """
    for found in manifest.of_last_days(bucket, pipeline, now):
        has_had_its_time = progress.has_had_its_time(found, now)
        mark = bucket.read(paths.run_exported_file(pipeline.name, found.run_id))
        if not mark:
            run = progress.of_exports(found, pipeline, progress.settled(bucket, pipeline, found.run_id))
            run = progress.end_silence(bucket, pipeline, run) if has_had_its_time else run
            mark = _claim(bucket, pipeline, run, _RECONCILE) if run.is_complete else None
        if mark:
            # A claimant that has said nothing by then never will.
            claimant = json.loads(mark[0])["claimant"] if has_had_its_time else _RECONCILE
            _tell(bucket, pipeline, found.run_id, mark, claimant, announcements)


def _announcement(run: Progress, pipeline: Pipeline) -> RunExported:
    return RunExported(
        run_id=run.run_id,
        pipeline=pipeline,
        shard_date=run.manifest.day,
        manifest_uri=paths.uri(pipeline.bucket, paths.manifest_file(pipeline.name, run.run_id)),
        tables=tuple(sorted(run.arrived)),
        failed=tuple(sorted(run.failed)),
    )


def _claim(bucket: Bucket, pipeline: Pipeline, run: Progress, claimant: str) -> tuple[bytes, int] | None:
    """
    The mark of a complete run: the claimant's, or that of another who was first.

    What was written first is announced, whatever has become of the tables since: whoever hears of it finds the same in the
    mark.
    """
    marker = paths.run_exported_file(pipeline.name, run.run_id)
    with suppress(LostRace):  # another one's claim stands, or our own, whose answer was lost
        bucket.write(marker, _mark(claimant, _announcement(run, pipeline), announced=False), onto=0)
    return bucket.read(marker)


def _tell(
    bucket: Bucket,
    pipeline: Pipeline,
    run_id: str,
    marked: tuple[bytes, int],
    claimant: str,
    announcements: RunAnnouncements,
) -> None:
    """Announce the run that is marked so, if that is left to be done, and the claimant's to do."""
    content, generation = marked
    mark = json.loads(content)
    if mark["announced"] or mark["claimant"] != claimant:
        return
    if said := _said(mark, pipeline) or announcement(bucket, pipeline, run_id):
        announcements.announce_run(said)
        written = _mark(claimant, said, announced=True)
        bucket.write(paths.run_exported_file(pipeline.name, run_id), written, onto=generation)


def _mark(claimant: str, run: RunExported, *, announced: bool) -> bytes:
    mark = {"announced": announced, "claimant": claimant, "announcement": run.to_json()}
    return json.dumps(mark, ensure_ascii=False).encode()


def _said(mark: dict[str, Any], pipeline: Pipeline) -> RunExported | None:
    """What a mark has to announce. None for one of the version before, which does not say."""
    said = mark.get("announcement")
    return exports.announced_run(said, {pipeline.name: pipeline}) if said else None
