"""The time that one delivery may wait, and how it is spent."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from shared.errors import Busy, HandBack, LostRace
from shared.times import Clock

_SHORTEST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_PAUSE_SHARE = 0.05

_Result = TypeVar("_Result")


class Patience:
    """A wait budget, which begins when this is made. Once it is spent, the next pause raises HandBack."""

    def __init__(self, clock: Clock, budget: timedelta) -> None:
        self._clock = clock
        self._budget = budget
        self._deadline = clock.now() + budget

    def retried(self, work: Callable[[], _Result]) -> _Result:
        """The result of `work`, which is called again after a pause whenever it raises Busy or LostRace."""
        began = self._clock.now()
        while True:
            try:
                return work()
            except (Busy, LostRace) as reason:
                self.pause(between_looks(self.age(began)), str(reason))

    def pause(self, seconds: float, reason: str, operation: str | None = None) -> None:
        """Let so many seconds pass, or what is left of the budget."""
        left = (self._deadline - self._clock.now()).total_seconds()
        if left <= 0:
            raise HandBack(f"the wait budget of {self._budget.total_seconds():g} s is spent: {reason}", operation)
        self._clock.sleep(min(seconds, left))

    def age(self, began: datetime) -> timedelta:
        """How long ago something began."""
        return self._clock.now() - began


def between_looks(age: timedelta) -> float:
    """Seconds between two looks at something that is so old: 5 % of its age, within bounds."""
    return min(max(age.total_seconds() * _PAUSE_SHARE, _SHORTEST_PAUSE), _LONGEST_PAUSE)
