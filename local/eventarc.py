"""
Eventarc on one machine: brings events to one function as binary CloudEvents, at least once and in no order.

Where it differs from the service: it filters nothing, so that its caller sends what a trigger would match, and it tries
until it is stopped, not for a day.
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

# What the CloudEvents HTTP binding leaves as it is in a header: printable ASCII but for space, quote and percent.
_PLAIN = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


class Eventarc:
    """
    Delivers to the function at `endpoint`, over a transport of its own such as a trigger has.

    Times are in seconds; the service waits from 10 to 600 between two tries. While `deliver_twice` is set, each event
    that is accepted is delivered a second time.
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
        """Cut what is out, and return when no thread is left."""
        self._push.stop()

    def deliver(self, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        """Send an event on its way, and return at once. The headers are those of binary mode, not yet encoded."""
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
