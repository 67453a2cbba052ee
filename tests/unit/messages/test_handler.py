"""What becomes of an event whose handling ends well or badly, seen from its log line and from the dead letters."""

import base64
import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import pytest
from cloudevents.http import CloudEvent
from werkzeug.exceptions import ServiceUnavailable

from local.pubsub import PubSub as PubSubService
from shared.errors import HandBack, HandedBack, Permanent
from shared.gcp.pubsub import PubSub
from shared.messages.events import Event
from shared.messages.handler import handler
from shared.messages.outcome import Outcome, Subject
from shared.settings import Settings

LETTERS = "projects/p/topics/dead-letters"
KEPT = "projects/p/subscriptions/dead-letters-kept"
PIPELINE = {
    "instance": "p:r:billing-db",
    "database": "billing",
    "user": "mirror@p.iam",
    "bucket": "p-mirror",
    "shards_dataset": "shards",
    "views_dataset": "views",
}
ENVIRON = {
    "GOOGLE_CLOUD_PROJECT": "p",
    "PIPELINES": json.dumps({"billing": PIPELINE}),
    "DEAD_LETTERS_TOPIC": LETTERS,
}
EXPORT = {
    "run_id": "9900",
    "pipeline": "billing",
    "schema": "public",
    "table": "orders",
    "shard_date": "2026-11-22",
    "columns": [{"name": "id"}],
}
Work = Callable[[Event], Outcome]


class DeadLetters:
    """The topic of dead letters: how the functions publish there, and what has arrived since it was last looked at."""

    def __init__(self, service: PubSubService, subscriber: Any) -> None:
        self.topics = PubSub(Settings.from_env(ENVIRON))
        self._service = service
        self._subscriber = subscriber

    def arrived(self) -> list[Any]:
        expected = self._service.backlog(KEPT)
        if not expected:
            return []
        found = self._subscriber.pull(subscription=KEPT, max_messages=expected).received_messages
        self._subscriber.acknowledge(subscription=KEPT, ack_ids=[each.ack_id for each in found])
        return [each.message for each in found]


@pytest.fixture(name="topic", scope="module")
def _topic() -> Iterator[DeadLetters]:
    with PubSubService() as service, pytest.MonkeyPatch.context() as environment:
        environment.setenv("PUBSUB_EMULATOR_HOST", service.host)
        with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
            publisher.create_topic(name=LETTERS)
            subscriber.create_subscription(name=KEPT, topic=LETTERS)
            yield DeadLetters(service, subscriber)


@pytest.fixture(name="letters")
def _letters(topic: DeadLetters) -> DeadLetters:
    topic.arrived()  # what a test before may have left
    return topic


def message(
    attributes: dict[str, str] | None = None, data: bytes = json.dumps(EXPORT).encode(), attempt: int | None = None
) -> CloudEvent:
    envelope = {
        "id": "9912",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": "//pubsub.googleapis.com/projects/p/topics/table-exports",
    }
    published = {
        "data": base64.b64encode(data).decode(),
        "messageId": "9912",
        "publishTime": "2026-11-22T02:00:00Z",
        "attributes": attributes or {},
    }
    return CloudEvent(envelope, {"message": published} | ({"deliveryAttempt": attempt} if attempt else {}))


def audit_event(data: Any) -> CloudEvent:
    return CloudEvent({"id": "e1", "type": "google.cloud.audit.log.v1.written", "source": "//cloudaudit"}, data)


def raising(error: Exception) -> Work:
    """The work of `export_table`, where that is the end of it."""

    def export_table(_: Event) -> Outcome:
        raise error

    return export_table


def line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that was logged, without the seconds, which vary."""
    (written,) = capsys.readouterr().out.splitlines()
    fields: dict[str, Any] = json.loads(written)
    assert fields.pop("seconds") >= 0
    return fields


def test_an_event_that_went_well_is_one_line(letters: DeadLetters, capsys: pytest.CaptureFixture[str]) -> None:
    def export_table(_: Event) -> Outcome:
        return Outcome("exported", "exported to gs://x", Subject("billing", "public.orders"), operation="op1")

    handler(letters.topics)(export_table)(message(attempt=2))

    assert line(capsys) == {
        "severity": "INFO",
        "message": "exported to gs://x",
        "function": "export_table",
        "pipeline": "billing",
        "table": "public.orders",
        "shard_date": "2026-11-22",
        "run_id": "9900",
        "operation": "op1",
        "attempt": 2,
        "outcome": "exported",
        "message_id": "9912",
    }
    assert letters.arrived() == []


def test_a_message_that_can_never_succeed_is_reported_and_acknowledged(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(letters.topics)(raising(Permanent("the export failed\n5 times", "op5")))(message())

    said = line(capsys)
    assert (said["severity"], said["outcome"], said["message"], said["operation"], said["table"]) == (
        "ERROR",
        "dead",
        "the export failed 5 times",
        "op5",
        "public.orders",
    )
    assert len(letters.arrived()) == 1


def test_its_dead_letter_is_what_the_contract_says(letters: DeadLetters) -> None:
    handler(letters.topics)(raising(Permanent("the export failed\n5 times")))(message({"by": "hand"}))

    (letter,) = letters.arrived()
    assert letter.data == json.dumps(EXPORT).encode()
    assert dict(letter.attributes) == {
        "by": "hand",
        "function": "export_table",
        "error": "the export failed 5 times",
        "source_topic": "projects/p/topics/table-exports",
        "message_id": "9912",
        "publish_time": "2026-11-22T02:00:00Z",
        "ordering_key": "p:r:billing-db",
    }


def test_the_dead_letter_of_any_other_function_has_no_ordering_key(letters: DeadLetters) -> None:
    def load_shard(_: Event) -> Outcome:
        raise Permanent("no")

    handler(letters.topics)(load_shard)(message())

    (letter,) = letters.arrived()
    assert letter.attributes["ordering_key"] == ""


def test_a_replay_that_fails_again_keeps_its_run_and_its_day(letters: DeadLetters) -> None:
    replayed = message(
        {"message_id": "9000", "publish_time": "2026-11-20T02:00:00Z", "error": "before", "function": "x"}
    )

    handler(letters.topics)(raising(Permanent("again")))(replayed)

    (letter,) = letters.arrived()
    assert (letter.attributes["message_id"], letter.attributes["publish_time"], letter.attributes["error"]) == (
        "9000",
        "2026-11-20T02:00:00Z",
        "again",
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {"message_id": "../x"},
        {"publish_time": "yesterday"},
        {"topic": "x"},
        {"data": "x"},
        {"timeout": "1"},
        {"retry": "x"},
        {"self": "x"},
    ],
)
def test_whatever_its_attributes_are_a_message_is_dead_lettered_with_them(
    letters: DeadLetters, attributes: dict[str, str]
) -> None:
    handler(letters.topics)(raising(Permanent("no")))(message(attributes))

    (letter,) = letters.arrived()
    assert attributes.items() <= dict(letter.attributes).items()


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"[1]", b"[" * 100_000, b'{"pipeline": 7}'])
def test_whatever_its_data_is_a_message_is_dead_lettered_with_it(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str], data: bytes
) -> None:
    handler(letters.topics)(raising(Permanent("no")))(message(data=data))

    (letter,) = letters.arrived()
    assert letter.data == data
    assert line(capsys)["message_id"] == "9912"


def test_half_a_character_in_the_reason_hinders_nothing(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(letters.topics)(raising(Permanent("no table \ud800")))(message(data=b'{"table": "\\ud800"}'))

    assert letters.arrived()[0].attributes["error"] == "no table"
    assert line(capsys)["message"].startswith("no table")


def test_a_reason_fits_an_attribute(letters: DeadLetters) -> None:
    handler(letters.topics)(raising(Permanent("é" * 2000)))(message())

    assert letters.arrived()[0].attributes["error"] == "é" * 512


def test_an_event_that_is_no_message_is_reported_and_not_dead_lettered(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    handler(letters.topics)(raising(Permanent("a malformed audit log entry")))(audit_event({"protoPayload": 7}))

    assert line(capsys) == {
        "severity": "ERROR",
        "message": "a malformed audit log entry",
        "function": "export_table",
        "outcome": "dead",
        "message_id": "e1",
    }
    assert letters.arrived() == []


def test_an_entry_of_the_audit_log_that_came_as_a_message_is_reported_and_not_dead_lettered(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = message(data=b'{"protoPayload": 7}')

    handler(letters.topics, entry["source"].removeprefix("//pubsub.googleapis.com/"))(
        raising(Permanent("a malformed audit log entry"))
    )(entry)

    assert (line(capsys)["outcome"], letters.arrived()) == ("dead", [])


def test_a_message_with_an_impossible_time_is_handed_back_and_told(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    event = message()
    event.data["message"]["publishTime"] = "yesterday"

    with pytest.raises(HandedBack, match="ValueError"):
        handler(letters.topics)(raising(Permanent("never heard")))(event)

    said = line(capsys)
    assert (said["message_id"], said["severity"], said["outcome"]) == ("9912", "WARNING", "waiting")
    assert letters.arrived() == []


def test_a_message_whose_time_is_spent_is_handed_back(letters: DeadLetters, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ServiceUnavailable):
        handler(letters.topics)(raising(HandBack("the operation goes on", "op1")))(message())

    said = line(capsys)
    assert (said["severity"], said["outcome"], said["operation"]) == ("INFO", "waiting", "op1")
    assert letters.arrived() == []


def test_any_other_failure_is_handed_back_and_told_without_values(
    letters: DeadLetters, capsys: pytest.CaptureFixture[str]
) -> None:
    down = ConnectionError('the database is down: "secret"\nsecret')

    with pytest.raises(HandedBack) as raised:
        handler(letters.topics)(raising(down))(message())

    said = line(capsys)
    assert (said["severity"], said["outcome"], said["message"]) == (
        "WARNING",
        "waiting",
        "handed back: ConnectionError: what it says may hold a row's value, look at its traceback",
    )
    printed = "".join(traceback.format_exception(raised.value))
    assert "secret" not in printed
    assert "in export_table" in printed
    assert letters.arrived() == []


def test_a_message_that_cannot_be_dead_lettered_is_handed_back(letters: DeadLetters) -> None:
    nowhere = PubSub(Settings.from_env(ENVIRON | {"DEAD_LETTERS_TOPIC": "projects/p/topics/missing"}))

    with pytest.raises(HandedBack, match="NotFound"):
        handler(nowhere)(raising(Permanent("no")))(message())

    assert letters.arrived() == []
