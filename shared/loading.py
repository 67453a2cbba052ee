"""Load one exported table into its shard, by one BigQuery job, whatever an earlier delivery began."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from typing import Protocol

from shared import names, outcome, runs, schema_file
from shared.errors import NotYet, Permanent, without_values
from shared.lane import File
from shared.messages import TableExported
from shared.outcome import Outcome
from shared.pipelines import Pipeline
from shared.schema_file import Seal

PASSING = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "stopped",
        "tableUnavailable",
        "timeout",
    }
)
"""Reasons of failed jobs that may be gone later (https://cloud.google.com/bigquery/docs/error-messages)."""


@dataclass(frozen=True, slots=True)
class Job:
    """
    A load job that has ended. It succeeded where it has no reason; `existed`: an earlier delivery had begun it.

    `pair` is the pair that it was begun for, as `pair_of` names it.
    """

    job_id: str
    pair: str
    ended_at: datetime
    existed: bool
    rows: int = 0
    reason: str | None = None
    error: str = ""


class Warehouse(Protocol):
    """BigQuery."""

    def load(self, job_id: str, exported: TableExported, seal: Seal) -> Job:
        """
        Run a load job to its end, or wait for the one that has this id already; then the shard has its descriptions.

        It replaces the shard whole where the export says `replace`, and else only fills one that has no rows. Raises
        NotYet where the job outlasts this invocation.
        """

    def begun(self, job_id: str, pipeline: Pipeline) -> Job | None:
        """The load job that has this id, when it has ended; None where we have begun none. Raises NotYet as `load` does."""


class Bucket(runs.Bucket, Protocol):
    """The bucket of a pipeline."""

    def stat(self, name: str) -> File | None:
        """An object; None where there is none."""


class Storage(Protocol):
    """Cloud Storage."""

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name."""


@dataclass(frozen=True, slots=True)
class Services:
    """What loading works with."""

    storage: Storage
    warehouse: Warehouse


def load_shard(exported: TableExported, published_at: datetime, services: Services) -> Outcome:
    """
    See an exported pair loaded into its shard, unless that is left to a Scio job; a redelivery waits for the first one's job.

    `published_at` is when the message was published. A pair that another run has sealed since is left to that run, whose rows
    are put back where a job of this message has replaced them. Raises Permanent, once that is written down, where BigQuery
    refuses the data.
    """
    if exported.pipeline.loader != "bigquery":
        return outcome.of_table("ignored", f"the pipeline {exported.pipeline.name} has another loader", exported)
    bucket = services.storage.bucket(exported.pipeline.bucket)
    try:
        return _load(exported, published_at, bucket, services.warehouse)
    except Permanent as failure:
        runs.record_reason(bucket, exported, exported.table_id, "failed", "load_shard", str(failure))
        raise


def job_id(run_id: str, table_id: str, attempt: int) -> str:
    """The id of a load job: the same for each delivery, so that BigQuery itself runs it once."""
    return f"mirror_{pair_of(run_id, table_id)}_{attempt}"


def pair_of(run_id: str, table_id: str) -> str:
    """A pair's name in ids and labels of jobs, which do not take every character of a run's id and a table's."""
    return hashlib.sha256(f"{run_id}/{table_id}".encode()).hexdigest()[:32]


def _load(exported: TableExported, published_at: datetime, bucket: Bucket, warehouse: Warehouse) -> Outcome:
    seal = _seal(exported, bucket)
    if seal.run_id != exported.run_id:
        return _give_way(seal, exported, bucket, warehouse)
    _check_data(seal, exported, bucket)
    job = _job(exported, seal, published_at, warehouse)
    if job.reason == "duplicate" and not exported.replace:
        reason = f"{exported.shard.name} has rows already"
        runs.record_reason(bucket, exported, exported.table_id, "skipped", "load_shard", reason)
        return outcome.of_table("skipped", f"not loaded: {reason}", exported, severity="WARNING")
    newest = _seal(exported, bucket)
    if job.reason:
        if newest.run_id != exported.run_id:
            return _give_way(newest, exported, bucket, warehouse)
        _check_data(newest, exported, bucket)
        raise Permanent(
            f"BigQuery refuses {exported.data_uri}: {without_values(job.error)}. "
            "Mend what it says at the source, and request the table again",
            job.job_id,
        )
    if newest.run_id != exported.run_id:
        _put_back(newest, exported, bucket, warehouse)
    runs.clear_failure(bucket, exported, exported.table_id)
    return outcome.of_table(
        "loaded", f"{job.rows} rows loaded into {exported.shard.name}", exported, operation=job.job_id
    )


def _give_way(seal: Seal, exported: TableExported, bucket: Bucket, warehouse: Warehouse) -> Outcome:
    job = _put_back(seal, exported, bucket, warehouse)
    said = f"not loaded: the run {seal.run_id} has replaced {exported.data_uri}"
    if not job:
        return outcome.of_table("skipped", said, exported)
    return outcome.of_table("skipped", f"{said}, and has its rows in the shard again", exported, operation=job.job_id)


def _put_back(seal: Seal, exported: TableExported, bucket: Bucket, warehouse: Warehouse) -> Job | None:
    """
    See the rows of the newest pair in the shard at last, where a job of this message came after that pair's own; give the job.

    Any delivery of the message may have begun such a job, and may have died, or its answer was lost. What puts rows back is
    a job of this message, too, so that the next delivery knows of it. A pair whose own job is still to come needs none, and
    one that BigQuery refuses is reported by its own message.
    """
    job = None
    while True:
        attempts, ours = _last(exported.run_id, exported, warehouse)
        if not ours or ours.pair == pair_of(seal.run_id, exported.table_id):
            return job
        _, theirs = _last(seal.run_id, exported, warehouse)
        if not theirs or theirs.ended_at > ours.ended_at:
            return job
        newest = replace(exported, data_uri=seal.data_uri, format=seal.format, replace=True)
        job = warehouse.load(job_id(exported.run_id, exported.table_id, attempts + 1), newest, seal)
        if job.reason in PASSING:
            raise NotYet(f"BigQuery could not load {seal.data_uri} now: {job.reason}", job.job_id)
        if job.reason:
            return None
        seal = _seal(exported, bucket)


def _last(run_id: str, exported: TableExported, warehouse: Warehouse) -> tuple[int, Job | None]:
    """How many jobs a run's message has begun for the table, and the last of them that filled the shard."""
    last = None
    for attempt in count(1):
        job = warehouse.begun(job_id(run_id, exported.table_id, attempt), exported.pipeline)
        if not job:
            break
        last = last if job.reason else job
    return attempt - 1, last


def _seal(exported: TableExported, bucket: Bucket) -> Seal:
    found = bucket.read(names.object_name(exported.pipeline.bucket, exported.schema_uri))
    seal = schema_file.read(found[0]) if found else None
    if not seal:
        raise Permanent(f"{exported.schema_uri} is gone, or no schema file: export the table again")
    return seal


def _check_data(seal: Seal, exported: TableExported, bucket: Bucket) -> None:
    data = bucket.stat(names.object_name(exported.pipeline.bucket, seal.data_uri))
    if data and data.generation != seal.data_generation:
        raise NotYet(f"another run is about to replace {exported.data_uri}: its rows are there, and not yet its seal")


def _job(exported: TableExported, seal: Seal, published_at: datetime, warehouse: Warehouse) -> Job:
    """
    The job that decides: each try has an id of its own.

    Passed over are failed ones that an earlier delivery has begun and that may be tried again: for a reason that passes,
    or before this message was published.
    """
    for attempt in count(1):
        job = warehouse.load(job_id(exported.run_id, exported.table_id, attempt), exported, seal)
        passing = job.reason in PASSING
        if passing and not job.existed:
            raise NotYet(f"BigQuery could not load {exported.data_uri} now: {job.reason}", job.job_id)
        if not passing and not (job.existed and job.reason and job.ended_at < published_at):
            break
    return job
