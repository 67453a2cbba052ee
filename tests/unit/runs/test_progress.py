"""What has become of the tables of a run."""

import json
from datetime import timedelta

import pytest

from shared.messages.requests import MirrorRequest
from shared.runs import manifest, progress, records
from shared.runs.progress import Settled, Turn
from shared.tables import Shard
from tests.support.billing import BILLING, DAY, REQUESTED_AT
from tests.support.memory import Memory

MANIFEST = manifest.of_request(
    MirrorRequest("9912", REQUESTED_AT, BILLING, None, DAY, replace=True),
    [{"schema": "public", "table": table} for table in ("a", "b", "c", "d")],
)


STOPPED = {progress.STOPPED: frozenset({""})}


def known(**by_kind: str) -> Settled:
    return {kind: {*by_kind.get(kind, "")} for kind in progress.KINDS}


def test_the_records_of_a_run_are_found_by_how_its_tables_settled() -> None:
    bucket = Memory()
    for name in (
        "exported/a",
        "failed/a",
        "failed/b",
        "skipped/c",
        "shown/a",
        "held/d",
        "loaded/a",
        "relisted/d",
        "manifest",
    ):
        bucket.objects[f"billing/_runs/9912/{name}.json"] = b"{}"
    bucket.objects["billing/_runs/99121/failed/d.json"] = b"{}"

    found = progress.settled(bucket, BILLING, "9912")

    assert found == known(exported="a", failed="ab", skipped="c", shown="a", held="d", loaded="a")


@pytest.mark.parametrize(
    ("found", "exported", "failed", "unexported"),
    [
        (known(), "", "", "abcd"),
        (known(exported="ab", failed="c", skipped="d"), "ab", "c", ""),
        (known(exported="ab", failed="bc"), "ab", "c", "d"),  # what a replay has made good
        (known(exported="abcdx"), "abcd", "", ""),  # of a table that the manifest does not list
        (known(exported="abc", failed="dx"), "abc", "dx", ""),  # a table that cannot be mirrored is in no manifest
    ],
    ids=range(5),
)
def test_the_exports_of_a_run_have_settled_when_something_is_known_of_each_table(
    found: Settled, exported: str, failed: str, unexported: str
) -> None:
    run = progress.of_run(MANIFEST, BILLING, found)

    assert (run.exported, run.not_exported, run.unexported) == ({*exported}, {*failed}, {*unexported})


@pytest.mark.parametrize(
    ("found", "ends", "still_open"),
    [
        (known(exported="abcd", loaded="abcd"), {}, "abcd"),
        (
            known(shown="a", held="b", failed="c", skipped="d"),
            {"shown": "a", "held": "b", "failed": "c", "skipped": "d"},
            "",
        ),
        (
            known(shown="a", held="ab", failed="abc", skipped="abcd"),
            {"shown": "a", "held": "b", "failed": "c", "skipped": "d"},
            "",
        ),
        (known(failed="x"), {"failed": "x"}, "abcd"),
    ],
    ids=range(4),
)
def test_each_table_has_one_end_and_a_shown_one_was_never_held(
    found: Settled, ends: dict[str, str], still_open: str
) -> None:
    run = progress.of_run(MANIFEST, BILLING, found)

    assert run.ends == {end: [*ends.get(end, "")] for end in records.ENDS}
    assert run.open == {*still_open}


def test_for_shards_a_shard_or_an_end_counts() -> None:
    present = {Shard("a", DAY), Shard("b", DAY - timedelta(days=1))}

    run = progress.of_shards(MANIFEST, BILLING, known(exported="abcd", failed="ac", skipped="d"), present)

    assert (run.unloaded, run.missing) == ({"b"}, {"c"})
    assert run.shards == [Shard("a", DAY), Shard("b", DAY), Shard("d", DAY)]


@pytest.mark.parametrize(
    ("found", "is_cut_short", "is_whole"),
    [
        (known(loaded="ab", skipped="cd"), False, True),  # others have filled the gaps
        ({**known(loaded="ab", skipped="cd"), **STOPPED}, True, False),
        ({**known(loaded="abcd", skipped="cd"), **STOPPED}, False, True),
        ({**known(loaded="ab", failed="cd"), **STOPPED}, False, True),
        ({**known(loaded="ab"), **STOPPED}, False, False),
    ],
    ids=range(5),
)
def test_a_run_is_cut_short_if_it_was_stopped_before_each_table_was_begun(
    found: Settled, is_cut_short: bool, is_whole: bool
) -> None:
    run = progress.of_run(MANIFEST, BILLING, found)

    assert (run.is_cut_short, run.is_whole) == (is_cut_short, is_whole)


@pytest.mark.parametrize(("hours", "over"), [(23.9, False), (24, True)])
def test_a_run_has_a_day(hours: float, over: bool) -> None:
    assert progress.has_had_its_time(REQUESTED_AT, REQUESTED_AT + timedelta(hours=hours)) is over


@pytest.mark.parametrize(
    ("kind", "counts"), [("exported", True), ("relisted", True), ("shown", False), ("loaded", False)]
)
def test_a_sign_of_life_is_what_the_lane_writes_down(kind: str, counts: bool) -> None:
    bucket = Memory()
    manifest.write(bucket, BILLING, MANIFEST)
    bucket.now += timedelta(hours=5)
    bucket.write(f"billing/_runs/9912/{kind}/a.json", b"{}", 0)

    _, turn = progress.look(bucket, MANIFEST, BILLING)

    assert turn == Turn(REQUESTED_AT, bucket.now if counts else REQUESTED_AT)


def test_the_end_of_silence_is_a_failure_and_written_down() -> None:
    bucket = Memory()
    run = progress.of_run(MANIFEST, BILLING, known(exported="ab", failed="c"))

    ended = progress.end_silence(bucket, BILLING, run, {"d"})

    assert ended.ends["failed"] == ["c", "d"]
    assert json.loads(bucket.objects.pop("billing/_runs/9912/failed/d.json")) == {
        "function": "refresh_views",
        "error": "nothing has come of it 24 hours after the last sign of life in its lane",
    }
    assert not bucket.objects
