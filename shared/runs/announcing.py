"""
Say once of a run that its exports have settled, and once that each of its tables has come to its end.

    run-exported   every table of it was exported, has failed, or was skipped
    run-shown      every table of it is shown, held, has failed, or was skipped; the ledger has its lines then

A mark in the run's folder decides who says it, and what: it names the claimant. A claimant that crashes before it has published
does so when its own message comes again. Once there is a mark, nothing is listed.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from shared import bucket as paths
from shared import log, times
from shared.bucket import Bucket
from shared.errors import LostRace
from shared.messages import exports
from shared.messages.days import RunShown
from shared.messages.exports import RunExported
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.runs import bookkeeping, manifest, marks, progress, records
from shared.runs.awaited import Awaited
from shared.runs.digests import KnownRuns
from shared.runs.ledger import Ledger
from shared.runs.marks import Mark
from shared.runs.progress import Progress


class RunAnnouncements(Protocol):
    """The topic of those who load complete runs."""

    def announce_run(self, exported: RunExported) -> None:
        """Publish, and return when it is confirmed."""


class DayAnnouncements(Protocol):
    """The topic of those who wait for a day to be shown."""

    def announce_shown(self, shown: Mapping[str, Any]) -> None:
        """Publish, and return when it is confirmed."""


@dataclass(frozen=True, slots=True)
class Listeners:
    """Who is told of runs. Without one of them, nobody is told what that one would be."""

    exported: RunAnnouncements | None = None
    shown: DayAnnouncements | None = None
    ledger: Ledger | None = None
    awaited: Awaited = field(default_factory=Awaited)

    @property
    def runs(self) -> KnownRuns:
        """The runs that this instance has read lately."""
        return self.awaited.runs

    @property
    def of_days(self) -> bool:
        """Whether anybody is told that a run is over."""
        return bool(self.shown or self.ledger)


@dataclass(frozen=True, slots=True)
class Said:
    """
    What has been said of a run.

    `is_all`: nothing is left to be said of it, ever. `of_day`: what is said of a run that is over. None if it is not.
    """

    is_all: bool
    of_day: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class _Announcement:
    """
    One of the two things that are said of a run: where its mark is, when it is due, what is said, and how.

    `record`: have the ledger note it, and give whether it has.
    """

    file: Callable[[str, str], str]
    is_due: Callable[[Progress], bool]
    content: Callable[[Progress], dict[str, Any]]
    publish: Callable[[Mapping[str, Any]], object]
    record: Callable[[Bucket, Mapping[str, Any]], bool] = lambda *_: True


def announce(
    bucket: Bucket,
    pipeline: Pipeline,
    run_id: str,
    claimant: str,
    listeners: Listeners,
    run_tables: int | None = None,
    known: Progress | None = None,
    *,
    for_any: bool = False,
) -> Said:
    """
    Say of a run what is due and has not been said.

    `run_tables`: how many tables it has. While fewer have settled, its manifest is not read. `known`: how far it is, if that was
    just looked at. `for_any`: whoever has claimed it will not say it any more.
    """
    wanted = list(_announcements(pipeline, listeners))
    found = [marks.read(bucket, each.file(pipeline.name, run_id)) for each in wanted]
    if not all(found):
        run = known or _look(bucket, pipeline, run_id, listeners, run_tables)
        for number, each in enumerate(wanted):
            if run and not found[number] and each.is_due(run):
                name = each.file(pipeline.name, run_id)
                found[number] = marks.claim(bucket, name, claimant, each.content(run))
    said = [
        _tell(bucket, mark, mark.claimant if for_any else claimant, each)
        for mark, each in zip(found, wanted, strict=True)
        if mark
    ]
    of_day = found[-1] if listeners.of_days else None
    return Said(len(said) == len(wanted) and all(said), of_day.said if of_day else None)


def after_end(bucket: Bucket, pipeline: Pipeline, run_id: str, table_id: str, end: str, listeners: Listeners) -> None:
    """
    A table of a run has come to an end: say what is due, if it was the last, or if the run was over before.

    As a rule that costs a look at another table.
    """
    if not listeners.of_days:
        return
    waits = listeners.awaited.awaits_another(bucket, pipeline, run_id, table_id)
    if not waits or is_over(bucket, pipeline, run_id):
        after_ends(bucket, pipeline, run_id, {table_id: end}, table_id, listeners)


def after_ends(
    bucket: Bucket, pipeline: Pipeline, run_id: str, ends: Mapping[str, str], claimant: str, listeners: Listeners
) -> None:
    """
    Tables of a run have come to these ends: say what is due, at the cost of a list of its folder.

    Of a run that was over before, the ledger gets a line for each table that has come to a better end than it had then. If it
    refuses one now, the run is open again, so that the next look at the pipeline's runs has it written.
    """
    said = announce(bucket, pipeline, run_id, claimant, listeners).of_day
    if said and not bookkeeping.record_mended(bucket, pipeline, said, ends, listeners.ledger):
        records.open_run(bucket, pipeline, run_id)


def is_over(bucket: Bucket, pipeline: Pipeline, run_id: str) -> bool:
    """Whether somebody tells that each table of a run has come to its end, or has told."""
    return marks.read(bucket, paths.run_shown_file(pipeline.name, run_id)) is not None


def announcement(bucket: Bucket, pipeline: Pipeline, run_id: str) -> RunExported | None:
    """How a run's exports are announced. None if not all have settled, or the run is not on record any more."""
    mark = marks.read(bucket, paths.run_exported_file(pipeline.name, run_id))
    return exports.announced_run(mark.said, {pipeline.name: pipeline}) if mark else None


def _look(
    bucket: Bucket, pipeline: Pipeline, run_id: str, listeners: Listeners, run_tables: int | None
) -> Progress | None:
    """How far a run is. None if too few of its tables have settled, or nothing is ever said of it, as of a check."""
    known = progress.settled(bucket, pipeline, run_id)
    if run_tables is not None and len(set().union(*(known[each] for each in records.SETTLED))) < run_tables:
        return None
    found = manifest.find(bucket, pipeline, run_id)
    run = progress.of_run(found, pipeline, known) if found and not found.is_check else None
    if run:
        listeners.awaited.remember(pipeline, run_id, run.open)
    return run


def _announcements(pipeline: Pipeline, listeners: Listeners) -> Iterator[_Announcement]:
    if topic := listeners.exported:
        yield _Announcement(
            paths.run_exported_file,
            lambda run: not run.unexported,
            lambda run: _run_exported(run, pipeline).to_json(),
            lambda said: topic.announce_run(exports.announced_run(said, {pipeline.name: pipeline})),
        )
    if listeners.of_days:
        yield _Announcement(
            paths.run_shown_file,
            lambda run: not run.open,
            lambda run: RunShown(run.run_id, pipeline.name, run.manifest.day, run.ends).to_json(),
            partial(_publish_shown, pipeline, listeners.shown),
            partial(bookkeeping.record, pipeline, listeners.ledger),
        )


def _tell(bucket: Bucket, mark: Mark, claimant: str, wanted: _Announcement) -> bool:
    """Have it said and recorded, if that is left to be done, and the claimant's to do. Give whether both have been done."""
    if mark.announced and mark.recorded:
        return True
    if not mark.announced and mark.claimant != claimant:
        return False
    recorded = mark.recorded or wanted.record(bucket, mark.said)
    if not mark.announced:
        wanted.publish(mark.said)
    with suppress(LostRace):  # another one has said it, too
        marks.told(bucket, mark, recorded=recorded)
    return recorded


def _publish_shown(pipeline: Pipeline, topic: DayAnnouncements | None, said: Mapping[str, Any]) -> None:
    if topic:
        topic.announce_shown(said)
    counts = ", ".join(f"{len(said[end])} {end}" for end in records.ENDS)
    about = Subject(pipeline.name, shard_date=times.day(said["shard_date"]), run_id=said["run_id"])
    log.write("run_shown", Outcome("moved", f"the run {said['run_id']} is over: {counts}", about).to_json())


def _run_exported(run: Progress, pipeline: Pipeline) -> RunExported:
    return RunExported(
        run_id=run.run_id,
        pipeline=pipeline,
        shard_date=run.manifest.day,
        manifest_uri=paths.uri(pipeline.bucket, paths.manifest_file(pipeline.name, run.run_id)),
        tables=tuple(sorted(run.exported)),
        failed=tuple(sorted(run.not_exported)),
    )
