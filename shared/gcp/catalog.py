"""The catalog of a source database, read in one query."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError

from shared.tables import Column, Table

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

Row = tuple[str, str, str | None, str | None, bool, bool]

_NO_UTF8 = frozenset({"22021", "22P05"})
"""SQLSTATEs of a text that the server cannot send as UTF-8."""
_LONGEST_COMMENT = 1024

# Ordinary tables and partitioned parents, without partitions, temporary tables and what extensions own.
_MIRRORED = """
    t.relkind OPERATOR(pg_catalog.=) ANY (ARRAY['r', 'p']::pg_catalog."char"[])
    AND NOT t.relispartition AND t.relpersistence OPERATOR(pg_catalog.<>) 't'
    AND n.nspname OPERATOR(pg_catalog.=) ANY (CAST(%s AS pg_catalog.text[]))
    AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_depend AS e
        WHERE e.objid OPERATOR(pg_catalog.=) t.oid AND e.deptype OPERATOR(pg_catalog.=) 'e'
          AND e.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass)
"""
_TABLES = f"""
    FROM pg_catalog.pg_class AS t
    JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
    WHERE {_MIRRORED}
"""
_COMMENT = f"pg_catalog.left(d.description, {_LONGEST_COMMENT})"

# A NOT NULL counts when it holds for all rows: PostgreSQL 18 can add one that is not validated. A domain's own NOT NULL does
# not count, because rows that are older than it may break it. A chain of domains and arrays is followed to the type at its
# end, which has the modifier of the domain next to it.
_QUERY = """
WITH RECURSIVE chains (start, type, modifier, is_array) AS (
    SELECT type.oid, type.typbasetype, type.typtypmod, false
    FROM pg_catalog.pg_type AS type WHERE type.typtype OPERATOR(pg_catalog.=) 'd'
  UNION ALL
    SELECT chains.start, coalesce(element.oid, type.typbasetype),
        CASE WHEN element.oid IS NULL THEN type.typtypmod ELSE chains.modifier END, chains.is_array OR element.oid IS NOT NULL
    FROM chains
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) chains.type
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    WHERE element.oid IS NOT NULL OR type.typtype OPERATOR(pg_catalog.=) 'd'
), ends AS (
    SELECT chains.start, chains.is_array, type.typtype OPERATOR(pg_catalog.=) 'c' AS is_composite,
        pg_catalog.format_type(type.oid, chains.modifier) AS name
    FROM chains
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) chains.type
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    WHERE type.typtype OPERATOR(pg_catalog.<>) 'd' AND element.oid IS NULL
), columns AS (
    SELECT a.attrelid, pg_catalog.json_agg(pg_catalog.json_build_array(
        a.attname,
        pg_catalog.format_type(a.atttypid, a.atttypmod),
        NOT a.attnotnull OR EXISTS (
            SELECT FROM pg_catalog.pg_constraint AS c
            WHERE c.conrelid OPERATOR(pg_catalog.=) a.attrelid AND c.contype OPERATOR(pg_catalog.=) 'n'
              AND NOT c.convalidated AND c.conkey OPERATOR(pg_catalog.=) ARRAY[a.attnum]),
        {comment},
        CASE
            WHEN element.typtype OPERATOR(pg_catalog.=) 'c' THEN 'record[]'
            WHEN NOT ends.is_array AND element.oid IS NULL THEN ends.name
            WHEN ends.is_composite THEN 'record[]'
            WHEN ends.name IS NOT NULL THEN pg_catalog.concat(ends.name, '[]') END) ORDER BY a.attnum) AS described
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_type AS type ON type.oid OPERATOR(pg_catalog.=) a.atttypid
    LEFT JOIN pg_catalog.pg_type AS element
        ON element.oid OPERATOR(pg_catalog.=) type.typelem AND element.typarray OPERATOR(pg_catalog.=) type.oid
    LEFT JOIN ends ON ends.start OPERATOR(pg_catalog.=) coalesce(element.oid, type.oid)
    LEFT JOIN pg_catalog.pg_description AS d
        ON d.objoid OPERATOR(pg_catalog.=) a.attrelid AND d.objsubid OPERATOR(pg_catalog.=) a.attnum
        AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
    WHERE a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
    GROUP BY a.attrelid
)
SELECT n.nspname, t.relname, {comment}, columns.described::pg_catalog.text,
    t.relkind OPERATOR(pg_catalog.=) 'p', t.relrowsecurity
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
LEFT JOIN columns ON columns.attrelid OPERATOR(pg_catalog.=) t.oid
LEFT JOIN pg_catalog.pg_description AS d
    ON d.objoid OPERATOR(pg_catalog.=) t.oid AND d.objsubid OPERATOR(pg_catalog.=) 0
    AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
WHERE {which}
ORDER BY n.nspname, t.relname
"""
QUERY = _QUERY.format(comment=_COMMENT, which=_MIRRORED)
"""The tables of some schemas, which are its one parameter, with their columns."""
_OF_SOME = "t.oid OPERATOR(pg_catalog.=) ANY (CAST(%s AS pg_catalog.oid[]))"
_SOME = _QUERY.format(comment=_COMMENT, which=_OF_SOME)
_SOME_WITHOUT_COMMENTS = _QUERY.format(comment="NULL::pg_catalog.text", which=_OF_SOME)
_RAW_NAMES = """
SELECT pg_catalog.encode(pg_catalog.convert_to(n.nspname::pg_catalog.text, 'SQL_ASCII'), 'escape'),
    pg_catalog.encode(pg_catalog.convert_to(t.relname::pg_catalog.text, 'SQL_ASCII'), 'escape')
FROM pg_catalog.pg_class AS t
JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) t.relnamespace
WHERE t.oid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid)
"""
_COLUMN_NUMBERS = """
SELECT a.attnum FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid) AND a.attnum OPERATOR(pg_catalog.>) 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_OF_TABLE = """
WHERE d.objoid OPERATOR(pg_catalog.=) CAST(%s AS pg_catalog.oid)
  AND d.classoid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
"""


def tables(connection: "Connection", schemas: Sequence[str], server_major: int) -> list[Table]:
    """
    All tables of these schemas, with their columns, by one query on a connection that asks for UTF-8.

    In a database of another encoding, a name or a comment may have bytes without UTF-8, which fails the query. Then the
    tables are read in parts, until it is known which. A comment like that is left out, and a table with a name like that comes
    with its `fault`.
    """
    try:
        found = [_table(row) for row in _rows(connection, QUERY, list(schemas))]
    except _WithoutUtf8:
        oids = [oid for (oid,) in _rows(connection, f"SELECT t.oid {_TABLES}", list(schemas))]
        found = sorted(_read_in_parts(connection, oids), key=lambda table: (table.schema, table.name))
    return [replace(table, server_major=server_major) for table in found]


class _WithoutUtf8(Exception):  # noqa: N818 - it says what was found
    """Something that was asked for has bytes without UTF-8."""


def _read_in_parts(connection: "Connection", oids: Sequence[int]) -> Iterator[Table]:
    """The tables of these oids, read in halves until each part that fails is one table."""
    try:
        yield from [_table(row) for row in _rows(connection, _SOME, oids)]
    except _WithoutUtf8:
        if len(oids) == 1:
            yield _read_with_care(connection, oids[0])
        else:
            middle = len(oids) // 2
            yield from _read_in_parts(connection, oids[:middle])
            yield from _read_in_parts(connection, oids[middle:])


def _read_with_care(connection: "Connection", oid: int) -> Table:
    """A table of which a name or a comment has bytes without UTF-8."""
    try:
        [row] = _rows(connection, _SOME_WITHOUT_COMMENTS, [oid])
    except _WithoutUtf8:
        [(schema, name)] = _rows(connection, _RAW_NAMES, oid)
        fault = "its name, its schema's or a column's has bytes without UTF-8: rename it"
        return Table(schema, name, (), fault=fault)
    comments: dict[int, str] = {}
    for (number,) in _rows(connection, f"SELECT d.objsubid FROM pg_catalog.pg_description AS d {_OF_TABLE}", oid):
        with suppress(_WithoutUtf8):
            one = f"SELECT {_COMMENT} FROM pg_catalog.pg_description AS d {_OF_TABLE} AND d.objsubid OPERATOR(pg_catalog.=) {number:d}"
            [(comments[number],)] = _rows(connection, one, oid)
    table = _table(row)
    numbers = [number for (number,) in _rows(connection, _COLUMN_NUMBERS, oid)]
    columns = [
        replace(column, comment=comments.get(number)) for number, column in zip(numbers, table.columns, strict=True)
    ]
    return replace(table, comment=comments.get(0), columns=tuple(columns))


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


def _table(row: Row) -> Table:
    schema, name, comment, described, is_partitioned, row_security = row
    columns = tuple(_column(*values) for values in json.loads(described or "[]"))
    return Table(schema, name, columns, comment, is_partitioned, row_security)


@lru_cache(10_000)
def _column(name: str, data_type: str, nullable: bool, comment: str | None, base_type: str | None) -> Column:
    """A column. Equal ones are the same object, because the columns of thousands of tables are much alike."""
    return Column(name, data_type, nullable, comment, base_type)
