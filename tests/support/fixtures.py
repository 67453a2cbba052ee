"""An empty cloud for each test that asks for one, on stand-ins that all tests of a process share."""

import itertools
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing

import google.cloud.storage as storage
import pytest
from google.cloud import bigquery

from local.bigquery import JobDone
from local.pubsub import PubSub
from tests.support import standins as services
from tests.support.delivery import topic
from tests.support.stage import Clock, Log, Stage
from tests.support.standins import DATABASE, INSTANCE, NOBODY, PROJECT, StandIns

OUTPUTS = ("table-exports", "table-exported", "run-exported", "run-shown", "dead-letters", "snapshots")
numbers = itertools.count(1)


@pytest.fixture(scope="session")
def standins() -> Iterator[StandIns]:
    with ExitStack() as undo:
        yield StandIns(undo)


@pytest.fixture(scope="session")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The stand-in's, whatever this machine has."""
    with services.credentials(tmp_path_factory.mktemp("gcloud")):
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
    standins: StandIns,
    pubsub: PubSub,
    credentials: None,  # noqa: ARG001 - the clients find them
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    number = next(numbers)
    pipeline = {
        "instance": INSTANCE,
        "database": DATABASE,
        "user": standins.postgres.user,
        "host": standins.postgres.host,
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
        **standins.environ,
    }
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    standins.objects.create_bucket(pipeline["bucket"])
    with ExitStack() as undo:
        client = undo.enter_context(closing(storage.Client(PROJECT, NOBODY)))
        warehouse = undo.enter_context(bigquery.Client(PROJECT, NOBODY))
        for dataset in (pipeline["shards_dataset"], pipeline["views_dataset"]):
            warehouse.create_dataset(dataset)
        standins.tables.calls.clear()
        jobs: list[JobDone] = []
        standins.on_job = jobs.append
        bucket = client.bucket(pipeline["bucket"])
        yield Stage(
            pipeline,
            f"run-{number}",
            standins.postgres,
            standins.objects,
            bucket,
            standins.tables,
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
