"""What it takes to read tables over a connection, and what a database says that will not have one of them read."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared import failures
from shared.errors import Told
from shared.exporting.statement import Extraction
from shared.failures import OperationFailure
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from shared.redaction import told

MOST_BYTES = 1024**3
"""What may come out of a table, which is listed by what its files took when it was last counted. So it takes seconds to be read."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a snapshot was taken, by the database's clock, and a name that no other snapshot has."""

    taken_at: datetime
    name: str


class Sink(Protocol):
    """Where the bytes of a table go."""

    def write(self, chunk: bytes) -> object:
        """Take the next bytes."""


class Reading(Protocol):
    """
    A connection for reading tables.

    `begin_locked` and `copy` raise Unreadable if the database will not have the table read; the connection can then read others.
    Whatever else is raised ends it.
    """

    def begin(self) -> Moment:
        """Take a snapshot, which all that is copied sees until `end`."""

    def begin_locked(self, export: TableExport) -> Moment:
        """Lock a table, then take a snapshot, which so cannot be older than the table's rows. One copy is made, and ends both."""

    def copy(self, export: TableExport, extraction: Extraction, sink: Sink) -> None:
        """Send the rows to the sink. No lock is held then, the snapshot of `begin` is kept. Raises what the sink raises."""

    def end(self) -> None:
        """Let the snapshot go, and any lock with it."""


class Readings(Protocol):
    """The databases that the pipelines mirror."""

    def reading(self, pipeline: Pipeline) -> AbstractContextManager[Reading]:
        """A connection. Raises Permanent, Denied or Busy if there can be none."""


class Oversized(Told):
    """A table has grown so large that it is not for a snapshot any more."""

    remedy = "ANALYZE it, so that its size is known when it is listed"

    def __init__(self, most: int) -> None:
        super().__init__(f"more than {most >> 20} MiB come out of it")


class Bounded:
    """A sink for the bytes of one table. Its `write` raises Oversized when there are more than `most`."""

    def __init__(self, sink: Sink, most: int) -> None:
        self._sink = sink
        self._most = self._left = most

    def write(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self._left -= len(chunk)
        if self._left < 0:
            raise Oversized(self._most)
        self._sink.write(chunk)


class Unreadable(Told):
    """A table cannot be read now. `error` is the database's words: judge it by them, and tell only what `str` gives."""

    def __init__(self, code: str, error: str) -> None:
        super().__init__(told(error, "the log of the instance", [code]))
        self.error = error
        self.failure = failures.of_read(code, error)
        self.remedy = failures.remedy_of_operation(error)


@dataclass(frozen=True, slots=True)
class Failed:
    """One try to read a table, as `tries` judges it: when it began and ended, and the words of its error."""

    inserted_at: datetime
    ended_at: datetime
    failure: OperationFailure
    error: str = field(repr=False)
