"""Which failures of an export pass, and what is to be done about those that do not."""

import pytest

from shared import verdict
from shared.errors import BEYOND, NotNow, NotYet, Permanent
from shared.verdict import OperationFailure, Refusal

BUSY = "operationInProgress"
NOT_RUNNING = "Invalid request: Invalid request since instance is not running."
WRONG_STATE = "The instance or operation is not in an appropriate state to handle the request."
NO_BUCKET_ACCESS = "The service account does not have the required permissions for the bucket."


def refusal(status: int, reason: str = "", message: str = "No.", *, by_id: bool = False) -> Refusal:
    return Refusal("the export", status, {reason}, message, by_id)


@pytest.mark.parametrize(
    "refused",
    [
        refusal(409, BUSY),
        refusal(403, BUSY),
        refusal(403, "rateLimitExceeded"),
        refusal(403, "userRateLimitExceeded"),
        refusal(403, "quotaExceeded"),
        refusal(429),
        refusal(408),
        refusal(500),
        refusal(502),
        refusal(503),
        refusal(504),
        refusal(404, "operationDoesNotExist", by_id=True),
    ],
    ids=str,
)
def test_what_passes_is_waited_for(refused: Refusal) -> None:
    assert type(verdict.of_call(refused)) is NotNow


@pytest.mark.parametrize("state", ["MAINTENANCE", "ONLINE_MAINTENANCE", "REPAIRING", "PENDING_CREATE"])
@pytest.mark.parametrize("refused", [refusal(409, "invalidState", WRONG_STATE), refusal(400, "invalid", NOT_RUNNING)])
def test_an_instance_that_will_run_is_waited_for(refused: Refusal, state: str) -> None:
    assert refused.depends_on_state
    assert type(verdict.of_call(refused, state, "ALWAYS")) is NotNow


@pytest.mark.parametrize(
    ("state", "policy"),
    [("RUNNABLE", "NEVER"), ("SUSPENDED", "ALWAYS"), ("FAILED", "ALWAYS"), ("PENDING_DELETE", "ALWAYS")],
)
@pytest.mark.parametrize("refused", [refusal(409, "invalidState", WRONG_STATE), refusal(400, "invalid", NOT_RUNNING)])
def test_an_instance_that_will_not_run_by_itself_is_to_be_started(refused: Refusal, state: str, policy: str) -> None:
    judged = verdict.of_call(refused, state, policy)

    assert type(judged) is Permanent
    assert "start it, then replay the message" in str(judged)


def test_an_instance_that_runs_again_is_waited_for() -> None:
    assert type(verdict.of_call(refusal(400, "invalid", NOT_RUNNING), "RUNNABLE", "ALWAYS")) is NotNow


def test_a_conflict_of_another_kind_is_handed_back() -> None:
    assert type(verdict.of_call(refusal(409, "invalidState", WRONG_STATE), "RUNNABLE", "ALWAYS")) is NotYet


@pytest.mark.parametrize(
    ("refused", "remedy"),
    [
        (refusal(400, "invalid"), "Correct the pipeline's settings"),
        (refusal(401, "authError"), "access to the Cloud SQL Admin API"),
        (refusal(403, "notAuthorized"), "cloudsql.instances.export"),
        (refusal(403, "accessNotConfigured"), "enable the Cloud SQL Admin API"),
        (refusal(404, "instanceDoesNotExist"), "Correct the pipeline's instance"),
        (refusal(403, "notAuthorized", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (refusal(412, "conditionNotMet", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (refusal(404, "notFound", "The bucket does not exist."), "must exist"),
        (refusal(418, "teapot"), "Correct the request"),
    ],
    ids=str,
)
def test_what_does_not_pass_says_what_to_do(refused: Refusal, remedy: str) -> None:
    judged = verdict.of_call(refused)

    assert type(judged) is Permanent
    assert remedy in str(judged)
    assert str(judged).endswith("then replay the message")
    assert not refused.depends_on_state


@pytest.mark.parametrize(
    "refused",
    [refusal(403, "notAuthorized", "No access to 'secret'"), refusal(503, "backendError", 'value: "secret"')],
)
def test_no_value_that_the_service_quotes_is_said(refused: Refusal) -> None:
    assert "secret" not in str(verdict.of_call(refused))


@pytest.mark.parametrize(
    "error",
    [
        'ERROR:  relation "public.orders" does not exist',
        'ERROR:  schema "sales" does not exist',
        "ERROR:  column t.note does not exist",
        "ERROR:  function to_char(text, unknown) does not exist",
        "ERROR:  operator does not exist: text + integer",
        'ERROR:  type "mood" does not exist',
        "ERROR:  cannot cast type text to numeric",
    ],
)
def test_a_table_that_is_not_as_described_is_altered(error: str) -> None:
    assert verdict.of_operation(error) is OperationFailure.ALTERED


def test_a_value_that_bigquery_cannot_hold_is_hopeless_whatever_its_column_is_called() -> None:
    error = f'ERROR:  unrecognized configuration parameter "column table x does not exist {BEYOND}"'

    assert verdict.of_operation(error) is OperationFailure.HOPELESS


@pytest.mark.parametrize(
    "error",
    [
        "ERROR:  canceling statement due to user request",
        "ERROR:  could not write to file: No space left on device",
        'FATAL:  database "billing" does not exist',
        'FATAL:  role "cloudsqladmin" does not exist',
        "ERROR:  permission denied for table orders",
        "The specified bucket does not exist.",
        "",
    ],
)
def test_any_other_failed_operation_may_go_well_the_next_time(error: str) -> None:
    assert verdict.of_operation(error) is OperationFailure.PASSING


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (f"column due {BEYOND}", '"unrepresentable"'),
        ("ERROR:  permission denied for table orders", "Grant SELECT"),
        ("The specified bucket does not exist.", "roles/storage.objectAdmin"),
        ("Access denied for p1@example.com, permissions missing are: [storage.objects.delete]", "storage.objectAdmin"),
        ("failed to upload data to GCS URL gs://b/o: Access denied for account p1@example.com", "storage.objectAdmin"),
        ("CSV exports of a read replica are not supported.", "Name the primary instance"),
        ("ERROR:  canceled", "Mend what it says"),
    ],
)
def test_each_failure_of_an_operation_has_a_remedy(error: str, remedy: str) -> None:
    said = verdict.remedy_of_operation(error)

    assert remedy in said
    assert said.endswith("then replay the message")
