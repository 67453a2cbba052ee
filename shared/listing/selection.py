"""Which tables of the catalog a request means, and which of them cannot be mirrored."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from shared import bucket, names
from shared.errors import Permanent
from shared.listing.wanted import meant, shown
from shared.pipelines import Pipeline
from shared.tables import Table, TableName


@dataclass(frozen=True, slots=True)
class RefusedTable:
    """A table that cannot be mirrored, and why."""

    table: Table
    table_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The tables that a request means: those that can be mirrored, with their table_id, and the others with the reason."""

    tables: Mapping[Table, str]
    refused: tuple[RefusedTable, ...]


def select(
    found: Iterable[Table],
    pipeline: Pipeline,
    requested: Sequence[str | TableName] | None,
    ignores_case: Callable[[], bool] = lambda: False,
) -> Selection:
    """
    The tables of the catalog that the pipeline mirrors, or those of them that are requested by name.

    `ignores_case`: whether table ids that differ by case alone are one in BigQuery. It is asked only if there are such. Raises
    Permanent if the pipeline mirrors nothing, or for a requested name that it does not mirror, or that two of its tables can be
    called.
    """
    mirrored = [table for table in found if pipeline.mirrors(table.schema, table.name)]
    if not mirrored:
        raise Permanent(
            f"the database {pipeline.database} has no table that the pipeline {pipeline.name} mirrors: look at its schemas "
            f"({', '.join(pipeline.schemas)}), include and exclude, and at the USAGE grants of the user {pipeline.user}"
        )
    ids = {table: names.table_id(table.schema, table.name, pipeline.schemas[0]) for table in mirrored}
    wanted = mirrored if requested is None else _named(mirrored, requested, pipeline)
    in_bigquery = _without_case(ids) if _differ_by_case(ids) and ignores_case() else ids
    shared_ids = names.shared_table_ids(in_bigquery.values())
    reasons = {table: _reason_to_refuse(table, ids, in_bigquery, shared_ids) for table in wanted}
    return Selection(
        tables={table: ids[table] for table in wanted if reasons[table] is None},
        refused=tuple(RefusedTable(table, ids[table], reason) for table, reason in reasons.items() if reason),
    )


def _named(mirrored: Sequence[Table], requested: Sequence[str | TableName], pipeline: Pipeline) -> list[Table]:
    tables = {(table.schema, table.name): table for table in mirrored}
    found = {each: meant(each, tables.keys(), pipeline.schemas[0]) for each in requested}
    unknown = [shown(each) for each, name in found.items() if name is None]
    if unknown:
        raise Permanent(
            f"the pipeline {pipeline.name} mirrors no table {', '.join(unknown)}: it is missing, excluded or misspelt"
        )
    return [tables[name] for name in dict.fromkeys(found.values()) if name]


def _without_case(ids: Mapping[Table, str]) -> Mapping[Table, str]:
    return {table: table_id.casefold() for table, table_id in ids.items()}


def _differ_by_case(ids: Mapping[Table, str]) -> bool:
    """Whether some of the ids differ by case alone."""
    return len(set(_without_case(ids).values())) < len(set(ids.values()))


def _reason_to_refuse(
    table: Table, ids: Mapping[Table, str], in_bigquery: Mapping[Table, str], shared_ids: Collection[str]
) -> str | None:
    """`in_bigquery` are the ids as BigQuery tells them apart."""
    table_id = ids[table]
    if in_bigquery[table] in shared_ids:
        others = [
            str(other) for other, its_id in in_bigquery.items() if its_id == in_bigquery[table] and other != table
        ]
        where = "in BigQuery" if in_bigquery is ids else "in a dataset of BigQuery's that ignores case"
        return (
            f"{table} would be called {table_id} {where}, as {', '.join(others)} would: exclude all but one, or rename"
        )
    if table_id in bucket.RESERVED:
        return f"{table} would be called {table_id}, which the mirror keeps for itself: exclude or rename it"
    if table.fault:
        return f"{table} cannot be read: {table.fault}"
    if not table.columns:
        return f"{table} has no columns, and BigQuery has no such tables: exclude it"
    return None
