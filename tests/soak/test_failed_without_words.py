"""A failure is a fact, whatever words are left of it: none may be, once all that could come from a row has been taken out."""

from collections.abc import Callable
from typing import Any

import pytest

from local.cloudsql import Outcome
from tests.support.delivery import table_export
from tests.support.pairs import announce, put_pair
from tests.support.stage import Event, Log, Stage
from tests.support.told import telling
from tests.support.views import entries
from tests.support.views.steps import select, show

STAGED = "billing/_staging/9912/orders_20260115.csv"
WORDLESS_OPERATIONS = [
    {"kind": "sql#operationErrors", "errors": [{"kind": "sql#operationError"}]},
    {"errors": [{"message": '"Anna"'}]},
    {"errors": []},
    {},
]
WORDLESS_JOBS = [{"reason": "invalid"}, {"message": ""}, {"location": "x"}, {}]
WORDLESS_STATUSES = [{"code": 3, "message": ""}, {"code": 3}, {"message": "'Anna'"}]


@pytest.fixture
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'whole'), (2, 'b')")


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("error", WORDLESS_OPERATIONS, ids=str)
def test_what_a_failed_operation_leaves_behind_never_becomes_a_pair(stage: Stage, error: Any) -> None:
    stage.admin.plan_exports(Outcome(error="ERROR:  canceled", leaves=0.5))
    export_table = stage.function("export_table")

    with telling(stage.admin.server, "error", error):
        status = export_table.receive(table_export())

    assert status == 200
    assert stage.content("billing/orders/data_20260115.csv") == "1,whole\n2,b\n"
    assert len(stage.exports()) == 2


@pytest.mark.usefixtures("orders")
@pytest.mark.parametrize("error", WORDLESS_OPERATIONS, ids=str)
def test_an_operation_that_fails_again_and_again_is_given_up_and_named(stage: Stage, error: Any) -> None:
    stage.fail_exports(STAGED, times=4)
    stage.admin.plan_exports(Outcome(error="ERROR:  canceled", leaves=0.5))
    export_table = stage.function("export_table")

    with telling(stage.admin.server, "error", error):
        export_table.receive(table_export())

    [letter] = stage.published("dead-letters")
    assert f"look at the operation {stage.exports()[-1]['name']}" in letter.attributes["error"]
    assert "Anna" not in letter.attributes["error"]
    assert stage.files() == ["billing/_runs/9912/failed/orders.json"]


@pytest.mark.parametrize("error", WORDLESS_JOBS, ids=str)
def test_a_load_that_failed_is_not_taken_for_loaded(stage: Stage, error: Any) -> None:
    put_pair(stage, "x,x\n")
    load_shard = stage.function("load_shard")

    with telling(stage.bigquery.server, "errorResult", error):
        status = load_shard.receive(announce(stage))

    [letter] = stage.published("dead-letters")
    [job] = stage.jobs
    assert status == 200
    assert f"look at the job {job.job['jobReference']['jobId']}" in letter.attributes["error"]
    assert stage.json(f"billing/_runs/{stage.run_id}/failed/orders.json")["function"] == "load_shard"


@pytest.mark.parametrize("status", WORDLESS_STATUSES, ids=str)
@pytest.mark.parametrize("tell", [lambda event: event, entries.legacy], ids=["newer log", "older log"])
def test_a_job_that_the_log_says_failed_moves_nothing_and_is_an_error_line(
    stage: Stage, log: Log, tell: Callable[[Event], Event], status: Any
) -> None:
    refresh_views = stage.function("refresh_views")
    headers, entry = tell(_failed_load(stage, status))

    refresh_views.hear(headers, entry)

    [line] = log()
    assert (line["outcome"], line["severity"]) == ("dead", "ERROR")
    assert "orders_20260116 failed: what it says may hold a row's value, look at the job " in line["message"]
    assert stage.shown() == select(stage, "orders_20260115")


@pytest.mark.parametrize("error", WORDLESS_JOBS, ids=str)
def test_a_job_that_is_looked_up_and_failed_moves_nothing(stage: Stage, log: Log, error: Any) -> None:
    refresh_views = stage.function("refresh_views")
    headers, entry = entries.truncated(_failed_load(stage, {"code": 3}))

    with telling(stage.bigquery.server, "errorResult", error):
        refresh_views.hear(headers, entry | {"severity": "INFO"})

    [line] = log()
    assert (line["outcome"], line["severity"]) == ("dead", "ERROR")
    assert stage.shown() == select(stage, "orders_20260115")


def test_the_status_of_a_success_is_none_of_a_failure(stage: Stage) -> None:
    """The older log has one for each job."""
    refresh_views = stage.function("refresh_views")
    headers, entry = entries.legacy(stage.load(stage.shard("orders_20260116"))[-1])
    job = entry["protoPayload"]["serviceData"]["jobCompletedEvent"]["job"]
    assert job["jobStatus"]["error"] == {}

    refresh_views.hear(headers, entry)

    assert stage.shown() == select(stage, "orders_20260116")


def _failed_load(stage: Stage, status: Any) -> Event:
    """The end of a load that failed, beside an older shard that is shown."""
    stage.load(stage.shard("orders_20260115"))
    show(stage, "orders_20260115")
    headers, entry = stage.load(stage.shard("orders_20260116"), rows="12,50\n")[-1]
    entry["protoPayload"]["metadata"]["jobChange"]["job"]["jobStatus"]["errorResult"] = status
    return headers, entry
