"""Days that are released whole: the views of a run move in one sweep."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.rest import ApiError, Fault
from shared import times
from tests.support.delivery import Function
from tests.support.stage import Event, Log, Stage
from tests.support.views import entries, records
from tests.support.views.steps import ORDERS, RECONCILE, called, load, pass_time, said, show, views

TABLES = ("customers", "orders", "refunds")
BEFORE = {table: f"{table}_20260115" for table in TABLES}
AFTER = {table: f"{table}_20260116" for table in TABLES}
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    """With a view of each of three tables, at their shards of the 15th, whose files are gone."""
    return _begin(stage)


@pytest.fixture
def scio(stage: Stage) -> Function:
    """The same, where the team's own job loads."""
    return _begin(stage, loader="scio")


def test_the_shards_of_a_run_that_has_more_to_bring_move_nothing(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    records.begin(stage, "run", "20260116", TABLES)

    statuses = [refresh_views.hear(*_bring(stage, "run", table)) for table in TABLES[:2]]

    assert statuses == [200, 200]
    assert [line["outcome"] for line in log()] == ["waiting", "waiting"]
    assert views(stage) == BEFORE


@pytest.mark.parametrize("last", range(3))
def test_the_last_shard_of_a_run_moves_all_its_views(stage: Stage, refresh_views: Function, last: int) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    order = [*TABLES[:last], *TABLES[last + 1 :], TABLES[last]]

    for table in order:
        refresh_views.hear(*_bring(stage, "run", table))

    assert views(stage) == AFTER


def test_the_views_of_a_first_run_are_all_made_by_its_last_shard(stage: Stage, refresh_views: Function) -> None:
    for table in TABLES:
        stage.warehouse.delete_table(stage.view(table))
    records.begin(stage, "run", "20260116", TABLES)
    events = [_bring(stage, "run", table) for table in TABLES]

    refresh_views.hear(*events[-1])

    assert views(stage) == AFTER


def test_the_events_of_a_whole_run_in_any_order_and_twice_move_each_view_once(
    stage: Stage, refresh_views: Function
) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    events = [_bring(stage, "run", table) for table in TABLES]
    stage.bigquery.calls.clear()

    for event in [*reversed(events), *events]:
        refresh_views.hear(*event)
    patches = stage.calls("tables.patch")

    assert sorted(path["tableId"] for _, path in patches) == sorted([*TABLES, *TABLES])  # the SQL, and the columns
    assert views(stage) == AFTER


def test_a_table_that_failed_counts_and_is_named(stage: Stage, refresh_views: Function, log: Log) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    records.fail(stage, "run", "refunds")

    for table in TABLES[:2]:
        refresh_views.hear(*_bring(stage, "run", table))

    [warning] = said(log, "WARNING")
    assert "refunds" in warning
    assert "run" in warning
    assert views(stage) == AFTER | {"refunds": "refunds_20260115"}


def test_a_reconcile_names_the_tables_that_failed_too(stage: Stage, refresh_views: Function, log: Log) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    records.fail(stage, "run", "refunds")
    for table in TABLES[:2]:
        _bring(stage, "run", table)

    refresh_views.receive(RECONCILE)

    [warning] = [line for line in said(log, "WARNING") if "stale" not in line]
    assert "refunds" in warning
    assert views(stage) == AFTER | {"refunds": "refunds_20260115"}


def test_a_reconcile_leaves_a_run_that_has_more_to_bring(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES, ago=23 * HOUR)
    for table in TABLES[:2]:
        _bring(stage, "run", table)

    statuses = [refresh_views.receive(request) for request in (RECONCILE, ORDERS)]

    assert statuses == [200, 200]
    assert views(stage) == BEFORE


def test_a_table_that_is_silent_for_a_day_is_recorded_as_failed_and_the_rest_released(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    for table in TABLES[:2]:
        _bring(stage, "run", table)

    pass_time(stage, DAY)
    refresh_views.receive(RECONCILE)

    assert stage.json("billing/_runs/run/failed/refunds.json")["function"] == "refresh_views"
    assert views(stage) == AFTER | {"refunds": "refunds_20260115"}
    assert [line for line in said(log, "WARNING") if "refunds" in line and "failed" in line]


def test_a_run_that_has_brought_nothing_for_a_day_ends_too(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", times.stamp(datetime.now(UTC).date()), TABLES)

    pass_time(stage, DAY)
    refresh_views.receive(RECONCILE)

    assert sorted(name for name in stage.files() if "/failed/" in name) == [
        f"billing/_runs/run/failed/{table}.json" for table in TABLES
    ]
    assert views(stage) == BEFORE


def test_a_run_of_some_tables_waits_for_those_alone(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "some", "20260116", TABLES[:2], whole=False)

    refresh_views.hear(*_bring(stage, "some", "customers"))
    before = views(stage)
    refresh_views.hear(*_bring(stage, "some", "orders"))

    assert before == BEFORE
    assert views(stage) == AFTER | {"refunds": "refunds_20260115"}


def test_a_shard_whose_files_are_gone_moves_its_view_by_itself(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260116")

    refresh_views.hear(*event)

    assert views(stage) == BEFORE | {"orders": "orders_20260116"}


def test_a_shard_whose_runs_manifest_is_gone_moves_its_view_by_itself(stage: Stage, refresh_views: Function) -> None:
    event = _bring(stage, "long-gone", "orders")

    refresh_views.hear(*event)

    assert views(stage) == BEFORE | {"orders": "orders_20260116"}


def test_the_last_shard_of_a_run_whose_record_goes_meanwhile_waits(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    for table in TABLES[:2]:
        refresh_views.hear(*_bring(stage, "run", table))
    log()
    stage.bucket.delete_blob("billing/_runs/run/manifest.json")

    status = refresh_views.hear(*_bring(stage, "run", TABLES[2]))

    [line] = log()
    assert (status, line["outcome"]) == (200, "waiting")
    assert "which is gone" in line["message"]
    assert views(stage) == BEFORE


def test_a_view_that_is_refused_keeps_none_of_its_run_back(stage: Stage, refresh_views: Function, log: Log) -> None:
    stage.warehouse.delete_table(stage.view("customers"))
    stage.create_view("customers", "SELECT 1 AS id")
    records.begin(stage, "run", "20260116", TABLES)
    events = [_bring(stage, "run", table) for table in TABLES]

    status = refresh_views.hear(*events[-1])

    [error] = said(log, "ERROR")
    found = views(stage)
    assert status == 200
    assert "customers" in error
    assert {table: found[table] for table in TABLES[1:]} == {table: AFTER[table] for table in TABLES[1:]}


def test_a_pinned_view_stays_while_its_run_is_released(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    refresh_views.receive(ORDERS | {"shard_date": "2026-01-15"})

    for table in TABLES:
        refresh_views.hear(*_bring(stage, "run", table))

    assert views(stage) == AFTER | {"orders": "orders_20260115"}


def test_a_pin_to_a_shard_of_a_run_that_has_more_to_bring_is_honoured(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    _bring(stage, "run", "orders")

    refresh_views.receive(ORDERS | {"shard_date": "2026-01-16"})

    assert views(stage) == BEFORE | {"orders": "orders_20260116"}


def test_a_shard_that_shrank_does_not_let_one_of_an_unfinished_run_be_shown(stage: Stage) -> None:
    refresh_views = _begin(stage, max_shrink=0.5)
    records.begin(stage, "unfinished", "20260116", TABLES)
    _bring(stage, "unfinished", "orders")
    records.begin(stage, "whole", "20260117", ["orders"])
    load(stage, "orders_20260117", rows=0)
    records.seal(stage, "whole", "orders_20260117")

    refresh_views.receive(RECONCILE)

    assert views(stage) == BEFORE


def test_an_event_for_a_shard_that_is_not_the_last_asks_bigquery_nothing(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    event = _bring(stage, "run", "orders")

    refresh_views.hear(*event)

    assert called(stage) == []


def test_the_end_of_the_dataflow_job_releases_its_run_at_once(stage: Stage, scio: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    events = [_bring(stage, "run", table) for table in TABLES]
    for event in events:
        scio.hear(*event)
    before = views(stage)

    scio.hear(*_done())

    assert before == BEFORE
    assert views(stage) == AFTER


def test_the_end_of_a_dataflow_job_of_a_part_of_a_run_releases_nothing(stage: Stage, scio: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    for table in TABLES[:2]:
        _bring(stage, "run", table)

    scio.hear(*_done())

    assert views(stage) == BEFORE


@pytest.mark.parametrize(("later", "shown"), [(0.9 * HOUR, BEFORE), (1.1 * HOUR, AFTER)])
def test_without_an_event_of_dataflow_a_run_is_released_an_hour_later(
    stage: Stage, scio: Function, later: timedelta, shown: dict[str, str]
) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    for table in TABLES:
        _bring(stage, "run", table)
    pass_time(stage, later)

    scio.receive(RECONCILE)

    assert views(stage) == shown


def test_a_run_that_its_reconcile_hands_back_is_released_by_the_next(stage: Stage, refresh_views: Function) -> None:
    records.begin(stage, "run", "20260116", TABLES)
    for table in TABLES:
        _bring(stage, "run", table)
    stage.bigquery.plan("bigquery.tables.patch", Fault(ApiError(403, "quotaExceeded")))

    statuses = [refresh_views.receive(RECONCILE) for _ in range(2)]

    assert statuses == [503, 200]
    assert views(stage) == AFTER


def _begin(stage: Stage, **settings: Any) -> Function:
    stage.pipeline |= {"release": "together", **settings}
    for table in TABLES:
        load(stage, f"{table}_20260115", rows=2)
        show(stage, f"{table}_20260115")
    return stage.function("refresh_views")


def _bring(stage: Stage, run_id: str, table: str) -> Event:
    """Load a run's shard of the 16th."""
    event = load(stage, f"{table}_20260116", rows=2)
    records.seal(stage, run_id, f"{table}_20260116")
    if stage.pipeline.get("loader") != "scio":
        records.loaded(stage, run_id, table)
    return event


def _done() -> Event:
    return entries.dataflow(ended=times.rfc3339(datetime.now(UTC) + timedelta(seconds=1)))
