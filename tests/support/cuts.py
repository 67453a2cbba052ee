"""Cuts a function off from all services in the middle of its work, as a crash does, and has others work meanwhile."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

import grpc

from local.pubsub.requests import Pb, Rejected
from local.server import Answer, Answering, Call
from tests.support.interposed import interposed
from tests.support.stage import Stage

_REFUSED = Answer(403, b"{}")
"""No client repeats what is answered so: the function is as good as dead when each of its calls is."""


@dataclass
class Calls:
    """How many calls the functions have made of all services together."""

    made: int = 0


@contextmanager
def cut_off(stage: Stage, after: int) -> Iterator[Calls]:
    """
    Let so many calls that change something take effect, and nothing that comes later, as if the function had crashed then.

    `made` counts those that change something: to crash before or after one that does not comes to the same.
    """
    calls, lock = Calls(), Lock()

    def is_dead(*, changes: bool) -> bool:
        with lock:
            dead = calls.made >= after
            calls.made += changes
            return dead

    def answer(call: Call, answering: Answering) -> Answer:
        own = _is_of_a_service(call)
        return _REFUSED if not own and is_dead(changes=call.verb != "GET") else answering(call)

    def publish(request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        if is_dead(changes=True):
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "cut off")
        return procedure(request)

    with _between(stage, answer, publish):
        yield calls


@contextmanager
def meanwhile(stage: Stage, at: int, work: Callable[[], Any]) -> Iterator[Calls]:
    """Have the work done, from beginning to end, while the call of that number is on its way to its service."""
    calls, lock = Calls(), Lock()
    worker = Thread(target=work)

    def wait_if_due() -> None:
        with lock:
            calls.made += 1
            due = calls.made == at
        if due:
            worker.start()
            worker.join()

    def answer(call: Call, answering: Answering) -> Answer:
        if not _is_of_a_service(call):
            wait_if_due()
        return answering(call)

    def publish(request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        wait_if_due()
        return procedure(request)

    with _between(stage, answer, publish):
        yield calls


def _is_of_a_service(call: Call) -> bool:
    """
    Whether a service makes the call itself, for an export or a load: that goes on when whoever asked for it has died.

    The storage client asks for the bucket where an object is missing, besides and in a thread of its own.
    """
    path = call.target.partition("?")[0]
    writes = "fields=name&" in call.target or (path.startswith("/upload/") and b"/_staging/" in call.body)
    reads = "%2Fdata_" in path and "alt=media" in call.target
    asks_for_bucket = path.startswith("/storage/v1/b/") and path.count("/") == 4
    return writes or reads or asks_for_bucket


@contextmanager
def _between(
    stage: Stage, answer: Callable[[Call, Answering], Answer], publish: Callable[[Pb, Callable[[Pb], Pb]], Pb]
) -> Iterator[None]:
    def called(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        return publish(request, procedure) if name == "Publish" else procedure(request)

    with (
        interposed(answer, stage.objects.server, stage.bigquery.server, stage.admin.server),
        interposed(called, stage.pubsub),
    ):
        yield


def refused(stage: Stage, which: Callable[[Call], bool]) -> AbstractContextManager[None]:
    """Have some calls of Cloud Storage refused as if the function had died before them."""

    def answer(call: Call, answering: Answering) -> Answer:
        return Answer(501, b"{}") if which(call) else answering(call)

    return interposed(answer, stage.objects.server)
