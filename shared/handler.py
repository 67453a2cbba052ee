"""What becomes of an event whose handling fails: the one place that decides between reporting it and handing it back."""

import functools
import json
import time
from collections.abc import Callable
from typing import Any, Protocol

import flask
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

            def report(outcome: Outcome) -> None:
                seconds = {"seconds": round(time.monotonic() - began, 3)}
                log.write(function.__name__, _subject(event) | outcome.to_json() | seconds)

            try:
                report(_outcome(function, event, dead_letters))
            except NotYet as reason:
                report(Outcome("waiting", str(reason), operation=reason.operation))
                raise ServiceUnavailable(str(reason)) from reason
            except Exception as error:
                said = f"handed back: {type(error).__name__}: {without_values(str(error))}"
                report(Outcome("waiting", said, severity="WARNING"))
                raise

        return handle

    return decorate


def _outcome(function: Callable[[CloudEvent], Outcome], event: CloudEvent, dead_letters: DeadLetters) -> Outcome:
    """What came of the event; where that is a permanent failure, it is buried when this returns."""
    try:
        return function(event)
    except Permanent as failure:
        reason = one_line(str(failure))
        if _is_ours(event):
            dead_letters.bury(events.message(event), function.__name__, reason)
        return Outcome("dead", reason, severity="ERROR", operation=failure.operation)


def _is_ours(event: CloudEvent) -> bool:
    """Whether somebody can mend and replay it: a message, but none of those that a log sink makes of the audit log."""
    return events.is_message(event) and events.log_entry(events.message(event)) is None


def _subject(event: CloudEvent) -> dict[str, Any]:
    """What a message is about, as far as it can be read, so that a log line about a bad one says it too."""
    about: dict[str, Any] = {"message_id": event["id"]}
    if not events.is_message(event):
        return about
    try:
        message = events.message(event)
        content = json.loads(message.data)
    except (ValueError, RecursionError):
        return about
    known = (
        {key: content[key] for key in _SUBJECT if isinstance(content.get(key), str)}
        if isinstance(content, dict)
        else {}
    )
    schema = known.pop("schema", None)
    return (
        about
        | known
        | ({"table": f"{schema}.{known['table']}"} if schema and "table" in known else {})
        | _attempt(message)
    )


def _attempt(message: Message) -> dict[str, Any]:
    """Which delivery it is, where the subscription counts; functions-framework leaves that out of a bare push's event."""
    pushed = flask.request.get_json(silent=True) if flask.has_request_context() else None
    attempt = message.delivery_attempt or (pushed.get("deliveryAttempt") if isinstance(pushed, dict) else None)
    return {"attempt": attempt} if attempt else {}
