"""Load one exported table into its shard, by one BigQuery job, whatever an earlier delivery began."""

import hashlib
from collections.abc import Callable
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
    """A load job that has ended. It succeeded where it has no reason; `existed`: an earlier delivery had begun it."""

    job_id: str
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
        """The load job of this id once it has ended; None where there is none. Raises NotYet as `load` does."""


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

    `published_at` is when the message was published. A pair that another run has sealed since is left to that run. Raises
    Permanent, once that is written down, where BigQuery refuses the data.
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
    digest = hashlib.sha256(f"{run_id}/{table_id}".encode()).hexdigest()[:32]
    return f"mirror_{digest}_{attempt}"


def _load(exported: TableExported, published_at: datetime, bucket: Bucket, warehouse: Warehouse) -> Outcome:
    seal = _seal(exported, bucket)
    if seal.run_id != exported.run_id:
        earlier = _loaded_before(exported, warehouse)
        if earlier:
            _load_what_came_meanwhile(exported, earlier, bucket, warehouse)
        return outcome.of_table(
            "skipped", f"not loaded: the run {seal.run_id} has replaced {exported.data_uri}", exported
        )
    data = bucket.stat(names.object_name(exported.pipeline.bucket, seal.data_uri))
    if data and data.generation != seal.data_generation:
        raise NotYet(f"another run is about to replace {exported.data_uri}: its rows are there, and not yet its seal")
    job = _job(exported, seal, warehouse, lambda job: job.reason is not None and job.ended_at < published_at)
    if job.reason == "duplicate" and not exported.replace:
        reason = f"{exported.shard.name} has rows already"
        runs.record_reason(bucket, exported, exported.table_id, "skipped", "load_shard", reason)
        return outcome.of_table("skipped", f"not loaded: {reason}", exported, severity="WARNING")
    if job.reason and (newer := _seal(exported, bucket)).run_id != exported.run_id:
        return outcome.of_table(
            "skipped", f"not loaded: the run {newer.run_id} has replaced {exported.data_uri} meanwhile", exported
        )
    _check(job, exported)
    _load_what_came_meanwhile(exported, job, bucket, warehouse)
    runs.clear_failure(bucket, exported, exported.table_id)
    return outcome.of_table(
        "loaded", f"{job.rows} rows loaded into {exported.shard.name}", exported, operation=job.job_id
    )


def _load_what_came_meanwhile(exported: TableExported, job: Job, bucket: Bucket, warehouse: Warehouse) -> None:
    """
    See the newest pair in the shard at last.

    A later run may have sealed a pair, and loaded it, while our job ran: what ours put in its place then gives way again.
    """
    seal = _seal(exported, bucket)
    if seal.run_id == exported.run_id:
        return
    theirs = replace(
        exported,
        run_id=seal.run_id,
        requested_at=seal.requested_at,
        data_uri=seal.data_uri,
        format=seal.format,
        replace=True,
    )
    again = _job(theirs, seal, warehouse, lambda job_of_theirs: job_of_theirs.ended_at <= job.ended_at)
    _check(again, theirs)
    _load_what_came_meanwhile(theirs, again, bucket, warehouse)


def _loaded_before(exported: TableExported, warehouse: Warehouse) -> Job | None:
    """The last job by which earlier deliveries of this message filled the shard: they may have died before they saw to the rest."""
    last = None
    for attempt in count(1):
        job = warehouse.begun(job_id(exported.run_id, exported.table_id, attempt), exported.pipeline)
        if job is None:
            break
        last = last if job.reason else job
    return last


def _check(job: Job, exported: TableExported) -> None:
    if job.reason:
        raise Permanent(
            f"BigQuery refuses {exported.data_uri}: {without_values(job.error)}. "
            "Mend what it says at the source, and request the table again",
            job.job_id,
        )


def _seal(exported: TableExported, bucket: Bucket) -> Seal:
    found = bucket.read(names.object_name(exported.pipeline.bucket, exported.schema_uri))
    seal = schema_file.read(found[0]) if found else None
    if not seal:
        raise Permanent(f"{exported.schema_uri} is gone, or no schema file: export the table again")
    return seal


def _job(exported: TableExported, seal: Seal, warehouse: Warehouse, is_past: Callable[[Job], bool]) -> Job:
    """
    The job that decides: each try has an id of its own.

    Passed over are jobs that existed and are past, and failed ones that may be tried again.
    """
    for attempt in count(1):
        job = warehouse.load(job_id(exported.run_id, exported.table_id, attempt), exported, seal)
        passing = job.reason in PASSING
        if passing and not job.existed:
            raise NotYet(f"BigQuery could not load {exported.data_uri} now: {job.reason}", job.job_id)
        if not passing and not (job.existed and is_past(job)):
            break
    return job
