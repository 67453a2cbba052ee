"""The envelope of a Pub/Sub message, as functions-framework hands it over."""

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from cloudevents.http import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from shared import events
from shared.errors import Permanent
from shared.events import Message

ENVELOPE = {
    "id": "9912",
    "type": "google.cloud.pubsub.topic.v1.messagePublished",
    "source": "//pubsub.googleapis.com/projects/p/topics/mirror-requests",
    "time": "2026-11-22T02:00:01Z",
}
GIVEN_UP_AT = "CloudPubSubDeadLetterSourceTopicPublishTime"
PUBLISHED_AT = datetime(2026, 11, 22, 2, tzinfo=UTC)


def published(body: dict[str, Any] | None = None, **message: Any) -> CloudEvent:
    found = {"data": "e30=", "messageId": "9912", "publishTime": "2026-11-22T02:00:00Z"} | message
    return CloudEvent(ENVELOPE, {"message": found} | (body or {}))


def test_a_message_is_taken_off_its_event() -> None:
    event = published({"deliveryAttempt": 3}, attributes={"by": "hand"})

    assert events.message(event) == Message(
        topic="projects/p/topics/mirror-requests",
        message_id="9912",
        published_at=PUBLISHED_AT,
        data=b"{}",
        attributes={"by": "hand"},
        delivery_attempt=3,
    )


def test_a_bare_push_says_its_id_and_time_in_the_envelope_alone() -> None:
    event = CloudEvent(ENVELOPE, {"message": {"data": "e30=", "attributes": None}})

    message = events.message(event)

    assert (message.message_id, message.published_at) == ("9912", datetime(2026, 11, 22, 2, 0, 1, tzinfo=UTC))


@given(st.binary())
def test_the_data_arrives_as_published(data: bytes) -> None:
    event = published(data=base64.b64encode(data).decode())

    assert events.message(event).data == data


def test_a_message_of_attributes_alone_has_no_data() -> None:
    event = CloudEvent(ENVELOPE, {"message": {"messageId": "9912", "attributes": {"by": "hand"}}})

    assert events.message(event).data == b""


@pytest.mark.parametrize("data", ["not base64!", "ünicode", "abc"])
def test_data_that_is_not_base64_is_left_to_the_parser(data: str) -> None:
    assert events.message(published(data=data)).data == data.encode()


@pytest.mark.parametrize("data", [None, "text", b"bytes", [], {}, {"message": None}, {"message": "text"}])
def test_an_event_without_a_message_is_refused_by_its_type(data: Any) -> None:
    with pytest.raises(Permanent, match=r"messagePublished"):
        events.message(CloudEvent(ENVELOPE, data))


def test_an_event_of_another_kind_is_no_message() -> None:
    event = CloudEvent(ENVELOPE | {"type": "google.cloud.audit.log.v1.written"}, {"message": {}})

    assert not events.is_message(event)


def test_a_replay_belongs_to_the_run_and_the_day_of_the_first() -> None:
    event = published(messageId="10001", attributes={"message_id": "9000", "publish_time": "2026-11-20T23:59:59.5Z"})

    message = events.message(event)

    assert (message.origin_id, message.origin_time) == (
        "9000",
        datetime(2026, 11, 20, 23, 59, 59, 500_000, tzinfo=UTC),
    )


def test_a_message_that_is_no_replay_is_its_own_origin() -> None:
    message = events.message(published())

    assert (message.origin_id, message.origin_time) == ("9912", PUBLISHED_AT)


def test_a_message_that_pubsub_gave_up_on_keeps_its_day() -> None:
    message = events.message(published(attributes={GIVEN_UP_AT: "2026-11-20T17:24:08.041+00:00"}))

    assert message.origin_time == datetime(2026, 11, 20, 17, 24, 8, 41_000, tzinfo=UTC)


@pytest.mark.parametrize("origin", ["", "../x", "9912\n", "a" * 129, "é"])
def test_a_replay_with_an_impossible_id_is_refused_by_it(origin: str) -> None:
    message = events.message(published(attributes={"message_id": origin}))

    with pytest.raises(Permanent, match="message_id"):
        _ = message.origin_id


@pytest.mark.parametrize("origin", ["yesterday", "2026-02-30T00:00:00Z", "2026-11-20T00:00:00"])
def test_a_replay_with_an_impossible_time_is_refused_by_it(origin: str) -> None:
    message = events.message(published(attributes={"publish_time": origin}))

    with pytest.raises(Permanent, match=f"publish_time .*{origin}"):
        _ = message.origin_time


@pytest.mark.parametrize(
    ("data", "entry"),
    [
        (b'{"protoPayload": {"methodName": "m"}}', {"protoPayload": {"methodName": "m"}}),
        (b'{"protoPayload": null}', {"protoPayload": None}),
        (b'{"pipeline": "billing"}', None),
        (b'{"pipeline": "protoPayload"}', None),
        (b'{"pipeline": {"protoPayload": {}}}', None),
        (b'["protoPayload"]', None),
        (b'{"protoPayload": ', None),
        (b"", None),
    ],
)
def test_an_entry_of_a_log_sink_is_told_from_other_messages(data: bytes, entry: dict[str, Any] | None) -> None:
    message = events.message(published(data=base64.b64encode(data).decode()))

    assert events.log_entry(message) == entry
