"""How a function hears an event, and what becomes of one whose handling fails: reported, or handed back."""

import functools
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, Protocol

import flask
from cloudevents.http import CloudEvent
from werkzeug.exceptions import ServiceUnavailable

from shared import canaries, log
from shared.errors import Denied, HandBack, HandedBack, Permanent
from shared.messages import events
from shared.messages.events import Event
from shared.messages.message import Message
from shared.messages.outcome import Outcome, subject_of
from shared.redaction import of_error, one_line
from shared.times import SystemClock

_LAST_TRY = 5
"""The delivery at which what is denied is given up. The subscription's backoff puts some minutes before it."""
_LAST_TRY_AFTER = timedelta(minutes=10)
"""Where the subscription does not count its deliveries: how long after its publication a message is not waited for any more."""
_SUBJECT = ("pipeline", "schema", "table", "shard_date", "run_id")


class DeadLetters(Protocol):
    """The topic of messages that can never succeed."""

    def dead_letter(self, message: Message, function: str, error: str) -> None:
        """Publish the untouched message with the reason, and return when it is confirmed."""


def handler(
    dead_letters: DeadLetters, log_topic: str = ""
) -> Callable[[Callable[[Event], Outcome]], Callable[[CloudEvent], None]]:
    """
    Make a function of CloudEvents out of one that returns the outcome of an event: one log line for each.

    Permanent: reported, dead-lettered where it came as a message, and acknowledged. HandBack: answered with a 503. Denied:
    the one at the last try, the other before. Anything else propagates, which hands it back too. `log_topic`: where a log sink
    publishes the audit log, whose entries nobody can mend. A message about canaries that fails for good sets off no alert: whoever
    checks is told, and has the remedy.
    """
    if flask.has_app_context():  # functions-framework imports a function's module within that of its app
        flask.current_app.before_request(_complete_push)

    def decorate(function: Callable[[Event], Outcome]) -> Callable[[CloudEvent], None]:
        @functools.wraps(function)
        def handle(cloud_event: CloudEvent) -> None:
            began = time.monotonic()
            about = {"message_id": cloud_event["id"]}

            def report(outcome: Outcome) -> None:
                seconds = {"seconds": round(time.monotonic() - began, 3)}
                log.write(function.__name__, about | outcome.to_json() | seconds)

            try:
                event = _heard(cloud_event, log_topic)
                about.update(_about(event))
                report(_outcome(function, event, dead_letters))
            except (HandBack, Denied) as reason:
                severity = "WARNING" if isinstance(reason, Denied) else "INFO"
                report(Outcome("waiting", str(reason), subject_of(reason), severity, reason.operation))
                raise ServiceUnavailable(one_line(str(reason))) from None
            except Exception as error:  # noqa: BLE001 - it is raised again, without its words
                report(Outcome("waiting", f"handed back: {of_error(error)}", subject_of(error), "WARNING"))
                # Whoever prints this prints where it went wrong, and not what a driver said of it.
                raise HandedBack(of_error(error)).with_traceback(error.__traceback__) from None

        return handle

    return decorate


def _heard(cloud_event: CloudEvent, log_topic: str) -> Event:
    """What is in a CloudEvent. Of a message, too, which delivery it is, and whether that is the last try."""
    event = events.read(cloud_event, log_topic)
    if event.message is None:
        return event
    attempt = event.message.delivery_attempt or _pushed_attempt()
    since = SystemClock().now() - event.message.published_at
    last = attempt >= _LAST_TRY if attempt else since >= _LAST_TRY_AFTER
    return replace(event, message=replace(event.message, delivery_attempt=attempt, last_try=last))


def _pushed_attempt() -> int | None:
    """Which delivery the subscription counts. functions-framework leaves that out of a bare push's event."""
    pushed = flask.request.get_json(silent=True) if flask.has_request_context() else None
    attempt = pushed.get("deliveryAttempt") if isinstance(pushed, dict) else None
    return attempt if isinstance(attempt, int) else None


def _complete_push() -> None:
    """
    Give the message of a bare push empty data where it has none, as Pub/Sub leaves out what is empty.

    Without, functions-framework takes the body for no event and answers 400: nobody hears of the message, and it holds its
    lane. Flask keeps the body that is parsed here, and the framework reads the same.
    """
    pushed = flask.request.get_json(silent=True)
    message = pushed.get("message") if isinstance(pushed, dict) else None
    if isinstance(message, dict):
        message.setdefault("data", "")


def _outcome(function: Callable[[Event], Outcome], event: Event, dead_letters: DeadLetters) -> Outcome:
    """What came of the event. A message that fails for good is dead-lettered when this returns."""
    try:
        return function(event)
    except (Permanent, Denied) as failure:
        if _is_about_canaries(event, function.__name__):
            return Outcome("skipped", one_line(str(failure)), subject_of(failure), "WARNING", failure.operation)
        if isinstance(failure, Denied) and event.message and not event.message.last_try:
            raise
        reason = one_line(str(failure))
        if event.letter:
            dead_letters.dead_letter(event.letter, function.__name__, reason)
        return Outcome("dead", reason, subject_of(failure), "ERROR", failure.operation)


def _is_about_canaries(event: Event, function: str) -> bool:
    """
    Whether a message says that it is about canaries, and names no table. One that is not believed says so, too.

    Wishes for views say it by their names alone. A request for tables that are called so is somebody's, who is told.
    """
    found = _content(event)
    table, tables = found.get("table", canaries.PREFIX), found.get("tables")
    if found.get("check") is True:
        return isinstance(table, str) and canaries.is_canary(table)
    if function != "refresh_views" or not isinstance(tables, list):
        return False
    return canaries.are_canaries([str(each) for each in tables])


def _content(event: Event) -> Mapping[str, Any]:
    """What a message says, as far as it can be read."""
    try:
        content = event.message.content if event.message else None
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _about(event: Event) -> dict[str, Any]:
    """What a message is about, as far as it can be read, so that a log line about a bad one says it too."""
    if event.message is None:
        return {}
    found = _content(event)
    known = {key: found[key] for key in _SUBJECT if isinstance(found.get(key), str)}
    schema = known.pop("schema", None)
    qualified = {"table": f"{schema}.{known['table']}"} if schema and "table" in known else {}
    attempt = {"attempt": event.message.delivery_attempt} if event.message.delivery_attempt else {}
    return known | qualified | attempt
