"""Pub/Sub, as an operator uses it: publish, and look after the dead letters."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import MappingProxyType

import grpc
from google.api_core import exceptions
from google.api_core.retry import Retry, if_exception_type
from google.auth.exceptions import GoogleAuthError
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1 import PublisherClient as Publisher
from google.pubsub_v1 import types

from cli.letters import Pulled
from cli.problems import LOG_IN, Problem
from cli.session import PATIENCE

_GREETING = 1.0
"""Seconds until it is known that a connection stands."""
_PULLED = 100
"""The most messages of one pull."""
_TRANSIENT = if_exception_type(
    exceptions.Aborted,
    exceptions.InternalServerError,
    exceptions.ResourceExhausted,
    exceptions.ServiceUnavailable,
    exceptions.Unknown,
)
_RETRY = Retry(predicate=_TRANSIENT, initial=0.2, maximum=2.0, timeout=PATIENCE)


class PubSub:
    """
    The project's Pub/Sub. The clients are made when they are first needed, and heed PUBSUB_EMULATOR_HOST.

    Its methods raise Problem, which names the topic or the subscription.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._options = {"api_endpoint": endpoint} if endpoint else None

    def publish(
        self, topic: str, data: bytes, attributes: Mapping[str, str] = MappingProxyType({}), ordering_key: str = ""
    ) -> str:
        """Publish a message, and give its id when that is confirmed."""
        with _translated(f"publish on {topic}", "roles/pubsub.publisher on the topic"):
            message = types.PubsubMessage(data=data, attributes=dict(attributes), ordering_key=ordering_key)
            # Past the client's own publish(), which batches, and answers later.
            answer = Publisher.publish(self._publisher, topic=topic, messages=[message], retry=_RETRY, timeout=PATIENCE)
            return str(answer.message_ids[0])

    def has_topic(self, topic: str) -> bool:
        """Whether a topic is there. Raises Forbidden, and what else the client raises: it is a look, which you may not need."""
        try:
            self._publisher.get_topic(topic=topic, retry=_RETRY, timeout=PATIENCE)
        except exceptions.NotFound:
            return False
        return True

    def topic_of(self, subscription: str) -> str | None:
        """The topic that a subscription hears. None if there is no such subscription. Raises as `has_topic` does."""
        try:
            found = self._subscriber.get_subscription(subscription=subscription, retry=_RETRY, timeout=PATIENCE)
        except exceptions.NotFound:
            return None
        return str(found.topic)

    def pull(self, subscription: str) -> list[Pulled]:
        """Messages of a subscription, which nobody else gets until the deadline. None if none come in some seconds."""
        request = types.PullRequest(subscription=subscription, max_messages=_PULLED)
        with _translated(f"pull from {subscription}", "roles/pubsub.subscriber on the subscription"):
            try:
                answer = self._subscriber.pull(request, retry=_RETRY, timeout=PATIENCE)
            except exceptions.DeadlineExceeded:
                if not self._answers():  # an empty subscription has nothing to say either
                    raise
                return []
            return [_pulled(each) for each in answer.received_messages]

    def acknowledge(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Remove messages from a subscription."""
        request = types.AcknowledgeRequest(subscription=subscription, ack_ids=ack_ids)
        with _translated(f"acknowledge on {subscription}", "roles/pubsub.subscriber on the subscription"):
            self._subscriber.acknowledge(request, retry=_RETRY, timeout=PATIENCE)

    def give_back(self, subscription: str, ack_ids: Sequence[str]) -> None:
        """Have messages be there for others at once."""
        for start in range(0, len(ack_ids), _PULLED):
            request = types.ModifyAckDeadlineRequest(
                subscription=subscription, ack_ids=ack_ids[start : start + _PULLED], ack_deadline_seconds=0
            )
            with _translated(f"give back to {subscription}", "roles/pubsub.subscriber on the subscription"):
                self._subscriber.modify_ack_deadline(request, retry=_RETRY, timeout=PATIENCE)

    def _answers(self) -> bool:
        """Whether Pub/Sub is at the other end of the connection that messages are pulled by."""
        try:
            grpc.channel_ready_future(self._subscriber.transport.grpc_channel).result(_GREETING)
        except grpc.FutureTimeoutError:
            return False
        return True

    @cached_property
    def _publisher(self) -> PublisherClient:
        return PublisherClient(client_options=self._options)

    @cached_property
    def _subscriber(self) -> SubscriberClient:
        return SubscriberClient(client_options=self._options)


def _pulled(received: types.ReceivedMessage) -> Pulled:
    message = received.message
    return Pulled(
        ack_id=received.ack_id,
        message_id=message.message_id,
        ordering_key=message.ordering_key,
        attributes=dict(message.attributes),
        data=message.data,
    )


@contextmanager
def _translated(what: str, role: str) -> Iterator[None]:
    try:
        yield
    except exceptions.Forbidden as error:
        raise Problem(f"You may not {what}.", f"You need {role}: `operators` in Terraform gives it.") from error
    except exceptions.NotFound as error:
        raise Problem(
            f"Cannot {what}: it is not there.", "Are the settings those of this deployment? Write them anew."
        ) from error
    except (GoogleAuthError, exceptions.Unauthorized) as error:
        raise Problem(f"Cannot {what}: {error}", LOG_IN) from error
    except (exceptions.ServiceUnavailable, exceptions.RetryError, exceptions.GatewayTimeout) as error:
        host = os.environ.get("PUBSUB_EMULATOR_HOST")
        look = f"PUBSUB_EMULATOR_HOST is {host}: is it still up?" if host else "Look at the network, and try again."
        raise Problem(f"Cannot {what}: Pub/Sub does not answer.", look) from error
    except exceptions.GoogleAPICallError as error:
        raise Problem(f"Cannot {what}: {error.message}", "See terraform/RUNBOOK.md, Google refuses a call.") from error
