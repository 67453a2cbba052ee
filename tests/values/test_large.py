"""Rows and tables that are large: nothing on their way through the functions grows with them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from shared.errors import Permanent
from shared.times import stamp
from tests.support.mirrored import Mirror, Services

pytestmark = pytest.mark.soak

EITHER = pytest.mark.parametrize("file_format", ["csv", "ndjson"])
FUNCTIONS = ("list_tables", "export_table", "load_shard", "refresh_views")
PATIENCE = 240.0  # seconds for a run to end
SLACK = 16 * 2**20  # bytes that a process may grow by between two runs of any size
MIXED = (
    "SELECT n AS id, 'row ' || n AS v, n * 1.25::numeric(12,2) AS price, n::float8 / 3 AS share,"
    " timestamptz '2026-01-01+00' + n * interval '1 second' AS at, date '2026-01-01' + n % 365 AS day,"
    " n % 2 = 0 AS even, decode(md5(n::text), 'hex') AS b,"
    " CASE WHEN n % 3 = 0 THEN NULL WHEN n % 3 = 1 THEN '' ELSE E'\"x\",\\n' END AS maybe"
    " FROM generate_series(1, {}) AS n"
)


@EITHER
def test_a_row_of_90_megabytes_arrives(services: Services, file_format: str) -> None:
    with Mirror(services, format=file_format) as mirror:
        mirror.run(
            "CREATE TABLE t (id int, v text)", "INSERT INTO t VALUES (1, repeat('0123456789', 9000000)), (2, 'x')"
        )

        mirror.mirror()

        assert sorted(mirror.rows("t")) == [(1, "0123456789" * 9_000_000), (2, "x")]


@EITHER
def test_a_row_above_100_megabytes_fails_its_table_by_name(services: Services, file_format: str) -> None:
    with Mirror(services, format=file_format) as mirror:
        mirror.run("CREATE TABLE t (id int, v text)", "INSERT INTO t VALUES (1, repeat('0123456789', 11000000))")

        with pytest.raises(Permanent, match=r"/t/data_20260115\..*larger than 100 MB"):
            mirror.mirror()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A whole cloud for a database with a small table and one of a million rows."""
    with Postgres() as server:
        server.create("large")
        with closing(server.connect("large")) as connection:
            connection.execute_simple(f"CREATE TABLE small AS {MIXED.format(10)}")
            connection.execute_simple(f"CREATE TABLE million AS {MIXED.format(1_000_000)}")
        pipeline = {
            "instance": f"{PROJECT}:europe-west1:large-db",
            "database": "large",
            "user": server.user,
            "host": server.host,
            "bucket": "large-mirror",
            "shards_dataset": "large_shards",
            "views_dataset": "large",
        }
        with Cloud({"large": pipeline}, {str(pipeline["instance"]): server.connect}, tmp_path) as running:
            yield running


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.2)


def mirror_table(cloud: Cloud, table: str) -> dict[str, int]:
    """Have one table mirrored, and tell what each function's processes hold in memory then."""
    today = datetime.now(UTC).date()
    cloud.publish("mirror-requests", {"pipeline": "large", "tables": [table], "shard_date": today.isoformat()})
    with cloud.warehouse() as client:
        wait_for(lambda: table in {view.table_id for view in client.list_tables(f"{PROJECT}.large")})
        shown = client.get_table(f"{PROJECT}.large.{table}").view_query
    assert f"{table}_{stamp(today)}" in shown
    assert cloud.pubsub.wait_idle(PATIENCE)
    return {name: cloud.function(name).memory() for name in FUNCTIONS}


def answer(cloud: Cloud, query: str) -> tuple[Any, ...]:
    with cloud.warehouse() as client:
        [row] = client.query_and_wait(query)
        return tuple(row)


def test_a_million_rows_take_no_more_memory_than_ten(cloud: Cloud) -> None:
    before = mirror_table(cloud, "small")

    after = mirror_table(cloud, "million")

    grown = {name: after[name] - before[name] for name in FUNCTIONS}
    assert {name: size for name, size in grown.items() if size > SLACK} == {}
    totals = "SELECT COUNT(*), MIN(id), MAX(id), SUM(id), COUNT(maybe), MIN(v), MAX(price)"
    found = answer(cloud, f"{totals} FROM `{PROJECT}.large.million`")
    assert found[:5] == (1_000_000, 1, 1_000_000, 500_000_500_000, 666_667)
    assert cloud.dead_letters() == []
