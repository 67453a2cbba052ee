"""What arrives: the envelope of a Pub/Sub message, taken off a CloudEvent."""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cloudevents.http import CloudEvent

from shared import times
from shared.errors import Permanent

_PUBSUB_MESSAGE = "google.cloud.pubsub.topic.v1.messagePublished"

_TOPIC_SOURCE = "//pubsub.googleapis.com/"
_GIVEN_UP_AT = "CloudPubSubDeadLetterSourceTopicPublishTime"
RUN_ID = re.compile(r"[!-.0-~]{1,128}")
"""A message's id, which is a run's: printable ASCII, without the slash that would part the names of objects."""


@dataclass(frozen=True, slots=True)
class Message:
    """
    One delivery of one Pub/Sub message.

    A message that is published again out of the dead letters carries the id and the publish time of the first one in its
    attributes: `origin_id` and `origin_time` are those, so that a replay belongs to the same run and the same day.
    """

    topic: str
    message_id: str
    published_at: datetime
    data: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    delivery_attempt: int | None = None

    @property
    def is_replay(self) -> bool:
        """Whether somebody has published it again out of the dead letters."""
        return not self.attributes.keys().isdisjoint({"message_id", "source_topic", _GIVEN_UP_AT})

    @property
    def origin_id(self) -> str:
        """Raises Permanent where a replay's attribute is not an id that Pub/Sub gives."""
        origin = self.attributes.get("message_id", self.message_id)
        if not RUN_ID.fullmatch(origin):
            raise Permanent(
                f"the message's id is {origin!r}, which cannot be a run's: correct the attribute message_id"
            )
        return origin

    @property
    def origin_time(self) -> datetime:
        """Raises Permanent where a replay's attribute is not a moment."""
        try:
            return times.moment(self.origin_time_text)
        except ValueError as error:
            raise Permanent(f"the attribute publish_time is no moment: {error}") from error

    @property
    def origin_time_text(self) -> str:
        """The origin's time as it was given."""
        given = self.attributes.get("publish_time") or self.attributes.get(_GIVEN_UP_AT)
        return given or times.rfc3339(self.published_at)


def is_message(event: CloudEvent) -> bool:
    """Whether a Pub/Sub message is in the event."""
    return (
        event["type"] == _PUBSUB_MESSAGE
        and isinstance(event.data, dict)
        and isinstance(event.data.get("message"), dict)
    )


def message(event: CloudEvent) -> Message:
    """The Pub/Sub message in the event, whether it came as a CloudEvent or as a bare push. Permanent for any other event."""
    if not is_message(event):
        raise Permanent(f"an event of type {event['type']} with no Pub/Sub message in it")
    body = event.data
    found = body["message"]
    return Message(
        topic=event["source"].removeprefix(_TOPIC_SOURCE),
        message_id=found.get("messageId") or found.get("message_id") or event["id"],
        published_at=times.moment(found.get("publishTime") or found.get("publish_time") or event["time"]),
        data=_decoded(found.get("data") or ""),
        attributes=found.get("attributes") or {},
        delivery_attempt=_attempt(body),
    )


def log_entry(message: Message) -> dict[str, Any] | None:
    """The entry of the audit log that a log sink has published; None where the message is another."""
    if b'"protoPayload"' not in message.data:
        return None
    try:
        content = json.loads(message.data)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and "protoPayload" in content else None


def _decoded(data: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data.encode()  # no JSON either: the parser of the message says so


def _attempt(body: Mapping[str, Any]) -> int | None:
    attempt = body.get("deliveryAttempt")
    return attempt if isinstance(attempt, int) else None
