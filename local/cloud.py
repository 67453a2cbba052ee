"""
The whole cloud of the mirror on one machine: the services, the topics and subscriptions, and the functions.

It is set up as Terraform sets up the real one. Each function runs in its own process, with the deployed packages only.
It finds the services by its environment variables.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any, Self

import google.cloud.pubsub_v1 as pubsub_v1
import google.cloud.storage as storage
import grpc
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local import audit_log, ledger
from local.bigquery import BigQuery, JobDone
from local.cloudsql import CloudSqlAdmin
from local.cloudsql.csv_export import Connect
from local.dataflow import ACTIVE, FAILED, CloudEvent, Dataflow, Launch
from local.eventarc import Eventarc
from local.functions import Function, lay_out
from local.metadata import Metadata
from local.pubsub import PubSub
from local.storage import Storage

PROJECT = "demo-project"
OPS = "mirror_ops"
"""The dataset of the ledger."""
_LOCATION = "EU"
TEMPORARY = "demo-temporary"
"""The bucket for the temporary files of Dataflow jobs."""
REPOSITORY = Path(__file__).parent.parent
DEPLOYED = REPOSITORY / ".venv-deployed" / "bin" / "python"

_INPUTS = {
    "list_tables": "mirror-requests",
    "export_table": "table-exports",
    "load_shard": "table-exported",
    "refresh_views": "view-refreshes",
    "start_loader": "run-exported",
    "read_snapshot": "snapshots",
}
"""The topic of each function. `load_shard`, `start_loader` and `read_snapshot` run only if a pipeline needs them."""
_TOPICS = (
    "mirror-requests",
    "table-exports",
    "snapshots",
    "table-exported",
    "run-exported",
    "run-shown",
    "dead-letters",
)
"""The topics whose names the functions are told, in `…_TOPIC` variables."""

_BACKOFF = (timedelta(seconds=0.5), timedelta(seconds=5))
"""The least and the most time between two deliveries of a message. In production they are 10 and 60 s."""

DataflowJob = Callable[[Mapping[str, str], Launch, Event], str]
"""Carries out a Dataflow job like `dataflow.CarryOut`. Its first argument is the cloud's environment variables."""


class Cloud:
    """
    A cloud for some pipelines. It runs from construction until `stop`.

    `pipelines`: the settings of each pipeline by its name, as in PIPELINES. `databases`: connects to the databases of
    each instance that a pipeline names. `work`: a folder for the functions' archive and logs. `duration`: the seconds
    that an export takes beyond its COPY. `job` carries out Dataflow jobs. Without it they fail.
    """

    def __init__(
        self,
        pipelines: Mapping[str, Mapping[str, Any]],
        databases: Mapping[str, Connect],
        work: Path,
        *,
        duration: float = 0.0,
        job: DataflowJob | None = None,
    ) -> None:
        self._inputs = _inputs(pipelines)
        self._functions: dict[str, Function] = {}
        self._eventarc: Eventarc | None = None
        self._work = work
        self._job = job
        with ExitStack() as undo:
            self.storage = undo.enter_context(Storage())
            self.admin = undo.enter_context(CloudSqlAdmin(databases, self.storage.url, duration=duration))
            self.bigquery = undo.enter_context(BigQuery(PROJECT, self.storage.url, on_job=self._tell))
            self.pubsub = undo.enter_context(PubSub())
            self.metadata = undo.enter_context(Metadata(PROJECT))
            self.dataflow = undo.enter_context(Dataflow(self._carry_out, on_change=self._bring))
            self._prepare(pipelines)
            self.environ = self._environment(pipelines)
            self._start_functions(undo)
            self._subscribe()
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End every process and server."""
        self._undo.close()

    def publish(self, topic: str, message: Mapping[str, Any] | bytes, **attributes: str) -> str:
        """Publish a message with Google's client library. Gives the message's id."""
        data = message if isinstance(message, bytes) else json.dumps(message).encode()
        with self._publisher() as publisher:
            message_id: str = publisher.publish(_topic(topic), data, **attributes).result(timeout=30)
            return message_id

    def dead_letters(self) -> list[dict[str, str]]:
        """The attributes of the dead letters that have come since the last call."""
        name = _subscription("dead-letters")
        if not self.pubsub.backlog(name):
            return []
        with self._subscriber() as subscriber:
            received = subscriber.pull(subscription=name, max_messages=100).received_messages
            subscriber.acknowledge(subscription=name, ack_ids=[each.ack_id for each in received])
            return [dict(each.message.attributes) for each in received]

    def is_idle(self) -> bool:
        """Whether every message and every event is acknowledged, and no Dataflow job is active."""
        is_told = self.pubsub.idle() and (self._eventarc is None or self._eventarc.idle())
        return is_told and all(job["currentState"] not in ACTIVE for job in self.dataflow.jobs)

    def log(self) -> list[dict[str, Any]]:
        """The JSON lines that the functions have logged so far, function by function."""
        return [line for name in self._inputs for line in _json_lines(self._log_file(name))]

    def function(self, name: str) -> Function:
        """A function's process."""
        return self._functions[name]

    def warehouse(self) -> bigquery.Client:
        """A client of the local BigQuery."""
        return bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": self.bigquery.url})

    def objects(self) -> storage.Client:
        """A client of the local Cloud Storage."""
        return storage.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": self.storage.url})

    def _prepare(self, pipelines: Mapping[str, Mapping[str, Any]]) -> None:
        self.storage.create_bucket(TEMPORARY)
        with self.warehouse() as client:
            ledger.make(client, OPS)
            for pipeline in pipelines.values():
                self.storage.create_bucket(pipeline["bucket"], _LOCATION)
                for dataset in (pipeline["shards_dataset"], pipeline["views_dataset"]):
                    made = bigquery.Dataset(f"{PROJECT}.{dataset}")
                    made.location = _LOCATION
                    client.create_dataset(made)

    def _environment(self, pipelines: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
        return {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIPELINES": json.dumps(pipelines),
            **{f"{topic.replace('-', '_').upper()}_TOPIC": _topic(topic) for topic in _TOPICS},
            "OPS_DATASET": OPS,
            "CLOUDSQL_ADMIN_ENDPOINT": self.admin.url,
            "DATAFLOW_ENDPOINT": self.dataflow.url,
            "PUBSUB_EMULATOR_HOST": self.pubsub.host,
            "BIGQUERY_EMULATOR_HOST": self.bigquery.url,
            "STORAGE_EMULATOR_HOST": self.storage.url,
            **self.metadata.environ,
        }

    def _start_functions(self, undo: ExitStack) -> None:
        archive = self._work / "archive"
        lay_out(REPOSITORY, archive)
        with ThreadPoolExecutor() as pool:
            undo.callback(self._stop_functions)
            list(pool.map(lambda name: self._start(name, archive), self._inputs))
        self._eventarc = undo.enter_context(Eventarc(self._functions["refresh_views"].url))

    def _start(self, name: str, archive: Path) -> None:
        self._functions[name] = Function(name, archive, self.environ, DEPLOYED, self._log_file(name))

    def _stop_functions(self) -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Function.stop, self._functions.values()))

    def _subscribe(self) -> None:
        with self._publisher() as publisher, self._subscriber() as subscriber:
            for topic in {*_TOPICS, *_INPUTS.values()}:
                publisher.create_topic(name=_topic(topic))
            subscriber.create_subscription(name=_subscription("dead-letters"), topic=_topic("dead-letters"))
            for function, topic in self._inputs.items():
                subscriber.create_subscription(
                    request={
                        "name": _subscription(f"{topic}-{function.replace('_', '-')}"),
                        "topic": _topic(topic),
                        "push_config": {"push_endpoint": f"{self._functions[function].url}/{_topic(topic)}"},
                        "ack_deadline_seconds": 600,
                        "enable_message_ordering": topic == "table-exports",
                        "retry_policy": {"minimum_backoff": _BACKOFF[0], "maximum_backoff": _BACKOFF[1]},
                        "dead_letter_policy": {
                            "dead_letter_topic": _topic("dead-letters"),
                            "max_delivery_attempts": 100,
                        },
                    }
                )

    def _tell(self, done: JobDone) -> None:
        """Have Eventarc deliver the audit log's entries about a job."""
        for entry in audit_log.entries(done):
            self._bring(audit_log.cloud_event(entry))

    def _bring(self, event: CloudEvent) -> None:
        if self._eventarc:
            self._eventarc.deliver(*event)

    def _carry_out(self, launch: Launch, stopping: Event) -> str:
        return self._job(self.environ, launch, stopping) if self._job else FAILED

    def _log_file(self, function: str) -> Path:
        return self._work / f"{function}.log"

    def _publisher(self) -> pubsub_v1.PublisherClient:
        return pubsub_v1.PublisherClient(
            transport=PublisherGrpcTransport(channel=grpc.insecure_channel(self.pubsub.host))
        )

    def _subscriber(self) -> pubsub_v1.SubscriberClient:
        return pubsub_v1.SubscriberClient(
            transport=SubscriberGrpcTransport(channel=grpc.insecure_channel(self.pubsub.host))
        )


def _inputs(pipelines: Mapping[str, Mapping[str, Any]]) -> Mapping[str, str]:
    """The functions that these pipelines need, each with its topic."""
    every = pipelines.values()
    needless = set() if any(each.get("loader", "bigquery") == "bigquery" for each in every) else {"load_shard"}
    needless |= set() if any(each.get("dataflow") for each in every) else {"start_loader"}
    needless |= set() if any(each.get("small_tables") == "snapshot" for each in every) else {"read_snapshot"}
    return {function: topic for function, topic in _INPUTS.items() if function not in needless}


def _topic(name: str) -> str:
    return f"projects/{PROJECT}/topics/{name}"


def _subscription(name: str) -> str:
    return f"projects/{PROJECT}/subscriptions/{name}"


def _json_lines(log: Path) -> Sequence[dict[str, Any]]:
    """The lines of a function's output that are JSON objects."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [json.loads(line) for line in lines if line.startswith("{")]
