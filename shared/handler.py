"""What becomes of an event whose handling fails: the one place that decides between reporting it and handing it back."""

import functools
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

from cloudevents.http import CloudEvent
from werkzeug.exceptions import ServiceUnavailable

from shared import events, log
from shared.errors import NotYet, Permanent, one_line, without_values
from shared.events import Message
from shared.outcome import Outcome

_SUBJECT = ("pipeline", "schema", "table", "shard_date", "run_id")


class DeadLetters(Protocol):
    """The topic of messages that can never succeed."""

    def bury(self, message: Message, function: str, error: str) -> None:
        """Publish the untouched message with the reason, and return when it is confirmed."""


def handler(dead_letters: DeadLetters) -> Callable[[Callable[[CloudEvent], Outcome]], Callable[[CloudEvent], None]]:
    """
    Make a function of events out of one that returns its outcome: one log line for each event.

    Permanent: reported, dead-lettered where it came as a message, and acknowledged. NotYet: handed back with a 503.
    Anything else propagates, which hands it back too.
    """

    def decorate(function: Callable[[CloudEvent], Outcome]) -> Callable[[CloudEvent], None]:
        @functools.wraps(function)
        def handle(event: CloudEvent) -> None:
            began = time.monotonic()
            fields = _subject(event) | {"message_id": event["id"]}

            def report(outcome: str, severity: str, message: str, **more: Any) -> None:
                said = {"severity": severity, "message": message, "outcome": outcome}
                log.write(function.__name__, said | fields | more | {"seconds": round(time.monotonic() - began, 3)})

            try:
                outcome = function(event)
            except Permanent as failure:
                reason = one_line(str(failure))
                _bury(event, function.__name__, reason, dead_letters)
                report("dead", "ERROR", reason, operation=failure.operation)
            except NotYet as reason:
                report("waiting", "INFO", str(reason), operation=reason.operation)
                raise ServiceUnavailable(str(reason)) from reason
            except Exception as error:
                report("waiting", "WARNING", f"handed back: {type(error).__name__}: {without_values(str(error))}")
                raise
            else:
                report(**outcome.to_json())

        return handle

    return decorate


def _bury(event: CloudEvent, function: str, reason: str, dead_letters: DeadLetters) -> None:
    if events.is_message(event):
        dead_letters.bury(events.message(event), function, reason)


def _subject(event: CloudEvent) -> dict[str, Any]:
    """What a message is about, as far as it can be read, so that a log line about a bad one says it too."""
    if not events.is_message(event):
        return {}
    message = events.message(event)
    try:
        content = json.loads(message.data)
    except (ValueError, RecursionError):
        return {}
    known = (
        {key: content[key] for key in _SUBJECT if isinstance(content.get(key), str)}
        if isinstance(content, dict)
        else {}
    )
    schema = known.pop("schema", None)
    return known | ({"table": f"{schema}.{known['table']}"} if schema and "table" in known else {}) | _attempt(message)


def _attempt(message: Message) -> dict[str, Any]:
    return {"attempt": message.delivery_attempt} if message.delivery_attempt else {}
