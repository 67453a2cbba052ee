"""Which runs are complete, and what they release."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from shared import times
from shared.pipelines import Pipeline
from shared.refreshing.release import Releases
from shared.runs.lanes import Lane
from shared.tables import Shard
from tests.support.memory import Memory

BILLING = Pipeline(
    "billing", "p:r:db", "billing_db", "mirror@p.iam", "p-mirror", "shards", "views", schemas=("public", "sales")
)
DAY = date(2026, 11, 22)
REQUESTED = datetime(2026, 11, 22, 2, tzinfo=UTC)
LATER = REQUESTED + timedelta(hours=1)


def shard(table_id: str, day: date = DAY) -> Shard:
    return Shard(table_id, day)


def began(bucket: Memory, run_id: str, tables: Iterable[tuple[str, str]], day: date = DAY) -> None:
    manifest = {
        "run_id": run_id,
        "requested_at": times.rfc3339(REQUESTED),
        "shard_date": day.isoformat(),
        "tables": [{"schema": schema, "table": table} for schema, table in tables],
    }
    bucket.objects[f"billing/_runs/{run_id}/manifest.json"] = json.dumps(manifest).encode()


def sealed(bucket: Memory, run_id: str, of: Shard) -> None:
    seal = {
        "run_id": run_id,
        "requested_at": times.rfc3339(REQUESTED),
        "data_uri": "gs://p-mirror/x",
        "data_generation": 1,
        "format": "csv",
        "columns": [],
        "description": None,
    }
    bucket.objects[f"billing/{of.table_id}/schema_{times.stamp(of.day)}.json"] = json.dumps(seal).encode()


def known(bucket: Memory, present: Iterable[Shard], now: datetime = LATER) -> Releases:
    return Releases(BILLING, bucket, frozenset(present), now, Lane([BILLING], bucket, now))


def test_a_run_is_complete_when_each_table_has_its_shard_or_a_record_that_it_failed() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders"), ("sales", "refunds"), ("public", "log")])
    sealed(bucket, "1", shard("orders"))
    bucket.objects["billing/_runs/1/failed/log.json"] = b"{}"

    run = known(bucket, [shard("orders"), shard("sales__refunds")]).run_of(shard("orders"))

    assert run
    assert not run.unloaded
    assert run.missing == {"log"}
    assert run.shards == [shard("orders"), shard("sales__refunds")]


def test_a_run_lacks_what_has_neither() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders"), ("sales", "refunds")])
    sealed(bucket, "1", shard("orders"))

    run = known(bucket, [shard("orders"), shard("sales__refunds", date(2026, 11, 21))]).run_of(shard("orders"))

    assert run
    assert run.unloaded
    assert run.unloaded == {"sales__refunds"}


def test_a_record_of_a_failure_that_was_made_good_does_not_count() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders")])
    sealed(bucket, "1", shard("orders"))
    bucket.objects["billing/_runs/1/failed/orders.json"] = b"{}"

    run = known(bucket, [shard("orders")]).run_of(shard("orders"))

    assert run
    assert not run.missing
    assert run.shards == [shard("orders")]


def test_a_days_silence_is_a_failure_and_written_down() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders"), ("public", "log")])
    sealed(bucket, "1", shard("orders"))

    run = known(bucket, [shard("orders")], REQUESTED + timedelta(hours=24)).run_of(shard("orders"))

    assert run
    assert not run.unloaded
    assert run.missing == {"log"}
    assert "24 hours" in json.loads(bucket.objects["billing/_runs/1/failed/log.json"])["error"]


def test_a_shard_whose_files_are_no_longer_there_or_are_not_ours_is_released() -> None:
    bucket = Memory()
    sealed(bucket, "gone", shard("orders"))
    bucket.objects["billing/refunds/schema_20261122.json"] = b"[]"
    found = known(bucket, [shard("orders"), shard("refunds"), shard("users")])

    released = {name for name in ("orders", "refunds", "users") if found.is_released(shard(name))}

    assert released == {"orders", "refunds", "users"}


def test_of_the_shards_of_a_table_none_of_an_unfinished_run_is_released_whether_newer_or_older() -> None:
    bucket = Memory()
    days = [date(2026, 11, day) for day in (22, 21, 20, 19)]
    for run_id, day, tables in (("4", days[0], 2), ("3", days[1], 1), ("2", days[2], 2), ("1", days[3], 1)):
        began(bucket, run_id, [("public", "orders"), ("public", "log")][:tables], day)
        sealed(bucket, run_id, shard("orders", day))
    orders = [shard("orders", day) for day in days]

    releases = known(bucket, orders)

    assert [releases.is_released(each) for each in orders] == [False, True, False, True]
    assert [run.run_id for run in releases.complete()] == ["3", "1"]


def test_each_run_is_looked_up_once() -> None:
    bucket = Memory()
    tables = [f"t{number}" for number in range(50)]
    began(bucket, "1", [("public", table) for table in tables])
    for table in tables:
        sealed(bucket, "1", shard(table))
    found = known(bucket, map(shard, tables))

    for table in tables:
        assert found.is_released(shard(table))

    assert len(bucket.calls) == 3
    assert [run.run_id for run in found.complete()] == ["1"]


def test_a_run_of_the_last_days_that_brought_a_shard_is_looked_up_once() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders")])
    bucket.objects["billing/manifest_20261122.json"] = bucket.objects["billing/_runs/1/manifest.json"]
    sealed(bucket, "1", shard("orders"))
    found = known(bucket, [shard("orders")])

    found.end_silent_runs()

    assert found.is_released(shard("orders"))
    assert bucket.calls.count("billing/_runs/1/") == 1


def test_nothing_is_complete_that_was_not_looked_up() -> None:
    assert known(Memory(), []).complete() == []


def test_a_run_of_the_last_days_ends_though_nothing_of_it_was_looked_up() -> None:
    bucket = Memory()
    began(bucket, "1", [("public", "orders")])
    bucket.objects["billing/manifest_20261122.json"] = bucket.objects["billing/_runs/1/manifest.json"]

    known(bucket, [], REQUESTED + timedelta(hours=24)).end_silent_runs()

    assert "24 hours" in json.loads(bucket.objects["billing/_runs/1/failed/orders.json"])["error"]
