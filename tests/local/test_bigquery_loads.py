"""Loads of CSV files: what BigQuery reads, refuses, and leaves alone."""

import datetime as dt
import decimal
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Bucket
from google.cloud.storage import Client as Files
from hypothesis import given, settings
from hypothesis import strategies as st

from local.bigquery import BigQuery
from local.storage import Storage

Row = tuple[Any, ...]
names = (f"table{number}" for number in itertools.count())


class World:
    """BigQuery beside Cloud Storage, and clients for both."""

    def __init__(self, service: BigQuery, client: bigquery.Client, bucket: Bucket) -> None:
        self.service = service
        self.client = client
        self.bucket = bucket

    def load(self, text: str | bytes, *types: str, table: str | None = None, **options: Any) -> list[Row]:
        """Load one file into columns a, b, c, ... and read the table back."""
        name = table or next(names)
        self.bucket.blob("data.csv").upload_from_string(text)
        fields = [field(*pair) for pair in zip("abcdefgh", types, strict=False)]
        config = bigquery.LoadJobConfig(schema=fields or None, source_format="CSV", **options)
        self.client.load_table_from_uri("gs://files/data.csv", f"p.d.{name}", job_config=config).result()
        return self.rows(name)

    def rows(self, table: str) -> list[Row]:
        """Every row of a table."""
        return [row.values() for row in self.client.list_rows(self.client.get_table(f"p.d.{table}"))]


def field(name: str, described: str) -> bigquery.SchemaField:
    """A column of a type and, after a blank, a mode."""
    kind, _, mode = described.partition(" ")
    return bigquery.SchemaField(name, kind, mode or "NULLABLE")


@pytest.fixture(name="world", scope="module")
def a_world() -> Iterator[World]:
    anonymous = AnonymousCredentials()
    with Storage() as emulator, BigQuery("p", emulator.url) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        client = bigquery.Client(
            "p", credentials=anonymous, client_options={"api_endpoint": service.url}, location="EU"
        )
        client.create_dataset("d")
        yield World(service, client, files.bucket("files"))
        client.close()
        files.close()
        assert service.faults == []


def refusal(world: World, text: str | bytes, *types: str, **options: Any) -> str:
    """The reason and message of the load that fails."""
    with pytest.raises(GoogleAPICallError) as caught:
        world.load(text, *types, **options)
    return str(caught.value.message)


def test_a_bare_empty_value_is_null_and_a_quoted_one_is_empty(world: World) -> None:
    rows = world.load('x,,\ny,"",""\n', "STRING", "STRING", "BYTES")

    assert rows == [("x", None, None), ("y", "", b"")]


def test_a_quoted_empty_value_is_null_where_the_column_is_no_text(world: World) -> None:
    assert world.load('x,"",""\n', "STRING", "INT64", "JSON") == [("x", None, None)]


def test_doubled_quotes_delimiters_blanks_and_line_ends_are_kept(world: World) -> None:
    text = '"a ""b"", c", d ,"line\nline\r\nline"\r\n'

    rows = world.load(text, "STRING", "STRING", "STRING", allow_quoted_newlines=True)

    assert rows == [('a "b", c', " d ", "line\nline\r\nline")]


def test_a_quoted_line_end_is_refused_unless_it_is_allowed(world: World) -> None:
    assert 'Missing close quote character (")' in refusal(world, '"a\nb"\n', "STRING")


def test_a_quote_that_is_never_closed_is_refused_where_its_row_starts(world: World) -> None:
    message = refusal(world, 'a\n"b\nc\n', "STRING", allow_quoted_newlines=True)

    assert "starting at position: 2. Error: Missing close quote" in message


@pytest.mark.parametrize("text", ['"a"b,c\n', 'a"b,c"\n'])
def test_a_quote_within_a_value_is_refused(world: World, text: str) -> None:
    assert "Data between close quote character" in refusal(world, text, "STRING", "STRING")


@pytest.mark.parametrize(
    "text", ['a",b"\n', '"a" ,b\n', 'a,"b"" \n', '"a\n"b","c"\n', "a\rb,c\n", 'a"",b\n', '"a""b,c\n']
)
def test_what_duckdb_would_read_and_bigquery_does_not_promise_to_is_refused(world: World, text: str) -> None:
    message = refusal(world, f"1,2\n{text}", "STRING", "STRING", allow_quoted_newlines=True)

    assert "parsing row starting at position: 4. Error:" in message


def test_a_byte_order_mark_is_a_part_of_the_first_value(world: World) -> None:
    assert world.load("\ufeffa\n", "STRING") == [("\ufeffa",)]


def test_a_null_marker_in_quotes_is_refused(world: World) -> None:
    assert "null marker 'NULL' in quotes" in refusal(world, 'NULL,"NULL"\n', "STRING", "STRING", null_marker="NULL")
    assert world.load('NULL,"a""NULL"\n', "STRING", "STRING", null_marker="NULL") == [(None, 'a"NULL')]


def test_a_large_value_with_line_ends_and_quotes_is_kept(world: World) -> None:
    large = 'say ""it"",\r\n' * 2**17

    [(first, second)] = world.load(f'"{large}",b\n', "STRING", "STRING", allow_quoted_newlines=True)

    assert (first, second) == (large.replace('""', '"'), "b")


def test_blank_lines_are_skipped_and_so_is_the_null_of_a_single_column(world: World) -> None:
    assert world.load('a\n\n\r\n""\n', "STRING") == [("a",), ("",)]


def test_leading_rows_are_skipped_as_told(world: World) -> None:
    assert world.load("head\na\n", "STRING", skip_leading_rows=1) == [("a",)]


def test_the_last_line_needs_no_end(world: World) -> None:
    assert world.load("a\nb", "STRING") == [("a",), ("b",)]


def test_a_null_marker_makes_empty_text_empty(world: World) -> None:
    assert world.load(r'\N,,""' + "\n", "STRING", "STRING", "STRING", null_marker=r"\N") == [(None, "", "")]


@pytest.mark.parametrize("value", ["", '""'])
def test_a_null_marker_makes_an_empty_number_an_error(world: World, value: str) -> None:
    assert "Could not parse ''" in refusal(world, f"a,{value}\n", "STRING", "INT64", null_marker=r"\N")


def test_several_null_markers_are_all_null(world: World) -> None:
    rows = world.load("NULL,-,,x\n", "STRING", "INT64", "INT64", "STRING", null_markers=["NULL", "-", ""])

    assert rows == [(None, None, None, "x")]


def test_a_delimiter_and_a_quote_can_be_chosen(world: World) -> None:
    rows = world.load("'a''b'|c,\"d\n", "STRING", "STRING", field_delimiter="|", quote_character="'")

    assert rows == [("a'b", 'c,"d')]


def test_without_a_quote_character_nothing_is_quoted(world: World) -> None:
    assert world.load('"a"\tb\n', "STRING", "STRING", field_delimiter="\\t", quote_character="") == [('"a"', "b")]


def test_too_few_values_are_refused_unless_jagged_rows_are_allowed(world: World) -> None:
    assert "contains only 1 columns" in refusal(world, "a\n", "STRING", "STRING")
    assert world.load("a\n", "STRING", "STRING", allow_jagged_rows=True) == [("a", None)]


def test_too_many_values_are_refused_unless_they_are_ignored(world: World) -> None:
    assert "Too many values in row" in refusal(world, "a,b\n", "STRING")
    assert world.load("a,b\n", "STRING", ignore_unknown_values=True) == [("a",)]


def test_a_zero_byte_is_refused(world: World) -> None:
    assert "Bad character (ASCII 0) encountered" in refusal(world, "a\0\n", "STRING")


def test_control_characters_are_kept_where_they_are_preserved(world: World) -> None:
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("a", "STRING")])
    config._set_sub_prop("preserveAsciiControlCharacters", True)  # noqa: SLF001 - the client has no name for it
    world.bucket.blob("control.csv").upload_from_string("a\1\n")

    world.client.load_table_from_uri("gs://files/control.csv", "p.d.control", job_config=config).result()

    assert world.rows("control") == [("a\1",)]
    assert "ASCII 1" in refusal(world, "a\1\n", "STRING")


def test_what_is_not_utf_8_is_refused(world: World) -> None:
    assert "UTF-8" in refusal(world, b"a\xff\n", "STRING")


def test_a_missing_required_value_is_refused(world: World) -> None:
    message = refusal(world, "a,b\n,b\n", "STRING REQUIRED", "STRING")

    assert "Required column value for column a is missing in row starting at position: 4" in message


def test_the_first_bad_row_and_column_are_named_as_bigquery_does(world: World) -> None:
    message = refusal(world, "1,1\n2,x\ny,3\n", "INT64", "INT64")

    assert "Could not parse 'x' as INT64 for field b (position 1) starting at location 4 " in message
    assert "with message 'Unable to parse' File: gs://files/data.csv" in message


UTC = dt.UTC
READ = [
    ("INT64", "-9223372036854775808", -(2**63)),
    ("INT64", "+5", 5),
    ("FLOAT64", "1e300", 1e300),
    ("FLOAT64", "-inf", float("-inf")),
    ("FLOAT64", "Infinity", float("inf")),
    ("FLOAT64", "0.1", 0.1),
    ("BOOL", "T", True),
    ("BOOL", "no", False),
    ("BOOL", "0", False),
    ("NUMERIC", "1.500", decimal.Decimal("1.5")),
    (
        "NUMERIC",
        "-99999999999999999999999999999.999999999",
        decimal.Decimal("-99999999999999999999999999999.999999999"),
    ),
    ("BIGNUMERIC", "-" + "9" * 38 + "." + "9" * 38, decimal.Decimal("-" + "9" * 38 + "." + "9" * 38)),
    ("BIGNUMERIC", "00012.500", decimal.Decimal("12.5")),
    ("BYTES", "AP8=", b"\0\xff"),
    ("DATE", "0001-01-01", dt.date(1, 1, 1)),
    ("TIME", "23:59:59.999999", dt.time(23, 59, 59, 999999)),
    ("DATETIME", "2026-11-22 03:04:05.000000", dt.datetime(2026, 11, 22, 3, 4, 5)),  # noqa: DTZ001 - it has none
    ("DATETIME", "0001-01-01T00:00:00.5", dt.datetime(1, 1, 1, microsecond=500000)),  # noqa: DTZ001 - likewise
    ("TIMESTAMP", "2026-11-22 03:04:05.000001+00:00", dt.datetime(2026, 11, 22, 3, 4, 5, 1, UTC)),
    ("TIMESTAMP", "2018/08/19T12:11", dt.datetime(2018, 8, 19, 12, 11, tzinfo=UTC)),
    ("TIMESTAMP", "2018-08-19T07:11:35.220 -05:00", dt.datetime(2018, 8, 19, 12, 11, 35, 220000, UTC)),
    ("TIMESTAMP", "2018-07-05T12:54:00 UTC", dt.datetime(2018, 7, 5, 12, 54, tzinfo=UTC)),
    ("TIMESTAMP", "9999-12-31 23:59:59.999999Z", dt.datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ("JSON", '"{""b"": 1, ""a"": [1.5, null]}"', {"a": [1.5, None], "b": 1}),
    ("STRING", "Grüße 👋 NULL", "Grüße 👋 NULL"),
]


@pytest.mark.parametrize(("kind", "text", "value"), READ)
def test_a_value_is_read(world: World, kind: str, text: str, value: Any) -> None:
    assert world.load(text + "\n", kind) == [(value,)]


REFUSED = [
    ("INT64", "9223372036854775808"),
    ("INT64", "1.0"),
    ("INT64", " 1"),
    ("FLOAT64", "1e400"),
    ("BOOL", "maybe"),
    ("NUMERIC", "100000000000000000000000000000"),
    ("NUMERIC", "0.1234567891"),
    ("NUMERIC", "NaN"),
    ("BIGNUMERIC", "0." + "1" * 39),
    ("BIGNUMERIC", "578960446186580977117854925043439539267"),
    ("BYTES", "\\x00ff"),
    ("DATE", "infinity"),
    ("DATE", "0000-01-01"),
    ("DATE", "2026-02-30"),
    ("TIME", "24:00:00"),
    ("DATETIME", "12026-01-01 00:00:00"),
    ("TIMESTAMP", "0001-01-01 00:00:00+01:00"),
    ("TIMESTAMP", "0044-03-15 00:00:00+00 BC"),
    ("TIMESTAMP", "2026-02-30 00:00:00+00:00"),
    ("JSON", "{"),
    ("JSON", "12345678901234567890123"),
]


@pytest.mark.parametrize(("kind", "text"), REFUSED)
def test_a_value_is_refused(world: World, kind: str, text: str) -> None:
    assert "Could not parse" in refusal(world, text + "\n", kind)


def written(rows: Sequence[Sequence[str | None]]) -> str:
    """As PostgreSQL's COPY writes CSV."""
    return "".join(",".join(map(value_written, row)) + "\n" for row in rows)


def value_written(value: str | None) -> str:
    if value is None:
        return ""
    special = value == "" or set(value) & set(',"\r\n')
    return '"' + value.replace('"', '""') + '"' if special else value


texts = st.text(st.one_of(st.sampled_from(',"\r\n\t '), st.characters(exclude_categories=["Cs", "Cc"])), max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | texts, st.none() | texts), max_size=6))
def test_what_postgresql_writes_is_read_back_equal(world: World, rows: list[tuple[str | None, str | None]]) -> None:
    assert world.load(written(rows), "STRING", "STRING", allow_quoted_newlines=True) == rows


def test_truncating_replaces_rows_and_columns(world: World) -> None:
    world.load("a\n", "STRING", table="replaced")

    rows = world.load("1,2\n", "INT64", "INT64", table="replaced", write_disposition="WRITE_TRUNCATE")

    assert rows == [(1, 2)]


def test_a_failed_load_changes_nothing(world: World) -> None:
    world.load("a\n", "STRING", table="kept")
    before = world.client.get_table("p.d.kept")

    refusal(world, "1\nx\n", "INT64", table="kept", write_disposition="WRITE_TRUNCATE")

    assert world.client.get_table("p.d.kept").etag == before.etag
    assert world.rows("kept") == [("a",)]


def test_truncating_keeps_what_the_table_says_of_itself_but_not_of_its_columns(world: World) -> None:
    world.load("a\n", "STRING", table="described")
    table = world.client.get_table("p.d.described")
    table.description, table.labels = "mine", {"team": "x"}
    table.schema = [bigquery.SchemaField("a", "STRING", description="a letter")]
    world.client.update_table(table, ["description", "labels", "schema"])

    world.load("b\n", "STRING", table="described", write_disposition="WRITE_TRUNCATE")

    after = world.client.get_table("p.d.described")
    assert (after.description, after.labels, after.schema[0].description) == ("mine", {"team": "x"}, None)


def test_appending_adds_rows(world: World) -> None:
    world.load("a\n", "STRING", table="longer")

    assert world.load("b\n", table="longer", write_disposition="WRITE_APPEND") == [("a",), ("b",)]


def test_appending_other_columns_is_refused(world: World) -> None:
    world.load("a\n", "STRING", table="fixed")

    assert "Provided Schema does not match Table p:d.fixed" in refusal(world, "1\n", "INT64", table="fixed")


def test_writing_into_an_empty_table_alone_is_refused_where_it_has_rows(world: World) -> None:
    world.load("a\n", "STRING", table="full")

    with pytest.raises(Conflict, match=r"Already Exists: Table p:d\.full"):
        world.load("b\n", "STRING", table="full", write_disposition="WRITE_EMPTY")


def test_a_table_that_may_not_be_created_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match=r"Not found: Table p:d\.never"):
        world.load("a\n", "STRING", table="never", create_disposition="CREATE_NEVER")


def test_a_missing_file_is_not_found(world: World) -> None:
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("a", "STRING")])

    for uri in ("gs://files/none.csv", "gs://files/none*", "gs://none/x.csv"):
        job = world.client.load_table_from_uri(uri, "p.d.unmade", job_config=config)
        with pytest.raises(NotFound, match="Not found: URI"):
            job.result()


def test_a_missing_dataset_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="Not found: Dataset p:nowhere"):
        world.client.load_table_from_uri("gs://files/x", "p.nowhere.t")


def test_a_wildcard_loads_every_file_that_matches(world: World) -> None:
    for name in ("part/1.csv", "part/2.csv", "other.csv"):
        world.bucket.blob(name).upload_from_string(name + "\n")
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("a", "STRING")])

    job = world.client.load_table_from_uri("gs://files/part/*.csv", "p.d.parts", job_config=config)
    job.result()

    assert world.rows("parts") == [("part/1.csv",), ("part/2.csv",)]
    assert (job.input_files, job.input_file_bytes, job.output_rows, job.output_bytes) == (2, 22, 2, 24)


def test_an_empty_file_makes_a_table_without_rows(world: World) -> None:
    assert world.load("", "STRING", table="bare") == []
    assert world.client.get_table("p.d.bare").num_rows == 0


def test_a_new_table_is_described_as_told_and_an_old_one_must_be_already(world: World) -> None:
    world.load("a\n", "STRING", table="told", destination_table_description="new")

    assert world.client.get_table("p.d.told").description == "new"
    assert "description of p:d.told differs" in refusal(
        world, "a\n", "STRING", table="told", destination_table_description="other"
    )


@pytest.mark.parametrize(
    "options",
    [
        {"autodetect": True},
        {"max_bad_records": 1},
        {"schema_update_options": ["ALLOW_FIELD_ADDITION"]},
        {"time_partitioning": bigquery.TimePartitioning()},
        {"encoding": "ISO-8859-1"},
    ],
)
def test_an_option_that_is_not_honoured_is_refused(world: World, options: dict[str, Any]) -> None:
    assert "This stand-in does not honour load." in refusal(world, "a\n", "STRING", **options)


def test_what_says_nothing_of_the_format_is_taken(world: World) -> None:
    """As Beam sends it with every file."""
    options = bigquery.format_options.AvroOptions()
    options.use_avro_logical_types = True
    config = bigquery.LoadJobConfig(schema=[field("a", "STRING")])
    config._properties["load"] |= options.to_api_repr()  # noqa: SLF001 - the library sends it with Avro alone

    world.bucket.blob("plain.csv").upload_from_string("x\n")
    world.client.load_table_from_uri("gs://files/plain.csv", "p.d.plain", job_config=config).result()

    assert config.to_api_repr()["load"]["useAvroLogicalTypes"] is True
    assert world.rows("plain") == [("x",)]


def test_a_null_in_a_job_is_as_good_as_absent(world: World) -> None:
    column = {"name": "a", "type": "STRING", "mode": "NULLABLE", "description": None}
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField.from_api_repr(column)])

    world.bucket.blob("null.csv").upload_from_string("x\n")
    world.client.load_table_from_uri("gs://files/null.csv", "p.d.nulls", job_config=config).result()

    assert config.to_api_repr()["load"]["schema"]["fields"][0] == column
    assert world.rows("nulls") == [("x",)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ([("A", "STRING"), ("a", "STRING")], "Duplicate field name"),
        ([("_TABLE_x", "STRING")], "the prefix is reserved"),
        ([("a b", "STRING")], "Invalid field name"),
        ([("1a", "STRING")], "Invalid field name"),
        ([("a", "GEOGRAPHY")], "GEOGRAPHY is not a type"),
        ([("a", "INT64 REPEATED")], "REPEATED is not a mode"),
    ],
)
def test_a_schema_is_refused(world: World, fields: list[tuple[str, str]], message: str) -> None:
    config = bigquery.LoadJobConfig(schema=[field(*pair) for pair in fields])

    job = world.client.load_table_from_uri("gs://files/x", "p.d.refused", job_config=config)

    with pytest.raises(BadRequest, match=message):
        job.result()


def test_a_load_of_more_than_fits_into_memory_is_refused_for_good() -> None:
    anonymous = AnonymousCredentials()
    with Storage() as emulator, BigQuery("p", emulator.url, memory="16MB") as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        client.create_dataset("d")
        files.bucket("files").blob("large.csv").upload_from_string(f"{'x' * 2**20}\n" * 64)
        config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("a", "STRING")])
        job = client.load_table_from_uri("gs://files/large.csv", "p.d.t", job_config=config)

        with pytest.raises(BadRequest, match="Resources exceeded"):
            job.result()

        assert job.error_result["reason"] == "resourcesExceeded"
        assert list(client.list_tables("d")) == []
        client.close()
        files.close()


@pytest.mark.parametrize(("rows", "size"), [(2, 1), (120, 100_000)], ids=["in one request", "in a session"])
def test_a_file_that_is_uploaded_with_its_job_is_appended(world: World, rows: int, size: int) -> None:
    letters = ["a" * size, "b"]
    table, config = (
        f"p.d.{next(names)}",
        bigquery.LoadJobConfig(schema=[field("id", "INT64"), field("tags", "STRING REPEATED")]),
    )
    config.write_disposition = "WRITE_APPEND"
    lines = [{"id": number, "tags": letters * (number % 2)} for number in range(rows)]

    for loaded in (lines, [{"id": -1}]):
        world.client.load_table_from_json(loaded, table, job_config=config).result()

    assert world.client.get_table(table).num_rows == rows + 1
    [first, second, *_, last] = world.rows(table.rpartition(".")[2])
    assert (first, second, last) == ((0, []), (1, letters), (-1, []))
    query = f"SELECT ARRAY_LENGTH(tags) AS n, tags FROM {table.removeprefix('p.')} WHERE id = 1"
    assert [row.values() for row in world.client.query_and_wait(query)] == [(2, letters)]


def test_a_job_that_is_uploaded_twice_by_one_id_is_refused(world: World) -> None:
    config = bigquery.LoadJobConfig(schema=[field("id", "INT64")])
    table = f"p.d.{next(names)}"
    world.client.load_table_from_json([{"id": 1}], table, job_id="once", job_config=config).result()

    with pytest.raises(Conflict):
        world.client.load_table_from_json([{"id": 1}], table, job_id="once", job_config=config)


@pytest.mark.parametrize("value", ["a", [1], {"a": 1}])
def test_what_is_no_array_of_texts_is_refused_where_one_is_due(world: World, value: Any) -> None:
    config = bigquery.LoadJobConfig(schema=[field("tags", "STRING REPEATED")])
    job = world.client.load_table_from_json([{"tags": value}], f"p.d.{next(names)}", job_config=config)

    with pytest.raises(BadRequest, match="Array of STRING expected"):
        job.result()
