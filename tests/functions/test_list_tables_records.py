"""What a run writes down before it publishes, and that a redelivery keeps to it."""

import json
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import pytest

from tests.support.delivery import REQUESTED, topic
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT

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
        "is_whole": True,
        "tables": exports(stage),
        "refused": [],
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

    assert stage.files() == ["billing/_runs/9912/digests.json", MANIFEST, "billing/_runs/open/9912"]


def test_a_redelivery_makes_the_copy_that_a_crash_prevented(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST)
    stage.bucket.delete_blob(NEWEST)

    list_tables.receive(REQUEST)

    assert stage.content(NEWEST) == stage.content(MANIFEST)


def test_tables_that_would_share_a_table_id_are_refused_by_name_and_the_rest_go_on(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, 'CREATE TABLE "Refund Log" (id int)', 'CREATE TABLE "Refund-Log" (id int)')
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    errors = [line for line in log() if line["severity"] == "ERROR"]
    record = stage.json("billing/_runs/9912/failed/Refund_Log.json")
    assert status == 200
    assert tables(stage) == ["public.orders"]
    assert [table["table"] for table in stage.json(MANIFEST)["tables"]] == ["orders"]
    assert [table["table"] for table in stage.json(MANIFEST)["refused"]] == ["Refund Log", "Refund-Log"]
    assert {line["table"] for line in errors} == {"public.Refund Log", "public.Refund-Log"}
    assert record["function"] == "list_tables"
    assert "Refund Log" in record["error"]
    assert "Refund-Log" in record["error"]


def test_a_table_that_would_take_anothers_id_is_refused_and_the_other_is_none_the_worse(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, "CREATE SCHEMA public2", "CREATE TABLE public2__refunds (id int)")
    stage.run("CREATE TABLE public2.refunds (id int)")
    stage.pipeline["schemas"] = ["public", "public2"]
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [error] = [line for line in log() if line["severity"] == "ERROR"]
    [refused] = stage.json(MANIFEST)["refused"]
    assert tables(stage) == ["public.orders", "public.public2__refunds"]
    assert error["table"] == "public2.refunds"
    assert (refused["schema"], refused["table"]) == ("public2", "refunds")
    assert "as public.public2__refunds would" in refused["reason"]
    assert not [name for name in stage.files() if "/failed/" in name]


def test_a_table_that_no_message_can_carry_is_refused_alone(stage: Stage) -> None:
    names = [f"{'c' * 59}{number:04d}" for number in range(1_600)]
    stage.run(ORDERS, f"CREATE TABLE wide ({', '.join(f'{name} int' for name in names)})")
    stage.run(
        "DO $$ DECLARE c name; BEGIN FOR c IN SELECT attname FROM pg_attribute"
        " WHERE attrelid = 'wide'::regclass AND attnum > 0 LOOP"
        " EXECUTE format('COMMENT ON COLUMN wide.%I IS %L', c, repeat(chr(1), 1024)); END LOOP; END $$"
    )
    list_tables = stage.function("list_tables")

    status = list_tables.receive(REQUEST)

    record = stage.json("billing/_runs/9912/failed/wide.json")
    assert status == 200
    assert tables(stage) == ["public.orders"]
    assert "shorten its comments, or exclude it" in record["error"]


@pytest.mark.parametrize("name", ["_staging", "_runs"])
def test_a_table_that_would_be_called_as_a_folder_of_the_mirror_is_refused(stage: Stage, log: Log, name: str) -> None:
    stage.run(ORDERS, f"CREATE TABLE {name} (id int)")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert tables(stage) == ["public.orders"]
    assert [line["table"] for line in log() if line["severity"] == "ERROR"] == [f"public.{name}"]
    assert stage.json(f"billing/_runs/9912/failed/{name}.json")["function"] == "list_tables"


def test_a_table_with_row_level_security_is_refused_with_the_remedy(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, REFUNDS, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    [error] = [line for line in log() if line["severity"] == "ERROR"]
    assert error["table"] == "public.orders"
    assert "row-level security" in error["message"]
    assert '"trust_database": true' in stage.json("billing/_runs/9912/failed/orders.json")["error"]
    assert tables(stage) == ["public.refunds"]


def test_where_the_database_is_trusted_it_is_exported_and_reported(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, REFUNDS, "ALTER TABLE orders ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    (warning,) = [line for line in log() if line["severity"] == "WARNING"]
    assert warning["table"] == "public.orders"
    assert "row-level security" in warning["message"]
    assert tables(stage) == ["public.orders", "public.refunds"]
