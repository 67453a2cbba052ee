"""The topics and subscriptions of one Pub/Sub. Passes messages from topics to subscriptions."""

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
    """A subscription: its resource as the API shows it, its messages, and its push if it has one."""

    resource: Pb
    backlog: Backlog
    push: Push | None = None
    deleted: Event = field(default_factory=Event)


class Resources:
    """
    All topics and subscriptions, by their full names.

    They share one lock, so a dead letter is never seen between two backlogs. `second` is the duration of a second in
    deadlines and backoffs.
    """

    def __init__(self, second: float, twice: Callable[[], bool]) -> None:
        self.lock = RLock()
        self.topics: dict[str, Pb] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.second = second
        self._twice = twice
        self._pushes: list[Push] = []
        self._ids = count(time.time_ns() // 1000)  # two runs have no id in common
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
        """Set each message's id and publish time, and add it to all subscriptions of the topic. Gives the ids."""
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
        """Create a subscription. If it exists, apply the new resource's terms and endpoint to it."""
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
        """Delete a subscription with its messages."""
        with self.lock:
            subscription = self.subscription(name)
            del self.subscriptions[name]
            subscription.deleted.set()
            subscription.backlog.wake()
            if subscription.push:
                subscription.push.retire()

    def idle(self) -> bool:
        """Whether no push subscription has messages that are not acknowledged."""
        with self.lock:
            return not any(known.push and len(known.backlog) for known in self.subscriptions.values())

    def stop(self) -> None:
        """End all waits in `take`, and stop all pushes."""
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
                return True  # the subscription was deleted with its messages while this one was out
            topic = self.subscriptions[name].resource.dead_letter_policy.dead_letter_topic
            if topic in self.topics:
                self.publish(topic, [_dead_letter(message, name, attempts)])
            return topic in self.topics

        return forward


def _backoffs(resource: Pb) -> tuple[float, float]:
    """
    The shortest and the longest wait before a message is redelivered, in seconds.

    Source: https://cloud.google.com/pubsub/docs/handling-failures#subscription_retry_policy. A push without a retry
    policy waits for the shortest time of https://cloud.google.com/pubsub/docs/push#push_backoff.
    """
    if not resource.HasField("retry_policy"):
        return (0.1, 0.1) if resource.push_config.push_endpoint else (0.0, 0.0)
    policy = resource.retry_policy
    shortest = policy.minimum_backoff.ToTimedelta().total_seconds() if policy.HasField("minimum_backoff") else 10.0
    longest = policy.maximum_backoff.ToTimedelta().total_seconds() if policy.HasField("maximum_backoff") else 600.0
    return shortest, longest


def _dead_letter(message: Pb, subscription: str, attempts: int) -> Pb:
    """
    A message with the attributes that Pub/Sub adds to a dead letter.

    Source: https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic. The format of the time is from real
    dead letters. That the ordering key is kept is an assumption.
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
    """
    Makes the headers and body of a push, without empty fields. If `counted`, with the delivery attempt.

    Source: https://cloud.google.com/pubsub/docs/push#receive_push.
    """

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
