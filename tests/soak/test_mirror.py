"""The whole path from a request to views on the local cloud: the functions in processes of their own, on a real database."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from shared.times import stamp

# The local cloud looks at its dead letters without waiting, which is what the flag is for.
pytestmark = pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning")

PATIENCE = 60.0  # seconds for a run to end
MOST_MEMORY = 256 * 2**20
DATABASES = ("plain", "doubled")
SOURCE = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text, total numeric(12,2), placed timestamptz)",
    "INSERT INTO orders VALUES (1, E'a,\"b\"\\nc', 12.50, '2026-01-15 01:02:03.5+01'), (2, NULL, NULL, 'infinity'), (3, '', -1, NULL)",
    'CREATE TABLE "Refund Log" ("Refund Id" int NOT NULL, "1st" jsonb)',
    """INSERT INTO "Refund Log" VALUES (7, '{"a": [1, null]}')""",
    "CREATE TABLE notes (note text)",
    "INSERT INTO notes VALUES ('x'), (NULL), ('')",
    "CREATE TABLE empty (id int)",
)
TABLES = {"orders", "Refund_Log", "notes", "empty"}


def pipeline(database: str, server: Postgres) -> dict[str, Any]:
    return {
        "instance": f"{PROJECT}:europe-west1:{database}-db",
        "database": database,
        "user": server.user,
        "host": server.host,
        "bucket": f"{database}-mirror",
        "shards_dataset": f"{database}_shards",
        "views_dataset": database,
    }


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A pipeline for each database, each on an instance of its own."""
    with Postgres() as server:
        for database in DATABASES:
            server.create(database)
            with closing(server.connect(database)) as connection:
                for statement in SOURCE:
                    connection.run(statement)
        pipelines = {database: pipeline(database, server) for database in DATABASES}
        instances = {each["instance"]: server.connect for each in pipelines.values()}
        with Cloud(pipelines, instances, tmp_path_factory.mktemp("cloud")) as running:
            yield running
            assert running.admin.faults == []
            assert running.bigquery.faults == []
            assert running.storage.faults == []


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def views(cloud: Cloud, dataset: str) -> dict[str, str]:
    """The views of a dataset, and the shard that each shows."""
    with cloud.warehouse() as client:
        names = [table.table_id for table in client.list_tables(f"{PROJECT}.{dataset}")]
        queries = {name: client.get_table(f"{PROJECT}.{dataset}.{name}").view_query for name in names}
    return {name: query.rpartition(".")[2].rstrip("`") for name, query in queries.items()}


def rows(cloud: Cloud, view: str) -> list[tuple[Any, ...]]:
    with cloud.warehouse() as client:
        return [row.values() for row in client.query_and_wait(f"SELECT * FROM `{PROJECT}.{view}` ORDER BY 1")]


def files(cloud: Cloud, bucket: str) -> list[str]:
    with closing(cloud.objects()) as client:
        return [blob.name for blob in client.list_blobs(bucket)]


def shards(cloud: Cloud, name: str) -> list[str]:
    with cloud.warehouse() as client:
        return [table.table_id for table in client.list_tables(f"{PROJECT}.{name}_shards")]


def mirror(cloud: Cloud, name: str) -> str:
    """Have a database mirrored for today, and give the run's id when its views show that day."""
    today = datetime.now(UTC).date()
    run_id = cloud.publish("mirror-requests", {"pipeline": name, "shard_date": today.isoformat()})
    expected = {table: f"{table}_{stamp(today)}" for table in TABLES}
    wait_for(lambda: views(cloud, name) == expected)
    assert cloud.pubsub.wait_idle(PATIENCE)
    return run_id


def test_a_request_ends_with_views_that_show_the_rows_of_the_source(cloud: Cloud) -> None:
    run_id = mirror(cloud, "plain")

    found = files(cloud, "plain-mirror")
    placed = datetime(2026, 1, 15, 0, 2, 3, 500_000, tzinfo=UTC)
    assert rows(cloud, "plain.orders") == [
        (1, 'a,"b"\nc', Decimal("12.50"), placed),
        (2, None, None, None),
        (3, "", Decimal(-1), None),
    ]
    assert rows(cloud, "plain.Refund_Log") == [(7, {"a": [1, None]})]
    assert rows(cloud, "plain.notes") == [(None,), ("",), ("x",)]
    assert rows(cloud, "plain.empty") == []
    assert {f"plain/_runs/{run_id}/exported/{table}.json" for table in TABLES} <= set(found)
    assert not [name for name in found if "/_staging/" in name or "/failed/" in name]
    assert cloud.dead_letters() == []


def test_a_message_that_is_delivered_twice_changes_nothing(cloud: Cloud) -> None:
    cloud.pubsub.deliver_twice = True
    mirror(cloud, "doubled")
    cloud.pubsub.deliver_twice = False

    exports = Counter(each["exportContext"]["uri"] for each in cloud.admin.operations)
    with cloud.warehouse() as client:
        jobs = [job for job in client.list_jobs() if job.job_type == "load"]
    loads = Counter(job.destination.table_id for job in jobs if job.destination.dataset_id == "doubled_shards")
    assert set(exports.values()) == {1}
    assert set(loads.values()) == {1}
    assert len(loads) == len(TABLES)
    assert rows(cloud, "doubled.notes") == [(None,), ("",), ("x",)]
    assert cloud.dead_letters() == []


def test_an_earlier_day_gets_its_shard_and_moves_no_view(cloud: Cloud) -> None:
    mirror(cloud, "plain")
    before = views(cloud, "plain")

    cloud.publish("mirror-requests", {"pipeline": "plain", "tables": ["orders"], "shard_date": "2026-01-15"})
    wait_for(lambda: "orders_20260115" in shards(cloud, "plain"))
    assert cloud.pubsub.wait_idle(PATIENCE)

    assert views(cloud, "plain") == before
    assert cloud.dead_letters() == []


def test_a_poisoned_request_comes_to_the_dead_letters_and_goes_no_further(cloud: Cloud) -> None:
    exports = len(cloud.admin.operations)

    message_id = cloud.publish("mirror-requests", {"pipeline": "plain", "shard_date": "9999-12-31"})
    assert cloud.pubsub.wait_idle(PATIENCE)

    [letter] = cloud.dead_letters()
    assert "9999-12-31" in letter["error"]
    assert (letter["function"], letter["message_id"]) == ("list_tables", message_id)
    assert letter["source_topic"] == f"projects/{PROJECT}/topics/mirror-requests"
    assert len(cloud.admin.operations) == exports


def test_no_function_has_taken_more_memory_than_it_gets(cloud: Cloud) -> None:
    """In all that the tests before this one had them do."""
    names = ("list_tables", "export_table", "load_shard", "refresh_views")

    memory = {name: cloud.function(name).memory() for name in names}

    assert {name: used for name, used in memory.items() if used > MOST_MEMORY} == {}
