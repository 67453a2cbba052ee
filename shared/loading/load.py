"""Load one exported pair into its shard, whatever an earlier delivery began."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared import bucket as paths
from shared import failures
from shared.bucket import Bucket, File, Storage
from shared.errors import REQUEST_AGAIN, HandBack, Permanent
from shared.loading import attempts
from shared.loading.attempts import LoadJob, LoadJobs
from shared.messages import columns
from shared.messages.exports import TableExported
from shared.messages.outcome import Outcome
from shared.redaction import told
from shared.runs import announcing, belief, records, schema_file
from shared.runs.announcing import Listeners
from shared.runs.schema_file import Seal

_FUNCTION = "load_shard"

LARGEST_CSV = 4 * 1024**3
"""Bytes of an uncompressed CSV file with quoted newlines (https://cloud.google.com/bigquery/quotas#load_jobs)."""


@dataclass(frozen=True, slots=True)
class LoadServices:
    """What loading works with."""

    storage: Storage
    jobs: LoadJobs
    listeners: Listeners = field(default_factory=Listeners)


def load_shard(exported: TableExported, published_at: datetime, services: LoadServices) -> Outcome:
    """
    See an exported pair loaded into its shard, unless that is left to a Scio job. A redelivery waits for the first one's job.

    `published_at` is when the message was published. A pair that another run has sealed since is left to that run. Where a
    job of this message has replaced that run's rows, they are put back. Raises Permanent if BigQuery refuses the data, once
    that is written down; and with nothing done if the run's record and the pair do not say what is announced.
    """
    if exported.pipeline.loader != "bigquery":
        return Outcome("ignored", f"the pipeline {exported.pipeline.name} has another loader", exported.subject)
    bucket = services.storage.bucket(exported.pipeline.bucket)
    seal = belief.check_exported(exported, bucket, services.listeners.runs)
    try:
        outcome, end = _load(exported, seal, published_at, bucket, services.jobs)
    except Permanent as failure:
        with suppress(Permanent):  # such as no access to the bucket: the first reason counts
            records.record_reason(bucket, exported, records.FAILED, _FUNCTION, str(failure))
            _after(records.FAILED, exported, bucket, services.listeners)
        raise
    if end:
        _after(end, exported, bucket, services.listeners)
    return outcome


def _after(end: str, exported: TableExported, bucket: Bucket, listeners: Listeners) -> None:
    announcing.after_end(bucket, exported.pipeline, exported.run_id, exported.table_id, end, listeners)


def _load(
    exported: TableExported, seal: Seal, published_at: datetime, bucket: Bucket, jobs: LoadJobs
) -> tuple[Outcome, str | None]:
    """What came of the load, and the end that the table has come to by it. None where its view is to show the shard."""
    if seal.run_id != exported.run_id:
        return _give_way(seal, exported, bucket, jobs)
    _check_size(seal, _check_data(seal, exported, bucket), exported)
    columns.check(
        exported, ((each["source_name"], each.get("hashed", False)) for each in seal.columns), seal.column_rules
    )
    job = attempts.deciding_job(exported, seal, published_at, jobs)
    if job.reason == "duplicate" and not exported.replace:
        reason = f"{exported.shard.name} has rows already"
        records.record_reason(bucket, exported, records.SKIPPED, _FUNCTION, reason)
        return Outcome("skipped", f"not loaded: {reason}", exported.subject, "WARNING"), records.SKIPPED
    newest = belief.seal_of(exported, bucket)
    if job.failed:
        return _refused(job, newest, exported, bucket, jobs)
    said = f"{job.rows} rows loaded into {exported.shard.name}"
    end = None
    if newest.run_id != exported.run_id:
        _put_back(newest, exported, bucket, jobs)
        end = _held_by(newest, exported, bucket)
    else:
        records.record(bucket, exported, records.LOADED, {"rows": job.rows, "job": job.job_id})
    records.clear_failure(bucket, exported)
    return Outcome("loaded", said, exported.subject, operation=job.job_id), end


def _held_by(seal: Seal, exported: TableExported, bucket: Bucket) -> str:
    """Write down that the shard is another run's."""
    records.record(bucket, exported, records.HELD, {"reason": f"{exported.shard.name} is the run {seal.run_id}'s"})
    return records.HELD


def _refused(
    job: LoadJob, newest: Seal, exported: TableExported, bucket: Bucket, jobs: LoadJobs
) -> tuple[Outcome, str | None]:
    """BigQuery refuses the data. That counts only where the data is still this run's."""
    if newest.run_id != exported.run_id:
        return _give_way(newest, exported, bucket, jobs)
    _check_data(newest, exported, bucket)
    said = told(job.error, f"the job {job.job_id}", [job.reason or ""])
    raise Permanent(
        f"BigQuery refuses {exported.data_uri}: {said}. Mend what it says at the source, and {REQUEST_AGAIN}",
        job.job_id,
    )


def _give_way(seal: Seal, exported: TableExported, bucket: Bucket, jobs: LoadJobs) -> tuple[Outcome, str | None]:
    job = _put_back(seal, exported, bucket, jobs)
    end = _held_by(seal, exported, bucket)
    said = f"not loaded: the run {seal.run_id} has replaced {exported.data_uri}"
    if not job:
        return Outcome("skipped", said, exported.subject), end
    put_back = f"{said}, and has its rows in the shard again"
    return Outcome("skipped", put_back, exported.subject, operation=job.job_id), end


def _put_back(seal: Seal, exported: TableExported, bucket: Bucket, jobs: LoadJobs) -> LoadJob | None:
    """
    See the rows of the newest pair in the shard, where a job of this message came after that pair's own. Give the job.

    A pair whose own job is still to come needs none. One that BigQuery refuses is reported by its own message.
    """
    job = None
    while True:
        begun, ours = attempts.last_filling(exported.run_id, exported, jobs)
        newest_pair = schema_file.pair_of(seal.run_id, exported.table_id)
        if not ours or ours.pair == newest_pair:
            return job
        _, theirs = attempts.last_filling(seal.run_id, exported, jobs)
        if not theirs or theirs.ended_at > ours.ended_at:
            return job
        newest = replace(exported, data_uri=seal.data_uri, format=seal.format, replace=True)
        next_id = attempts.job_id(exported.run_id, exported.table_id, begun + 1)
        job = jobs.load(next_id, newest_pair, newest, seal)
        if failures.passes(job.reason):
            raise HandBack(f"BigQuery could not load {seal.data_uri} now: {job.reason}", job.job_id)
        if job.failed:
            return None
        seal = belief.seal_of(exported, bucket)


def _check_data(seal: Seal, exported: TableExported, bucket: Bucket) -> File | None:
    """The pair's data file, if it is there. Raise HandBack if another run has moved its data there, and not sealed it yet."""
    data = bucket.stat(paths.object_name(exported.pipeline.bucket, seal.data_uri))
    if data and data.generation != seal.data_generation:
        raise HandBack(f"another run is about to replace {exported.data_uri}: its rows are there, and not yet its seal")
    return data


def _check_size(seal: Seal, data: File | None, exported: TableExported) -> None:
    """Raise Permanent for more CSV than BigQuery takes, which it would only say after it had read it."""
    if data and seal.format == "csv" and data.size > LARGEST_CSV:
        raise Permanent(
            f"{exported.schema}.{exported.table} has {data.size} bytes of CSV, and BigQuery takes at most {LARGEST_CSV} of it: set "
            f'"format": "ndjson" for the pipeline, and {REQUEST_AGAIN}'
        )
