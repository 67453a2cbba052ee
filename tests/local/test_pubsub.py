"""Topics, publishing and pulling on the Pub/Sub stand-in, through google-cloud-pubsub."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep
from typing import Any

import pytest
from google.api_core.exceptions import AlreadyExists, InvalidArgument, MethodNotImplemented, NotFound
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient as Gapic
from google.pubsub_v1 import types

from local.pubsub import PubSub

TOPIC = "projects/p/topics/exports"
LETTERS = "projects/p/topics/letters"
PULLED = "projects/p/subscriptions/pulled"


@pytest.fixture(name="pubsub")
def _pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSub]:
    with PubSub(second=0.01) as pubsub:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
        yield pubsub


@pytest.fixture(name="publisher")
def _publisher(pubsub: PubSub) -> Iterator[Any]:  # noqa: ARG001 - its address is in the environment
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    with pubsub_v1.PublisherClient(publisher_options=options) as publisher:
        publisher.create_topic(name=TOPIC)
        publisher.create_topic(name=LETTERS)
        yield publisher
        publisher.stop()


@pytest.fixture(name="subscriber")
def _subscriber(publisher: Any) -> Iterator[Any]:  # noqa: ARG001 - the topic must exist
    with pubsub_v1.SubscriberClient() as subscriber:
        yield subscriber


def subscribe(subscriber: Any, name: str = PULLED, **fields: Any) -> None:
    subscriber.create_subscription(request={"name": name, "topic": TOPIC} | fields)


def pull(subscriber: Any, subscription: str = PULLED, limit: int = 10) -> list[Any]:
    request = {"subscription": subscription, "max_messages": limit, "return_immediately": True}
    with pytest.warns(DeprecationWarning, match="return_immediately"):
        return list(subscriber.pull(request=request).received_messages)


def test_a_message_arrives_as_published(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber)
    before = datetime.now(UTC) - timedelta(seconds=1)
    message_id = publisher.publish(TOPIC, b"\x00data", run="1", ordering_key="k").result()

    (received,) = pull(subscriber)

    message = received.message
    assert (message.data, dict(message.attributes), message.ordering_key) == (b"\x00data", {"run": "1"}, "k")
    assert message.message_id == message_id
    assert before < message.publish_time < datetime.now(UTC)
    assert received.delivery_attempt == 0


def test_ids_are_unique_and_times_never_go_back(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber)
    for future in [publisher.publish(TOPIC, b"x") for _ in range(300)]:
        future.result()

    messages = [received.message for received in pull(subscriber, limit=1000)]

    ids = [message.message_id for message in messages]
    times = [message.publish_time for message in messages]
    assert len(set(ids)) == 300
    assert times == sorted(times)


def test_each_subscription_gets_every_message(publisher: Any, subscriber: Any, pubsub: PubSub) -> None:
    other = "projects/p/subscriptions/other"
    subscribe(subscriber)
    subscribe(subscriber, other)
    publisher.publish(TOPIC, b"x").result()

    assert (pubsub.backlog(PULLED), pubsub.backlog(other)) == (1, 1)
    (received,) = pull(subscriber)
    subscriber.acknowledge(subscription=PULLED, ack_ids=[received.ack_id])
    assert (pubsub.backlog(PULLED), pubsub.backlog(other)) == (0, 1)


def test_what_is_out_is_not_handed_out_again_until_its_deadline(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber, ack_deadline_seconds=20)
    publisher.publish(TOPIC, b"x").result()

    (first,) = pull(subscriber)
    assert pull(subscriber) == []
    (again,) = subscriber.pull(subscription=PULLED, max_messages=1).received_messages

    assert again.message == first.message


def test_a_late_acknowledgement_is_void(publisher: Any, subscriber: Any, pubsub: PubSub) -> None:
    subscribe(subscriber)
    publisher.publish(TOPIC, b"x").result()
    (late,) = pull(subscriber)
    subscriber.pull(subscription=PULLED, max_messages=1)

    subscriber.acknowledge(subscription=PULLED, ack_ids=[late.ack_id])

    assert pubsub.backlog(PULLED) == 1


def test_a_message_handed_back_comes_again(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber)
    publisher.publish(TOPIC, b"x").result()
    (first,) = pull(subscriber)

    subscriber.modify_ack_deadline(subscription=PULLED, ack_ids=[first.ack_id], ack_deadline_seconds=0)

    assert len(pull(subscriber)) == 1


def test_a_key_has_one_message_out_and_keys_go_side_by_side(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber, enable_message_ordering=True)
    for key, data in (("a", b"a1"), ("a", b"a2"), ("b", b"b1"), ("", b"1"), ("", b"2")):
        publisher.publish(TOPIC, data, ordering_key=key).result()

    first = pull(subscriber)
    subscriber.acknowledge(subscription=PULLED, ack_ids=[received.ack_id for received in first])

    assert [received.message.data for received in first] == [b"a1", b"b1", b"1", b"2"]
    assert [received.message.data for received in pull(subscriber)] == [b"a2"]


def test_a_message_given_up_goes_to_the_dead_letter_topic(publisher: Any, subscriber: Any, pubsub: PubSub) -> None:
    letters = "projects/p/subscriptions/letters"
    subscribe(subscriber, dead_letter_policy={"dead_letter_topic": LETTERS, "max_delivery_attempts": 5})
    subscribe(subscriber, letters, topic=LETTERS)
    publisher.publish(TOPIC, b"x", run="1", ordering_key="k").result()

    attempts = []
    for _ in range(5):
        (received,) = pull(subscriber)
        published = received.message.publish_time
        attempts.append(received.delivery_attempt)
        subscriber.modify_ack_deadline(subscription=PULLED, ack_ids=[received.ack_id], ack_deadline_seconds=0)

    (letter,) = pull(subscriber, letters)
    assert attempts == [1, 2, 3, 4, 5]
    assert pubsub.backlog(PULLED) == 0
    assert (letter.message.data, letter.message.ordering_key) == (b"x", "k")
    assert dict(letter.message.attributes) == {
        "run": "1",
        "CloudPubSubDeadLetterSourceDeliveryCount": "5",
        "CloudPubSubDeadLetterSourceSubscription": "pulled",
        "CloudPubSubDeadLetterSourceSubscriptionProject": "p",
        "CloudPubSubDeadLetterSourceTopicPublishTime": published.isoformat(timespec="milliseconds"),
    }


def test_a_stream_delivers_and_acknowledges(publisher: Any, subscriber: Any, pubsub: PubSub) -> None:
    subscribe(subscriber)
    received: list[bytes] = []
    for number in range(50):
        publisher.publish(TOPIC, b"%d" % number).result()

    def receive(message: Any) -> None:
        received.append(message.data)
        message.ack()

    stream = subscriber.subscribe(PULLED, receive)
    until = monotonic() + 10
    while pubsub.backlog(PULLED) and monotonic() < until:
        sleep(0.01)
    stream.cancel()
    stream.result()

    assert pubsub.backlog(PULLED) == 0
    assert set(received) == {b"%d" % number for number in range(50)}


def test_a_stream_has_no_more_out_than_it_asked_for(publisher: Any, subscriber: Any, pubsub: PubSub) -> None:
    subscribe(subscriber, ack_deadline_seconds=600)
    for _ in range(5):
        publisher.publish(TOPIC, b"x").result()
    first = {"subscription": PULLED, "stream_ack_deadline_seconds": 600, "max_outstanding_messages": 2}

    stream = subscriber.streaming_pull(iter([types.StreamingPullRequest(first)]))
    received = next(iter(stream)).received_messages
    stream.cancel()

    assert len(received) == 2
    assert pubsub.backlog(PULLED) == 5


def test_topics_are_listed_in_pages(publisher: Any) -> None:
    publisher.create_topic(name="projects/other/topics/exports")

    listed = publisher.list_topics(request={"project": "projects/p", "page_size": 1})

    assert [[topic.name for topic in page.topics] for page in listed.pages] == [[TOPIC], [LETTERS]]


def test_a_deleted_topic_leaves_its_subscriptions_what_they_have(publisher: Any, subscriber: Any) -> None:
    subscribe(subscriber)
    publisher.publish(TOPIC, b"x").result()
    publisher.delete_topic(topic=TOPIC)

    with pytest.raises(NotFound):
        publisher.get_topic(topic=TOPIC)
    assert subscriber.get_subscription(subscription=PULLED).topic == "_deleted-topic_"
    assert len(pull(subscriber)) == 1


def test_what_is_missing_or_there_already_is_said(publisher: Any, subscriber: Any) -> None:
    with pytest.raises(AlreadyExists):
        publisher.create_topic(name=TOPIC)
    with pytest.raises(NotFound):
        publisher.publish("projects/p/topics/none", b"x").result()
    with pytest.raises(NotFound):
        subscribe(subscriber, topic="projects/p/topics/none")
    with pytest.raises(NotFound):
        subscribe(subscriber, dead_letter_policy={"dead_letter_topic": "projects/p/topics/none"})
    with pytest.raises(NotFound):
        subscriber.delete_subscription(subscription=PULLED)


@pytest.mark.parametrize(
    "name", ["exports", "projects/p/topics/x", "projects/p/topics/1abc", "projects/p/topics/goog1"]
)
def test_a_bad_name_is_refused(publisher: Any, name: str) -> None:
    with pytest.raises(InvalidArgument):
        publisher.create_topic(name=name)


@pytest.mark.parametrize(
    "fields",
    [
        {"filter": 'attributes.x = "y"'},
        {"enable_exactly_once_delivery": True},
        {"retain_acked_messages": True},
        {"ack_deadline_seconds": 5},
        {"dead_letter_policy": {"dead_letter_topic": LETTERS, "max_delivery_attempts": 4}},
        {"retry_policy": {"minimum_backoff": {"seconds": 601}}},
        {"push_config": {"push_endpoint": "http://127.0.0.1:9/", "no_wrapper": {"write_metadata": True}}},
        {"push_config": {"push_endpoint": "http://127.0.0.1:9/", "attributes": {"x-goog-version": "v1beta1"}}},
        {"push_config": {"push_endpoint": "http://example.com/"}},
    ],
)
def test_what_would_not_be_honoured_is_refused(subscriber: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        subscribe(subscriber, **fields)


def test_a_procedure_that_is_not_simulated_is_refused(subscriber: Any) -> None:
    subscribe(subscriber)

    with pytest.raises(MethodNotImplemented):
        subscriber.seek(request={"subscription": PULLED})


@pytest.mark.parametrize(
    "message",
    [{}, {"data": b"x" * 10_000_001}, {"attributes": {"goog": "x"}}, {"data": b"x", "ordering_key": "k" * 1025}],
)
def test_a_message_beyond_the_limits_is_refused(publisher: Any, message: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        Gapic.publish(publisher, topic=TOPIC, messages=[types.PubsubMessage(message)])


def test_a_malformed_acknowledgement_is_refused(subscriber: Any) -> None:
    subscribe(subscriber)

    with pytest.raises(InvalidArgument):
        subscriber.acknowledge(subscription=PULLED, ack_ids=["bogus"])
