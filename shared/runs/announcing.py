"""
Say once of a run that its exports have settled, and once that each of its tables has come to its end.

    run-exported   every table of it was exported, has failed, or was skipped
    run-shown      every table of it is shown, held, has failed, or was skipped; the ledger has its lines then

A mark in the run's folder decides who says it, and what: it names the claimant. A claimant that crashes before it has published
does so when its own message comes again. Once there is a mark, nothing is listed.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

from shared import bucket as paths
from shared import log, times
from shared.bucket import Bucket
from shared.errors import Busy, Permanent
from shared.messages import exports
from shared.messages.days import RunShown
from shared.messages.exports import RunExported
from shared.messages.outcome import Outcome, Subject
from shared.pipelines import Pipeline
from shared.runs import ledger, manifest, marks, progress, records
from shared.runs.awaited import Awaited
from shared.runs.ledger import Ledger
from shared.runs.manifest import Manifest
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
    def of_days(self) -> bool:
        """Whether anybody is told that a run is over."""
        return bool(self.shown or self.ledger)


@dataclass(frozen=True, slots=True)
class _Told:
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
) -> bool:
    """
    Say of a run what is due and has not been said. Give whether all has been said that ever will be.

    `run_tables`: how many tables it has. While fewer have settled, its manifest is not read. `known`: how far it is, if that was
    just looked at. `for_any`: whoever has claimed it will not say it any more.
    """
    told = list(_told(pipeline, listeners))
    found = [marks.read(bucket, each.file(pipeline.name, run_id)) for each in told]
    if not all(found):
        run = known or _look(bucket, pipeline, run_id, listeners, run_tables)
        for number, each in enumerate(told):
            if run and not found[number] and each.is_due(run):
                name = each.file(pipeline.name, run_id)
                found[number] = marks.claim(bucket, name, claimant, each.content(run))
    said = [
        _tell(bucket, pipeline, run_id, mark, mark.claimant if for_any else claimant, each)
        for mark, each in zip(found, told, strict=True)
        if mark
    ]
    return len(said) == len(told) and all(said)


def after_end(bucket: Bucket, pipeline: Pipeline, run_id: str, table_id: str, end: str, listeners: Listeners) -> None:
    """A table of a run has come to an end: say what is due, if it was the last. As a rule that costs a look at another table."""
    if listeners.of_days and not listeners.awaited.awaits_another(bucket, pipeline, run_id, table_id):
        after_ends(bucket, pipeline, run_id, {table_id: end}, table_id, listeners)


def after_ends(
    bucket: Bucket, pipeline: Pipeline, run_id: str, ends: Mapping[str, str], claimant: str, listeners: Listeners
) -> None:
    """
    Tables of a run have come to these ends: say what is due, at the cost of a list of its folder.

    Of a run that was over before, the ledger gets a line for each table that had come to another end by then.
    """
    announce(bucket, pipeline, run_id, claimant, listeners)
    mark = marks.read(bucket, paths.run_shown_file(pipeline.name, run_id)) if listeners.ledger else None
    if listeners.ledger and mark and mark.said:
        for table_id, end in ends.items():
            if end != records.FAILED and table_id not in mark.said[end]:
                _record_again(bucket, pipeline, run_id, table_id, end, listeners.ledger)


def announcement(bucket: Bucket, pipeline: Pipeline, run_id: str) -> RunExported | None:
    """How a run's exports are announced. None if not all have settled, or the run is not on record any more."""
    mark = marks.read(bucket, paths.run_exported_file(pipeline.name, run_id))
    if not mark:
        return None
    if mark.said:
        return exports.announced_run(mark.said, {pipeline.name: pipeline})
    run = manifest.find(bucket, pipeline, run_id)  # as for a mark of the version before, which does not say
    known = progress.settled(bucket, pipeline, run_id)
    return _run_exported(progress.of_run(run, pipeline, known), pipeline) if run else None


def _look(
    bucket: Bucket, pipeline: Pipeline, run_id: str, listeners: Listeners, run_tables: int | None
) -> Progress | None:
    known = progress.settled(bucket, pipeline, run_id)
    if run_tables is not None and len(set().union(*(known[each] for each in records.SETTLED))) < run_tables:
        return None
    found = manifest.find(bucket, pipeline, run_id)
    run = progress.of_run(found, pipeline, known) if found else None
    if run:
        listeners.awaited.remember(pipeline, run_id, run.open)
    return run


def _told(pipeline: Pipeline, listeners: Listeners) -> Iterator[_Told]:
    if topic := listeners.exported:
        yield _Told(
            paths.run_exported_file,
            lambda run: not run.unexported,
            lambda run: _run_exported(run, pipeline).to_json(),
            lambda said: topic.announce_run(exports.announced_run(said, {pipeline.name: pipeline})),
        )
    if listeners.of_days:
        yield _Told(
            paths.run_shown_file,
            lambda run: not run.open,
            lambda run: RunShown(run.run_id, pipeline.name, run.manifest.day, run.ends).to_json(),
            partial(_publish_shown, pipeline, listeners.shown),
            partial(_record, pipeline, listeners.ledger),
        )


def _tell(bucket: Bucket, pipeline: Pipeline, run_id: str, mark: Mark, claimant: str, told: _Told) -> bool:
    """Have it said and recorded, if that is left to be done, and the claimant's to do. Give whether both have been done."""
    if mark.announced and mark.recorded:
        return True
    if not mark.announced and mark.claimant != claimant:
        return False
    said = mark.said
    if said is None:
        exported = announcement(bucket, pipeline, run_id)
        said = exported.to_json() if exported else None
    if said is None:  # the run is not on record any more
        return True
    recorded = mark.recorded or told.record(bucket, said)
    if not mark.announced:
        told.publish(said)
    marks.told(bucket, mark, said, recorded=recorded)
    return recorded


def _publish_shown(pipeline: Pipeline, topic: DayAnnouncements | None, said: Mapping[str, Any]) -> None:
    if topic:
        topic.announce_shown(said)
    counts = ", ".join(f"{len(said[end])} {end}" for end in records.ENDS)
    about = Subject(pipeline.name, shard_date=times.day(said["shard_date"]), run_id=said["run_id"])
    log.write("run_shown", Outcome("moved", f"the run {said['run_id']} is over: {counts}", about).to_json())


def _record(pipeline: Pipeline, to: Ledger | None, bucket: Bucket, said: Mapping[str, Any]) -> bool:
    """Append the lines of a run that is over. Give False if that is to be tried again."""
    run = manifest.find(bucket, pipeline, said["run_id"]) if to else None
    if not to or not run:
        return True
    ends = {end: said[end] for end in records.ENDS}
    return _append(
        to, ledger.job_id(pipeline, run.run_id), pipeline, run, lambda: ledger.lines(bucket, pipeline, run, ends)
    )


def _record_again(bucket: Bucket, pipeline: Pipeline, run_id: str, table_id: str, end: str, to: Ledger) -> None:
    """Append the line of a table that has come to another end since its run was over."""
    run = manifest.find(bucket, pipeline, run_id)
    line = ledger.line_of_table(bucket, pipeline, run, table_id, end) if run else None
    if run and line:
        _append(to, ledger.job_id_of_table(pipeline, run_id, table_id, end), pipeline, run, lambda: [line])


def _append(
    to: Ledger, job_id: str, pipeline: Pipeline, run: Manifest, lines: Callable[[], Sequence[ledger.Line]]
) -> bool:
    """Append lines, whatever comes of it: nobody waits for the ledger. Give False if that is to be tried again."""
    about = Subject(pipeline.name, shard_date=run.day, run_id=run.run_id)
    try:
        to.append(job_id, lines())
    except (Busy, Permanent) as failure:
        is_final = isinstance(failure, Permanent)
        said = f"the run is not in the ledger{'' if is_final else ' yet'}: {failure}"
        log.write("ledger", Outcome("waiting", said, about, "ERROR" if is_final else "WARNING").to_json())
        return is_final
    return True


def _run_exported(run: Progress, pipeline: Pipeline) -> RunExported:
    return RunExported(
        run_id=run.run_id,
        pipeline=pipeline,
        shard_date=run.manifest.day,
        manifest_uri=paths.uri(pipeline.bucket, paths.manifest_file(pipeline.name, run.run_id)),
        tables=tuple(sorted(run.exported)),
        failed=tuple(sorted(run.not_exported)),
    )
