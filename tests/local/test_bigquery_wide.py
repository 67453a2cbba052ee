"""Tables of as many columns as PostgreSQL's may have: they are loaded, read, shown and copied as narrow ones are."""

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as Files

from local.bigquery import BigQuery
from local.storage import Storage

pytestmark = pytest.mark.soak

WIDTH = 1_600
PATIENCE = 120.0  # seconds for a job to end, which took minutes where its time grew faster than the columns
VALUES: dict[str, tuple[str, Any]] = {
    "BIGNUMERIC": ("0.5", Decimal("0.5")),
    "BOOLEAN": ("true", True),
    "BYTES": ("AP8=", b"\0\xff"),
    "DATE": ("2026-11-22", dt.date(2026, 11, 22)),
    "DATETIME": ("2026-11-22 03:04:05", dt.datetime(2026, 11, 22, 3, 4, 5)),  # noqa: DTZ001 - a DATETIME has none
    "FLOAT": ("1.5", 1.5),
    "INTEGER": ("7", 7),
    "JSON": ("[]", []),
    "NUMERIC": ("1.5", Decimal("1.5")),
    "STRING": ("x", "x"),
    "TIME": ("03:04:05", dt.time(3, 4, 5)),
    "TIMESTAMP": ("2026-11-22 03:04:05+00", dt.datetime(2026, 11, 22, 3, 4, 5, tzinfo=dt.UTC)),
}
MIXED = (list(VALUES) * WIDTH)[:WIDTH]


class World:
    """BigQuery beside Cloud Storage, for tables with columns c0, c1, and so on."""

    def __init__(self, client: bigquery.Client, files: Files) -> None:
        self.client = client
        self._bucket = files.bucket("files")

    def load(self, table: str, types: list[str], file_format: str = "CSV") -> None:
        """One row of the types' values, then one of NULL."""
        values = {f"c{number}": VALUES[kind][0] for number, kind in enumerate(types)}
        if file_format == "CSV":
            text = f"{','.join(values.values())}\n{',' * (len(types) - 1)}\n"
        else:
            text = json.dumps({name: _in_json(value) for name, value in values.items()}) + "\n{}\n"
        self.load_text(table, types, text, file_format)

    def load_text(self, table: str, types: list[str], text: str, file_format: str = "CSV") -> None:
        self._bucket.blob(table).upload_from_string(text)
        fields = [bigquery.SchemaField(f"c{number}", kind) for number, kind in enumerate(types)]
        config = bigquery.LoadJobConfig(schema=fields, source_format=file_format)
        job = self.client.load_table_from_uri(f"gs://files/{table}", f"p.d.{table}", job_config=config)
        job.result(timeout=PATIENCE)

    def listed(self, table: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in self.client.list_rows(self.client.get_table(f"p.d.{table}"))]

    def answer(self, query: str) -> list[tuple[Any, ...]]:
        return [row.values() for row in self.client.query(query).result(timeout=PATIENCE)]


@pytest.fixture(name="world", scope="module")
def a_world() -> Iterator[World]:
    anonymous = AnonymousCredentials()
    with Storage() as emulator, BigQuery("p", emulator.url) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        client.create_dataset("d")
        world = World(client, files)
        world.load("mixed", MIXED)
        yield world
        client.close()
        files.close()
        assert service.faults == []


def _in_json(text: str) -> Any:
    return [] if text == "[]" else True if text == "true" else text


def rows(types: list[str]) -> list[tuple[Any, ...]]:
    """What `World.load` loads."""
    return [tuple(VALUES[kind][1] for kind in types), (None,) * len(types)]


def test_csv_is_loaded_and_listed(world: World) -> None:
    assert world.listed("mixed") == rows(MIXED)


def test_json_is_loaded_and_listed(world: World) -> None:
    world.load("from_json", MIXED, "NEWLINE_DELIMITED_JSON")

    assert world.listed("from_json") == rows(MIXED)


def test_every_column_may_be_a_boolean(world: World) -> None:
    """Whose two lists of words DuckDB would make two joins of, and run out of memory."""
    types = ["BOOLEAN"] * WIDTH
    world.load("booleans", types)

    assert world.listed("booleans") == rows(types)


def test_a_query_answers_every_column(world: World) -> None:
    assert world.answer("SELECT * FROM d.mixed") == rows(MIXED)


def test_a_view_shows_every_column(world: World) -> None:
    view = bigquery.Table("p.d.shown")
    view.view_query = f"SELECT {', '.join(f'`c{number}`' for number in range(WIDTH))} FROM `p.d.mixed`"
    world.client.create_table(view)

    assert [field.field_type for field in world.client.get_table("p.d.shown").schema] == MIXED
    assert world.answer("SELECT * FROM d.shown") == rows(MIXED)


def test_a_copy_has_every_column(world: World) -> None:
    world.client.copy_table("p.d.mixed", "p.d.copied").result(timeout=PATIENCE)

    made = world.client.get_table("p.d.copied")

    assert (len(made.schema), made.num_rows) == (WIDTH, 2)
    assert made.num_bytes == world.client.get_table("p.d.mixed").num_bytes
    assert world.listed("copied") == rows(MIXED)


def test_the_bytes_of_every_column_are_counted(world: World) -> None:
    types = ["INTEGER", "BOOLEAN"] * (WIDTH // 2)
    world.load("counted", types)

    assert world.client.get_table("p.d.counted").num_bytes == WIDTH // 2 * (8 + 1)


def test_the_first_bad_value_is_named_wherever_its_column_is(world: World) -> None:
    types = ["INTEGER"] * WIDTH
    bad = [["1"] * WIDTH, ["1"] * WIDTH]
    bad[0][-1] = "x"
    bad[1][0] = "y"

    with pytest.raises(BadRequest, match=f"Could not parse 'x' as INT64 for field c{WIDTH - 1} "):
        world.load_text("bad", types, "\n".join(map(",".join, bad)))


def test_more_columns_than_a_table_may_have_are_refused(world: World) -> None:
    fields = [bigquery.SchemaField(f"c{number}", "INT64") for number in range(10_001)]

    with pytest.raises(BadRequest, match="Too many total leaf fields: 10001, max allowed field count: 10000"):
        world.client.create_table(bigquery.Table("p.d.wider", fields))
