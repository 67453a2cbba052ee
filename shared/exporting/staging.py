"""Get the staged data of one table by an operation of Cloud SQL: find it, start it, wait for its end."""

import re
from collections.abc import Iterable
from datetime import timedelta
from statistics import median_low
from typing import Protocol

from shared.exporting.operation import Operation
from shared.exporting.patience import Patience, between_looks
from shared.exporting.statement import Extraction
from shared.pipelines import Pipeline

_RUN_AND_DAY = re.compile(r"/_staging/[^/]+/(.+)_\d{8}\.\w+$")
_FIRST_LOOK = 0.5
_LAST = 3
_A_LITTLE_MORE = 1.01
_SHORTEST_PAUSE = 0.02
_LEAST_SHARE = 0.01


class CloudSql(Protocol):
    """The Admin API. Its methods raise Busy if the same call may succeed later, and Permanent if it will not."""

    def start_export(
        self, instance: str, database: str, uri: str, extraction: Extraction, *, offload: bool
    ) -> Operation:
        """Start an export into a file that does not exist. Busy, too, while another operation has the instance's slot."""

    def operation(self, instance: str, name: str) -> Operation:
        """The operation as it stands."""

    def operations(self, instance: str) -> list[Operation]:
        """The instance's recent operations, newest first."""


class Staging:
    """The operations that write the staged file of one table, `uri`."""

    def __init__(self, pipeline: Pipeline, uri: str, cloudsql: CloudSql, patience: Patience) -> None:
        self._pipeline = pipeline
        self._uri = uri
        self._cloudsql = cloudsql
        self._patience = patience
        self._usual_seconds = _FIRST_LOOK

    def operations(self) -> tuple[Operation, ...]:
        """Those of the instance's recent operations that write to the file, newest first."""
        recent = self._cloudsql.operations(self._pipeline.instance)
        self._usual_seconds = usual_seconds(recent, self._uri)
        return of_file(recent, self._uri)

    def start(self, extraction: Extraction) -> Operation:
        """Start an operation that writes there."""
        pipeline = self._pipeline
        return self._cloudsql.start_export(
            pipeline.instance, pipeline.database, self._uri, extraction, offload=pipeline.offload
        )

    def wait(self, operation: Operation) -> Operation:
        """The operation when it has ended. The first look comes when it usually is."""
        pause = max(self._usual_seconds - self._patience.age(operation.inserted_at).total_seconds(), 0)
        while not operation.done:
            self._patience.pause(pause, f"the operation {operation.name} goes on", operation.name)
            operation = self._cloudsql.operation(self._pipeline.instance, operation.name)
            pause = next_look(self._patience.age(operation.inserted_at), self._usual_seconds)
        return operation


def of_file(operations: Iterable[Operation], uri: str) -> tuple[Operation, ...]:
    """The operations that write to that file, newest first."""
    return tuple(_newest_first(each for each in operations if each.uri == uri))


def usual_seconds(recent: Iterable[Operation], uri: str) -> float:
    """
    How many seconds an operation that writes to `uri` is likely to take: when it is worth a first look.

    As long as the last exports of the same table, else those of the instance; half a second if there were none. And a
    little more, because a look that comes too early is followed by a pause.
    """
    ended = _newest_first(each for each in recent if each.uri and each.seconds)
    own = [each.seconds or 0.0 for each in ended if _table(each.uri) == _table(uri)][:_LAST]
    usual = own or [each.seconds or 0.0 for each in ended]
    return median_low(usual) * _A_LITTLE_MORE if usual else _FIRST_LOOK


def next_look(age: timedelta, usual: float) -> float:
    """
    Seconds to the next look at an operation of that age, which usually takes so many.

    As long as it is overdue already: one that was just missed is over soon. Never less than 1 % of its age.
    """
    seconds = age.total_seconds()
    pause = max(seconds - usual, seconds * _LEAST_SHARE, _SHORTEST_PAUSE)
    return min(pause, between_looks(age))


def _newest_first(operations: Iterable[Operation]) -> list[Operation]:
    return sorted(operations, key=lambda each: each.inserted_at, reverse=True)


def _table(uri: str | None) -> str:
    """What the staged files of one table have in common, whatever the run and the day."""
    return _RUN_AND_DAY.sub(r"/\1", uri or "")
