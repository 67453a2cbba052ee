"""What a reconcile of a whole pipeline costs, and what it reports."""

from datetime import UTC, date, datetime, timedelta

import pytest

from tests.support.delivery import Function
from tests.support.stage import Log, Stage
from tests.support.views.steps import ORDERS, RECONCILE, called, load, said, select, show, views


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    return stage.function("refresh_views")


def test_a_reconcile_lists_once_and_reads_each_view_once_and_shards_only_to_move_to_them(
    stage: Stage, refresh_views: Function
) -> None:
    for table, days in {"orders": (15, 16), "refunds": (14, 15, 16), "users": (15,)}.items():
        for day in days:
            load(stage, f"{table}_202601{day}")
    show(stage, "orders_20260115")
    show(stage, "refunds_20260116")
    stage.bigquery.calls.clear()

    refresh_views.receive(RECONCILE)

    assert sorted(called(stage)) == [
        "tables.get orders",
        "tables.get orders_20260116",
        "tables.get refunds",
        "tables.get users",
        "tables.get users_20260115",
        "tables.insert",
        "tables.list",
        "tables.patch orders",
        "tables.patch orders",
        "tables.patch users",
    ]


@pytest.mark.parametrize("many", [100, pytest.param(1000, marks=pytest.mark.soak)])
def test_all_views_that_are_a_day_behind_are_moved_by_one_reconcile_and_none_by_the_next(
    stage: Stage, refresh_views: Function, many: int
) -> None:
    names = [f"table{number:03}" for number in range(many)]
    for name in names:
        stage.create_shard(f"{name}_20260115")
        stage.create_shard(f"{name}_20260116")
        stage.create_view(name, select(stage, f"{name}_20260115"))
    stage.bigquery.calls.clear()

    refresh_views.receive(RECONCILE)
    first = _counted(stage)
    refresh_views.receive(RECONCILE)
    second = _counted(stage)

    pages = 2 * many // 50  # the stand-in's, whatever is asked for; the service gives a thousand
    assert first == {"tables.list": pages, "tables.get": 2 * many, "tables.patch": many}
    assert second == {"tables.list": pages, "tables.get": many}
    assert [stage.shown(name) for name in names] == [select(stage, f"{name}_20260116") for name in names]


def test_only_what_is_behind_is_patched(stage: Stage, refresh_views: Function) -> None:
    for number in range(30):
        stage.create_shard(f"table{number}_20260115")
    refresh_views.receive(RECONCILE)
    stage.create_shard("table7_20260116")
    stage.bigquery.calls.clear()

    refresh_views.receive(RECONCILE)

    assert _counted(stage) == {"tables.list": 1, "tables.get": 31, "tables.patch": 1}


def test_a_table_that_left_the_database_keeps_its_view_and_is_reported_with_its_age(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    days = [datetime.now(UTC).date() - timedelta(days=ago) for ago in (5, 1, 0)]
    for day in days:
        stage.create_shard(_shard("orders", day))
    stage.create_shard(_shard("dropped", days[0]))

    refresh_views.receive(RECONCILE)

    [line] = said(log, "WARNING")
    assert "dropped (5 days old)" in line
    assert "orders" not in line
    assert views(stage) == {"dropped": _shard("dropped", days[0]), "orders": _shard("orders", days[2])}


def test_a_table_that_waits_for_todays_shard_is_not_stale(stage: Stage, refresh_views: Function, log: Log) -> None:
    for shard in ("orders_20260114", "orders_20260115", "orders_20260116", "refunds_20260115"):
        stage.create_shard(shard)

    refresh_views.receive(RECONCILE)

    assert said(log, "WARNING") == []


def test_a_request_that_names_tables_reports_no_stale_ones(stage: Stage, refresh_views: Function, log: Log) -> None:
    for shard in ("orders_20260114", "orders_20260115", "orders_20260116", "dropped_20260114"):
        stage.create_shard(shard)

    refresh_views.receive(ORDERS)

    assert said(log, "WARNING") == []


def test_a_reconcile_of_an_empty_dataset_does_nothing(stage: Stage, refresh_views: Function, log: Log) -> None:
    stage.bigquery.calls.clear()

    status = refresh_views.receive(RECONCILE)

    assert status == 200
    assert called(stage) == ["tables.list"]
    assert [line["severity"] for line in log()] == ["INFO"]


def test_what_is_no_shard_is_left_out(stage: Stage, refresh_views: Function) -> None:
    for name in ("orders_20260115", "orders_20260230", "orders_2026011", "orders", "20260115", "ordersx20260116"):
        stage.create_shard(name)

    refresh_views.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260115"}


def test_a_view_among_the_shards_is_no_shard(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260115")
    stage.pipeline["views_dataset"], kept = stage.pipeline["shards_dataset"], stage.pipeline["views_dataset"]
    stage.create_view("orders_20260116", select(stage, "orders_20260115"))
    stage.pipeline["views_dataset"] = kept

    refresh_views.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260115"}


def _shard(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _counted(stage: Stage) -> dict[str, int]:
    """How often each method of BigQuery's has been called since the last look."""
    methods = [method.removeprefix("bigquery.") for method, _ in stage.bigquery.calls]
    stage.bigquery.calls.clear()
    return {method: methods.count(method) for method in methods}
