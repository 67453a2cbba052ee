"""What becomes of an export that goes wrong: tried again while that may help, and given up for good where it cannot."""

import json

import pytest

from local.cloudsql import Outcome
from local.rest import ApiError, Fault
from tests.support.delivery import REQUESTED, column, table_export, topic
from tests.support.stage import Log, Stage
from tests.support.standins import INSTANCE

DATA = "billing/orders/data_20260115.csv"
STAGED = "billing/_staging/9912/orders_20260115.csv"
FAILED = "billing/_runs/9912/failed/orders.json"
REFUSED = Outcome(error='ERROR:  invalid input syntax for type integer: "12,50"', leaves=0.5)


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a,b')")


def test_a_failed_operation_is_tried_again(stage: Stage) -> None:
    stage.admin.plan_exports(REFUSED)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert stage.content(DATA) == '1,"a,b"\n'
    assert ["error" in each for each in stage.exports()] == [True, False]
    assert stage.published("dead-letters") == []


def test_a_fifth_failure_is_permanent_in_the_operations_words_without_values_of_rows(stage: Stage) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(REFUSED)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert len(stage.exports()) == 5
    assert json.loads(letter.data) == table_export()
    assert "ERROR: invalid input syntax for type integer" in letter.attributes["error"]
    assert "12,50" not in letter.attributes["error"]


def test_a_failure_for_good_says_what_to_do_about_it(stage: Stage) -> None:
    stage.fail_exports(STAGED, times=4)
    export_table = stage.function("export_table")
    stage.run("ALTER DATABASE billing SET lock_timeout = '10ms'", "BEGIN", "LOCK TABLE orders")

    export_table.receive(table_export())

    stage.run("ROLLBACK", "ALTER DATABASE billing RESET lock_timeout")
    [letter] = stage.published("dead-letters")
    assert letter.attributes["error"].endswith(
        "canceling statement due to lock timeout. "
        "Raise lock_timeout where the database or the instance's flags set it, then replay the message"
    )


def test_a_permanent_failure_leaves_a_record_and_nothing_else(stage: Stage) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(REFUSED)
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    record = stage.json(FAILED)
    assert stage.files() == [FAILED]
    assert record["function"] == "export_table"
    assert " ".join(record["error"].split()) == letter.attributes["error"]
    assert stage.published("table-exported") == []


def test_a_permanent_failure_is_one_error_line(stage: Stage, log: Log) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(REFUSED)
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    [line] = log()
    assert line == line | {
        "severity": "ERROR",
        "function": "export_table",
        "pipeline": "billing",
        "table": "public.orders",
        "shard_date": "2026-01-15",
        "run_id": "9912",
        "operation": stage.exports()[-1]["name"],
        "outcome": "dead",
    }
    assert "invalid input syntax" in line["message"]
    assert "12,50" not in line["message"]


def test_a_fourth_failure_is_not_the_end(stage: Stage) -> None:
    stage.fail_exports(STAGED, times=3)
    export_table = stage.function("export_table")
    stage.admin.plan_exports(REFUSED)

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 5
    assert stage.published("dead-letters") == []


def test_a_replay_has_five_attempts_of_its_own(stage: Stage) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(REFUSED)
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    [letter] = stage.published("dead-letters")

    now = stage.clock.text()
    status = export_table.receive(letter.data, message_id="10000", published=now, attributes=dict(letter.attributes))

    assert status == 200
    assert stage.published("dead-letters") == []
    assert stage.json("billing/orders/schema_20260115.json")["run_id"] == "9912"
    assert FAILED not in stage.files()


def test_a_dead_letter_says_all_that_a_replay_needs(stage: Stage) -> None:
    export_table = stage.function("export_table")
    message = table_export(columns=[])

    status = export_table.receive(message, attributes={"origin": "by hand"})

    [letter] = stage.published("dead-letters")
    attributes = dict(letter.attributes)
    assert status == 200
    assert "columns" in attributes.pop("error")
    assert json.loads(letter.data) == message
    assert attributes == {
        "function": "export_table",
        "source_topic": topic("table-exports"),
        "message_id": "9912",
        "publish_time": REQUESTED,
        "ordering_key": INSTANCE,
        "origin": "by hand",
    }


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (b"{", "JSON"),
        (table_export(pipeline="shipping"), "shipping"),
        (table_export(shard_date="2026-02-30"), "2026-02-30"),
        (table_export(columns=[{"name": "id"}]), "data_type"),
    ],
)
def test_a_message_that_cannot_be_read_is_dead_lettered_with_what_is_wrong(
    stage: Stage, message: bytes | dict[str, object], named: str
) -> None:
    export_table = stage.function("export_table")

    status = export_table.receive(message)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert named in letter.attributes["error"]
    assert stage.exports() == []
    assert stage.files() == []


@pytest.mark.parametrize(
    ("method", "status", "reason"),
    [
        ("sql.instances.export", 503, "backendError"),
        ("sql.instances.export", 403, "rateLimitExceeded"),
        ("sql.operations.get", 404, "operationDoesNotExist"),  # which it is said to answer just after the start
    ],
)
def test_a_passing_trouble_of_the_admin_api_is_waited_out(stage: Stage, method: str, status: int, reason: str) -> None:
    stage.admin.plan(method, Fault(ApiError(status, reason, "Not now.")))
    export_table = stage.function("export_table")

    answer = export_table.receive(table_export())

    assert answer == 200
    assert len(stage.exports()) == 1
    assert stage.published("dead-letters") == []


def test_a_trouble_that_lasts_hands_the_message_back(stage: Stage) -> None:
    trouble = Fault(ApiError(503, "backendError", "Not now."))
    stage.admin.plan("sql.operations.list", *[trouble] * 5)
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.1")

    status = hasty.receive(table_export())

    assert status == 503
    assert stage.files() == []
    assert stage.published("dead-letters") == []


def test_an_export_that_is_not_allowed_is_permanent_and_says_what_to_grant(stage: Stage) -> None:
    stage.admin.plan("sql.instances.export", Fault(ApiError(403, "notAuthorized", "The client is not authorized.")))
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "cloudsql.instances.export" in letter.attributes["error"]
    assert stage.files() == [FAILED]


def test_an_instance_that_is_not_there_is_permanent(stage: Stage) -> None:
    stage.pipeline["instance"] = "my-project:europe-west1:no-such-db"
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "my-project:europe-west1:no-such-db" in letter.attributes["error"]


def test_a_bucket_that_is_not_there_is_permanent(stage: Stage) -> None:
    stage.pipeline["bucket"] = "no-such-bucket"
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "no-such-bucket" in letter.attributes["error"]


def test_a_value_that_bigquery_cannot_hold_fails_by_its_columns_name_where_the_pipeline_says_so(stage: Stage) -> None:
    stage.pipeline["unrepresentable"] = "fail"
    stage.fail_exports("billing/_staging/9912/bills_20260115.csv", times=4)
    stage.run("CREATE TABLE bills (id bigint NOT NULL, due date)", "INSERT INTO bills VALUES (1, 'infinity')")
    export_table = stage.function("export_table")

    status = export_table.receive(
        table_export("bills", columns=[column("id", "bigint", nullable=False), column("due", "date")])
    )

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "due" in letter.attributes["error"]
