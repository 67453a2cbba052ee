"""
Which JSON documents BigQuery can hold as they are, as a condition in PostgreSQL's SQL.

BigQuery keeps text as Unicode, a number as INT64, UINT64 or FLOAT64 and nests to 500 levels
(https://cloud.google.com/bigquery/docs/json-data); PostgreSQL's json has none of these limits. A number counts as held if the
digits that come back are the digits that went in.
"""

from shared.exporting.sql import call, cast, infix, literal

_DEEPEST = "500"
_NOTHING = literal("")
_EVERYWHERE = literal("g")

# Up to 15 digits always come back. That much is seen at once of nearly every document; only one with a longer run of
# digits has its numbers looked at one by one, after what stands in strings was cut out.
_LONG_NUMBER = literal("[0-9][0-9.]{15}|[0-9][eE][+-]?[0-9]{3}")
_NUMBER = literal("(-?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?)")
_STRING = literal(r'"([^"\\]|\\.)*"')
_BRACKET = literal(r"[\[{]")
_INNERMOST = literal(r"[\[{][^\[\]{}]*[\]}]")
_ALL_BUT_DIGITS = literal("[eE].*$|[-.]")

# Half of a surrogate pair, which json takes and jsonb does not, is no character.
_BACKSLASHES = literal(r"\\\\")
_SURROGATE = literal(r"\\u[dD][89a-fA-F]")
_SURROGATE_PAIR = literal(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")


def held(text: str) -> str:
    """The condition under which BigQuery can hold the document whose text the SQL expression `text` gives."""
    bare = _without(text, _STRING)
    brackets = infix(call("length", text), "-", call("length", call("translate", text, literal("[{"), _NOTHING)))
    whole_characters = _without(_without(text, _BACKSLASHES), _SURROGATE_PAIR)
    return (
        f"({infix(text, '!~', _LONG_NUMBER)} OR NOT EXISTS ({_lost_numbers(bare)}))"
        f" AND ({infix(brackets, '<=', _DEEPEST)} OR NOT EXISTS ({_too_deep(bare)}))"
        f" AND ({infix(text, '!~', _SURROGATE)} OR {infix(whole_characters, '!~', _SURROGATE)})"
    )


def _without(text: str, pattern: str) -> str:
    return call("regexp_replace", text, pattern, _NOTHING, _EVERYWHERE)


def _lost_numbers(bare: str) -> str:
    """The numbers whose digits do not come back; `bare` is the document without its strings."""
    significant = call("length", call("btrim", _without("parts[1]", _ALL_BUT_DIGITS), literal("0")))
    return (
        f"SELECT FROM {call('regexp_matches', bare, _NUMBER, _EVERYWHERE)} AS found (parts), "
        f"LATERAL (SELECT parts[1] AS digits, {significant} AS significant) AS number WHERE NOT {_digits_come_back()}"
    )


def _digits_come_back() -> str:
    """Whether a number's digits do. The first two cases keep from the casts below them what would make those fail."""
    exact, as_float = cast("digits", "numeric"), cast("digits", "float8")
    again = cast(cast(as_float, "text"), "numeric")
    nines = call("repeat", literal("9"), infix("significant", "-", "1"))
    picture = call("concat", literal("9."), nines, literal("EEEE"))
    as_written = cast(call("to_char", as_float, picture), "numeric")
    magnitude = call("abs", exact)
    cases = (
        (infix(call("length", "digits"), ">", "1000"), "false"),
        (infix("digits", "~", literal("[eE][+-]?0*[1-9][0-9]{3}")), "false"),
        (infix("digits", "~", literal("^-?[0-9]+$")), _between(exact, "-9223372036854775808", "18446744073709551615")),
        (infix(exact, "=", "0"), "true"),
        (f"NOT {_between(magnitude, '4.94e-324', '1.7976931348623157e308')}", "false"),
        (infix("significant", "<=", "15"), "true"),
        (infix("significant", ">", "17"), "false"),
        (infix(again, "=", exact), "true"),
    )
    return (
        f"CASE {' '.join(f'WHEN {test} THEN {then}' for test, then in cases)} ELSE {infix(as_written, '=', exact)} END"
    )


def _between(value: str, least: str, most: str) -> str:
    return f"({infix(value, '>=', least)} AND {infix(value, '<=', most)})"


def _too_deep(bare: str) -> str:
    """A row if the document is nested too deep. Each round takes away the innermost brackets: some are left after as many rounds."""
    still = infix("rest", "~", _BRACKET)
    return (
        f"WITH RECURSIVE peeled (rest, rounds) AS (SELECT {bare}, 0 UNION ALL "
        f"SELECT {_without('rest', _INNERMOST)}, {infix('rounds', '+', '1')} FROM peeled "
        f"WHERE {infix('rounds', '<', _DEEPEST)} AND {still}) "
        f"SELECT FROM peeled WHERE {infix('rounds', '=', _DEEPEST)} AND {still}"
    )
