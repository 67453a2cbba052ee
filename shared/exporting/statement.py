"""The SELECT that an export runs: each column is rendered so that BigQuery can load it, whatever the server's settings."""

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass

from shared import canaries
from shared.exporting import typemap, unchanged
from shared.exporting.sql import Sql, call, cast, held_to, identifier, infix, literal
from shared.exporting.typemap import MappedColumn
from shared.messages.columns import check_listed
from shared.messages.exports import TableExport

_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "array_nulls": "on",
}
"""PostgreSQL renders values, and reads arrays, by these, and a server, a database or a role may have set them otherwise."""
_SHORTEST_FLOATS = 12
"""The first version that writes the shortest digits that tell a float from its neighbours, if it is asked for more than usual."""

_PLAIN = frozenset(string.ascii_letters + string.digits + " {}[]:,.+-")
_COLUMNS_PER_CONCAT = 40
"""PostgreSQL's functions take at most 100 arguments, and each column is two of them."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """A query, and the characters of the CSV text that it comes out as, in the hexadecimal that the Admin API takes."""

    query: str
    quote: str
    escape: str
    delimiter: str


def file_format(export: TableExport, columns: Sequence[MappedColumn]) -> str:
    """
    The format of a table's data file: the message's, but for a table whose one column may be NULL, or may become so.

    In a CSV file the NULL of such a table is a blank line, which is no row to most readers, BigQuery among them.
    """
    blank_lines = len(columns) == 1 and columns[0].mode == "NULLABLE"
    return "ndjson" if blank_lines else export.format


def extraction(export: TableExport, columns: Sequence[MappedColumn]) -> Extraction:
    """
    What the Admin API is to run for a table.

    ndjson leaves through the same CSV writer: JSON text holds no control characters, so with these as quote, escape and
    delimiter the writer has nothing to quote. Raises Permanent for columns that are not to leave the database any more.
    """
    check_listed(export)
    unrepresentable, digits = export.pipeline.unrepresentable, _float_digits(export, columns)
    references = [_reference(column, digits) for column in columns]
    is_ndjson = file_format(export, columns) == "ndjson"
    rendered = typemap.ndjson_value if is_ndjson else typemap.csv_value
    values = [
        rendered(column, reference, unrepresentable) for column, reference in zip(columns, references, strict=True)
    ]
    if is_ndjson:
        query = _select(export, [_json_object(columns, values)], digits)
        return Extraction(query, quote="01", escape="01", delimiter="02")
    return Extraction(_select(export, values, digits), quote="22", escape="22", delimiter="2C")


def _float_digits(export: TableExport, columns: Sequence[MappedColumn]) -> str:
    """
    The setting extra_float_digits that tells each float from its neighbours.

    Before PostgreSQL 12 it is that number of digits beside 15, or 6 for real. Three are needed for real, and one too many for a
    double in JSON, where BigQuery takes no more digits than come back. There two are enough, and a real is read as a double.
    """
    is_old = export.server_major is not None and export.server_major < _SHORTEST_FLOATS
    in_json = any(
        _plain_type(column) in {"double precision[]", "real[]", "record[]"}
        for column in columns
        if not column.source.hashed
    )
    return "2" if is_old and in_json else "3"


def _plain_type(column: MappedColumn) -> str:
    return column.source.base_type or column.source.data_type


def _reference(column: MappedColumn, digits: str) -> str:
    reference = f"t.{identifier(column.source.name)}"
    is_as_it_is = column.source.hashed or _has_own_elements(column)
    wider = _WIDER.get(_plain_type(column)) if digits == "2" and not is_as_it_is else None
    return wider(reference) if wider else reference


def _has_own_elements(column: MappedColumn) -> bool:
    """Whether it is an array of a domain, say."""
    return column.source.base_type is not None and column.source.data_type.endswith("[]")


def _wider_array(c: str) -> str:
    """A real[] as a float8[]. A comparison with another real[] comes first, because it refuses all other types."""
    return cast(call("array_larger", c, cast("'{}'", "float4[]")), "float8[]")


_WIDER: dict[str, Sql] = {"real": lambda c: held_to(c, "float8"), "real[]": _wider_array}


def _select(export: TableExport, values: Sequence[str], digits: str) -> str:
    given = _SETTINGS | {"extra_float_digits": digits}
    # A subquery that calls a volatile function is neither dropped nor flattened: it runs before the first row is rendered.
    settings = ", ".join(call("set_config", literal(name), literal(value), "true") for name, value in given.items())
    rows = _canary() if export.check else _table(export)
    return f"SELECT {', '.join(values)} FROM (SELECT {settings}) AS settings, {rows}"


def _table(export: TableExport) -> str:
    """All of the table. The method of TABLESAMPLE is one that PostgreSQL refuses for a view, whose functions would be called."""
    only = "ONLY " if export.only else ""
    table = f"{only}{identifier(export.schema)}.{identifier(export.table)}"
    return f"{table} AS t TABLESAMPLE {call('system', '100')} LIMIT {unchanged.limit(export)}"


def _canary() -> str:
    """The rows of a canary, as those of a table. An export has to name one: it is the one row of each database's own."""
    types = canaries.types()
    rows = [
        ", ".join(
            cast("NULL" if text is None else _constant(text), kind) for text, kind in zip(row, types, strict=True)
        )
        for row in canaries.texts()
    ]
    columns = ", ".join(identifier(column.name) for column in canaries.columns())
    is_this = infix("d.datname", "=", call("current_database"))
    return f"(VALUES ({'), ('.join(rows)})) AS t ({columns}), pg_catalog.pg_database AS d WHERE {is_this}"


def _constant(text: str) -> str:
    """
    A text in plain ASCII, so that it is the values that are checked, and not how a query travels.

    A database of another encoding than UTF-8 gets the text as it is spelt in ASCII. Which of the two it is turns out when the query
    runs, so that nobody decodes the other one.
    """
    if text.isascii():
        escaped = (each if each in _PLAIN else f"\\u{ord(each):04x}" for each in text)
        return f"E'{''.join(escaped)}'"
    whole, spelt = (literal(each.encode().hex()) for each in (text, canaries.spelt(text)))
    is_utf8 = infix(call("getdatabaseencoding"), "=", literal("UTF8"))
    chosen = call("decode", f"CASE WHEN {is_utf8} THEN {whole} ELSE {spelt} END", literal("hex"))
    return call("convert_from", chosen, literal("UTF8"))


def _json_object(columns: Sequence[MappedColumn], values: Sequence[str]) -> str:
    """The SQL of a row as one JSON object. Its keys are literals: as aliases PostgreSQL would cut them at 63 bytes."""
    members = [
        f"{literal(('{' if place == 0 else ',') + json.dumps(column.name, ensure_ascii=False) + ':')}, coalesce({value}, 'null')"
        for place, (column, value) in enumerate(zip(columns, values, strict=True))
    ]
    groups = [members[start : start + _COLUMNS_PER_CONCAT] for start in range(0, len(members), _COLUMNS_PER_CONCAT)]
    return call("concat", *(call("concat", *group) for group in groups), literal("}"))
