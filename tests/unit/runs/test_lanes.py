"""How long a lane is waited for: 24 hours since the last sign of life of a run, or of one that was listed before it."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared import bucket as paths
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import closing, manifest, records
from shared.runs.announcing import Listeners
from shared.runs.lanes import Lane
from tests.support.billing import BILLING, EXPORT
from tests.support.memory import Memory
from tests.unit.runs.test_announcing import export

SHOP = replace(BILLING, name="shop", bucket="p-shop")
ELSEWHERE = replace(SHOP, instance="p:r:another")
BEGIN = datetime(2026, 11, 22, 2, tzinfo=UTC)


class Cloud:
    """The buckets, and who hears of runs. `now` is in hours since the beginning."""

    def __init__(self) -> None:
        self.buckets = {name: Memory() for name in (BILLING.bucket, SHOP.bucket)}
        self.heard: list[Mapping[str, Any]] = []
        self.now = BEGIN

    def bucket(self, name: str) -> Memory:
        return self.buckets[name]

    def announce_shown(self, shown: Mapping[str, Any]) -> None:
        self.heard.append(shown)

    def put(self, hours: float) -> None:
        self.now = BEGIN + timedelta(hours=hours)
        for each in self.buckets.values():
            each.now = self.now

    def begin(self, run_id: str, pipeline: Pipeline = BILLING) -> None:
        """A run of one table begins."""
        bucket = self.bucket(pipeline.bucket)
        request = MirrorRequest(run_id, BEGIN, pipeline, None, date(2026, 11, 22), replace=True)
        manifest.write(bucket, pipeline, manifest.of_request(request, [export("orders").to_json()]))
        records.open_run(bucket, pipeline, run_id)

    def record(self, run_id: str, kind: str, pipeline: Pipeline = BILLING) -> None:
        name = paths.record_file(pipeline.name, run_id, kind, "orders")
        records.write_once(self.bucket(pipeline.bucket), name, {"error": "so it is"})

    def reopen(self, run_id: str) -> None:
        """What failed is made good."""
        records.clear_failure(self.bucket(BILLING.bucket), replace(EXPORT, run_id=run_id))

    def reconcile(self, pipeline: Pipeline = BILLING, other: Pipeline = SHOP) -> list[str]:
        """See to a pipeline's runs, and give those that are told."""
        self.heard.clear()
        pipelines = [each for each in (BILLING, other) if each.instance == pipeline.instance]
        lane = Lane(pipelines, self, self.now)
        closing.see_to_runs(self.bucket(pipeline.bucket), pipeline, "refresh", lane, Listeners(shown=self))
        return [said["run_id"] for said in self.heard]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.mark.parametrize("pipeline", [BILLING, SHOP])
@pytest.mark.parametrize("end", [records.EXPORTED, records.FAILED])
def test_a_run_waits_a_day_after_the_last_sign_of_one_that_was_listed_before(
    cloud: Cloud, pipeline: Pipeline, end: str
) -> None:
    cloud.begin("first", pipeline)
    cloud.put(1)
    cloud.begin("second")

    cloud.put(20)
    cloud.record("first", end, pipeline)
    cloud.put(43)
    waits = cloud.reconcile()
    cloud.put(45)

    assert waits == (["first"] if (pipeline, end) == (BILLING, records.FAILED) else [])
    assert "second" in cloud.reconcile()


@pytest.mark.parametrize("pipeline", [BILLING, SHOP])
def test_a_run_that_is_over_counts_for_those_behind_it(cloud: Cloud, pipeline: Pipeline) -> None:
    cloud.begin("first", pipeline)
    cloud.put(1)
    cloud.begin("second")
    cloud.put(20)
    cloud.record("first", records.SKIPPED, pipeline)
    over = cloud.reconcile(pipeline)

    cloud.put(43)
    waits = cloud.reconcile()
    cloud.put(44)

    assert (over, waits) == (["first"], [])
    assert cloud.reconcile() == ["second"]


def test_a_run_that_is_over_once_more_counts_by_its_newest_sign(cloud: Cloud) -> None:
    """A replay has opened it again."""
    cloud.begin("first")
    cloud.record("first", records.FAILED)
    over = cloud.reconcile()
    cloud.put(1)
    cloud.begin("second")
    cloud.put(20)
    cloud.reopen("first")
    cloud.record("first", records.SKIPPED)
    cloud.reconcile()

    cloud.put(43)
    waits = cloud.reconcile()
    cloud.put(44)

    assert (over, waits) == (["first"], [])
    assert cloud.reconcile() == ["second"]


def test_a_run_does_not_wait_for_those_behind_it(cloud: Cloud) -> None:
    cloud.begin("first")
    cloud.put(23)
    cloud.begin("second")
    cloud.put(24)

    assert cloud.reconcile() == ["first"]


def test_a_run_that_ends_by_silence_gives_no_sign_by_that(cloud: Cloud) -> None:
    cloud.begin("first")
    cloud.put(1)
    cloud.begin("second")

    cloud.put(24)
    first = cloud.reconcile()
    cloud.put(25)

    assert first == ["first"]
    assert cloud.reconcile() == ["second"]


def test_a_run_of_another_instance_is_in_another_lane(cloud: Cloud) -> None:
    cloud.begin("first", ELSEWHERE)
    cloud.begin("second")
    cloud.put(23)
    cloud.record("first", records.EXPORTED, ELSEWHERE)
    cloud.put(24)

    assert cloud.reconcile(other=ELSEWHERE) == ["second"]


def test_a_run_whose_records_have_expired_holds_up_no_other(cloud: Cloud) -> None:
    for run_id, pipeline in (("first", BILLING), ("another", SHOP)):
        cloud.begin(run_id, pipeline)
        del cloud.bucket(pipeline.bucket).objects[paths.manifest_file(pipeline.name, run_id)]
    cloud.begin("second")
    cloud.put(24)

    assert cloud.reconcile() == ["second"]
    assert cloud.bucket(BILLING.bucket).names(paths.open_runs("billing")) == []


def test_nothing_is_looked_up_of_a_lane_whose_runs_give_signs_of_life(cloud: Cloud) -> None:
    cloud.begin("first", SHOP)
    cloud.begin("second")
    cloud.put(23)

    cloud.reconcile()

    assert cloud.bucket(SHOP.bucket).calls == []
    assert paths.over_runs("billing") not in cloud.bucket(BILLING.bucket).calls
