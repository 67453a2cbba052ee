"""The team's own Dataflow job for a run that is complete: launched once, through the real client and the API's own document."""

import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import pytest

from local.dataflow import CANCELLED, DONE, FAILED, Dataflow, Launch
from local.rest import ApiError, Fault
from local.server import Answer, Answering, Call, HangUp
from shared import times
from tests.support.delivery import Function, topic
from tests.support.stage import Log, Stage, wait_for
from tests.support.standins import PROJECT

RUN = {
    "run_id": "9912",
    "pipeline": "billing",
    "shard_date": "2026-01-15",
    "manifest_uri": "gs://b/billing/_runs/9912/manifest.json",
    "tables": ["orders", "refunds"],
    "failed": [],
}
NAME = "mirror-billing-20260115-9912"
DATAFLOW = {"template": "gs://templates/load.json", "region": "europe-west1"}


class Job:
    """What every job does: it runs until it is to end."""

    def __init__(self) -> None:
        self._may_end = Event()
        self._state = DONE

    def __call__(self, _launch: Launch, stopping: Event) -> str:
        while not self._may_end.wait(0.005):
            if stopping.is_set():
                return CANCELLED
        return self._state

    def end(self, dataflow: Dataflow, state: str) -> None:
        """Let the jobs end so, and return when they have."""
        self._state = state
        self._may_end.set()
        wait_for(lambda: all(job["currentState"] == state for job in dataflow.jobs))
        self._may_end.clear()


@pytest.fixture
def job() -> Job:
    return Job()


@pytest.fixture
def dataflow(stage: Stage, job: Job) -> Iterator[Dataflow]:
    with Dataflow(job) as server:
        stage.pipeline |= {"loader": "scio", "dataflow": DATAFLOW}
        stage.environment.setenv("DATAFLOW_ENDPOINT", server.url)
        yield server
    assert server.faults == []


@pytest.fixture
def start_loader(stage: Stage, dataflow: Dataflow) -> Function:
    assert dataflow.launches == []
    return stage.function("start_loader")


def letters(stage: Stage) -> list[str]:
    """The reasons of all that has been dead-lettered since the last look."""
    return [message.attributes["error"] for message in stage.published("dead-letters")]


def answers_lost(verb: str, times: int) -> Callable[[Call, Answering], Answer]:
    """Has so many calls take effect, and their answers lost."""
    left = [None] * times

    def lose(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if call.verb == verb and left:
            left.pop()
            raise HangUp
        return answer

    return lose


def replay(start_loader: Function, letter: pubsub_v1.types.PubsubMessage, published: str) -> int:
    """Bring a dead letter back, as a person does who publishes its data and attributes again."""
    return start_loader.receive(
        letter.data, attributes=dict(letter.attributes), published=published, message_id="replay"
    )


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_run_has_its_job_launched(start_loader: Function, dataflow: Dataflow, log: Log, push: bool) -> None:
    status = start_loader.receive(RUN, push=push)

    [launch] = dataflow.launches
    [line] = log()
    assert status == 200
    assert (launch.name, launch.template) == (NAME, DATAFLOW["template"])
    assert (line["severity"], line["outcome"], line["operation"]) == ("INFO", "waiting", launch.job_id)
    assert line.items() >= {"pipeline": "billing", "run_id": "9912", "shard_date": "2026-01-15"}.items()


def test_the_job_is_told_where_the_run_is_and_what_it_is_for(
    stage: Stage, start_loader: Function, dataflow: Dataflow
) -> None:
    start_loader.receive(RUN)

    [launch] = dataflow.launches
    assert launch.labels == {"mirror_pipeline": "billing"}
    assert launch.parameters == {
        "manifest": RUN["manifest_uri"],
        "files": f"gs://{stage.bucket.name}/billing/",
        "shardDate": "2026-01-15",
        "dataset": f"{PROJECT}:{stage.pipeline['shards_dataset']}",
    }


def test_the_pipelines_own_settings_are_launched_with(stage: Stage, dataflow: Dataflow) -> None:
    sent: list[dict[str, Any]] = []
    settings = {
        "parameters": {"workers": "3", "manifest": "mine"},
        "service_account": "loader@p.iam",
        "network": "inner",
    }
    stage.pipeline["dataflow"] = DATAFLOW | settings

    def look(call: Call, answering: Answering) -> Answer:
        sent.extend([json.loads(call.body)] if call.verb == "POST" else [])
        return answering(call)

    dataflow.server.between = look
    stage.function("start_loader").receive(RUN)

    [launch] = dataflow.launches
    assert launch.parameters["workers"] == "3"
    assert launch.parameters["manifest"] == RUN["manifest_uri"]
    assert sent[0]["launchParameter"]["environment"] == {
        "serviceAccountEmail": "loader@p.iam",
        "network": "inner",
        "additionalUserLabels": {"mirror_pipeline": "billing"},
    }


@pytest.mark.parametrize("state", [None, DONE], ids=["running", "done"])
def test_a_job_of_the_runs_name_is_taken_for_its_own(
    start_loader: Function, dataflow: Dataflow, job: Job, log: Log, state: str | None
) -> None:
    start_loader.receive(RUN)
    if state:
        job.end(dataflow, state)

    status = start_loader.receive(RUN)

    assert status == 200
    assert len(dataflow.launches) == 1
    assert [line["outcome"] for line in log()] == ["waiting", "ignored"]


def test_each_run_has_a_job_of_its_own(start_loader: Function, dataflow: Dataflow) -> None:
    for changes in ({}, {"run_id": "9913"}, {"run_id": "9914", "shard_date": "2026-01-16"}):
        start_loader.receive(RUN | changes)

    assert [launch.name for launch in dataflow.launches] == [
        NAME,
        "mirror-billing-20260115-9913",
        "mirror-billing-20260116-9914",
    ]


@pytest.mark.parametrize(
    ("lost", "expected"), [(1, [200, 200]), (2, [500, 200])], ids=["by the client", "by the redelivery"]
)
def test_a_launch_whose_answer_is_lost_is_found(
    start_loader: Function, dataflow: Dataflow, lost: int, expected: list[int]
) -> None:
    """The client sends again what it has no answer to, once."""
    dataflow.server.between = answers_lost("POST", times=lost)

    statuses = [start_loader.receive(RUN), start_loader.receive(RUN)]

    assert statuses == expected
    assert len(dataflow.launches) == 1


def test_a_job_that_another_delivery_has_just_launched_is_adopted(start_loader: Function, dataflow: Dataflow) -> None:
    raced = iter([True])

    def race(call: Call, answering: Answering) -> Answer:
        if call.verb == "POST" and next(raced, False):
            answering(call)
        return answering(call)

    dataflow.server.between = race
    status = start_loader.receive(RUN)

    assert status == 200
    assert len(dataflow.launches) == 1


@pytest.mark.parametrize("state", [FAILED, CANCELLED])
def test_a_job_that_is_lost_is_left_to_a_person(
    stage: Stage, start_loader: Function, dataflow: Dataflow, job: Job, state: str
) -> None:
    start_loader.receive(RUN)
    job.end(dataflow, state)

    statuses = [start_loader.receive(RUN, published=_later(60)) for _ in range(2)]

    assert statuses == [200, 200]
    assert len(dataflow.launches) == 1
    assert all(NAME in reason and state in reason and "replay" in reason for reason in letters(stage))


def test_a_replay_launches_a_lost_job_again_and_only_once(
    stage: Stage, start_loader: Function, dataflow: Dataflow, job: Job
) -> None:
    start_loader.receive(RUN)
    job.end(dataflow, FAILED)
    start_loader.receive(RUN)
    [letter] = stage.published("dead-letters")
    published = _later(1)

    statuses = [replay(start_loader, letter, published) for _ in range(3)]

    assert statuses == [200, 200, 200]
    assert len(dataflow.launches) == 2
    assert letters(stage) == []


def test_a_replay_whose_own_job_is_lost_is_left_to_a_person_again(
    stage: Stage, start_loader: Function, dataflow: Dataflow, job: Job
) -> None:
    start_loader.receive(RUN)
    job.end(dataflow, FAILED)
    start_loader.receive(RUN)
    [letter] = stage.published("dead-letters")
    published = _later(0)

    replay(start_loader, letter, published)
    job.end(dataflow, FAILED)
    replay(start_loader, letter, published)

    assert len(dataflow.launches) == 2
    assert len(letters(stage)) == 1


@pytest.mark.parametrize(
    ("status", "reason", "remedy"),
    [
        (400, "badRequest", "dataflow setting"),
        (403, "forbidden", "roles/dataflow.developer"),
        (404, "notFound", "template"),
    ],
)
@pytest.mark.parametrize("method", ["jobs.list", "flexTemplates.launch"])
def test_a_refusal_that_stays_is_dead_lettered_with_what_to_do(
    stage: Stage, start_loader: Function, dataflow: Dataflow, method: str, status: int, reason: str, remedy: str
) -> None:
    dataflow.plan(f"dataflow.projects.locations.{method}", Fault(ApiError(status, reason, "the service says no")))

    answered = start_loader.receive(RUN)

    [letter] = letters(stage)
    assert answered == 200
    assert "the service says no" in letter
    assert remedy in letter
    assert dataflow.launches == []


@pytest.mark.parametrize(
    ("status", "reason"), [(429, "rateLimitExceeded"), (403, "rateLimitExceeded"), (503, "backendError")]
)
@pytest.mark.parametrize("method", ["jobs.list", "flexTemplates.launch"])
def test_a_refusal_that_may_pass_is_handed_back(
    stage: Stage, start_loader: Function, dataflow: Dataflow, method: str, status: int, reason: str
) -> None:
    dataflow.plan(f"dataflow.projects.locations.{method}", Fault(ApiError(status, reason, "not now")))

    statuses = [start_loader.receive(RUN), start_loader.receive(RUN)]

    assert statuses == [500, 200]
    assert len(dataflow.launches) == 1
    assert letters(stage) == []


def test_a_run_without_a_table_that_was_exported_has_nothing_to_load(
    start_loader: Function, dataflow: Dataflow, log: Log
) -> None:
    status = start_loader.receive(RUN | {"tables": [], "failed": ["orders"]})

    [line] = log()
    assert status == 200
    assert (line["severity"], line["outcome"]) == ("WARNING", "skipped")
    assert dataflow.launches == []


def test_a_pipeline_without_a_dataflow_setting_is_ignored(stage: Stage, dataflow: Dataflow, log: Log) -> None:
    del stage.pipeline["dataflow"]

    status = stage.function("start_loader").receive(RUN)

    assert (status, [line["outcome"] for line in log()]) == (200, ["ignored"])
    assert dataflow.launches == []


@pytest.mark.parametrize("data", [b"{", b"[]", RUN | {"pipeline": "nobodys"}, RUN | {"shard_date": "2026-13-01"}])
def test_a_message_that_is_no_announcement_is_dead_lettered(
    stage: Stage, start_loader: Function, dataflow: Dataflow, data: Any
) -> None:
    status = start_loader.receive(data)

    assert (status, len(letters(stage))) == (200, 1)
    assert dataflow.launches == []


@pytest.mark.parametrize(
    "changes",
    [
        {"tables": ["orders"]},
        {"tables": ["orders", "refunds", "secrets"]},
        {"failed": ["orders"]},
        {"shard_date": "2099-01-01"},
        {"manifest_uri": "gs://elsewhere/billing/_runs/9912/manifest.json"},
        {"run_id": "9000"},
        {"run_id": ".."},
    ],
)
def test_a_run_that_was_announced_otherwise_or_not_at_all_has_no_job_launched(
    stage: Stage, start_loader: Function, dataflow: Dataflow, changes: dict[str, Any]
) -> None:
    """A run that is not complete has not been announced, and neither has one whose record has expired."""
    start_loader.receive(RUN)
    files, launched = stage.files(), len(dataflow.launches)

    status = start_loader.receive(RUN | changes, on_record=False)

    assert (status, len(letters(stage))) == (200, 1)
    assert (stage.files(), len(dataflow.launches)) == (files, launched)


@pytest.mark.parametrize("seed", range(3))
def test_three_deliveries_of_every_message_of_a_run_announce_it_once_and_launch_one_job(
    stage: Stage, start_loader: Function, dataflow: Dataflow, seed: int
) -> None:
    order = random.Random(seed)
    environ = {"RUN_EXPORTED_TOPIC": topic("run-exported")}
    list_tables = stage.function("list_tables", **environ)
    export_table = stage.function("export_table", **environ)
    stage.run("CREATE TABLE orders (id int)", "CREATE TABLE refunds (id int)", "CREATE TABLE lines (id int)")

    for _ in range(3):
        list_tables.receive({"pipeline": "billing"})
    exports = [message.data for message in stage.published("table-exports")]
    for data in order.sample(exports, len(exports)):
        assert export_table.receive(data) == 200
    announced = stage.published("run-exported")
    for message in announced * 3:
        start_loader.receive(message.data, message_id=message.message_id)

    assert len(exports) == 9
    assert [json.loads(message.data)["tables"] for message in announced] == [["lines", "orders", "refunds"]]
    assert [launch.name for launch in dataflow.launches] == [NAME]


def _later(seconds: float) -> str:
    """A moment so long from now, in which jobs have been launched meanwhile, as Pub/Sub writes it."""
    return times.rfc3339(datetime.now(UTC) + timedelta(seconds=seconds))
