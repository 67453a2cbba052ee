"""
What each PostgreSQL type becomes in BigQuery, and the SQL that renders its values so that they arrive as they were.

A rendering is an SQL expression over the column. It stands in the SELECT of a `COPY … TO STDOUT`, in a session whose
settings `statement` has fixed, so that PostgreSQL's own output of a value is the same on every server.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import names
from shared.exporting import json_limits, sql
from shared.redaction import BEYOND
from shared.tables import Column

_LONGEST_DESCRIPTION = 1024
"""Characters. BigQuery's limit for the description of a column."""


Sql = Callable[[str], str]
"""Gives an SQL expression over the column that it is told how to refer to."""


@dataclass(frozen=True, slots=True)
class Kind:
    """
    How the values of one kind of type travel.

    `csv` and `ndjson` render a column as a field of a CSV file, and as the text of a JSON value. `holds`, where PostgreSQL has
    values of the type that BigQuery cannot hold, is the condition for those that it can; `or_text`: the pipeline may ask for
    the text of all of them instead.
    """

    bigquery_type: str
    csv: Sql
    ndjson: Sql
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
        }


def _quoted(value: Sql) -> Sql:
    """The value's text as a JSON string."""
    return lambda c: f"to_json({value(c)})::text"


def _itself(c: str) -> str:
    return c


def _text(c: str) -> str:
    return f"{c}::text"


def _as(data_type: str, rendered: Sql = _itself) -> Sql:
    """
    The rendered value, as it is; an error where the column has been given a type of another kind since, such as text.

    A cast would not do, because it rounds.
    """
    return lambda c: rendered(f"coalesce({c}, NULL::{data_type})")


def _own_text(c: str) -> str:
    """A value's own output, where a cast would give another: padded char(n), inet without a mask. format() makes '' of NULL."""
    return f"CASE WHEN {c} IS DISTINCT FROM NULL THEN to_json(format('%s', {c}))::text END"


def _number(c: str) -> str:
    return f"to_json({c})::text"


def _amount(c: str) -> str:
    return f"{c}::numeric::text"


def _datetime(c: str) -> str:
    return f"to_char({c}, 'YYYY-MM-DD HH24:MI:SS.US')"


def _instant(c: str) -> str:
    return f"to_char({c} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00'"


def _time(c: str) -> str:
    return f"to_char({c}, 'HH24:MI:SS.US')"


def _base64(c: str) -> str:
    return f"translate(encode({c}, 'base64'), chr(10), '')"  # encode() breaks lines


def _blanked(c: str) -> str:
    """The text of a json in one line: raw control characters stand only between its tokens."""
    return f"translate({c}::text, chr(9) || chr(10) || chr(13), '   ')"


def _jsonb(c: str) -> str:
    return f"to_jsonb({c})::text"


def _json(c: str) -> str:
    """Where jsonb would write out all digits of 1e300, or refuses what json takes: like `_blanked`, in one line."""
    return _blanked(f"to_json({c})")


def _is_finite(c: str) -> str:
    return f"{c}::text NOT IN ('NaN', 'Infinity', '-Infinity')"


def _is_day(c: str) -> str:
    return f"{c} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31'"


def _is_time(c: str) -> str:
    return f"{c} < TIME '24:00:00'"


def _is_datetime(c: str) -> str:
    return f"{c} >= TIMESTAMP '0001-01-01 00:00:00' AND {c} < TIMESTAMP '10000-01-01 00:00:00'"


def _is_instant(c: str) -> str:
    return f"{c} >= TIMESTAMPTZ '0001-01-01 00:00:00+00' AND {c} < TIMESTAMPTZ '10000-01-01 00:00:00+00'"


def _is_held_json(text: Sql) -> Sql:
    return lambda c: json_limits.held(text(c))


_TEXT = Kind("STRING", _itself, _own_text)
_INTEGER = Kind("INT64", _as("bigint"), _quoted(_as("bigint", _text)))
_FLOAT = Kind("FLOAT64", _as("double precision"), _as("double precision", _number))
_JSON = Kind("JSON", _text, _blanked, holds=_is_held_json(_text))
_ARRAY = Kind("JSON", _jsonb, _jsonb)
_WIDE_ARRAY = replace(_ARRAY, holds=_is_held_json(_jsonb), or_text=False)
_ARRAYS = {
    "real[]": Kind("JSON", _json, _json),
    "double precision[]": Kind("JSON", _json, _json),
    "json[]": Kind("JSON", _json, _json, holds=_is_held_json(_json), or_text=False),
    "record[]": Kind("JSON", _json, _json, holds=_is_held_json(_json), or_text=False),
    "jsonb[]": _WIDE_ARRAY,
    "numeric[]": _WIDE_ARRAY,
}
"""Arrays with numbers that need care; all others are as `to_jsonb` writes them."""
_NUMERIC = Kind("NUMERIC", _as("numeric"), _quoted(_as("numeric", _text)), holds=_is_finite)
_BY_NAME = {
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "oid": _INTEGER,
    "real": replace(_FLOAT, csv=_as("real"), ndjson=_as("real", _number)),
    "double precision": _FLOAT,
    "boolean": Kind("BOOL", _as("boolean", _text), _as("boolean", _text)),
    "money": Kind("NUMERIC", _amount, _quoted(_amount)),
    "date": Kind("DATE", _itself, _quoted(_text), holds=_is_day),
    "time without time zone": Kind("TIME", _time, _quoted(_time), holds=_is_time),
    "timestamp without time zone": Kind("DATETIME", _datetime, _quoted(_datetime), holds=_is_datetime),
    "timestamp with time zone": Kind("TIMESTAMP", _instant, _quoted(_instant), holds=_is_instant),
    "bytea": Kind("BYTES", _base64, _quoted(_base64)),
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
    return _guarded(column, column.kind.csv(reference), reference, unrepresentable)


def ndjson_value(column: MappedColumn, reference: str, unrepresentable: str) -> str:
    """The SQL of a column's value as the text of a JSON value, NULL where the value is."""
    return _guarded(column, column.kind.ndjson(reference), reference, unrepresentable)


def _mapped(column: Column, name: str, unrepresentable: str) -> MappedColumn:
    kind, note = _kind(column.base_type or column.data_type), None
    if kind.holds and kind.or_text and unrepresentable == "string":
        kind, note = _TEXT, f"{column.data_type} as text, because BigQuery cannot hold all of its values."
    loses_values = kind.holds is not None and unrepresentable != "fail"
    if loses_values:
        note = f"Values of {column.data_type} that BigQuery cannot hold are NULL."
    mode = "NULLABLE" if column.nullable or loses_values else "REQUIRED"
    return MappedColumn(column, name, kind, mode, _description(column.comment, note))


def _kind(data_type: str) -> Kind:
    """The kind of a type by PostgreSQL's words for it; what is not known here travels as PostgreSQL's own text."""
    modifiers = _MODIFIERS.search(data_type)
    plain = _MODIFIERS.sub("", data_type, count=1)
    if plain.endswith("[]"):
        return _ARRAYS.get(plain, _ARRAY)
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


def _guarded(column: MappedColumn, value: str, reference: str, unrepresentable: str) -> str:
    if not column.kind.holds:
        return value
    holds = column.kind.holds(reference)
    if unrepresentable != "fail":
        return f"CASE WHEN {holds} THEN {value} END"
    # An unknown setting raises an error that repeats its name, and no part of a row.
    complaint = sql.literal(f"column {column.source.name} {BEYOND}")
    return f"CASE WHEN {reference} IS NULL OR {holds} THEN ({value})::text ELSE current_setting({complaint}) END"


def _description(comment: str | None, note: str | None) -> str | None:
    """The comment with the note behind it. If both are too long, the comment is cut."""
    ending = f"\n{note}" if comment and note else note or ""
    return f"{(comment or '')[: _LONGEST_DESCRIPTION - len(ending)]}{ending}" or None
