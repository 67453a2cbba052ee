"""The record of a run."""

import json
from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared import runs
from shared.catalog import Column
from shared.messages import MirrorRequest, TableExport
from shared.pipelines import Pipeline
from tests.shared.memory import Memory

BILLING = Pipeline("billing", "p:r:db", "billing_db", "mirror@p.iam", "p-mirror", "shards", "views")
DAY = date(2026, 11, 22)
REQUESTED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)
REQUEST = MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True)


def export(table: str) -> TableExport:
    return TableExport(
        run_id="9912",
        requested_at=REQUESTED_AT,
        pipeline=BILLING,
        schema="public",
        table=table,
        shard_date=DAY,
        replace=True,
        columns=(Column("id", "bigint", nullable=False),),
    )


def test_a_manifest_stands_in_its_runs_folder() -> None:
    assert runs.manifest_file("billing", "9912") == "billing/_runs/9912/manifest.json"


def test_the_newest_manifest_stands_under_its_day() -> None:
    assert runs.newest_manifest_file("billing", DAY) == "billing/manifest_20261122.json"


def test_a_manifest_is_what_the_contract_says() -> None:
    manifest = runs.new_manifest(REQUEST, [export("orders").to_json()])

    assert json.loads(manifest.content) == {
        "version": 1,
        "run_id": "9912",
        "pipeline": "billing",
        "database": "billing_db",
        "shard_date": "2026-11-22",
        "requested_at": "2026-11-22T02:00:00Z",
        "tables": [export("orders").to_json()],
    }


@given(st.lists(st.text(min_size=1)))
def test_a_manifest_comes_back_from_its_file(tables: list[str]) -> None:
    manifest = runs.new_manifest(REQUEST, [export(table).to_json() for table in tables])

    assert runs.read_manifest(manifest.content) == manifest


def test_a_record_stands_beside_the_manifest() -> None:
    bucket = Memory()

    runs.record(bucket, export("orders"), "orders", "failed", {"function": "list_tables", "error": "größe"})

    assert bucket.objects == {
        "billing/_runs/9912/failed/orders.json": '{"function": "list_tables", "error": "größe"}'.encode()
    }


def test_the_first_record_stands() -> None:
    bucket = Memory()

    runs.record(bucket, export("orders"), "orders", "exported", {"seconds": 1})
    runs.record(bucket, export("orders"), "orders", "exported", {"seconds": 2})

    assert json.loads(bucket.objects["billing/_runs/9912/exported/orders.json"]) == {"seconds": 1}
