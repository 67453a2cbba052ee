"""What functions-framework hands over: an event, and the message in it."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.http import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.messages import events
from shared.messages.message import Message

ENVELOPE = {
    "id": "9912",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
    "source": "//pubsub.googleapis.com/projects/p/topics/mirror-requests",
    "time": "2026-11-22T02:00:01Z",
}
PUBLISHED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def published(body: dict[str, Any] | None = None, **message: Any) -> CloudEvent:
    found = {"data": "e30=", "messageId": "9912", "publishTime": "2026-11-22T02:00:00Z"} | message
    return CloudEvent(ENVELOPE, {"message": found} | (body or {}))


def test_a_message_is_taken_off_its_event() -> None:
    event = published({"deliveryAttempt": 3}, attributes={"by": "hand"})

    assert events.read(event).expect_message() == Message(
        topic="projects/p/topics/mirror-requests",
        message_id="9912",
        published_at=PUBLISHED_AT,
        data=b"{}",
        attributes={"by": "hand"},
        delivery_attempt=3,
    )


def test_a_bare_push_says_its_id_and_time_in_the_envelope_alone() -> None:
    event = CloudEvent(ENVELOPE, {"message": {"data": "e30=", "attributes": None}})

    message = events.read(event).expect_message()

    assert (message.message_id, message.published_at) == ("9912", datetime(2026, 11, 22, 2, 0, 1, tzinfo=UTC))


@given(st.binary())
def test_the_data_arrives_as_published(data: bytes) -> None:
    event = published(data=base64.b64encode(data).decode())

    assert events.read(event).expect_message().data == data


def test_a_message_of_attributes_alone_has_no_data() -> None:
    event = CloudEvent(ENVELOPE, {"message": {"messageId": "9912", "attributes": {"by": "hand"}}})

    assert events.read(event).expect_message().data == b""


@pytest.mark.parametrize("data", ["not base64!", "ünicode", "abc"])
def test_data_that_is_not_base64_is_left_to_the_parser(data: str) -> None:
    assert events.read(published(data=data)).expect_message().data == data.encode()


@pytest.mark.parametrize("data", [None, "text", b"bytes", [], {}, {"message": None}, {"message": "text"}])
def test_an_event_without_a_message_is_refused_by_its_type(data: Any) -> None:
    with pytest.raises(Permanent, match=r"messagePublished"):
        events.read(CloudEvent(ENVELOPE, data)).expect_message()


def test_an_event_of_another_kind_is_no_message() -> None:
    event = CloudEvent(ENVELOPE | {"type": "google.cloud.audit.log.v1.written"}, {"message": {}})

    assert events.read(event).message is None


ENTRY = {"protoPayload": {"methodName": "m"}}


def test_an_entry_of_a_log_sink_is_believed_on_its_topic_alone() -> None:
    data = base64.b64encode(json.dumps(ENTRY).encode()).decode()

    sunk = events.read(published(data=data), log_topic="projects/p/topics/mirror-requests")
    forged = [
        events.read(published(data=data)),
        events.read(published(data=data), log_topic="projects/p/topics/others"),
    ]

    assert (sunk.log_entry, sunk.letter) == (ENTRY, None)
    assert sunk.message
    assert [(each.log_entry, each.letter) for each in forged] == [(None, sunk.message)] * 2


@pytest.mark.parametrize("data", [b'{"pipeline": "billing"}', b'["protoPayload"]', b'{"protoPayload": ', b"null", b""])
def test_what_else_is_on_the_topic_of_a_log_sink_is_nobodys_letter(data: bytes) -> None:
    event = events.read(published(data=base64.b64encode(data).decode()), log_topic="projects/p/topics/mirror-requests")

    assert event.log_entry is not None
    assert event.letter is None


def test_an_entry_of_the_log_that_eventarc_brings_is_no_message() -> None:
    entry = {"protoPayload": {"methodName": "m"}}

    event = events.read(CloudEvent(ENVELOPE | {"type": events.LOG_ENTRY_WRITTEN}, entry))

    assert (event.type, event.data, event.log_entry) == (events.LOG_ENTRY_WRITTEN, entry, entry)
    assert (event.message, event.letter) == (None, None)


def test_an_event_of_another_type_keeps_its_data() -> None:
    event = events.read(CloudEvent(ENVELOPE | {"type": "some.other"}, {"payload": 1}))

    assert (event.type, event.data, event.message, event.log_entry) == ("some.other", {"payload": 1}, None, None)


def test_a_message_with_an_impossible_time_cannot_be_read() -> None:
    with pytest.raises(ValueError, match="yesterday"):
        events.read(published(publishTime="yesterday"))
