"""
What each PostgreSQL type becomes in BigQuery, and the SQL that renders its values so that they arrive as they were.

A rendering is an SQL expression over the column. It stands in the SELECT of a `COPY … TO STDOUT`, in a session whose
settings `statement` has fixed, so that PostgreSQL's own output of a value is the same on every server.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared import names
from shared.exporting import json_limits
from shared.exporting.arrays import as_built_in, element, from_text
from shared.exporting.sql import Sql, call, cast, complaint, held_to, infix
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
        }


def _quoted(value: Sql) -> Sql:
    """The value's text as a JSON string."""
    return lambda c: _text(call("to_json", value(c)))


def _itself(c: str) -> str:
    return c


def _text(c: str) -> str:
    return cast(c, "text")


def _as(data_type: str) -> Sql:
    return lambda c: held_to(c, data_type)


def _own_text(c: str) -> str:
    """A value's own output. A cast would give another: padded char(n), inet without a mask. format() makes '' of NULL."""
    own = _text(call("to_json", call("format", "'%s'", c)))
    return f"CASE WHEN {infix(call('num_nulls', c), '=', '0')} THEN {own} END"


def _number(c: str) -> str:
    return _text(call("to_json", c))


def _amount(c: str) -> str:
    return _text(cast(c, "numeric"))


def _datetime(c: str) -> str:
    return call("to_char", c, "'YYYY-MM-DD HH24:MI:SS.US'")


def _instant(c: str) -> str:
    return infix(_datetime(call("timezone", "'UTC'", c)), "||", "'+00:00'")


def _time(c: str) -> str:
    return call("to_char", c, "'HH24:MI:SS.US'")


def _base64(c: str) -> str:
    return call("translate", call("encode", c, "'base64'"), call("chr", "10"), "''")  # encode() breaks lines


def _blanked(c: str) -> str:
    """The text of a json in one line: raw control characters stand only between its tokens."""
    return call("translate", _text(c), call("concat", *(call("chr", code) for code in ("9", "10", "13"))), "'   '")


def _jsonb(c: str) -> str:
    return _text(call("to_jsonb", c))


def _json(c: str) -> str:
    """For elements of which jsonb would write out all digits of 1e300, or that it refuses: like `_blanked`, in one line."""
    return _blanked(call("to_json", c))


def _is_finite(c: str) -> str:
    values = cast("ARRAY['NaN', 'Infinity', '-Infinity']", "text[]")
    return infix(_text(c), "<>", f"ALL ({values})")


def _from(least: str, data_type: str, operator: str, most: str) -> Sql:
    """Whether a value is at least the one, and below or at the other."""
    lower, upper = cast(f"'{least}'", data_type), cast(f"'{most}'", data_type)
    return lambda c: f"{infix(c, '>=', lower)} AND {infix(c, operator, upper)}"


def _is_time(c: str) -> str:
    return infix(c, "<", cast("'24:00:00'", "time"))


def _is_held_json(text: Sql) -> Sql:
    return lambda c: json_limits.held(text(c))


_is_day = _from("0001-01-01", "date", "<=", "9999-12-31")
_is_datetime = _from("0001-01-01 00:00:00", "timestamp", "<", "10000-01-01 00:00:00")
_is_instant = _from("0001-01-01 00:00:00+00", "timestamptz", "<", "10000-01-01 00:00:00+00")

_TEXT = Kind("STRING", _itself, _own_text, _itself)
_INTEGER = Kind("INT64", _itself, _quoted(_text), _as("int8"))
_FLOAT = Kind("FLOAT64", _itself, _number, _as("float8"))
_JSON = Kind("JSON", _text, _blanked, _as("json"), holds=_is_held_json(_text))
_NUMERIC = Kind("NUMERIC", _itself, _quoted(_text), _as("numeric"), holds=_is_finite)
_BY_NAME = {
    "smallint": _INTEGER,
    "integer": _INTEGER,
    "bigint": _INTEGER,
    "oid": _INTEGER,
    "real": replace(_FLOAT, read=_as("float4")),
    "double precision": _FLOAT,
    "boolean": Kind("BOOL", _text, _text, _as("bool")),
    "money": Kind("NUMERIC", _amount, _quoted(_amount), _as("money")),
    "date": Kind("DATE", _itself, _quoted(_text), _as("date"), holds=_is_day),
    "time without time zone": Kind("TIME", _time, _quoted(_time), _as("time"), holds=_is_time),
    "timestamp without time zone": Kind(
        "DATETIME", _datetime, _quoted(_datetime), _as("timestamp"), holds=_is_datetime
    ),
    "timestamp with time zone": Kind("TIMESTAMP", _instant, _quoted(_instant), _as("timestamptz"), holds=_is_instant),
    "bytea": Kind("BYTES", _base64, _quoted(_base64), _as("bytea")),
    "json": _JSON,
    "jsonb": replace(_JSON, read=_as("jsonb")),
}
_ARRAY = Kind("JSON", _jsonb, _jsonb, as_built_in)
_WIDE_ARRAY = replace(_ARRAY, holds=_is_held_json(_jsonb), or_text=False)
_JSON_ARRAY = Kind("JSON", _json, _json, as_built_in, holds=_is_held_json(_json), or_text=False)
_ARRAYS = {
    "real[]": replace(_ARRAY, csv=_json, ndjson=_json),
    "double precision[]": replace(_ARRAY, csv=_json, ndjson=_json),
    "json[]": _JSON_ARRAY,
    "record[]": replace(_JSON_ARRAY, read=_itself),
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
    return f"CASE WHEN {read} IS NULL OR {holds} THEN {_text(value)} ELSE {too_much} END"


def _description(comment: str | None, note: str | None) -> str | None:
    """The comment with the note behind it. If both are too long, the comment is cut."""
    ending = f"\n{note}" if comment and note else note or ""
    return f"{(comment or '')[: _LONGEST_DESCRIPTION - len(ending)]}{ending}" or None
