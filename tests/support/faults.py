"""Faults of a cloud, each put in as Google's own refusal, or as something that is not there."""

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import grpc
from google.cloud.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local.cloud import PROJECT, Cloud
from local.cloudsql import Outcome
from local.pubsub import Procedure
from local.pubsub.requests import Pb, Rejected
from local.server import Answer, Answering, Call, Server
from shared import bucket as paths
from tests.support.checked import Checked
from tests.support.interposed import interposed

Matches = Callable[[Call], bool]


def refused(server: Server, matches: Matches, status: int, reason: str, message: str) -> AbstractContextManager[None]:
    """Answer such calls as Google does what it refuses."""
    errors = [{"message": message, "domain": "global", "reason": reason}]
    body = json.dumps({"error": {"code": status, "message": message, "errors": errors}}).encode()
    answer = Answer(status, body, {"Content-Type": "application/json"})
    return interposed(lambda call, answering: answer if matches(call) else answering(call), server)


def told_otherwise(server: Server, matches: Matches, **changes: object) -> AbstractContextManager[None]:
    """Answer such calls with a resource that has other properties."""

    def between(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if not matches(call):
            return answer
        return Answer(answer.status, json.dumps(json.loads(answer.body) | changes).encode(), answer.headers)

    return interposed(between, server)


def is_to(verb: str, ending: str, *, holding: bytes = b"") -> Matches:
    """Whether a call has this verb, a path that ends so, and a body that holds this."""
    return lambda call: (
        call.verb == verb and call.target.partition("?")[0].endswith(ending) and holding in (call.body or b"")
    )


def of_table(dataset: str) -> Matches:
    """Whether a call is about a dataset, or what is in it."""
    return lambda call: f"/datasets/{dataset}" in call.target or f'"{dataset}"'.encode() in (call.body or b"")


def writes(call: Call) -> bool:
    """Whether a call of Cloud Storage is a function's: nobody else writes objects."""
    return call.verb in {"POST", "PUT", "PATCH"}


@contextmanager
def nothing() -> Iterator[None]:
    """Put in nothing."""
    yield


@contextmanager
def no_subscription(cloud: Cloud, name: str) -> Iterator[None]:
    channel = grpc.insecure_channel(cloud.pubsub.host)
    full = f"projects/{PROJECT}/subscriptions/{name}"
    with SubscriberClient(transport=SubscriberGrpcTransport(channel=channel)) as client:
        known = client.get_subscription(subscription=full)
        client.delete_subscription(subscription=full)
        try:
            yield
        finally:
            client.create_subscription(request=known)


@contextmanager
def unseen_subscription(cloud: Cloud, name: str) -> Iterator[None]:
    """There is no such subscription, and an operator may not look at any."""

    def between(called: str, request: Pb, procedure: Procedure) -> Pb:
        if called.startswith("Get"):
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "User not authorized to perform this action.")
        return procedure(request)

    with no_subscription(cloud, name), interposed(between, cloud.pubsub):
        yield


@contextmanager
def no_topic(cloud: Cloud, name: str) -> Iterator[None]:
    channel = grpc.insecure_channel(cloud.pubsub.host)
    full = f"projects/{PROJECT}/topics/{name}"
    with PublisherClient(transport=PublisherGrpcTransport(channel=channel)) as client:
        client.delete_topic(topic=full)
        try:
            yield
        finally:
            client.create_topic(name=full)


@contextmanager
def no_events(cloud: Cloud) -> Iterator[None]:
    """There is no trigger: what BigQuery does is told to nobody."""
    known, cloud._eventarc = cloud._eventarc, None  # noqa: SLF001 - the cloud has no way to take a trigger away
    try:
        yield
    finally:
        cloud._eventarc = known  # noqa: SLF001


@contextmanager
def failing_exports(cloud: Cloud, error: str) -> Iterator[None]:
    """Have each operation end so, until all tries are spent."""
    cloud.admin.plan_exports(*[Outcome(error=error)] * 20)
    try:
        yield
    finally:
        cloud.admin._outcomes.clear()  # noqa: SLF001 - those that were not needed


@contextmanager
def unreadable_tables(checked: Checked) -> Iterator[None]:
    checked.sql("CREATE ROLE cloudsqlsuperuser")
    try:
        yield
    finally:
        checked.sql("DROP ROLE cloudsqlsuperuser")


@contextmanager
def another_run(checked: Checked) -> Iterator[None]:
    """A run of another pipeline of the instance, which waits for two tables."""
    bucket = checked.cloud.objects().bucket("my-mirror")
    entries = [{"schema": "public", "table": table} for table in ("orders", "refunds")]
    content = {"run_id": "9912", "requested_at": "2026-01-15T00:00:00Z", "shard_date": "2026-01-15", "tables": entries}
    made = [bucket.blob(paths.manifest_file("other", "9912")), bucket.blob(paths.open_run_file("other", "9912"))]
    made[0].upload_from_string(json.dumps(content))
    made[1].upload_from_string("{}")
    try:
        yield
    finally:
        for blob in made:
            blob.delete()
