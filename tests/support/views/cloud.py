"""The cloud that the histories are played in: the real function and clients, and the local BigQuery, whose views are watched."""

import json
import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from queue import Queue
from typing import Any

import google.cloud.storage as storage
from google.cloud.bigquery import Client, CopyJobConfig, LoadJobConfig, SchemaField, WriteDisposition

from local import audit_log
from local.bigquery import BigQuery, JobDone
from local.pubsub import PubSub
from local.server import Answer, Answering, Call
from local.storage import Storage
from shared.tables import Shard
from tests.support.delivery import Function, topic
from tests.support.stage import Event
from tests.support.standins import DATABASE, INSTANCE, NOBODY, PROJECT, StandIns, environment

_BUCKET, _SOURCE = "rows", f"{PROJECT}.elsewhere.source"
_COLUMNS = [SchemaField("id", "INT64", description="The key.")]
_VIEW = re.compile(r"SELECT \* FROM `[^`]*\.(?P<table>\w+)_(?P<day>\d{8})`")


@dataclass(frozen=True)
class Version:
    """A view as one call has left it: the day that it shows, the day that it is pinned to, and whether that shard was there."""

    table: str
    day: str
    pin: str
    is_there: bool


@dataclass(repr=False)
class Cloud:
    """
    All services, with a pipeline of its own for each history.

    `versions` are all that its views have been, in order; `befalling` is told of each call to BigQuery before it is answered.
    """

    bigquery: BigQuery
    warehouse: Client
    jobs: "Queue[JobDone]"
    function: Function
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    shards_dataset: str = ""
    views_dataset: str = ""
    shards: set[Shard] = field(default_factory=set)
    versions: list[Version] = field(default_factory=list)
    befalling: Callable[[], None] = lambda: None

    def begin(self, keep_days: int | None) -> None:
        """Start with two empty datasets."""
        number = next(self.numbers)
        self.shards_dataset, self.views_dataset = f"shards_{number}", f"views_{number}"
        for dataset in (self.shards_dataset, self.views_dataset):
            self.warehouse.create_dataset(dataset)
        self.shards.clear()
        self.versions.clear()
        self.function.serve(shards_dataset=self.shards_dataset, views_dataset=self.views_dataset, keep_days=keep_days)

    def write(self, shard: Shard, how: str) -> Event:
        """Have a job write a shard, and give the event of its end."""
        destination = f"{PROJECT}.{self.shards_dataset}.{shard.name}"
        if how == "copy":
            copying = CopyJobConfig(write_disposition=WriteDisposition.WRITE_TRUNCATE)
            self.warehouse.copy_table(_SOURCE, destination, job_config=copying)
        else:
            loading = LoadJobConfig(schema=_COLUMNS, write_disposition=WriteDisposition.WRITE_TRUNCATE)
            file = "bad.csv" if how == "failing load" else "good.csv"
            self.warehouse.load_table_from_uri(f"gs://{_BUCKET}/{file}", destination, job_config=loading)
        done = self.jobs.get(timeout=30)
        if "errorResult" not in done.job["status"]:
            self.shards.add(shard)
        return audit_log.cloud_event(audit_log.entries(done)[-1])

    def delete(self, shard: Shard) -> None:
        """Delete a shard, if it is there and no view shows it."""
        showing = self.showing(shard.table_id)
        if shard in self.shards and not (showing and showing.day == f"{shard.day:%Y%m%d}"):
            self.warehouse.delete_table(f"{PROJECT}.{self.shards_dataset}.{shard.name}")
            self.shards.discard(shard)

    def showing(self, table: str) -> Version | None:
        """The view of a table as it is now."""
        return next((version for version in reversed(self.versions) if version.table == table), None)

    def expiring(self) -> dict[str, bool]:
        """Which shards there are, and whether they expire."""
        listed = self.warehouse.list_tables(f"{PROJECT}.{self.shards_dataset}")
        return {each.table_id: each.expires is not None for each in listed}

    def between(self, call: Call, answering: Answering) -> Answer:
        """Stands before BigQuery, and watches the views."""
        self.befalling()
        answer = answering(call)
        if (
            call.verb in {"POST", "PATCH"}
            and f"/datasets/{self.views_dataset}/" in call.target
            and answer.status == 200
        ):
            self._watch(json.loads(answer.body))
        return answer

    def _watch(self, view: dict[str, Any]) -> None:
        shown = _VIEW.fullmatch(view["view"]["query"])
        assert shown, view
        pin = view.get("labels", {}).get("mirror_pin", "")
        is_there = any(shard.name == f"{shown['table']}_{shown['day']}" for shard in self.shards)
        self.versions.append(Version(view["tableReference"]["tableId"], shown["day"], pin, is_there))


@contextmanager
def serving(standins: StandIns) -> Iterator[Cloud]:
    """Start everything; it is gone at the end. Credentials are there."""
    jobs: Queue[JobDone] = Queue()
    standins.on_job = jobs.put
    pipeline = {
        "instance": INSTANCE,
        "database": DATABASE,
        "user": "mirror",
        "bucket": _BUCKET,
        "shards_dataset": "none_yet",
        "views_dataset": "none_yet_either",
    }
    environ = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "PIPELINES": json.dumps({"billing": pipeline}),
        "DEAD_LETTERS_TOPIC": topic("dead-letters"),
        "JOB_EVENTS_TOPIC": topic("job-events"),
        **standins.environ,
    }
    with PubSub() as pubsub, environment({**environ, "PUBSUB_EMULATOR_HOST": pubsub.host}) as patch:
        pubsub.create(topic("dead-letters"), f"projects/{PROJECT}/subscriptions/dead-letters")
        _put_rows(standins.objects)
        with Client(PROJECT, NOBODY) as warehouse:
            cloud = Cloud(standins.tables, warehouse, jobs, Function("refresh_views"))
            patch.setattr(logging.getLogger("refresh_views"), "disabled", True)  # a traceback for each hand-back
            _make_source(cloud)
            standins.tables.server.between = cloud.between
            try:
                yield cloud
            finally:
                standins.tables.server.between = None


def _put_rows(objects: Storage) -> None:
    objects.create_bucket(_BUCKET)
    client = storage.Client(PROJECT, NOBODY)
    for name, rows in {"good.csv": "1\n2\n", "bad.csv": "12,50\n"}.items():
        client.bucket(_BUCKET).blob(name).upload_from_string(rows)
    client.close()


def _make_source(cloud: Cloud) -> None:
    cloud.warehouse.create_dataset("elsewhere")
    loading = LoadJobConfig(schema=_COLUMNS)
    cloud.warehouse.load_table_from_uri(f"gs://{_BUCKET}/good.csv", _SOURCE, job_config=loading)
    cloud.jobs.get(timeout=30)
