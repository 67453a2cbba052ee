"""Pub/Sub's part: it brings what is published to the functions, late, twice, again where it was handed back, and in order by key."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from itertools import count

from tests.support.delivery import INPUTS
from tests.support.lane.schedules import Delivery, Fault
from tests.support.lane.virtual_time import VirtualTime

MOST_ATTEMPTS = 100
_BACKOFF = 10.0
_FUNCTIONS = {INPUTS[function]: function for function in ("list_tables", "export_table", "load_shard")}


@dataclass(eq=False)
class Message:
    """A message, and how often it was delivered. Times have milliseconds, as Pub/Sub's."""

    id: str
    topic: str
    data: bytes
    attributes: Mapping[str, str]
    key: str
    published: datetime
    attempts: int = 0
    acknowledged: bool = False


@dataclass(eq=False)
class Attempt:
    """A delivery under way: `met` says what befell the function's calls, `dead` is set when it has died."""

    message: Message
    plan: Delivery
    began: datetime
    ended: datetime | None = None
    status: int = 0
    dead: bool = False
    met: list[str] = field(default_factory=list)
    _calls: Iterator[int] = field(default_factory=count)
    _writes: Iterator[int] = field(default_factory=count)

    @property
    def function(self) -> str:
        return _FUNCTIONS[self.message.topic]

    def next_fault(self, call: str, *, writes: bool) -> Fault | None:
        """What befalls the function's next call, which this is."""
        names = [f"call {next(self._calls)}"] + ([f"write {next(self._writes)}"] if writes else [])
        fault = next((self.plan.faults[name] for name in names if name in self.plan.faults), None)
        if fault:
            self.met.append(f"{' or '.join(names)}, {call}, {fault.trouble.value} ({fault.seconds:g} s)")
        return fault


class Subscriptions:
    """
    One for each function. A key's messages come one after the other, each when the one before it is acknowledged.

    Each delivery takes its function's next plan; when there is none left it goes well. One that is handed back comes again,
    even where a duplicate has been acknowledged. `receive` has it received, and gives the status.
    """

    def __init__(
        self, clock: VirtualTime, plans: Mapping[str, Iterable[Delivery]], receive: Callable[[Attempt], int]
    ) -> None:
        self.messages: list[Message] = []
        self.attempts: list[Attempt] = []
        self._clock = clock
        self._plans = {function: iter(deliveries) for function, deliveries in plans.items()}
        self._receive = receive
        self._lanes: dict[str, deque[Message]] = {}

    def publish(self, topic: str, id_: str, data: bytes, attributes: Mapping[str, str], key: str = "") -> None:
        now = self._clock.now()
        published = now - timedelta(microseconds=now.microsecond % 1000)
        message = Message(id_, topic, data, attributes, key, published)
        self.messages.append(message)
        if topic not in _FUNCTIONS:
            return
        lane = self._lanes.setdefault(key or id_, deque())
        lane.append(message)
        if len(lane) == 1:
            self._send(message)

    def _send(self, message: Message, after: float = 0.0) -> None:
        plans = self._plans.get(_FUNCTIONS[message.topic], iter(()))
        plan = next(plans, Delivery())
        self._clock.start(partial(self._deliver, message, plan), after + plan.late)
        if plan.again is not None:
            twin = next(plans, Delivery())
            self._clock.start(partial(self._deliver, message, twin), after + plan.late + plan.again)

    def _deliver(self, message: Message, plan: Delivery) -> None:
        attempt = self._clock.actor = Attempt(message, plan, self._clock.now())
        self.attempts.append(attempt)
        message.attempts += 1
        attempt.status = self._receive(attempt)
        attempt.ended = self._clock.now()
        if attempt.status < 300:
            self._acknowledge(message)
        else:
            assert message.attempts < MOST_ATTEMPTS, f"{message} would be given up"
            self._send(message, _BACKOFF)

    def _acknowledge(self, message: Message) -> None:
        if message.acknowledged:
            return
        message.acknowledged = True
        lane = self._lanes[message.key or message.id]
        assert lane.popleft() is message
        if lane:
            self._send(lane[0])
