"""What the ends of BigQuery's jobs do to views."""

from threading import Thread

import pytest
from google.cloud import bigquery

from local.rest import ApiError, Fault
from tests.support.delivery import Function
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT

END = 3
"""The last of the four events of a load that makes its table."""


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    return stage.function("refresh_views")


def test_the_end_of_the_first_load_creates_the_view(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260115"))

    status = refresh_views.hear(*events[END])

    assert status == 200
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"


def test_a_new_view_has_the_tables_description(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260115", description="All orders.")
    events = stage.load(stage.shard("orders_20260115"))

    refresh_views.hear(*events[-1])

    assert stage.warehouse.get_table(stage.view("orders")).description == "All orders."


def test_a_new_view_stays_where_the_tables_of_its_dataset_expire(stage: Stage) -> None:
    stage.pipeline["views_dataset"] += "_expiring"
    dataset = bigquery.Dataset(f"{PROJECT}.{stage.pipeline['views_dataset']}")
    dataset.default_table_expiration_ms = 86_400_000
    stage.warehouse.create_dataset(dataset)
    refresh_views = stage.function("refresh_views")
    events = stage.load(stage.shard("orders_20260115"))

    refresh_views.hear(*events[END])

    assert stage.warehouse.get_table(stage.view("orders")).expires is None


def test_the_end_of_a_later_days_load_moves_the_view(stage: Stage, refresh_views: Function, log: Log) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260116"), rows="2\n")
    log()

    status = refresh_views.hear(*events[END])

    [line] = log()
    [row] = stage.warehouse.query_and_wait(f"SELECT id FROM `{stage.view('orders')}`")
    assert status == 200
    assert row.id == 2
    assert line == line | {
        "severity": "INFO",
        "function": "refresh_views",
        "pipeline": "billing",
        "table": "orders",
        "shard_date": "2026-01-16",
        "outcome": "moved",
    }


def test_all_events_of_a_load_in_any_order_and_twice_move_the_view_once(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260114")
    stage.create_view("orders", f"SELECT * FROM `{stage.shard('orders_20260114')}`")
    events = stage.load(stage.shard("orders_20260115"))

    statuses = {refresh_views.hear(*event) for event in [*reversed(events), *events]}

    assert statuses == {200}
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"
    assert len(stage.calls("tables.patch")) == 1


def test_a_failed_job_moves_nothing_and_is_an_error_line(stage: Stage, refresh_views: Function, log: Log) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260116"), rows="12,50\n")
    log()

    status = refresh_views.hear(*events[-1])

    [line] = log()
    assert status == 200
    assert (line["severity"], line["table"], line["shard_date"]) == ("ERROR", "orders", "2026-01-16")
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"
    assert stage.published("dead-letters") == []


def test_a_late_shard_never_moves_a_view_back(stage: Stage, refresh_views: Function) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260114"))

    status = refresh_views.hear(*events[END])

    assert status == 200
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"
    assert stage.calls("patch") == []


def test_a_shard_that_is_loaded_again_patches_nothing(stage: Stage, refresh_views: Function) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260115"))

    status = refresh_views.hear(*events[-1])

    assert status == 200
    assert stage.calls("patch") == []


def test_the_end_of_a_copy_moves_the_view_as_a_dataflow_job_may_end_with_one(
    stage: Stage, refresh_views: Function
) -> None:
    stage.load(stage.view("temporary"))
    job = stage.warehouse.copy_table(stage.view("temporary"), stage.shard("orders_20260115"))
    events = stage.events(job)

    status = refresh_views.hear(*events[-1])

    assert status == 200
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"


def test_a_lost_race_is_run_again(stage: Stage, refresh_views: Function) -> None:
    refresh_views.hear(*stage.load(stage.shard("orders_20260115"))[END])
    events = stage.load(stage.shard("orders_20260116"))
    stage.bigquery.plan("bigquery.tables.patch", Fault(ApiError(412, "conditionNotMet")))

    status = refresh_views.hear(*events[END])

    assert status == 200
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260116')}`"


def test_a_lost_race_to_create_the_view_is_run_again(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260114")
    stage.create_view("orders", f"SELECT * FROM `{stage.shard('orders_20260114')}`")
    events = stage.load(stage.shard("orders_20260115"))
    stage.bigquery.plan("bigquery.tables.get", Fault(ApiError(404, "notFound")))

    status = refresh_views.hear(*events[END])

    assert status == 200
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260115')}`"


def test_of_two_days_at_once_the_later_one_wins(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260114")
    stage.create_view("orders", f"SELECT * FROM `{stage.shard('orders_20260114')}`")
    ends = [stage.load(stage.shard(f"orders_202601{day}"))[END] for day in (16, 15)]
    statuses: list[int] = []
    threads = [Thread(target=lambda event: statuses.append(refresh_views.hear(*event)), args=[end]) for end in ends]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert statuses == [200, 200]
    assert stage.shown() == f"SELECT * FROM `{stage.shard('orders_20260116')}`"


def test_a_service_that_fails_has_the_event_delivered_again(stage: Stage, refresh_views: Function) -> None:
    events = stage.load(stage.shard("orders_20260115"))
    stage.bigquery.plan("bigquery.tables.get", Fault(ApiError(403, "quotaExceeded")))

    statuses = [refresh_views.hear(*events[END]) for _ in range(2)]

    assert statuses == [503, 200]
