"""Push subscriptions on the Pub/Sub stand-in: what arrives at the endpoint, when, how often and in which order."""

import json
from base64 import b64decode
from collections.abc import Callable, Iterator
from threading import Event
from threading import enumerate as threads
from time import monotonic, sleep
from typing import Any

import pytest
from google.cloud import pubsub_v1

from local.pubsub import PubSub
from local.pubsub.push import OUTSTANDING
from local.server import Answer, Call, HangUp, Server

TOPIC = "projects/p/topics/exports"
PUSHED = "projects/p/subscriptions/pushed"


class Endpoint:
    """Records what is pushed, and answers as its `answer` says."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.calls: list[Call] = []
        self.times: list[float] = []
        self.answer: Callable[[str], int] = lambda _: 200
        self._server = Server(self._receive)
        self.url = f"{self._server.url}/{TOPIC}"
        self.stop = self._server.stop

    def hold(self) -> tuple[Event, Event]:
        """Have what comes wait; the events say that something has come, and that it may be answered."""
        arrived, let_go = Event(), Event()

        def answer(_: str) -> int:
            arrived.set()
            let_go.wait(5)
            return 200

        self.answer = answer
        return arrived, let_go

    @property
    def data(self) -> list[str]:
        return [_data(body) for body in self.bodies]

    def _receive(self, call: Call) -> Answer:
        body = json.loads(call.body)
        self.times.append(monotonic())
        self.calls.append(call)
        self.bodies.append(body)
        return Answer(self.answer(_data(body)))


def _data(body: dict[str, Any]) -> str:
    return b64decode(body["message"].get("data", "")).decode()


@pytest.fixture(name="endpoint")
def _endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    yield endpoint
    endpoint.stop()


@pytest.fixture(name="pubsub")
def _pubsub(monkeypatch: pytest.MonkeyPatch, endpoint: Endpoint) -> Iterator[PubSub]:  # noqa: ARG001 - stops last
    with PubSub(second=0.01) as pubsub:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
        yield pubsub


@pytest.fixture(name="publisher")
def _publisher(pubsub: PubSub) -> Iterator[Any]:  # noqa: ARG001 - its address is in the environment
    options = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    with pubsub_v1.PublisherClient(publisher_options=options) as publisher:
        publisher.create_topic(name=TOPIC)
        yield publisher
        publisher.stop()


@pytest.fixture(name="subscribe")
def _subscribe(publisher: Any, endpoint: Endpoint) -> Iterator[Callable[..., None]]:  # noqa: ARG001 - the topic exists
    with pubsub_v1.SubscriberClient() as subscriber:

        def subscribe(**fields: Any) -> None:
            """Without a word on it, the deadline is so late that no slow machine misses it."""
            usual = {"push_config": {"push_endpoint": endpoint.url}, "ack_deadline_seconds": 600}
            subscriber.create_subscription(request={"name": PUSHED, "topic": TOPIC, **usual, **fields})

        yield subscribe


def test_a_push_has_the_body_that_the_service_sends(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    subscribe()
    message_id = publisher.publish(TOPIC, b"data", ordering_key="k", run="1").result()
    assert pubsub.wait_idle(5)

    (body,), (call,) = endpoint.bodies, endpoint.calls
    published = body["message"]["publishTime"]
    assert body == {
        "message": {
            "attributes": {"run": "1"},
            "data": "ZGF0YQ==",
            "messageId": message_id,
            "message_id": message_id,
            "orderingKey": "k",
            "publishTime": published,
            "publish_time": published,
        },
        "subscription": PUSHED,
    }
    assert published.endswith("Z")
    assert (call.verb, call.target) == ("POST", f"/{TOPIC}")
    assert call.headers["Content-Type"] == "application/json"


def test_the_attempt_is_told_with_a_dead_letter_policy_alone(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    answers = iter([500, 503, 204])
    endpoint.answer = lambda _: next(answers)
    subscribe(dead_letter_policy={"dead_letter_topic": TOPIC, "max_delivery_attempts": 5})
    publisher.publish(TOPIC, b"x").result()

    assert pubsub.wait_idle(5)
    assert [body["deliveryAttempt"] for body in endpoint.bodies] == [1, 2, 3]


def test_what_fails_is_pushed_again_after_a_growing_pause(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    answers = iter([500, 500, 500, 500, 200])
    endpoint.answer = lambda _: next(answers)
    subscribe(retry_policy={"minimum_backoff": {"seconds": 2}, "maximum_backoff": {"seconds": 6}})
    publisher.publish(TOPIC, b"x").result()

    assert pubsub.wait_idle(5)
    pauses = [later - earlier for earlier, later in zip(endpoint.times, endpoint.times[1:], strict=False)]
    assert [pause >= least for pause, least in zip(pauses, (0.02, 0.04, 0.06, 0.06), strict=True)] == [True] * 4
    assert pauses[3] < 0.12


def test_a_key_waits_for_its_failed_message_and_others_do_not(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    endpoint.answer = lambda data: 500 if data == "a1" and "b2" not in endpoint.data else 200
    subscribe(enable_message_ordering=True)
    for data in ("a1", "a2", "a3", "b1", "b2"):
        publisher.publish(TOPIC, data.encode(), ordering_key=data[0]).result()

    assert pubsub.wait_idle(5)
    assert endpoint.data.count("a1") > 1
    assert [data for data in endpoint.data if data != "a1"] == ["b1", "b2", "a2", "a3"]


def test_unordered_messages_are_pushed_in_parallel_up_to_a_bound(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    let_go, out, most = Event(), [0], [0]

    def hold(_: str) -> int:
        out[0] += 1
        most[0] = max(most[0], out[0])
        let_go.wait(5)
        out[0] -= 1
        return 200

    endpoint.answer = hold
    subscribe()
    for _ in range(20):
        publisher.publish(TOPIC, b"x").result()
    while most[0] < OUTSTANDING:
        sleep(0.01)
    let_go.set()

    assert pubsub.wait_idle(5)
    assert most[0] == OUTSTANDING
    assert len(endpoint.bodies) == 20


def test_a_push_that_is_not_answered_in_time_is_made_again(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    late = Event()
    first = iter([True])

    def answer(_: str) -> int:
        if next(first, False):
            late.wait(5)
        return 200

    endpoint.answer = answer
    subscribe(enable_message_ordering=True, ack_deadline_seconds=50)
    publisher.publish(TOPIC, b"x", ordering_key="k").result()

    assert pubsub.wait_idle(5)
    assert endpoint.data == ["x", "x"]
    late.set()


def test_a_closed_connection_and_a_redirect_are_failures(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    answers = iter([0, 302, 404, 102])

    def answer(_: str) -> int:
        status = next(answers)
        if not status:
            raise HangUp
        return status

    endpoint.answer = answer
    subscribe()
    publisher.publish(TOPIC, b"x").result()

    assert pubsub.wait_idle(5)
    assert len(endpoint.bodies) == 4


def test_every_delivery_can_be_made_twice_in_order(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    pubsub.deliver_twice = True
    subscribe(enable_message_ordering=True)
    for data in (b"1", b"2"):
        publisher.publish(TOPIC, data, ordering_key="k").result()

    assert pubsub.wait_idle(5)
    assert endpoint.data == ["1", "1", "2", "2"]


def test_hundreds_of_messages_of_a_key_stay_in_order(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    subscribe(enable_message_ordering=True)
    for future in [publisher.publish(TOPIC, b"%d" % number, ordering_key="k") for number in range(300)]:
        future.result()

    assert pubsub.wait_idle(20)
    assert endpoint.data == [str(number) for number in range(300)]


def test_a_push_can_be_turned_off_and_on(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    subscribe()
    with pubsub_v1.SubscriberClient() as subscriber:

        def push_to(url: str) -> None:
            subscription = {"name": PUSHED, "push_config": {"push_endpoint": url}}
            update = {"subscription": subscription, "update_mask": {"paths": ["push_config"]}}
            subscriber.update_subscription(request=update)

        push_to("")
        publisher.publish(TOPIC, b"x").result()
        assert (pubsub.backlog(PUSHED), endpoint.data) == (1, [])
        push_to(endpoint.url)

    assert pubsub.wait_idle(5)
    assert endpoint.data == ["x"]


def test_it_is_not_idle_while_something_is_out(
    publisher: Any, subscribe: Callable[..., None], endpoint: Endpoint, pubsub: PubSub
) -> None:
    arrived, let_go = endpoint.hold()
    subscribe()
    publisher.publish(TOPIC, b"x").result()
    assert arrived.wait(5)

    assert not pubsub.wait_idle(0.05)
    assert pubsub.backlog(PUSHED) == 1
    let_go.set()
    assert pubsub.wait_idle(5)


def test_stopping_cuts_what_is_out_and_leaves_no_thread(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(threads())
    arrived, let_go = endpoint.hold()
    pubsub = PubSub()
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", pubsub.host)
    with pubsub_v1.PublisherClient() as publisher, pubsub_v1.SubscriberClient() as subscriber:
        publisher.create_topic(name=TOPIC)
        pushing = {"push_endpoint": endpoint.url}
        subscriber.create_subscription(request={"name": PUSHED, "topic": TOPIC, "push_config": pushing})
        publisher.publish(TOPIC, b"x").result()
        assert arrived.wait(5)

        started = monotonic()
        pubsub.stop()
        pubsub.stop()

        assert monotonic() - started < 1
    let_go.set()
    left = [thread.name for thread in set(threads()) - before if thread.name.startswith("pubsub")]
    assert left == []
