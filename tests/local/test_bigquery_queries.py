"""Queries, and the answers that clients read."""

import datetime as dt
import decimal
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, GoogleAPICallError, NotFound
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as Files

from local.bigquery import BigQuery
from local.storage import Storage

ONCE = Retry(predicate=if_exception_type())
TYPES = {
    "id": "INT64",
    "name": "STRING",
    "amount": "NUMERIC",
    "huge": "BIGNUMERIC",
    "ratio": "FLOAT64",
    "flag": "BOOL",
    "raw": "BYTES",
    "day": "DATE",
    "clock": "TIME",
    "local": "DATETIME",
    "moment": "TIMESTAMP",
    "doc": "JSON",
}
FILE = """\
1,one,1.50,0.00000000000000000000000000000000000001,NaN,t,AP8=,2026-11-22,03:04:05.5,2026-11-22 03:04:05.123456,\
2026-11-22 03:04:05.123456+00:00,"{""b"": 1, ""a"": 2}"
2,,-2,-5,-inf,f,,,,,,
10,ten,100,12345678901234567890123456789012345678,1e300,,,,,,,
"""


@pytest.fixture(name="client", scope="module")
def a_client() -> Iterator[bigquery.Client]:
    """With the tables d.t (every type) and d.Seven (the numbers below 7), and d.v, a view of a view of d.t."""
    anonymous = AnonymousCredentials()
    with Storage() as emulator, BigQuery("p", emulator.url) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        client.create_dataset("d")
        load(files, client, "t", FILE, TYPES)
        load(files, client, "Seven", "".join(f"{number}\n" for number in range(7)), {"n": "INT64"})
        for name, query in (("inner", "SELECT * FROM `p.d.t`"), ("v", "SELECT id, name, huge FROM p.d.`inner`")):
            view = bigquery.Table(f"p.d.{name}")
            view.view_query = query
            client.create_table(view)
        yield client
        client.close()
        files.close()
        assert service.faults == []


def load(files: Files, client: bigquery.Client, table: str, text: str, types: dict[str, str]) -> None:
    files.bucket("files").blob(table).upload_from_string(text)
    config = bigquery.LoadJobConfig(schema=[bigquery.SchemaField(*pair) for pair in types.items()])
    client.load_table_from_uri(f"gs://files/{table}", f"p.d.{table}", job_config=config).result()


def answer(client: bigquery.Client, query: str) -> list[tuple[Any, ...]]:
    return [row.values() for row in client.query(query).result()]


def test_every_type_is_answered_as_itself(client: bigquery.Client) -> None:
    rows = client.query("SELECT * EXCEPT (ratio) FROM d.t ORDER BY id LIMIT 1").result()

    assert [field.field_type for field in rows.schema] == [
        "INTEGER",
        "STRING",
        "NUMERIC",
        "BIGNUMERIC",
        "BOOLEAN",
        "BYTES",
        "DATE",
        "TIME",
        "DATETIME",
        "TIMESTAMP",
        "JSON",
    ]
    assert [row.values() for row in rows] == [
        (
            1,
            "one",
            decimal.Decimal("1.5"),
            decimal.Decimal("1e-38"),
            True,
            b"\0\xff",
            dt.date(2026, 11, 22),
            dt.time(3, 4, 5, 500000),
            dt.datetime(2026, 11, 22, 3, 4, 5, 123456),  # noqa: DTZ001 - a DATETIME has none
            dt.datetime(2026, 11, 22, 3, 4, 5, 123456, dt.UTC),
            {"a": 2, "b": 1},
        )
    ]


def test_values_are_printed_as_the_api_does(client: bigquery.Client) -> None:
    sent = client._connection.api_request(  # noqa: SLF001 - the text below the client's own types
        "GET",
        "/projects/p/datasets/d/tables/t/data",
        query_params={"formatOptions.useInt64Timestamp": True, "maxResults": 1},
    )

    assert [cell["v"] for cell in sent["rows"][0]["f"]] == [
        "1",
        "one",
        "1.5",
        "0.00000000000000000000000000000000000001",
        "NaN",
        "true",
        "AP8=",
        "2026-11-22",
        "03:04:05.500000",
        "2026-11-22T03:04:05.123456",
        "1795316645123456",
        '{"a":2,"b":1}',
    ]


def test_infinities_are_words(client: bigquery.Client) -> None:
    assert answer(client, "SELECT ratio FROM d.t WHERE id > 1 ORDER BY id") == [(float("-inf"),), (1e300,)]


@pytest.mark.parametrize("table", ["`p.d.t`", "p.d.t", "`p`.`d`.`t`", "d.t", "`d.t`", "`p.d`.t", "d.`inner`", "d.v"])
def test_a_table_is_named_in_each_of_the_ways(client: bigquery.Client, table: str) -> None:
    assert answer(client, f"SELECT COUNT(*) FROM {table}") == [(3,)]


def test_a_bare_name_is_in_the_default_dataset(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(default_dataset="p.d")

    assert [row.values() for row in client.query("SELECT COUNT(*) FROM t", job_config=config).result()] == [(3,)]


def test_a_name_in_another_case_is_another_table(client: bigquery.Client) -> None:
    with pytest.raises(NotFound, match=r"Not found: Table p:d\.T"):
        answer(client, "SELECT * FROM d.T")


def test_joins_aggregates_and_common_tables_are_computed(client: bigquery.Client) -> None:
    query = """
        WITH named AS (SELECT * FROM d.v WHERE name IS NOT NULL)
        SELECT t.name, SUM(n), MAX(n) AS most FROM d.Seven JOIN named AS t ON MOD(n, 2) = MOD(t.id, 2)
        GROUP BY t.name ORDER BY 1
    """

    rows = client.query(query).result()

    assert [field.name for field in rows.schema] == ["name", "f0_", "most"]
    assert [row.values() for row in rows] == [("one", 9, 5), ("ten", 12, 6)]


def test_nulls_come_first_and_numbers_in_their_order(client: bigquery.Client) -> None:
    assert answer(client, "SELECT name FROM d.t ORDER BY name") == [(None,), ("one",), ("ten",)]
    assert answer(client, "SELECT id FROM d.t ORDER BY huge") == [(2,), (1,), (10,)]


def test_literals_have_googles_types(client: bigquery.Client) -> None:
    rows = client.query("SELECT 1 AS i, 1.5 AS f, 'x' AS s, NULL AS n, TRUE AS b").result()

    assert [field.field_type for field in rows.schema] == ["INTEGER", "FLOAT", "STRING", "INTEGER", "BOOLEAN"]
    assert next(iter(rows)).values() == (1, 1.5, "x", None, True)


def test_an_answer_comes_in_pages(client: bigquery.Client) -> None:
    pages = client.query("SELECT n FROM d.Seven ORDER BY n DESC").result(page_size=3).pages

    assert [[row["n"] for row in page] for page in pages] == [[6, 5, 4], [3, 2, 1], [0]]


def test_rows_are_listed_in_pages(client: bigquery.Client) -> None:
    pages = client.list_rows(client.get_table("p.d.Seven"), page_size=3).pages

    assert [[row["n"] for row in page] for page in pages] == [[0, 1, 2], [3, 4, 5], [6]]


def test_the_order_of_an_answer_is_kept_over_pages_whatever_its_columns_are_called(client: bigquery.Client) -> None:
    rows = client.query("SELECT MOD(n, 2) AS rowid, n FROM d.Seven ORDER BY n").result(page_size=3)

    assert [row["n"] for row in rows] == list(range(7))


def test_a_query_can_wait_for_its_answer(client: bigquery.Client) -> None:
    assert [row.values() for row in client.query_and_wait("SELECT id FROM d.v ORDER BY 1")] == [(1,), (2,), (10,)]


def test_an_answer_without_rows_has_columns(client: bigquery.Client) -> None:
    rows = client.query_and_wait("SELECT id FROM d.t WHERE id < 0")

    assert (list(rows), [field.name for field in rows.schema]) == ([], ["id"])


def test_a_dry_run_tells_columns_and_bytes_without_a_job(client: bigquery.Client) -> None:
    before = len(list(client.list_jobs()))

    job = client.query("SELECT id, huge FROM d.t", job_config=bigquery.QueryJobConfig(dry_run=True))

    assert [(field.name, field.field_type) for field in job.schema or []] == [("id", "INTEGER"), ("huge", "BIGNUMERIC")]
    assert job.total_bytes_processed == client.get_table("p.d.t").num_bytes
    assert len(list(client.list_jobs())) == before


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("DELETE FROM d.t WHERE TRUE", "runs one SELECT"),
        ("CREATE VIEW d.w AS SELECT 1", "runs one SELECT"),
        ("SELECT 1; SELECT 2", "runs one SELECT"),
        ("SELECT FROM WHERE", "Syntax error"),
        ("SELECT * FROM `d.t_*`", "wildcard"),
        ("SELECT * FROM d.INFORMATION_SCHEMA.TABLES", "INFORMATION_SCHEMA"),
        ("SELECT huge + 1 FROM d.t", "computing with huge"),
        ("SELECT CAST(huge AS STRING) FROM d.v", "computing with huge"),
        ("SELECT * FROM read_csv('/etc/passwd')", "in FROM"),
        ("SELECT nothing FROM d.t", "nothing"),
        ("SELECT 1 AS a, 2 AS a", "Duplicate column names"),
        ("SELECT * FROM d.t AS a JOIN d.t AS b USING (id)", "Duplicate column names"),
    ],
)
def test_a_query_is_refused(client: bigquery.Client, query: str, message: str) -> None:
    with pytest.raises(GoogleAPICallError, match=message):
        answer(client, query)
    with pytest.raises(GoogleAPICallError, match=message):
        client.query_and_wait(query, retry=ONCE)


def test_legacy_sql_is_refused(client: bigquery.Client) -> None:
    with pytest.raises(BadRequest, match="GoogleSQL alone"):
        client.query("SELECT 1", job_config=bigquery.QueryJobConfig(use_legacy_sql=True))


def test_an_option_that_is_not_honoured_is_refused(client: bigquery.Client) -> None:
    config = bigquery.QueryJobConfig(query_parameters=[bigquery.ScalarQueryParameter("x", "INT64", 1)])

    with pytest.raises(BadRequest, match=r"does not honour query\.(parameterMode|queryParameters)"):
        client.query("SELECT @x", job_config=config)
