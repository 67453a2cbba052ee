"""Which failures pass, and what is to be done about those that do not."""

import pytest

from shared import failures
from shared.errors import Busy, HandBack, Permanent
from shared.failures import ApiError, OperationFailure
from shared.redaction import ALTERED, BEYOND, GUARDED, REPLACED
from tests.support.billing import BILLING

BUSY = "operationInProgress"
NOT_RUNNING = "Invalid request: Invalid request since instance is not running."
WRONG_STATE = "The instance or operation is not in an appropriate state to handle the request."
NO_BUCKET_ACCESS = "The service account does not have the required permissions for the bucket."


def answered(status: int, reason: str = "", message: str = "No.", *, by_id: bool = False) -> ApiError:
    return ApiError("the export", status, {reason}, message, by_id)


def complaint(text: str) -> str:
    return f'unrecognized configuration parameter "{text}"'


@pytest.mark.parametrize(
    "error",
    [
        answered(409, BUSY),
        answered(403, BUSY),
        answered(403, "rateLimitExceeded"),
        answered(403, "userRateLimitExceeded"),
        answered(403, "quotaExceeded"),
        answered(429),
        answered(408),
        answered(500),
        answered(502),
        answered(503),
        answered(504),
        answered(404, "operationDoesNotExist", by_id=True),
    ],
    ids=str,
)
def test_what_passes_is_waited_for(error: ApiError) -> None:
    assert type(failures.of_admin_api(error)) is Busy


@pytest.mark.parametrize("state", ["MAINTENANCE", "ONLINE_MAINTENANCE", "REPAIRING", "PENDING_CREATE"])
@pytest.mark.parametrize("error", [answered(409, "invalidState", WRONG_STATE), answered(400, "invalid", NOT_RUNNING)])
def test_an_instance_that_will_run_is_waited_for(error: ApiError, state: str) -> None:
    assert error.depends_on_state
    assert type(failures.of_admin_api(error, state, "ALWAYS")) is Busy


@pytest.mark.parametrize(
    ("state", "policy"),
    [("RUNNABLE", "NEVER"), ("SUSPENDED", "ALWAYS"), ("FAILED", "ALWAYS"), ("PENDING_DELETE", "ALWAYS")],
)
@pytest.mark.parametrize("error", [answered(409, "invalidState", WRONG_STATE), answered(400, "invalid", NOT_RUNNING)])
def test_an_instance_that_will_not_run_by_itself_is_to_be_started(error: ApiError, state: str, policy: str) -> None:
    judged = failures.of_admin_api(error, state, policy)

    assert type(judged) is Permanent
    assert "start it, then replay the message" in str(judged)


def test_an_instance_that_runs_again_is_waited_for() -> None:
    assert type(failures.of_admin_api(answered(400, "invalid", NOT_RUNNING), "RUNNABLE", "ALWAYS")) is Busy


def test_a_conflict_of_another_kind_is_handed_back() -> None:
    assert type(failures.of_admin_api(answered(409, "invalidState", WRONG_STATE), "RUNNABLE", "ALWAYS")) is HandBack


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (answered(400, "invalid"), "Correct the pipeline's settings"),
        (answered(401, "authError"), "access to the Cloud SQL Admin API"),
        (answered(403, "notAuthorized"), "cloudsql.instances.export"),
        (answered(403, "accessNotConfigured"), "enable the Cloud SQL Admin API"),
        (answered(404, "instanceDoesNotExist"), "Correct the pipeline's instance"),
        (answered(403, "notAuthorized", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (answered(412, "conditionNotMet", NO_BUCKET_ACCESS), "roles/storage.objectAdmin"),
        (answered(404, "notFound", "The bucket does not exist."), "must exist"),
        (answered(418, "teapot"), "Correct the request"),
    ],
    ids=str,
)
def test_what_does_not_pass_says_what_to_do(error: ApiError, remedy: str) -> None:
    judged = failures.of_admin_api(error)

    assert type(judged) is Permanent
    assert remedy in str(judged)
    assert str(judged).endswith("then replay the message")
    assert not error.depends_on_state


@pytest.mark.parametrize(
    "error",
    [answered(403, "notAuthorized", "No access to 'secret'"), answered(503, "backendError", 'value: "secret"')],
)
def test_no_value_that_the_service_quotes_is_said(error: ApiError) -> None:
    assert "secret" not in str(failures.of_admin_api(error))


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
        "ERROR:  COALESCE types mood and bigint cannot be matched",
        "ERROR:  COALESCE could not convert type numeric to money",
        "ERROR:  TABLESAMPLE clause can only be applied to tables and materialized views",
        "ERROR:  cache lookup failed for attribute 3 of relation 16384",
        f'ERROR:  unrecognized configuration parameter "{ALTERED}"',
    ],
)
def test_a_table_that_is_not_as_described_is_altered(error: str) -> None:
    assert failures.of_operation(error) is OperationFailure.ALTERED


def test_row_level_security_that_came_after_the_listing_is_hopeless_and_has_its_remedy() -> None:
    error = f'ERROR:  unrecognized configuration parameter "{GUARDED}"'

    assert failures.of_operation(error) is OperationFailure.HOPELESS
    assert '"trust_database": true' in failures.remedy_of_operation(error)


def test_a_value_that_bigquery_cannot_hold_is_hopeless_whatever_its_column_is_called() -> None:
    error = f'ERROR:  unrecognized configuration parameter "column table x does not exist {BEYOND}"'

    assert failures.of_operation(error) is OperationFailure.HOPELESS


@pytest.mark.parametrize(
    "error",
    [
        f'ERROR:  relation "column x {BEYOND}" does not exist',
        f'ERROR:  permission denied for table "{REPLACED}"',
        f"ERROR:  column x {BEYOND}",
        f'ERROR:  invalid input syntax for type json: "unrecognized configuration parameter "{REPLACED}""',
        f'ERROR:  something of which nobody knows: unrecognized configuration parameter "{REPLACED}"',
        f'ERROR:  unrecognized configuration parameter "column x {BEYOND} at all"',
    ],
)
def test_only_our_own_complaint_is_one(error: str) -> None:
    assert failures.of_operation(error) not in {OperationFailure.HOPELESS, OperationFailure.REPLACED}


@pytest.mark.parametrize(
    "error",
    [
        "ERROR:  canceling statement due to user request",
        "ERROR:  could not write to file: No space left on device",
        'FATAL:  database "billing" does not exist',
        'FATAL:  role "cloudsqladmin" does not exist',
        "ERROR:  permission denied for table orders",
        'ERROR:  permission denied for table "column x does not exist"',
        'ERROR:  invalid input syntax for type json: "the database system is starting up"',
        "The specified bucket does not exist.",
        "",
    ],
)
def test_any_other_failed_operation_may_go_well_the_next_time(error: str) -> None:
    assert failures.of_operation(error) is OperationFailure.UNKNOWN


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (f'ERROR:  unrecognized configuration parameter "column due {BEYOND}"', '"unrepresentable"'),
        ("ERROR:  permission denied for table orders", "Grant SELECT"),
        ("The specified bucket does not exist.", "roles/storage.objectAdmin"),
        ("Access denied for p1@example.com, permissions missing are: [storage.objects.delete]", "storage.objectAdmin"),
        ("failed to upload data to GCS URL gs://b/o: Access denied for account p1@example.com", "storage.objectAdmin"),
        ("CSV exports of a read replica are not supported.", "Name the primary instance"),
        ("ERROR:  canceled", "Mend what it says"),
    ],
)
def test_each_failure_of_an_operation_has_a_remedy(error: str, remedy: str) -> None:
    said = failures.remedy_of_operation(error)

    assert remedy in said
    assert said.endswith("then replay the message")


@pytest.mark.parametrize("error", [answered(429), answered(503), answered(403, "rateLimitExceeded")], ids=str)
def test_a_launch_that_dataflow_cannot_see_to_now_is_waited_for(error: ApiError) -> None:
    assert type(failures.of_dataflow(error)) is Busy


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (answered(400), "Correct the pipeline's dataflow setting"),
        (answered(401), "access to the Dataflow API"),
        (answered(403), "roles/iam.serviceAccountUser"),
        (answered(404), "Correct the template and the region"),
        (answered(409), "Correct the request"),
    ],
    ids=str,
)
def test_a_launch_that_dataflow_refuses_says_what_to_do(error: ApiError, remedy: str) -> None:
    judged = failures.of_dataflow(error)

    assert type(judged) is Permanent
    assert remedy in str(judged)
    assert str(judged).endswith("then replay the message")


@pytest.mark.parametrize(
    "reason", ["quotaExceeded", "rateLimitExceeded", "backendError", "stopped", "tableUnavailable"]
)
def test_a_call_of_bigquery_that_passes_is_handed_back(reason: str) -> None:
    assert failures.passes(reason)
    assert type(failures.of_bigquery("the load", reason, "No.")) is HandBack


@pytest.mark.parametrize("reason", ["", "invalid", "accessDenied", "notFound", "duplicate"])
def test_a_call_of_bigquery_that_does_not_pass_is_permanent_and_told_without_values(reason: str) -> None:
    judged = failures.of_bigquery("the load", reason, "Could not parse 'secret' as INT64")

    assert type(judged) is Permanent
    assert str(judged) == "BigQuery refuses the load: Could not parse '…' as INT64"


def test_a_job_that_did_not_fail_has_nothing_to_pass() -> None:
    assert not failures.passes(None)


def test_a_database_that_is_not_there_is_permanent_and_named() -> None:
    judged = failures.of_postgres(BILLING, "3D000", 'database "billing_db" does not exist')

    assert type(judged) is Permanent
    assert str(judged) == "p:r:db has no database billing_db: correct the pipeline's database"


@pytest.mark.parametrize("code", ["57P03", "53300", None])
def test_a_database_that_does_not_answer_now_is_waited_for(code: str | None) -> None:
    judged = failures.of_postgres(BILLING, code, "the database system is starting up")

    assert type(judged) is Busy
    assert str(judged) == "the database billing_db of p:r:db says: the database system is starting up"


@pytest.mark.parametrize(
    ("code", "error", "failure"),
    [
        ("55P03", "canceling statement due to lock timeout", OperationFailure.LOCKED),
        ("42501", "permission denied for table orders", OperationFailure.ALTERED),
        ("42P01", 'relation "public.orders" does not exist', OperationFailure.ALTERED),
        ("42703", "Spalte t.note existiert nicht", OperationFailure.ALTERED),  # another lc_messages
        ("3F000", 'schema "sales" does not exist', OperationFailure.ALTERED),
        ("42704", complaint(ALTERED), OperationFailure.ALTERED),
        ("42704", complaint(GUARDED), OperationFailure.ALTERED),
        ("42704", complaint(REPLACED), OperationFailure.REPLACED),
        ("42704", complaint(f"column at {BEYOND}"), OperationFailure.HOPELESS),
        ("22012", "division by zero", OperationFailure.UNKNOWN),
        ("XX000", "could not open relation with OID 4711", OperationFailure.UNKNOWN),
    ],
    ids=str,
)
def test_an_error_of_a_read_says_what_the_next_try_will_be(code: str, error: str, failure: OperationFailure) -> None:
    assert failures.of_read(code, error) is failure
