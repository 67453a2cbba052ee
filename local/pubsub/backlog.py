"""The messages that one subscription has to deliver: at least once, in order for each key, with backoff."""

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from threading import Condition, Event, RLock
from time import monotonic
from typing import Any

Message = Any  # google.pubsub_v1's PubsubMessage, as a raw protobuf message
GiveUp = Callable[[Message, int], bool]

_LONG = 3600.0  # the longest sleep in seconds, after which the agenda is read again


@dataclass(frozen=True)
class Terms:
    """How messages are redelivered. Times are in seconds. Without `max_attempts`, no message is given up."""

    ack_deadline: float
    min_backoff: float = 0.0
    max_backoff: float = 0.0
    ordered: bool = False
    max_attempts: int | None = None

    def backoff(self, attempts: int) -> float:
        return min(self.max_backoff, self.min_backoff * 2.0 ** min(attempts - 1, 64))


@dataclass(frozen=True)
class Delivery:
    """One delivery of a message, its `attempt`th. `ack_id` is valid for this delivery only."""

    ack_id: str
    message: Message
    attempt: int


@dataclass(eq=False)
class _Lane:
    """Messages that are delivered one after the other: those of one ordering key, or a single message without a key."""

    key: tuple[str, str]
    messages: deque[Message] = field(default_factory=deque)
    attempts: int = 0
    ack_id: str = ""  # of the first message's delivery, empty while it is not out
    when: float = 0.0  # the first message's deadline while it is out, and otherwise the time when it is due


class Backlog:
    """
    The messages that are not acknowledged. Safe to use from several threads.

    A message is out from its delivery until it is acknowledged or handed back, or its deadline passes. One message of an
    ordering key is out at a time, as in the service's push subscriptions. In pulls the service may hand out several.

    `give_up` is called with a message that has used up its attempts. If it returns False, the message is tried again.
    """

    def __init__(self, terms: Terms, lock: RLock, give_up: GiveUp) -> None:
        self.terms = terms
        self._give_up = give_up
        self._changed = Condition(lock)
        self._lanes: dict[tuple[str, str], _Lane] = {}
        self._out: dict[str, _Lane] = {}
        self._agenda: list[tuple[float, int, _Lane]] = []  # an entry is ignored if its time is not its lane's `when`
        self._numbers = count()

    def __len__(self) -> int:
        with self._changed:
            return sum(len(lane.messages) for lane in self._lanes.values())

    def add(self, message: Message) -> None:
        ordered = self.terms.ordered and message.ordering_key
        key = (message.ordering_key, "") if ordered else ("", message.message_id)
        with self._changed:
            lane = self._lanes.setdefault(key, _Lane(key))
            lane.messages.append(message)
            if len(lane.messages) == 1:
                self._schedule(lane, monotonic())

    def take(
        self, limit: int, gone: Event, wait: float = float("inf"), deadline: float | None = None
    ) -> list[Delivery]:
        """
        Wait for messages that are due, and deliver up to `limit` of them.

        The list is empty if none is due within `wait` seconds, or when `gone` is set. `deadline`, in seconds, replaces
        the terms' acknowledgement deadline.
        """
        until = monotonic() + wait
        with self._changed:
            while not gone.is_set():
                now = monotonic()
                if (ready := self._ready(now, limit, deadline)) or now >= until:
                    return ready
                following = self._agenda[0][0] if self._agenda else until
                self._changed.wait(min(until, following, now + _LONG) - now)
        return []

    def wake(self) -> None:
        """Wake the threads that wait in `take`, so that they check their `gone`."""
        with self._changed:
            self._changed.notify_all()

    def acknowledge(self, ack_id: str) -> None:
        """Remove a delivery's message. After its deadline this does nothing: the message will be delivered again."""
        with self._changed:
            if lane := self._out.pop(ack_id, None):
                self._advance(lane)

    def modify(self, ack_id: str, seconds: float) -> None:
        """Set a delivery's deadline to `seconds` from now. Zero hands the message back."""
        with self._changed:
            if ack_id not in self._out:
                return
            if seconds:
                self._schedule(self._out[ack_id], monotonic() + seconds)
            else:
                self._return(self._out[ack_id])

    def out(self, ack_id: str) -> bool:
        """Whether a delivery is still out: not acknowledged, not handed back, and not past its deadline."""
        with self._changed:
            return ack_id in self._out

    def _ready(self, now: float, limit: int, deadline: float | None) -> list[Delivery]:
        ready: list[Delivery] = []
        while len(ready) < limit and self._agenda and self._agenda[0][0] <= now:
            when, _, lane = heapq.heappop(self._agenda)
            if when != lane.when:
                continue
            if lane.ack_id:
                self._return(lane)
            else:
                ready.append(self._hand_out(lane, now + (deadline or self.terms.ack_deadline)))
        return ready

    def _hand_out(self, lane: _Lane, deadline: float) -> Delivery:
        lane.attempts += 1
        lane.ack_id = f"{lane.messages[0].message_id}-{next(self._numbers)}"
        self._out[lane.ack_id] = lane
        self._schedule(lane, deadline)
        return Delivery(lane.ack_id, lane.messages[0], lane.attempts)

    def _return(self, lane: _Lane) -> None:
        self._out.pop(lane.ack_id)
        lane.ack_id = ""
        spent = self.terms.max_attempts is not None and lane.attempts >= self.terms.max_attempts
        if spent and self._give_up(lane.messages[0], lane.attempts):
            self._advance(lane)
        else:
            self._schedule(lane, monotonic() + self.terms.backoff(lane.attempts))

    def _advance(self, lane: _Lane) -> None:
        lane.messages.popleft()
        lane.attempts, lane.ack_id, lane.when = 0, "", -1.0
        if lane.messages:
            self._schedule(lane, monotonic())
        else:
            del self._lanes[lane.key]

    def _schedule(self, lane: _Lane, when: float) -> None:
        lane.when = when
        heapq.heappush(self._agenda, (when, next(self._numbers), lane))
        self._changed.notify_all()
