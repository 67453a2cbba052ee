"""A run that somebody stops begins no more tables, and ends."""

import json

import pytest

from tests.support.days import Days, tables
from tests.support.stage import Log, Stage
from tests.support.views.steps import load, show, views


@pytest.fixture
def days(stage: Stage) -> Days:
    return Days(stage)


def stop(days: Days, run: str = "") -> int:
    request = {"pipeline": "billing", "stop": run or days.run}
    return days.function("list_tables").receive(request, message_id="stop", published=days.stage.clock.text())


def test_tables_that_are_not_begun_are_skipped_by_that_reason(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders", "refunds")
    first, *others = days.request()
    days.load(*days.export(first))
    days.hear()

    status = stop(days)
    announced = days.export(*others)

    assert (status, announced) == (200, [])
    assert len(stage.exports()) == 1
    assert "stopped" in days.record("skipped")["error"]
    assert days.told() == [days.shown(shown="lines", skipped="orders refunds")]


def test_an_operation_that_runs_is_let_end(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    [data] = days.request()
    stage.environment.setenv("WAIT_BUDGET_SECONDS", "0.01")
    days.functions.pop("export_table", None)
    days.export(data)
    began = len(stage.exports())
    stop(days)

    days.functions.pop("export_table")
    stage.environment.delenv("WAIT_BUDGET_SECONDS")
    days.load(*days.export(data))
    days.hear()

    assert (began, len(stage.exports())) == (1, 1)
    assert days.told() == [days.shown(shown="orders")]


def test_a_run_that_is_not_on_record_cannot_be_stopped(stage: Stage, days: Days) -> None:
    status = stop(days, "nobody")

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "no run nobody" in letter.attributes["error"]
    assert stage.files() == []


@pytest.mark.parametrize("more", [{"tables": ["orders"]}, {"shard_date": "2026-01-15"}])
def test_a_request_to_stop_asks_for_nothing_else(stage: Stage, days: Days, more: dict[str, object]) -> None:
    request = {"pipeline": "billing", "stop": days.run, **more}

    days.function("list_tables").receive(request)

    [letter] = stage.published("dead-letters")
    assert "unknown keys" in letter.attributes["error"]
    assert json.loads(letter.data) == request


@pytest.fixture
def together(stage: Stage) -> Days:
    """Two tables whose views are released together, and show the day before."""
    tables(stage, "lines", "orders")
    for table in ("lines", "orders"):
        load(stage, f"{table}_20260114")
        show(stage, f"{table}_20260114")
    return Days(stage, release="together")


def cut_short(days: Days) -> None:
    """The first of two tables is exported and loaded, and the run is stopped before the second is begun."""
    lines, orders = days.request()
    announced = days.export(lines)
    days.load(*announced)
    stop(days)
    days.export(orders)


YESTERDAY = {"lines": "lines_20260114", "orders": "orders_20260114"}
TODAY = {"lines": "lines_20260115", "orders": "orders_20260115"}


@pytest.mark.parametrize("is_heard", [True, False])
def test_views_that_are_released_together_stay_where_a_run_was_cut_short(
    stage: Stage, together: Days, log: Log, is_heard: bool
) -> None:
    cut_short(together)
    if is_heard:
        together.hear()
        together.events.clear()
    together.reconcile()

    assert views(stage) == YESTERDAY
    assert together.told() == [together.shown(held="lines", skipped="orders")]
    assert "was stopped" in together.record("held", "lines")["reason"]
    log()


@pytest.mark.parametrize("wanted", [None, ["orders"]])
def test_a_later_request_of_the_day_releases_what_a_stop_has_held(
    stage: Stage, together: Days, wanted: list[str] | None
) -> None:
    cut_short(together)
    together.hear()
    stopped = together.shown(held="lines", skipped="orders")
    together.run += "-later"
    stage.clock.pass_time(minutes=1)

    together.all_through(**({"tables": wanted} if wanted else {}))
    together.reconcile()

    assert views(stage) == TODAY
    assert together.told() == [stopped, together.shown(shown="orders" if wanted else "lines orders")]


def test_a_stop_holds_nothing_of_the_run_after(stage: Stage, together: Days) -> None:
    cut_short(together)
    stopped = together.shown(held="lines", skipped="orders")
    together.run += "-later"
    stage.clock.pass_time(minutes=1)
    lines, orders = together.request()
    together.load(*together.export(lines))

    together.reconcile()
    before = together.told()
    together.load(*together.export(orders))
    together.hear()

    assert before == [stopped]
    assert together.told() == [together.shown(shown="lines orders")]
    assert not [name for name in stage.files() if f"{together.run}/held/" in name]


def test_a_run_that_is_stopped_when_all_is_begun_is_released(stage: Stage, together: Days) -> None:
    announced = together.export(*together.request())
    stop(together)

    together.load(*announced)
    together.hear()

    assert views(stage) == TODAY
    assert together.told() == [together.shown(shown="lines orders")]


def test_a_run_that_is_stopped_leaves_views_at_a_day_that_they_show(stage: Stage, together: Days) -> None:
    together.all_through()
    together.told()
    together.run += "-later"
    stage.clock.pass_time(minutes=1)

    cut_short(together)
    together.hear()

    assert views(stage) == TODAY
    assert together.told() == [together.shown(shown="lines", skipped="orders")]


def test_a_snapshot_of_a_stopped_run_is_not_read(stage: Stage) -> None:
    stage.environment.setenv("SNAPSHOTS_TOPIC", "projects/my-project/topics/snapshots")
    days = Days(stage, small_tables="snapshot")
    tables(stage, "lines", "orders")
    stage.run("ANALYZE")
    days.request()
    [wish] = stage.published("snapshots")
    stop(days)

    status = days.function("read_snapshot").receive(wish.data, published=stage.clock.text())

    assert status == 200
    assert stage.published("table-exported") == []
    assert days.told() == [days.shown(skipped="lines orders")]
