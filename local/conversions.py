"""The table of types in docs/values.md, made from the type map."""

from shared.exporting import typemap
from shared.tables import Column

_TYPES = (
    (("smallint", "integer", "bigint", "oid"), "exact"),
    (("numeric(12,2)",), "exact while s ≤ 9 and p - s ≤ 29; NaN is beyond BigQuery"),
    (("numeric(50,20)",), "exact while s ≤ 38 and p - s ≤ 38; NaN is beyond BigQuery"),
    (("numeric(80,40)", "numeric"), "every digit, as text"),
    (("real", "double precision"), "exact, NaN and infinities too"),
    (("money",), "exact, whatever the locale"),
    (("boolean",), "exact"),
    (("date",), "exact; infinity, BC and years past 9999 are beyond BigQuery"),
    (("time without time zone",), "exact; 24:00:00 is beyond BigQuery"),
    (
        ("timestamp without time zone",),
        "exact to the microsecond; infinity, BC and years past 9999 are beyond BigQuery",
    ),
    (("timestamp with time zone",), "the instant, in UTC; infinity, BC and years past 9999 are beyond BigQuery"),
    (("bytea",), "exact"),
    (
        ("json", "jsonb"),
        "the value, not its key order, blanks and repeated keys; numbers that FLOAT64 would round and over 500 levels are beyond BigQuery",
    ),
    (
        ("integer[]", "text[]", "numeric(12,2)[]"),
        "as `to_jsonb` writes them: NULL elements and dimensions are kept, lower bounds are not; numbers as in json",
    ),
    (
        ("text", "character varying(20)", "character(3)", "uuid", "interval", "time with time zone"),
        "exact, as PostgreSQL's own text",
    ),
    (
        ("inet", "bit(3)", "point", "tsvector", "int4range", "xml", "an enum", "a composite", "any other type"),
        "PostgreSQL's own text",
    ),
)


def table() -> str:
    """The table in Markdown: PostgreSQL types, the BigQuery type that they become, and what is exact."""
    rows = [f"| {', '.join(map(_name, types))} | {_bigquery_type(types)} | {remark} |" for types, remark in _TYPES]
    return "\n".join(["| PostgreSQL | BigQuery | |", "| --- | --- | --- |", *rows]) + "\n"


def _name(data_type: str) -> str:
    return data_type if data_type.startswith("a") and " " in data_type else f"`{data_type}`"


def _bigquery_type(types: tuple[str, ...]) -> str:
    columns = [Column("c", data_type, nullable=True) for data_type in types]
    (bigquery_type,) = {column.kind.bigquery_type for column in typemap.mapped(columns, "null")}
    return bigquery_type
