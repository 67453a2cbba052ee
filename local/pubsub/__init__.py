"""
Pub/Sub on one machine: a gRPC server for PUBSUB_EMULATOR_HOST, with push, ordering keys, retries and dead letters.

Differences from the service: pulls too hand out one message of an ordering key at a time. There are no filters, seeks,
snapshots, schemas, exactly-once delivery, or authentication of pushes. A request for one of these is refused.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, sleep
from typing import Any, Self

import grpc
from google.pubsub_v1 import types

from local.pubsub.publisher import Publisher
from local.pubsub.requests import Pb, Rejected
from local.pubsub.resources import Resources
from local.pubsub.subscriber import Subscriber

Procedure = Callable[[Pb], Pb]
Between = Callable[[str, Pb, Procedure], Pb]
"""Answers calls instead of a procedure. Gets the procedure's name, the request, the procedure. May raise Rejected."""

_Stream = Callable[[Iterator[Pb], grpc.ServicerContext], Iterator[Pb]]

_THREADS = 64  # a streaming pull occupies one for its whole duration
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class PubSub:
    """
    A Pub/Sub service, from construction until `stop`.

    `second` is the duration of a second in deadlines and backoffs, so that a test can shorten them. While
    `deliver_twice` is set, each accepted push is pushed a second time before it counts as acknowledged. A test may set
    `between` to make calls fail.
    """

    def __init__(self, second: float = 1.0) -> None:
        self.deliver_twice = False
        self.between: Between | None = None
        self._resources = Resources(second, lambda: self.deliver_twice)
        self._threads = ThreadPoolExecutor(_THREADS, "pubsub")
        self._server = grpc.server(self._threads, options=_ANY_SIZE)
        self._server.add_generic_rpc_handlers(_handlers(self._resources, self._call))
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _call(self, name: str, procedure: Procedure, request: Pb) -> Pb:
        return self.between(name, request, procedure) if self.between else procedure(request)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Cut calls and pushes that are in progress, and return when all threads have ended."""
        stopped = self._server.stop(grace=None)
        self._resources.stop()
        stopped.wait()
        self._threads.shutdown()

    def create(self, topic: str, subscription: str) -> None:
        """Make a topic, and a subscription to pull its messages from. Both names are full ones, and neither may exist yet."""
        Publisher(self._resources).create_topic(types.Topic.pb()(name=topic))
        Subscriber(self._resources).create_subscription(types.Subscription.pb()(name=subscription, topic=topic))

    def backlog(self, subscription: str) -> int:
        """How many messages of a subscription are not acknowledged. Raises KeyError if there is no such subscription."""
        return len(self._resources.subscriptions[subscription].backlog)

    def idle(self) -> bool:
        """Whether every push subscription has all its messages acknowledged."""
        return self._resources.idle()

    def wait_idle(self, timeout: float) -> bool:
        """Wait at most `timeout` seconds until it is idle. Gives whether it is."""
        until = monotonic() + timeout
        while not self.idle():
            if monotonic() > until:
                return False
            sleep(0.01)
        return True


_Calling = Callable[[str, Procedure, Pb], Pb]


def _handlers(resources: Resources, call: _Calling) -> list[grpc.GenericRpcHandler]:
    publisher, subscriber = Publisher(resources), Subscriber(resources)
    streaming = grpc.stream_stream_rpc_method_handler(
        _rejecting_stream(subscriber.streaming_pull), types.StreamingPullRequest.pb().FromString, _serialized
    )
    services: Mapping[str, dict[str, grpc.RpcMethodHandler]] = {
        "Publisher": _unary(publisher.procedures, call),
        "Subscriber": _unary(subscriber.procedures, call) | {"StreamingPull": streaming},
    }
    return [
        grpc.method_handlers_generic_handler(f"google.pubsub.v1.{service}", methods)
        for service, methods in services.items()
    ]


def _unary(procedures: Mapping[str, tuple[Procedure, Any]], call: _Calling) -> dict[str, grpc.RpcMethodHandler]:
    return {
        name: grpc.unary_unary_rpc_method_handler(
            _rejecting(partial(call, name, procedure)), request.pb().FromString, _serialized
        )
        for name, (procedure, request) in procedures.items()
    }


def _rejecting(procedure: Procedure) -> Callable[[Pb, grpc.ServicerContext], Pb]:
    def answer(request: Pb, context: grpc.ServicerContext) -> Pb:
        try:
            return procedure(request)
        except Rejected as rejected:
            context.abort(rejected.code, str(rejected))

    return answer


def _rejecting_stream(procedure: _Stream) -> _Stream:
    def answers(requests: Iterator[Pb], context: grpc.ServicerContext) -> Iterator[Pb]:
        try:
            yield from procedure(requests, context)
        except Rejected as rejected:
            context.abort(rejected.code, str(rejected))

    return answers


def _serialized(message: Pb) -> bytes:
    return bytes(message.SerializeToString())
