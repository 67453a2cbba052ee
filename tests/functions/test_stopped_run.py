"""A run that somebody stops begins no more tables, and ends."""

import json

import pytest

from tests.functions.days import Days, tables
from tests.functions.stage import Stage


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
