"""The time that a delivery may wait."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Busy, HandBack, LostRace
from shared.exporting import patience
from shared.exporting.patience import Patience


class Clock:
    """A clock that passes time at once; `pauses` are the seconds that it was told to let pass."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=sum(self.pauses))

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def failing(error: Exception, times: int) -> Callable[[], str]:
    """Work that fails so many times, and then is done."""
    failures = [error] * times

    def work() -> str:
        if failures:
            raise failures.pop()
        return "done"

    return work


@pytest.mark.parametrize(("age", "seconds"), [(0, 0.2), (4, 0.2), (60, 3), (200, 10), (86_400, 10)])
def test_the_pause_between_two_looks_grows_with_age(age: float, seconds: float) -> None:
    assert patience.between_looks(timedelta(seconds=age)) == pytest.approx(seconds)


@pytest.mark.parametrize("error", [Busy("busy"), LostRace("changed")])
def test_what_passes_is_tried_again_after_a_pause(error: Exception) -> None:
    clock = Clock()

    assert Patience(clock, timedelta(seconds=60)).retried(failing(error, 2)) == "done"
    assert clock.pauses == [0.2, 0.2]


def test_what_does_not_pass_is_not_tried_again() -> None:
    clock = Clock()

    with pytest.raises(ConnectionError):
        Patience(clock, timedelta(seconds=60)).retried(failing(ConnectionError("down"), 1))

    assert clock.pauses == []


def test_a_budget_is_spent_to_its_end_and_no_further() -> None:
    clock = Clock()
    patient = Patience(clock, timedelta(seconds=9))

    patient.pause(5, "it goes on")
    patient.pause(5, "it goes on")
    with pytest.raises(HandBack, match=r"the wait budget of 9 s is spent: it goes on") as caught:
        patient.pause(5, "it goes on", "op1")

    assert clock.pauses == [5, 4]
    assert caught.value.operation == "op1"


def test_work_that_is_busy_for_too_long_is_handed_back_with_its_reason() -> None:
    with pytest.raises(HandBack, match="the slot is taken"):
        Patience(Clock(), timedelta(seconds=9)).retried(failing(Busy("the slot is taken"), 1_000))
