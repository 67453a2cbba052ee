"""
BigQuery's audit log: what an entry says of a job that has ended.

A load leaves several entries (its start, the table's creation, its data, its end), and a busy project those of every query
beside: only the end of a load or copy job matters here. Source: BigQueryAuditMetadata,
https://cloud.google.com/bigquery/docs/reference/auditlogs/rest/Shared.Types/BigQueryAuditMetadata
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import failures
from shared.errors import Permanent

_LEGACY = "jobservice.jobcompleted"
"""The older form of the log: one entry at the end of a job, https://cloud.google.com/bigquery/docs/reference/auditlogs/migration"""
_INSERT_JOB = "google.cloud.bigquery.v2.JobService.InsertJob"
_JOB = re.compile(r"projects/(?P<project>[^/]+)/jobs/(?P<job_id>[^/]+)")
_TABLE = re.compile(r"projects/(?P<project>[^/]+)/datasets/(?P<dataset>[^/]+)/tables/(?P<name>.+)", re.DOTALL)
_DESTINATIONS = {"IMPORT": "loadConfig", "COPY": "tableCopyConfig"}
OURS = re.compile(r"mirror_(?P<pair>[0-9a-f]{32})_\d+")
"""The ids of load_shard's jobs, as shared/loading/attempts.py gives them."""
SNAPSHOT = "SNAPSHOT"
"""What a copy job does that makes no shard."""
_BEFORE_THE_DATA = "beam_bq_job_SCHEMA_UPDATE"
"""Beam's jobs of this name load no rows: they prepare a shard whose data comes with a later copy job."""


@dataclass(frozen=True, slots=True)
class TableWritten:
    """
    A load or copy job into a table has ended.

    `error`: it failed, and wrote nothing; these are BigQuery's words, which may be none, or hold a row's value. None: it succeeded.
    `is_tried_again`: it is load_shard's own, and failed for a reason that passes: if that is wrong, load_shard says so itself.
    """

    project: str
    dataset: str
    name: str
    error: str | None = field(default=None, repr=False)
    is_tried_again: bool = False
    job_id: str = field(default="", compare=False)

    @property
    def failed(self) -> bool:
        return self.error is not None


@dataclass(frozen=True, slots=True)
class Truncated:
    """The entry was too long and lost what it says of the job: ask for the job."""

    project: str
    job_id: str
    location: str | None


def read(entry: Any) -> TableWritten | Truncated | None:
    """What a log entry says; None for all the entries that say nothing here. Permanent if it is no audit log entry."""
    try:
        return _read(entry)
    except (AttributeError, KeyError, TypeError) as error:
        raise Permanent(f"a malformed audit log entry: {type(error).__name__}: {error}") from error


def table_written(job: str, destination: str, error: str | None = None, *, passes: bool = False) -> TableWritten | None:
    """
    What a job that has ended wrote. `destination` is as the audit log writes it, `projects/P/datasets/D/tables/T`.

    `passes`: it failed for a reason that passes.
    """
    table, job_id = _TABLE.fullmatch(destination), job.rpartition("/")[2]
    if not table or job_id.startswith(_BEFORE_THE_DATA):
        return None
    is_tried_again = passes and bool(OURS.fullmatch(job_id))
    return TableWritten(table["project"], table["dataset"], table["name"], error, is_tried_again, job_id)


def _read(entry: Mapping[str, Any]) -> TableWritten | Truncated | None:
    payload = entry["protoPayload"]
    if payload.get("methodName") == _LEGACY:
        return _completed(payload["serviceData"]["jobCompletedEvent"]["job"])
    job = _JOB.fullmatch(payload.get("resourceName", ""))
    if payload.get("methodName") != _INSERT_JOB or not job:
        return None
    metadata = payload.get("metadata", {})
    if "jobChange" in metadata:
        return _ended(metadata["jobChange"])
    if "jobInsertion" in metadata or entry.get("severity") == "ERROR":
        return None
    location = entry.get("resource", {}).get("labels", {}).get("location")
    return Truncated(job["project"], job["job_id"], location)


def _ended(change: Mapping[str, Any]) -> TableWritten | None:
    config = change["job"].get("jobConfig", {})
    details = config.get(_DESTINATIONS.get(config.get("type", ""), ""))
    if change.get("after") != "DONE" or not details or details.get("operationType") == SNAPSHOT:
        return None
    status = change["job"].get("jobStatus", {}).get("errorResult")
    return table_written(change["job"]["jobName"], details["destinationTable"], _error(status), passes=_passes(status))


def _completed(job: Mapping[str, Any]) -> TableWritten | None:
    """The same fact as the older form writes it."""
    config, status = job.get("jobConfiguration", {}), job.get("jobStatus", {})
    details = config.get("load") or config.get("tableCopy")
    if status.get("state") != "DONE" or not details:
        return None
    table = details["destinationTable"]
    destination = f"projects/{table['projectId']}/datasets/{table['datasetId']}/tables/{table['tableId']}"
    error = status.get("error")
    return table_written(job["jobName"]["jobId"], destination, _error(error), passes=_passes(error))


def _error(status: Mapping[str, Any] | None) -> str | None:
    """
    The words of a google.rpc.Status, which may be none. None if it is that of a success.

    The older form has one for each job: `{}` where it succeeded, as fields of the value 0 or "" are left out, and 0 is OK
    (https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto).
    """
    return str(status.get("message", "")) if status and any(status.values()) else None


def _passes(status: Mapping[str, Any] | None) -> bool:
    return failures.code_passes(status.get("code")) if status else False
