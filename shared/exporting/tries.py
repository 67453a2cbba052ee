"""
How often a failed export is tried again, and after how long.

A failure of an unknown kind counts, and the next try follows at once. A failure that is known to pass, such as a database that
restarts, is tried again after a rest. It does not count until its series has lasted for five minutes. A table that was replaced
under its export is read again at once, five times, and then after rests too.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

from shared import failures
from shared.failures import OperationFailure

_PASSES_WITHIN = timedelta(minutes=5)
_RESTS = (5, 10, 20, 40)
"""Seconds from a failure that passes to the next try: the first time, the second, the third, and then always."""
_AT_ONCE = 5
"""How often a table that was replaced is read again without a rest."""


class Try(Protocol):
    """A try that has failed: when it began and ended, and the words of its error."""

    @property
    def inserted_at(self) -> datetime: ...
    @property
    def ended_at(self) -> datetime | None: ...
    @property
    def error(self) -> str | None: ...


def counted(failed: Sequence[Try]) -> int:
    """How many of these failures, newest first, count."""
    lasting = [
        each
        for series in _series(failed)
        for each in series
        if each.inserted_at - series[-1].inserted_at > _PASSES_WITHIN
    ]
    return len(lasting) + sum(not _passes(each) for each in failed)


def rest_after(failed: Sequence[Try]) -> timedelta:
    """How long to rest between the newest of these failures, which comes first, and the next try."""
    if not _passes(failed[0]):
        return timedelta()
    rests = len(_series(failed)[0]) - (_AT_ONCE if _kind(failed[0]) is OperationFailure.REPLACED else 0)
    return timedelta(seconds=_RESTS[min(rests, len(_RESTS)) - 1] if rests > 0 else 0)


def _series(failed: Sequence[Try]) -> list[list[Try]]:
    """The failures that pass, newest first, by series: each began soon after the end of the one before."""
    series: list[list[Try]] = []
    for each in failed:
        if not _passes(each):
            continue
        if series and series[-1][-1].inserted_at - (each.ended_at or each.inserted_at) <= _PASSES_WITHIN:
            series[-1].append(each)
        else:
            series.append([each])
    return series


def _passes(failed: Try) -> bool:
    return _kind(failed) in {OperationFailure.PASSING, OperationFailure.REPLACED}


def _kind(failed: Try) -> OperationFailure:
    return failures.of_operation(failed.error or "")
