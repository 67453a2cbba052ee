"""
Pub/Sub on one machine: a gRPC server for PUBSUB_EMULATOR_HOST, with push, ordering keys, retries and dead letters.

Where it differs from the service: one message of an ordering key is out at a time in pulls too; no filters, seeks,
snapshots, schemas, exactly-once delivery, or authentication of pushes. All these are refused, not passed over.
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
"""Stands between the callers and the procedure of that name, which it calls or not; it may raise Rejected."""

_Stream = Callable[[Iterator[Pb], grpc.ServicerContext], Iterator[Pb]]

_THREADS = 64  # a streaming pull holds one as long as it lasts
_ANY_SIZE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


class PubSub:
    """
    A Pub/Sub service, gone when it is stopped.

    Deadlines and backoffs take `second` seconds for each of theirs, so that a test need not wait for ten. While
    `deliver_twice` is set, each push that is accepted is pushed a second time before it counts as acknowledged. A test may
    set `between`, to have calls go wrong.
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
        """Cut every call and every push, and return when no thread is left."""
        stopped = self._server.stop(grace=None)
        self._resources.stop()
        stopped.wait()
        self._threads.shutdown()

    def backlog(self, subscription: str) -> int:
        """How many messages the subscription has not had acknowledged. Raises KeyError for one that is not there."""
        return len(self._resources.subscriptions[subscription].backlog)

    def idle(self) -> bool:
        """Whether all that was published is acknowledged on every push subscription."""
        return self._resources.idle()

    def wait_idle(self, timeout: float) -> bool:
        """Wait until it is idle, and say whether it became so within `timeout` seconds."""
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
