"""A deployment of stand-ins, and somebody who operates it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.bigquery import Client, Table
from google.pubsub_v1 import types

from local.bigquery import BigQuery
from local.pubsub import PubSub
from local.pubsub.publisher import Publisher
from local.pubsub.requests import Pb
from local.storage import Storage
from shared import times
from shared.tables import Shard
from tests.support.person import Person

TOPICS = ("mirror-requests", "view-refreshes", "table-exports", "dead-letters")
LETTERS = "projects/my-project/subscriptions/dead-letters"
INSTANCE = "my-project:europe-west1:billing-db"
PIPELINE: dict[str, Any] = {
    "instance": INSTANCE,
    "database": "billing",
    "user": "mirror@my-project.iam",
    "bucket": "my-mirror",
    "shards_dataset": "mirror_shards",
    "views_dataset": "mirror",
}
SETTINGS: dict[str, Any] = {
    "project": "my-project",
    "mirror_requests_topic": "projects/my-project/topics/mirror-requests",
    "view_refreshes_topic": "projects/my-project/topics/view-refreshes",
    "dead_letters_subscription": LETTERS,
    "pipelines": {"billing": PIPELINE},
}


@dataclass
class Deployment:
    """Stand-ins of Pub/Sub, Cloud Storage and BigQuery. What is published is kept, by the topic's short name."""

    pubsub: PubSub
    storage: Storage
    bigquery: BigQuery
    published: dict[str, list[Pb]] = field(default_factory=dict)
    refuse: Callable[[str, Pb], None] = lambda _name, _request: None
    heard: Callable[[Pb], None] = lambda _message: None

    def between(self, name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
        self.refuse(name, request)
        answer = procedure(request)
        if name == "Publish":
            for message, message_id in zip(request.messages, answer.message_ids, strict=True):
                kept = type(message)()
                kept.CopyFrom(message)
                kept.message_id = message_id
                self.published.setdefault(request.topic.rpartition("/")[2], []).append(kept)
                self.heard(kept)
        return answer

    def contents(self, topic: str) -> list[Any]:
        """The JSON of what was published on a topic."""
        return [json.loads(message.data) for message in self.published.get(topic, [])]

    def dead_letter(self, content: object, key: str = "", /, **attributes: str) -> None:
        """A dead letter."""
        message = types.PubsubMessage.pb()(data=json.dumps(content).encode(), attributes=attributes, ordering_key=key)
        topic = "projects/my-project/topics/dead-letters"
        Publisher(self.pubsub._resources).publish(types.PublishRequest.pb()(topic=topic, messages=[message]))  # noqa: SLF001

    @property
    def letters(self) -> int:
        """How many dead letters are not acknowledged."""
        return self.pubsub.backlog(LETTERS)

    def write(self, run_id: str, name: str, content: object) -> None:
        """Write down something of a run."""
        self._write(f"_runs/{run_id}/{name}.json", content)

    def _write(self, name: str, content: object) -> None:
        client = storage.Client("my-project", AnonymousCredentials(), client_options={"api_endpoint": self.storage.url})
        client.bucket("my-mirror").blob(f"billing/{name}").upload_from_string(json.dumps(content))

    def write_manifest(self, run_id: str, *tables: str, **more: object) -> None:
        """Write down that a run of today has begun just now."""
        now = datetime.now(UTC)
        self.write_run(run_id, now.date(), *tables, requested_at=times.rfc3339(now), **more)

    def write_run(self, run_id: str, day: date, *tables: str, **more: object) -> None:
        """Write down that a run has begun, over the whole database unless `is_whole` says otherwise."""
        entries = [{"schema": "public", "table": table} for table in tables]
        later = timedelta(seconds=int(run_id[-6:]))  # a later run has a higher number
        moment = times.rfc3339(datetime.now(UTC) + later)
        content = {"run_id": run_id, "requested_at": moment, "shard_date": day.isoformat(), "is_whole": True}
        self.write(run_id, "manifest", {**content, "tables": entries, **more})

    def write_newest_manifest(self, run_id: str, day: date) -> None:
        """Have a run be the newest of its day."""
        content = {"run_id": run_id, "requested_at": times.rfc3339(datetime.now(UTC)), "shard_date": day.isoformat()}
        self._write(f"manifest_{times.stamp(day)}.json", {**content, "tables": []})

    def show(self, table_id: str, day: date, pin: date | None = None, dataset: str = "mirror") -> None:
        """Have a view show a shard, and be pinned there."""
        shard = f"my-project.{dataset}_shards.{Shard(table_id, day).name}"
        view = Table(f"my-project.{dataset}.{table_id}")
        view.view_query = f"SELECT * FROM `{shard}`"
        view.labels = {"mirror_pin": times.stamp(pin)} if pin else {}
        with self.warehouse() as client:
            client.create_table(Table(shard, [{"name": "id", "type": "INT64"}]))
            client.create_table(view)

    def warehouse(self) -> Client:
        """A client of BigQuery."""
        return Client("my-project", AnonymousCredentials(), client_options={"api_endpoint": self.bigquery.url})


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with PubSub() as pubsub, Storage() as objects, BigQuery("my-project", objects.url) as warehouse:
        for topic in TOPICS:
            pubsub.create(f"projects/my-project/topics/{topic}", f"projects/my-project/subscriptions/{topic}")
        objects.create_bucket("my-mirror")
        made = Deployment(pubsub, objects, warehouse)
        with made.warehouse() as client:
            client.create_dataset("mirror_shards")
            client.create_dataset("mirror")
        pubsub.between = made.between
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(SETTINGS), encoding="utf-8")
    return file


@pytest.fixture
def operator(deployment: Deployment, settings: Path, tmp_path: Path) -> Person:
    """Somebody whose environment names the settings and the stand-ins."""
    environ = {
        "MIRROR_SETTINGS": str(settings),
        "PUBSUB_EMULATOR_HOST": deployment.pubsub.host,
        "STORAGE_EMULATOR_HOST": deployment.storage.url,
        "BIGQUERY_EMULATOR_HOST": deployment.bigquery.url,
    }
    return Person(environ, tmp_path)
