"""A pipeline, and the export of one of its tables, as the functions read them from the environment and from a message."""

from datetime import UTC, date, datetime

from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from shared.tables import Column

DAY = date(2026, 11, 22)
REQUESTED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)
BILLING = Pipeline("billing", "p:r:db", "billing_db", "mirror@p.iam", "p-mirror", "shards", "views")
EXPORT = TableExport(
    run_id="9912",
    requested_at=REQUESTED_AT,
    pipeline=BILLING,
    schema="public",
    table="orders",
    table_id="orders",
    shard_date=DAY,
    replace=True,
    columns=(Column("id", "bigint", nullable=False),),
    format="csv",
)
