"""The cloud that schedules are played in: the real functions with their real clients, and the stand-ins that they call."""

import importlib
import json
import logging
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import count
from pathlib import Path
from queue import Queue
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import google.cloud.storage as storage
import grpc
import pytest
from google.auth.compute_engine import _metadata
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.bigquery import BigQuery, JobDone
from local.cloudsql import CloudSqlAdmin, Outcome
from local.metadata import Metadata
from local.postgres import Postgres
from local.pubsub import PubSub
from local.pubsub.requests import Rejected
from local.server import Answer, Answering, Call
from local.storage import Storage
from tests.functions.delivery import INPUTS, PROJECT, Function, topic
from tests.functions.stage import DATABASE, INSTANCE
from tests.lane.troubles import befall
from tests.lane.virtual_time import VirtualOperations, VirtualTime

_FUNCTIONS = ("list_tables", "export_table", "load_shard")
_TOPICS = (*INPUTS.values(), "dead-letters")
_WAIT_BUDGET = "25"  # seconds, so that the longest operation outlasts two deliveries
_NOBODY = AnonymousCredentials()
# What is left when a client has given up. The usual 503 it would repeat for minutes of the machine's own time.
_FAILED = Answer(501, b'{"error": {"code": 501, "message": "Not now.", "errors": [{"reason": "notNow"}]}}')

# The client asks for it on its own account, in a thread of its own, and at whatever moment.
_A_BUCKET = re.compile("GET /storage/v1/b/[^/]+")


class Died(Exception):  # noqa: N818 - it is what happened
    """The function is dead: nothing that it does comes to anything."""


@dataclass(frozen=True)
class FunctionsClock:
    """The time of the functions, which is over for one that has died."""

    clock: VirtualTime

    def now(self) -> datetime:
        if self.clock.actor.dead:
            raise Died
        return self.clock.now()

    def sleep(self, seconds: float) -> None:
        self.clock.sleep(seconds)


class InTurn(Executor):
    """Makes each call before the next is begun, as no more than one of all is at work at a time."""

    def submit(self, call: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        done: Future[Any] = Future()
        try:
            done.set_result(call(*arguments, **named))
        except Exception as error:  # noqa: BLE001 - raised to whoever asks for the result
            done.set_exception(error)
        return done


class Cloud:
    """
    All services, and the functions on them.

    `on_publish` hears of each message with its topic and id, `outcome` says how an export into a file goes. `jobs` are those
    of BigQuery that have ended.
    """

    def __init__(self, undo: ExitStack) -> None:
        self.on_publish: Callable[[str, str, Any], None] = lambda *_: None
        self.outcome: Callable[[str], Outcome] = lambda _: Outcome()
        self.jobs: list[JobDone] = []
        self.clock = VirtualTime()
        self._numbers = count(1)
        self._done: Queue[JobDone] = Queue()
        self._operations = VirtualOperations(self.clock)
        self._postgres = undo.enter_context(Postgres())
        self._postgres.create(DATABASE)
        self._objects = undo.enter_context(Storage())
        self._tables = undo.enter_context(BigQuery(PROJECT, self._objects.url, on_job=self._done.put))
        instances = {INSTANCE: self._postgres.connect}
        self.admin = undo.enter_context(CloudSqlAdmin(instances, self._objects.url, operations=self._operations))
        self._pubsub = undo.enter_context(PubSub())
        self.source = undo.enter_context(closing(self._postgres.connect(DATABASE)))
        self._storage = undo.enter_context(closing(_client(storage.Client, self._objects.url)))
        self.warehouse = undo.enter_context(_client(bigquery.Client, self._tables.url))

    @property
    def environ(self) -> dict[str, str]:
        """What the functions find in their environment."""
        pipeline = {
            "instance": INSTANCE,
            "format": "csv",
            "database": DATABASE,
            "user": self._postgres.user,
            "host": self._postgres.host,
            "bucket": "of-each-schedule",
            "shards_dataset": "of_each_schedule",
            "views_dataset": "mirror",
        }
        return {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIPELINES": json.dumps({"billing": pipeline}),
            "WAIT_BUDGET_SECONDS": _WAIT_BUDGET,
            **{f"{name.upper().replace('-', '_')}_TOPIC": topic(name) for name in _TOPICS},
            "CLOUDSQL_ADMIN_ENDPOINT": self.admin.url,
            "BIGQUERY_EMULATOR_HOST": self._tables.url,
            "STORAGE_EMULATOR_HOST": self._objects.url,
            "PUBSUB_EMULATOR_HOST": self._pubsub.host,
        }

    def start(self) -> None:
        """Start the functions, and come between them and the services."""
        publisher = pubsub_v1.PublisherClient()
        for name in _TOPICS:
            publisher.create_topic(name=topic(name))
        publisher.stop()
        self.functions = {name: Function(name) for name in _FUNCTIONS}
        self._objects.server.between = self._between
        self._tables.server.between = self._between_bigquery
        self.admin.server.between = self._between_admin
        self._pubsub.between = self._between_pubsub

    def begin(self, *, relisting: bool) -> tuple[storage.Bucket, str]:
        """Have the functions begin again, with no operations, an empty bucket and an empty dataset, which are given."""
        bucket = f"mirror-{next(self._numbers)}"
        dataset = bucket.replace("-", "_")
        self._objects.create_bucket(bucket)
        self.warehouse.create_dataset(dataset)
        self.clock.restart()
        self._operations.forget()
        self.jobs.clear()
        for name in _FUNCTIONS:
            module: Any = sys.modules[name]
            pipeline = replace(module.settings.pipelines["billing"], bucket=bucket, shards_dataset=dataset)
            module.settings = replace(module.settings, pipelines={"billing": pipeline})
        exporting: Any = sys.modules["export_table"]
        requests = exporting.topics if relisting else None
        clock = FunctionsClock(self.clock)
        exporting.services = replace(exporting.services, clock=clock, requests=requests, threads=InTurn())
        listing: Any = sys.modules["list_tables"]
        listing.clock = clock
        return self._storage.bucket(bucket), dataset

    def faults(self) -> list[str]:
        """Bugs of the stand-ins."""
        return self.admin.faults + self._tables.faults + self._objects.faults

    def _between(self, call: Call, answering: Answering) -> Answer:
        said, writes = f"{call.verb} {_path(call)}", call.verb != "GET"
        if _A_BUCKET.fullmatch(said):
            return answering(call)
        return befall(self.clock, said, lambda: answering(call), lambda: _FAILED, writes=writes)

    def _between_admin(self, call: Call, answering: Answering) -> Answer:
        """How an export goes is said when it has begun."""

        def answer(call: Call) -> Answer:
            answer = answering(call)
            if _path(call).endswith("/export") and answer.status == 200:
                self.admin.plan_exports(self.outcome(json.loads(call.body)["exportContext"]["uri"]))
            return answer

        return self._between(call, answer)

    def _between_bigquery(self, call: Call, answering: Answering) -> Answer:
        """A job's answer comes when it is done, as clients ask again in the machine's own time; its reading goes well."""

        def answer(call: Call) -> Answer:
            attempt, self.clock.actor = self.clock.actor, None
            answer = answering(call)
            if call.verb == "POST" and _path(call).endswith("/jobs") and answer.status == 200:
                self.jobs.append(self._done.get(timeout=30))
            self.clock.actor = attempt
            return answer

        return self._between(call, answer)

    def _between_pubsub(self, name: str, request: Any, procedure: Callable[[Any], Any]) -> Any:
        """Nothing in a lane takes long: the client has another delivery's message wait, in the machine's own time."""

        def publish() -> Any:
            response = procedure(request)
            for message_id, message in zip(response.message_ids, request.messages, strict=True):
                self.on_publish(request.topic, message_id, message)
            return response

        def refuse() -> Any:
            raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "Not now.")  # which the client does not repeat

        if name != "Publish":
            return procedure(request)
        in_lane = any(message.ordering_key for message in request.messages)
        said = f"publish to {request.topic}"
        return befall(self.clock, said, publish, refuse, writes=True, may_last=not in_lane)


@contextmanager
def serving(folder: Path) -> Iterator[Cloud]:
    """Start everything; it is gone at the end."""
    with ExitStack() as undo, pytest.MonkeyPatch.context() as environment:
        cloud = Cloud(undo)
        credentials = undo.enter_context(Metadata(PROJECT))
        environment.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        for name, value in {**cloud.environ, **credentials.environ, "CLOUDSDK_CONFIG": str(folder)}.items():
            environment.setenv(name, value)
        importlib.reload(_metadata)  # it reads its environment only when it is imported
        cloud.start()
        for name in _FUNCTIONS:  # Flask logs a traceback for each delivery that is handed back
            environment.setattr(logging.getLogger(name), "disabled", True)
        yield cloud
        assert cloud.faults() == []


def _client(kind: Any, url: str) -> Any:
    return kind(PROJECT, _NOBODY, client_options={"api_endpoint": url})


def _path(call: Call) -> str:
    return call.target.partition("?")[0]
