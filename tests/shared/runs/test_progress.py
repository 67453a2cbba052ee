"""What has become of the tables of a run."""

import json
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import manifest, progress, records
from shared.runs.progress import Settled
from shared.tables import Shard
from tests.shared.memory import Memory

BILLING = Pipeline("billing", "p:r:db", "billing_db", "mirror@p.iam", "p-mirror", "shards", "views")
DAY = date(2026, 11, 22)
REQUESTED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)
MANIFEST = manifest.of_request(
    MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True),
    [{"schema": "public", "table": table} for table in ("a", "b", "c", "d")],
)


def settled(exported: str = "", failed: str = "", skipped: str = "") -> Settled:
    return {records.EXPORTED: {*exported}, records.FAILED: {*failed}, records.SKIPPED: {*skipped}}


def test_the_records_of_a_run_are_found_by_how_its_tables_settled() -> None:
    bucket = Memory()
    for name in ("exported/a", "failed/a", "failed/b", "skipped/c", "relisted/d", "manifest"):
        bucket.objects[f"billing/_runs/9912/{name}.json"] = b"{}"
    bucket.objects["billing/_runs/99121/failed/d.json"] = b"{}"

    assert progress.settled(bucket, BILLING, "9912") == settled("a", "ab", "c")
    assert progress.settled(bucket, BILLING, "9912", records.FAILED) == settled(failed="ab")


@pytest.mark.parametrize(
    ("known", "arrived", "failed", "silent"),
    [
        (settled(), "", "", "abcd"),
        (settled("ab", "c", "d"), "ab", "c", ""),
        (settled("ab", "bc"), "ab", "c", "d"),  # what a replay has made good
        (settled("abcdx"), "abcd", "", ""),  # of a table that the manifest does not list
        (settled("abc", "dx"), "abc", "dx", ""),  # a table that cannot be mirrored is in no manifest
    ],
    ids=str,
)
def test_a_run_of_exports_is_complete_when_something_is_known_of_each_table(
    known: Settled, arrived: str, failed: str, silent: str
) -> None:
    run = progress.of_exports(MANIFEST, BILLING, known)

    assert (run.arrived, run.failed, run.silent) == (frozenset(arrived), frozenset(failed), frozenset(silent))
    assert run.is_complete is not bool(silent)


def test_for_shards_only_a_shard_or_a_failure_counts() -> None:
    present = {Shard("a", DAY), Shard("b", DAY - timedelta(days=1))}

    run = progress.of_shards(MANIFEST, BILLING, settled("abcd", "ac", "d"), present)

    assert (run.arrived, run.failed, run.silent) == (frozenset("a"), frozenset("c"), frozenset("bd"))
    assert run.shards == [Shard("a", DAY), Shard("b", DAY), Shard("d", DAY)]


@pytest.mark.parametrize(("hours", "over"), [(23.9, False), (24, True)])
def test_a_run_has_a_day(hours: float, over: bool) -> None:
    assert progress.has_had_its_time(MANIFEST, REQUESTED_AT + timedelta(hours=hours)) is over


def test_the_end_of_silence_is_a_failure_and_written_down() -> None:
    bucket = Memory()
    run = progress.of_exports(MANIFEST, BILLING, settled("ab", "c"))

    ended = progress.end_silence(bucket, BILLING, run)

    assert ended.is_complete
    assert ended.failed == {"c", "d"}
    assert json.loads(bucket.objects.pop("billing/_runs/9912/failed/d.json")) == {
        "function": "refresh_views",
        "error": "nothing has come of it 24 hours after the run was requested",
    }
    assert not bucket.objects
