"""The local Dataflow, through Google's own client."""

import time
from collections.abc import Callable, Iterator
from threading import Event
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from googleapiclient.discovery import build
from googleapiclient.errors import HttpError

from local.dataflow import CANCELLED, DONE, FAILED, QUEUED, RUNNING, CloudEvent, Dataflow, Launch
from local.rest import ApiError, Fault

PLACE = {"projectId": "p", "location": "europe-west1"}
NAME = "mirror-billing-20260115-9912"
PARAMETER: dict[str, Any] = {
    "jobName": NAME,
    "containerSpecGcsPath": "gs://templates/load.json",
    "parameters": {"shardDate": "2026-01-15"},
    "environment": {"additionalUserLabels": {"mirror_pipeline": "billing"}},
}


class Job:
    """What all jobs of a test do: they end as the test has it say, when it lets them."""

    def __init__(self) -> None:
        self.end = DONE
        self.may_end = Event()
        self.launched: list[Launch] = []

    def __call__(self, launch: Launch, stopping: Event) -> str:
        self.launched.append(launch)
        while not self.may_end.wait(0.005):
            if stopping.is_set():
                return CANCELLED
        return self.end


@pytest.fixture
def job() -> Job:
    return Job()


@pytest.fixture
def events() -> list[CloudEvent]:
    return []


@pytest.fixture
def dataflow(job: Job, events: list[CloudEvent]) -> Iterator[Dataflow]:
    with Dataflow(job, on_change=events.append) as server:
        yield server
    assert server.faults == []


@pytest.fixture
def locations(dataflow: Dataflow) -> Iterator[Any]:
    """The API's methods of a location."""
    with client(dataflow) as service:
        yield service.projects().locations()


def client(dataflow: Dataflow) -> Any:
    options = {"api_endpoint": dataflow.url}
    return build("dataflow", "v1b3", credentials=AnonymousCredentials(), client_options=options)


def launch(locations: Any, **changes: Any) -> dict[str, Any]:
    body = {"launchParameter": PARAMETER | changes}
    job: dict[str, Any] = locations.flexTemplates().launch(**PLACE, body=body).execute()["job"]
    return job


def refusal(call: Callable[[], Any]) -> tuple[int, str]:
    with pytest.raises(HttpError) as raised:
        call()
    return raised.value.status_code, str(raised.value.reason)


def listed(locations: Any, **query: str) -> list[str]:
    """The ids of the jobs that a list has."""
    return [each["id"] for each in locations.jobs().list(**PLACE, **query).execute().get("jobs", [])]


def wait_until_done(dataflow: Dataflow) -> None:
    until = time.monotonic() + 5
    while not all(each["currentState"] == DONE for each in dataflow.jobs):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def end(dataflow: Dataflow, job: Job) -> None:
    """Let the jobs end, and return when they have."""
    job.may_end.set()
    dataflow.stop()


def test_a_job_is_carried_out_with_what_it_was_launched_with(dataflow: Dataflow, locations: Any, job: Job) -> None:
    launched = launch(locations)

    end(dataflow, job)

    [told] = job.launched
    assert (told.job_id, told.name, told.template) == (launched["id"], NAME, "gs://templates/load.json")
    assert (told.parameters, told.labels) == ({"shardDate": "2026-01-15"}, {"mirror_pipeline": "billing"})
    assert dataflow.launches == [told]


def test_the_answer_to_a_launch_knows_no_state_yet(locations: Any) -> None:
    launched = launch(locations)

    assert "currentState" not in launched
    assert (launched["name"], launched["location"], launched["projectId"]) == (NAME, "europe-west1", "p")


def test_a_job_can_be_asked_for(locations: Any) -> None:
    launched = launch(locations)

    found = locations.jobs().get(**PLACE, jobId=launched["id"]).execute()

    assert found["createTime"] == launched["createTime"]
    assert found["currentState"] in {QUEUED, RUNNING}
    assert found["labels"] == {"mirror_pipeline": "billing"}


def test_a_job_of_another_place_is_not_found(locations: Any) -> None:
    launched = launch(locations)

    status, _ = refusal(locations.jobs().get(projectId="p", location="us-central1", jobId=launched["id"]).execute)

    assert status == 404


@pytest.mark.parametrize("state", [DONE, FAILED, CANCELLED])
def test_each_state_is_told_of_as_eventarc_does(
    dataflow: Dataflow, locations: Any, job: Job, events: list[CloudEvent], state: str
) -> None:
    job.end = state
    launched = launch(locations)

    end(dataflow, job)

    headers, body = events[-1]
    assert [each["payload"]["currentState"] for _, each in events] == [QUEUED, RUNNING, state]
    assert headers["ce-type"] == "google.cloud.dataflow.job.v1beta3.statusChanged"
    assert headers["ce-source"] == "//dataflow.googleapis.com/projects/p/locations/europe-west1"
    assert (headers["ce-subject"], headers["ce-job"]) == (f"jobs/{NAME}", NAME)
    assert len({each["ce-id"] for each, _ in events}) == 3
    assert body["payload"].items() >= {"id": launched["id"], "name": NAME, "labels": launched["labels"]}.items()


def test_a_job_that_breaks_has_failed(events: list[CloudEvent]) -> None:
    def broken(_launch: Launch, _stopping: Event) -> str:
        raise RuntimeError("broken")

    server = Dataflow(broken, on_change=events.append)
    with client(server) as service:
        launch(service.projects().locations())

    with pytest.raises(RuntimeError, match="broken"):
        server.stop()
    assert events[-1][1]["payload"]["currentState"] == FAILED


def test_a_second_active_job_of_a_name_is_refused_in_one_place_alone(locations: Any) -> None:
    launch(locations)

    status, message = refusal(lambda: launch(locations))
    elsewhere = locations.flexTemplates().launch(
        projectId="p", location="us-central1", body={"launchParameter": PARAMETER}
    )

    assert (status, f"already an active job named {NAME}" in message) == (409, True)
    assert elsewhere.execute()["job"]["name"] == NAME


def test_a_name_is_free_again_when_its_job_has_ended(dataflow: Dataflow, locations: Any, job: Job) -> None:
    job.may_end.set()
    first = launch(locations)["id"]
    wait_until_done(dataflow)

    second = launch(locations)["id"]

    assert listed(locations, name=NAME) == [second, first]


def test_a_list_is_of_one_name_or_of_one_kind_of_state(dataflow: Dataflow, locations: Any, job: Job) -> None:
    running = launch(locations)["id"]
    other = launch(locations, jobName="other")["id"]
    job.may_end.set()
    wait_until_done(dataflow)
    job.may_end.clear()
    active = launch(locations)["id"]

    assert listed(locations) == [active, other, running]
    assert listed(locations, name=NAME, filter="ALL") == [active, running]
    assert listed(locations, filter="ACTIVE") == [active]
    assert listed(locations, filter="TERMINATED") == [other, running]
    assert listed(locations, name="nobody") == []


def test_a_job_that_runs_when_the_service_stops_is_cancelled(
    dataflow: Dataflow, locations: Any, events: list[CloudEvent]
) -> None:
    launch(locations)

    dataflow.stop()

    assert events[-1][1]["payload"]["currentState"] == CANCELLED


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"jobName": "Mirror"}, 400),
        ({"jobName": "mirror-"}, 400),
        ({"jobName": None}, 400),
        ({"containerSpecGcsPath": "/templates/load.json"}, 400),
        ({"parameters": {"tables": 3}}, 400),
        ({"unknown": "x"}, 400),
        ({"update": True}, 501),
    ],
)
def test_a_launch_is_refused(dataflow: Dataflow, locations: Any, changes: dict[str, Any], status: int) -> None:
    found, _ = refusal(lambda: launch(locations, **changes))

    assert found == status
    assert dataflow.launches == []


def test_a_call_can_be_made_to_fail(dataflow: Dataflow, locations: Any) -> None:
    dataflow.plan("dataflow.projects.locations.flexTemplates.launch", Fault(ApiError(429, "rateLimitExceeded")))

    status, _ = refusal(lambda: launch(locations))

    assert (status, dataflow.launches) == (429, [])
    assert launch(locations)["name"] == NAME
