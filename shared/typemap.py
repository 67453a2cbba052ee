"""
What each PostgreSQL type becomes in BigQuery, and the SQL that renders its values so that they arrive as they were.

A rendering is an SQL expression over the column. It stands in the SELECT of a `COPY … TO STDOUT`, in a session whose
settings `shared.select` has fixed, so that PostgreSQL's own output of a value is the same on every server.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared import json_limits, names, sql
from shared.catalog import Column

_LONGEST_DESCRIPTION = 1024
"""Characters. BigQuery's limit for the description of a column."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How the values of one kind of type travel.

    `csv` and `ndjson` render a column that is put in their `{}`: as a field of a CSV file, and as the text of a JSON value.
    `exceeds`: PostgreSQL has values of it that BigQuery cannot hold; `holds` is the condition for those that it can.
    """

    bigquery_type: str
    csv: str
    ndjson: str
    exceeds: bool = False
    holds: str = ""


@dataclass(frozen=True, slots=True)
class MappedColumn:
    """A column as it arrives: its name, type and mode in BigQuery, and the kind that renders it."""

    source: Column
    name: str
    kind: Kind
    mode: str
    description: str | None


def _quoted(text: str) -> str:
    return f"to_json({text})::text"


# format('%s') gives a value's own output where a cast would not: padded char(n), inet without a mask. It makes '' of NULL.
_OWN_TEXT = "CASE WHEN {} IS DISTINCT FROM NULL THEN " + _quoted("format('%s', {})") + " END"
_DATETIME = "to_char({}, 'YYYY-MM-DD HH24:MI:SS.US')"
_INSTANT = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00'"
_TIME = "to_char({}, 'HH24:MI:SS.US')"
_BASE64 = "translate(encode({}, 'base64'), chr(10), '')"  # encode() breaks lines
_BLANKED = "translate({}::text, chr(9) || chr(10) || chr(13), '   ')"  # raw only between the tokens of a json
_FINITE = "{}::text NOT IN ('NaN', 'Infinity', '-Infinity')"
_DAYS = "{} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"
_DATETIMES = "{} >= TIMESTAMP '0001-01-01 00:00:00' AND {} < TIMESTAMP '10000-01-01 00:00:00'"
_INSTANTS = "{} >= TIMESTAMPTZ '0001-01-01 00:00:00+00' AND {} < TIMESTAMPTZ '10000-01-01 00:00:00+00'"

_TEXT = Kind("STRING", "{}", _OWN_TEXT)
_INTEGER = Kind("INT64", "{}", _quoted("{}::text"))
_FLOAT = Kind("FLOAT64", "{}", "to_json({})::text")
_JSON = Kind("JSON", "{}::text", _BLANKED, exceeds=True, holds=json_limits.held("{}::text"))
_ARRAY = Kind("JSON", "to_jsonb({})::text", "to_jsonb({})::text")
# Arrays of these hold numbers that the JSON of BigQuery may not.
_WIDE_ARRAY = replace(_ARRAY, exceeds=True, holds=json_limits.held("to_jsonb({})::text"))
_WIDE_ELEMENTS = ("numeric", "json", "jsonb")
_NUMERIC = Kind("NUMERIC", "{}", _quoted("{}::text"), exceeds=True, holds=_FINITE)
_BY_NAME = {
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "oid": _INTEGER,
    "real": _FLOAT,
    "double precision": _FLOAT,
    "boolean": Kind("BOOL", "{}::text", "{}::text"),
    "money": Kind("NUMERIC", "{}::numeric", _quoted("{}::numeric::text")),
    "date": Kind("DATE", "{}", _quoted("{}::text"), exceeds=True, holds=_DAYS),
    "time without time zone": Kind("TIME", _TIME, _quoted(_TIME), exceeds=True, holds="{} < TIME '24:00:00'"),
    "timestamp without time zone": Kind("DATETIME", _DATETIME, _quoted(_DATETIME), exceeds=True, holds=_DATETIMES),
    "timestamp with time zone": Kind("TIMESTAMP", _INSTANT, _quoted(_INSTANT), exceeds=True, holds=_INSTANTS),
    "bytea": Kind("BYTES", _BASE64, _quoted(_BASE64)),
    "json": _JSON,
    "jsonb": _JSON,
}
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
    return _guarded(column, column.kind.csv.replace("{}", reference), reference, unrepresentable)


def ndjson_value(column: MappedColumn, reference: str, unrepresentable: str) -> str:
    """The SQL of a column's value as the text of a JSON value, NULL where the value is."""
    return _guarded(column, column.kind.ndjson.replace("{}", reference), reference, unrepresentable)


def _mapped(column: Column, name: str, unrepresentable: str) -> MappedColumn:
    kind = _kind(column.base_type or column.data_type)
    if kind.exceeds and unrepresentable == "string":
        kind, note = _TEXT, f"{column.data_type} as text, because BigQuery cannot hold all of its values."
    elif kind.exceeds and unrepresentable == "null":
        note = f"Values of {column.data_type} that BigQuery cannot hold are NULL."
    else:
        note = None
    can_be_null = column.nullable or (kind.exceeds and unrepresentable == "null")
    return MappedColumn(
        column, name, kind, "NULLABLE" if can_be_null else "REQUIRED", _description(column.comment, note)
    )


def _kind(data_type: str) -> Kind:
    """The kind of a type by PostgreSQL's words for it; what is not known here travels as PostgreSQL's own text."""
    if data_type.endswith("[]"):
        return _WIDE_ARRAY if data_type.startswith(_WIDE_ELEMENTS) else _ARRAY
    modifiers = _MODIFIERS.search(data_type)
    if data_type.startswith("numeric(") and modifiers:
        return _numeric(int(modifiers[1]), int(modifiers[2] or 0))
    return _BY_NAME.get(_MODIFIERS.sub("", data_type, count=1), _TEXT)


def _numeric(precision: int, scale: int) -> Kind:
    """`numeric(p,s)` as a number where BigQuery holds every one of its values exactly, as text where it does not."""
    if scale <= 9 and precision - scale <= 29:
        return _NUMERIC
    if scale <= 38 and precision - scale <= 38:
        return replace(_NUMERIC, bigquery_type="BIGNUMERIC")
    return _TEXT


def _guarded(column: MappedColumn, value: str, reference: str, unrepresentable: str) -> str:
    if not column.kind.holds:
        return value
    holds = column.kind.holds.replace("{}", reference)
    if unrepresentable == "null":
        return f"CASE WHEN {holds} THEN {value} END"
    # An unknown setting raises an error that repeats its name, and no part of a row.
    complaint = sql.literal(f"column {column.source.name} holds a value that BigQuery cannot hold")
    return f"CASE WHEN {reference} IS NULL OR {holds} THEN ({value})::text ELSE current_setting({complaint}) END"


def _description(comment: str | None, note: str | None) -> str | None:
    ending = f"\n{note}" if comment and note else note or ""
    return f"{(comment or '')[: _LONGEST_DESCRIPTION - len(ending)]}{ending}" or None
