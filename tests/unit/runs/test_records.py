"""What is written down of a table of a run."""

import json
from dataclasses import replace

from shared.runs import records
from shared.tables import Column
from tests.support.billing import EXPORT
from tests.support.memory import Memory

FAILED, AGAIN = "billing/_runs/9912/failed/orders.json", "billing/_runs/9912/relisted/orders.json"


def test_a_record_stands_beside_the_manifest() -> None:
    bucket = Memory()

    records.record_reason(bucket, EXPORT, records.FAILED, "list_tables", "größe")

    assert bucket.objects == {FAILED: '{"function": "list_tables", "error": "größe"}'.encode()}


def test_the_first_record_stands() -> None:
    bucket = Memory()

    records.record(bucket, EXPORT, records.EXPORTED, {"seconds": 1})
    records.record(bucket, EXPORT, records.EXPORTED, {"seconds": 2})

    assert json.loads(bucket.objects["billing/_runs/9912/exported/orders.json"]) == {"seconds": 1}


def test_a_failure_that_was_made_good_is_taken_back_and_its_run_is_not_over() -> None:
    bucket = Memory()
    records.record_reason(bucket, EXPORT, records.FAILED, "load_shard", "no")
    records.record(bucket, EXPORT, records.EXPORTED, {})

    records.clear_failure(bucket, EXPORT)

    assert list(bucket.objects) == ["billing/_runs/9912/exported/orders.json", "billing/_runs/open/9912"]


def test_without_a_failure_none_is_taken_back() -> None:
    bucket = Memory()

    records.clear_failure(bucket, EXPORT)

    assert bucket.objects == {}


def test_a_table_is_described_again_once_in_a_run() -> None:
    bucket = Memory()
    altered = replace(EXPORT, columns=(Column("id", "text", nullable=True),))

    assert records.read_described_again(bucket, EXPORT) is None
    assert records.write_described_again(bucket, altered) == altered.to_json()
    assert records.write_described_again(bucket, EXPORT) == altered.to_json()
    assert records.read_described_again(bucket, EXPORT) == altered.to_json()
    assert list(bucket.objects) == [AGAIN]
