"""Keep each view at its table's newest shard, told by events of BigQuery and Dataflow, by people, and by a schedule."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Protocol

from cloudevents.http import CloudEvent

from shared import audit, completing, dataflow, events, log, messages, moving, shards
from shared.audit import TableWritten, Truncated
from shared.clock import Clock
from shared.completing import RunAnnouncements
from shared.dataflow import JobEnded
from shared.errors import Permanent, without_values
from shared.messages import ViewRefresh
from shared.moving import Moved, Stayed
from shared.outcome import Outcome
from shared.pipelines import Pipeline
from shared.releases import Releases, Run
from shared.runs import Storage
from shared.shards import Listed, Shard
from shared.times import day_in, stamp
from shared.views import SETTLED_AFTER, Aim

Signal = ViewRefresh | TableWritten | Truncated | JobEnded | None

_AT_ONCE = 10
"""
Views that are moved at the same time. BigQuery allows a user 100 requests a second of one method: two a view, for the view and
its shard, and a view takes 0.2 s and more.
"""
_FUNCTION = "refresh_views"


class Warehouse(moving.Warehouse, Protocol):
    """BigQuery's tables, views and jobs."""

    def shards(self, dataset: str) -> dict[Shard, Listed]:
        """All shards of a dataset."""

    def table_written(self, job: Truncated) -> TableWritten | None:
        """What a job wrote; None where it is gone, runs, or is neither a load nor a copy."""


@dataclass(frozen=True, slots=True)
class Services:
    """What refreshing works with. Without `run_announcements`, nobody is told that a run is whole."""

    warehouse: Warehouse
    storage: Storage
    clock: Clock
    run_announcements: RunAnnouncements | None = None


@dataclass(frozen=True, slots=True)
class _Refused:
    """A view that is not the mirror's to move."""

    reason: str


_Results = Mapping[str, Moved | Stayed | _Refused]


def read(event: CloudEvent, pipelines: Mapping[str, Pipeline]) -> Signal:
    """What an event says; None for the many that say nothing here. Permanent where it is malformed."""
    if events.is_message(event):
        message = events.message(event)
        entry = events.log_entry(message)
        return audit.read(entry) if entry else messages.view_refresh(message.data, pipelines)
    if event["type"] == dataflow.STATUS_CHANGED:
        return dataflow.read(event.data, pipelines)
    return audit.read(event.data) if event["type"] == audit.LOG_ENTRY_WRITTEN else None


def refresh_views(signal: Signal, pipelines: Mapping[str, Pipeline], services: Services) -> Outcome:
    """Move the views that a signal is about. Whatever is not about a shard of a pipeline costs no call of BigQuery."""
    if isinstance(signal, ViewRefresh):
        return _Refresh(signal.pipeline, services).on_request(signal)
    if isinstance(signal, JobEnded):
        return _Refresh(signal.pipeline, services).after_dataflow(signal)
    if isinstance(signal, Truncated):
        signal = services.warehouse.table_written(signal)
    pipeline = _pipeline(signal, services.warehouse.project, pipelines) if signal else None
    shard = shards.parse(signal.name) if signal and pipeline else None
    if not signal or not pipeline or not shard:
        return _ignored("no shard of a pipeline")
    return _Refresh(pipeline, services).after_job(shard, signal.error)


def _pipeline(written: TableWritten, project: str, pipelines: Mapping[str, Pipeline]) -> Pipeline | None:
    """The pipeline whose shards are in the dataset that was written to."""
    if written.project != project:
        return None
    return next((pipeline for pipeline in pipelines.values() if pipeline.shards_dataset == written.dataset), None)


def _ignored(message: str) -> Outcome:
    """Nothing to do, and nothing to say about it but to whoever debugs."""
    return Outcome("ignored", message, severity="DEBUG")


class _Refresh:
    """The refresh of a pipeline's views that one signal causes."""

    def __init__(self, pipeline: Pipeline, services: Services) -> None:
        self._pipeline = pipeline
        self._services = services

    def after_job(self, shard: Shard, error: str | None) -> Outcome:
        """Move the view of a shard that a job has just written; a job that failed moves nothing, and is reported."""
        if error:
            return self._said("dead", f"the load of {shard.name} failed: {without_values(error)}", "ERROR", shard)
        if self._pipeline.release == "together":
            return self._after_job_of_run(shard)
        result = moving.move(self._pipeline, Aim((shard,), trusted=True), self._services)
        if isinstance(result, Moved):
            severity = "WARNING" if result.losses else "INFO"
            return self._said("moved", _moved(shard.table_id, result), severity, shard)
        if result.shrunk:
            return self._said("skipped", result.shrunk, "ERROR", shard)
        said = f"the view {shard.table_id} need not move for {shard.name}{_losses(result)}"
        return self._said("ignored", said, "WARNING" if result.losses else "INFO", shard)

    def _after_job_of_run(self, shard: Shard) -> Outcome:
        """Move the views of the run that made the shard, if this was its last."""
        run = self._releases({*self._listed(), shard}).run_of(shard)
        if run and not run.is_whole:
            said = f"{shard.name} waits for {len(run.silent)} other tables of the run {run.run_id}"
            return self._said("waiting", said, "INFO", shard)
        if run and self._pipeline.loader != "bigquery":
            # Of the other shards nobody has said that they are whole: that is for the job's own event, or the reconcile.
            return self._said(
                "waiting", f"{shard.name} waits for the end of the job that writes the run", "INFO", shard
            )
        swept = run.shards if run else [shard]
        results = self._move_all([Aim((each,), trusted=True) for each in swept])
        for table_id, result in results.items():
            if isinstance(result, Stayed) and not result.shrunk:  # pinned, or there already: as fresh as it is to be
                self._log("INFO", "ignored", f"the view {table_id} need not move for {shard.day}", table_id)
        self._report_failed(results, [run] if run else [])
        return self._summed_up(results)

    def after_dataflow(self, job: JobEnded) -> Outcome:
        """Reconcile the pipeline whose job has written its shards; one that failed moves nothing, and is reported."""
        if job.failed:
            return self._said("dead", f"the Dataflow job {job.name} failed", "ERROR")
        return self.on_request(ViewRefresh(job.pipeline), written_by=job.ended_at)

    def on_request(self, request: ViewRefresh, written_by: datetime | None = None) -> Outcome:
        """Reconcile, pin or unpin views, as the request says; views that refuse are reported one by one, and the rest go on."""
        listed = self._listed()
        aims = [replace(aim, written_by=written_by) for aim in self._aims(request, listed)]
        if self._pipeline.release == "together" and request.pin is None:
            results = self._move_released(aims, self._settled(listed, written_by))
        else:
            results = self._move_all(aims)
        if self._pipeline.keep_days is not None:
            self._keep_to_days(results, listed)
        if request.table_ids is None:
            self._report_stale(listed)
            self._end_silent_runs()
        refused = [result.reason for result in results.values() if isinstance(result, _Refused)]
        if refused and request.table_ids:
            raise Permanent("; ".join(refused))
        return self._summed_up(results)

    def _aims(self, request: ViewRefresh, listed: Mapping[Shard, Listed]) -> list[Aim]:
        found: dict[str, list[Shard]] = {}
        for shard in sorted(listed, reverse=True):
            found.setdefault(shard.table_id, []).append(shard)
        wanted = request.table_ids or tuple(found)
        if unknown := [table_id for table_id in wanted if table_id not in found]:
            raise Permanent(f"{request.pipeline.shards_dataset} has no shard of {', '.join(unknown)}")
        if request.pin:
            return [_pinned(table_id, request.pin, found[table_id]) for table_id in wanted]
        pin, by_hand = "" if request.unpin else None, request.table_ids is not None
        return [Aim(tuple(found[table_id]), backwards=request.unpin, pin=pin, by_hand=by_hand) for table_id in wanted]

    def _settled(self, listed: Mapping[Shard, Listed], written_by: datetime | None) -> Collection[Shard]:
        """The shards that a run may count as brought: of another loader, those that it can have finished."""
        if self._pipeline.loader == "bigquery":
            return listed.keys()
        latest = written_by or self._services.clock.now() - SETTLED_AFTER
        return [shard for shard, known in listed.items() if known.created_at <= latest]

    def _move_released(self, aims: Sequence[Aim], present: Collection[Shard]) -> _Results:
        """Move the views as far as runs are whole."""
        releases = self._releases(present)
        releases.end_silent_runs()
        results = self._move_all([replace(aim, is_released=releases.is_released) for aim in aims])
        self._report_failed(results, releases.whole())
        return results

    def _move_all(self, aims: Sequence[Aim]) -> _Results:
        """Move several views at the same time, and report each that moved, was kept, or refuses to be moved."""
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return dict(zip([aim.table_id for aim in aims], pool.map(self._move, aims), strict=True))

    def _move(self, aim: Aim) -> Moved | Stayed | _Refused:
        try:
            result = moving.move(self._pipeline, aim, self._services)
        except Permanent as reason:
            self._log("ERROR", "dead", str(reason), aim.table_id)
            return _Refused(str(reason))
        if isinstance(result, Moved):
            severity = "WARNING" if result.losses else "INFO"
            self._log(severity, "moved", _moved(aim.table_id, result), aim.table_id, result.shown)
        if result.shrunk:
            self._log("ERROR", "skipped", result.shrunk, aim.table_id)
        return result

    def _keep_to_days(self, results: _Results, listed: Mapping[Shard, Listed]) -> None:
        of_table: dict[str, dict[Shard, datetime | None]] = {}
        for shard, known in listed.items():
            of_table.setdefault(shard.table_id, {})[shard] = known.expires_at
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            kept = [
                pool.submit(moving.keep_to_days, self._pipeline, result, of_table[table_id], self._services)
                for table_id, result in results.items()
                if not isinstance(result, _Refused)
            ]
        for each in kept:
            each.result()

    def _report_failed(self, results: _Results, whole: Iterable[Run]) -> None:
        """Name the tables that a day has been released without."""
        moved = {result.shown.day for result in results.values() if isinstance(result, Moved)}
        for run in whole:
            if run.failed and run.day in moved:
                said = f"{run.day} is released without {', '.join(sorted(run.failed))}, which failed in the run {run.run_id}"
                self._log("WARNING", "moved", said)

    def _report_stale(self, listed: Mapping[Shard, Listed]) -> None:
        """Name the tables that have had no shard since others have had two: dropped, renamed, or failing."""
        newest: dict[str, date] = {}
        for shard in listed:
            newest[shard.table_id] = max(shard.day, newest.get(shard.table_id, shard.day))
        last_but_one = sorted({shard.day for shard in listed})[-2:][:1]
        today = day_in(self._pipeline.time_zone, self._services.clock.now())
        stale = [
            f"{table_id} ({(today - day).days} days old)"
            for table_id, day in sorted(newest.items())
            if last_but_one and day < last_but_one[0]
        ]
        if stale:
            self._log("WARNING", "ignored", f"{len(stale)} views are stale: {', '.join(stale)}")

    def _end_silent_runs(self) -> None:
        services = self._services
        if services.run_announcements:
            bucket = services.storage.bucket(self._pipeline.bucket)
            completing.end_silent_runs(bucket, self._pipeline, services.clock.now(), services.run_announcements)

    def _summed_up(self, results: _Results) -> Outcome:
        counts = [sum(isinstance(result, kind) for result in results.values()) for kind in (Moved, _Refused)]
        word = "moved" if counts[0] else "ignored"
        return self._said(word, f"{counts[0]} views moved, {counts[1]} refused", "INFO")

    def _listed(self) -> dict[Shard, Listed]:
        return self._services.warehouse.shards(self._pipeline.shards_dataset)

    def _releases(self, present: Collection[Shard]) -> Releases:
        bucket = self._services.storage.bucket(self._pipeline.bucket)
        return Releases(self._pipeline, bucket, frozenset(present), self._services.clock.now())

    def _said(self, outcome: str, message: str, severity: str, shard: Shard | None = None) -> Outcome:
        about = Outcome(outcome, message, severity, pipeline=self._pipeline.name)
        return replace(about, table=shard.table_id, shard_date=shard.day.isoformat()) if shard else about

    def _log(
        self, severity: str, outcome: str, message: str, table_id: str | None = None, shown: Shard | None = None
    ) -> None:
        said = replace(self._said(outcome, message, severity, shown), table=table_id)
        log.write(_FUNCTION, said.to_json())


def _moved(table_id: str, moved: Moved) -> str:
    return f"the view {table_id} shows {moved.shown.name}{_losses(moved)}"


def _losses(result: Moved | Stayed) -> str:
    return f", and whoever queries it loses columns: {', '.join(result.losses)}" if result.losses else ""


def _pinned(table_id: str, day: date, found: list[Shard]) -> Aim:
    shard = Shard(table_id, day)
    if shard not in found:
        raise Permanent(f"the view {table_id} cannot be pinned to {day}: there is no shard {shard.name}")
    return Aim((shard,), trusted=True, backwards=True, pin=stamp(day), by_hand=True)
