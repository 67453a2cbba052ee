"""The other ways in which a shard's completion is told: the older audit log, log sinks, and Dataflow's events."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.cloud.bigquery import CopyJobConfig, LoadJobConfig, SchemaField

from local.rest import ApiError, Fault
from shared import times
from tests.support.delivery import Function
from tests.support.stage import Event, Log, Stage
from tests.support.views import entries
from tests.support.views.steps import called, load, said, select, show, views

DATAFLOW_LABEL = {"name": "nightly", "labels": {"mirror_pipeline": "billing"}}
LABEL_AND_NAME = {"name": "mirror-orders-20260116", "labels": {"mirror_pipeline": "billing", "team": "orders"}}


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    return stage.function("refresh_views")


@pytest.fixture
def scio(stage: Stage) -> Function:
    """Of a pipeline that the team's own job loads."""
    stage.pipeline["loader"] = "scio"
    return stage.function("refresh_views")


@pytest.fixture
def kind(request: pytest.FixtureRequest, stage: Stage) -> Event:
    """The end of a load or of a copy that has made a shard."""
    if request.param == "load":
        return load(stage, "orders_20260116")
    stage.load(stage.view("temporary"))
    return stage.events(stage.warehouse.copy_table(stage.view("temporary"), stage.shard("orders_20260116")))[-1]


@pytest.mark.parametrize("kind", ["load", "copy"], indirect=True)
def test_the_older_log_tells_of_a_job_too(stage: Stage, refresh_views: Function, kind: Event) -> None:
    status = refresh_views.hear(*entries.legacy(kind))

    assert status == 200
    assert stage.shown() == select(stage, "orders_20260116")


@pytest.mark.parametrize("kind", ["load", "copy"], indirect=True)
@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
@pytest.mark.parametrize("older", [False, True], ids=["newer log", "older log"])
def test_a_log_sink_tells_of_a_job_too(
    stage: Stage, refresh_views: Function, kind: Event, push: bool, older: bool
) -> None:
    event = entries.legacy(kind) if older else kind

    status = refresh_views.receive(entries.sunk(event), push=push, on="job-events")

    assert status == 200
    assert stage.shown() == select(stage, "orders_20260116")


def test_a_log_sink_tells_of_a_truncated_entry_too(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260116")

    refresh_views.receive(entries.sunk(entries.truncated(event)), on="job-events")

    assert called(stage)[0] == "jobs.get"
    assert stage.shown() == select(stage, "orders_20260116")


@pytest.mark.parametrize("older", [False, True], ids=["newer log", "older log"])
@pytest.mark.parametrize("sunk", [False, True], ids=["event", "sink"])
def test_a_job_that_failed_is_an_error_line_with_table_date_and_reason_however_it_is_told(
    stage: Stage, refresh_views: Function, log: Log, older: bool, sunk: bool
) -> None:
    event = stage.load(stage.shard("orders_20260116"), rows="12,50\n")[-1]
    event = entries.legacy(event) if older else event

    status = refresh_views.receive(entries.sunk(event), on="job-events") if sunk else refresh_views.hear(*event)

    [line] = log()
    assert status == 200
    assert (line["severity"], line["table"], line["shard_date"]) == ("ERROR", "orders", "2026-01-16")
    assert "orders_20260116 failed: " in line["message"]
    assert "12,50" not in line["message"]
    assert called(stage) == []
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("named", ["datasetId", "tableId", "projectId"])
def test_the_older_log_of_what_is_no_shard_of_ours_costs_no_call(
    stage: Stage, refresh_views: Function, named: str
) -> None:
    headers, entry = entries.legacy(load(stage, "orders_20260116"))
    job = entry["protoPayload"]["serviceData"]["jobCompletedEvent"]["job"]
    job["jobConfiguration"]["load"]["destinationTable"][named] = "another"

    status = refresh_views.hear(headers, entry)

    assert status == 200
    assert called(stage) == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda job: job["jobStatus"].update(state="RUNNING"), id="a job that runs"),
        pytest.param(lambda job: job.update(jobConfiguration={"query": {"query": "SELECT 1"}}), id="a query"),
        pytest.param(lambda job: job.update(jobConfiguration={"extract": {}}), id="an export"),
    ],
)
def test_the_older_log_of_other_jobs_costs_no_call(stage: Stage, refresh_views: Function, change: Any) -> None:
    headers, entry = entries.legacy(load(stage, "orders_20260116"))
    change(entry["protoPayload"]["serviceData"]["jobCompletedEvent"]["job"])

    status = refresh_views.hear(headers, entry)

    assert status == 200
    assert called(stage) == []


@pytest.mark.parametrize("sunk", [False, True], ids=["event", "sink"])
@pytest.mark.parametrize(
    "payload",
    [
        None,
        "text",
        {"methodName": "jobservice.jobcompleted"},
        {"methodName": "jobservice.jobcompleted", "serviceData": {"jobCompletedEvent": {"job": None}}},
        {
            "methodName": "google.cloud.bigquery.v2.JobService.InsertJob",
            "resourceName": "projects/my-project/jobs/j",
            "metadata": {"jobChange": {"after": "DONE"}},
        },
    ],
)
def test_a_malformed_entry_is_an_error_line_and_no_dead_letter_however_it_comes(
    stage: Stage, refresh_views: Function, log: Log, payload: Any, sunk: bool
) -> None:
    headers, entry = load(stage, "orders_20260116")
    entry["protoPayload"] = payload

    status = (
        refresh_views.receive(json.dumps(entry).encode(), on="job-events")
        if sunk
        else refresh_views.hear(headers, entry)
    )

    [line] = log()
    assert status == 200
    assert (line["severity"], line["outcome"]) == ("ERROR", "dead")
    assert called(stage) == []
    assert stage.published("dead-letters") == []


def test_a_view_that_is_not_the_mirrors_makes_no_dead_letter_of_a_sinks_message(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    stage.create_view("orders", "SELECT 1 AS id")
    event = load(stage, "orders_20260116")

    status = refresh_views.receive(entries.sunk(event), on="job-events")

    [line] = said(log, "ERROR")
    assert status == 200
    assert f"{stage.pipeline['views_dataset']}.orders" in line
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda payload: payload.update(methodName="google.cloud.bigquery.v2.JobService.Query"), id="a query"
        ),
        pytest.param(
            lambda payload: payload.update(methodName="google.cloud.bigquery.v2.TableService.PatchTable"), id="a patch"
        ),
        pytest.param(
            lambda payload: payload.update(
                methodName="google.cloud.bigquery.storage.v1.BigQueryWrite.AppendRows", metadata={}
            ),
            id="a stream's rows",
        ),
        pytest.param(
            lambda payload: payload["metadata"]["jobChange"]["job"].update(jobConfig={"type": "EXPORT"}), id="an export"
        ),
        pytest.param(lambda payload: payload["metadata"]["jobChange"].update(after="RUNNING"), id="a job that runs"),
    ],
)
def test_a_sinks_other_entries_cost_no_call(stage: Stage, refresh_views: Function, change: Any) -> None:
    event = load(stage, "orders_20260116")
    change(event[1]["protoPayload"])

    status = refresh_views.receive(entries.sunk(event), on="job-events")

    assert status == 200
    assert called(stage) == []
    assert stage.published("dead-letters") == []


def test_beams_temporary_tables_cost_no_call_and_its_copy_out_of_them_moves_the_view(
    stage: Stage, refresh_views: Function
) -> None:
    job_id = f"beam_bq_job_{{}}_mirrororders_{stage.bucket.name}_00000_00000-0"
    temporary = stage.shard(job_id.format("TEMP_TABLE_LOAD"))
    stage.put("rows.csv", "1\n")
    config = LoadJobConfig(schema=[SchemaField("id", "INT64")])
    uri = f"gs://{stage.bucket.name}/rows.csv"
    loaded = stage.events(
        stage.warehouse.load_table_from_uri(uri, temporary, job_id=job_id.format("TEMP_TABLE_LOAD"), job_config=config)
    )
    prepared = stage.events(
        stage.warehouse.copy_table(temporary, stage.shard("orders_20260116"), job_id=job_id.format("SCHEMA_UPDATE"))
    )
    truncate = CopyJobConfig(write_disposition="WRITE_TRUNCATE")
    copied = stage.events(
        stage.warehouse.copy_table(
            temporary, stage.shard("orders_20260116"), job_id=job_id.format("COPY"), job_config=truncate
        )
    )

    for event in [*loaded, *prepared]:
        refresh_views.hear(*event)
    before = called(stage)
    for event in copied:
        refresh_views.hear(*event)

    assert before == []
    assert views(stage) == {"orders": "orders_20260116"}


@pytest.mark.parametrize("older", [False, True], ids=["truncated", "older log"])
def test_beams_schema_update_moves_nothing_in_whatever_form_it_is_told(
    stage: Stage, refresh_views: Function, older: bool
) -> None:
    stage.load(stage.view("temporary"))
    job_id = f"beam_bq_job_SCHEMA_UPDATE_mirror_{stage.bucket.name}_00000-0"
    event = stage.events(
        stage.warehouse.copy_table(stage.view("temporary"), stage.shard("orders_20260116"), job_id=job_id)
    )[-1]

    refresh_views.hear(*(entries.legacy(event) if older else entries.truncated(event)))

    assert [call for call in called(stage) if call != "jobs.get"] == []


def test_a_truncated_entry_of_a_failed_job_of_ours_moves_nothing(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    event = entries.truncated(stage.load(stage.shard("orders_20260116"), rows="12,50\n")[-1])
    event[1]["severity"] = "INFO"

    refresh_views.hear(*event)

    [line] = log()
    assert (line["severity"], line["table"], line["shard_date"]) == ("ERROR", "orders", "2026-01-16")
    assert called(stage) == ["jobs.get"]


def test_a_truncated_entry_of_a_table_beyond_ascii_is_read(stage: Stage, refresh_views: Function) -> None:
    event = entries.truncated(load(stage, "größe_20260116"))

    refresh_views.hear(*event)

    assert views(stage) == {"größe": "größe_20260116"}


def test_a_truncated_entry_of_a_job_that_nobody_may_see_is_not_delivered_for_ever(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    event = entries.truncated(load(stage, "orders_20260116"))
    stage.bigquery.plan("bigquery.jobs.get", Fault(ApiError(403, "accessDenied")))

    status = refresh_views.hear(*event)

    assert status == 200
    assert len(said(log, "ERROR")) == 1


@pytest.mark.parametrize("job", [{}, DATAFLOW_LABEL, LABEL_AND_NAME, {"name": "mirror-billing"}], ids=str)
def test_the_end_of_a_pipelines_dataflow_job_shows_what_it_has_written(
    stage: Stage, scio: Function, job: dict[str, Any]
) -> None:
    load(stage, "orders_20260116")
    load(stage, "refunds_20260116")

    status = scio.hear(*entries.dataflow(ended=_now(), **job))

    assert status == 200
    assert views(stage) == {"orders": "orders_20260116", "refunds": "refunds_20260116"}


@pytest.mark.parametrize(
    "job",
    [
        {"name": "nightly"},
        {"name": "mybilling-20260116"},
        {"name": "billings-20260116"},
        {"name": "billing"},
        {"name": "billing-report-20260116"},
        {"name": "nightly-billing"},
        {"name": "mirror-billings-20260116"},
        {"name": "our-mirror-billing-20260116"},
        {"name": "nightly", "labels": {"team": "billing"}},
        {"name": "nightly", "labels": {"mirror_pipeline": "billing-eu"}},
        {"name": "mirror-billing-eu-20260116", "labels": {"mirror_pipeline": "billing-eu"}},
        {"name": "nightly", "labels": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("state", ["JOB_STATE_DONE", "JOB_STATE_FAILED"])
def test_another_dataflow_job_costs_no_call_and_is_no_error(
    stage: Stage, scio: Function, log: Log, job: dict[str, Any], state: str
) -> None:
    load(stage, "orders_20260116")

    status = scio.hear(*entries.dataflow(state, **job))

    assert (status, said(log, "ERROR")) == (200, [])
    assert called(stage) == []


def test_a_dataflow_job_of_a_pipeline_with_a_longer_name_does_not_vouch_for_the_shorter_one(stage: Stage) -> None:
    stage.pipeline["loader"] = "scio"
    longer = {"shards_dataset": "elsewhere_shards", "views_dataset": "elsewhere"}
    pipelines = {"billing": stage.pipeline, "billing-eu": stage.pipeline | longer}
    refresh_views = stage.function("refresh_views", PIPELINES=json.dumps(pipelines))
    load(stage, "orders_20260116")

    refresh_views.hear(*entries.dataflow(ended=_now(), name="mirror-billing-eu-20260116"))

    assert views(stage) == {}


@pytest.mark.parametrize(
    "state", ["PENDING", "QUEUED", "RUNNING", "CANCELLING", "CANCELLED", "UPDATED", "DRAINING", "DRAINED", "UNKNOWN"]
)
def test_another_state_of_a_dataflow_job_costs_no_call(stage: Stage, scio: Function, state: str) -> None:
    load(stage, "orders_20260116")

    status = scio.hear(*entries.dataflow(f"JOB_STATE_{state}"))

    assert status == 200
    assert called(stage) == []


def test_a_dataflow_job_that_failed_is_an_error_line_and_moves_nothing(stage: Stage, scio: Function, log: Log) -> None:
    load(stage, "orders_20260116")

    status = scio.hear(*entries.dataflow("JOB_STATE_FAILED"))

    [line] = log()
    assert status == 200
    assert (line["severity"], line["pipeline"]) == ("ERROR", "billing")
    assert "mirror-billing-20260116" in line["message"]
    assert called(stage) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"payload": None},
        {"payload": {"currentState": "JOB_STATE_DONE", "name": 7}},
        {"payload": {"currentState": "JOB_STATE_DONE", "name": "billing", "labels": ["billing"]}},
        {"payload": {"currentState": "JOB_STATE_DONE", "name": "billing"}},
        {"payload": {"currentState": "JOB_STATE_DONE", "name": "billing", "currentStateTime": "yesterday"}},
        {"payload": {"currentState": ["JOB_STATE_DONE"], "name": "billing"}},
    ],
    ids=str,
)
def test_a_malformed_dataflow_event_is_an_error_line_and_no_dead_letter(
    stage: Stage, scio: Function, log: Log, body: Any
) -> None:
    headers, _ = entries.dataflow()
    stage.bigquery.calls.clear()

    status = scio.hear(headers, body)

    [line] = log()
    assert status == 200
    assert line["severity"] == "ERROR"
    assert called(stage) == []
    assert stage.published("dead-letters") == []


def test_a_shard_that_is_written_after_the_end_of_the_dataflow_job_is_not_yet_shown(
    stage: Stage, scio: Function
) -> None:
    before = _now(-timedelta(minutes=1))
    load(stage, "orders_20260116")

    scio.hear(*entries.dataflow(ended=before))

    assert views(stage) == {}


def test_an_empty_shard_that_the_dataflow_job_has_written_is_shown(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260115", rows=2)
    show(stage, "orders_20260115")
    load(stage, "orders_20260116", rows=0)

    scio.hear(*entries.dataflow(ended=_now()))

    assert views(stage) == {"orders": "orders_20260116"}


def _now(later: timedelta = timedelta(seconds=1)) -> str:
    return times.rfc3339(datetime.now(UTC) + later)
