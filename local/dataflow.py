"""
Dataflow on one machine: jobs that are launched from Flex Templates. A callable carries out each job.

Differences from the service: every template exists. A job has no workers, and cannot be cancelled or updated. Lists
have one page. What is not simulated is refused with 501.
"""

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Lock
from typing import Any
from uuid import uuid4

from local.rest import Api, ApiError, Handler, Request

DONE, FAILED, CANCELLED = "JOB_STATE_DONE", "JOB_STATE_FAILED", "JOB_STATE_CANCELLED"
QUEUED, RUNNING = "JOB_STATE_QUEUED", "JOB_STATE_RUNNING"
ACTIVE = (QUEUED, RUNNING)

_AT_ONCE = 8
# From the Job schema in the discovery document.
_NAME = re.compile(r"[a-z]([-a-z0-9]{0,1022}[a-z0-9])?")
_LAUNCHED_WITH = frozenset({"containerSpecGcsPath", "environment", "jobName", "parameters"})
_SCHEMA = (
    "https://googleapis.github.io/google-cloudevents/proto/google/events/cloud/dataflow/v1beta3/data.proto#JobEventData"
)

CloudEvent = tuple[dict[str, str], dict[str, Any]]
"""Headers and body of a CloudEvent in binary mode."""


@dataclass(frozen=True)
class Launch:
    """What a job was launched with, and the id that it was given."""

    job_id: str
    name: str
    template: str
    parameters: Mapping[str, str]
    labels: Mapping[str, str]


CarryOut = Callable[[Launch, Event], str]
"""
Carries out a job, and gives the state that it ends in. Called in a thread of its own.

The event is set when the service stops. Then it must return soon.
"""


class Dataflow(Api):
    """
    The API. It runs from construction until `stop`.

    `on_change` gets Eventarc's event for each state of a job, in order. `launches` are the accepted launches. `faults` are
    the answers that did not fit the discovery document. Each is a bug of the stand-in.
    """

    def __init__(self, carry_out: CarryOut, *, on_change: Callable[[CloudEvent], None] | None = None) -> None:
        self.launches: list[Launch] = []
        self._carry_out = carry_out
        self._on_change = on_change or (lambda _: None)
        self._jobs: dict[str, dict[str, Any]] = {}
        self._lock = Lock()
        self._stopping = Event()
        self._threads = ThreadPoolExecutor(_AT_ONCE, "dataflow-job")
        self._futures: list[Future[None]] = []
        handlers: dict[str, Handler] = {
            "dataflow.projects.locations.flexTemplates.launch": self._launch,
            "dataflow.projects.locations.jobs.get": self._get,
            "dataflow.projects.locations.jobs.list": self._list,
        }
        super().__init__("dataflow", "v1b3", handlers)

    def stop(self) -> None:
        """Launch no more jobs, and return when none runs. Raises the exception of a job's callable, if one raised any."""
        super().stop()
        self._stopping.set()
        self._threads.shutdown(cancel_futures=True)
        futures, self._futures = self._futures, []
        for future in futures:
            if not future.cancelled():
                future.result()

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """All jobs as they are now, newest first."""
        with self._lock:
            return [dict(job) for job in reversed(self._jobs.values())]

    def _launch(self, request: Request) -> dict[str, Any]:
        """
        Answer with the job, without a state. The service does the same.

        See https://cloud.google.com/dataflow/docs/guides/templates/using-flex-templates#run-a-flex-template-pipeline.
        """
        launch = _read(request)
        now = _now()
        job = {
            "id": launch.job_id,
            "name": launch.name,
            "projectId": request.path["projectId"],
            "location": request.path["location"],
            "type": "JOB_TYPE_BATCH",
            "labels": dict(launch.labels),
            "createTime": now,
            "startTime": now,
        }
        with self._lock:
            self._refuse_second(job)
            self._jobs[launch.job_id] = job | {"currentState": QUEUED, "currentStateTime": now}
            self.launches.append(launch)
            self._futures.append(self._threads.submit(self._run, launch))
        return {"job": job | {"currentStateTime": "1970-01-01T00:00:00Z"}}

    def _refuse_second(self, new: Mapping[str, Any]) -> None:
        """
        Refuse a job whose name an active job has, with the service's message.

        Its text is from https://github.com/apache/beam/pull/29441.
        """
        for job in self._jobs.values():
            if _place(job) == _place(new) and job["currentState"] in ACTIVE:
                message = f"There is already an active job named {new['name']}. "
                message += "If you want to submit a second job, try again by setting a different name."
                raise ApiError(409, "alreadyExists", message)

    def _get(self, request: Request) -> dict[str, Any]:
        with self._lock:
            job = self._jobs.get(request.path["jobId"])
            if job is None or not _is_at(job, request):
                raise ApiError(404, "notFound", f"Information about job {request.path['jobId']} could not be found.")
            return dict(job)

    def _list(self, request: Request) -> dict[str, Any]:
        wanted = {name: request.query[name] for name in request.query.keys() & {"filter", "name"}}
        if unknown := request.query.keys() - {"alt", "fields", "filter", "name", "prettyPrint"}:
            raise _not_simulated(f"The parameter {sorted(unknown)}")
        active = {"ACTIVE": ACTIVE, "TERMINATED": (DONE, FAILED, CANCELLED)}.get(wanted.get("filter", ""))
        found = [
            job
            for job in self.jobs
            if _is_at(job, request)
            and wanted.get("name", job["name"]) == job["name"]
            and (active is None or job["currentState"] in active)
        ]
        return {"jobs": found} if found else {}

    def _run(self, launch: Launch) -> None:
        self._tell(launch, QUEUED)
        self._tell(launch, RUNNING)
        end = FAILED
        try:
            end = self._carry_out(launch, self._stopping)
        finally:
            self._tell(launch, end)

    def _tell(self, launch: Launch, state: str) -> None:
        with self._lock:
            job = self._jobs[launch.job_id]
            job.update(currentState=state, currentStateTime=_now())
            event = _event(job)
        self._on_change(event)


def _read(request: Request) -> Launch:
    parameter = request.body.get("launchParameter") or {}
    if unknown := {*parameter, *request.body} - _LAUNCHED_WITH - {"launchParameter"}:
        raise _not_simulated(f"A launch with {sorted(unknown)}")
    name, template = parameter.get("jobName") or "", parameter.get("containerSpecGcsPath") or ""
    if not _NAME.fullmatch(name):
        raise ApiError(400, "badRequest", f"The job name {name!r} is invalid: it must match {_NAME.pattern}")
    if not template.startswith("gs://"):
        raise ApiError(400, "badRequest", f"Invalid template file {template!r}")
    job_id = f"{datetime.now(UTC):%Y-%m-%d_%H_%M_%S}-{uuid4().int % 10**19}"
    labels = (parameter.get("environment") or {}).get("additionalUserLabels") or {}
    return Launch(job_id, name, template, parameter.get("parameters") or {}, labels)


def _event(job: Mapping[str, Any]) -> CloudEvent:
    """Eventarc's event about a job's new state. Its shape is from Google's events.proto and from a recorded event."""
    place = f"projects/{job['projectId']}/locations/{job['location']}"
    headers = {
        "content-type": "application/json; charset=utf-8",
        "ce-specversion": "1.0",
        "ce-id": uuid4().hex,
        "ce-type": "google.cloud.dataflow.job.v1beta3.statusChanged",
        "ce-source": f"//dataflow.googleapis.com/{place}",
        "ce-subject": f"jobs/{job['name']}",
        "ce-time": job["currentStateTime"],
        "ce-dataschema": _SCHEMA,
        "ce-job": job["name"],
        "ce-location": job["location"],
        "ce-project": job["projectId"],
    }
    kind = "type.googleapis.com/google.events.cloud.dataflow.v1beta3.JobEventData"
    return headers, {"@type": kind, "payload": dict(job)}


def _place(job: Mapping[str, Any]) -> tuple[str, str, str]:
    return job["projectId"], job["location"], job["name"]


def _is_at(job: Mapping[str, Any], request: Request) -> bool:
    return _place(job)[:2] == (request.path["projectId"], request.path["location"])


def _not_simulated(what: str) -> ApiError:
    return ApiError(501, "notImplemented", f"{what} is not simulated.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
