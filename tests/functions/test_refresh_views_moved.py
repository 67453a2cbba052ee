"""What a move keeps, what it reports, and what it costs."""

from typing import Any

import pytest
from google.cloud.bigquery import SchemaField, Table

from local.rest import ApiError, Fault
from tests.support.delivery import Function
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT
from tests.support.views.steps import (
    ID,
    NOTE,
    ORDERS,
    RECONCILE,
    called,
    described,
    first,
    have_tables_expire,
    load,
    refused,
    said,
    select,
    show,
    views,
)

MOVED = ["tables.get orders", "tables.get orders_20260116", "tables.patch orders", "tables.patch orders"]
"""The calls of a move of a view whose columns are described."""
PIN = RECONCILE | {"shard_date": "2026-01-16"}


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    return stage.function("refresh_views")


@pytest.fixture
def shown(stage: Stage) -> str:
    """A view of a shard with two columns, one of them described."""
    load(stage, "orders_20260115", columns=[ID, NOTE])
    show(stage, "orders_20260115")
    return "orders_20260115"


def test_a_new_view_has_the_descriptions_of_its_shards_columns(stage: Stage, refresh_views: Function) -> None:
    refresh_views.hear(*load(stage, "orders_20260115", columns=[ID, NOTE]))

    assert described(stage) == {"id": "The key.", "note": None}


@pytest.mark.usefixtures("shown")
def test_the_descriptions_of_columns_which_a_new_query_wipes_are_put_back(
    stage: Stage, refresh_views: Function
) -> None:
    refresh_views.hear(*load(stage, "orders_20260116", columns=[ID, NOTE]))

    assert described(stage) == {"id": "The key.", "note": None}


@pytest.mark.usefixtures("shown")
def test_a_reconcile_puts_descriptions_back_too(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260116", columns=[ID, NOTE])

    refresh_views.receive(RECONCILE)

    assert described(stage) == {"id": "The key.", "note": None}


@pytest.mark.usefixtures("shown")
@pytest.mark.parametrize("asked", ["2026-01-15", "newest"])
def test_a_pin_and_its_end_leave_the_columns_described(stage: Stage, refresh_views: Function, asked: str) -> None:
    refresh_views.hear(*load(stage, "orders_20260116", columns=[ID, NOTE]))
    refresh_views.receive(ORDERS | {"shard_date": "2026-01-16"})

    refresh_views.receive(ORDERS | {"shard_date": asked})

    assert described(stage) == {"id": "The key.", "note": None}


@pytest.mark.usefixtures("shown")
def test_descriptions_are_put_back_where_the_patch_that_does_so_loses_a_race(
    stage: Stage, refresh_views: Function
) -> None:
    event = load(stage, "orders_20260116", columns=[ID, NOTE])

    with interposed(refused(1, "/orders", b'"schema"', reason="conditionNotMet"), stage.bigquery.server):
        status = refresh_views.hear(*event)

    assert status == 200
    assert described(stage) == {"id": "The key.", "note": None}


def test_the_columns_of_ones_own_sql_are_described_by_their_names(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260115", columns=[ID, NOTE])
    stage.create_view("orders", f"SELECT note AS said, id FROM `{stage.shard('orders_20260115')}`")

    refresh_views.hear(*load(stage, "orders_20260116", columns=[ID, NOTE]))

    assert described(stage) == {"said": None, "id": "The key."}


def test_what_people_have_put_on_a_view_stays(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260115")
    view = Table(stage.view("orders"))
    view.view_query = f"SELECT id FROM `{stage.shard('orders_20260115')}`"
    view.description, view.friendly_name, view.labels = "Ours.", "Orders", {"team": "finance"}
    before = stage.warehouse.create_table(view).to_api_repr()

    refresh_views.hear(*load(stage, "orders_20260116"))

    after = stage.warehouse.get_table(stage.view("orders")).to_api_repr()
    changing = {"etag", "lastModifiedTime", "schema", "view"}
    assert {key: value for key, value in after.items() if key not in changing} == {
        key: value for key, value in before.items() if key not in changing
    }
    assert after["view"]["query"] == f"SELECT id FROM `{stage.shard('orders_20260116')}`"


@pytest.mark.parametrize(
    "own",
    [
        pytest.param("SELECT id FROM `{project}`.`{dataset}`.`orders_{day}`", id="each name quoted"),
        pytest.param("SELECT id FROM `{project}.{dataset}`.orders_{day}", id="project and dataset quoted"),
        pytest.param("SELECT id FROM {project}.{dataset}.orders_{day}", id="nothing quoted"),
        pytest.param("SELECT id FROM {dataset}.orders_{day} AS o", id="no project"),
        pytest.param("SELECT orders_{day}.id FROM {dataset}.orders_{day}", id="a column by the shard's name"),
        pytest.param("SELECT `orders_{day}`.id FROM {dataset}.orders_{day}", id="by the shard's quoted name"),
        pytest.param("SELECT COUNT(orders_{day}) AS n FROM {dataset}.orders_{day}", id="a row by the shard's name"),
        pytest.param(
            "SELECT orders_{day}.id FROM {dataset}.orders_{day} AS orders_{day}", id="its name as an alias of its own"
        ),
        pytest.param(
            "WITH orders_{day} AS (SELECT id FROM {dataset}.orders_{day}) SELECT orders_{day}.id FROM orders_{day}",
            id="its name for a part of the query",
        ),
        pytest.param(
            "SELECT id FROM {dataset}.orders_{day} UNION ALL SELECT id FROM `{project}.{dataset}.orders_{day}`",
            id="the same shard twice",
        ),
        pytest.param(
            "SELECT o.id, r.id AS refund -- of orders_20260115\n"
            "FROM `{project}.{dataset}.orders_{day}` AS o\n"
            "JOIN `{project}.{dataset}.refunds_20260115` AS r ON r.id = o.id /* as of `{dataset}.orders_20260115` */\n"
            "WHERE 'orders_20260115' <> \"{dataset}.orders_20260115\" # orders_20260115",
            id="a join, comments and strings",
        ),
    ],
)
def test_of_ones_own_sql_only_the_days_of_its_tables_shards_change(
    stage: Stage, refresh_views: Function, log: Log, own: str
) -> None:
    names = {"project": PROJECT, "dataset": stage.pipeline["shards_dataset"]}
    load(stage, "orders_20260115")
    load(stage, "refunds_20260115")
    stage.create_view("orders", own.format(day="20260115", **names))

    status = refresh_views.hear(*load(stage, "orders_20260116"))

    assert (status, said(log, "ERROR")) == (200, [])
    assert stage.shown() == own.format(day="20260116", **names)


def test_a_view_that_names_two_shards_of_its_table_is_refused_by_their_names(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260114")
    load(stage, "orders_20260115")
    own = f"{select(stage, 'orders_20260114')} UNION ALL {select(stage, 'orders_20260115')}"
    stage.create_view("orders", own)

    status = refresh_views.hear(*load(stage, "orders_20260116"))

    [line] = said(log, "ERROR")
    assert status == 200
    assert "orders_20260114 and orders_20260115" in line
    assert stage.shown() == own
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("said", [{"useLegacySql": True}, {}], ids=["said", "by default"])
@pytest.mark.parametrize("by", ["event", "reconcile", "pin"])
def test_a_view_in_legacy_sql_is_refused_by_its_name_and_left_as_it_is(
    stage: Stage, refresh_views: Function, log: Log, said: dict[str, bool], by: str
) -> None:
    dataset = stage.pipeline["shards_dataset"]
    own = f"SELECT id FROM {dataset}.orders_20260115, {dataset}.refunds_20260115"  # all rows of both
    before = _create_view(stage, "orders", {"query": own, **said})
    event = load(stage, "orders_20260116")

    status = (
        refresh_views.hear(*event) if by == "event" else refresh_views.receive(RECONCILE if by == "reconcile" else PIN)
    )

    [line] = [line for line in log() if line["severity"] == "ERROR"]
    assert status == 200
    assert f"{stage.pipeline['views_dataset']}.orders is in legacy SQL" in line["message"]
    assert stage.warehouse.get_table(stage.view("orders")).etag == before


@pytest.mark.usefixtures("shown")
def test_columns_that_go_or_change_their_type_are_one_warning(stage: Stage, refresh_views: Function, log: Log) -> None:
    columns = [SchemaField("id", "STRING"), SchemaField("new", "STRING")]

    refresh_views.hear(*load(stage, "orders_20260116", columns=columns))

    [line] = log()
    assert (line["severity"], line["outcome"], line["table"]) == ("WARNING", "moved", "orders")
    assert "note is gone" in line["message"]
    assert "id is STRING, was INTEGER" in line["message"]
    assert "new" not in line["message"]


@pytest.mark.usefixtures("shown")
def test_a_reconcile_reports_the_columns_that_go_in_one_line_too(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260116", columns=[ID])

    refresh_views.receive(RECONCILE)

    [line] = said(log, "WARNING")
    assert "note is gone" in line


@pytest.mark.usefixtures("shown")
def test_a_move_whose_reconcile_is_handed_back_still_reports_the_columns_that_went(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260116", columns=[ID])
    load(stage, "refunds_20260115")
    show(stage, "refunds_20260115")
    load(stage, "refunds_20260116")

    with interposed(refused(1, "/refunds"), stage.bigquery.server):
        statuses = [refresh_views.receive(RECONCILE) for _ in range(2)]

    assert statuses == [503, 200]
    assert views(stage) == {"orders": "orders_20260116", "refunds": "refunds_20260116"}
    assert [line for line in said(log, "WARNING") if "note is gone" in line]


@pytest.mark.usefixtures("shown")
def test_a_shard_that_is_loaded_again_with_other_columns_gives_them_to_its_view(
    stage: Stage, refresh_views: Function
) -> None:
    event = load(stage, "orders_20260115", columns=[ID, SchemaField("new", "STRING", description="New.")])

    refresh_views.hear(*event)

    assert len(called(stage)) <= 4
    assert described(stage) == {"id": "The key.", "new": "New."}


@pytest.mark.usefixtures("shown")
def test_a_move_takes_four_calls(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260116")

    refresh_views.hear(*event)

    assert called(stage) == MOVED


def test_a_view_is_made_by_four_calls_at_most(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260115")

    refresh_views.hear(*event)

    assert called(stage) == [
        "tables.get orders",
        "tables.get orders_20260115",
        "tables.insert",
        "tables.patch orders",
    ]


@pytest.mark.parametrize("guards", [{"max_shrink": 0.5}, {"keep_days": 30}, {"max_shrink": 0.5, "keep_days": 30}])
@pytest.mark.parametrize("default_expiry", [False, True])
def test_each_guard_costs_one_call_more(stage: Stage, guards: dict[str, Any], default_expiry: bool) -> None:
    stage.pipeline |= guards
    if default_expiry:
        have_tables_expire(stage, "shards_dataset")
    refresh_views = stage.function("refresh_views")
    load(stage, "orders_20260115")
    show(stage, "orders_20260115")
    event = load(stage, "orders_20260116")

    refresh_views.hear(*event)

    assert len(called(stage)) <= 4 + len(guards)
    assert views(stage) == {"orders": "orders_20260116"}


@pytest.mark.parametrize("pinned", [{}, {"mirror_pin": "20260115"}])
def test_an_event_that_moves_nothing_takes_two_calls_at_most(
    stage: Stage, refresh_views: Function, pinned: dict[str, str]
) -> None:
    load(stage, "orders_20260115")
    event = load(stage, "orders_20260114")
    show(stage, "orders_20260115", pinned)

    refresh_views.hear(*event)

    assert called(stage) == ["tables.get orders"]


@pytest.mark.usefixtures("shown")
def test_a_shard_that_is_gone_when_its_event_comes_is_not_shown(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260116")
    stage.warehouse.delete_table(stage.shard("orders_20260116"))

    status = refresh_views.hear(*event)

    assert status == 200
    assert views(stage) == {"orders": "orders_20260115"}


@pytest.mark.usefixtures("shown")
def test_a_reconcile_shows_the_shard_before_one_that_goes_meanwhile(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260116")
    load(stage, "orders_20260117")
    gone = first(lambda: stage.warehouse.delete_table(stage.shard("orders_20260117")), "PATCH", "/orders")

    with interposed(gone, stage.bigquery.server):
        refresh_views.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260116"}


@pytest.mark.usefixtures("shown")
def test_a_view_that_is_deleted_while_it_is_to_move_is_made_anew(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260116")
    gone = first(lambda: stage.warehouse.delete_table(stage.view("orders")), "PATCH", "/orders")

    with interposed(gone, stage.bigquery.server):
        status = refresh_views.hear(*event)

    assert status == 200
    assert views(stage) == {"orders": "orders_20260116"}


def test_a_new_view_that_loses_a_race_while_it_is_described_still_never_expires(stage: Stage) -> None:
    have_tables_expire(stage, "views_dataset")
    refresh_views = stage.function("refresh_views")
    event = load(stage, "orders_20260116")
    stage.bigquery.plan("bigquery.tables.patch", Fault(ApiError(412, "conditionNotMet")))

    status = refresh_views.hear(*event)

    assert status == 200
    assert stage.warehouse.get_table(stage.view("orders")).expires is None


def _create_view(stage: Stage, name: str, definition: dict[str, Any]) -> str:
    """Make a view of exactly this definition, and give its etag."""
    reference = {"projectId": PROJECT, "datasetId": stage.pipeline["views_dataset"], "tableId": name}
    etag: str = stage.warehouse.create_table(
        Table.from_api_repr({"tableReference": reference, "view": definition})
    ).etag
    return etag
