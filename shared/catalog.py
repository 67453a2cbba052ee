"""A database's tables as its catalog describes them, and which of them a request means."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from shared import names
from shared.errors import Permanent
from shared.pipelines import Pipeline


@dataclass(frozen=True, slots=True)
class Column:
    """
    A column of a table: `data_type` in PostgreSQL's own words, as `format_type()` writes them.

    `base_type` is what a domain, or an array of domains, stands for, however many domains lie between, and `record[]` for an
    array of composites; None for all other types.
    """

    name: str
    data_type: str
    nullable: bool
    comment: str | None = None
    base_type: str | None = None

    def to_json(self) -> dict[str, Any]:
        described = {"name": self.name, "data_type": self.data_type, "nullable": self.nullable, "comment": self.comment}
        return described | ({"base_type": self.base_type} if self.base_type else {})


@dataclass(frozen=True, slots=True)
class Table:
    """
    A table to mirror.

    `has_children`: others inherit from it, and its rows are to be read without theirs. `row_security`: PostgreSQL shows
    each user only the rows that policies allow, the user that exports it among them.
    """

    schema: str
    name: str
    columns: tuple[Column, ...]
    comment: str | None = None
    has_children: bool = False
    row_security: bool = False

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    def __hash__(self) -> int:
        return hash((self.schema, self.name))  # not of all its columns


@dataclass(frozen=True, slots=True)
class Refusal:
    """A table that cannot be mirrored, and why."""

    table: Table
    table_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Selection:
    """The tables that a request means: those that can be mirrored, and the others with the reason."""

    tables: tuple[Table, ...]
    refusals: tuple[Refusal, ...]


def select(found: Iterable[Table], pipeline: Pipeline, requested: Sequence[str] | None) -> Selection:
    """
    The tables of the catalog that the pipeline mirrors, or those of them that are requested by name.

    A bare name is a table of the pipeline's first schema; any other is split at its first dot. Raises Permanent where the
    pipeline mirrors nothing, or for a requested name that it does not mirror.
    """
    mirrored = [table for table in found if pipeline.mirrors(table.schema, table.name)]
    if not mirrored:
        raise Permanent(
            f"the database {pipeline.database} has no table that the pipeline {pipeline.name} mirrors: look at its schemas "
            f"({', '.join(pipeline.schemas)}), include and exclude, and at the USAGE grants of the user {pipeline.user}"
        )
    refusals = _refusals(mirrored, pipeline.schemas[0])
    wanted = mirrored if requested is None else _named(mirrored, requested, pipeline)
    refused = {refusal.table for refusal in refusals} & set(wanted)
    return Selection(
        tables=tuple(table for table in wanted if table not in refused),
        refusals=tuple(refusal for refusal in refusals if refusal.table in refused),
    )


def _named(mirrored: Sequence[Table], requested: Sequence[str], pipeline: Pipeline) -> list[Table]:
    tables = {(table.schema, table.name): table for table in mirrored}
    keys = dict.fromkeys(_qualified(name, pipeline.schemas[0]) for name in requested)
    unknown = [f"{schema}.{name}" for schema, name in keys if (schema, name) not in tables]
    if unknown:
        raise Permanent(
            f"the pipeline {pipeline.name} mirrors no table {', '.join(unknown)}: it is missing, excluded or misspelt"
        )
    return [tables[key] for key in keys]


def _qualified(name: str, first_schema: str) -> tuple[str, str]:
    schema, dot, table = name.partition(".")
    return (schema, table) if dot else (first_schema, name)


def _refusals(tables: Sequence[Table], first_schema: str) -> list[Refusal]:
    ids = {table: names.table_id(table.schema, table.name, first_schema) for table in tables}
    shared_ids = names.shared_table_ids(ids.values())
    return [
        Refusal(table, table_id, reason)
        for table, table_id in ids.items()
        if (reason := _reason_to_refuse(table, table_id, shared_ids, ids))
    ]


def _reason_to_refuse(table: Table, table_id: str, shared_ids: Collection[str], ids: dict[Table, str]) -> str | None:
    if table_id in shared_ids:
        others = [str(other) for other, its_id in ids.items() if its_id == table_id and other != table]
        return f"{table} would be called {table_id} in BigQuery, as {', '.join(others)} would: exclude all but one, or rename"
    if table_id in names.RESERVED_TABLE_IDS:
        return f"{table} would be called {table_id}, which the mirror keeps for itself: exclude or rename it"
    if not table.columns:
        return f"{table} has no columns, and BigQuery has no such tables: exclude it"
    return None
