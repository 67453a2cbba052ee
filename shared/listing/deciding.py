"""What is to be done with each table that a request means: the one place that decides, for a run and for a plan of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from shared import canaries
from shared.listing import selection, snapshots
from shared.listing.formats import data_format
from shared.listing.selection import RefusedTable
from shared.messages.columns import rules
from shared.messages.exports import TableExport
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.tables import Table

FILTERED = (
    "has row-level security: its export holds only what its policies show to the user that Cloud SQL exports with"
)
"""Of a table that is mirrored all the same, because the database is trusted."""


class Datasets(Protocol):
    """BigQuery's datasets."""

    def ignores_case(self, dataset: str) -> bool:
        """Whether tables whose names differ by case alone are one table in a dataset."""


@dataclass(frozen=True, slots=True)
class Decided:
    """The tables that are mirrored, each with its `table-exports` message, and those that cannot be."""

    exports: Mapping[Table, TableExport]
    refused: Sequence[RefusedTable]


def decide(
    request: MirrorRequest, tables: Sequence[Table], datasets: Datasets, run_tables: int | None = None
) -> Decided:
    """
    What becomes of the tables that the request means, of those of the database, which are without what is left out.

    `run_tables`: how many tables the run has, None if these are all. Raises Permanent as `selection.select` does.
    """
    pipeline = request.pipeline
    chosen = selection.select(tables, pipeline, request.tables, partial(_ignores_case, pipeline, datasets))
    run_tables = len(chosen.tables) if run_tables is None else run_tables
    numbers = snapshots.numbers(chosen.tables, pipeline)
    exports = {
        table: replace(export_of(table, table_id, request, run_tables), snapshot=numbers.get(table))
        for table, table_id in chosen.tables.items()
    }
    return Decided(exports, chosen.refused)


def canary_exports(request: MirrorRequest) -> list[TableExport]:
    """The `table-exports` messages of a check's canaries."""
    found = canaries.of(request.pipeline)
    tables = [Table(request.pipeline.schemas[0], name, canaries.columns()) for name in found]
    return [
        replace(
            export_of(table, table.name, request, len(found)),
            format="ndjson" if table.name == canaries.NDJSON else "csv",
            snapshot=1 if table.name == canaries.SNAPSHOT else None,
            check=True,
        )
        for table in tables
    ]


def export_of(table: Table, table_id: str, request: MirrorRequest, run_tables: int | None) -> TableExport:
    """The table's `table-exports` message, as if it is read by no snapshot."""
    return TableExport(
        run_id=request.run_id,
        requested_at=request.requested_at,
        pipeline=request.pipeline,
        schema=table.schema,
        table=table.name,
        table_id=table_id,
        shard_date=request.shard_date,
        replace=request.replace,
        columns=table.columns,
        comment=table.comment,
        format=data_format(table, request.pipeline),
        only=not table.is_partitioned,
        server_major=table.server_major,
        run_tables=run_tables,
        replace_asked=request.replace_asked,
        primary_key=table.primary_key,
        column_rules=rules(request.pipeline, table.schema, table.name),
    )


def _ignores_case(pipeline: Pipeline, datasets: Datasets) -> bool:
    """Whether ids that differ by case alone would meet, as shards or as views."""
    return any(map(datasets.ignores_case, (pipeline.shards_dataset, pipeline.views_dataset)))
