"""Loads of newline-delimited JSON."""

import datetime as dt
import decimal
import itertools
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as Files
from hypothesis import given, settings
from hypothesis import strategies as st

from local.bigquery import BigQuery
from local.storage import Storage

Load = Callable[..., list[tuple[Any, ...]]]
names = (f"table{number}" for number in itertools.count())


def field(name: str, described: str) -> bigquery.SchemaField:
    """A column of a type and, after a blank, a mode."""
    kind, _, mode = described.partition(" ")
    return bigquery.SchemaField(name, kind, mode or "NULLABLE")


@pytest.fixture(name="load", scope="module")
def loading() -> Iterator[Load]:
    """Loads lines into columns a, b, c, ... of a new table and reads it back."""
    anonymous = AnonymousCredentials()
    with Storage() as emulator, BigQuery("p", emulator.url) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        client.create_dataset("d")

        def load(text: str, *types: str, **options: Any) -> list[tuple[Any, ...]]:
            table = f"p.d.{next(names)}"
            files.bucket("files").blob("data.json").upload_from_string(text)
            fields = [field(*pair) for pair in zip("abcdefgh", types, strict=False)]
            config = bigquery.LoadJobConfig(schema=fields, source_format="NEWLINE_DELIMITED_JSON", **options)
            client.load_table_from_uri("gs://files/data.json", table, job_config=config).result()
            return [row.values() for row in client.list_rows(client.get_table(table))]

        yield load
        client.close()
        files.close()
        assert service.faults == []


def test_null_a_missing_key_and_the_empty_string_stay_apart(load: Load) -> None:
    assert load('{"a": null}\n{}\n\n{"a": ""}\n', "STRING") == [(None,), (None,), ("",)]


READ = [
    ("INT64", 9007199254740991, 9007199254740991),
    ("INT64", "9223372036854775807", 9223372036854775807),
    ("FLOAT64", 1.5, 1.5),
    ("FLOAT64", 2, 2.0),
    ("FLOAT64", "-Infinity", float("-inf")),
    ("BOOL", True, True),
    ("NUMERIC", "1.50", decimal.Decimal("1.5")),
    ("NUMERIC", 7, decimal.Decimal(7)),
    ("BIGNUMERIC", "0." + "1" * 38, decimal.Decimal("0." + "1" * 38)),
    ("BYTES", "AP8=", b"\0\xff"),
    ("DATE", "2026-11-22", dt.date(2026, 11, 22)),
    ("TIMESTAMP", "2026-11-22 03:04:05+00:00", dt.datetime(2026, 11, 22, 3, 4, 5, tzinfo=dt.UTC)),
    ("JSON", {"b": [1, None, "x"], "a": 0.5}, {"a": 0.5, "b": [1, None, "x"]}),
    ("JSON", "text", "text"),
    ("JSON", [], []),
    ("JSON", 2**64 - 1, 2**64 - 1),
    ("STRING", 'a"\n\t\\', 'a"\n\t\\'),
]


@pytest.mark.parametrize(("kind", "value", "read"), READ)
def test_a_value_is_read(load: Load, kind: str, value: Any, read: Any) -> None:
    assert load(json.dumps({"a": value}), kind) == [(read,)]


REFUSED = [
    ("INT64", "9007199254740992"),
    ("INT64", "1.0"),
    ("INT64", '""'),
    ("NUMERIC", "1.5"),
    ("STRING", "1"),
    ("STRING", '"\\ud800"'),
    ("BOOL", "1"),
    ("JSON", "1e400"),
    ("JSON", "18446744073709551616"),
    ("JSON", "0.1234567890123456789"),
    ("JSON", "NaN"),
    ("JSON", "[" * 501 + "]" * 501),
    ("FLOAT64", "Infinity"),
    ("FLOAT64", "1e400"),
    ("FLOAT64", "1" + "0" * 400),
    ("STRING", '"a'),
]


@pytest.mark.parametrize(("kind", "value"), REFUSED)
def test_a_value_is_refused(load: Load, kind: str, value: str) -> None:
    with pytest.raises(BadRequest, match="Error while reading data, error message"):
        load(f'{{"a": {value}}}\n', kind)


def test_a_zero_keeps_its_sign(load: Load) -> None:
    [(negative,), (positive,)] = load('{"a": -0}\n{"a": 0}\n', "FLOAT64")

    assert (math.copysign(1, negative), math.copysign(1, positive)) == (-1, 1)


def test_a_number_is_rounded_to_the_nearest_float(load: Load) -> None:
    assert load('{"a": 0.100000000000000006}\n', "FLOAT64") == [(0.1,)]


def test_an_unknown_field_is_refused_unless_it_is_ignored(load: Load) -> None:
    with pytest.raises(BadRequest, match=r"row starting at position: 9\. Error: No such field: x"):
        load('{"a": 1}\n{"x": 1}\n', "INT64")

    assert load('{"x": 1}\n', "INT64", ignore_unknown_values=True) == [(None,)]


def test_a_row_must_be_an_object(load: Load) -> None:
    with pytest.raises(BadRequest, match="A row is no JSON object"):
        load("[1]\n", "INT64")


def test_a_missing_required_value_is_refused(load: Load) -> None:
    with pytest.raises(BadRequest, match="Required column value for column a is missing"):
        load("{}\n", "INT64 REQUIRED")


def test_options_of_csv_are_refused(load: Load) -> None:
    with pytest.raises(BadRequest, match=r"does not honour load\.skipLeadingRows"):
        load("{}\n", "INT64", skip_leading_rows=1)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
documents = st.recursive(
    st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | texts, documents), max_size=6))
def test_what_is_written_is_read_back_equal(load: Load, rows: list[tuple[str | None, Any]]) -> None:
    text = "".join(json.dumps({"a": a, "b": b}) + "\n" for a, b in rows)

    assert load(text, "STRING", "JSON") == rows


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.none() | texts, st.none() | texts), max_size=6))
def test_texts_are_read_back_equal_without_a_document_beside_them(
    load: Load, rows: list[tuple[str | None, ...]]
) -> None:
    text = "".join(json.dumps({"b": b, "a": a}, ensure_ascii=len(rows) % 2 == 0) + "\n" for a, b in rows)

    assert load(text, "STRING", "STRING") == rows


@pytest.mark.parametrize(
    "line",
    [
        '{"a": 1,}',
        '{"a": "1"\t, }',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"A": 1}',
        "null",
        '"a"',
        "  ",
        '{"a": 1}{"a": 2}',
        "{'a': 1}",
        '{"a": [1]}',
        '{"a": {"a": 1}}',
        '{"a": true}',
        '{"a": 1e2}',
        '{"a": "x\x01y"}',
    ],
)
def test_a_line_that_the_service_does_not_promise_to_read_is_refused(load: Load, line: str) -> None:
    with pytest.raises(BadRequest, match="row starting at position: 9"):
        load(f'{{"a": 1}}\n{line}\n', "INT64")


def test_the_first_of_equal_keys_counts(load: Load) -> None:
    assert load('{"a": 1, "a": 2}\r\n', "INT64") == [(1,)]
