"""Domains, enums, composites and the types of an extension: what people make of PostgreSQL's own types."""

from collections.abc import Callable, Sequence

import pytest
from pg8000.native import identifier, literal

from shared.errors import Permanent
from shared.messages.exports import TableExport
from tests.support import expected as values
from tests.support.mirrored import Mirror, Services

pytestmark = pytest.mark.soak

TYPES = (
    "CREATE DOMAIN euros AS numeric(12,2)",
    "CREATE DOMAIN price AS euros CHECK (VALUE <> 13)",
    "CREATE DOMAIN digits AS numeric",
    "CREATE DOMAIN prices AS price[]",
    "CREATE DOMAIN document AS json",
    "CREATE DOMAIN birthday AS date",
    "CREATE DOMAIN padded AS char(4)",
    """CREATE TYPE mood AS ENUM ('', 'sad', ' ok ', 'it''s "fine"', 'a,b', E'c\\nd', 'NULL', '{}')""",
    "CREATE TYPE pair AS (number int, label text)",
    "CREATE TYPE parcel AS (weight numeric, sent timestamptz, content json, inner_pair pair, moods mood[])",
    "CREATE TYPE floatrange AS RANGE (subtype = float8)",
    "CREATE EXTENSION vector",  # the last one, which PostgreSQL 11 does without
)
EURO = values.limited_numeric("NUMERIC")
PAIR = values.composite(number=values.INTEGER, label=values.TEXT)
PARCEL = values.composite(
    weight=values.kind("numeric"),
    sent=values.kind("timestamptz"),
    content=values.JSON,
    inner_pair=PAIR,
    moods=values.Kind(leaf=values.TEXT.array.read),
)
COLUMNS = {
    "euros": (EURO, ("1.5", "-9999999999.99", "NaN")),
    "price": (EURO, ("1.5", "NaN")),
    "digits": (values.kind("numeric"), ("1e-40", "NaN", "1" * 60)),
    "price[]": (EURO.array, ("{}", "{1.5,NULL,NaN}", "{{9999999999.99},{0}}")),
    "digits[]": (values.kind("numeric").array, ("{1.5,NULL}", "{3.14159265358979323846}", "{18446744073709551616}")),
    "prices": (EURO.array, ("{}", "{1.5,NULL}")),
    "document": (values.JSON, ('{"a":  1}', "18446744073709551616", "null")),
    "document[]": (values.JSON.array, ('{"{\\"a\\": 1.5}",NULL}', "{18446744073709551616}")),
    "birthday": (values.kind("date"), ("2026-11-22", "infinity", "0044-03-15 BC")),
    "padded": (values.TEXT, ("", "ab", "abcd")),
    "mood": (values.TEXT, ("", "sad", " ok ", 'it\'s "fine"', "a,b", "c\nd", "NULL", "{}")),
    "mood[]": (values.TEXT.array, ("{}", '{"",NULL,"NULL"," ok ","it\'s \\"fine\\"","a,b","c\nd","{}"}')),
    "pair": (values.TEXT, ("(1,)", "(,)", '(,"")', '(-1,"a ""b"" (c),\n\\\\")', "(1,NULL)")),
    "pair[]": (PAIR.array, ('{"(1,)","(,)",NULL,"(2,\\"a \\\\\\"b\\\\\\",c\\")"}', "{}")),
    "parcel": (values.TEXT, ('(1.50,"2026-11-22 03:04+01","{""a"": 1}","(1,x)","{sad,NULL}")', "(,,,,)")),
    "parcel[]": (
        PARCEL.array,
        (
            '{"(1.50,\\"2026-11-22 03:04+01\\",\\"{\\"\\"a\\"\\": [1]}\\",\\"(1,x)\\",\\"{sad,NULL}\\")"}',
            '{"(18446744073709551616,,,,)"}',
            '{"(,,3.14159265358979323846,,)","(NaN,infinity,,,)"}',
        ),
    ),
    "floatrange": (values.TEXT, ("[0.1,1e300)", "empty", "(,NaN]")),
    "floatmultirange": (values.TEXT, ("{}", "{[0.1,0.3),[1e300,]}")),
    "vector": (values.TEXT, ("[1,2.5,-0.1]", "[0]")),
    "vector(2)": (values.TEXT, ("[1,2]",)),
    "vector[]": (values.TEXT.array, ('{"[1,2]",NULL}', "{}")),
    "halfvec": (values.TEXT, ("[1,2.5]",)),
    "sparsevec": (values.TEXT, ("{1:1.5,3:2}/5",)),
}  # fmt: skip
"""Types, what their values are when they have arrived, and some of these."""
_OF_EXTENSION = ("vector", "vector(2)", "vector[]", "halfvec", "sparsevec")
COLUMNS_11 = {name: column for name, column in COLUMNS.items() if name not in (*_OF_EXTENSION, "floatmultirange")}
"""What PostgreSQL 11 has of them: it was built without the extension."""

EITHER = pytest.mark.parametrize("file_format", ["csv", "ndjson"])


@pytest.mark.parametrize(
    ("server", "file_format", "policy", "columns"),
    [
        pytest.param("default", "csv", "null", COLUMNS, id="default-csv-null"),
        pytest.param("hostile", "ndjson", "null", COLUMNS, id="hostile-ndjson-null"),
        pytest.param("hostile", "csv", "string", COLUMNS, id="hostile-csv-string"),
        pytest.param("11", "csv", "null", COLUMNS_11, id="11-csv-null"),
        pytest.param("11", "ndjson", "string", COLUMNS_11, id="11-ndjson-string"),
    ],
)
def test_values_of_ones_own_types_arrive_as_they_were(
    services_of: Callable[[str], Services],
    server: str,
    file_format: str,
    policy: str,
    columns: dict[str, tuple[values.Kind, Sequence[str]]],
) -> None:
    with Mirror(services_of(server), server, format=file_format, unrepresentable=policy) as mirror:
        mirror.run(*(TYPES if server != "11" else TYPES[:-1]))
        for number, (data_type, (_, samples)) in enumerate(columns.items()):
            rows = ", ".join(f"({place}, {literal(sample)})" for place, sample in enumerate(samples))
            mirror.run(
                f"CREATE TABLE t{number} (id int, v {data_type})", f"INSERT INTO t{number} VALUES {rows}, (-1, NULL)"
            )
        exports = {export.table: export for export in mirror.listed()}
        differences = {}
        for number, (data_type, (kind, _)) in enumerate(columns.items()):
            differences[data_type] = difference(mirror, exports[f"t{number}"], kind, policy)

    assert {data_type: found for data_type, found in differences.items() if found} == {}


def difference(mirror: Mirror, export: TableExport, kind: values.Kind, policy: str) -> object:
    """What arrived otherwise than it should have, or why nothing did."""
    try:
        mirror.shown(mirror.copied(export))
    except Permanent as refused:
        return str(refused)
    table = export.table
    bigquery_type = mirror.schema(table)["columns"][1]["bigquery_type"]
    said = [text for _, text in mirror.said(f"SELECT * FROM {table} ORDER BY id")]
    found = [values.arrived(value, bigquery_type) for _, value in sorted(mirror.rows(table), key=lambda row: row[0])]
    wanted = [kind.expected(text, policy) for text in said]
    return [
        (text, want, value)
        for text, want, value in zip(said, wanted, found, strict=True)
        if not values.same(want, value)
    ]


UNHELD = {
    "date": "infinity",
    "time": "24:00:00",
    "timestamp": "0044-03-15 BC",
    "timestamptz": "10000-01-01",
    "numeric(12,2)": "NaN",
    "numeric(60,30)": "NaN",
    "json": "18446744073709551616",
    "jsonb": "3.14159265358979323846",
    "numeric[]": "{1e400}",
    "jsonb[]": "{18446744073709551616}",
}


@pytest.mark.parametrize(
    ("data_type", "file_format"), [*((name, "csv") for name in UNHELD), ("date", "ndjson"), ("json", "ndjson")]
)
def test_where_a_value_is_to_fail_its_table_the_reason_names_the_column(
    services: Services, data_type: str, file_format: str
) -> None:
    with Mirror(services, format=file_format, unrepresentable="fail") as mirror:
        column = f"what was sent: {data_type}"
        mirror.run(
            f"CREATE TABLE t (id int, {identifier(column)} {data_type})",
            f"INSERT INTO t VALUES (1, NULL), (2, {literal(UNHELD[data_type])})",
        )
        [export] = mirror.listed()

        with pytest.raises(Permanent) as failure:
            mirror.exported(export)

    assert f"column {column} holds a value that BigQuery cannot hold" in str(failure.value)
    assert UNHELD[data_type] not in str(failure.value)


@pytest.mark.parametrize("column", ['what "was" sent', "what 'was' sent", "it's", 'a": b', "größe"])
def test_the_reason_names_a_column_of_any_name(services: Services, column: str) -> None:
    with Mirror(services, unrepresentable="fail") as mirror:
        mirror.run(f"CREATE TABLE t (id int, {identifier(column)} date)", "INSERT INTO t VALUES (1, 'infinity')")
        [export] = mirror.listed()

        with pytest.raises(Permanent) as failure:
            mirror.exported(export)

    assert f"column {column} holds" in str(failure.value)


@EITHER
@pytest.mark.parametrize("document", ['"\\u0000"', '{"a\\u0000": 1}', '"\\ud83d"', '["\\udc00 x"]'])
def test_a_json_that_is_no_unicode_text_does_not_fail_its_table(
    services: Services, document: str, file_format: str
) -> None:
    """PostgreSQL's json, unlike jsonb, takes escapes of NUL and of half a surrogate pair."""
    with Mirror(services, format=file_format) as mirror:
        mirror.run(
            "CREATE TABLE t (id int, v json, w json[])",
            f"INSERT INTO t VALUES (1, {literal(document)}, ARRAY[{literal(document)}]::json[]), (2, '7', '{{7}}')",
        )

        mirror.mirror()

        assert (2, 7, [7]) in mirror.rows("t")


def test_a_setting_that_quotes_every_name_changes_no_type(services: Services) -> None:
    with Mirror(services) as mirror:
        mirror.run(
            f"ALTER DATABASE {mirror.pipeline.database} SET quote_all_identifiers = on",
            "CREATE DOMAIN day AS date",
            "CREATE TABLE t (a date, b bytea, c money, d oid, e uuid, f day, g json[])",
        )

        mirror.mirror()

        described = mirror.schema("t")["columns"]
        assert [column["bigquery_type"] for column in described] == [
            *("DATE", "BYTES", "NUMERIC", "INT64", "STRING", "DATE", "JSON")
        ]
