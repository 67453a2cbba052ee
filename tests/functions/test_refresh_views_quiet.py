"""Which events of BigQuery's jobs cost nothing, and what a truncated or malformed one costs."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.delivery import Function
from tests.support.stage import Event, Log, Stage
from tests.support.standins import PROJECT

START, TABLE_CREATION, TABLE_DATA_CHANGE, END = range(4)
"""The events of a load that makes its table."""


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    return stage.function("refresh_views")


@pytest.mark.parametrize("which", [START, TABLE_CREATION, TABLE_DATA_CHANGE])
def test_what_comes_before_the_end_of_a_load_costs_no_call(stage: Stage, refresh_views: Function, which: int) -> None:
    events = stage.load(stage.shard("orders_20260115"))

    status = refresh_views.hear(*events[which])

    assert status == 200
    assert stage.bigquery.calls == []


def test_a_query_job_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    events = stage.events(stage.warehouse.query("SELECT 1 AS id"))

    def write_a_shard(entry: dict[str, Any]) -> None:
        config = entry["protoPayload"]["metadata"]["jobChange"]["job"]["jobConfig"]["queryConfig"]
        config["destinationTable"] = (
            f"projects/{PROJECT}/datasets/{stage.pipeline['shards_dataset']}/tables/orders_20260115"
        )

    status = refresh_views.hear(*_changed(events[-1], write_a_shard))

    assert status == 200
    assert stage.bigquery.calls == []


def test_a_load_into_another_dataset_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.view("orders_20260115"))

    statuses = {refresh_views.hear(*event) for event in events}

    assert statuses == {200}
    assert stage.bigquery.calls == []


def test_a_load_in_another_project_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260115"))

    def elsewhere(entry: dict[str, Any]) -> None:
        config = entry["protoPayload"]["metadata"]["jobChange"]["job"]["jobConfig"]["loadConfig"]
        config["destinationTable"] = config["destinationTable"].replace(PROJECT, "other-project")

    status = refresh_views.hear(*_changed(events[END], elsewhere))

    assert status == 200
    assert stage.bigquery.calls == []


def test_a_table_that_is_no_shard_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260230"))

    status = refresh_views.hear(*events[END])

    assert status == 200
    assert stage.bigquery.calls == []


def test_an_event_of_another_type_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    headers, entry = stage.load(stage.shard("orders_20260115"))[END]

    status = refresh_views.hear(headers | {"ce-type": "google.cloud.storage.object.v1.finalized"}, entry)

    assert status == 200
    assert stage.bigquery.calls == []


def test_beams_schema_update_job_which_brings_no_rows_is_ignored(stage: Stage, refresh_views: Function) -> None:
    stage.load(stage.view("temporary"))
    job = stage.warehouse.copy_table(
        stage.view("temporary"), stage.shard("orders_20260115"), job_id=f"beam_bq_job_SCHEMA_UPDATE_{stage.bucket.name}"
    )
    events = stage.events(job)

    status = refresh_views.hear(*events[-1])

    assert status == 200
    assert stage.bigquery.calls == []


def test_a_truncated_entry_costs_one_look_at_the_job(stage: Stage, refresh_views: Function) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260116"))

    status = refresh_views.hear(*_changed(events[END], _truncate))

    [(_, path)] = stage.calls("jobs.get")
    assert status == 200
    assert path["jobId"] in events[END][1]["protoPayload"]["resourceName"]
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260116')}`"


def test_a_truncated_entry_of_a_job_that_is_gone_is_acknowledged(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260115"))

    def forget(entry: dict[str, Any]) -> None:
        _truncate(entry)
        entry["protoPayload"]["resourceName"] += "_gone"

    status = refresh_views.hear(*_changed(events[END], forget))

    assert status == 200
    assert len(stage.bigquery.calls) == 1


def test_a_truncated_entry_of_a_failed_job_costs_no_call(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260115"), rows="12,50\n")

    status = refresh_views.hear(*_changed(events[-1], _truncate))

    assert status == 200
    assert stage.bigquery.calls == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "text",
        {"protoPayload": None},
        {"protoPayload": {"methodName": "google.cloud.bigquery.v2.JobService.InsertJob", "resourceName": 7}},
        {
            "protoPayload": {
                "methodName": "google.cloud.bigquery.v2.JobService.InsertJob",
                "resourceName": "projects/my-project/jobs/j",
                "metadata": {"jobChange": {"after": "DONE"}},
            }
        },
    ],
)
def test_a_malformed_event_is_acknowledged_with_an_error_line(
    stage: Stage, refresh_views: Function, log: Log, body: Any
) -> None:
    headers, _ = stage.load(stage.shard("orders_20260115"))[END]

    status = refresh_views.hear(headers, body)

    [line] = log()
    assert status == 200
    assert (line["severity"], line["function"]) == ("ERROR", "refresh_views")
    assert stage.bigquery.calls == []
    assert stage.published("dead-letters") == []


def _changed(event: Event, change: Callable[[dict[str, Any]], None]) -> Event:
    """Another event that differs in its log entry."""
    headers, entry = copy.deepcopy(event)
    change(entry)
    return headers, entry


def _truncate(entry: dict[str, Any]) -> None:
    entry["protoPayload"]["metadata"] = {"@type": entry["protoPayload"]["metadata"]["@type"]}
