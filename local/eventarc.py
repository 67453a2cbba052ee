"""
Eventarc on one machine: delivers events to one function as binary CloudEvents, at least once, in no promised order.

Differences from the service: it does not filter, so the caller must send only events that a trigger would match. It
retries until it is stopped, not for a day.
"""

import json
from collections.abc import Mapping
from itertools import count
from threading import RLock
from typing import Any, Self
from urllib.parse import quote

from google.pubsub_v1 import types

from local.pubsub.backlog import Backlog, Delivery, Terms
from local.pubsub.push import Push

# Characters that the CloudEvents HTTP binding does not encode in a header: printable ASCII without space, quote, percent.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class Eventarc:
    """
    Delivers events to the function at `endpoint`, from a queue of its own, such as each trigger has.

    Times are in seconds. The service waits 10 to 600 s between two tries. While `deliver_twice` is set, each accepted
    event is delivered a second time.
    """

    def __init__(
        self, endpoint: str, *, min_backoff: float = 0.1, max_backoff: float = 6.0, ack_deadline: float = 600.0
    ) -> None:
        self.deliver_twice = False
        self._numbers = count(1)
        terms = Terms(ack_deadline, min_backoff, max_backoff)
        self._backlog = Backlog(terms, RLock(), lambda _message, _attempts: False)
        self._push = Push(self._backlog, endpoint, _binary, lambda: self.deliver_twice)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cut deliveries that are in progress, and return when all threads have ended."""
        self._push.stop()

    def deliver(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        """Queue an event for delivery, and return at once. The headers are those of binary mode, not yet encoded."""
        sent = {name.lower(): _encoded(name, value) for name, value in headers.items()}
        data = json.dumps(body).encode()
        self._backlog.add(types.PubsubMessage.pb()(data=data, attributes=sent, message_id=f"{next(self._numbers)}"))

    def idle(self) -> bool:
        """Whether every event has been accepted."""
        return not len(self._backlog)


def _binary(delivery: Delivery) -> tuple[Mapping[str, str], bytes]:
    return {"content-type": "application/json", **delivery.message.attributes}, delivery.message.data


def _encoded(name: str, value: str) -> str:
    return quote(value, safe=_PLAIN) if name.lower().startswith("ce-") else value
