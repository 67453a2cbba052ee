"""
Whatever befalls the functions of a run, in whatever order its events come: it is told to be over, rightly, and never early.

A history is drawn from a seed, which is in the name of its test. SEED=… begins with that one, SCHEDULES=… says how many.
"""

import os
from random import Random

import pytest

from tests.functions.cuts import cut_off
from tests.functions.days import Days, tables
from tests.functions.stage import Event, Stage
from tests.views.steps import load, show

MANY = int(os.environ.get("SCHEDULES") or 50)
FEW = 2
SEED = int(os.environ["SEED"])
TABLES = ("lines", "log", "orders", "refunds")


@pytest.mark.parametrize("seed", range(SEED, SEED + FEW))
def test_a_few_histories_are_told_rightly(stage: Stage, seed: int) -> None:
    _is_told_rightly(stage, Random(seed))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(SEED, SEED + MANY))
def test_many_histories_are_told_rightly(stage: Stage, seed: int) -> None:
    _is_told_rightly(stage, Random(seed))


def _is_told_rightly(stage: Stage, random: Random) -> None:
    """Each table is to end in its way; its load and its event come late, twice, after crashes, or never."""
    days = Days(stage, release=random.choice(["each", "each", "together"]))
    tables(stage, *TABLES)
    ends = {table: random.choice(["shown", "shown", "held", "failed"]) for table in TABLES}
    for table in TABLES:
        if ends[table] == "held":
            load(stage, f"{table}_20260114")
            show(stage, f"{table}_20260114", {"mirror_pin": "20260114"})
    announced = dict(zip(TABLES, days.export(*days.request()), strict=True))
    for name in ("load_shard", "refresh_views"):
        days.function(name)

    events: list[Event] = []
    for table in random.sample(TABLES, len(TABLES)):
        _load(days, announced[table], ends[table], random)
        events, days.events = [*events, *days.events], []
        if random.random() < 0.5:
            _hear(days, events, random)
        _check_not_early(days, ends)
    _hear(days, events, random)
    days.reconcile()
    days.reconcile()

    truth = {end: sorted(table for table in TABLES if ends[table] == end) for end in ("shown", "held", "failed")}
    told = days.told()
    assert told
    assert {end: told[0][end] for end in truth} == truth
    assert all(said == told[0] for said in told)
    assert days.outcomes() == sorted(ends.items())


def _load(days: Days, announcement: bytes, end: str, random: Random) -> None:
    """A pair is loaded, after a crash perhaps; BigQuery refuses the one that is to fail."""
    if end == "failed":
        days.stage.bigquery.fail_next_job("invalid")
    elif random.random() < 0.3:
        with cut_off(days.stage, after=random.randrange(4)):
            days.load(announcement)
    while set(days.load(announcement)) != {200}:
        pass
    if random.random() < 0.2:
        days.load(announcement)


def _hear(days: Days, events: list[Event], random: Random) -> None:
    """Some of the events are told, some twice, some after a crash, in any order. Some are lost."""
    for event in random.sample(events, len(events)):
        fate = random.random()
        if fate < 0.2:
            continue
        if fate < 0.5:
            with cut_off(days.stage, after=random.randrange(6)):
                days.function("refresh_views").hear(*event)
        for _ in range(random.choice([1, 1, 2])):
            assert days.function("refresh_views").hear(*event) == 200


def _check_not_early(days: Days, ends: dict[str, str]) -> None:
    """Whatever is in the mark of the run is in its records."""
    mark = f"billing/_runs/{days.run}/run_shown.json"
    files = days.stage.files()
    if mark in files:
        assert {f"billing/_runs/{days.run}/{end}/{table}.json" for table, end in ends.items()} <= {*files}
