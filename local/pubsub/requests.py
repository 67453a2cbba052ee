"""Checks requests to Pub/Sub. A field that the stand-in does not honour is refused, never ignored."""

import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import grpc

Pb = Any  # a google.pubsub_v1 message as a raw protobuf message; these classes are made at run time

_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions)/(?!goog)[A-Za-z][\w.~+%-]{2,254}", re.ASCII)
_TOPIC = "name labels message_retention_duration"
_SUBSCRIPTION = (
    "name topic push_config ack_deadline_seconds message_retention_duration labels enable_message_ordering "
    "expiration_policy dead_letter_policy retry_policy"
)
_LIMIT = 10_000_000  # bytes, https://cloud.google.com/pubsub/quotas#resource_limits
_ACK_ID = re.compile(r"\d+-\d+")


class Rejected(Exception):  # noqa: N818 - it is the result of a call
    """The call ends with this status."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


def invalid(message: str) -> Rejected:
    return Rejected(grpc.StatusCode.INVALID_ARGUMENT, message)


def missing(name: str) -> Rejected:
    return Rejected(grpc.StatusCode.NOT_FOUND, f"Resource not found (resource={name.rpartition('/')[2]}).")


def existing(name: str) -> Rejected:
    return Rejected(grpc.StatusCode.ALREADY_EXISTS, f"Resource already exists in the project (resource={name}).")


def check_topic(topic: Pb) -> None:
    _check_fields(topic, _TOPIC)
    _check_name(topic.name, "topics")


def check_subscription(subscription: Pb) -> None:
    _check_fields(subscription, _SUBSCRIPTION)
    _check_name(subscription.name, "subscriptions")
    _check_push(subscription.push_config)
    if subscription.ack_deadline_seconds and not 10 <= subscription.ack_deadline_seconds <= 600:
        raise invalid(f"ack_deadline_seconds is {subscription.ack_deadline_seconds}, not between 10 and 600.")
    policy = subscription.dead_letter_policy
    if policy.max_delivery_attempts and not 5 <= policy.max_delivery_attempts <= 100:
        raise invalid(f"max_delivery_attempts is {policy.max_delivery_attempts}, not between 5 and 100.")
    for backoff in (subscription.retry_policy.minimum_backoff, subscription.retry_policy.maximum_backoff):
        if not 0 <= backoff.seconds <= 600:
            raise invalid(f"A backoff of {backoff.seconds} s is not between 0 and 600.")


def check_publish(request: Pb) -> None:
    _check_fields(request, "topic messages")
    if not 1 <= len(request.messages) <= 1000:
        raise invalid(f"{len(request.messages)} messages in a request, not between 1 and 1000.")
    if request.ByteSize() > _LIMIT:
        raise invalid(f"The request's {request.ByteSize()} bytes exceed the limit of {_LIMIT}.")
    for message in request.messages:
        _check_message(message)


def check_ack_ids(ack_ids: list[str]) -> None:
    if strange := [ack_id for ack_id in ack_ids if not _ACK_ID.fullmatch(ack_id)]:
        raise invalid(f"Some acknowledgement ids are malformed: {strange[:3]}.")


def _check_message(message: Pb) -> None:
    _check_fields(message, "data attributes ordering_key")
    if not message.data and not message.attributes:
        raise invalid("A message needs data or an attribute.")
    if len(message.ordering_key.encode()) > 1024 or len(message.attributes) > 100:
        raise invalid("An ordering key has at most 1024 bytes, and a message at most 100 attributes.")
    for key, value in message.attributes.items():
        if not key or key.startswith("goog") or len(key.encode()) > 256 or len(value.encode()) > 1024:
            raise invalid(f"The attribute {key[:300]!r} is empty, reserved or too long.")


def _check_push(push_config: Pb) -> None:
    _check_fields(push_config, "push_endpoint attributes pubsub_wrapper")
    if strange := {key: value for key, value in push_config.attributes.items() if (key, value) != _WIRE_VERSION}:
        raise invalid(f"Not simulated: push attributes {strange}.")
    endpoint = urlsplit(push_config.push_endpoint)
    if push_config.push_endpoint and not (endpoint.scheme == "http" and _is_loopback(endpoint.hostname or "")):
        raise invalid(f"Not simulated: a push to {push_config.push_endpoint}, which is not http on this machine.")


_WIRE_VERSION = ("x-goog-version", "v1")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _check_name(name: str, kind: str) -> None:
    if not (found := _NAME.fullmatch(name)) or found[1] != kind:
        raise invalid(f"Invalid resource name given (name={name}).")


def _check_fields(message: Pb, known: str) -> None:
    if unknown := [field.name for field, _ in message.ListFields() if field.name not in known.split()]:
        raise invalid(f"Not simulated: {', '.join(unknown)} of {message.DESCRIPTOR.name}.")
