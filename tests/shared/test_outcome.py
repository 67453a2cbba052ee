"""What came of an event."""

from datetime import UTC, date, datetime

from shared import outcome
from shared.messages import TableOfRun
from shared.outcome import Outcome
from shared.pipelines import Pipeline

TABLE = TableOfRun(
    run_id="9912",
    requested_at=datetime(2026, 11, 22, 2, tzinfo=UTC),
    pipeline=Pipeline("billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views"),
    schema="sales",
    table="orders",
    shard_date=date(2026, 11, 22),
    replace=True,
)


def test_only_the_fields_that_say_something_are_told() -> None:
    assert Outcome("ignored", "no shard").to_json() == {
        "outcome": "ignored",
        "message": "no shard",
        "severity": "INFO",
    }


def test_the_outcome_for_a_table_says_which_and_of_which_run() -> None:
    came = outcome.of_table("skipped", "a later run has it", TABLE, severity="WARNING", operation="op")

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
