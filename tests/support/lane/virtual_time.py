"""Time that passes only while everybody sleeps, so that hours take moments and the same schedule goes the same way again."""

import heapq
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

from local.cloudsql.operations import Operations

BEGINNING = datetime(2026, 1, 15, 2, tzinfo=UTC)
# They never end: with a thread go its httplib2 connections, which are left open, and that would look like a leak.
_THREADS = ThreadPoolExecutor(64, "actor")
_LONGEST = 60.0  # seconds of the machine's time that nobody may be at work without sleeping


class VirtualTime:
    """
    A clock for several who work in turns.

    One of them is at work at a time, in whichever thread, until it sleeps or ends; then comes whoever is to wake first, and
    that moment is now. `actor` is who is at work.
    """

    def __init__(self) -> None:
        self.actor: Any = None
        self.restart()

    def restart(self) -> None:
        """Go back to the beginning, with nothing to do."""
        self._now = BEGINNING
        self._agenda: list[tuple[datetime, int, Callable[[], object]]] = []
        self._order = count()
        self._over = Event()
        self._failures: list[BaseException] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        """Let others work, and return when so many seconds have passed."""
        actor, woken = self.actor, Event()
        self._plan(seconds, woken.set)
        self._next()
        woken.wait()
        self.actor = actor

    def start(self, work: Callable[[], object], after: float = 0.0) -> None:
        """Have somebody begin a work so many seconds from now."""
        self._plan(after, lambda: _THREADS.submit(self._run, work))

    def pass_all(self) -> None:
        """Let time pass until nothing is left to do. Raises what somebody's work raised."""
        self._next()
        assert self._over.wait(_LONGEST), "somebody waits for what does not come"
        self.actor = None
        if self._failures:
            raise self._failures[0]

    def _plan(self, seconds: float, begin: Callable[[], object]) -> None:
        heapq.heappush(self._agenda, (self._now + timedelta(seconds=seconds), next(self._order), begin))

    def _next(self) -> None:
        if not self._agenda:
            self._over.set()
            return
        self._now, _, begin = heapq.heappop(self._agenda)
        begin()

    def _run(self, work: Callable[[], object]) -> None:
        self.actor = None
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - it is raised where it can be seen
            self._failures.append(failure)
        self._next()


class VirtualOperations(Operations):
    """Operations of Cloud SQL that live by a virtual time."""

    def __init__(self, clock: VirtualTime) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()

    def begin(self, run: Callable[[], None]) -> None:
        self._clock.start(run)

    def wait(self, seconds: float) -> None:
        if seconds:
            self._clock.sleep(seconds)

    def forget(self) -> None:
        """Begin again, with none."""
        self._all.clear()
