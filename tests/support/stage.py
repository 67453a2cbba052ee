"""An empty cloud of a test's own."""

import json
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import google.cloud.pubsub_v1 as pubsub_v1
import google.cloud.storage as storage
import pg8000.native
import pytest
import requests
from google.cloud.bigquery import (
    Client,
    CopyJob,
    LoadJob,
    LoadJobConfig,
    QueryJob,
    SchemaField,
    Table,
    WriteDisposition,
)

from local import audit_log
from local.bigquery import BigQuery, JobDone
from local.cloudsql import CloudSqlAdmin, Outcome
from local.cloudsql.operations import Operations
from local.postgres import Postgres
from local.pubsub import PubSub
from local.storage import Storage
from shared import times
from shared.times import SystemClock
from tests.support.delivery import REQUESTED, Function
from tests.support.record import behind, manifest, put_first
from tests.support.standins import DATABASE, INSTANCE, PROJECT, faultless

Event = tuple[dict[str, str], dict[str, Any]]
"""Headers and body of a CloudEvent in binary mode."""

Log = Callable[[], list[dict[str, Any]]]
"""Gives the lines that have been logged since the last look."""


class Clock(SystemClock):
    """The machine's, put to the day on which the tests' requests are made."""

    def __init__(self) -> None:
        self.put(REQUESTED)

    def put(self, moment: str) -> None:
        """Have it be that moment now."""
        self._ahead = times.moment(moment) - datetime.now(UTC)

    def pass_time(self, **of: float) -> None:
        """Have so much time pass at once."""
        self._ahead += timedelta(**of)

    def now(self) -> datetime:
        return super().now() + self._ahead

    def text(self) -> str:
        """This moment, as messages have it."""
        return times.rfc3339(self.now())


class _Operations(Operations):
    """Operations of Cloud SQL that live by the tests' clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def now(self) -> datetime:
        return self._clock.now()


@dataclass
class Stage:
    """
    A pipeline between a database, a bucket, two datasets and the topics, all empty.

    `pipeline` are its settings as a function finds them when it starts; `jobs` are BigQuery's that have ended; `run_id` is of
    a run that no other test has, as BigQuery remembers the loads of all tests. `clock` is that of the instance, and of the
    functions that make a run. `made_up` are the records of runs that no function has begun, `started` the functions by name.
    """

    pipeline: dict[str, Any]
    run_id: str
    postgres: Postgres
    objects: Storage
    bucket: storage.Bucket
    bigquery: BigQuery
    warehouse: Client
    jobs: list[JobDone]
    pubsub: PubSub
    environment: pytest.MonkeyPatch
    undo: ExitStack
    clock: Clock
    made_up: set[str] = field(default_factory=set)
    started: dict[str, Function] = field(default_factory=dict)

    def function(self, name: str, **environ: str) -> Function:
        """Start a function, with these variables beside the usual ones."""
        if name == "export_table":
            environ = {"CLOUDSQL_ADMIN_ENDPOINT": self.admin.url, **environ}
        for variable, value in {"PIPELINES": json.dumps({"billing": self.pipeline}), **environ}.items():
            self.environment.setenv(variable, value)
        mirrors_own = name in {"export_table", "load_shard", "start_loader"}
        function = Function(name, lambda message: self._put_first(*behind(name, message)) if mirrors_own else None)
        if name in {"list_tables", "export_table", "read_snapshot"}:
            function.work_with(clock=self.clock)
        self.started[name] = function
        return function

    @cached_property
    def admin(self) -> CloudSqlAdmin:
        """The instance, on which an export has taken a moment, so that nobody waits for the next one half a second."""
        admin = self.undo.enter_context(faultless(self._admin()))
        admin.plan_exports(Outcome(running=0.03))
        _export(admin, f"gs://elsewhere/{self.pipeline['bucket']}.csv")
        return admin

    def _admin(self) -> CloudSqlAdmin:
        instances = {INSTANCE: self.postgres.connect}
        return CloudSqlAdmin(instances, self.objects.url, operations=_Operations(self.clock))

    @cached_property
    def database(self) -> pg8000.native.Connection:
        """The source, with an empty schema `public` and no other."""
        connection = self.undo.enter_context(closing(self.postgres.connect(DATABASE)))
        found = connection.run(
            "SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema'"
        )
        for (schema,) in found:
            connection.run(f"DROP SCHEMA {pg8000.native.identifier(schema)} CASCADE")
        connection.run("CREATE SCHEMA public")
        return connection

    def run(self, *statements: str) -> None:
        """Run SQL at the source."""
        for statement in statements:
            self.database.run(statement)

    def fail_exports(self, file: str, times: int) -> None:
        """Have exports into that file fail, one after the other, as if an earlier delivery had tried so often."""
        for _ in range(times):
            self.admin.plan_exports(Outcome(running=0.03, error="ERROR:  canceled"))
            _export(self.admin, f"gs://{self.pipeline['bucket']}/{file}")

    def begin_export(self, file: str, seconds: float) -> None:
        """Have an export into that file begin, as if another delivery had asked for it."""
        self.admin.plan_exports(Outcome(running=seconds))
        _begin_export(self.admin, f"gs://{self.pipeline['bucket']}/{file}")

    def exports(self) -> list[dict[str, Any]]:
        """The operations that have written, or are to write, into the pipeline's bucket, oldest first."""
        place = f"gs://{self.pipeline['bucket']}/"
        return [
            each for each in self.admin.operations if each.get("exportContext", {}).get("uri", "").startswith(place)
        ]

    def files(self) -> list[str]:
        """The names of all objects in the bucket, without the records that the test made up."""
        return [blob.name for blob in self.bucket.list_blobs() if blob.name not in self.made_up]

    def content(self, name: str) -> str:
        text: str = self.bucket.blob(name).download_as_text()
        return text

    def json(self, name: str) -> Any:
        return json.loads(self.content(name))

    def put(self, name: str, content: str | Mapping[str, Any]) -> None:
        """Make an object, as if an earlier delivery had."""
        self.bucket.blob(name).upload_from_string(content if isinstance(content, str) else json.dumps(content))

    def begin_run(self, *exports: Mapping[str, Any]) -> None:
        """Put a run on record whose messages on `table-exports` are these."""
        self._put_first(f"billing/_runs/{exports[0]['run_id']}/manifest.json", manifest(*exports))

    def _put_first(self, name: str, content: Mapping[str, Any]) -> None:
        if put_first(self.objects, self.bucket, name, content):
            self.made_up.add(name)

    def make_topic(self, name: str) -> None:
        """A topic that not every test needs. `published` gives its messages."""
        self.pubsub.create(f"projects/{PROJECT}/topics/{name}", f"projects/{PROJECT}/subscriptions/{name}")

    def published(self, topic: str) -> list[pubsub_v1.types.PubsubMessage]:
        """What has been published since the last look, in order."""
        subscription = f"projects/{PROJECT}/subscriptions/{topic}"
        messages: list[pubsub_v1.types.PubsubMessage] = []
        while self.pubsub.backlog(subscription):
            received = self._subscriber.pull(subscription=subscription, max_messages=1000).received_messages
            self._subscriber.acknowledge(subscription=subscription, ack_ids=[each.ack_id for each in received])
            messages += [each.message for each in received]
        return messages

    @cached_property
    def _subscriber(self) -> pubsub_v1.SubscriberClient:
        return self.undo.enter_context(pubsub_v1.SubscriberClient())

    def create_shard(self, name: str, description: str | None = None) -> None:
        """Make a shard without a load, so that no event tells of it."""
        table = Table(self.shard(name), [SchemaField("id", "INT64")])
        table.description = description
        self.warehouse.create_table(table)

    def create_view(self, name: str, query: str, labels: Mapping[str, str] | None = None) -> None:
        """Make a view as people do, unseen by `calls`."""
        view = Table(self.view(name))
        view.view_query = query
        view.labels = dict(labels or {})
        self.warehouse.create_table(view)
        self.bigquery.calls.clear()

    def shown(self, view: str = "orders") -> str:
        """The SQL of a view."""
        query: str = self.warehouse.get_table(self.view(view)).view_query
        return query

    def load(self, destination: str, rows: str = "1\n") -> list[Event]:
        """Load a table of one INT64 `id`, well or badly, and give the events that Eventarc makes of the job."""
        self.put("rows.csv", rows)
        config = LoadJobConfig(schema=[SchemaField("id", "INT64")], write_disposition=WriteDisposition.WRITE_TRUNCATE)
        job = self.warehouse.load_table_from_uri(f"gs://{self.bucket.name}/rows.csv", destination, job_config=config)
        return self.events(job)

    def events(self, job: CopyJob | LoadJob | QueryJob) -> list[Event]:
        """The events that Eventarc makes of a job, from its start to its end, when it has ended."""
        ended: list[JobDone] = []

        def found() -> bool:
            ended[:] = [each for each in self.jobs if each.job["jobReference"]["jobId"] == job.job_id]
            return bool(ended)

        wait_for(found)
        self.bigquery.calls.clear()
        return [audit_log.cloud_event(entry) for entry in audit_log.entries(ended[0])]

    def calls(self, verb: str) -> list[tuple[str, dict[str, str]]]:
        """BigQuery's calls of methods so named (`patch`, `tables.insert`), with the parameters of their paths."""
        return [call for call in self.bigquery.calls if call[0].endswith(verb)]

    def shard(self, name: str) -> str:
        """The full name of a table in the dataset of shards."""
        return f"{PROJECT}.{self.pipeline['shards_dataset']}.{name}"

    def view(self, name: str) -> str:
        """The full name of a table in the dataset of views."""
        return f"{PROJECT}.{self.pipeline['views_dataset']}.{name}"


def wait_for(condition: Callable[[], bool], seconds: float = 5) -> None:
    """Return as soon as it holds; fail where it does not within so many seconds."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.005)


def _export(admin: CloudSqlAdmin, uri: str) -> None:
    _begin_export(admin, uri)
    wait_for(lambda: admin.operations[-1]["status"] == "DONE")


def _begin_export(admin: CloudSqlAdmin, uri: str) -> None:
    options = {"selectQuery": "SELECT 1", "escapeCharacter": "22"}
    context: dict[str, Any] = {"fileType": "CSV", "uri": uri, "databases": [DATABASE], "csvExportOptions": options}
    project, _, instance = INSTANCE.split(":")
    url = f"{admin.url}/v1/projects/{project}/instances/{instance}/export"
    requests.post(url, json={"exportContext": context}, timeout=5).raise_for_status()
