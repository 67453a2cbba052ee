"""
The SQL that renders a value: an expression over another one.

It stands in the SELECT of a `COPY … TO STDOUT`, in a session whose settings `statement` has fixed, so that PostgreSQL's own output
of a value is the same on every server.
"""

from shared.exporting import json_limits
from shared.exporting.sql import Sql, call, cast, held_to, infix


def quoted(value: Sql) -> Sql:
    """The value's text as a JSON string."""
    return lambda c: text(call("to_json", value(c)))


def itself(c: str) -> str:
    return c


def text(c: str) -> str:
    return cast(c, "text")


def held_as(data_type: str) -> Sql:
    return lambda c: held_to(c, data_type)


def own_text(c: str) -> str:
    """A value's own output. A cast would give another: padded char(n), inet without a mask. format() makes '' of NULL."""
    own = text(call("to_json", call("format", "'%s'", c)))
    return f"CASE WHEN {infix(call('num_nulls', c), '=', '0')} THEN {own} END"


def hashed(c: str) -> str:
    """The SHA-256 of a value's own output, in UTF-8, as lower-case hexadecimal digits."""
    own = call("convert_to", call("format", "'%s'", c), "'UTF8'")
    digits = call("encode", call("sha256", own), "'hex'")
    return f"CASE WHEN {infix(call('num_nulls', c), '=', '0')} THEN {digits} END"


def number(c: str) -> str:
    return text(call("to_json", c))


def amount(c: str) -> str:
    return text(cast(c, "numeric"))


def datetime(c: str) -> str:
    return call("to_char", c, "'YYYY-MM-DD HH24:MI:SS.US'")


def instant(c: str) -> str:
    return infix(datetime(call("timezone", "'UTC'", c)), "||", "'+00:00'")


def time(c: str) -> str:
    return call("to_char", c, "'HH24:MI:SS.US'")


def base64(c: str) -> str:
    return call("translate", call("encode", c, "'base64'"), call("chr", "10"), "''")  # encode() breaks lines


def blanked(c: str) -> str:
    """The text of a json in one line: raw control characters stand only between its tokens."""
    return call("translate", text(c), call("concat", *(call("chr", code) for code in ("9", "10", "13"))), "'   '")


def jsonb(c: str) -> str:
    return text(call("to_jsonb", c))


def json(c: str) -> str:
    """For elements of which jsonb would write out all digits of 1e300, or that it refuses: like `blanked`, in one line."""
    return blanked(call("to_json", c))


def is_finite(c: str) -> str:
    values = cast("ARRAY['NaN', 'Infinity', '-Infinity']", "text[]")
    return infix(text(c), "<>", f"ALL ({values})")


def _from(least: str, data_type: str, operator: str, most: str) -> Sql:
    """Whether a value is at least the one, and below or at the other."""
    lower, upper = cast(f"'{least}'", data_type), cast(f"'{most}'", data_type)
    return lambda c: f"{infix(c, '>=', lower)} AND {infix(c, operator, upper)}"


def is_time(c: str) -> str:
    return infix(c, "<", cast("'24:00:00'", "time"))


def is_held_json(text: Sql) -> Sql:
    return lambda c: json_limits.held(text(c))


is_day = _from("0001-01-01", "date", "<=", "9999-12-31")
is_datetime = _from("0001-01-01 00:00:00", "timestamp", "<", "10000-01-01 00:00:00")
is_instant = _from("0001-01-01 00:00:00+00", "timestamptz", "<", "10000-01-01 00:00:00+00")
