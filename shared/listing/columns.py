"""
Which columns leave the database: the keys `leave_out` and `hash` of a pipeline, which are globs on `schema.table.column`.

It is decided when the catalog is read, so that nothing that comes after has ever heard of a column that is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

from shared.messages.columns import globs, names_one
from shared.pipelines import Pipeline, matches
from shared.tables import Table


@dataclass(frozen=True, slots=True)
class Pattern:
    """
    A glob of `leave_out` or `hash`, which `key` says.

    `columns`: those of the database that it matches. `missing_in`: the mirrored tables that it names without a wildcard, together
    with a column that is not there. They are refused, because it may be there by another name.
    """

    key: str
    glob: str
    columns: tuple[str, ...]
    missing_in: tuple[Table, ...]

    @property
    def is_idle(self) -> bool:
        """Whether it matches nothing in the whole database, and is missed nowhere: it may be misspelt."""
        return not self.columns and not self.missing_in

    def idle_in(self, database: str) -> str:
        """What to say of it where it is idle."""
        return f"{self.key} has {self.glob}, which matches no column of {database}: correct or remove it"


def patterns(tables: Sequence[Table], pipeline: Pipeline) -> list[Pattern]:
    """The pipeline's globs, each with what it matches in the database, whose tables these are."""
    found = globs(pipeline)
    columns = [name for table in tables for name in _names(table)] if found else []
    return [_pattern(key, glob, columns, tables, pipeline) for key, glob in found]


def decided(tables: Sequence[Table], pipeline: Pipeline, found: Sequence[Pattern]) -> list[Table]:
    """
    The tables as the mirror is to know them: without the columns that are left out, and with those marked that are hashed.

    `found` are their patterns. A table that has no column left, or that a pattern misses a column in, has that as its `fault`.
    """
    if not found:
        return list(tables)
    faults = {(table.schema, table.name): _missing(pattern, table) for pattern in found for table in pattern.missing_in}
    return [_decided(table, pipeline, faults.get((table.schema, table.name))) for table in tables]


def _decided(table: Table, pipeline: Pipeline, fault: str | None) -> Table:
    numbers = table.numbers or (None,) * len(table.columns)
    kept = tuple(
        replace(column, hashed=pipeline.hashes(name), number=number)
        for name, column, number in zip(_names(table), table.columns, numbers, strict=True)
        if not pipeline.leaves_out(name)
    )
    if table.columns and not kept:
        fault = fault or "leave_out names all of its columns. Exclude it instead"
    still = {column.name for column in kept}
    key = tuple(takewhile(still.__contains__, table.primary_key))
    return replace(table, columns=kept, primary_key=key, fault=table.fault or fault)


def _names(table: Table) -> list[str]:
    return [f"{table}.{column.name}" for column in table.columns]


def _pattern(key: str, glob: str, columns: Sequence[str], tables: Sequence[Table], pipeline: Pipeline) -> Pattern:
    matched = tuple(name for name in columns if matches((glob,), name))
    missing: tuple[Table, ...] = ()
    if not matched:
        named = (table for table in tables if names_one(glob, str(table)))
        missing = tuple(table for table in named if pipeline.mirrors(table.schema, table.name))
    return Pattern(key, glob, matched, missing)


def _missing(pattern: Pattern, table: Table) -> str:
    column = pattern.glob.removeprefix(f"{table}.")
    return (
        f"{pattern.key} names its column {column}, which is not there, and may have another name now. Correct {pattern.glob} in "
        f"{pattern.key}, or remove it if the column is gone"
    )
