"""An export takes up whatever an earlier delivery began, and waits for its turn."""

from datetime import datetime
from typing import Any

import pytest

from local.cloudsql import Outcome
from local.rest import ApiError, Fault
from local.server import HangUp
from tests.support.delivery import table_export
from tests.support.stage import Log, Stage, wait_for
from tests.support.standins import INSTANCE

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
STAGED = "billing/_staging/9912/orders_20260115.csv"
EXPORTED = "billing/_runs/9912/exported/orders.json"


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run(
        "CREATE TABLE orders (id bigint NOT NULL, note text)",
        "INSERT INTO orders VALUES (1, 'a,b'), (2, NULL), (3, '')",
    )


def test_a_redelivery_announces_again_without_another_operation(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    before = stage.content(SCHEMA), stage.content(EXPORTED)

    status = export_table.receive(table_export())

    first, second = stage.published("table-exported")
    assert status == 200
    assert first.data == second.data
    assert len(stage.exports()) == 1
    assert (stage.content(SCHEMA), stage.content(EXPORTED)) == before


@pytest.mark.parametrize(
    "error",
    [ApiError(403, "notAuthorized", "The client is not authorized."), ApiError(404, "notFound", "There is none.")],
    ids=["403", "404"],
)
def test_a_pair_that_is_whole_is_announced_even_where_the_instance_may_not_be_asked_any_more(
    stage: Stage, error: ApiError
) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    stage.admin.plan("sql.operations.list", Fault(error))

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.published("table-exported")) == 2
    assert stage.published("dead-letters") == []
    assert "billing/_runs/9912/failed/orders.json" not in stage.files()


def test_a_spent_budget_hands_the_message_back_and_the_next_delivery_adopts_the_operation(
    stage: Stage, log: Log
) -> None:
    stage.admin.plan_exports(Outcome(running=0.25))
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.05")

    handed_back = hasty.receive(table_export())
    [line] = log()
    patient = stage.function("export_table", WAIT_BUDGET_SECONDS="10")
    taken_up = patient.receive(table_export())

    [operation] = stage.exports()
    assert (handed_back, taken_up) == (503, 200)
    assert (line["outcome"], line["severity"], line["operation"]) == ("waiting", "INFO", operation["name"])
    assert len(stage.published("table-exported")) == 1
    assert stage.published("dead-letters") == []


def test_an_operation_that_ended_between_two_deliveries_is_adopted(stage: Stage) -> None:
    stage.admin.plan_exports(Outcome(running=0.1))
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.02")
    hasty.receive(table_export())
    wait_for(lambda: stage.exports()[0]["status"] == "DONE")

    status = hasty.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1
    assert STAGED not in stage.files()


def test_a_crash_between_move_and_seal_costs_no_second_operation(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    stage.bucket.delete_blob(SCHEMA)
    exported_at = stage.exports()[0]["insertTime"]

    status = export_table.receive(table_export())

    sealed = stage.json(SCHEMA)
    assert status == 200
    assert len(stage.exports()) == 1
    assert (sealed["run_id"], sealed["data_generation"]) == ("9912", stage.bucket.get_blob(DATA).generation)
    assert datetime.fromisoformat(sealed["exported_at"]) == datetime.fromisoformat(exported_at)


def test_what_a_failed_export_left_in_staging_gives_way(stage: Stage) -> None:
    stage.put(STAGED, "1,half a ro")
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert stage.content(DATA) == '1,"a,b"\n2,\n3,""\n'
    assert STAGED not in stage.files()


@pytest.mark.parametrize("loss", [HangUp(), ApiError(503, "backendError", "Try again.")], ids=["hang-up", "503"])
def test_an_export_whose_answer_was_lost_is_not_started_twice(stage: Stage, loss: Any) -> None:
    stage.admin.plan_exports(Outcome(running=0.1))
    stage.admin.plan("sql.instances.export", Fault(loss, after=True))
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1


@pytest.mark.parametrize("forbidden", [False, True], ids=["409", "403"])
def test_an_export_waits_for_its_turn(stage: Stage, forbidden: bool) -> None:
    if forbidden:
        stage.admin.refuse_as_forbidden()
    backup = stage.admin.backup(INSTANCE, 0.1)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    names = [each["name"] for each in stage.admin.operations]
    assert status == 200
    assert names[-2:] == [backup["name"], stage.exports()[0]["name"]]
    assert stage.published("dead-letters") == []
