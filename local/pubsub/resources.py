"""The topics and subscriptions of one Pub/Sub, and how messages get from the ones to the others."""

import json
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from threading import Event, RLock

from local.pubsub.backlog import Backlog, Delivery, Terms
from local.pubsub.push import Push
from local.pubsub.requests import Pb, missing


@dataclass
class Subscription:
    """What its creator asked for, and where its messages wait."""

    resource: Pb
    backlog: Backlog
    push: Push | None = None
    deleted: Event = field(default_factory=Event)


class Resources:
    """
    Everything by its full name, under one lock, so that a message is never between two backlogs.

    A second of deadlines and backoffs lasts `second` seconds.
    """

    def __init__(self, second: float, twice: Callable[[], bool]) -> None:
        self.lock = RLock()
        self.topics: dict[str, Pb] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.second = second
        self._twice = twice
        self._pushes: list[Push] = []
        self._ids = count(time.time_ns() // 1000)  # so that no two runs share an id
        self._published = datetime.now(UTC)

    def topic(self, name: str) -> Pb:
        if name not in self.topics:
            raise missing(name)
        return self.topics[name]

    def subscription(self, name: str) -> Subscription:
        with self.lock:
            if name not in self.subscriptions:
                raise missing(name)
            return self.subscriptions[name]

    def publish(self, topic: str, messages: Iterable[Pb]) -> list[str]:
        """Give each message its id and time, and to every subscription of the topic."""
        with self.lock:
            receivers = [known.backlog for known in self.subscriptions.values() if known.resource.topic == topic]
            return [self._publish(message, receivers) for message in messages]

    def _publish(self, message: Pb, receivers: list[Backlog]) -> str:
        now = datetime.now(UTC)
        self._published = max(self._published, now.replace(microsecond=now.microsecond // 1000 * 1000))
        message.message_id = f"{next(self._ids)}"
        message.publish_time.FromDatetime(self._published)
        for backlog in receivers:
            backlog.add(message)
        return str(message.message_id)

    def subscribe(self, resource: Pb) -> Subscription:
        """Create a subscription, or give an existing one the terms and the endpoint that its resource now has."""
        with self.lock:
            known = self.subscriptions.get(resource.name)
            if known is None:
                backlog = Backlog(self._terms(resource), self.lock, self._forwarder(resource.name))
                known = self.subscriptions[resource.name] = Subscription(resource, backlog)
            known.resource, known.backlog.terms = resource, self._terms(resource)
            if known.push:
                known.push.retire()
            known.push = self._push(known)
            return known

    def unsubscribe(self, name: str) -> None:
        """Delete a subscription with all that it has not delivered."""
        with self.lock:
            subscription = self.subscription(name)
            del self.subscriptions[name]
            subscription.deleted.set()
            subscription.backlog.wake()
            if subscription.push:
                subscription.push.retire()

    def idle(self) -> bool:
        """Whether no push subscription has anything left."""
        with self.lock:
            return not any(known.push and len(known.backlog) for known in self.subscriptions.values())

    def stop(self) -> None:
        """End everyone's wait, and every push with what it has out."""
        for subscription in list(self.subscriptions.values()):
            subscription.deleted.set()
            subscription.backlog.wake()
        for push in self._pushes:
            push.stop()

    def _push(self, subscription: Subscription) -> Push | None:
        resource = subscription.resource
        if not resource.push_config.push_endpoint:
            return None
        wire = _wrapped(resource.name, counted=bool(resource.dead_letter_policy.dead_letter_topic))
        self._pushes.append(Push(subscription.backlog, resource.push_config.push_endpoint, wire, self._twice))
        return self._pushes[-1]

    def _terms(self, resource: Pb) -> Terms:
        shortest, longest = _backoffs(resource)
        dead_letters = resource.dead_letter_policy
        return Terms(
            ack_deadline=resource.ack_deadline_seconds * self.second,
            min_backoff=shortest * self.second,
            max_backoff=longest * self.second,
            ordered=resource.enable_message_ordering,
            max_attempts=(dead_letters.max_delivery_attempts or 5) if dead_letters.dead_letter_topic else None,
        )

    def _forwarder(self, name: str) -> Callable[[Pb, int], bool]:
        def forward(message: Pb, attempts: int) -> bool:
            if name not in self.subscriptions:
                return True  # It was deleted with all that it had, while this was out.
            topic = self.subscriptions[name].resource.dead_letter_policy.dead_letter_topic
            if topic in self.topics:
                self.publish(topic, [_dead_letter(message, name, attempts)])
            return topic in self.topics

        return forward


def _backoffs(resource: Pb) -> tuple[float, float]:
    """
    Shortest and longest wait before a message goes out again, in seconds.

    Source: https://cloud.google.com/pubsub/docs/handling-failures#subscription_retry_policy, and for the pause of a
    push without such a policy https://cloud.google.com/pubsub/docs/push#push_backoff, of which this is the shortest.
    """
    if not resource.HasField("retry_policy"):
        return (0.1, 0.1) if resource.push_config.push_endpoint else (0.0, 0.0)
    policy = resource.retry_policy
    shortest = policy.minimum_backoff.ToTimedelta().total_seconds() if policy.HasField("minimum_backoff") else 10.0
    longest = policy.maximum_backoff.ToTimedelta().total_seconds() if policy.HasField("maximum_backoff") else 600.0
    return shortest, longest


def _dead_letter(message: Pb, subscription: str, attempts: int) -> Pb:
    """
    The message with the attributes that Pub/Sub adds when it gives up.

    Source: https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic; the time's form is as seen in
    forwarded messages. That the ordering key is kept is an assumption.
    """
    _, project, _, name = subscription.split("/")
    published = message.publish_time.ToDatetime(UTC).isoformat(timespec="milliseconds")
    letter = type(message)(data=message.data, attributes=message.attributes, ordering_key=message.ordering_key)
    letter.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = f"{attempts}"
    letter.attributes["CloudPubSubDeadLetterSourceSubscription"] = name
    letter.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = project
    letter.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = published
    return letter


def _wrapped(subscription: str, *, counted: bool) -> Callable[[Delivery], tuple[Mapping[str, str], bytes]]:
    """The body of a push as https://cloud.google.com/pubsub/docs/push#receive_push shows it, without empty fields."""

    def wire(delivery: Delivery) -> tuple[Mapping[str, str], bytes]:
        sent, published = delivery.message, delivery.message.publish_time.ToJsonString()
        message = {
            "attributes": dict(sent.attributes),
            "data": b64encode(sent.data).decode(),
            "messageId": sent.message_id,
            "message_id": sent.message_id,
            "orderingKey": sent.ordering_key,
            "publishTime": published,
            "publish_time": published,
        }
        body = {"message": {name: value for name, value in message.items() if value}, "subscription": subscription}
        attempt = {"deliveryAttempt": delivery.attempt} if counted else {}
        return {"Content-Type": "application/json"}, json.dumps(body | attempt).encode()

    return wire
