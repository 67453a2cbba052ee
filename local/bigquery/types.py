"""BigQuery's types: how each is stored in DuckDB, read from a file's text, and printed in an answer.

Text is read as https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv#data_types says. The page does not
define blanks around a value, Unix epochs, exponents in NUMERIC and BIGNUMERIC, and offsets of one digit: all refused.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local.bigquery.decimals import KEY_DIGITS, packed
from local.bigquery.documents import normalized

_DATE = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_MINUTES = "([01][0-9]|2[0-3]):[0-5][0-9]"
_SECONDS = ":[0-5][0-9]([.][0-9]{1,6})?"
_OFFSET = "[+-][0-9]{2}(:[0-9]{2})?"
_ZONE = f" ?(Z|UTC|{_OFFSET})"
_STAMP = f"[0-9]{{4}}[-/][0-9]{{2}}[-/][0-9]{{2}}[ T]{_MINUTES}({_SECONDS})?"
_NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)"
_LAST_MICROSECOND = 253402300799999999
_FIRST_MICROSECOND = -62135596800000000
_BIGNUMERIC = 'STRUCT(bignumeric VARCHAR, "text" VARCHAR)'


def _matching(pattern: str, cast: str) -> str:
    return f"CASE WHEN regexp_full_match({{c}}, '{pattern}') THEN {cast} END"


# A timestamp without an offset is in UTC in BigQuery. DuckDB would read it in the machine's time zone.
_WITH_OFFSET = f"{{c}} || CASE WHEN regexp_full_match({{c}}, '{_STAMP}') THEN 'Z' ELSE '' END"
_RESPELLED = (("/", "-"), ("UTC", "Z"), ("Z", "+00"), (" +", "+"), (" -", "-"))
_FRACTION = "CASE WHEN {c}::VARCHAR LIKE '%.%' THEN rpad({c}::VARCHAR, {width}, '0') ELSE {c}::VARCHAR END"


@dataclass(frozen=True)
class Type:
    """
    One type, by the name that tables.get gives it.

    `column` is its type in DuckDB. `parse`, `text` and `size` are SQL in which `{c}` stands for a column. `parse` gives
    NULL for text that it cannot read. `prepare` converts the text before `parse`.
    """

    name: str
    column: str
    parse: str
    text: str = "{c}::VARCHAR"
    size: str = "8 * count({c})"
    prepare: Callable[[str], str | None] | None = None


def _instant() -> str:
    text = _WITH_OFFSET
    for found, written in _RESPELLED:
        text = f"replace({text}, '{found}', '{written}')"
    value = f"try_cast({text} AS TIMESTAMPTZ)"
    inside = f"epoch_us({value}) BETWEEN {_FIRST_MICROSECOND} AND {_LAST_MICROSECOND}"
    slow = _matching(f"{_STAMP}({_ZONE})?", f"CASE WHEN {inside} THEN {value} END")
    # As PostgreSQL writes it, and far from the first and the last microsecond: a tenth of the time.
    usual = f"regexp_full_match({{c}}, '{_DATE} {_MINUTES}{_SECONDS}{_OFFSET}') AND {{c}} BETWEEN '0002' AND '9999'"
    return f"CASE WHEN {usual} THEN try_cast({{c}} AS TIMESTAMPTZ) ELSE {slow} END"


_FLOAT_TEXT = (
    "CASE WHEN isnan({c}) THEN 'NaN' WHEN isinf({c}) THEN CASE WHEN {c} > 0 THEN 'Infinity' ELSE '-Infinity' END"
    " ELSE {c}::VARCHAR END"
)
_FLOAT_PARSE = (
    f"CASE WHEN regexp_full_match({{c}}, '{_NUMBER}([eE][+-]?[0-9]+)?')"
    " THEN CASE WHEN isfinite(try_cast({c} AS DOUBLE)) THEN try_cast({c} AS DOUBLE) END"
    " WHEN regexp_full_match({c}, '(?i)nan|[+-]?inf(inity)?') THEN try_cast({c} AS DOUBLE) END"
)

# Not with IN: DuckDB plans each list as a join, and the planning time grows with the cube of the number of columns.
_BOOLEAN_PARSE = (
    "CASE WHEN regexp_full_match(lower({c}), '1|true|t|yes|y') THEN true"
    " WHEN regexp_full_match(lower({c}), '0|false|f|no|n') THEN false END"
)

TYPES = {
    each.name: each
    for each in (
        Type("STRING", "VARCHAR", "{c}", "{c}", "coalesce(sum(2 + strlen({c})), 0)"),
        Type(
            "BYTES",
            "BLOB",
            _matching("[A-Za-z0-9+/]*={0,2}", "CASE WHEN length({c}) % 4 = 0 THEN from_base64({c}) END"),
            "base64({c})",
            "coalesce(sum(2 + octet_length({c})), 0)",
        ),
        Type("INTEGER", "BIGINT", _matching("[+-]?[0-9]+", "try_cast({c} AS BIGINT)")),
        Type("FLOAT", "DOUBLE", _FLOAT_PARSE, _FLOAT_TEXT),
        Type(
            "BOOLEAN",
            "BOOLEAN",
            _BOOLEAN_PARSE,
            size="count({c})",
        ),
        Type(
            "NUMERIC",
            "DECIMAL(38,9)",
            _matching(r"[+-]?(0*[0-9]{1,29}(\.[0-9]{0,9}0*)?|0*\.[0-9]{1,9}0*)", "try_cast({c} AS DECIMAL(38,9))"),
            "rtrim(rtrim({c}::VARCHAR, '0'), '.')",
            "16 * count({c})",
        ),
        Type(
            "BIGNUMERIC",
            _BIGNUMERIC,
            f"CASE WHEN {{c}} IS NOT NULL THEN struct_pack(bignumeric := left({{c}}, {KEY_DIGITS}),"
            f' "text" := substr({{c}}, {KEY_DIGITS + 1})) END',
            '({c})."text"',
            "32 * count({c})",
            packed,
        ),
        Type("DATE", "DATE", _matching(_DATE, "CASE WHEN {c} >= '0001' THEN try_cast({c} AS DATE) END")),
        Type(
            "TIME",
            "TIME",
            _matching(_MINUTES + _SECONDS, "try_cast({c} AS TIME)"),
            _FRACTION.replace("{width}", "15"),
        ),
        Type(
            "DATETIME",
            "TIMESTAMP",
            _matching(
                f"{_DATE}[ T]{_MINUTES}{_SECONDS}", "CASE WHEN {c} >= '0001' THEN try_cast({c} AS TIMESTAMP) END"
            ),
            f"replace({_FRACTION}, ' ', 'T')".replace("{width}", "26"),
        ),
        Type("TIMESTAMP", "TIMESTAMPTZ", _instant(), "epoch_us({c})::VARCHAR"),
        Type("JSON", "JSON", "{c}::JSON", "{c}::VARCHAR", "coalesce(sum(2 + strlen({c}::VARCHAR)), 0)", normalized),
    )
}

# https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#integer_types and the others' aliases
STANDARD = {"INT64": "INTEGER", "FLOAT64": "FLOAT", "BOOL": "BOOLEAN", "DECIMAL": "NUMERIC", "BIGDECIMAL": "BIGNUMERIC"}

# BigQuery's types by DuckDB's names for the types of a query's result.
OF_DUCKDB = {each.column: each.name for each in TYPES.values()} | {
    '"NULL"': "INTEGER",  # https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#null
    "HUGEINT": "INTEGER",
    "INTEGER": "INTEGER",
    "SMALLINT": "INTEGER",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TINYINT": "INTEGER",
    "UTINYINT": "INTEGER",
}

_REPEATED = Type(
    "STRING",
    "VARCHAR[]",
    "from_json({c}, '[\"VARCHAR\"]')",
    "to_json({c})::VARCHAR",
    "coalesce(sum(list_sum([2 + strlen(each) for each in {c}])), 0)",
)
"""Texts of a column that is REPEATED, as a JSON array."""
OF_DUCKDB[_REPEATED.column] = _REPEATED.name


def type_of(field: Mapping[str, Any]) -> Type:
    """The type of a column, by its type and its mode."""
    return _REPEATED if is_repeated(field) else TYPES[field["type"]]


def is_repeated(field: Mapping[str, Any]) -> bool:
    """Whether each row has any number of values there."""
    return bool(field["mode"] == "REPEATED")
