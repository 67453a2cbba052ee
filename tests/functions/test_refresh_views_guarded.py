"""What keeps a view from a shard of too few rows, from half a shard, and its shards from vanishing."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from local.rest import ApiError, Fault
from local.server import Answer, Answering, Between, Call
from tests.support.delivery import Function
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.views import entries
from tests.support.views.steps import (
    ORDERS,
    RECONCILE,
    called,
    expires,
    first,
    have_tables_expire,
    load,
    pass_time,
    said,
    set_expiry,
    show,
    views,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PIN = ORDERS | {"shard_date": "2026-01-14"}
UNPIN = ORDERS | {"shard_date": "newest"}


@pytest.fixture
def shrinking(stage: Stage) -> Function:
    """Of a pipeline with `max_shrink`, and a view of ten rows."""
    stage.pipeline["max_shrink"] = 0.5
    load(stage, "orders_20260115", rows=10)
    show(stage, "orders_20260115")
    return stage.function("refresh_views")


@pytest.fixture
def keeping(stage: Stage) -> Function:
    """Of a pipeline with `keep_days`, and a view of one of its two shards."""
    stage.pipeline["keep_days"] = 30
    load(stage, "orders_20260114")
    load(stage, "orders_20260115")
    show(stage, "orders_20260115")
    return stage.function("refresh_views")


@pytest.fixture
def scio(stage: Stage) -> Function:
    """Of a pipeline that the team's own job loads, with a view that shows rows."""
    stage.pipeline["loader"] = "scio"
    load(stage, "orders_20260115", rows=3)
    show(stage, "orders_20260115")
    return stage.function("refresh_views")


@pytest.mark.parametrize(("rows", "shown"), [(4, "orders_20260115"), (5, "orders_20260116"), (10, "orders_20260116")])
def test_an_event_moves_no_view_to_less_than_the_part_of_its_rows_that_is_set(
    stage: Stage, shrinking: Function, log: Log, rows: int, shown: str
) -> None:
    status = shrinking.hear(*load(stage, "orders_20260116", rows=rows))

    assert status == 200
    assert bool(said(log, "ERROR")) == (shown == "orders_20260115")
    assert views(stage) == {"orders": shown}


def test_the_error_line_says_what_is_kept_from_what_and_how_to_move_it(
    stage: Stage, shrinking: Function, log: Log
) -> None:
    shrinking.hear(*load(stage, "orders_20260116", rows=4))

    [line] = log()
    assert (line["severity"], line["outcome"], line["table"]) == ("ERROR", "skipped", "orders")
    for named in ("orders_20260115", "orders_20260116", "4 rows", "10", "view-refreshes"):
        assert named in line["message"]


def test_a_reconcile_keeps_the_view_too_and_says_so(stage: Stage, shrinking: Function, log: Log) -> None:
    load(stage, "orders_20260116", rows=4)

    status = shrinking.receive(RECONCILE)

    assert status == 200
    assert len(said(log, "ERROR")) == 1
    assert views(stage) == {"orders": "orders_20260115"}


@pytest.mark.parametrize("asked", [{}, {"shard_date": "2026-01-16"}, {"shard_date": "newest"}], ids=str)
def test_a_request_that_names_the_table_moves_it(
    stage: Stage, shrinking: Function, log: Log, asked: dict[str, str]
) -> None:
    load(stage, "orders_20260116", rows=4)

    shrinking.receive(ORDERS | asked)

    assert said(log, "ERROR") == []
    assert views(stage) == {"orders": "orders_20260116"}


def test_a_newer_shard_of_enough_rows_goes_past_one_that_shrank(stage: Stage, shrinking: Function) -> None:
    load(stage, "orders_20260116", rows=4)

    shrinking.hear(*load(stage, "orders_20260117", rows=9))

    assert views(stage) == {"orders": "orders_20260117"}


def test_a_reconcile_that_falls_back_to_an_older_shard_still_says_what_shrank(
    stage: Stage, shrinking: Function, log: Log
) -> None:
    load(stage, "orders_20260116", rows=10)
    load(stage, "orders_20260117", rows=4)

    shrinking.receive(RECONCILE)

    [line] = said(log, "ERROR")
    assert "orders_20260117" in line
    assert views(stage) == {"orders": "orders_20260116"}


def test_a_view_that_shows_nothing_or_is_missing_has_nothing_to_lose(stage: Stage, shrinking: Function) -> None:
    load(stage, "refunds_20260115", rows=0)
    show(stage, "refunds_20260115")
    events = [load(stage, "refunds_20260116", rows=0), load(stage, "users_20260116", rows=0)]

    for event in events:
        shrinking.hear(*event)

    assert views(stage) == {
        "orders": "orders_20260115",
        "refunds": "refunds_20260116",
        "users": "users_20260116",
    }


def test_a_pinned_view_is_measured_when_it_is_let_go_with_all_others(stage: Stage, shrinking: Function) -> None:
    load(stage, "orders_20260116", rows=4)
    shrinking.receive(ORDERS | {"shard_date": "2026-01-15"})

    shrinking.receive(RECONCILE | {"shard_date": "newest"})

    view = stage.warehouse.get_table(stage.view("orders"))
    assert view.labels == {}
    assert views(stage) == {"orders": "orders_20260115"}


def test_a_shard_expires_when_a_newer_one_takes_its_place(stage: Stage, keeping: Function) -> None:
    today = datetime.now(UTC)
    old, new = (f"refunds_{today - ago:%Y%m%d}" for ago in (DAY, timedelta()))
    load(stage, old)
    show(stage, old)

    keeping.hear(*load(stage, new))

    midnight = today.replace(hour=0, minute=0, second=0, microsecond=0)
    assert expires(stage, old) == midnight - DAY + 30 * DAY
    assert expires(stage, new) is None


def test_a_shard_is_never_gone_within_a_day(stage: Stage, keeping: Function) -> None:
    event = load(stage, "orders_20260116")
    before = datetime.now(UTC)

    keeping.hear(*event)

    at = expires(stage, "orders_20260115")
    assert at
    assert DAY - timedelta(seconds=1) <= at - before <= DAY + timedelta(minutes=1)
    assert expires(stage, "orders_20260116") is None


def test_without_keep_days_nothing_expires(stage: Stage) -> None:
    refresh_views = stage.function("refresh_views")
    load(stage, "orders_20260115")
    show(stage, "orders_20260115")

    refresh_views.hear(*load(stage, "orders_20260116"))
    refresh_views.receive(RECONCILE)

    assert expires(stage, "orders_20260115") is None


def test_a_shard_that_was_never_shown_expires_by_the_next_reconcile(stage: Stage, keeping: Function) -> None:
    load(stage, "orders_20260113")

    keeping.receive(RECONCILE)

    assert expires(stage, "orders_20260113")
    assert expires(stage, "orders_20260114")
    assert expires(stage, "orders_20260115") is None


def test_an_expiry_that_cannot_be_set_now_is_set_by_the_next_delivery(
    stage: Stage, keeping: Function, log: Log
) -> None:
    stage.bigquery.plan("bigquery.tables.patch", Fault(ApiError(403, "quotaExceeded")))

    statuses = [keeping.receive(RECONCILE) for _ in range(2)]

    assert statuses == [503, 200]
    assert "dead" not in {line.get("outcome") for line in log()}
    assert expires(stage, "orders_20260114")


def test_a_reconcile_clears_the_expiry_of_what_is_shown(stage: Stage, keeping: Function) -> None:
    set_expiry(stage, "orders_20260115", datetime.now(UTC) + DAY)

    keeping.receive(RECONCILE)

    assert expires(stage, "orders_20260115") is None


def test_a_second_reconcile_sets_no_expiry_anew(stage: Stage, keeping: Function) -> None:
    load(stage, "orders_20260116")
    keeping.receive(RECONCILE)
    stage.bigquery.calls.clear()

    keeping.receive(RECONCILE)

    assert called(stage) == ["tables.list", "tables.get orders"]


def test_a_shard_no_longer_expires_before_a_view_is_pinned_back_to_it(stage: Stage, keeping: Function) -> None:
    keeping.receive(RECONCILE)
    stage.bigquery.calls.clear()

    keeping.receive(PIN)
    calls = called(stage)

    assert calls.index("tables.patch orders_20260114") < calls.index("tables.patch orders")
    assert expires(stage, "orders_20260114") is None
    assert views(stage) == {"orders": "orders_20260114"}


def test_a_pinned_shard_keeps_for_as_long_as_it_is_pinned(stage: Stage, keeping: Function) -> None:
    keeping.receive(PIN)

    keeping.hear(*load(stage, "orders_20260116"))
    keeping.receive(RECONCILE)

    assert expires(stage, "orders_20260114") is None


def test_a_shard_that_was_pinned_expires_when_it_is_let_go(stage: Stage, keeping: Function) -> None:
    keeping.receive(PIN)

    keeping.receive(UNPIN)

    assert expires(stage, "orders_20260114")
    assert expires(stage, "orders_20260115") is None


def test_what_a_pin_took_away_a_reconcile_heals_where_an_event_came_in_between(stage: Stage, keeping: Function) -> None:
    keeping.receive(PIN)
    set_expiry(stage, "orders_20260114", datetime.now(UTC) + DAY)

    keeping.receive(RECONCILE)

    assert expires(stage, "orders_20260114") is None


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_the_datasets_own_expiry_does_not_hold_for_what_is_shown(stage: Stage, by: str) -> None:
    stage.pipeline["keep_days"] = 30
    have_tables_expire(stage, "shards_dataset")
    refresh_views = stage.function("refresh_views")
    event = load(stage, "orders_20260116")

    status = refresh_views.hear(*event) if by == "event" else refresh_views.receive(RECONCILE)

    assert status == 200
    assert expires(stage, "orders_20260116") is None


def test_without_keep_days_an_expiry_that_people_have_set_stands(stage: Stage) -> None:
    have_tables_expire(stage, "shards_dataset")
    refresh_views = stage.function("refresh_views")

    refresh_views.hear(*load(stage, "orders_20260116"))

    assert expires(stage, "orders_20260116")


def test_a_reconcile_does_not_show_half_a_shard_of_another_loader(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260116", rows=2)
    pass_time(stage, 0.9 * HOUR)

    scio.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260115"}


def test_a_shard_of_another_loader_counts_as_whole_an_hour_after_its_last_change(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260116", rows=2)
    pass_time(stage, 1.1 * HOUR)

    scio.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260116"}


def test_a_shard_with_rows_on_their_way_is_not_whole(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260116", rows=2)
    pass_time(stage, 2 * HOUR)

    with interposed(_streaming("/orders_20260116"), stage.bigquery.server):
        scio.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260115"}


def test_an_empty_shard_is_not_moved_to_from_one_that_has_rows(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260116", rows=0)
    pass_time(stage, 2 * HOUR)

    scio.receive(RECONCILE)

    assert views(stage) == {"orders": "orders_20260115"}


def test_an_empty_shard_that_an_event_of_its_job_tells_of_is_shown(stage: Stage, scio: Function) -> None:
    scio.hear(*load(stage, "orders_20260116", rows=0))

    assert views(stage) == {"orders": "orders_20260116"}


def test_an_old_event_of_dataflow_says_nothing_of_an_empty_shard_that_came_later(stage: Stage, scio: Function) -> None:
    load(stage, "orders_20260116", rows=0)
    pass_time(stage, 2 * HOUR)

    scio.hear(*entries.dataflow(ended="2026-01-15T03:00:00Z"))

    assert views(stage) == {"orders": "orders_20260115"}


@pytest.mark.parametrize("later", [timedelta(), 2 * HOUR], ids=["no run is complete", "the newest is empty"])
def test_a_view_is_let_go_even_where_there_is_nowhere_to_go(stage: Stage, scio: Function, later: timedelta) -> None:
    load(stage, "orders_20260114", rows=3)
    scio.receive(ORDERS | {"shard_date": "2026-01-15"})
    load(stage, "orders_20260116", rows=0)
    pass_time(stage, later)

    scio.receive(UNPIN)

    assert stage.warehouse.get_table(stage.view("orders")).labels == {}
    assert views(stage) == {"orders": "orders_20260115"}


def test_an_unpin_that_comes_twice_moves_no_view_back(stage: Stage, keeping: Function) -> None:
    keeping.receive(PIN)
    keeping.receive(UNPIN)
    look = f"{stage.pipeline['views_dataset']}/tables/orders"
    moved = first(lambda: keeping.hear(*load(stage, "orders_20260116")), "GET", look)

    with interposed(moved, stage.bigquery.server):
        keeping.receive(UNPIN)

    assert views(stage) == {"orders": "orders_20260116"}


def _streaming(target: str) -> Between:
    """Has a table tell of rows that are still on their way into it."""

    def befalling(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if call.verb != "GET" or not call.target.partition("?")[0].endswith(target):
            return answer
        content = json.loads(answer.body) | {"streamingBuffer": {"estimatedRows": "7"}}
        return replace(answer, body=json.dumps(content).encode())

    return befalling
