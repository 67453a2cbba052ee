"""Jobs: each runs in a thread, is found by its id and location, and is reported once when it is done."""

import copy
import hashlib
import re
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, Protocol

import duckdb

from local.bigquery.catalog import now
from local.bigquery.errors import BigQueryError, error_of, refuse_others

_KINDS = ("load", "copy", "query")
_HONOURED = frozenset({"copy", "dryRun", "jobTimeoutMs", "jobType", "labels", "load", "query"})
_NUMBERS = frozenset({"maxBadRecords", "skipLeadingRows"})
_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
_AT_ONCE = 16
# Where a job is looked for without a location: https://cloud.google.com/bigquery/docs/locations#specify_locations
_MULTI_REGIONS = ("US", "EU")


@dataclass(frozen=True)
class Outcome:
    """The result of a job. `statistics` are those of its kind. `rows` is how many rows it wrote."""

    statistics: dict[str, Any]
    created_table: bool = False
    rows: int = 0


@dataclass(frozen=True)
class JobDone:
    """A finished job, failed or not, with what else the audit log says about it.

    `job` is the resource that jobs.get answers. `method` is the method that started it: jobs.insert or jobs.query.
    """

    job: dict[str, Any]
    method: str
    created_table: bool
    rows: int


@dataclass
class Job:
    """One job. Only the thread that runs it changes it. `done` is set when it will not change any more."""

    project: str
    location: str
    id: str
    configuration: dict[str, Any]
    method: str
    created: int = field(default_factory=now)
    started: int | None = None
    ended: int | None = None
    outcome: Outcome = field(default_factory=lambda: Outcome({}))
    errors: list[dict[str, Any]] = field(default_factory=list)
    done: Event = field(default_factory=Event)

    @property
    def state(self) -> str:
        return "DONE" if self.done.is_set() else "RUNNING" if self.started else "PENDING"

    @property
    def kind(self) -> str:
        return next(kind for kind in _KINDS if kind in self.configuration)

    def reference(self) -> dict[str, str]:
        """The job's JobReference, as the API shows it."""
        return {"projectId": self.project, "jobId": self.id, "location": self.location}

    def raise_error(self) -> None:
        """Raise the BigQueryError that the job ended with. Does nothing if it has none."""
        if self.errors:
            raise error_of(self.errors[0])

    def resource(self) -> dict[str, Any]:
        """The job's resource, as the API shows it."""
        times = {"creationTime": self.created, "startTime": self.started, "endTime": self.ended}
        state = self.state
        outcome = self.outcome.statistics if state == "DONE" else {}
        failed = {"errorResult": self.errors[0], "errors": self.errors} if state == "DONE" and self.errors else {}
        resource = {
            "kind": "bigquery#job",
            "id": f"{self.project}:{self.location}.{self.id}",
            "jobReference": self.reference(),
            "user_email": f"local@{self.project}.iam.gserviceaccount.com",
            "configuration": self.configuration,
            "statistics": {name: str(value) for name, value in times.items() if value} | outcome,
            "status": {"state": state} | failed,
        }
        return copy.deepcopy(resource) | {"etag": hashlib.md5(repr(resource).encode()).hexdigest()}


class Kind(Protocol):
    """One kind of job."""

    def location(self, configuration: dict[str, Any], given: str | None, /) -> str:
        """Where a job runs. `given`: the location that was asked for. Raises BigQueryError if the job is refused."""

    def run(self, job: Job) -> Outcome:
        """Do the job completely. If it raises BigQueryError, nothing has changed."""

    def dry_run(self, job: Job) -> dict[str, Any]:
        """The statistics of a dry run. Raises BigQueryError if the kind has none."""


class Jobs:
    """
    Every job since the start.

    A job stays RUNNING for at least `seconds`. `on_job` is called in the job's thread when it is done.
    """

    def __init__(
        self, project: str, kinds: Mapping[str, Kind], on_job: Callable[[JobDone], None] | None, seconds: float
    ) -> None:
        self._project = project
        self._kinds = kinds
        self._on_job = on_job or (lambda _: None)
        self._seconds = seconds
        self._jobs: dict[tuple[str, str], Job] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._threads = ThreadPoolExecutor(_AT_ONCE, "bigquery-job")
        self._futures: list[Future[None]] = []
        self.next_failures: list[BigQueryError] = []

    def stop(self) -> None:
        """
        Start no more jobs, and return when those that run have ended.

        Raises an exception that ended a job's thread. It is a bug of the stand-in.
        """
        with self._lock:
            self._stopping.set()
        self._threads.shutdown(cancel_futures=True)
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.cancelled():
                future.result()

    def insert(self, configuration: dict[str, Any], reference: dict[str, str], method: str) -> Job:
        """Start a job. Raises BigQueryError if it is refused, for example because another job has its id."""
        configuration = _checked(configuration)
        kind = self._kinds[next(kind for kind in _KINDS if kind in configuration)]
        location = _same(kind.location(configuration, reference.get("location")), reference.get("location"))
        job_id = reference.get("jobId") or f"job_{uuid.uuid4().hex}"
        if not _ID.fullmatch(job_id):
            raise BigQueryError("invalid", f'Invalid job ID "{job_id}"')
        job = Job(self._project, location, job_id, configuration, method)
        if configuration.get("dryRun"):
            job.outcome = Outcome(kind.dry_run(job))
            job.done.set()
            return job
        self._start(job)
        return job

    def get(self, job_id: str, location: str | None) -> Job:
        """A job. The location may be None for a job in US or EU. Raises BigQueryError if there is no such job."""
        for where in [location.upper()] if location else _MULTI_REGIONS:
            for job in self.all():
                if (job.id, job.location.upper()) == (job_id, where):
                    return job
        where = f"{location}." if location else ""
        raise BigQueryError("notFound", f"Not found: Job {self._project}:{where}{job_id}")

    def all(self) -> list[Job]:
        """All jobs, newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def _start(self, job: Job) -> None:
        key = job.location.upper(), job.id
        with self._lock:
            if key in self._jobs:
                raise BigQueryError("duplicate", f"Already Exists: Job {job.project}:{job.location}.{job.id}")
            if self._stopping.is_set():
                raise BigQueryError("backendError", "The stand-in is stopping")
            self._jobs[key] = job
            failure = self.next_failures.pop(0) if self.next_failures else None
            self._futures.append(self._threads.submit(self._run, job, failure))

    def _run(self, job: Job, failure: BigQueryError | None) -> None:
        job.started = now()
        self._stopping.wait(self._seconds)
        job.errors = [BigQueryError("internalError", "A bug of the stand-in ended the job").proto()]
        try:
            if failure:
                raise failure
            job.outcome = self._kinds[job.kind].run(job)
            job.errors = []
        except BigQueryError as error:
            job.errors = [error.proto(), *getattr(error, "more", [])]
        except duckdb.OutOfMemoryException as error:
            said = f"Resources exceeded: {str(error).splitlines()[0]}"
            job.errors = [BigQueryError("resourcesExceeded", said).proto()]
        finally:
            job.ended = now()
            job.done.set()
        outcome = job.outcome
        self._on_job(JobDone(job.resource(), job.method, outcome.created_table, outcome.rows))


def _checked(configuration: dict[str, Any]) -> dict[str, Any]:
    refuse_others(configuration, _HONOURED, "configuration")
    kinds = [kind for kind in _KINDS if kind in configuration]
    if len(kinds) != 1:
        raise BigQueryError("invalid", "A job has exactly one of load, copy and query")
    checked: dict[str, Any] = _without_nulls(configuration) | {"jobType": kinds[0].upper()}
    # google-cloud-bigquery sends them as strings, and the service answers with numbers.
    checked[kinds[0]] |= {name: int(checked[kinds[0]][name]) for name in _NUMBERS & checked[kinds[0]].keys()}
    return checked


def _without_nulls(value: Any) -> Any:
    """A copy without nulls. In a request, null means the same as absent."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _same(location: str, given: str | None) -> str:
    if given and given.upper() != location.upper():
        raise BigQueryError("notFound", f"Not found: the job's datasets were not found in location {given}")
    return location
