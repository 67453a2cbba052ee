"""
The order in which tables are read again, each by itself, that could not be read with all others.

A table that was replaced comes first, one that was locked last. How often, and after how long, is as for a failed export.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from shared.exporting import tries
from shared.exporting.reading import Failed
from shared.exporting.steps import MOST_FAILURES
from shared.failures import OperationFailure

_BETWEEN_LOCKS = timedelta(seconds=1)
"""From one wait for a table's lock to the next. Whoever came behind us gets it meanwhile."""

_Table = TypeVar("_Table", bound=Hashable)


@dataclass(frozen=True, slots=True)
class _Place:
    is_locked: bool
    due: datetime


class Order(Generic[_Table]):
    """The tables that are to be read again."""

    def __init__(self) -> None:
        self._failed: dict[_Table, list[Failed]] = {}
        self._places: dict[_Table, _Place] = {}

    def again(self, table: _Table, failed: Failed) -> bool:
        """Give a table a place after one more try has failed. False if it has failed too often: it gets none."""
        if failed.failure is OperationFailure.LOCKED:
            self._places[table] = _Place(is_locked=True, due=failed.ended_at + _BETWEEN_LOCKS)
            return True
        known = self._failed.setdefault(table, [])
        known.insert(0, failed)
        if tries.counted(known) >= MOST_FAILURES:
            return False
        self._places[table] = _Place(is_locked=False, due=failed.ended_at + tries.rest_after(known))
        return True

    def next(self, now: datetime) -> tuple[_Table, timedelta] | None:
        """The table that comes next, which then has no place any more, and how long to wait before. None if there is none."""
        if not self._places:
            return None
        table = min(self._places, key=lambda each: _rank(self._places[each], now))
        return table, max(self._places.pop(table).due - now, timedelta())


def _rank(place: _Place, now: datetime) -> tuple[bool, bool, datetime]:
    """Whatever is due comes before what is not."""
    return place.due > now, place.is_locked, place.due
