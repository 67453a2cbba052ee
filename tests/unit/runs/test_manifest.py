"""The manifest of a run."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messages.exports import TableExport
from shared.messages.requests import MirrorRequest
from shared.runs import manifest
from shared.runs.manifest import Manifest
from tests.support import billing
from tests.support.billing import DAY, EXPORT, REQUESTED_AT
from tests.support.memory import Memory

BILLING = replace(billing.BILLING, schemas=("public", "sales"))
REQUEST = MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True)
FILE, NEWEST = "billing/_runs/9912/manifest.json", "billing/manifest_20261122.json"


def export(table: str, schema: str = "public") -> TableExport:
    return replace(EXPORT, pipeline=BILLING, schema=schema, table=table, table_id=table)


def listed(*tables: str, request: MirrorRequest = REQUEST) -> Manifest:
    return manifest.of_request(request, [export(table).to_json() for table in tables])


def test_a_manifest_is_what_the_contract_says() -> None:
    assert json.loads(listed("orders").content) == {
        "version": 1,
        "run_id": "9912",
        "pipeline": "billing",
        "database": "billing_db",
        "shard_date": "2026-11-22",
        "requested_at": "2026-11-22T02:00:00Z",
        "is_whole": True,
        "tables": [export("orders").to_json()],
        "refused": [],
    }


@given(st.lists(st.text(min_size=1)))
def test_a_manifest_comes_back_from_its_file(tables: list[str]) -> None:
    bucket, written = Memory(), listed(*tables)
    manifest.write(bucket, BILLING, written)

    assert manifest.find(bucket, BILLING, "9912") == written


def test_a_run_that_has_not_begun_has_no_manifest() -> None:
    assert manifest.find(Memory(), BILLING, "9912") is None


def test_the_first_manifest_of_a_run_counts() -> None:
    bucket, first = Memory(), listed("orders")

    assert manifest.write(bucket, BILLING, first) == first
    assert manifest.write(bucket, BILLING, listed("orders", "refunds")) == first
    assert bucket.objects == {FILE: first.content}


def test_the_tables_of_a_manifest_have_their_ids() -> None:
    entries = [export("Refund Log", "sales").to_json(), export("orders").to_json()]

    assert manifest.of_request(REQUEST, entries).table_ids(BILLING) == {"sales__Refund_Log", "orders"}


@pytest.mark.parametrize(("later", "shown"), [(60, True), (0, False), (-60, False)])
def test_only_a_later_run_takes_the_place_of_the_days_newest(later: float, shown: bool) -> None:
    bucket, before = Memory(), listed("orders")
    run = listed(
        "refunds", request=replace(REQUEST, run_id="9913", requested_at=REQUESTED_AT + timedelta(seconds=later))
    )
    manifest.show_newest(bucket, BILLING, before)

    manifest.show_newest(bucket, BILLING, run)

    assert bucket.objects == {NEWEST: run.content if shown else before.content}


@pytest.mark.parametrize("hours", [-1, 1])
def test_of_two_runs_at_once_readers_find_the_later_one(hours: int) -> None:
    ours, other = (
        listed(),
        listed(request=replace(REQUEST, run_id="9913", requested_at=REQUESTED_AT + timedelta(hours=hours))),
    )

    class Raced(Memory):
        """A bucket to which the other run writes first."""

        raced = False

        def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
            if not self.raced:
                self.raced = True
                manifest.show_newest(self, BILLING, other)
            super().write(name, content, onto, marks)

    bucket = Raced()
    manifest.show_newest(bucket, BILLING, ours)

    assert manifest.newest(bucket, BILLING) == (ours if hours < 0 else other)


def test_the_newest_runs_of_three_days_are_found_newest_first() -> None:
    bucket = Memory()
    runs = [listed(request=replace(REQUEST, shard_date=date(2026, 11, day))) for day in (22, 21, 20, 19)]
    for run in runs:
        manifest.show_newest(bucket, BILLING, run)

    assert list(manifest.of_last_days(bucket, BILLING, REQUESTED_AT)) == runs[:3]
    assert list(manifest.of_last_days(Memory(), BILLING, REQUESTED_AT)) == []
