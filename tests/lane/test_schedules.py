"""Whatever befalls a run, in whatever order: nothing is lost, and nothing is there twice."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, seed, settings

from tests.lane.cloud import Cloud, serving
from tests.lane.invariants import INVARIANTS
from tests.lane.play import play
from tests.lane.schedules import RACES, SCHEDULES, Schedule

MANY = int(os.environ.get("SCHEDULES") or 50)
SEED = int(os.environ["SEED"])


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with serving(tmp_path_factory.mktemp("gcloud")) as services:
        yield services


@pytest.mark.parametrize("race", RACES.values(), ids=RACES.keys())
def test_a_race_ends_well(cloud: Cloud, race: Schedule) -> None:
    _ends_well(cloud, race)


@seed(SEED)
@settings(max_examples=3, deadline=None, database=None, phases=[Phase.generate])  # the long run shrinks what it finds
@given(schedule=SCHEDULES)
def test_a_few_schedules_end_well(cloud: Cloud, schedule: Schedule) -> None:
    _ends_well(cloud, schedule)


@pytest.mark.soak
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
