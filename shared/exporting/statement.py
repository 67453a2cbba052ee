"""The SELECT that an export runs: each column is rendered so that BigQuery can load it, whatever the server's settings."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from shared.exporting import typemap, unchanged
from shared.exporting.sql import call, identifier, literal
from shared.exporting.typemap import MappedColumn
from shared.messages.exports import TableExport

_SETTINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
}
"""PostgreSQL renders values by these, and a server, a database or a role may have set them otherwise."""

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
    The format of a table's data file: the pipeline's, but for a table whose one column may be NULL.

    In a CSV file the NULL of such a table is a blank line, which is no row to most readers, BigQuery among them.
    """
    blank_lines = len(columns) == 1 and columns[0].mode == "NULLABLE"
    return "ndjson" if blank_lines else export.pipeline.format


def extraction(export: TableExport, columns: Sequence[MappedColumn]) -> Extraction:
    """
    What the Admin API is to run for a table.

    ndjson leaves through the same CSV writer: JSON text holds no control characters, so with these as quote, escape and
    delimiter the writer has nothing to quote.
    """
    unrepresentable = export.pipeline.unrepresentable
    if file_format(export, columns) == "ndjson":
        values = [typemap.ndjson_value(column, _reference(column), unrepresentable) for column in columns]
        return Extraction(_select(export, [_json_object(columns, values)]), quote="01", escape="01", delimiter="02")
    values = [typemap.csv_value(column, _reference(column), unrepresentable) for column in columns]
    return Extraction(_select(export, values), quote="22", escape="22", delimiter="2C")


def _reference(column: MappedColumn) -> str:
    return f"t.{identifier(column.source.name)}"


def _select(export: TableExport, values: Sequence[str]) -> str:
    # A subquery that calls a volatile function is neither dropped nor flattened: it runs before the first row is rendered.
    settings = ", ".join(call("set_config", literal(name), literal(value), "true") for name, value in _SETTINGS.items())
    only = "ONLY " if export.only else ""
    table = f"{only}{identifier(export.schema)}.{identifier(export.table)}"
    limit = unchanged.limit(export.schema, export.table, export.server_major)
    return f"SELECT {', '.join(values)} FROM (SELECT {settings}) AS settings, {table} AS t LIMIT {limit}"


def _json_object(columns: Sequence[MappedColumn], values: Sequence[str]) -> str:
    """The SQL of a row as one JSON object. Its keys are literals: as aliases PostgreSQL would cut them at 63 bytes."""
    members = [
        f"{literal(('{' if place == 0 else ',') + json.dumps(column.name, ensure_ascii=False) + ':')}, coalesce({value}, 'null')"
        for place, (column, value) in enumerate(zip(columns, values, strict=True))
    ]
    groups = [members[start : start + _COLUMNS_PER_CONCAT] for start in range(0, len(members), _COLUMNS_PER_CONCAT)]
    return call("concat", *(call("concat", *group) for group in groups), literal("}"))
