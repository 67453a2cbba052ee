"""Whatever step an export crashes at, and whoever works on it at the same time, the redelivery ends in the same state."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from local.cloudsql import Outcome
from tests.support.cuts import cut_off, meanwhile
from tests.support.delivery import Function, table_export
from tests.support.exported import DATA, FAILED, ROWS, SCHEMA, STAGED, all_done, assert_exported, table_locked
from tests.support.stage import Stage, wait_for

HALF = Outcome(error="ERROR:  canceled", leaves=0.5)


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run(*ROWS)


@pytest.mark.parametrize("step", range(6))
def test_a_crash_between_any_two_steps_costs_no_second_operation(stage: Stage, step: int) -> None:
    export_table = stage.function("export_table")

    with cut_off(stage, after=step) as calls:
        crashed = export_table.receive(table_export())
    status = export_table.receive(table_export())

    assert (crashed, status) == (500, 200)
    assert calls.made > step
    assert len(stage.exports()) == 1
    assert_exported(stage)


@pytest.mark.parametrize("step", range(8))
def test_a_crash_between_any_two_steps_after_a_failure_costs_no_third_operation(stage: Stage, step: int) -> None:
    stage.admin.plan_exports(HALF)
    export_table = stage.function("export_table")

    with cut_off(stage, after=step) as calls:
        crashed = export_table.receive(table_export())
    status = export_table.receive(table_export())

    assert (crashed, status) == (500, 200)
    assert calls.made > step
    assert len(stage.exports()) == 2
    assert_exported(stage)


def test_an_export_that_another_delivery_has_begun_meanwhile_leaves_nothing_in_staging(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    stage.begin_export(STAGED, seconds=0.3)

    status = export_table.receive(table_export())

    assert status == 200
    assert all_done(stage)
    assert STAGED not in stage.files()
    assert_exported(stage)


def test_these_are_all_steps(stage: Stage) -> None:
    stage.admin.plan_exports(HALF)
    export_table = stage.function("export_table")

    with cut_off(stage, after=100) as after_a_failure:
        export_table.receive(table_export())
    with cut_off(stage, after=100) as straight:
        export_table.receive(table_export(run_id="9913"))

    assert (straight.made, after_a_failure.made) == (6, 8)


@pytest.mark.parametrize("step", range(4))
def test_a_crash_between_any_two_steps_of_giving_up_loses_neither_record_nor_dead_letter(
    stage: Stage, step: int
) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(HALF)
    export_table = stage.function("export_table")

    with cut_off(stage, after=step):
        crashed = export_table.receive(table_export())
    status = export_table.receive(table_export())

    assert (crashed, status) == (500, 200)
    assert stage.files() == [FAILED]
    assert len(stage.exports()) == 5
    assert len(stage.published("dead-letters")) == 1


@pytest.mark.parametrize("call", range(1, 15))
def test_a_second_delivery_at_any_moment_of_the_first_changes_nothing(stage: Stage, call: int) -> None:
    export_table = stage.function("export_table")
    statuses: list[int] = []

    with meanwhile(stage, call, lambda: statuses.append(export_table.receive(table_export()))) as calls:
        statuses.append(export_table.receive(table_export()))

    assert statuses == [200, 200]
    assert calls.made >= call
    assert len(stage.exports()) <= 2
    assert_exported(stage)


def test_two_deliveries_at_once_make_one_pair(stage: Stage) -> None:
    stage.admin.plan_exports(Outcome(running=0.1))
    export_table = stage.function("export_table")

    with ThreadPoolExecutor() as threads:
        statuses = list(threads.map(lambda _: export_table.receive(table_export()), range(3)))

    assert statuses == [200, 200, 200]
    assert_exported(stage)


def test_an_operation_that_outlives_three_deliveries_is_adopted_by_the_fourth(stage: Stage) -> None:
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.05")
    with table_locked(stage):
        handed_back = [hasty.receive(table_export()) for _ in range(3)]
    wait_for(lambda: all_done(stage))

    status = hasty.receive(table_export())

    assert (handed_back, status) == ([503, 503, 503], 200)
    assert len(stage.exports()) == 1
    assert_exported(stage)


@pytest.mark.parametrize("leaves", [0.0, 0.5, 1.0])
def test_what_a_failed_operation_leaves_is_never_taken_for_the_data(stage: Stage, leaves: float) -> None:
    stage.admin.plan_exports(Outcome(error="ERROR:  canceled", leaves=leaves))
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.05")
    with table_locked(stage):
        hasty.receive(table_export())
    wait_for(lambda: all_done(stage))
    patient = stage.function("export_table", WAIT_BUDGET_SECONDS="10")

    status = patient.receive(table_export())

    assert status == 200
    assert ["error" in each for each in stage.exports()] == [True, False]
    assert_exported(stage)


def test_a_crash_while_a_later_run_replaces_the_pair_leaves_that_runs(stage: Stage) -> None:
    export_table = stage.function("export_table")
    later = table_export(run_id="9913", requested_at="2026-01-15T03:00:00Z")
    with cut_off(stage, after=3):  # the data has its name, and no seal yet
        export_table.receive(table_export())
    _export_with_other_rows(stage, export_table, later)

    status = export_table.receive(table_export())

    assert status == 200
    assert stage.json(SCHEMA)["run_id"] == "9913"
    assert stage.content(DATA) == "1,new\n2,new\n"
    assert [file for file in stage.files() if "_staging" in file] == []


def _export_with_other_rows(stage: Stage, export_table: Function, message: dict[str, object]) -> None:
    stage.run("UPDATE orders SET note = 'new'")
    assert export_table.receive(message) == 200
