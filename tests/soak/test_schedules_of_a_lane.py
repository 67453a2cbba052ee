"""Whatever befalls a run, in whatever order: nothing is lost, and nothing is there twice."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import given, seed, settings

from tests.support.lane.cloud import Cloud, serving
from tests.support.lane.invariants import INVARIANTS
from tests.support.lane.play import play
from tests.support.lane.schedules import RACES, SCHEDULES, Schedule
from tests.support.standins import StandIns

MANY = int(os.environ.get("SCHEDULES") or 20)
SEED = int(os.environ["SEED"])


@pytest.fixture(scope="module")
def cloud(standins: StandIns, credentials: None) -> Iterator[Cloud]:  # noqa: ARG001 - the clients find them
    with serving(standins) as made:
        yield made


@pytest.mark.parametrize("race", RACES.values(), ids=RACES.keys())
def test_a_race_ends_well(cloud: Cloud, race: Schedule) -> None:
    _ends_well(cloud, race)


@seed(SEED)
@settings(max_examples=MANY, deadline=None, database=None, print_blob=True)
@given(schedule=SCHEDULES)
def test_many_schedules_end_well(cloud: Cloud, schedule: Schedule) -> None:
    _ends_well(cloud, schedule)


def _ends_well(cloud: Cloud, schedule: Schedule) -> None:
    played = play(cloud, schedule)

    for invariant in INVARIANTS:
        try:
            invariant(played)
        except AssertionError as failure:
            failure.add_note(f"SEED={SEED} has it again:\n{played.trace}")
            raise
