"""Tables of a source database, read over a connection: many at one moment, or one that is locked first."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pg8000.exceptions import DatabaseError, InterfaceError

from shared import times
from shared.errors import Told
from shared.exporting.reading import Moment, Sink, Unreadable
from shared.exporting.sql import identifier, literal
from shared.exporting.statement import Extraction
from shared.gcp.catalog import field_of
from shared.gcp.postgres import Postgres, translated
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline

if TYPE_CHECKING:
    from pg8000.dbapi import Connection

_SESSION = {
    "search_path": "",
    "row_security": "off",
    "lock_timeout": "5s",  # so long at most do others wait behind us, who want a stronger lock
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
}
_NO_TRANSACTION_TIMEOUT = (
    "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings "
    "WHERE name OPERATOR(pg_catalog.=) 'transaction_timeout'"
)
"""From PostgreSQL 17 on there is one."""
_BRIEFLY = "SET LOCAL lock_timeout = '500ms'"
"""
For a table with partitions, of which some are locked while others are waited for. Whoever waits for us, and we for them, finds
that deadlock after a second, deadlock_timeout, and is ended by it: we let go before.
"""
_BEGIN = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
_MOMENT = (
    "SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', pg_catalog.statement_timestamp()), "
    """'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), pg_catalog.pg_backend_pid()"""
)
"""The first query takes the snapshot. Moment and process together name it: a process has one transaction at a time."""
_SAVE, _BACK, _END = "SAVEPOINT before", "ROLLBACK TO SAVEPOINT before", "ROLLBACK"
_CANCEL = "SELECT pg_catalog.pg_cancel_backend(%s)"


class Reading:
    """
    A connection for reading tables. An error that is not Unreadable is the driver's own, and ends it.

    `cancel`: have what the server process of that number does end by an error, if that can be had.
    """

    def __init__(self, connection: "Connection", cancel: Callable[[int], None]) -> None:
        self._connection: Any = connection
        self._cancel = cancel
        self._back = _BACK
        self._process = 0

    def begin(self) -> Moment:
        """Take a snapshot, which all that is copied sees until `end`."""
        self._back = _BACK
        self._connection.execute_simple(_BEGIN)
        return self._moment()

    def begin_locked(self, export: TableExport) -> Moment:
        """
        Lock a table, then take a snapshot: LOCK TABLE alone takes none. Both are given back by `copy`, as is the lock of any copy.

        Raises Unreadable, with nothing begun.
        """
        self._back = _END
        self._connection.execute_simple(_BEGIN)
        only = "ONLY " if export.only else ""
        table = f"{only}{identifier(export.schema)}.{identifier(export.table)}"
        try:
            self._wait_briefly(export)
            self._connection.execute_simple(f"LOCK TABLE {table} IN ACCESS SHARE MODE")
        except DatabaseError as error:
            self.end()
            raise _unreadable(error) from error
        return self._moment()

    def copy(self, export: TableExport, extraction: Extraction, sink: Sink) -> None:
        """
        Send the rows to the sink. The locks that this takes are given back, the snapshot of `begin` is kept.

        An error of the sink has the database send no more. It is raised when nothing comes any more: before, the connection
        would be out of step.
        """
        guarded = _Guarded(sink, partial(self._cancel, self._process))
        try:
            self._wait_briefly(export)
            self._connection.execute_unnamed(_copy(extraction), stream=guarded)
        except DatabaseError as error:  # after which the connection is ready; one that is lost raises another
            self._connection.execute_simple(self._back)
            if guarded.failure is None:
                raise _unreadable(error) from error
        else:
            self._connection.execute_simple(self._back)
        if guarded.failure:
            raise guarded.failure

    def end(self) -> None:
        """Let the snapshot go, and any lock with it."""
        self._connection.execute_simple(_END)

    def _moment(self) -> Moment:
        [[taken_at, self._process]] = self._connection.execute_unnamed(_MOMENT).rows
        # Once for all tables: a savepoint within a savepoint for each would take the longer the more there are.
        self._connection.execute_simple(_SAVE)
        return Moment(times.moment(taken_at), f"{self._process}-{taken_at}")

    def _wait_briefly(self, export: TableExport) -> None:
        if not export.only:
            self._connection.execute_simple(_BRIEFLY)


class _Guarded:
    """A sink that never raises. It keeps the first failure, of which it tells, and swallows what comes after."""

    def __init__(self, sink: Sink, failed: Callable[[], None]) -> None:
        self._sink = sink
        self._failed = failed
        self.failure: Exception | None = None

    def write(self, chunk: bytes) -> None:
        if self.failure is None:
            try:
                self._sink.write(chunk)
            except Exception as error:  # noqa: BLE001 - raised by `copy`
                self.failure = error
                self._failed()


class Readings(Postgres):
    """The databases that the pipelines mirror, to read tables of."""

    @contextmanager
    def reading(self, pipeline: Pipeline) -> Iterator[Reading]:
        """A connection whose session is as the SELECT of an export wants it. Raises as `tables` does."""
        with translated(pipeline), self._connected(pipeline) as connection:
            session = "; ".join(f"SET {name} = {literal(value)}" for name, value in _SESSION.items())
            any_connection: Any = connection
            any_connection.execute_simple(f"{session}; {_NO_TRANSACTION_TIMEOUT}")
            yield Reading(connection, partial(self._cancel, pipeline))

    def _cancel(self, pipeline: Pipeline, process: int) -> None:
        with suppress(Told, OSError, InterfaceError), translated(pipeline), self._connected(pipeline) as connection:
            connection.cursor().execute(_CANCEL, (process,))


def _unreadable(error: DatabaseError) -> Unreadable:
    return Unreadable(field_of(error, "C") or "", field_of(error, "M") or "")


def _copy(extraction: Extraction) -> str:
    quote, escape, delimiter = (
        literal(bytes.fromhex(each).decode()) for each in (extraction.quote, extraction.escape, extraction.delimiter)
    )
    return (
        f"COPY ({extraction.query}) TO STDOUT WITH (FORMAT csv, QUOTE {quote}, ESCAPE {escape}, DELIMITER {delimiter})"
    )
