"""Each line about a view or a shard is found by its pipeline and its table, as the RUNBOOK's first query looks for it."""

import json

import pytest

from tests.support.delivery import Function
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.views import entries
from tests.support.views.steps import load, refused, show

ABOUT = {"pipeline": "billing", "table": "orders", "shard_date": "2026-01-16"}


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    load(stage, "orders_20260115")
    show(stage, "orders_20260115")
    return stage.function("refresh_views")


@pytest.mark.parametrize("told", ["event", "older log", "truncated", "sink"])
@pytest.mark.parametrize("kind", ["no shard", "two shards", "a table"])
def test_a_view_that_is_refused_after_a_job_is_found_by_pipeline_and_table(
    stage: Stage, refresh_views: Function, log: Log, kind: str, told: str
) -> None:
    stage.warehouse.delete_table(stage.view("orders"))
    if kind == "a table":
        stage.load(stage.view("orders"))
    else:
        shards = [] if kind == "no shard" else [stage.shard("orders_20260115"), stage.shard("orders_20260114")]
        load(stage, "orders_20260114")
        stage.create_view(
            "orders", " UNION ALL ".join(f"SELECT id FROM `{shard}`" for shard in shards) or "SELECT 1 AS id"
        )
    event = load(stage, "orders_20260116")
    forms = {"older log": entries.legacy, "truncated": entries.truncated}

    if told == "sink":
        refresh_views.receive(entries.sunk(event), on="job-events")
    else:
        refresh_views.hear(*(forms[told](event) if told in forms else event))

    [line] = log()
    assert line == line | ABOUT | {"severity": "ERROR", "outcome": "dead"}


@pytest.mark.parametrize("target", ["/orders", "/orders_20260116"])
@pytest.mark.parametrize(
    ("reason", "status", "outcome"), [("accessDenied", 200, "dead"), ("quotaExceeded", 503, "waiting")]
)
def test_a_call_that_bigquery_refuses_after_a_job_is_found_by_pipeline_and_table(
    stage: Stage, refresh_views: Function, log: Log, target: str, reason: str, status: int, outcome: str
) -> None:
    event = load(stage, "orders_20260116")

    with interposed(refused(1, target, verb="GET", reason=reason), stage.bigquery.server):
        answer = refresh_views.hear(*event)

    [line] = log()
    assert answer == status
    assert line == line | ABOUT | {"outcome": outcome}


def test_what_nobody_expected_after_a_job_is_found_by_pipeline_and_table(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    stage.put("billing/manifest_20260116.json", "no JSON")
    event = load(stage, "refunds_20260116")

    status = refresh_views.hear(*event)

    [line] = log()
    assert status == 500
    assert line == line | ABOUT | {"table": "refunds", "severity": "WARNING", "outcome": "waiting"}


def test_a_reconcile_after_a_dataflow_job_that_bigquery_refuses_is_found_by_its_pipeline(
    stage: Stage, log: Log
) -> None:
    stage.pipeline["loader"] = "scio"
    refresh_views = stage.function("refresh_views")

    with interposed(refused(1, "/tables", verb="GET", reason="accessDenied"), stage.bigquery.server):
        refresh_views.hear(*entries.dataflow())

    [line] = log()
    assert line == line | {"pipeline": "billing", "severity": "ERROR", "outcome": "dead"}


@pytest.mark.parametrize("asked", [{}, {"tables": ["orders", "refunds"]}])
def test_each_line_of_a_reconcile_has_its_pipeline_and_each_about_a_view_the_view(
    stage: Stage, refresh_views: Function, log: Log, asked: dict[str, list[str]]
) -> None:
    stage.create_view("refunds", "SELECT 1 AS id")
    for shard in ("orders_20260116", "refunds_20260116"):
        load(stage, shard)

    refresh_views.receive(json.dumps({"pipeline": "billing"} | asked).encode())

    lines = log()
    assert {line["pipeline"] for line in lines} == {"billing"}
    assert {line["table"] for line in lines if "table" in line} == {"orders", "refunds"}
    assert [line["table"] for line in lines if "names no shard" in line["message"] and "table" in line] == ["refunds"]
