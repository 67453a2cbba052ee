"""Keep each view at its table's newest shard: what each signal leads to."""

from collections.abc import Iterable, Mapping

from shared import bucket as paths
from shared import canaries
from shared.errors import Permanent
from shared.messages.outcome import Concerning, Outcome
from shared.messages.requests import ViewRefresh
from shared.pipelines import Pipeline
from shared.redaction import told
from shared.refreshing import keeping, moving, reconcile, report, sweep
from shared.refreshing.bigquery_events import TableWritten, Truncated
from shared.refreshing.choosing import Aim
from shared.refreshing.dataflow_events import JobEnded
from shared.refreshing.moving import Stayed
from shared.refreshing.origins import Origins
from shared.refreshing.recording import RELEASES, Recorder
from shared.refreshing.services import RefreshServices
from shared.refreshing.signals import Signal
from shared.runs import announcing, manifest, progress
from shared.runs.progress import Progress
from shared.tables import Shard
from shared.times import day_in


def refresh_views(signal: Signal, pipelines: Mapping[str, Pipeline], services: RefreshServices) -> Outcome:
    """Move the views that a signal is about. Whatever is not about a shard of a pipeline costs no call of BigQuery."""
    if isinstance(signal, ViewRefresh):
        return reconcile.reconcile(signal, services, pipelines.values())
    if isinstance(signal, JobEnded):
        with Concerning(report.about(signal.pipeline)):
            return _after_dataflow(signal, services, pipelines.values())
    written = services.bigquery.table_written(signal) if isinstance(signal, Truncated) else signal
    pipeline = _pipeline(written, services.bigquery.project, pipelines) if written else None
    shard = Shard.named(written.name) if written and pipeline else None
    if not written or not pipeline or not shard:
        return Outcome("ignored", "no shard of a pipeline", severity="DEBUG")
    with Concerning(report.about(pipeline, shard)):
        if canaries.is_canary(shard.table_id):
            return _after_canary(shard, written, canaries.seen_by(pipeline), services)
        return _after_job(shard, written, pipeline, services)


def _pipeline(written: TableWritten, project: str, pipelines: Mapping[str, Pipeline]) -> Pipeline | None:
    """The pipeline whose shards are in the dataset that was written to."""
    if written.project != project:
        return None
    return next((pipeline for pipeline in pipelines.values() if pipeline.shards_dataset == written.dataset), None)


def _after_dataflow(job: JobEnded, services: RefreshServices, pipelines: Iterable[Pipeline]) -> Outcome:
    """Reconcile the pipeline whose job has written its shards. One that failed moves nothing, and is reported."""
    if job.failed:
        return Outcome("dead", f"the Dataflow job {job.name} failed", report.about(job.pipeline), "ERROR")
    request = ViewRefresh(job.pipeline, wished_by=f"job {job.name}")
    return reconcile.reconcile(request, services, pipelines, written_by=job.ended_at)


def _after_canary(shard: Shard, written: TableWritten, pipeline: Pipeline, services: RefreshServices) -> Outcome:
    """The same as for a table's shard, but for what would set off an alert."""
    try:
        return report.quiet(shard.table_id, _after_job(shard, written, pipeline, services))
    except Permanent as failure:
        return Outcome("skipped", str(failure), report.about(pipeline, shard), "WARNING", failure.operation)


def _after_job(shard: Shard, written: TableWritten, pipeline: Pipeline, services: RefreshServices) -> Outcome:
    """Move the view of a shard that a job has just written. A job that failed moves nothing, and is reported."""
    now = services.clock.now()
    if shard.day > day_in(pipeline.time_zone, now):
        return report.to_come(pipeline, shard)
    origins = Origins(pipeline, services.storage, shard.table_id)
    if written.failed and not origins.has(shard.table_id):
        return report.foreign(pipeline, shard)
    if written.failed:
        said = f"the load of {shard.name} failed: {told(written.error or '', f'the job {written.job_id}')}"
        if written.is_tried_again:
            return Outcome("waiting", f"{said}; load_shard tries again", report.about(pipeline, shard), "WARNING")
        return Outcome("dead", said, report.about(pipeline, shard), "ERROR")
    recorder = Recorder(pipeline, services, written.job_id)
    if pipeline.release == "together" and (run_id := _run_of(shard, pipeline, recorder, services)):
        if recorder.run_of(shard) != run_id:
            said = f"{shard.name} waits for the rows of the run {run_id}"
            return Outcome("waiting", said, report.about(pipeline, shard))
        run = _complete(shard, run_id, pipeline, services)
        if isinstance(run, str):
            return Outcome("waiting", f"{shard.name} waits for {run}", report.about(pipeline, shard))
        if run:
            return _after_run(shard, run, pipeline, services)
    aim = Aim((shard,), trusted=True, gets_view=origins.has)
    result = moving.move(pipeline, aim, services.bigquery, now)
    recorder.after_event(shard, result)
    sweep.hand_back(keeping.expire_replaced(pipeline, {shard.table_id: result}, services.bigquery, now))
    return report.of_shard(pipeline, shard, result)


def _run_of(shard: Shard, pipeline: Pipeline, recorder: Recorder, services: RefreshServices) -> str | None:
    """The run that a shard is to be of. None if nothing is known of it any more: then it waits for nothing."""
    run_id = recorder.sealed_by(shard)
    bucket = services.storage.bucket(pipeline.bucket)
    return run_id if run_id and services.listeners.awaited.knows(bucket, pipeline, run_id) else None


def _after_run(shard: Shard, run: Progress, pipeline: Pipeline, services: RefreshServices) -> Outcome:
    """Move the views of the run that made the shard, which was its last. Of one that was cut short, they stay."""
    aims = [Aim((each,), trusted=True, is_released=lambda _: run.is_whole) for each in run.shards]
    now = services.clock.now()
    results = sweep.move(pipeline, aims, services.bigquery, now)
    Recorder(pipeline, services).after_sweep(
        run.shards, results, shard.table_id, run.run_id if run.is_cut_short else ""
    )
    failures = sweep.failures(results) + keeping.expire_replaced(pipeline, results, services.bigquery, now)
    if run.is_cut_short:
        said = f"no view moves for {shard.day}: {progress.cut_short(run.run_id)}"
        report.write(Outcome("skipped", said, report.about(pipeline), "WARNING"))
    for table_id, result in results.items() if run.is_whole else ():
        if isinstance(result, Stayed) and not result.shrunk:  # pinned, or there already: as fresh as it is to be
            said = f"the view {table_id} need not move for {shard.day}"
            report.write(Outcome("ignored", said, report.about_view(pipeline, table_id)))
    report.released_without(pipeline, sweep.moved_to(results), [run])
    sweep.hand_back(failures)
    return report.summed_up(pipeline, results, len(sweep.refusals(results)))


def _complete(shard: Shard, run_id: str, pipeline: Pipeline, services: RefreshServices) -> Progress | str | None:
    """The run, if it waits for nothing, or else what it waits for. None if it was over before: its views have moved."""
    if pipeline.loader != "bigquery":
        # Nobody has said of the other shards that they are complete: that is for the job's own event, or the reconcile.
        return "the end of the job that writes the run"
    bucket, awaited = services.storage.bucket(pipeline.bucket), services.listeners.awaited
    if awaited.awaits_another(bucket, pipeline, run_id, shard.table_id, RELEASES):
        return f"other tables of the run {run_id}"
    is_stopped = bucket.stat(paths.stopped_file(pipeline.name, run_id)) is not None
    if not is_stopped and announcing.is_over(bucket, pipeline, run_id):
        return None
    found = manifest.find(bucket, pipeline, run_id)
    if not found:
        return f"the record of the run {run_id}, which is gone"
    run = progress.of_run(found, pipeline, progress.settled(bucket, pipeline, run_id))
    awaited.remember(pipeline, run_id, run.unloaded, RELEASES)
    return f"{len(run.unloaded)} other tables of the run {run_id}" if run.unloaded else run
