"""The operations of Cloud SQL instances: one at a time on each instance, run in threads, and never forgotten."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from threading import Event, Lock, Thread
from typing import Any
from uuid import uuid4

from local.rest import ApiError

Operation = dict[str, Any]
"""An operation, as the API shows it."""


class OperationFailed(Exception):  # noqa: N818 - the operation failed, and the request did not
    """The operation ends with an error."""


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The stand-in is being stopped. Operations that run are ended, and stay unfinished."""


Work = Callable[[Callable[[], None]], None]
"""
What an operation does. May raise OperationFailed.

Its argument is a function. The operation is PENDING until the work calls it, and RUNNING afterwards.
"""


@dataclass(frozen=True)
class Slot:
    """The instance that an operation occupies. `offload`: it is a serverless export, which blocks only others like it."""

    project: str
    instance: str
    offload: bool = False


class Operations:
    """
    All operations of all instances, oldest first. Safe to call from several threads.

    A test may replace the clock and the threads: only `now`, `wait` and `begin` use them.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._stopped = Event()
        self._all: dict[str, Operation] = {}
        self._taken: dict[str, Slot] = {}
        self._threads: list[Thread] = []
        self.busy_status = 409
        """The status of an answer to a blocked operation. In the past it was 403, with the same reason."""

    def start(self, slot: Slot, kind: str, work: Work, **context: Any) -> Operation:
        """Create an operation, and do its work in a thread. Raises ApiError if a running operation blocks it."""
        name = str(uuid4())
        operation = {
            "kind": "sql#operation",
            "name": name,
            "operationType": kind,
            "status": "PENDING",
            "targetProject": slot.project,
            "targetId": slot.instance,
            "user": f"exporter@{slot.project}.iam.gserviceaccount.com",
            "insertTime": self._stamp(),
            **context,
        }
        with self._lock:
            if any(_blocks(running, slot) for running in self._taken.values()):
                raise self._busy()
            self._all[name] = operation
            self._taken[name] = slot
            self.begin(partial(self._run, name, work))
            return dict(operation)

    def now(self) -> datetime:
        """The current time, in UTC."""
        return datetime.now(UTC)

    def begin(self, run: Callable[[], None]) -> None:
        """Call `run` in a thread of its own."""
        thread = Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as the stand-in is stopped."""
        if self._stopped.wait(seconds):
            raise Stopped

    def check(self) -> None:
        """Raise Stopped if the stand-in is being stopped."""
        self.wait(0)

    def find(self, name: str) -> Operation | None:
        """An operation as it is now. None if there is none of that name."""
        with self._lock:
            return dict(self._all[name]) if name in self._all else None

    def snapshot(self) -> list[Operation]:
        """All operations as they are now, oldest first."""
        with self._lock:
            return [dict(operation) for operation in self._all.values()]

    def stop(self, interrupt: Callable[[], None]) -> None:
        """
        End the operations that run, and return when their threads have ended.

        `wait` and `check` raise Stopped. `interrupt` must end work that is busy elsewhere, such as a COPY.
        """
        self._stopped.set()
        if any(thread.is_alive() for thread in self._threads):
            interrupt()
        for thread in self._threads:
            thread.join()

    def _stamp(self) -> str:
        return self.now().isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def _busy(self) -> ApiError:
        message = "Operation failed because another operation was already in progress. "
        message += "Try your request after the current operation is complete."
        return ApiError(self.busy_status, "operationInProgress", message)

    def _run(self, name: str, work: Work) -> None:
        outcome = {}
        with suppress(Stopped):
            try:
                work(lambda: self._update(name, status="RUNNING", startTime=self._stamp()))
            except OperationFailed as failure:
                outcome = {"error": _error(str(failure))}
            self.check()  # if it failed because of the stop, it stays unfinished
            self._update(name, status="DONE", endTime=self._stamp(), **outcome)

    def _update(self, name: str, **changes: Any) -> None:
        with self._lock:
            self._all[name].update(changes)
            if changes["status"] == "DONE":
                del self._taken[name]


def _blocks(running: Slot, new: Slot) -> bool:
    """
    Whether a running operation blocks a new one.

    Only a serverless export lets others start on its instance, except another serverless export. Source: the table in
    Cloud SQL's best practices for exports.
    """
    same = (running.project, running.instance) == (new.project, new.instance)
    return same and (new.offload or not running.offload)


def _error(message: str) -> Mapping[str, Any]:
    error = {"kind": "sql#operationError", "code": "ERROR_RDBMS", "message": message}
    return {"kind": "sql#operationErrors", "errors": [error]}
