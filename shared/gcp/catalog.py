"""The catalog of a source database, read in one query."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from shared.gcp import catalog_sql as sql
from shared.tables import Column, Table, TableName

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

Row = tuple[
    str, str, str | None, str | None, bool, bool, str | None, int | None, bool | None, int, bool | None, str | None
]


@dataclass(frozen=True, slots=True)
class Found:
    """A table, and its number in the catalog. `is_counted`: its size is an estimate of all of it."""

    table: Table
    oid: int
    is_counted: bool


_NO_UTF8 = frozenset({"22021", "22P05"})
"""SQLSTATEs of a text that the server cannot send as UTF-8."""


def tables(connection: "Connection", schemas: Sequence[str], server_major: int) -> list[Found]:
    """
    All tables of these schemas, with their columns, by one query on a connection that asks for UTF-8.

    In a database of another encoding, a name or a comment may have bytes without UTF-8, which fails the query. Then the
    tables are read in parts, until it is known which. A comment like that is left out, and a table with a name like that comes
    with its `fault`.
    """
    try:
        found = [_found(row) for row in _rows(connection, sql.TABLES, list(schemas))]
    except _WithoutUtf8:
        oids = [oid for (oid,) in _rows(connection, sql.OIDS, list(schemas))]
        found = sorted(_read_in_parts(connection, oids), key=lambda each: (each.table.schema, each.table.name))
    return [replace(each, table=replace(each.table, server_major=server_major)) for each in found]


def hidden(connection: "Connection", found: Sequence[Found]) -> frozenset[TableName]:
    """Those of the tables that the role may not read that Cloud SQL exports with, by one query."""
    oids = frozenset(oid for (oid,) in _rows(connection, sql.HIDDEN, [each.oid for each in found]))
    return frozenset((each.table.schema, each.table.name) for each in found if each.oid in oids)


class _WithoutUtf8(Exception):  # noqa: N818 - it says what was found
    """Something that was asked for has bytes without UTF-8."""


def _read_in_parts(connection: "Connection", oids: Sequence[int]) -> Iterator[Found]:
    """The tables of these oids, read in halves until each part that fails is one table."""
    try:
        yield from [_found(row) for row in _rows(connection, sql.SOME, oids)]
    except _WithoutUtf8:
        if len(oids) == 1:
            yield _read_with_care(connection, oids[0])
        else:
            middle = len(oids) // 2
            yield from _read_in_parts(connection, oids[:middle])
            yield from _read_in_parts(connection, oids[middle:])


def _read_with_care(connection: "Connection", oid: int) -> Found:
    """A table of which a name or a comment has bytes without UTF-8."""
    try:
        [row] = _rows(connection, sql.SOME_WITHOUT_COMMENTS, [oid])
    except _WithoutUtf8:
        [(schema, name)] = _rows(connection, sql.RAW_NAMES, oid)
        fault = "its name, its schema's or a column's has bytes without UTF-8: rename it"
        return Found(Table(schema, name, (), fault=fault), oid, is_counted=True)
    comments: dict[int, str] = {}
    for (number,) in _rows(connection, sql.COMMENTED, oid):
        with suppress(_WithoutUtf8):
            [(comments[number],)] = _rows(connection, sql.one_comment(number), oid)
    found = _found(row)
    numbers = [number for (number,) in _rows(connection, sql.COLUMN_NUMBERS, oid)]
    columns = [
        replace(column, comment=comments.get(number))
        for number, column in zip(numbers, found.table.columns, strict=True)
    ]
    return replace(found, table=replace(found.table, comment=comments.get(0), columns=tuple(columns)))


def _rows(connection: "Connection", query: str, parameter: object) -> list[Any]:
    """The answer to a query with one parameter. Raises _WithoutUtf8 if the server cannot send it as UTF-8."""
    cursor = connection.cursor()
    try:
        cursor.execute(query, (parameter,))
        return list(cursor.fetchall())
    except DatabaseError as error:
        if field_of(error, "C") in _NO_UTF8:
            raise _WithoutUtf8 from error
        raise


def field_of(error: DatabaseError, name: str) -> str | None:
    """A field of the server's own error message: C its code, M its words."""
    fields = error.args[0] if error.args else None
    return fields.get(name) if isinstance(fields, dict) else None


def _found(row: Row) -> Found:
    schema, name, comment, described, is_partitioned, row_security, called, size, is_counted, oid, may, key = row
    columns = json.loads(described or "[]")
    table = Table(
        schema,
        name,
        tuple(_column(*values) for *values, _ in columns),
        comment,
        is_partitioned,
        row_security,
        tuple(json.loads(called or "[]")),
        size=size,
        may_select=bool(may),
        primary_key=tuple(json.loads(key or "[]")),
        numbers=tuple(number for *_, number in columns),
    )
    return Found(table, oid, bool(is_counted))


@lru_cache(10_000)
def _column(
    name: str, data_type: str, nullable: bool, comment: str | None, base_type: str | None, calls: str | None
) -> Column:
    """A column. Equal ones are the same object, because the columns of thousands of tables are much alike."""
    return Column(name, data_type, nullable, comment, base_type, calls=calls)
