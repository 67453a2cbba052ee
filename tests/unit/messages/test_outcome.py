"""What came of an event."""

import pytest

from shared.messages.exports import RunExported, TableOfRun
from shared.messages.outcome import Outcome, Subject
from shared.messages.requests import MirrorRequest
from tests.support.billing import BILLING, DAY, REQUESTED_AT

TABLE = TableOfRun(
    run_id="9912",
    requested_at=REQUESTED_AT,
    pipeline=BILLING,
    schema="sales",
    table="orders",
    table_id="sales__orders",
    shard_date=DAY,
    replace=True,
)
RUN = RunExported(run_id="9912", pipeline=BILLING, shard_date=DAY, manifest_uri="gs://m", tables=(), failed=())


def test_only_the_fields_that_say_something_are_told() -> None:
    assert Outcome("ignored", "no shard").to_json() == {
        "outcome": "ignored",
        "message": "no shard",
        "severity": "INFO",
    }


def test_the_outcome_for_a_table_says_which_and_of_which_run() -> None:
    came = Outcome("skipped", "a later run has it", TABLE.subject, severity="WARNING", operation="op")

    assert came.to_json() == {
        "outcome": "skipped",
        "message": "a later run has it",
        "severity": "WARNING",
        "pipeline": "billing",
        "table": "sales.orders",
        "shard_date": "2026-11-22",
        "run_id": "9912",
        "operation": "op",
    }


@pytest.mark.parametrize("of", [RUN, MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True)])
def test_the_outcome_for_a_run_says_which(of: RunExported | MirrorRequest) -> None:
    assert Outcome("listed", "2 tables", of.subject).to_json() == {
        "outcome": "listed",
        "message": "2 tables",
        "severity": "INFO",
        "pipeline": "billing",
        "shard_date": "2026-11-22",
        "run_id": "9912",
    }


def test_the_outcome_for_a_view_says_which() -> None:
    assert Outcome("moved", "it shows", Subject("billing", "orders")).to_json() == {
        "outcome": "moved",
        "message": "it shows",
        "severity": "INFO",
        "pipeline": "billing",
        "table": "orders",
    }
