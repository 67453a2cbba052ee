"""What refresh_views says of a load that load_shard tries again: the audit log tells of each attempt that failed."""

from collections.abc import Callable

import pytest

from local import audit_log
from tests.support.pairs import announce, put_pair
from tests.support.stage import Event, Log, Stage, wait_for
from tests.support.views import entries
from tests.support.views.steps import views


def newer(event: Event) -> Event:
    return event


def truncated(event: Event) -> Event:
    """Without the severity of a job that was refused, which would say enough."""
    headers, entry = entries.truncated(event)
    return headers, entry | {"severity": "INFO"}


@pytest.fixture(params=[newer, entries.legacy, truncated])
def told(request: pytest.FixtureRequest) -> Callable[[Event], Event]:
    form: Callable[[Event], Event] = request.param
    return form


def failed_attempt(stage: Stage, reason: str, status: int) -> Event:
    """Have load_shard make an attempt that fails for that reason, and give the event of the job's end."""
    put_pair(stage)
    stage.bigquery.fail_next_job(reason)
    assert stage.function("load_shard").receive(announce(stage)) == status
    wait_for(lambda: bool(stage.jobs))
    return audit_log.cloud_event(audit_log.entries(stage.jobs[-1])[-1])


@pytest.mark.parametrize("reason", ["rateLimitExceeded", "backendError", "internalError"])
def test_an_attempt_that_is_tried_again_sets_off_no_alert(
    stage: Stage, log: Log, told: Callable[[Event], Event], reason: str
) -> None:
    event = told(failed_attempt(stage, reason, 503))
    refresh_views = stage.function("refresh_views")
    log()

    status = refresh_views.hear(*event)

    [line] = log()
    assert status == 200
    assert (line["outcome"], line["severity"], line["table"]) == ("waiting", "WARNING", "orders")
    assert "load_shard tries again" in line["message"]
    assert views(stage) == {}


def test_an_attempt_that_decides_is_an_error_line(stage: Stage, log: Log, told: Callable[[Event], Event]) -> None:
    event = told(failed_attempt(stage, "invalid", 200))
    refresh_views = stage.function("refresh_views")
    log()

    refresh_views.hear(*event)

    [line] = log()
    assert (line["outcome"], line["severity"]) == ("dead", "ERROR")


@pytest.mark.parametrize("job_id", ["beam_bq_job_LOAD_x_00000-0", "mirror_by_hand_1"])
def test_nobody_knows_whether_another_ones_load_is_tried_again(stage: Stage, log: Log, job_id: str) -> None:
    headers, entry = failed_attempt(stage, "rateLimitExceeded", 503)
    entry["protoPayload"]["metadata"]["jobChange"]["job"]["jobName"] = f"projects/my-project/jobs/{job_id}"
    refresh_views = stage.function("refresh_views")
    log()

    refresh_views.hear(headers, entry)

    [line] = log()
    assert (line["outcome"], line["severity"]) == ("dead", "ERROR")
