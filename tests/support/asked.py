"""The export of a table, as a run of one day would ask for it."""

from datetime import UTC, date, datetime

from shared import names
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from shared.tables import Table


def export_of(table: Table, pipeline: Pipeline, file_format: str) -> TableExport:
    return TableExport(
        run_id="1",
        requested_at=datetime(2026, 11, 22, tzinfo=UTC),
        pipeline=pipeline,
        schema=table.schema,
        table=table.name,
        table_id=names.table_id(table.schema, table.name, pipeline.schemas[0]),
        shard_date=date(2026, 11, 22),
        replace=True,
        columns=table.columns,
        format=file_format,
        only=not table.is_partitioned,
        server_major=table.server_major,
        primary_key=table.primary_key,
    )
