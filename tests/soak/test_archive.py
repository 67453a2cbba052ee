"""The archive that is deployed: each function starts from it on the deployed packages alone, or says all that prevents it."""

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import google.cloud.pubsub_v1 as pubsub_v1
import grpc
import pytest
import requests
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from local.functions import Function, lay_out
from local.metadata import Metadata
from local.pubsub import PubSub
from tests.support.delivery import INPUTS, topic
from tests.support.repository import ROOT
from tests.support.standins import PROJECT

PYTHON = ROOT / ".venv-deployed" / "bin" / "python"
LETTERS = f"projects/{PROJECT}/subscriptions/dead-letters"
MOST_MEMORY = 256 * 2**20

PIPELINE = {
    "instance": f"{PROJECT}:europe-west1:billing-db",
    "database": "billing",
    "user": f"mirror@{PROJECT}.iam",
    "bucket": "mirror",
    "shards_dataset": "mirror_shards",
    "views_dataset": "mirror",
}

MODULES_AT_START = """
import json, sys
import functions_framework
functions_framework.create_app(sys.argv[1], sys.argv[1] + ".py")
print(json.dumps(sorted(sys.modules)))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("archive")
    lay_out(ROOT, target)
    return target


@pytest.fixture(scope="module")
def pubsub() -> Iterator[PubSub]:
    with PubSub() as server:
        channel = grpc.insecure_channel(server.host)
        publisher = pubsub_v1.PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        publisher.create_topic(name=topic("dead-letters"))
        subscriber = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))
        with subscriber:
            subscriber.create_subscription(name=LETTERS, topic=topic("dead-letters"))
        publisher.stop()
        yield server


@pytest.fixture(scope="module")
def environ(pubsub: PubSub) -> Iterator[dict[str, str]]:
    with Metadata(PROJECT) as metadata:
        yield {
            "GOOGLE_CLOUD_PROJECT": PROJECT,
            "PIPELINES": json.dumps({"billing": PIPELINE}),
            "TABLE_EXPORTS_TOPIC": topic("table-exports"),
            "TABLE_EXPORTED_TOPIC": topic("table-exported"),
            "DEAD_LETTERS_TOPIC": topic("dead-letters"),
            "PUBSUB_EMULATOR_HOST": pubsub.host,
            **metadata.environ,
        }


@pytest.fixture(scope="module")
def functions(
    archive: Path, environ: Mapping[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Function]]:
    """All of them, each in processes of its own."""
    logs = tmp_path_factory.mktemp("logs")
    with ExitStack() as undo, ThreadPoolExecutor() as starting:
        started = {name: starting.submit(Function, name, archive, environ, PYTHON, logs / name) for name in INPUTS}
        for future in started.values():
            undo.callback(future.result().kill)
        yield {name: future.result() for name, future in started.items()}


def test_the_archive_is_flat_and_holds_nothing_else(archive: Path) -> None:
    entries = {f"{name}.py" for name in INPUTS}

    assert {path.name for path in archive.iterdir()} == {"shared", "requirements.txt", *entries}


@pytest.mark.parametrize("name", INPUTS)
def test_a_function_serves_events_within_its_memory(functions: dict[str, Function], pubsub: PubSub, name: str) -> None:
    message = {"data": base64.b64encode(b"{").decode(), "messageId": "9912", "publishTime": "2026-01-15T02:00:00Z"}
    url = f"{functions[name].url}/{topic(INPUTS[name])}"

    answer = requests.post(url, json={"message": message, "subscription": "s"}, timeout=30)

    assert answer.status_code == 200
    assert pulled(pubsub) == [name]
    assert functions[name].memory() < MOST_MEMORY


def test_a_function_that_lacks_settings_refuses_to_start_and_names_them_all(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError) as refused:
        Function("export_table", archive, {}, PYTHON, tmp_path / "log")

    for name in ("GOOGLE_CLOUD_PROJECT", "PIPELINES", "TABLE_EXPORTED_TOPIC", "DEAD_LETTERS_TOPIC"):
        assert name in str(refused.value)


def test_a_function_with_wrong_settings_refuses_to_start_and_lists_every_fault(
    archive: Path, environ: Mapping[str, str], tmp_path: Path
) -> None:
    billing = PIPELINE | {"formt": "csv", "time_zone": "Mars/Olympus", "bucket": None}
    wrong = {
        "PIPELINES": json.dumps({"billing": billing, "shipping": PIPELINE | {"offload": "yes"}, "Sales": PIPELINE}),
        "DEAD_LETTERS_TOPIC": "dead-letters",
    }

    with pytest.raises(RuntimeError) as refused:
        Function("list_tables", archive, {**environ, **wrong}, PYTHON, tmp_path / "log")

    for fault in ("formt", "Mars/Olympus", "billing.bucket", "shipping.offload", "Sales", "DEAD_LETTERS_TOPIC"):
        assert fault in str(refused.value)


def test_a_function_imports_at_its_start_no_heavy_module_that_only_others_need(
    archive: Path, environ: Mapping[str, str]
) -> None:
    foreign = {
        "list_tables": {"google.cloud.bigquery", "googleapiclient", "local"},
        "export_table": {"pg8000", "google.cloud.sql", "local"},
        "read_snapshot": {"googleapiclient", "google.cloud.bigquery", "google.cloud.sql", "local"},
        "load_shard": {"googleapiclient", "pg8000", "google.cloud.sql", "local"},
        "refresh_views": {"googleapiclient", "pg8000", "google.cloud.sql", "google.cloud.storage", "local"},
    }

    started = {name: start(name, archive, environ) for name in foreign}
    imported = {name: set(json.loads(process.communicate()[0])) for name, process in started.items()}

    assert {name: imported[name] & modules for name, modules in foreign.items()} == {name: set() for name in foreign}


def start(name: str, archive: Path, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    command = [str(PYTHON), "-P", "-c", MODULES_AT_START, name]
    return subprocess.Popen(command, cwd=archive, env=environ, stdout=subprocess.PIPE)


def pulled(pubsub: PubSub) -> list[str]:
    """The functions whose dead letters have come since the last look."""
    names: list[str] = []
    transport = SubscriberGrpcTransport(channel=grpc.insecure_channel(pubsub.host))
    with pubsub_v1.SubscriberClient(transport=transport) as subscriber:
        while pubsub.backlog(LETTERS):
            received = subscriber.pull(subscription=LETTERS, max_messages=10).received_messages
            subscriber.acknowledge(subscription=LETTERS, ack_ids=[each.ack_id for each in received])
            names += [each.message.attributes["function"] for each in received]
    return names
