"""
How the columns of arrays are read, so that to_json and to_jsonb call no cast of somebody's own.

For elements of a type that is not built in, both look for a cast to json when a row is written, and call it.
"""

from shared.exporting.casts import FIRST_NOT_BUILT_IN
from shared.exporting.sql import Sql, call, cast, complaint, infix
from shared.redaction import ALTERED

_ELEMENTS = {
    "boolean[]": "bool",
    "smallint[]": "int2",
    "integer[]": "int4",
    "bigint[]": "int8",
    "real[]": "float8",
    "double precision[]": "float8",
    "numeric[]": "numeric",
    "date[]": "date",
    "timestamp without time zone[]": "timestamp",
    "timestamp with time zone[]": "timestamptz",
    "json[]": "json",
    "jsonb[]": "jsonb",
    "box[]": "box",  # whose arrays are delimited by semicolons
}
"""Types that come out of to_jsonb as something else than the text of a text. All others are read as texts."""


def element(array: str) -> str:
    """What the elements of an array, by PostgreSQL's words for it, are read as."""
    return _ELEMENTS.get(array, "text")


def as_built_in(c: str) -> str:
    """An array as it is, with an error for one whose type did not come with PostgreSQL."""
    number = cast(call("pg_typeof", c), "oid")
    return f"CASE WHEN {infix(number, '<', FIRST_NOT_BUILT_IN)} OR {complaint(ALTERED)} IS NULL THEN {c} END"


def from_text(read_as: str) -> Sql:
    """An array whose elements are of a user's type: its own text, read as an array of a built-in type. Domains end here."""

    def read(c: str) -> str:
        array = cast(call("format", "'%s'", c), f"{read_as}[]")
        return f"CASE WHEN {infix(call('num_nulls', c), '=', '0')} THEN {array} END"  # format() makes '' of NULL

    return read
