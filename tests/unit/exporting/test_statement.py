"""What PostgreSQL makes of the SELECT of an export, whatever it is set to: exactly the text that the contract promises."""

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pg8000.native
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pg8000.exceptions import DatabaseError

from local.postgres import Postgres
from shared.errors import Permanent
from shared.exporting import statement, typemap
from shared.exporting.statement import Extraction
from shared.gcp.postgres import Postgres as Source
from shared.listing import columns, selection
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from tests.support import usurpers
from tests.support.asked import export_of

HOSTILE = {
    "timezone": "Asia/Kathmandu",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "bytea_output": "escape",
    "extra_float_digits": "-10",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
}
CONTRACT = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "3",
}
TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s "ok"');
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN euros AS numeric(12,2);
CREATE DOMAIN price AS euros;
CREATE DOMAIN numbers AS integer[];
CREATE DOMAIN num AS numeric;
CREATE DOMAIN nums AS num[];
CREATE DOMAIN more AS nums;
CREATE DOMAIN floats AS float8[];
CREATE TYPE amount AS (a num);
CREATE DOMAIN amounts AS amount[];
CREATE DOMAIN documents AS jsonb[];
"""
LONG_BASE64 = base64.b64encode(b"\x00\xff" * 60).decode()  # encode() of PostgreSQL breaks its lines
UUID = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
FIELD = re.compile(r'(?:"((?:[^"]|"")*)"|([^",\n]*))([,\n])')

# A type, an SQL expression of a value that BigQuery's holds, and its text in a CSV file and in an ndjson file.
HELD = [
    ("smallint", "-32768", "-32768", '"-32768"'),
    ("integer", "7", "7", '"7"'),
    ("bigint", "9223372036854775807", "9223372036854775807", '"9223372036854775807"'),
    ("oid", "4294967295", "4294967295", '"4294967295"'),
    ("real", "1.1", "1.1", "1.1"),
    ("real", "'NaN'", "NaN", '"NaN"'),
    ("double precision", "0.1::float8 + 0.2::float8", "0.30000000000000004", "0.30000000000000004"),
    ("double precision", "1e300", "1e+300", "1e+300"),
    ("double precision", "'Infinity'", "Infinity", '"Infinity"'),
    ("double precision", "'-Infinity'", "-Infinity", '"-Infinity"'),
    ("boolean", "true", "true", "true"),
    ("boolean", "false", "false", "false"),
    ("numeric(12,3)", "1.5", "1.500", '"1.500"'),
    ("numeric(5,-2)", "12345", "12300", '"12300"'),
    ("numeric(60,38)", "-0.1", "-0.1" + "0" * 37, '"-0.1' + "0" * 37 + '"'),
    ("numeric", "'1.50'", "1.50", '"1.50"'),
    ("numeric", "'NaN'", "NaN", '"NaN"'),
    ("money", "'-1234567.80'::numeric::money", "-1234567.80", '"-1234567.80"'),
    ("date", "'2026-11-22'", "2026-11-22", '"2026-11-22"'),
    ("date", "'0001-01-01'", "0001-01-01", '"0001-01-01"'),
    ("date", "'9999-12-31'", "9999-12-31", '"9999-12-31"'),
    ("time", "'03:04:05'", "03:04:05.000000", '"03:04:05.000000"'),
    ("time(3)", "'23:59:59.999'", "23:59:59.999000", '"23:59:59.999000"'),
    ("timestamp", "'2026-11-22 03:04:05'", "2026-11-22 03:04:05.000000", '"2026-11-22 03:04:05.000000"'),
    ("timestamp", "'0001-01-01'", "0001-01-01 00:00:00.000000", '"0001-01-01 00:00:00.000000"'),
    ("timestamp", "'9999-12-31 23:59:59.999999'", "9999-12-31 23:59:59.999999", '"9999-12-31 23:59:59.999999"'),
    (
        "timestamptz",
        "'2026-11-22 03:04:05.5+01'",
        "2026-11-22 02:04:05.500000+00:00",
        '"2026-11-22 02:04:05.500000+00:00"',
    ),
    (
        "timestamptz(0)",
        "'0001-01-01 00:00:00+00'",
        "0001-01-01 00:00:00.000000+00:00",
        '"0001-01-01 00:00:00.000000+00:00"',
    ),
    ("bytea", "decode('00ff', 'hex')", "AP8=", '"AP8="'),
    ("bytea", "decode(repeat('00ff', 60), 'hex')", LONG_BASE64, f'"{LONG_BASE64}"'),
    ("bytea", "decode('', 'hex')", '""', '""'),
    ("json", """'{"a":  1.10}'""", '"{""a"":  1.10}"', '{"a":  1.10}'),
    ("json", """E'[1,\\n\\t2\\r]'""", '"[1,\n\t2\r]"', "[1,  2 ]"),
    ("json", "'null'", "null", "null"),
    ("jsonb", """'{"b": [1, null], "a": "x"}'""", '"{""a"": ""x"", ""b"": [1, null]}"', '{"a": "x", "b": [1, null]}'),
    ("jsonb", "'null'", "null", "null"),
    ("integer[]", "'{1,NULL,3}'", '"[1, null, 3]"', "[1, null, 3]"),
    ("integer[]", "'{}'", "[]", "[]"),
    ("text[]", """'{{a,"b,c"},{"",NULL}}'""", '"[[""a"", ""b,c""], ["""", null]]"', '[["a", "b,c"], ["", null]]'),
    ("numeric(4,2)[]", "'{1.5,NaN}'", '"[1.50, ""NaN""]"', '[1.50, "NaN"]'),
    (
        "timestamptz[]",
        "'{2026-11-22 03:04:05+01}'",
        '"[""2026-11-22T02:04:05+00:00""]"',
        '["2026-11-22T02:04:05+00:00"]',
    ),
    ("text", "''", '""', '""'),
    ("text", "'NULL'", "NULL", '"NULL"'),
    ("text", "' a '", " a ", '" a "'),
    ("text", "'a,b'", '"a,b"', '"a,b"'),
    ("text", """'say "hi"'""", '"say ""hi"""', r'"say \"hi\""'),
    ("text", r"E'a\nb\r\\'", '"a\nb\r\\"', r'"a\nb\r\\"'),
    ("text", r"E'\x01\x02\x7f'", "\x01\x02\x7f", '"\\u0001\\u0002\x7f"'),
    ("text", r"E'\\.'", r"\.", r'"\\."'),
    ("text", "'größe 🙂'", "größe 🙂", '"größe 🙂"'),
    ("char(5)", "'ab'", "ab   ", '"ab   "'),
    ("varchar(5)", "'ab'", "ab", '"ab"'),
    ('"char"', "'a'", "a", '"a"'),
    ("name", "'ab'", "ab", '"ab"'),
    ("uuid", f"'{UUID.upper()}'", UUID, f'"{UUID}"'),
    ("inet", "'10.0.0.1'", "10.0.0.1", '"10.0.0.1"'),
    ("cidr", "'10.0.0.0/8'", "10.0.0.0/8", '"10.0.0.0/8"'),
    ("macaddr", "'08-00-2B-01-02-03'", "08:00:2b:01:02:03", '"08:00:2b:01:02:03"'),
    ("bit(3)", "B'101'", "101", '"101"'),
    ("interval", "'1 year -2 days 03:04:05'", "1 year -2 days +03:04:05", '"1 year -2 days +03:04:05"'),
    ("timetz", "'03:04:05+01'", "03:04:05+01", '"03:04:05+01"'),
    ("int4range", "'[1,3]'", '"[1,4)"', '"[1,4)"'),
    ("daterange", "'[2026-11-22,)'", '"[2026-11-22,)"', '"[2026-11-22,)"'),
    ("tstzrange", "'[2026-11-22 03:00+01,)'", '"[""2026-11-22 02:00:00+00"",)"', r'"[\"2026-11-22 02:00:00+00\",)"'),
    ("point", "'(0.1,1e300)'", '"(0.1,1e+300)"', '"(0.1,1e+300)"'),
    ("tsvector", "'b a'", "'a' 'b'", "\"'a' 'b'\""),
    ("mood", """'it''s "ok"'""", '"it\'s ""ok"""', r'''"it's \"ok\""'''),
    ("pair", "ROW(1, NULL)", '"(1,)"', '"(1,)"'),
    ("pair", "ROW(NULL, NULL)", '"(,)"', '"(,)"'),
    ("price", "1.5", "1.50", '"1.50"'),
    ("numbers", "'{1}'", "[1]", "[1]"),
    ("nums", "'{1.50,NULL}'", '"[1.50, null]"', "[1.50, null]"),
    ("floats", "'{1e300}'", "[1e+300]", "[1e+300]"),
]
# A type, an SQL expression of a value that BigQuery's has not, and PostgreSQL's own text for it.
UNREPRESENTABLE = [
    ("date", "'infinity'", "infinity"),
    ("date", "'-infinity'", "-infinity"),
    ("date", "'0044-03-15 BC'", "0044-03-15 BC"),
    ("date", "'10000-01-01'", "10000-01-01"),
    ("time", "'24:00:00'", "24:00:00"),
    ("timestamp", "'infinity'", "infinity"),
    ("timestamp", "'0044-03-15 01:02:03 BC'", "0044-03-15 01:02:03 BC"),
    ("timestamp", "'10000-01-01'", "10000-01-01 00:00:00"),
    ("timestamptz", "'-infinity'", "-infinity"),
    ("timestamptz", "'0001-01-01 00:00:00+01'", "0001-12-31 23:00:00+00 BC"),
    ("timestamptz", "'9999-12-31 23:00:00-01'", "10000-01-01 00:00:00+00"),
    ("numeric(5,2)", "'NaN'", "NaN"),
    ("numeric(40,2)", "'NaN'", "NaN"),
    ("price", "'NaN'", "NaN"),
]
NAMES = [
    "a'; DROP TABLE x; --",
    r"back\slash",
    r"\'",
    'say "hi"',
    "{}",
    ":name %s $1",
    "Select",
    "settings",
    "t",
    "größe",
]
NULL_OR_TEXT = st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
EITHER = pytest.mark.parametrize("file_format", ["csv", "ndjson"])


class Database:
    """A database in which a table can be made, filled, and exported as Cloud SQL does it."""

    def __init__(self, server: Postgres, connection: pg8000.native.Connection) -> None:
        self.run = connection.run
        self._copy = connection.execute_unnamed
        self.search_path = "DEFAULT"
        self._pipeline = Pipeline("p", "p:r:i", "postgres", server.user, "bucket", "shards", "views", host=server.host)

    def make(self, columns: str, *rows: str, name: str = "x") -> None:
        """The table made again, with these rows, each as a VALUES list has it."""
        table = pg8000.native.identifier(name)
        self.run(f"DROP TABLE IF EXISTS {table} CASCADE")
        self.run(f"CREATE TABLE {table} ({columns})")
        for row in rows:
            self.run(f"INSERT INTO {table} VALUES ({row})")

    def extraction(
        self, file_format: str, unrepresentable: str = "null", name: str = "x", hashed: str | None = None
    ) -> Extraction:
        """What the mirror asks of the table. `hashed`: a pattern of columns."""
        export = self.listed(file_format, unrepresentable, name, hashed)
        return statement.extraction(export, typemap.mapped(export.columns, unrepresentable))

    def listed(
        self, file_format: str, unrepresentable: str = "null", name: str = "x", hashed: str | None = None
    ) -> TableExport:
        """The table as it is to be exported."""
        pipeline = replace(self._pipeline, unrepresentable=unrepresentable, hash=(hashed,) if hashed else ())
        tables = Source().tables(pipeline)
        decided = columns.decided(tables, pipeline, columns.patterns(tables, pipeline))
        (table,) = selection.select(decided, pipeline, [f"public.{name}"]).tables
        return export_of(table, pipeline, file_format)

    def export(self, file_format: str, unrepresentable: str = "null", name: str = "x") -> str:
        """What Cloud SQL makes of that."""
        return self.copy(self.extraction(file_format, unrepresentable, name))

    def own_texts(self, name: str) -> list[list[str | None]]:
        """PostgreSQL's own text of each value of the table, as the contract has it."""
        written = io.BytesIO()
        self.run("START TRANSACTION READ ONLY")
        for setting, value in CONTRACT.items():
            self.run(f"SET LOCAL {setting} = '{value}'")
        self._copy(f"COPY {name} TO STDOUT WITH (FORMAT csv)", stream=written)
        self.run("ROLLBACK")
        return csv_fields(written.getvalue().decode())

    def copy(self, wanted: Extraction) -> str:
        quote, escape, delimiter = (f"E'\\x{code}'" for code in (wanted.quote, wanted.escape, wanted.delimiter))
        options = f"FORMAT csv, QUOTE {quote}, ESCAPE {escape}, DELIMITER {delimiter}"
        written = io.BytesIO()
        self.run("START TRANSACTION READ ONLY")
        self.run(f"SET LOCAL search_path = {self.search_path}")
        try:
            self._copy(f"COPY ({wanted.query}) TO STDOUT WITH ({options})", stream=written)
        finally:
            self.run("ROLLBACK")
        return written.getvalue().decode()


@pytest.fixture(
    name="database",
    scope="module",
    params=["default", *(pytest.param(each, marks=pytest.mark.soak) for each in ("hostile", "usurped"))],
)
def _database(request: pytest.FixtureRequest) -> Iterator[Database]:
    with Postgres(HOSTILE if request.param == "hostile" else {}) as server, closing(server.connect()) as connection:
        connection.run(TYPES)
        database = Database(server, connection)
        if request.param == "usurped":
            for statement in usurpers.STATEMENTS:
                connection.run(statement)
            database.search_path = f"{usurpers.SCHEMA}, public, pg_catalog"
        yield database


def lines(*records: str) -> str:
    """The text of a file of those records."""
    return "".join(f"{record}\n" for record in records)


def row(values: Sequence[str]) -> str:
    """A line of ndjson whose columns are `c0`, `c1` and so on."""
    return "{" + ",".join(f'"c{number}":{value}' for number, value in enumerate(values)) + "}"


def as_json(rows: Sequence[tuple[str | None, str | None]]) -> str:
    return json.dumps([{"a": a, "b": b} for a, b in rows])


def csv_fields(text: str) -> list[list[str | None]]:
    """The records of a CSV text, NULL and the empty string apart."""
    records: list[list[str | None]] = [[]]
    end = 0
    for field in FIELD.finditer(text):
        assert field.start() == end
        end = field.end()
        quoted, bare, mark = field.groups()
        records[-1].append(bare or None if quoted is None else quoted.replace('""', '"'))
        if mark == "\n":
            records.append([])
    assert end == len(text)
    return records[:-1]


@pytest.fixture(name="typed", scope="module")
def _typed(database: Database) -> Database:
    """The database with a column for each case: `held` with a row of their values and one of NULLs, `unheld` likewise."""
    for name, cases in (("held", [case[:2] for case in HELD]), ("unheld", [case[:2] for case in UNREPRESENTABLE])):
        columns = ", ".join(f"c{number} {data_type}" for number, (data_type, _) in enumerate(cases))
        database.make(columns, ", ".join(value for _, value in cases), ", ".join(["NULL"] * len(cases)), name=name)
    return database


@pytest.mark.parametrize("unrepresentable", ["null", "fail"])
def test_values_have_their_text_in_a_csv_file(typed: Database, unrepresentable: str) -> None:
    text = typed.export("csv", unrepresentable, "held")

    assert text == lines(",".join(csv for _, _, csv, _ in HELD), "," * (len(HELD) - 1))


@pytest.mark.parametrize("unrepresentable", ["null", "fail"])
def test_values_have_their_text_in_an_ndjson_file(typed: Database, unrepresentable: str) -> None:
    text = typed.export("ndjson", unrepresentable, "held")

    assert text == lines(row([ndjson for _, _, _, ndjson in HELD]), row(["null"] * len(HELD)))


@EITHER
@pytest.mark.parametrize("unrepresentable", ["null", "fail", "string"])
@pytest.mark.parametrize("name", ["held", "unheld"])
def test_a_hash_is_that_of_postgresqls_own_text(
    typed: Database, name: str, unrepresentable: str, file_format: str
) -> None:
    hashes = [
        [None if text is None else hashlib.sha256(text.encode()).hexdigest() for text in texts]
        for texts in typed.own_texts(name)
    ]

    text = typed.copy(typed.extraction(file_format, unrepresentable, name, hashed="*"))

    assert any(hashes[0])
    assert set(hashes[1]) == {None}
    if file_format == "csv":
        assert csv_fields(text) == hashes
    else:
        assert [list(json.loads(line).values()) for line in text.splitlines()] == hashes


@EITHER
def test_so_it_is_of_the_oldest_postgresql(programs_11: Path, file_format: str) -> None:
    with Postgres(HOSTILE, programs_11) as server, closing(server.connect()) as connection:
        database = Database(server, connection)
        database.make(
            "a text, b timestamptz, c bytea, d float8, e real, f int[], g jsonb, h char(5)",
            """'größe', '2026-01-15', decode('00ff', 'hex'), 0.1, 1.1, '{1,2}', '{"a": 1}', 'x'""",
            ", ".join(["NULL"] * 8),
        )
        hashes = [hashlib.sha256((text or "").encode()).hexdigest() for text in database.own_texts("x")[0]]

        text = database.copy(database.extraction(file_format, hashed="*"))

    first, second = text.splitlines()
    if file_format == "csv":
        assert (first.split(","), second) == (hashes, "," * 7)
    else:
        assert list(json.loads(first).values()) == hashes
        assert set(json.loads(second).values()) == {None}


def test_what_is_to_be_left_out_since_it_was_listed_is_in_no_select(database: Database) -> None:
    """As of a message that was listed, or has become a dead letter, before the pipeline said so."""
    database.make("id int, email text", "1, 'x'")
    listed = database.listed("csv")
    mapped = typemap.mapped(listed.columns, "null")

    glob = ("*.email",)
    for pipeline in (replace(listed.pipeline, leave_out=glob), replace(listed.pipeline, hash=glob)):
        now = replace(listed, pipeline=pipeline)
        with pytest.raises(
            Permanent, match=r"to leave out or to hash public\.x\.email since .*: request the table again$"
        ):
            statement.extraction(now, mapped)


def test_values_that_do_not_fit_are_null(typed: Database) -> None:
    blank, nulls = "," * (len(UNREPRESENTABLE) - 1), row(["null"] * len(UNREPRESENTABLE))

    assert typed.export("csv", "null", "unheld") == lines(blank, blank)
    assert typed.export("ndjson", "null", "unheld") == lines(nulls, nulls)


def test_values_that_do_not_fit_are_their_own_text_where_columns_are_strings(typed: Database) -> None:
    own = [text for _, _, text in UNREPRESENTABLE]

    in_csv = typed.export("csv", "string", "unheld")
    in_ndjson = typed.export("ndjson", "string", "unheld")

    assert in_csv == lines(",".join(own), "," * (len(own) - 1))
    assert in_ndjson == lines(row([f'"{text}"' for text in own]), row(["null"] * len(own)))


@EITHER
@pytest.mark.parametrize(
    ("data_type", "held", "beyond"),
    [
        *((of, "'{1.5}'", "'{3.14159265358979323846}'") for of in ("numeric[]", "num[]", "nums", "more")),
        ("nums[]", """'{"{1.5}"}'""", """'{"{1e400}"}'"""),
        ("more[]", """'{"{1.5}"}'""", """'{"{1e400}"}'"""),
        ("amount[]", "ARRAY[ROW(1.5)]::amount[]", "ARRAY[ROW(1e400)]::amount[]"),
        ("amounts", "ARRAY[ROW(1.5)]::amount[]", "ARRAY[ROW(1e400)]::amount[]"),
        ("documents", "ARRAY['1.5']::jsonb[]", "ARRAY['3.14159265358979323846']::jsonb[]"),
    ],
)
def test_a_number_beyond_bigquery_makes_its_array_null_whatever_domains_lie_between(
    database: Database, file_format: str, data_type: str, held: str, beyond: str
) -> None:
    database.make(f"id integer NOT NULL, numbers {data_type}", f"1, {held}", f"2, {beyond}")

    first, second = database.export(file_format).splitlines()

    assert "1.5" in first
    assert second == {"csv": "2,", "ndjson": '{"id":"2","numbers":null}'}[file_format]


def test_a_json_is_the_text_of_a_string_where_columns_are_strings(database: Database) -> None:
    database.make("a json, b jsonb", """'{"a":  "x"}', 'null'""")

    assert database.export("csv", "string") == '"{""a"":  ""x""}",null\n'
    assert json.loads(database.export("ndjson", "string")) == {"a": '{"a":  "x"}', "b": "null"}


@pytest.mark.parametrize(("data_type", "value"), [case[:2] for case in UNREPRESENTABLE])
def test_a_value_that_does_not_fit_fails_the_export_by_its_column(
    database: Database, data_type: str, value: str
) -> None:
    database.make(f"id integer, price {data_type}", f"1, {value}")

    with pytest.raises(DatabaseError, match='"column price holds a value that BigQuery cannot hold"'):
        database.export("csv", "fail")


def test_any_name_of_a_column_is_only_a_name(database: Database) -> None:
    columns = ", ".join(f"{pg8000.native.identifier(name)} date" for name in NAMES)
    database.make(columns, ", ".join(["'2026-11-22'"] * len(NAMES)))

    assert database.export("csv") == ",".join(["2026-11-22"] * len(NAMES)) + "\n"
    assert [*json.loads(database.export("ndjson")).values()] == ["2026-11-22"] * len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_column_is_named_by_its_failure(database: Database, name: str) -> None:
    database.make(f"id integer, {pg8000.native.identifier(name)} date", "1, 'infinity'")

    with pytest.raises(DatabaseError) as caught:
        database.export("ndjson", "fail")

    assert f"column {name} holds" in caught.value.args[0]["M"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_of_a_table_is_only_a_name(database: Database, name: str) -> None:
    database.make("id integer, c text", "1, 'a'", name=name)

    text = database.export("csv", name=name)

    database.run(f"DROP TABLE {pg8000.native.identifier(name)}")  # another's would be called the same in BigQuery
    assert text == "1,a\n"


def test_the_keys_of_ndjson_are_the_columns_in_their_order(database: Database) -> None:
    database.make('z integer, "Z" integer, "unit price" integer, a integer', "1, 2, 3, 4")

    assert database.export("ndjson") == '{"z":"1","Z_2":"2","unit_price":"3","a":"4"}\n'


def test_a_key_is_not_cut_where_an_alias_would_be(database: Database) -> None:
    name = "1" + "é" * 31  # 63 bytes, and one more in BigQuery
    database.make(f'id integer, "{name}" integer', "1, 2")

    assert json.loads(database.export("ndjson")) == {"id": "1", f"_{name}": "2"}


@EITHER
@pytest.mark.parametrize("count", [40, 41, 80, 81, 1600])
def test_a_table_may_be_as_wide_as_postgresql_lets_it(database: Database, file_format: str, count: int) -> None:
    columns = [f"c{number}" for number in range(count)]
    database.make(", ".join(f"{name} boolean" for name in columns), ", ".join(["true"] * count))

    text = database.export(file_format)

    if file_format == "csv":
        assert text == ",".join(["true"] * count) + "\n"
    else:
        assert [*json.loads(text).items()] == [(name, True) for name in columns]


@pytest.fixture(name="texts", scope="module")
def _texts(database: Database) -> tuple[Database, Extraction, Extraction]:
    """The database with a table of texts, and its extractions as CSV and ndjson."""
    database.make("a text, b text", name="texts")
    return database, database.extraction("csv", name="texts"), database.extraction("ndjson", name="texts")


@settings(max_examples=50, deadline=None)
@given(rows=st.lists(st.tuples(NULL_OR_TEXT, NULL_OR_TEXT)))
def test_any_text_comes_back_from_either_format(
    texts: tuple[Database, Extraction, Extraction], rows: list[tuple[str | None, str | None]]
) -> None:
    database, csv, ndjson = texts
    database.run("TRUNCATE texts")
    database.run("INSERT INTO texts SELECT * FROM json_to_recordset(:rows) AS t(a text, b text)", rows=as_json(rows))

    in_csv = [tuple(record) for record in csv_fields(database.copy(csv))]
    in_ndjson = [tuple(json.loads(line).values()) for line in database.copy(ndjson).split("\n")[:-1]]

    assert in_csv == rows
    assert in_ndjson == rows


def test_every_row_is_rendered_by_the_same_settings_however_it_is_planned(database: Database) -> None:
    database.make("id integer, span tstzrange")
    database.run("INSERT INTO x SELECT 1, '[2026-11-22 03:00+01,)' FROM generate_series(1, 5000)")
    database.run("ANALYZE x")
    extraction = database.extraction("csv")
    for setting in ("min_parallel_table_scan_size", "parallel_setup_cost", "parallel_tuple_cost"):
        database.run(f"SET {setting} = 0")

    text = database.copy(extraction)

    database.run("RESET ALL")
    assert text == lines('1,"[""2026-11-22 02:00:00+00"",)"') * 5000


def test_the_settings_end_with_the_export(database: Database) -> None:
    before = database.run("SELECT current_setting('TimeZone'), current_setting('DateStyle')")
    database.make("id integer, c date")

    database.export("csv")

    assert database.run("SELECT current_setting('TimeZone'), current_setting('DateStyle')") == before


@EITHER
def test_a_table_without_rows_is_an_empty_file(database: Database, file_format: str) -> None:
    database.make("id integer, c text")

    assert database.export(file_format) == ""


def test_one_column_that_may_be_null_is_never_csv(database: Database) -> None:
    database.make("c text", "NULL", "''")

    assert database.export("csv") == '{"c":null}\n{"c":""}\n'


def test_one_column_whose_values_may_become_null_is_never_csv(database: Database) -> None:
    database.make("c date NOT NULL", "'infinity'")

    assert database.export("csv") == '{"c":null}\n'


def test_one_column_that_is_never_null_is_csv(database: Database) -> None:
    database.make("c text NOT NULL", "''", r"E'\\.'")

    assert csv_fields(database.export("csv")) == [[""], [r"\."]]


def test_the_rows_of_heirs_are_theirs(database: Database) -> None:
    database.make("id integer, c text", "1, 'parent'")
    database.run("CREATE TABLE heir () INHERITS (x)")
    database.run("INSERT INTO heir VALUES (2, 'heir')")

    assert database.export("csv") == "1,parent\n"


def test_the_rows_of_partitions_are_their_parents(database: Database) -> None:
    database.run("DROP TABLE IF EXISTS x CASCADE")
    database.run("CREATE TABLE x (id integer, c date) PARTITION BY RANGE (id)")
    database.run("CREATE TABLE part PARTITION OF x DEFAULT")
    database.run("INSERT INTO x VALUES (1, '2026-11-22')")

    assert database.export("csv") == "1,2026-11-22\n"


@pytest.mark.parametrize(("file_format", "characters"), [("csv", ("22", "22", "2C")), ("ndjson", ("01", "01", "02"))])
def test_characters_are_named_as_the_admin_api_takes_them(
    database: Database, file_format: str, characters: tuple[str, str, str]
) -> None:
    database.make("id integer, c text")

    extraction = database.extraction(file_format)

    assert (extraction.quote, extraction.escape, extraction.delimiter) == characters
