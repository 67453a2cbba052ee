"""The schema file that seals a pair."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.exporting import typemap
from shared.runs import schema_file
from shared.runs.schema_file import Seal
from shared.tables import Column
from tests.support import billing
from tests.support.billing import REQUESTED_AT

EXPORT = replace(
    billing.EXPORT,
    schema="sales",
    table="Refund Log",
    table_id="sales__Refund_Log",
    columns=(
        Column("id", "bigint", nullable=False),
        Column("unit price", "euros", nullable=True, comment="net", base_type="numeric(12,2)"),
    ),
    comment="What we gave back",
)
WHOSE = {
    "pipeline": "billing",
    "schema": "sales",
    "table": "Refund Log",
    "table_id": "sales__Refund_Log",
    "shard_date": "2026-11-22",
}
SEAL = Seal(
    run_id="9912",
    requested_at=REQUESTED_AT,
    exported_at=REQUESTED_AT + timedelta(minutes=1),
    data_uri="gs://p-mirror/billing/x/data_20261122.csv",
    data_generation=1_700_000_000_000_000,
    format="csv",
    replace=True,
    columns=tuple(column.to_json() for column in typemap.mapped(EXPORT.columns, "fail")),
    description="What we gave back",
    snapshot="export-1",
    clustering=("id",),
)

_MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
_SEALS = st.builds(
    Seal,
    run_id=st.text(min_size=1),
    requested_at=_MOMENTS,
    exported_at=_MOMENTS,
    data_uri=st.text(min_size=1),
    data_generation=st.integers(1, 2**63 - 1),
    format=st.sampled_from(["csv", "ndjson"]),
    columns=st.sampled_from([(), SEAL.columns]),
    description=st.none() | st.text(),
    whose=st.just(WHOSE),
    snapshot=st.none() | st.text(),
    clustering=st.sampled_from([(), ("id",)]),
)


def seal(run_id: str, requested_at: datetime = REQUESTED_AT) -> Seal:
    return replace(SEAL, run_id=run_id, requested_at=requested_at)


def test_the_file_is_what_the_contract_says() -> None:
    assert json.loads(schema_file.write(EXPORT, SEAL)) == {
        "version": 1,
        "pipeline": "billing",
        "database": "billing_db",
        "schema": "sales",
        "table": "Refund Log",
        "table_id": "sales__Refund_Log",
        "run_id": "9912",
        "requested_at": "2026-11-22T02:00:00Z",
        "exported_at": "2026-11-22T02:01:00Z",
        "snapshot": "export-1",
        "shard_date": "2026-11-22",
        "format": "csv",
        "replace": True,
        "description": "What we gave back",
        "data_uri": "gs://p-mirror/billing/x/data_20261122.csv",
        "data_generation": 1_700_000_000_000_000,
        "clustering": ["id"],
        "columns": [
            {
                "name": "id",
                "source_name": "id",
                "data_type": "bigint",
                "is_nullable": False,
                "bigquery_type": "INT64",
                "mode": "REQUIRED",
                "description": None,
            },
            {
                "name": "unit_price",
                "source_name": "unit price",
                "data_type": "euros",
                "is_nullable": True,
                "bigquery_type": "NUMERIC",
                "mode": "NULLABLE",
                "description": "net",
            },
        ],
    }


@given(_SEALS)
def test_a_seal_comes_back_from_its_file(written: Seal) -> None:
    assert schema_file.read(schema_file.write(EXPORT, written)) == written


def test_a_file_of_an_earlier_version_says_no_clustering() -> None:
    content = json.loads(schema_file.write(EXPORT, SEAL))
    del content["clustering"]

    assert schema_file.read(json.dumps(content).encode()) == replace(SEAL, whose=WHOSE, clustering=())


@pytest.mark.parametrize("content", [b"", b"\xff", b"null", b"[]", b"{}", b'"text"', b'{"run_id": "9912"}'])
def test_what_is_no_schema_file_seals_nothing(content: bytes) -> None:
    assert schema_file.read(content) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"requested_at": "then"},
        {"requested_at": None},
        {"requested_at": "0001-01-01T00:00:00+14:00"},
        {"data_generation": "x"},
        {"columns": 1},
    ],
)
def test_a_schema_file_that_somebody_broke_seals_nothing(changes: dict[str, Any]) -> None:
    content = json.loads(schema_file.write(EXPORT, SEAL)) | changes

    assert schema_file.read(json.dumps(content).encode()) is None


@pytest.mark.parametrize(
    ("later", "outranks"), [(timedelta(seconds=1), True), (timedelta(0), False), (timedelta(seconds=-1), False)]
)
def test_the_pair_of_a_later_request_outranks(later: timedelta, outranks: bool) -> None:
    assert seal("8000", REQUESTED_AT + later).outranks("9912", REQUESTED_AT) is outranks


def test_of_two_requests_of_one_moment_exactly_one_outranks() -> None:
    assert seal("2").outranks("1", REQUESTED_AT) is not seal("1").outranks("2", REQUESTED_AT)
