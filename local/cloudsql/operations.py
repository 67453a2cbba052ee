"""The operations of Cloud SQL instances: one at a time on each, run in threads, remembered for ever."""

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
"""An operation as the API has it."""


class OperationFailed(Exception):  # noqa: N818 - as the API has it: the request did not fail
    """The operation ends with an error."""


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """The stand-in is being stopped: what runs ends, and stays unfinished."""


Work = Callable[[Callable[[], None]], None]
"""What an operation does. It is pending until it calls what it is given, and may raise OperationFailed."""


@dataclass(frozen=True)
class Slot:
    """What an operation takes of its instance. `offload` is a serverless export, which spares other operations."""

    project: str
    instance: str
    offload: bool = False


class Operations:
    """
    All operations of all instances, oldest first. Safe to call from several threads.

    A test may have them live by another time: `now`, `wait` and `begin` are all that they know of it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._stopped = Event()
        self._all: dict[str, Operation] = {}
        self._taken: dict[str, Slot] = {}
        self._threads: list[Thread] = []
        self.busy_status = 409
        """Which was 403 in the past, with the same reason."""

    def start(self, slot: Slot, kind: str, work: Work, **context: Any) -> Operation:
        """Make an operation, and do its work in a thread. Raises ApiError where another one is in the way."""
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
        """The present moment, in UTC."""
        return datetime.now(UTC)

    def begin(self, run: Callable[[], None]) -> None:
        """Have it run beside the caller."""
        thread = Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self, seconds: float) -> None:
        """Sleep. Raises Stopped as soon as the stand-in is being stopped."""
        if self._stopped.wait(seconds):
            raise Stopped

    def check(self) -> None:
        """Raises Stopped if the stand-in is being stopped."""
        self.wait(0)

    def find(self, name: str) -> Operation | None:
        """One as it is now."""
        with self._lock:
            return dict(self._all[name]) if name in self._all else None

    def snapshot(self) -> list[Operation]:
        """All of them as they are now."""
        with self._lock:
            return [dict(operation) for operation in self._all.values()]

    def stop(self, interrupt: Callable[[], None]) -> None:
        """End what runs and waits for it; what does not wait here is ended by the interruption."""
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
            self.check()  # what failed because of the stop is not done
            self._update(name, status="DONE", endTime=self._stamp(), **outcome)

    def _update(self, name: str, **changes: Any) -> None:
        with self._lock:
            self._all[name].update(changes)
            if changes["status"] == "DONE":
                del self._taken[name]


def _blocks(running: Slot, new: Slot) -> bool:
    """The table of the best practices for exports: only a serverless export lets others run, but for another one."""
    same = (running.project, running.instance) == (new.project, new.instance)
    return same and (new.offload or not running.offload)


def _error(message: str) -> Mapping[str, Any]:
    error = {"kind": "sql#operationError", "code": "ERROR_RDBMS", "message": message}
    return {"kind": "sql#operationErrors", "errors": [error]}
