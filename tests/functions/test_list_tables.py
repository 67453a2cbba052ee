"""Which tables a request for a mirror means, what is published of them, and what is written down."""

import json
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import pytest

from tests.functions.delivery import PROJECT, REQUESTED, topic
from tests.functions.stage import INSTANCE, Log, Stage

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
        "has_children": False,
        "columns": [
            {"name": "id", "data_type": "bigint", "nullable": False, "comment": None},
            {
                "name": "total",
                "data_type": "price",
                "nullable": True,
                "comment": "in euros",
                "base_type": "numeric(12,2)",
            },
            {"name": "tags", "data_type": "text[]", "nullable": False, "comment": None},
            {"name": "code", "data_type": "character(3)", "nullable": True, "comment": None},
        ],
    }


def test_a_partitioned_table_is_listed_once_without_its_partitions(stage: Stage) -> None:
    stage.run(
        "CREATE TABLE events (at date) PARTITION BY RANGE (at)",
        "CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01')",
    )
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [export] = exports(stage)
    assert (export["table"], export["has_children"]) == ("events", False)


def test_a_table_that_others_inherit_from_says_so(stage: Stage) -> None:
    stage.run("CREATE TABLE animals (name text)", "CREATE TABLE dogs (barks bool) INHERITS (animals)")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert {export["table"]: export["has_children"] for export in exports(stage)} == {"animals": True, "dogs": False}


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
    for name in ("public.orders", "public.refunds", "public.tmp_o", "sales.tmp_x", "sales.old", 'sales."Old"', "staff.o"):
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


def test_the_manifest_holds_the_run_and_its_messages(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS)
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert stage.json(MANIFEST) == {
        "version": 1,
        "run_id": "9912",
        "pipeline": "billing",
        "database": "billing",
        "shard_date": "2026-01-15",
        "requested_at": REQUESTED,
        "tables": exports(stage),
    }


def test_a_redelivery_publishes_what_the_manifest_says_whatever_the_database_holds(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST)
    first, manifest = exports(stage), stage.content(MANIFEST)
    stage.run("DROP TABLE orders", REFUNDS)

    status = list_tables.receive(REQUEST)

    assert status == 200
    assert exports(stage) == first
    assert stage.content(MANIFEST) == manifest


def test_the_manifest_is_written_before_anything_is_published(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables", TABLE_EXPORTS_TOPIC=topic("no-such-topic"))

    status = list_tables.receive(REQUEST)

    assert status == 500
    assert [table["table"] for table in stage.json(MANIFEST)["tables"]] == ["orders"]


def test_a_failed_publish_does_not_block_the_lane(stage: Stage) -> None:
    stage.run(ORDERS)
    late = topic("late")
    list_tables = stage.function("list_tables", TABLE_EXPORTS_TOPIC=late)
    list_tables.receive(REQUEST)
    with pubsub_v1.SubscriberClient() as subscriber:
        pubsub_v1.PublisherClient().create_topic(name=late)
        subscriber.create_subscription(name=f"projects/{PROJECT}/subscriptions/late", topic=late)

    status = list_tables.receive(REQUEST)

    assert status == 200
    assert len(stage.published("late")) == 1


def test_the_days_copy_of_the_manifest_is_that_of_the_newest_run(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST, message_id="9913", published="2026-01-15T03:00:00Z")
    list_tables.receive(REQUEST, message_id="9912", published="2026-01-15T02:00:00Z")
    older = stage.json(NEWEST)["run_id"]
    list_tables.receive(REQUEST, message_id="9914", published="2026-01-15T04:00:00Z")

    assert older == "9913"
    assert stage.content(NEWEST) == stage.content("billing/_runs/9914/manifest.json")


def test_a_run_of_some_tables_leaves_the_days_copy_alone(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST | {"tables": ["orders"]})

    assert stage.files() == [MANIFEST]


def test_a_redelivery_makes_the_copy_that_a_crash_prevented(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST)
    stage.bucket.delete_blob(NEWEST)

    list_tables.receive(REQUEST)

    assert stage.content(NEWEST) == stage.content(MANIFEST)


def test_tables_that_would_share_a_table_id_are_refused_by_name_and_the_rest_go_on(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, 'CREATE TABLE "Refund Log" (id int)', 'CREATE TABLE "Refund_Log" (id int)')
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    errors = [line for line in log() if line["severity"] == "ERROR"]
    record = stage.json("billing/_runs/9912/failed/Refund_Log.json")
    assert status == 200
    assert tables(stage) == ["public.orders"]
    assert [table["table"] for table in stage.json(MANIFEST)["tables"]] == ["orders"]
    assert {line["table"] for line in errors} == {"public.Refund Log", "public.Refund_Log"}
    assert record["function"] == "list_tables"
    assert "Refund Log" in record["error"]
    assert "Refund_Log" in record["error"]


@pytest.mark.parametrize("name", ["_staging", "_runs"])
def test_a_table_that_would_be_called_as_a_folder_of_the_mirror_is_refused(stage: Stage, log: Log, name: str) -> None:
    stage.run(ORDERS, f"CREATE TABLE {name} (id int)")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert tables(stage) == ["public.orders"]
    assert [line["table"] for line in log() if line["severity"] == "ERROR"] == [f"public.{name}"]
    assert stage.json(f"billing/_runs/9912/failed/{name}.json")["function"] == "list_tables"


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
