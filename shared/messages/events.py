"""What a function is called with: a CloudEvent, taken off once."""

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cloudevents.http import CloudEvent

from shared import times
from shared.errors import Permanent
from shared.messages.message import Message

LOG_ENTRY_WRITTEN = "google.cloud.audit.log.v1.written"

_PUBSUB_MESSAGE = "google.cloud.pubsub.topic.v1.messagePublished"
_TOPIC_SOURCE = "//pubsub.googleapis.com/"


@dataclass(frozen=True, slots=True)
class Event:
    """
    An event: a Pub/Sub message, or one of another type with its data.

    `log_entry`: an entry of the audit log, whether Eventarc brought it or a log sink published it on its topic.
    """

    type: str
    data: Any
    message: Message | None = None
    log_entry: Any = None

    def expect_message(self) -> Message:
        """The message in it. Raises Permanent if there is none."""
        if self.message is None:
            raise Permanent(f"an event of type {self.type} with no Pub/Sub message in it")
        return self.message

    @property
    def letter(self) -> Message | None:
        """The message that somebody can mend and publish again. None for the entries of the audit log."""
        return self.message if self.log_entry is None else None


def read(event: CloudEvent, log_topic: str = "") -> Event:
    """
    What is in a CloudEvent. Raises ValueError if a message has an impossible publish time.

    `log_topic`: whatever is published there is taken for an entry of the audit log, and nothing elsewhere is.
    """
    message = _message(event)
    if message is None:
        return Event(event["type"], event.data, log_entry=event.data if event["type"] == LOG_ENTRY_WRITTEN else None)
    entry = _published_log_entry(message) if log_topic and message.topic == log_topic else None
    return Event(event["type"], event.data, message, entry)


def _message(event: CloudEvent) -> Message | None:
    """The Pub/Sub message in the event, whether it came as a CloudEvent or as a bare push."""
    body = event.data
    found = body.get("message") if event["type"] == _PUBSUB_MESSAGE and isinstance(body, dict) else None
    if not isinstance(found, dict):
        return None
    return Message(
        topic=event["source"].removeprefix(_TOPIC_SOURCE),
        message_id=found.get("messageId") or found.get("message_id") or event["id"],
        published_at=times.moment(found.get("publishTime") or found.get("publish_time") or event["time"]),
        data=_decoded(found.get("data") or ""),
        attributes=found.get("attributes") or {},
        delivery_attempt=_attempt(body),
    )


def _published_log_entry(message: Message) -> Any:
    """The entry of the audit log that a log sink has published. What is none is taken for an empty one, which says nothing."""
    with suppress(ValueError):
        return message.content or {}
    return {}


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data.encode()  # no JSON either: the parser of the message says so


def _attempt(body: Mapping[str, Any]) -> int | None:
    attempt = body.get("deliveryAttempt")
    return attempt if isinstance(attempt, int) else None
