"""What each PostgreSQL type becomes in BigQuery, and which SQL of `values` renders it so that it arrives as it was."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import names
from shared.exporting import values
from shared.exporting.arrays import as_built_in, element, from_text
from shared.exporting.sql import Sql, complaint
from shared.redaction import BEYOND
from shared.tables import Column

_LONGEST_DESCRIPTION = 1024
"""Characters. BigQuery's limit for the description of a column."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How the values of one kind of type travel.

    `csv` and `ndjson` render a column as a field of a CSV file, and as the text of a JSON value. `holds`, where PostgreSQL has
    values of the type that BigQuery cannot hold, is the condition for those that it can; `or_text`: the pipeline may ask for
    the text of all of them instead. All three are told the column as `read` gives it, with an error if it has been given a
    type of another kind since: nothing of a user's type comes to where PostgreSQL looks for a cast.
    """

    bigquery_type: str
    csv: Sql
    ndjson: Sql
    read: Sql
    holds: Sql | None = None
    or_text: bool = True


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column as it arrives: its name, type and mode in BigQuery, and the kind that renders it."""

    source: Column
    name: str
    kind: Kind
    mode: str
    description: str | None

    def to_json(self) -> dict[str, Any]:
        """The column as the schema file describes it."""
        return {
            "name": self.name,
            "source_name": self.source.name,
            "data_type": self.source.data_type,
            "is_nullable": self.source.nullable,
            "bigquery_type": self.kind.bigquery_type,
            "mode": self.mode,
            "description": self.description,
            **({"hashed": True} if self.source.hashed else {}),
        }


_TEXT = Kind("STRING", values.itself, values.own_text, values.itself)
_HASHED = Kind("STRING", values.hashed, values.quoted(values.hashed), values.itself)
_INTEGER = Kind("INT64", values.itself, values.quoted(values.text), values.held_as("int8"))
_FLOAT = Kind("FLOAT64", values.itself, values.number, values.held_as("float8"))
_JSON = Kind("JSON", values.text, values.blanked, values.held_as("json"), holds=values.is_held_json(values.text))
_NUMERIC = Kind("NUMERIC", values.itself, values.quoted(values.text), values.held_as("numeric"), holds=values.is_finite)
_BY_NAME = {
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "oid": _INTEGER,
    "real": replace(_FLOAT, read=values.held_as("float4")),
    "double precision": _FLOAT,
    "boolean": Kind("BOOL", values.text, values.text, values.held_as("bool")),
    "money": Kind("NUMERIC", values.amount, values.quoted(values.amount), values.held_as("money")),
    "date": Kind("DATE", values.itself, values.quoted(values.text), values.held_as("date"), holds=values.is_day),
    "time without time zone": Kind(
        "TIME", values.time, values.quoted(values.time), values.held_as("time"), holds=values.is_time
    ),
    "timestamp without time zone": Kind(
        "DATETIME",
        values.datetime,
        values.quoted(values.datetime),
        values.held_as("timestamp"),
        holds=values.is_datetime,
    ),
    "timestamp with time zone": Kind(
        "TIMESTAMP",
        values.instant,
        values.quoted(values.instant),
        values.held_as("timestamptz"),
        holds=values.is_instant,
    ),
    "bytea": Kind("BYTES", values.base64, values.quoted(values.base64), values.held_as("bytea")),
    "json": _JSON,
    "jsonb": replace(_JSON, read=values.held_as("jsonb")),
}
_ARRAY = Kind("JSON", values.jsonb, values.jsonb, as_built_in)
_WIDE_ARRAY = replace(_ARRAY, holds=values.is_held_json(values.jsonb), or_text=False)
_JSON_ARRAY = Kind("JSON", values.json, values.json, as_built_in, holds=values.is_held_json(values.json), or_text=False)
_ARRAYS = {
    "real[]": replace(_ARRAY, csv=values.json, ndjson=values.json),
    "double precision[]": replace(_ARRAY, csv=values.json, ndjson=values.json),
    "json[]": _JSON_ARRAY,
    "record[]": replace(_JSON_ARRAY, read=values.itself),
    "jsonb[]": _WIDE_ARRAY,
    "numeric[]": _WIDE_ARRAY,
}
"""Arrays with numbers that need care, or of what only to_json can write. All others are as `to_jsonb` writes them."""
_MODIFIERS = re.compile(r"\((-?\d+)(?:,(-?\d+))?\)", re.ASCII)


def mapped(columns: Sequence[Column], unrepresentable: str) -> tuple[MappedColumn, ...]:
    """
    The columns of a table as they arrive in BigQuery, in the same order.

    `unrepresentable` is the pipeline's setting: values that BigQuery cannot hold become NULL, fail the export, or turn
    their whole column into text.
    """
    called = names.column_names([column.name for column in columns])
    return tuple(_mapped(column, name, unrepresentable) for column, name in zip(columns, called, strict=True))


def csv_value(column: MappedColumn, reference: str, unrepresentable: str) -> str:
    """The SQL of a column's value in a CSV file; `reference` is how the SELECT names the column."""
    return _guarded(column, column.kind.csv, reference, unrepresentable)


def ndjson_value(column: MappedColumn, reference: str, unrepresentable: str) -> str:
    """The SQL of a column's value as the text of a JSON value, NULL where the value is."""
    return _guarded(column, column.kind.ndjson, reference, unrepresentable)


def _mapped(column: Column, name: str, unrepresentable: str) -> MappedColumn:
    kind, note = _kind(column), None
    if column.hashed:
        kind, note = _HASHED, f"Hashed: the SHA-256, in hexadecimal, of the text of {column.data_type}."
    if kind.holds and kind.or_text and unrepresentable == "string":
        kind, note = _TEXT, f"{column.data_type} as text, because BigQuery cannot hold all of its values."
    loses_values = kind.holds is not None and unrepresentable != "fail"
    if loses_values:
        note = f"Values of {column.data_type} that BigQuery cannot hold are NULL."
    mode = "NULLABLE" if column.nullable or loses_values else "REQUIRED"
    return MappedColumn(column, name, kind, mode, _description(column.comment, note))


def _kind(column: Column) -> Kind:
    """The kind of a type by PostgreSQL's words for it; what is not known here travels as PostgreSQL's own text."""
    data_type = column.base_type or column.data_type
    modifiers = _MODIFIERS.search(data_type)
    plain = _MODIFIERS.sub("", data_type, count=1)
    if plain.endswith("[]"):
        kind = _ARRAYS.get(plain, _ARRAY)
        is_own = column.base_type is not None and kind.read is as_built_in
        return replace(kind, read=from_text(element(plain))) if is_own else kind
    if plain == "numeric" and modifiers:
        return _numeric(int(modifiers[1]), int(modifiers[2] or 0))
    return _BY_NAME.get(plain, _TEXT)


def _numeric(precision: int, scale: int) -> Kind:
    """`numeric(p,s)` as a number where BigQuery holds every one of its values exactly, as text where it does not."""
    if scale <= 9 and precision - scale <= 29:
        return _NUMERIC
    if scale <= 38 and precision - scale <= 38:
        return replace(_NUMERIC, bigquery_type="BIGNUMERIC")
    return _TEXT


def _guarded(column: MappedColumn, rendered: Sql, reference: str, unrepresentable: str) -> str:
    read = column.kind.read(reference)
    value = rendered(read)
    if not column.kind.holds:
        return value
    holds = column.kind.holds(read)
    if unrepresentable != "fail":
        return f"CASE WHEN {holds} THEN {value} END"
    too_much = complaint(f"column {column.source.name} {BEYOND}")
    return f"CASE WHEN {read} IS NULL OR {holds} THEN {values.text(value)} ELSE {too_much} END"


def _description(comment: str | None, note: str | None) -> str | None:
    """The comment with the note behind it. If both are too long, the comment is cut."""
    ending = f"\n{note}" if comment and note else note or ""
    return f"{(comment or '')[: _LONGEST_DESCRIPTION - len(ending)]}{ending}" or None
