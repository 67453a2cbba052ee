"""Which tables of the catalog a request means, and which of them cannot be mirrored."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from shared import bucket, canaries, names, remedies
from shared.errors import Permanent
from shared.listing.wanted import meant, shown
from shared.pipelines import Pipeline
from shared.tables import Table, TableName

_MOST_NAMED = 10
_LARGEST_MESSAGE = 9_800_000
"""Bytes. Pub/Sub takes 10,000,000 in all, the attributes of a dead letter included (https://cloud.google.com/pubsub/quotas)."""


@dataclass(frozen=True, slots=True)
class RefusedTable:
    """A table that cannot be mirrored, and why. `keeps_id`: no other table is mirrored under its table_id."""

    table: Table
    table_id: str
    reason: str
    keeps_id: bool = True

    def to_json(self) -> dict[str, str]:
        """It as a run's manifest has it."""
        return {"schema": self.table.schema, "table": self.table.name, "reason": self.reason}


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
    ids = {table: pipeline.table_id(table.schema, table.name) for table in mirrored}
    wanted = mirrored if requested is None else _named(mirrored, requested, pipeline)
    in_bigquery = _without_case(ids) if _differ_by_case(ids) and ignores_case() else ids
    meeting = _meeting(ids, in_bigquery)
    reasons = {table: _reason_to_refuse(table, ids, in_bigquery, meeting, pipeline) for table in wanted}
    kept = {ids[table] for table in mirrored if table not in meeting}
    return Selection(
        tables={table: ids[table] for table in wanted if reasons[table] is None},
        refused=tuple(
            RefusedTable(table, ids[table], reason, table not in meeting or ids[table] not in kept)
            for table, reason in reasons.items()
            if reason
        ),
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


def _meeting(ids: Mapping[Table, str], in_bigquery: Mapping[Table, str]) -> Mapping[Table, Sequence[Table]]:
    """
    The tables that meet others in one id, each with all that meet there. `in_bigquery` are the ids as BigQuery tells them apart.

    A table whose name needs no change is not among them: it keeps the id, unless another's differs by case.
    """
    shared_ids = names.shared_table_ids(in_bigquery.values())
    groups: dict[str, list[Table]] = {}
    for table, table_id in in_bigquery.items():
        if table_id in shared_ids:
            groups.setdefault(table_id, []).append(table)
    meeting: dict[Table, list[Table]] = {}
    for group in groups.values():
        differ_by_case = len({ids[table] for table in group}) > 1
        meeting |= {table: group for table in group if differ_by_case or table.name != ids[table]}
    return meeting


def _reason_to_refuse(
    table: Table,
    ids: Mapping[Table, str],
    in_bigquery: Mapping[Table, str],
    meeting: Mapping[Table, Sequence[Table]],
    pipeline: Pipeline,
) -> str | None:
    table_id = ids[table]
    if table in meeting:
        where = "in BigQuery" if in_bigquery is ids else "in a dataset of BigQuery's that ignores case"
        meets = _some(str(other) for other in meeting[table] if other is not table)
        return f"{table} would be called {table_id} {where}, as {meets} would: exclude all but one, or rename"
    if table_id in bucket.RESERVED or canaries.is_canary(table_id):
        return f"{table} would be called {table_id}, which the mirror keeps for itself: exclude or rename it"
    if table.fault:
        return f"{table} is not read: {table.fault}"
    if not table.columns:
        return f"{table} has no columns, and BigQuery has no such tables: exclude it"
    if (size := _message_size(table)) > _LARGEST_MESSAGE:
        return (
            f"{table} takes {size} bytes to describe, more than a message carries: shorten its comments, or exclude it"
        )
    return None if pipeline.trust_database else _reason_to_distrust(table)


def _some(words: Iterable[str]) -> str:
    """The first of them, so that no reason is the longer the more there are."""
    first = list(islice(words, _MOST_NAMED + 1))
    return ", ".join(first[:_MOST_NAMED]) + (" and others" if len(first) > _MOST_NAMED else "")


def _message_size(table: Table) -> int:
    """Bytes of its columns in a message: an upper bound where that is small enough, and counted where it is not."""
    texts = (text or "" for each in table.columns for text in (each.name, each.data_type, each.comment, each.base_type))
    # A character is at most six bytes of JSON. What stands around the texts of a column is less than 150.
    most = 6 * sum(map(len, texts)) + 150 * len(table.columns)
    if most <= _LARGEST_MESSAGE:
        return most
    return len(json.dumps([column.to_json() for column in table.columns], ensure_ascii=False).encode())


def _reason_to_distrust(table: Table) -> str | None:
    """What reading it would run, with the rights of the role that Cloud SQL exports with, of what others have written."""
    if table.row_security:
        return f"{table} has row-level security, whose policies hide rows and may run code: exclude it, or {remedies.TRUST}"
    called = dict.fromkeys([each.calls for each in table.columns if each.calls and each.is_written_whole])
    if called := called | dict.fromkeys(table.called):
        return f"reading {table} may call {_some(called)}: exclude it, or {remedies.TRUST}"
    return None
