"""What becomes of an export that the Admin API refuses, at once or by its operation: waited out, handed back or given up."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.cloudsql import Condition, Outcome
from local.rest import ApiError, Fault
from local.server import Answer, Answering, Call, HangUp
from tests.support.delivery import column, table_export
from tests.support.stage import Stage
from tests.support.standins import INSTANCE

STAGED = "billing/_staging/9912/orders_20260115.csv"
FAILED = "billing/_runs/9912/failed/orders.json"
SEALED = "billing/orders/schema_20260115.json"

EXPORT, LIST, GET = "sql.instances.export", "sql.operations.list", "sql.operations.get"
NO_BUCKET_ACCESS = "The service account does not have the required permissions for the bucket."
NOT_RUNNING = ApiError(400, "invalid", "Invalid request: Invalid request since instance is not running.")
PERIMETER = "Request is prohibited by organization's policy.\nvpcServiceControlsUniqueIdentifier: VQQn_-x"
NO_BILLING = "This API method requires billing to be enabled. Please enable billing on project #1."
WRONG_STATE = "The instance or operation is not in an appropriate state to handle the request."


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a,b')")


@pytest.fixture
def impatient() -> Iterator[None]:
    """A quarter of a second instead of the minute that googleapiclient waits for an answer, which it lets Python's default decide."""
    socket.setdefaulttimeout(0.25)
    yield
    socket.setdefaulttimeout(None)


def submitted(stage: Stage) -> int:
    """How often an export has been asked for, whatever the answer; the stage itself does so once."""
    return [call.method for call in stage.admin.calls].count(EXPORT) - 1


@pytest.mark.parametrize(
    ("method", "error", "remedy"),
    [
        (LIST, ApiError(403, "notAuthorized", "The client is not authorized."), "cloudsql.instances.export"),
        (EXPORT, ApiError(403, "accessNotConfigured", "It is disabled."), "enable the Cloud SQL Admin API"),
        (EXPORT, ApiError(401, "authError", "Invalid credentials."), "access to the Cloud SQL Admin API"),
        (EXPORT, ApiError(400, "invalid", "Invalid request: database."), "Correct the pipeline's settings"),
        (EXPORT, ApiError(403, "notAuthorized", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (EXPORT, ApiError(412, "conditionNotMet", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (EXPORT, ApiError(404, "notFound", "The specified bucket does not exist."), "bucket, which must exist"),
        (LIST, ApiError(403, "forbidden", PERIMETER), "Give the identifier VQQn_-x to the administrators"),
        (EXPORT, ApiError(403, "forbidden", PERIMETER), "Give the identifier VQQn_-x to the administrators"),
        (EXPORT, ApiError(403, "forbidden", NO_BILLING), "Open the project's billing account"),
    ],
    ids=lambda value: f"{value.status}" if isinstance(value, ApiError) else None,
)
def test_a_refusal_for_good_is_dead_lettered_with_what_to_do(
    stage: Stage, method: str, error: ApiError, remedy: str
) -> None:
    stage.admin.plan(method, *[Fault(error)] * 3)  # the client asks for another token at each 401, twice
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert remedy in letter.attributes["error"]
    assert "replay" in letter.attributes["error"]
    assert stage.exports() == []
    assert stage.files() == [FAILED]


@pytest.mark.parametrize(
    "condition",
    [Condition(activation_policy="NEVER"), Condition("SUSPENDED"), Condition("PENDING_DELETE"), Condition("FAILED")],
    ids=["stopped", "suspended", "pending delete", "failed"],
)
def test_an_instance_that_does_not_run_is_a_failure_for_good(stage: Stage, condition: Condition) -> None:
    stage.admin.put(INSTANCE, condition)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "start it, then replay" in letter.attributes["error"]
    assert submitted(stage) == 1
    assert stage.files() == [FAILED]


@pytest.mark.parametrize("state", ["MAINTENANCE", "PENDING_CREATE"])
def test_an_instance_that_will_run_again_is_waited_for(stage: Stage, state: str) -> None:
    stage.admin.put(INSTANCE, Condition(state))
    hasty = stage.function("export_table", WAIT_BUDGET_SECONDS="0.1")

    handed_back = hasty.receive(table_export())
    stage.admin.put(INSTANCE, Condition())
    patient = stage.function("export_table", WAIT_BUDGET_SECONDS="10")
    taken_up = patient.receive(table_export())

    assert (handed_back, taken_up) == (503, 200)
    assert stage.published("dead-letters") == []


def test_a_maintenance_that_ends_meanwhile_costs_no_delivery(stage: Stage) -> None:
    def end_maintenance(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if call.target.split("?")[0].endswith("/instances/billing-db"):
            stage.admin.put(INSTANCE, Condition())
        return answer

    stage.admin.put(INSTANCE, Condition("MAINTENANCE"))
    stage.admin.server.between = end_maintenance
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert submitted(stage) == 2


def test_a_conflict_of_another_kind_is_handed_back_at_once(stage: Stage) -> None:
    stage.admin.plan(EXPORT, Fault(ApiError(409, "invalidState", WRONG_STATE)))
    export_table = stage.function("export_table")

    first = export_table.receive(table_export())
    asked = submitted(stage)
    second = export_table.receive(table_export())

    assert (first, asked, second) == (503, 1, 200)
    assert stage.published("dead-letters") == []


def test_an_instance_that_has_just_been_started_is_waited_for(stage: Stage) -> None:
    stage.admin.plan(EXPORT, Fault(NOT_RUNNING))
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert submitted(stage) == 2


@pytest.mark.parametrize(("answer", "letters"), [(403, 1), (503, 0)])
def test_a_state_that_cannot_be_looked_up_is_judged_by_why(stage: Stage, answer: int, letters: int) -> None:
    stage.admin.plan(EXPORT, Fault(NOT_RUNNING))
    stage.admin.plan("sql.instances.get", Fault(ApiError(answer, "forbidden", "No.")))
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.published("dead-letters")) == letters
    assert len(stage.exports()) == 1 - letters


@pytest.mark.parametrize(
    ("method", "trouble"),
    [
        (EXPORT, ApiError(429, "rateLimitExceeded", "Not so fast.")),
        (EXPORT, ApiError(403, "userRateLimitExceeded", "Not so fast.")),
        (EXPORT, ApiError(403, "quotaExceeded", "Not so fast.")),
        (EXPORT, ApiError(403, "dailyLimitExceeded", "Daily Limit Exceeded.")),
        (EXPORT, ApiError(500, "internalError", "Unknown.")),
        (EXPORT, HangUp()),
        (LIST, ApiError(429, "rateLimitExceeded", "Not so fast.")),
        (LIST, HangUp()),
        (GET, ApiError(403, "rateLimitExceeded", "Not so fast.")),
        (GET, ApiError(504, "gatewayTimeout", "Unknown.")),
        (GET, HangUp()),
    ],
    ids=str,
)
def test_a_trouble_that_passes_costs_no_delivery(stage: Stage, method: str, trouble: Any) -> None:
    times = 2 if isinstance(trouble, HangUp) else 1  # httplib2 itself calls again when it is hung up on
    stage.admin.plan(method, *[Fault(trouble)] * times)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1
    assert stage.published("dead-letters") == []


def test_an_operation_that_stays_unknown_for_a_while_is_looked_for_again(stage: Stage) -> None:
    unknown = ApiError(404, "operationDoesNotExist", "The Cloud SQL instance operation does not exist.")
    stage.admin.plan(GET, *[Fault(unknown)] * 2)
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("effect", ["an effect", "no effect"])
def test_a_submission_that_times_out_starts_one_operation(stage: Stage, effect: str) -> None:
    def hold_the_first_submission(call: Call, answering: Answering) -> Answer:
        if call.verb != "POST" or submissions.pop() != "first":
            return answering(call)
        answer = answering(call) if effect == "an effect" else Answer(503)
        time.sleep(0.4)
        return answer

    submissions = ["third", "second", "first"]
    export_table = stage.function("export_table")
    stage.admin.server.between = hold_the_first_submission

    status = export_table.receive(table_export())

    assert status == 200
    assert len(stage.exports()) == 1
    assert stage.published("dead-letters") == []


def test_a_permission_that_is_lost_while_the_export_runs_is_made_good_by_a_replay(stage: Stage) -> None:
    stage.admin.plan(GET, Fault(ApiError(403, "notAuthorized", "The client is not authorized.")))
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    [letter] = stage.published("dead-letters")

    status = export_table.receive(letter.data, attributes=dict(letter.attributes))

    assert status == 200
    assert stage.json(SEALED)["run_id"] == "9912"
    assert STAGED not in stage.files()
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("The specified bucket does not exist.", "bucket, which must exist"),
        (
            "gs://b/o: Access denied for service account p1@example.com, permissions missing are: [storage.objects.delete]",
            "roles/storage.objectAdmin",
        ),
        (
            "failed to upload data to GCS URL gs://b/o: Access denied for account p1@example.com (permission issue?)",
            "roles/storage.objectAdmin",
        ),
        ("ERROR:  permission denied for table orders", "Grant SELECT"),
        ("CSV exports of a read replica are not supported.", "Name the primary instance"),
        ("ERROR:  could not write to file: No space left on device", "more memory or disk"),
        ("ERROR:  what nobody knows of: Anna", "Mend what it says"),
    ],
)
def test_an_operation_that_fails_again_and_again_is_given_up_with_what_to_do(
    stage: Stage, error: str, remedy: str
) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(Outcome(error=error))
    export_table = stage.function("export_table")

    status = export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert remedy in letter.attributes["error"]
    assert "replay" in letter.attributes["error"]
    assert stage.files() == [FAILED]


def test_a_value_that_bigquery_cannot_hold_is_given_up_at_once(stage: Stage) -> None:
    stage.pipeline["unrepresentable"] = "fail"
    stage.run("ALTER TABLE orders ADD COLUMN due date", "UPDATE orders SET due = 'infinity'")
    export_table = stage.function("export_table")

    export_table.receive(table_export(columns=[column("id", "bigint", nullable=False), column("due", "date")]))

    [letter] = stage.published("dead-letters")
    assert len(stage.exports()) == 1
    assert "column due holds a value" in letter.attributes["error"]
    assert '"unrepresentable"' in letter.attributes["error"]
