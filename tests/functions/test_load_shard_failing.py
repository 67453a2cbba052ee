"""What becomes of an announced pair that cannot be loaded."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.delivery import REQUESTED, topic
from tests.support.pairs import DATA, SCHEMA, announce, put_pair
from tests.support.stage import Stage


def rows(stage: Stage) -> list[tuple[Any, ...]]:
    return sorted(row.values() for row in stage.warehouse.list_rows(stage.shard("orders_20260115")))


def jobs(stage: Stage) -> list[str]:
    """The ids of the load jobs that have ended, in order."""
    return [job.job["jobReference"]["jobId"] for job in stage.jobs]


def test_data_that_bigquery_refuses_is_permanent_and_changes_nothing(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    load_shard.receive(announce(stage))
    put_pair(stage, "'12,50',x\n", run_id=f"{stage.run_id}-later")

    status = load_shard.receive(announce(stage, run_id=f"{stage.run_id}-later"), message_id="9914")

    [letter] = stage.published("dead-letters")
    record = stage.json(f"billing/_runs/{stage.run_id}-later/failed/orders.json")
    assert status == 200
    assert json.loads(letter.data) == announce(stage, run_id=f"{stage.run_id}-later")
    assert DATA in letter.attributes["error"]
    assert "12,50" not in letter.attributes["error"]
    assert record == {"function": "load_shard", "error": record["error"]}
    assert " ".join(record["error"].split()) == letter.attributes["error"]
    assert rows(stage) == [(1, "x")]


def test_a_redelivery_of_what_was_refused_runs_no_second_job(stage: Stage) -> None:
    put_pair(stage, "x,x\n")
    load_shard = stage.function("load_shard")

    statuses = [load_shard.receive(announce(stage)) for _ in range(2)]

    assert statuses == [200, 200]
    assert len(jobs(stage)) == 1


def test_a_replay_of_what_was_refused_tries_again(stage: Stage) -> None:
    put_pair(stage, "x,x\n")
    load_shard = stage.function("load_shard")
    load_shard.receive(announce(stage))
    [letter] = stage.published("dead-letters")
    put_pair(stage, "2,y\n")

    now = datetime.now(UTC).isoformat()
    status = load_shard.receive(letter.data, message_id="10000", published=now, attributes=dict(letter.attributes))

    assert status == 200
    assert rows(stage) == [(2, "y")]
    assert stage.published("dead-letters") == []


def test_a_passing_failure_is_handed_back_and_the_next_delivery_runs_another_job(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    stage.bigquery.fail_next_job("backendError")

    statuses = [load_shard.receive(announce(stage)) for _ in range(2)]

    first, second = jobs(stage)
    assert statuses == [503, 200]
    assert (first[:-1], first[-1], second[-1]) == (second[:-1], "1", "2")
    assert rows(stage) == [(1, "x")]
    assert stage.published("dead-letters") == []


def test_a_dataset_that_is_not_there_is_permanent_and_says_what_to_do(stage: Stage) -> None:
    stage.pipeline["shards_dataset"] = "no_such_dataset"
    put_pair(stage)
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "no_such_dataset" in letter.attributes["error"]
    assert "create it" in letter.attributes["error"]
    assert stage.json(f"billing/_runs/{stage.run_id}/failed/orders.json")["function"] == "load_shard"


@pytest.mark.parametrize("missing", [SCHEMA, DATA])
def test_a_file_that_is_gone_is_permanent(stage: Stage, missing: str) -> None:
    """Without the seal, nothing says that there ever was a pair, and no table is said to have failed."""
    put_pair(stage)
    stage.bucket.delete_blob(missing)
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert missing in letter.attributes["error"]
    assert (f"billing/_runs/{stage.run_id}/failed/orders.json" in stage.files()) is (missing == DATA)


def test_a_schema_file_that_is_none_is_permanent(stage: Stage) -> None:
    put_pair(stage)
    stage.put(SCHEMA, "[]")
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage))

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert SCHEMA in letter.attributes["error"]


@pytest.mark.parametrize(
    ("change", "named"),
    [({"pipeline": "shipping"}, "shipping"), ({"shard_date": "2026-02-30"}, "2026-02-30"), ({"data_uri": 7}, "7")],
)
def test_a_bad_message_is_dead_lettered_with_what_is_wrong(stage: Stage, change: dict[str, Any], named: str) -> None:
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage, **change))

    [letter] = stage.published("dead-letters")
    attributes = dict(letter.attributes)
    assert status == 200
    assert named in attributes.pop("error")
    assert attributes == {
        "function": "load_shard",
        "source_topic": topic("table-exported"),
        "message_id": "9912",
        "publish_time": REQUESTED,
        "ordering_key": "",
    }
    assert jobs(stage) == []
