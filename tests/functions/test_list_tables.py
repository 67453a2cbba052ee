"""Which tables a request for a mirror means, and what is published of them."""

import json
from typing import Any

import pytest

from tests.support.delivery import REQUESTED
from tests.support.stage import Log, Stage
from tests.support.standins import INSTANCE

REQUEST = {"pipeline": "billing"}
MANIFEST = "billing/_runs/9912/manifest.json"
NEWEST = "billing/manifest_20260115.json"
ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY, note text)"
REFUNDS = "CREATE TABLE refunds (id bigint PRIMARY KEY)"


def exports(stage: Stage) -> list[dict[str, Any]]:
    """What has been asked for on `table-exports`, in order."""
    return [json.loads(message.data) for message in stage.published("table-exports")]


def tables(stage: Stage) -> list[str]:
    return [f"{export['schema']}.{export['table']}" for export in exports(stage)]


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_each_table_is_one_message_in_the_lane_of_its_instance(stage: Stage, push: bool) -> None:
    stage.run(ORDERS, REFUNDS)
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST, push=push)

    messages = stage.published("table-exports")
    assert status == 200
    assert [json.loads(message.data)["table"] for message in messages] == ["orders", "refunds"]
    assert {message.ordering_key for message in messages} == {INSTANCE}
    assert stage.published("dead-letters") == []


def test_a_message_carries_all_that_the_export_needs(stage: Stage) -> None:
    stage.run(
        "CREATE DOMAIN amount AS numeric(12,2)",
        "CREATE DOMAIN price AS amount",
        "CREATE TABLE orders (id bigint PRIMARY KEY, gone int, total price, tags text[] NOT NULL, code char(3))",
        "ALTER TABLE orders DROP COLUMN gone",
        "COMMENT ON TABLE orders IS 'All orders.'",
        "COMMENT ON COLUMN orders.total IS 'in euros'",
    )
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [export] = exports(stage)
    assert export == {
        "run_id": "9912",
        "requested_at": REQUESTED,
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "shard_date": "2026-01-15",
        "replace": True,
        "comment": "All orders.",
        "format": "csv",
        "only": True,
        "server_major": 18,
        "run_tables": 1,
        "snapshot": None,
        "primary_key": ["id"],
        "columns": [
            {"name": "id", "data_type": "bigint", "nullable": False, "comment": None},
            {
                "name": "total",
                "data_type": "public.price",
                "nullable": True,
                "comment": "in euros",
                "base_type": "numeric(12,2)",
            },
            {"name": "tags", "data_type": "text[]", "nullable": False, "comment": None},
            {"name": "code", "data_type": "character(3)", "nullable": True, "comment": None},
        ],
    }


def test_the_format_is_decided_once_for_message_and_manifest(stage: Stage) -> None:
    stage.pipeline["format"] = "auto"
    stage.run(ORDERS, REFUNDS, "INSERT INTO orders VALUES (1, 'x')", "ANALYZE orders")

    stage.function("list_tables").receive(REQUEST)

    decided = {"orders": "csv", "refunds": "ndjson"}
    assert {export["table"]: export["format"] for export in exports(stage)} == decided
    assert {entry["table"]: entry["format"] for entry in stage.json(MANIFEST)["tables"]} == decided


def test_a_partitioned_table_is_listed_once_without_its_partitions(stage: Stage) -> None:
    stage.run(
        "CREATE TABLE events (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    )
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [export] = exports(stage)
    assert (export["table"], export["only"]) == ("events", False)


def test_a_table_is_read_without_those_that_inherit_from_it_or_will(stage: Stage) -> None:
    stage.run("CREATE TABLE animals (name text)", "CREATE TABLE dogs (barks bool) INHERITS (animals)")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert {export["table"]: export["only"] for export in exports(stage)} == {"animals": True, "dogs": True}


def test_only_tables_are_listed(stage: Stage) -> None:
    stage.run(
        ORDERS,
        "CREATE UNLOGGED TABLE drafts (id int)",
        "CREATE VIEW a_view AS SELECT 1 AS id",
        "CREATE MATERIALIZED VIEW a_snapshot AS SELECT 1 AS id",
        "CREATE SEQUENCE a_sequence",
        "CREATE EXTENSION vector",
        "CREATE TABLE of_an_extension (id int)",
        "ALTER EXTENSION vector ADD TABLE of_an_extension",
        "CREATE TEMPORARY TABLE passing (id int)",
    )
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert tables(stage) == ["public.drafts", "public.orders"]


def test_the_pipeline_filters_by_schema_include_and_exclude(stage: Stage) -> None:
    stage.pipeline |= {
        "schemas": ["sales", "public"],
        "include": ["sales.*", "public.o*"],
        "exclude": ["*.tmp_*", "sales.Old"],
    }
    stage.run("CREATE SCHEMA sales", "CREATE SCHEMA staff")
    for name in (
        "public.orders",
        "public.refunds",
        "public.tmp_o",
        "sales.tmp_x",
        "sales.old",
        'sales."Old"',
        "staff.o",
    ):
        stage.run(f"CREATE TABLE {name} (id int)")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert sorted(tables(stage)) == ["public.orders", "sales.old"]


def test_a_request_may_name_tables(stage: Stage) -> None:
    stage.pipeline["schemas"] = ["public", "sales"]
    stage.run(ORDERS, REFUNDS, "CREATE SCHEMA sales", 'CREATE TABLE sales."refunds.2025" (id int)')
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST | {"tables": ["orders", "sales.refunds.2025"]})

    assert status == 200
    assert tables(stage) == ["public.orders", "sales.refunds.2025"]


def test_one_log_line_tells_of_the_listing(stage: Stage, log: Log) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [line] = log()
    assert line.pop("seconds") > 0
    assert line == line | {
        "severity": "INFO",
        "function": "list_tables",
        "pipeline": "billing",
        "shard_date": "2026-01-15",
        "run_id": "9912",
        "outcome": "listed",
    }
