"""A view that cannot be moved holds up no other, and what one view names stays for it."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.support.delivery import Function
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.views import records
from tests.support.views.steps import (
    ORDERS,
    RECONCILE,
    called,
    expires,
    first,
    load,
    refused,
    said,
    set_expiry,
    show,
    views,
)

MISSING = "lookup_20260101"


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    """With a view `orders` that also reads a table which is gone, and views of other tables that are behind."""
    stage.pipeline["keep_days"] = 30
    for name in (MISSING, "orders_20260114", "refunds_20260114", "dropped_20260113"):
        load(stage, name)
    for name in ("refunds_20260114", "dropped_20260113"):
        show(stage, name)
    stage.create_view("orders", _join(stage, "orders_20260114", MISSING))
    stage.warehouse.delete_table(stage.shard(MISSING))
    return stage.function("refresh_views")


def test_a_view_that_reads_a_table_that_is_gone_is_reported_in_bigquerys_words_and_acknowledged(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    status = refresh_views.hear(*load(stage, "orders_20260115"))

    [line] = log()
    assert status == 200
    assert (line["severity"], line["outcome"], line["table"]) == ("ERROR", "dead", "orders")
    assert f"{stage.pipeline['views_dataset']}.orders" in line["message"]
    assert f"Not found: Table {stage.shard(MISSING).replace('.', ':', 1)}" in line["message"]
    assert stage.shown() == _join(stage, "orders_20260114", MISSING)


def test_a_new_look_tells_that_the_table_is_missing_for_good(stage: Stage, refresh_views: Function) -> None:
    event = load(stage, "orders_20260115")

    refresh_views.hear(*event)

    assert called(stage) == 2 * ["tables.get orders", "tables.get orders_20260115", "tables.patch orders"]


def test_a_view_that_cannot_be_moved_holds_up_neither_the_others_nor_keep_days_nor_the_stale_report(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260115")
    load(stage, "refunds_20260115")

    status = refresh_views.receive(RECONCILE)

    lines = log()
    assert status == 200
    assert [line["table"] for line in lines if line["severity"] == "ERROR"] == ["orders"]
    assert [line for line in lines if "stale: dropped" in line["message"]]
    assert stage.shown("refunds").endswith("refunds_20260115`")
    assert expires(stage, "refunds_20260114")


def test_a_request_that_names_the_view_is_dead_lettered(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260115")

    status = refresh_views.receive(ORDERS)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "Not found: Table" in letter.attributes["error"]


def test_a_view_that_cannot_be_moved_holds_up_no_other_of_its_run(stage: Stage, refresh_views: Function) -> None:
    stage.pipeline["release"] = "together"
    refresh_views = stage.function("refresh_views")
    records.begin(stage, "run", "20260115", ["orders", "refunds"])
    events = []
    for shard in ("orders_20260115", "refunds_20260115"):
        events.append(load(stage, shard))
        records.seal(stage, "run", shard)

    statuses = [refresh_views.hear(*event) for event in events]

    assert statuses == [200, 200]
    assert stage.shown("refunds").endswith("refunds_20260115`")


def test_a_view_can_be_moved_again_once_the_table_is_back(stage: Stage, refresh_views: Function) -> None:
    load(stage, "orders_20260115")
    refresh_views.receive(RECONCILE)
    load(stage, MISSING)

    refresh_views.receive(RECONCILE)

    assert stage.shown() == _join(stage, "orders_20260115", MISSING)


@pytest.mark.parametrize("gone", ["orders_20260115", "orders_20260116"])
def test_a_shard_that_goes_meanwhile_is_no_missing_table(
    stage: Stage, refresh_views: Function, log: Log, gone: str
) -> None:
    load(stage, MISSING)
    for shard in ("orders_20260115", "orders_20260116"):
        load(stage, shard)
    goes = first(lambda: stage.warehouse.delete_table(stage.shard(gone)), "PATCH", "/orders")

    with interposed(goes, stage.bigquery.server):
        status = refresh_views.receive(RECONCILE)

    left = "orders_20260115" if gone == "orders_20260116" else "orders_20260116"
    assert (status, said(log, "ERROR")) == (200, [])
    assert stage.shown() == _join(stage, left, MISSING)


@pytest.mark.parametrize(("verb", "target"), [("GET", "/orders"), ("PATCH", "/orders")])
def test_a_view_that_fails_for_a_reason_that_passes_is_handed_back_when_all_else_is_done(
    stage: Stage, refresh_views: Function, log: Log, verb: str, target: str
) -> None:
    tables = [f"table{number:02}" for number in range(40)]
    for table in tables:
        stage.create_shard(f"{table}_20260115")
    load(stage, "orders_20260115")
    load(stage, "refunds_20260115")

    with interposed(refused(9, target, verb=verb), stage.bigquery.server):
        status = refresh_views.receive(RECONCILE)

    lines = log()
    assert status == 503
    assert [
        (line["severity"], line["table"]) for line in lines if line["outcome"] == "waiting" and "table" in line
    ] == [("WARNING", "orders")]
    assert [line for line in lines if "are stale" in line["message"]]
    assert expires(stage, "refunds_20260114")
    assert set(views(stage)) == {"dropped", "orders", "refunds", *tables}


def test_a_view_that_somebody_changes_all_the_time_is_handed_back_when_all_else_is_done(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260115")
    load(stage, "refunds_20260115")

    with interposed(refused(99, "/orders", reason="conditionNotMet"), stage.bigquery.server):
        status = refresh_views.receive(RECONCILE)

    assert status == 503
    assert [line for line in said(log, "WARNING") if "orders was changed 5 times" in line]
    assert stage.shown("refunds").endswith("refunds_20260115`")


def test_where_bigquery_itself_fails_the_rest_is_left_to_the_next_delivery(
    stage: Stage, refresh_views: Function
) -> None:
    for number in range(100):
        stage.create_shard(f"table{number:03}_20260115")
    stage.bigquery.calls.clear()

    with interposed(refused(1000, "_20260115", verb="GET"), stage.bigquery.server):
        status = refresh_views.receive(RECONCILE)

    assert status == 503
    assert len(called(stage)) < 60  # of more than a hundred looks at views


def test_a_shard_that_bigquery_lets_nobody_change_is_reported_and_holds_up_no_other(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    for shard in ("refunds_20260112", "refunds_20260113"):
        load(stage, shard)
    denied = refused(1, "/refunds_20260112", reason="accessDenied")

    with interposed(denied, stage.bigquery.server):
        status = refresh_views.receive(RECONCILE)

    [line] = [line for line in log() if line["severity"] == "ERROR"]
    assert status == 200
    assert (line["table"], line["shard_date"]) == ("refunds", "2026-01-12")
    assert expires(stage, "refunds_20260112") is None
    assert expires(stage, "refunds_20260113")


def test_a_shard_that_a_view_of_another_table_names_does_not_expire(stage: Stage, refresh_views: Function) -> None:
    stage.warehouse.delete_table(stage.view("orders"))
    for shard in ("refunds_20260112", "refunds_20260113", "refunds_20260115"):
        load(stage, shard)
    stage.create_view("orders", _join(stage, "orders_20260114", "refunds_20260113", "refunds_20260114"))

    refresh_views.receive(RECONCILE)

    assert expires(stage, "refunds_20260112")
    assert expires(stage, "refunds_20260113") is None
    assert expires(stage, "refunds_20260114") is None


def test_what_a_view_that_refuses_to_be_moved_names_does_not_expire_either(
    stage: Stage, refresh_views: Function
) -> None:
    stage.warehouse.delete_table(stage.view("orders"))
    for shard in ("refunds_20260112", "refunds_20260113"):
        load(stage, shard)
    stage.create_view("orders", f"SELECT * FROM `{stage.shard('refunds_20260113')}`")

    refresh_views.receive(RECONCILE)

    assert expires(stage, "refunds_20260112")
    assert expires(stage, "refunds_20260113") is None


def test_an_expiry_that_an_event_has_set_on_such_a_shard_is_taken_back_by_the_next_reconcile(
    stage: Stage, refresh_views: Function
) -> None:
    stage.warehouse.delete_table(stage.view("orders"))
    stage.create_view("orders", _join(stage, "orders_20260114", "refunds_20260114"))
    refresh_views.hear(*load(stage, "refunds_20260115"))
    in_between = expires(stage, "refunds_20260114")

    refresh_views.receive(RECONCILE)

    assert in_between
    assert in_between - datetime.now(UTC) > timedelta(hours=23)
    assert expires(stage, "refunds_20260114") is None


def test_the_views_of_a_run_spare_one_anothers_shards_at_once(stage: Stage, refresh_views: Function) -> None:
    stage.pipeline["release"] = "together"
    refresh_views = stage.function("refresh_views")
    stage.warehouse.delete_table(stage.view("orders"))
    stage.create_view("orders", _join(stage, "orders_20260114", "refunds_20260114"))
    records.begin(stage, "run", "20260115", ["orders", "refunds"])
    for shard in ("orders_20260115", "refunds_20260115"):
        event = load(stage, shard)
        records.seal(stage, "run", shard)
        refresh_views.hear(*event)

    assert views(stage)["refunds"] == "refunds_20260115"
    assert expires(stage, "orders_20260114")
    assert expires(stage, "refunds_20260114") is None


def test_a_spared_shard_expires_once_no_view_names_it(stage: Stage, refresh_views: Function) -> None:
    set_expiry(stage, "refunds_20260114", None)
    load(stage, "refunds_20260115")

    refresh_views.receive(RECONCILE)

    assert expires(stage, "refunds_20260114")


def _join(stage: Stage, shard: str, *others: str) -> str:
    """A query of one's own over a shard and others."""
    joined = "".join(f" JOIN `{stage.shard(other)}` AS t{number} USING (id)" for number, other in enumerate(others))
    return f"SELECT id FROM `{stage.shard(shard)}`{joined}"
