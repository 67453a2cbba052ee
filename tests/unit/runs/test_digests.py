"""A run in small, and how long it is remembered."""

import json
from dataclasses import replace
from typing import Any

import pytest

from shared.errors import Permanent
from shared.messages.requests import MirrorRequest
from shared.runs import belief, digests, manifest
from shared.runs.digests import Digests, KnownRuns
from shared.tables import Column
from tests.support import billing
from tests.support.billing import BILLING, DAY, REQUESTED_AT
from tests.support.memory import Memory

REQUEST = MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True)
EXPORT = replace(
    billing.EXPORT,
    columns=(Column("id", "euros", nullable=False, comment="größe", base_type="numeric(12,2)"),),
    comment="All orders.",
    server_major=17,
    run_tables=1,
    replace_asked=True,
    primary_key=("id",),
)
FILE, MANIFEST, AGAIN = (f"billing/_runs/9912/{name}.json" for name in ("digests", "manifest", "relisted/orders"))


def begun(request: MirrorRequest = REQUEST, **changes: Any) -> Memory:
    """A bucket with the record of a run."""
    bucket = Memory()
    run = manifest.of_request(request, [replace(EXPORT, run_id=request.run_id, **changes).to_json()])
    digests.write(bucket, BILLING, manifest.write(bucket, BILLING, run), is_new=True)
    return bucket


def test_a_message_keeps_its_digest_from_version_to_version() -> None:
    """If it does not, functions of the version before and after cannot read one another's: give VERSION another number."""
    assert digests.VERSION == 2
    assert digests.of_export(EXPORT) == "20a0de2ad57ddde6a099ca2567a77a1b965d22d18160b9970fe240cbd3a58861"


def test_a_run_is_written_down_in_small() -> None:
    assert json.loads(begun().objects[FILE]) == {
        "version": 2,
        "replace": True,
        "requested_at": "2026-11-22T02:00:00Z",
        "shard_date": "2026-11-22",
        "tables": {"orders": digests.of_export(EXPORT)},
        "last": "orders",
    }


def test_the_last_of_the_lane_is_the_last_of_the_manifest_that_is_not_read_in_a_snapshot() -> None:
    entries = [replace(EXPORT, table=table).to_json() for table in ("orders", "users", "events")]
    entries[2]["snapshot"] = 1

    assert digests.of_manifest(manifest.of_request(REQUEST, entries), BILLING).last == "users"
    assert digests.of_manifest(manifest.of_request(REQUEST, entries[2:]), BILLING).last is None


@pytest.mark.parametrize("is_new", [True, False])
def test_what_was_written_first_stands(is_new: bool) -> None:
    bucket = begun()
    before = bucket.objects[FILE]

    digests.write(bucket, BILLING, manifest.of_request(REQUEST, []), is_new=is_new)

    assert bucket.objects[FILE] == before


def test_a_run_that_is_on_record_is_written_down_as_a_new_one_is() -> None:
    new, found = begun(), begun()
    del found.objects[FILE]
    run = manifest.find(found, BILLING, "9912")
    assert run

    digests.write(found, BILLING, run, is_new=False)

    assert found.objects == new.objects


@pytest.mark.parametrize("version", [1, 3, None])
def test_digests_of_another_version_are_made_anew_from_the_manifest(version: int | None) -> None:
    bucket = begun()
    bucket.objects[FILE] = json.dumps({"version": version, "tables": {}}).encode()

    known = KnownRuns().find(bucket, BILLING, "9912")

    assert known == Digests(REQUESTED_AT, DAY, True, {"orders": digests.of_export(EXPORT)}, last="orders")


def test_a_run_is_read_once_and_one_that_is_not_there_is_looked_for_again() -> None:
    runs, bucket = KnownRuns(), Memory()
    assert runs.find(bucket, BILLING, "9912") is None
    bucket.objects = begun().objects
    bucket.calls.clear()

    found = [runs.find(bucket, BILLING, "9912") for _ in range(3)]

    assert found[0]
    assert found == [found[0]] * 3
    assert bucket.calls == [FILE]


def test_the_runs_of_two_pipelines_are_told_apart() -> None:
    runs, bucket = KnownRuns(), begun()
    assert runs.find(bucket, BILLING, "9912")

    assert runs.find(bucket, replace(BILLING, name="shipping"), "9912") is None
    assert runs.find(Memory(), replace(BILLING, bucket="another"), "9912") is None


def test_only_the_runs_that_are_asked_for_most_lately_are_remembered() -> None:
    runs, bucket = KnownRuns(), Memory()
    for number in range(9):
        bucket.objects |= begun(replace(REQUEST, run_id=str(number))).objects
    for number in (*range(8), 0, 8):  # 1 is the one that was asked for longest ago when the ninth comes
        runs.find(bucket, BILLING, str(number))
    bucket.calls.clear()

    for number in (0, 8, 1):
        assert runs.find(bucket, BILLING, str(number))

    assert bucket.calls == ["billing/_runs/1/digests.json"]


def test_an_honest_export_costs_one_read_and_one_that_was_described_again_one_more() -> None:
    bucket, runs, again = begun(), KnownRuns(), replace(EXPORT, comment="again")
    bucket.objects[AGAIN] = json.dumps(again.to_json()).encode()

    for export in (EXPORT, EXPORT, again, EXPORT):
        belief.check_export(export, bucket, runs)

    assert bucket.calls == [FILE, AGAIN]


def test_a_new_description_that_nobody_can_read_describes_nothing() -> None:
    bucket = begun()
    bucket.objects[AGAIN] = b'{"run_id": 7}'

    belief.check_export(EXPORT, bucket, KnownRuns())
    with pytest.raises(Permanent, match="not what the record of the run 9912 says"):
        belief.check_export(replace(EXPORT, comment="again"), bucket, KnownRuns())
