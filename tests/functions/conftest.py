"""The stand-ins that all tests of this folder share, and a stage on them for each."""

import importlib
import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import google.cloud.storage as storage
import pytest
from google.auth.compute_engine import _metadata
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.bigquery import BigQuery, JobDone
from local.metadata import Metadata
from local.postgres import Postgres
from local.pubsub import PubSub
from local.storage import Storage
from tests.functions.delivery import PROJECT, topic
from tests.functions.stage import DATABASE, INSTANCE, Clock, Log, Stage

NOBODY = AnonymousCredentials()
OUTPUTS = ("table-exports", "table-exported", "run-exported", "run-shown", "dead-letters", "snapshots")
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        server.create(DATABASE)
        yield server


@pytest.fixture(scope="session")
def objects() -> Iterator[Storage]:
    with Storage() as server:
        server.create_bucket("elsewhere")
        yield server
    assert server.faults == []


@pytest.fixture(scope="session")
def jobs() -> list[JobDone]:
    return []


@pytest.fixture(scope="session")
def tables(objects: Storage, jobs: list[JobDone]) -> Iterator[BigQuery]:
    with BigQuery(PROJECT, objects.url, on_job=jobs.append) as server:
        yield server
    assert server.faults == []


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stand-in's, whatever this machine has."""
    with Metadata(PROJECT) as server, pytest.MonkeyPatch.context() as environment:
        environment.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
        environment.setenv("CLOUDSDK_CONFIG", str(tmp_path_factory.mktemp("gcloud")))
        for name, value in server.environ.items():
            environment.setenv(name, value)
        importlib.reload(_metadata)  # it reads its environment only when it is imported
        yield


@pytest.fixture
def pubsub(monkeypatch: pytest.MonkeyPatch) -> Iterator[PubSub]:
    """With the topics that functions publish to, and a subscription to each."""
    with PubSub() as server:
        monkeypatch.setenv("PUBSUB_EMULATOR_HOST", server.host)
        for name in OUTPUTS:
            server.create(topic(name), f"projects/{PROJECT}/subscriptions/{name}")
        yield server


@pytest.fixture
def stage(
    postgres: Postgres,
    objects: Storage,
    tables: BigQuery,
    jobs: list[JobDone],
    pubsub: PubSub,
    credentials: None,  # noqa: ARG001 - the clients find them
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    number = next(numbers)
    pipeline = {
        "instance": INSTANCE,
        "database": DATABASE,
        "user": postgres.user,
        "host": postgres.host,
        "bucket": f"mirror-{number}",
        "format": "csv",
        "shards_dataset": f"mirror_shards_{number}",
        "views_dataset": f"mirror_{number}",
    }
    environ = {
        "GOOGLE_CLOUD_PROJECT": PROJECT,
        "TABLE_EXPORTS_TOPIC": topic("table-exports"),
        "TABLE_EXPORTED_TOPIC": topic("table-exported"),
        "DEAD_LETTERS_TOPIC": topic("dead-letters"),
        "JOB_EVENTS_TOPIC": topic("job-events"),
        "BIGQUERY_EMULATOR_HOST": tables.url,
        "STORAGE_EMULATOR_HOST": objects.url,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    objects.create_bucket(pipeline["bucket"])
    with ExitStack() as undo:
        client = undo.enter_context(closing(storage.Client(PROJECT, NOBODY)))
        warehouse = undo.enter_context(bigquery.Client(PROJECT, NOBODY))
        for dataset in (pipeline["shards_dataset"], pipeline["views_dataset"]):
            warehouse.create_dataset(dataset)
        tables.calls.clear()
        jobs.clear()
        bucket = client.bucket(pipeline["bucket"])
        yield Stage(
            pipeline,
            f"run-{number}",
            postgres,
            objects,
            bucket,
            tables,
            warehouse,
            jobs,
            pubsub,
            monkeypatch,
            undo,
            Clock(),
        )


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Log:
    return lambda: [json.loads(line) for line in capsys.readouterr().out.splitlines()]
