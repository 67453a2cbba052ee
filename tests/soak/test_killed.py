"""
Functions are killed at random moments, as when instances are lost: whatever was under way, the mirror comes out right.

A schedule is drawn from a seed, which is in the name of its test. SEED=… begins with that one, SCHEDULES=… says how many.
"""

import csv
import io
import json
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from google.cloud import storage

from local import source
from local.cloud import PROJECT, Cloud
from local.functions import Function
from local.postgres import Postgres
from local.server import Answer, Answering, Call
from local.source import Source
from shared import bucket as paths

pytestmark = [
    # The local cloud looks at its dead letters without waiting, which is what the flag is for.
    pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning"),
]

SCHEDULES = int(os.environ.get("SCHEDULES") or 3)
SEED = int(os.environ["SEED"])
FUNCTIONS = ("list_tables", "export_table", "read_snapshot", "load_shard", "refresh_views")
PIPELINE = "shop"
PATIENCE = 90.0  # seconds for messages, and again for events, to be handled once nobody is killed any more
MOST_CALLS = 15
"""Between two kills. Most exports take more calls, so that a table sees some kills; few take as many once they are begun."""
LONGEST_QUIET = 1.0  # seconds without so many calls
LONGEST_REST = 0.1  # seconds from a call to the kill, and from there to the new start
SMALL = (
    "CREATE TABLE orders (id bigint PRIMARY KEY, note text, total numeric(12,2), placed timestamptz)",
    "INSERT INTO orders VALUES (1, E'a,\"b\"\\nc', 12.50, '2026-01-15 01:02:03.5+01'), (2, NULL, NULL, NULL), (3, '', -1, NULL)",
    "CREATE TABLE customers AS SELECT n AS id, 'name ' || n AS name, n % 2 = 0 AS regular FROM generate_series(1, 500) AS n",
    "CREATE TABLE notes (note text)",
    "INSERT INTO notes VALUES ('x'), (NULL), ('')",
    "CREATE TABLE empty (id int)",
)


@pytest.fixture(scope="module", name="small")
def _small() -> Iterator[Source]:
    """A database of few rows, of which a mirror takes a second or two."""
    with Postgres() as server:
        with closing(server.connect()) as connection:
            for statement in SMALL:
                connection.run(statement)
        yield Source("postgres", {"user": server.user, "host": server.host}, server.connect)


@pytest.mark.parametrize("seed", range(SEED, SEED + SCHEDULES))
def test_a_run_whose_functions_are_killed_ends_in_a_right_mirror(seed: int, small: Source, tmp_path: Path) -> None:
    chance, today, way = Random(seed), datetime.now(UTC).date(), ("export", "snapshot")[seed % 2]
    with cloud_of(small, tmp_path, duration=chance.choice((0.0, 0.3)), way=way) as cloud, ThreadPoolExecutor() as pool:
        cloud.pubsub.deliver_twice = chance.random() < 0.5
        calls = count_calls(cloud)
        run_id = request(cloud, today)

        def harass(name: str) -> None:
            own = Random(f"{seed} {name}")
            kill_and_restart(cloud.function(name), own, own.randint(0, 4), calls)

        list(pool.map(harass, [each for each in FUNCTIONS if way == "snapshot" or each != "read_snapshot"]))

        assert_right(cloud, small, {today: run_id}, is_exported=way == "export")
        assert {table: shown(cloud, table) for table in tables(small)} == {
            table: Counter(at_source(small, table)) for table in tables(small)
        }


@pytest.mark.parametrize("seed", [SEED])
def test_a_demo_run_whose_export_table_is_killed_twenty_times_ends_in_a_right_mirror(seed: int, tmp_path: Path) -> None:
    today = datetime.now(UTC).date()
    with source.our_own() as flights, cloud_of(flights, tmp_path, duration=0.8) as cloud:
        calls = count_calls(cloud)
        run_ids = {day: request(cloud, day) for day in (today - timedelta(days=1), today)}

        kill_and_restart(cloud.function("export_table"), Random(seed), 20, calls)

        assert not cloud.pubsub.idle(), "the run was over before the last kill"
        assert_right(cloud, flights, run_ids)


def cloud_of(database: Source, work: Path, duration: float, way: str = "export") -> Cloud:
    pipeline = database.settings | {
        "instance": source.INSTANCE,
        "database": database.database,
        "bucket": "shop-mirror",
        "shards_dataset": "shop_shards",
        "views_dataset": "shop",
        "small_tables": way,
    }
    return Cloud({PIPELINE: pipeline}, {source.INSTANCE: database.connect}, work, duration=duration)


def request(cloud: Cloud, day: date) -> str:
    return cloud.publish("mirror-requests", {"pipeline": PIPELINE, "shard_date": day.isoformat()})


def count_calls(cloud: Cloud) -> list[float]:
    """Have the services write down when they are called: the clock by which functions are killed, however slow the machine."""
    calls: list[float] = []

    def counting(call: Call, answering: Answering) -> Answer:
        calls.append(time.monotonic())
        return answering(call)

    for server in (cloud.admin.server, cloud.storage.server, cloud.bigquery.server):
        server.between = counting
    return calls


def kill_and_restart(function: Function, chance: Random, times: int, calls: Sequence[float]) -> None:
    """Kill it so many times, at some call or soon after, or when there are none, and start it again."""
    for _ in range(times):
        wait_for_calls(calls, chance.randint(1, MOST_CALLS))
        time.sleep(chance.uniform(0, LONGEST_REST))
        function.kill()
        time.sleep(chance.uniform(0, LONGEST_REST))
        function.restart()


def wait_for_calls(calls: Sequence[float], more: int) -> None:
    until = len(calls) + more
    wait_until(lambda: len(calls) >= until, LONGEST_QUIET)


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.001)
    return True


def assert_right(cloud: Cloud, database: Source, run_ids: dict[date, str], *, is_exported: bool = True) -> None:
    """Hold what the runs have left behind to all that is promised, but of the rows to their number alone."""
    expected = {f"{table}_{day:%Y%m%d}" for day in run_ids for table in tables(database)}
    newest = {table: f"{table}_{max(run_ids):%Y%m%d}" for table in tables(database)}
    assert cloud.pubsub.wait_idle(PATIENCE)
    assert cloud.dead_letters() == []
    assert wait_until(lambda: views(cloud) == newest, PATIENCE), views(cloud)
    assert {table: count(cloud, table) for table in newest} == {
        table: database.rows("public", table) for table in newest
    }
    assert exports(cloud) == dict.fromkeys(expected if is_exported else (), 1)
    assert loads(cloud) == dict.fromkeys(expected, 1)
    with closing(cloud.objects()) as client:
        bucket = client.bucket("shop-mirror")
        written = {blob.name for blob in bucket.list_blobs()}
        pairs = {name for day, run_id in run_ids.items() for name in pair_files(bucket, database, day, run_id)}
        assert {name for name in written if "/_runs/" not in name and "/manifest_" not in name} == pairs
        assert {name for name in written if "/failed/" in name or "/skipped/" in name} == set()


def pair_files(bucket: storage.Bucket, database: Source, day: date, run_id: str) -> Iterator[str]:
    """The names of the files that one run has made, when they have been held against each other and the source."""
    for table in tables(database):
        sealed = paths.schema_file(PIPELINE, table, day)
        schema = json.loads(bucket.blob(sealed).download_as_bytes())
        name = paths.data_file(PIPELINE, table, day, schema["format"])
        data = bucket.get_blob(name)
        assert (schema["run_id"], schema["data_uri"]) == (run_id, f"gs://{bucket.name}/{name}")
        assert schema["data_generation"] == data.generation
        widths = [len(row) for row in rows_in(data.download_as_text(), schema["format"])]
        assert len(widths) == database.rows("public", table)
        assert set(widths) <= {len(schema["columns"])}
        yield from (sealed, name)


def rows_in(text: str, file_format: str) -> Iterator[Any]:
    lines = io.StringIO(text, newline="")
    return csv.reader(lines) if file_format == "csv" else (json.loads(line) for line in lines)


def exports(cloud: Cloud) -> Counter[str]:
    """How many operations each shard took."""
    uris = [operation["exportContext"]["uri"] for operation in cloud.admin.operations]
    return Counter(Path(uri).stem for uri in uris)


def loads(cloud: Cloud) -> Counter[str]:
    """How many load jobs each shard took."""
    with cloud.warehouse() as client:
        loaded = [job.destination for job in client.list_jobs() if job.job_type == "load"]
        return Counter(each.table_id for each in loaded if each.dataset_id == "shop_shards")


def views(cloud: Cloud) -> dict[str, str]:
    """The views, and the shard that each shows."""
    with cloud.warehouse() as client:
        found = [table.table_id for table in client.list_tables(f"{PROJECT}.shop")]
        queries = {name: client.get_table(f"{PROJECT}.shop.{name}").view_query for name in found}
    return {name: query.rpartition(".")[2].rstrip("`") for name, query in queries.items()}


def count(cloud: Cloud, view: str) -> int:
    with cloud.warehouse() as client:
        [row] = client.query_and_wait(f"SELECT COUNT(*) AS n FROM `{PROJECT}.shop.{view}`")
        return int(row.n)


def shown(cloud: Cloud, view: str) -> Counter[tuple[Any, ...]]:
    with cloud.warehouse() as client:
        return Counter(row.values() for row in client.query_and_wait(f"SELECT * FROM `{PROJECT}.shop.{view}`"))


def tables(database: Source) -> list[str]:
    with closing(database.connect(database.database)) as connection:
        return [str(name) for (name,) in connection.run("SELECT relname FROM pg_stat_user_tables ORDER BY 1")]


def at_source(database: Source, table: str) -> list[tuple[Any, ...]]:
    with closing(database.connect(database.database)) as connection:
        return [tuple(row) for row in connection.run(f"SELECT * FROM {table}")]
