"""What an announced pair becomes in BigQuery."""

from typing import Any

import pytest
from google.cloud import bigquery

from tests.support.pairs import ID, announce, put_pair
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT


def rows(stage: Stage) -> list[tuple[Any, ...]]:
    return sorted(row.values() for row in stage.warehouse.list_rows(stage.shard("orders_20260115")))


def jobs(stage: Stage) -> list[str]:
    """The ids of the load jobs that have ended, in order."""
    return [job.job["jobReference"]["jobId"] for job in stage.jobs]


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_pair_is_loaded_into_its_shard(stage: Stage, push: bool) -> None:
    put_pair(stage, '1,"a\nb"\n2,\n3,""\n')
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage), push=push)

    assert status == 200
    assert rows(stage) == [(1, "a\nb"), (2, None), (3, "")]
    assert stage.published("dead-letters") == []


def test_a_shard_has_the_types_the_modes_and_the_descriptions_of_the_schema_file(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    load_shard.receive(announce(stage))

    shard = stage.warehouse.get_table(stage.shard("orders_20260115"))
    assert shard.description == "All orders."
    assert [(each.name, each.field_type, each.mode, each.description) for each in shard.schema] == [
        ("id", "INTEGER", "REQUIRED", "of the order"),
        ("note", "STRING", "NULLABLE", None),
    ]


def test_an_ndjson_pair_is_loaded(stage: Stage) -> None:
    put_pair(stage, '{"id":"9007199254740993","note":null}\n', format="ndjson")
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage, format="ndjson"))

    assert status == 200
    assert rows(stage) == [(9007199254740993, None)]


def test_an_empty_data_file_becomes_an_empty_shard(stage: Stage) -> None:
    put_pair(stage, "")
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    shard = stage.warehouse.get_table(stage.shard("orders_20260115"))
    assert status == 200
    assert (shard.num_rows, [each.name for each in shard.schema]) == (0, ["id", "note"])


@pytest.mark.parametrize("location", ["US", "europe-west1"])
def test_a_redelivery_runs_no_second_job_wherever_the_dataset_is(stage: Stage, location: str) -> None:
    stage.pipeline["shards_dataset"] += "_there"
    dataset = bigquery.Dataset(f"{PROJECT}.{stage.pipeline['shards_dataset']}")
    dataset.location = location
    stage.warehouse.create_dataset(dataset)
    put_pair(stage)
    load_shard = stage.function("load_shard")

    statuses = [load_shard.receive(announce(stage)) for _ in range(2)]

    assert statuses == [200, 200]
    assert len(jobs(stage)) == 1
    assert rows(stage) == [(1, "x")]


def test_a_later_run_replaces_the_shard_whole(stage: Stage) -> None:
    put_pair(stage, "1,x\n2,y\n")
    load_shard = stage.function("load_shard")
    load_shard.receive(announce(stage))
    put_pair(stage, "3\n", run_id=f"{stage.run_id}-later", columns=[ID])

    status = load_shard.receive(announce(stage, run_id=f"{stage.run_id}-later"))

    assert status == 200
    assert rows(stage) == [(3,)]


def test_a_pair_that_another_run_has_sealed_is_left_to_that_run(stage: Stage, log: Log) -> None:
    put_pair(stage, run_id=f"{stage.run_id}-later")
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    [line] = log()
    assert status == 200
    assert line["outcome"] == "skipped"
    assert jobs(stage) == []
    assert stage.published("dead-letters") == []


def test_an_earlier_days_shard_that_has_rows_is_kept(stage: Stage, log: Log) -> None:
    stage.load(stage.shard("orders_20260115"), rows="7\n")
    put_pair(stage)
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage, replace=False))

    [line] = log()
    assert status == 200
    assert (line["outcome"], line["severity"]) == ("skipped", "WARNING")
    assert rows(stage) == [(7,)]
    assert stage.published("dead-letters") == []


def test_an_earlier_day_that_has_no_shard_is_filled(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    statuses = [load_shard.receive(announce(stage, replace=False)) for _ in range(2)]

    assert statuses == [200, 200]
    assert rows(stage) == [(1, "x")]
    assert stage.published("dead-letters") == []


def test_one_log_line_tells_of_the_load(stage: Stage, log: Log) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    load_shard.receive(announce(stage))

    [line] = log()
    assert line.pop("seconds") > 0
    assert line == line | {
        "severity": "INFO",
        "function": "load_shard",
        "pipeline": "billing",
        "table": "public.orders",
        "shard_date": "2026-01-15",
        "run_id": stage.run_id,
        "operation": jobs(stage)[0],
        "outcome": "loaded",
    }


def test_a_pipeline_whose_own_job_loads_is_left_to_it(stage: Stage) -> None:
    stage.pipeline["loader"] = "scio"
    put_pair(stage)
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    assert status == 200
    assert jobs(stage) == []


def test_rows_that_another_run_has_put_there_wait_for_its_seal(stage: Stage) -> None:
    put_pair(stage)
    stage.put("billing/orders/data_20260115.csv", "7,later\n")
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    assert status == 503
    assert jobs(stage) == []
