"""
Which JSON documents BigQuery can hold as they are, as a condition in PostgreSQL's SQL.

BigQuery keeps text as Unicode, a number as INT64, UINT64 or FLOAT64 and nests to 500 levels
(https://cloud.google.com/bigquery/docs/json-data); PostgreSQL's json has none of these limits. A number counts as held where the
digits that come back are the digits that went in.
"""

from shared.exporting.sql import literal

_DEEPEST = 500

# Up to 15 digits always come back. That much is seen at once of nearly every document; only one with a longer run of
# digits has its numbers looked at one by one, after what stands in strings was cut out.
_LONG_NUMBER = literal("[0-9][0-9.]{15}|[0-9][eE][+-]?[0-9]{3}")
_NUMBER = literal("(-?[0-9][0-9.]*(?:[eE][+-]?[0-9]+)?)")
_STRING = literal(r'"([^"\\]|\\.)*"')
_BRACKET = literal(r"[\[{]")
_INNERMOST = literal(r"[\[{][^\[\]{}]*[\]}]")

# Half of a surrogate pair, which json takes and jsonb does not, is no character.
_BACKSLASHES = literal(r"\\\\")
_SURROGATE = literal(r"\\u[dD][89a-fA-F]")
_SURROGATE_PAIR = literal(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}")

# The first two cases keep from the casts below them what would make those fail.
_DIGITS_COME_BACK = """CASE
    WHEN length(digits) > 1000 OR digits ~ '[eE][+-]?0*[1-9][0-9]{3}' THEN false
    WHEN digits ~ '^-?[0-9]+$' THEN digits::numeric BETWEEN -9223372036854775808 AND 18446744073709551615
    WHEN digits::numeric = 0 THEN true
    WHEN abs(digits::numeric) NOT BETWEEN 5e-324 AND 1.7976931348623157e308 THEN false
    WHEN significant <= 15 THEN true
    WHEN significant > 17 THEN false
    WHEN digits::float8::text::numeric = digits::numeric THEN true
    ELSE to_char(digits::float8, '9.' || repeat('9', significant - 1) || 'EEEE')::numeric = digits::numeric
END"""
_SIGNIFICANT = "length(btrim(regexp_replace(parts[1], '[eE].*$|[-.]', '', 'g'), '0'))"


def held(text: str) -> str:
    """The condition under which BigQuery can hold the document whose text the SQL expression `text` gives."""
    bare = f"regexp_replace({text}, {_STRING}, '', 'g')"
    lost = (
        f"SELECT FROM regexp_matches({bare}, {_NUMBER}, 'g') AS found (parts), "
        f"LATERAL (SELECT parts[1] AS digits, {_SIGNIFICANT} AS significant) AS number WHERE NOT {_DIGITS_COME_BACK}"
    )
    # Each round takes away the innermost brackets: what is left after as many rounds as levels are allowed is too deep.
    deep = (
        f"WITH RECURSIVE peeled (rest, rounds) AS (SELECT {bare}, 0 UNION ALL "
        f"SELECT regexp_replace(rest, {_INNERMOST}, '', 'g'), rounds + 1 FROM peeled WHERE rounds < {_DEEPEST} AND rest ~ {_BRACKET}) "
        f"SELECT FROM peeled WHERE rounds = {_DEEPEST} AND rest ~ {_BRACKET}"
    )
    brackets = f"length({text}) - length(translate({text}, '[{{', ''))"
    whole_characters = f"regexp_replace(regexp_replace({text}, {_BACKSLASHES}, '', 'g'), {_SURROGATE_PAIR}, '', 'g')"
    return (
        f"({text} !~ {_LONG_NUMBER} OR NOT EXISTS ({lost}))"
        f" AND ({brackets} <= {_DEEPEST} OR NOT EXISTS ({deep}))"
        f" AND ({text} !~ {_SURROGATE} OR {whole_characters} !~ {_SURROGATE})"
    )
