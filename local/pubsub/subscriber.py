"""The remote procedures of google.pubsub.v1.Subscriber, as far as they are simulated."""

from collections.abc import Iterator
from contextlib import suppress
from threading import Event, Thread

import grpc
from google.protobuf.empty_pb2 import Empty
from google.pubsub_v1 import types

from local.pubsub.backlog import Delivery
from local.pubsub.requests import Pb, check_ack_ids, check_subscription, existing, invalid, missing
from local.pubsub.resources import Resources, Subscription

_PULL_WAIT = 1.0  # seconds until an empty pull is answered; the service has such a limit too
_POLL = 0.02  # seconds between two checks of whether a stream is below its limit
_STREAM_LIMIT = 1000  # the most messages out on a stream whose request has no limit
_UPDATABLE = {"push_config", "ack_deadline_seconds", "retry_policy", "dead_letter_policy"}


class Subscriber:
    """Subscriptions, and pulling from them."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.procedures = {
            "CreateSubscription": (self.create_subscription, types.Subscription),
            "GetSubscription": (self.get_subscription, types.GetSubscriptionRequest),
            "UpdateSubscription": (self.update_subscription, types.UpdateSubscriptionRequest),
            "DeleteSubscription": (self.delete_subscription, types.DeleteSubscriptionRequest),
            "Pull": (self.pull, types.PullRequest),
            "Acknowledge": (self.acknowledge, types.AcknowledgeRequest),
            "ModifyAckDeadline": (self.modify_ack_deadline, types.ModifyAckDeadlineRequest),
        }

    def create_subscription(self, subscription: Pb) -> Pb:
        with self._resources.lock:
            if subscription.name in self._resources.subscriptions:
                raise existing(subscription.name)
            self._resources.topic(subscription.topic)
            return self._subscribe(subscription)

    def get_subscription(self, request: Pb) -> Pb:
        return self._resources.subscription(request.subscription).resource

    def update_subscription(self, request: Pb) -> Pb:
        fields = set(request.update_mask.paths)
        if not fields or fields - _UPDATABLE:
            raise invalid(f"Not simulated: an update of {sorted(fields - _UPDATABLE) or 'nothing'}.")
        with self._resources.lock:
            resource = type(request.subscription)()
            resource.CopyFrom(self._resources.subscription(request.subscription.name).resource)
            for field in fields:
                resource.ClearField(field)
            resource.MergeFrom(_only(request.subscription, fields))
            return self._subscribe(resource)

    def _subscribe(self, resource: Pb) -> Pb:
        check_subscription(resource)
        letters = resource.dead_letter_policy.dead_letter_topic
        if letters and letters not in self._resources.topics:
            raise missing(letters)
        resource.ack_deadline_seconds = resource.ack_deadline_seconds or 10
        return self._resources.subscribe(resource).resource

    def delete_subscription(self, request: Pb) -> Pb:
        self._resources.unsubscribe(request.subscription)
        return Empty()

    def pull(self, request: Pb) -> Pb:
        subscription = self._resources.subscription(request.subscription)
        if request.max_messages < 1:
            raise invalid("max_messages must be positive.")
        wait = 0.0 if request.return_immediately else _PULL_WAIT
        taken = subscription.backlog.take(request.max_messages, subscription.deleted, wait)
        return types.PullResponse.pb()(received_messages=[_received(subscription, one) for one in taken])

    def acknowledge(self, request: Pb) -> Pb:
        check_ack_ids(request.ack_ids)
        subscription = self._resources.subscription(request.subscription)
        for ack_id in request.ack_ids:
            subscription.backlog.acknowledge(ack_id)
        return Empty()

    def modify_ack_deadline(self, request: Pb) -> Pb:
        check_ack_ids(request.ack_ids)
        if not 0 <= request.ack_deadline_seconds <= 600:
            raise invalid(f"ack_deadline_seconds is {request.ack_deadline_seconds}, not between 0 and 600.")
        subscription = self._resources.subscription(request.subscription)
        for ack_id in request.ack_ids:
            subscription.backlog.modify(ack_id, request.ack_deadline_seconds * self._resources.second)
        return Empty()

    def streaming_pull(self, requests: Iterator[Pb], context: grpc.ServicerContext) -> Iterator[Pb]:
        """Deliver messages as they come. At most as many as the stream's limit are out at once."""
        first = next(requests)
        subscription = self._resources.subscription(first.subscription)
        limit = first.max_outstanding_messages or _STREAM_LIMIT
        deadline = first.stream_ack_deadline_seconds * self._resources.second
        ended = Event()

        def end() -> None:
            ended.set()
            subscription.backlog.wake()

        context.add_callback(end)
        Thread(target=self._obey, args=(subscription, requests), daemon=True).start()
        out: list[str] = []
        while not ended.is_set():
            if subscription.deleted.is_set():
                raise missing(first.subscription)
            out = [ack_id for ack_id in out if subscription.backlog.out(ack_id)]
            if len(out) >= limit:
                ended.wait(_POLL)
            elif taken := subscription.backlog.take(limit - len(out), ended, _PULL_WAIT, deadline):
                out += [delivery.ack_id for delivery in taken]
                yield _streamed(subscription, taken)

    def _obey(self, subscription: Subscription, requests: Iterator[Pb]) -> None:
        """Apply the acknowledgements and deadlines in the stream's further requests, until it ends."""
        with suppress(grpc.RpcError):
            for request in requests:
                for ack_id in request.ack_ids:
                    subscription.backlog.acknowledge(ack_id)
                changes = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
                for ack_id, seconds in changes:
                    subscription.backlog.modify(ack_id, seconds * self._resources.second)


def _streamed(subscription: Subscription, taken: list[Delivery]) -> Pb:
    properties = {"message_ordering_enabled": subscription.resource.enable_message_ordering}
    received = [_received(subscription, delivery) for delivery in taken]
    return types.StreamingPullResponse.pb()(received_messages=received, subscription_properties=properties)


def _received(subscription: Subscription, delivery: Delivery) -> Pb:
    counted = subscription.resource.HasField("dead_letter_policy")
    attempt = delivery.attempt if counted else 0
    return types.ReceivedMessage.pb()(ack_id=delivery.ack_id, message=delivery.message, delivery_attempt=attempt)


def _only(resource: Pb, fields: set[str]) -> Pb:
    chosen = type(resource)()
    chosen.CopyFrom(resource)
    for field, _ in resource.ListFields():
        if field.name not in fields:
            chosen.ClearField(field.name)
    return chosen
