"""What an export leaves behind, and what it says."""

import json
from datetime import datetime

import pytest

from tests.support.delivery import REQUESTED, column, table_export
from tests.support.stage import Log, Stage

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
STAGED = "billing/_staging/9912/orders_20260115.csv"
EXPORTED = "billing/_runs/9912/exported/orders.json"


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run(
        "CREATE TABLE orders (id bigint NOT NULL, note text)",
        "INSERT INTO orders VALUES (1, 'a,b'), (2, NULL), (3, '')",
    )


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_pair_and_a_record_are_all_that_an_export_leaves(stage: Stage, push: bool) -> None:
    export_table = stage.function("export_table")

    status = export_table.receive(table_export(), push=push)

    assert status == 200
    assert stage.files() == [EXPORTED, DATA, SCHEMA]
    assert stage.published("dead-letters") == []


def test_the_data_file_holds_the_rows_as_csv(stage: Stage) -> None:
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    assert stage.content(DATA) == '1,"a,b"\n2,\n3,""\n'


def test_the_schema_file_describes_and_seals_the_pair(stage: Stage) -> None:
    export_table = stage.function("export_table")
    columns = [
        column("id", "bigint", nullable=False) | {"comment": "of the order"},
        column("note", "remark", base_type="character varying(20)"),
    ]

    export_table.receive(table_export(columns=columns, comment="All orders."))

    [operation] = stage.exports()
    schema = stage.json(SCHEMA)
    exported_at = datetime.fromisoformat(schema.pop("exported_at"))
    assert schema.pop("snapshot") == operation["name"]
    assert exported_at == datetime.fromisoformat(operation["insertTime"])
    assert schema == {
        "version": 1,
        "pipeline": "billing",
        "database": "billing",
        "schema": "public",
        "table": "orders",
        "table_id": "orders",
        "run_id": "9912",
        "requested_at": REQUESTED,
        "shard_date": "2026-01-15",
        "clustering": [],
        "format": "csv",
        "replace": True,
        "description": "All orders.",
        "data_uri": f"gs://{stage.bucket.name}/{DATA}",
        "data_generation": stage.bucket.get_blob(DATA).generation,
        "columns": [
            {
                "name": "id",
                "source_name": "id",
                "data_type": "bigint",
                "is_nullable": False,
                "bigquery_type": "INT64",
                "mode": "REQUIRED",
                "description": "of the order",
            },
            {
                "name": "note",
                "source_name": "note",
                "data_type": "remark",
                "is_nullable": True,
                "bigquery_type": "STRING",
                "mode": "NULLABLE",
                "description": None,
            },
        ],
    }


def test_the_record_says_where_the_files_are_and_what_they_cost(stage: Stage) -> None:
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    record = stage.json(EXPORTED)
    assert record.pop("seconds") > 0
    assert record == {
        "schema_uri": f"gs://{stage.bucket.name}/{SCHEMA}",
        "data_uri": f"gs://{stage.bucket.name}/{DATA}",
        "bytes": len('1,"a,b"\n2,\n3,""\n'),
        "snapshot": stage.exports()[0]["name"],
    }


def test_the_pair_is_announced_to_loaders(stage: Stage) -> None:
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    [announcement] = stage.published("table-exported")
    assert json.loads(announcement.data) == {
        "run_id": "9912",
        "requested_at": REQUESTED,
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "shard_date": "2026-01-15",
        "replace": True,
        "table_id": "orders",
        "schema_uri": f"gs://{stage.bucket.name}/{SCHEMA}",
        "data_uri": f"gs://{stage.bucket.name}/{DATA}",
        "format": "csv",
    }


def test_one_log_line_tells_of_the_export(stage: Stage, log: Log) -> None:
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    [line] = log()
    assert line.pop("seconds") > 0
    assert line == line | {
        "severity": "INFO",
        "function": "export_table",
        "pipeline": "billing",
        "table": "public.orders",
        "shard_date": "2026-01-15",
        "run_id": "9912",
        "operation": stage.exports()[0]["name"],
        "outcome": "exported",
    }


def test_a_table_of_one_nullable_column_is_exported_as_ndjson(stage: Stage) -> None:
    stage.run("CREATE TABLE notes (note text)", "INSERT INTO notes VALUES ('x'), (NULL)")
    export_table = stage.function("export_table")

    export_table.receive(table_export("notes", columns=[column("note", "text")]))

    [announcement] = stage.published("table-exported")
    assert stage.content("billing/notes/data_20260115.ndjson") == '{"note":"x"}\n{"note":null}\n'
    assert stage.json("billing/notes/schema_20260115.json")["format"] == "ndjson"
    assert json.loads(announcement.data)["format"] == "ndjson"


def test_a_pipeline_may_export_ndjson(stage: Stage) -> None:
    stage.pipeline["format"] = "ndjson"
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    lines = stage.content("billing/orders/data_20260115.ndjson").splitlines()
    assert lines == ['{"id":"1","note":"a,b"}', '{"id":"2","note":null}', '{"id":"3","note":""}']


def test_an_export_is_serverless_where_the_pipeline_says_so(stage: Stage) -> None:
    stage.pipeline["offload"] = True
    export_table = stage.function("export_table")

    export_table.receive(table_export())

    [operation] = stage.exports()
    assert operation["exportContext"]["offload"] is True
