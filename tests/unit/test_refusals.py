"""Refusals that are not a matter of roles, whichever service gives them; and all that Cloud Storage refuses."""

import pytest

from shared import failures
from shared.errors import Busy, LostRace, Permanent
from shared.failures import ApiError

PERIMETER = "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: VQQn_-x"
NO_BILLING = "Project p (#1) has billing disabled. Please enable it."


def refused(message: str, status: int = 403, reason: str = "forbidden") -> ApiError:
    return ApiError("gs://p-mirror/x", status, {reason}, message)


@pytest.mark.parametrize(
    "judged",
    [
        failures.of_admin_api(refused(PERIMETER)),
        failures.of_dataflow(refused(PERIMETER)),
        failures.of_storage(refused(PERIMETER)),
        failures.of_bigquery("the load", "accessDenied", f"VPC Service Controls: {PERIMETER}"),
    ],
    ids=["admin api", "dataflow", "storage", "bigquery"],
)
def test_a_perimeters_refusal_is_told_with_the_identifier_that_its_administrators_need(judged: Exception) -> None:
    assert type(judged) is Permanent
    assert "Give the identifier VQQn_-x to the administrators of VPC Service Controls" in str(judged)
    assert "roles/" not in str(judged)


def test_a_perimeter_that_gives_no_identifier_is_named_all_the_same() -> None:
    judged = failures.of_storage(refused("Request is prohibited by organization's policy."))

    assert "administrators of VPC Service Controls" in str(judged)


@pytest.mark.parametrize(
    "judged",
    [
        failures.of_admin_api(refused(NO_BILLING)),
        failures.of_dataflow(refused(NO_BILLING)),
        failures.of_storage(refused("No.", reason="accountDisabled")),
        failures.of_bigquery("the load", "billingNotEnabled", "No."),
    ],
    ids=["admin api", "dataflow", "storage", "bigquery"],
)
def test_a_closed_billing_is_told_as_one(judged: Exception) -> None:
    assert type(judged) is Permanent
    assert str(judged).endswith("Open the project's billing account, then replay the message")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Permanent),
        (401, Permanent),
        (403, Permanent),
        (408, Busy),
        (409, Busy),
        (412, LostRace),
        (429, Busy),
        (500, Busy),
        (503, Busy),
        (599, Busy),
    ],
)
def test_each_status_of_cloud_storage_says_whether_it_passes(status: int, kind: type[Exception]) -> None:
    judged = failures.of_storage(refused("No.", status))

    assert type(judged) is kind
    assert "gs://p-mirror/x" in str(judged)


@pytest.mark.parametrize(
    "reason", ["rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"]
)
def test_a_limit_that_comes_as_a_refusal_passes(reason: str) -> None:
    assert type(failures.of_storage(refused("Slow down.", reason=reason))) is Busy


@pytest.mark.parametrize("status", [0, 304, 404, 418])
def test_a_status_of_cloud_storage_that_nobody_expects_is_not_judged(status: int) -> None:
    assert failures.of_storage(refused("No.", status)) is None


def test_a_condition_that_holds_was_no_race() -> None:
    judged = failures.of_storage(refused("Request violates constraint 'constraints/x'.", 412), raced=False)

    assert type(judged) is Permanent
    assert "constraint 'constraints/x'. Nobody else has changed it." in str(judged)


def test_a_table_that_is_named_like_a_reason_changes_no_remedy() -> None:
    denied = (
        "x@p.iam does not have storage.objects.create access to p-mirror/billing/retention_hold/schema_20260115.json."
    )

    assert "roles/storage.objectUser" in str(failures.of_storage(refused(denied)))


def test_a_long_message_leaves_room_for_what_to_do() -> None:
    judged = str(failures.of_storage(refused("é" * 5_000)))

    assert len(judged.encode()) < 1024
    assert judged.endswith("then replay the message")
