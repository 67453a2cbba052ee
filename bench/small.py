"""
Small tables: how long it takes to read many of them at one moment, compared with their exports, dlt and sling.

The mirror is measured from the request to the last sealed pair in the local bucket. A first call begins with the start of the
functions' processes. A peer is measured as a whole process, which writes files. Last comes the memory that large rows take.
"""

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Event, Thread
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from bench import streams
from bench.deployed import PIPELINE, Deployed, pushed, receive, topic
from bench.figures import Figure
from bench.progress import Progress
from local.cloud import PROJECT
from local.functions import Function
from local.metadata import Metadata
from local.postgres import Postgres
from local.pubsub import PubSub
from local.server import Answer, Answering, Call
from local.storage import Storage

TABLES, ROWS = 200, 500
OPERATION = 20.0
"""Seconds that an instance takes to export even the smallest table."""
LARGE, MIB = 3, 60
"""Large tables, and the rows of 1 MiB of each."""
_TIMES = 3
_OFTEN = 0.02
"""Seconds between two looks at the memory of a function."""
_CREATE = {
    "small": """
CREATE TABLE small_{number:03} AS SELECT n AS id, md5(n::text) AS customer, now() - n * interval '1 second' AS placed,
    (n * 7 / 3.0)::numeric(12,2) AS total, n % 50 AS quantity, n % 3 = 0 AS paid, 'note ' || n AS note
FROM generate_series(1, {rows}) AS n
""",
    "large": "CREATE TABLE large_{number} AS SELECT n, repeat('x', 1048576) AS note FROM generate_series(1, {rows}) AS n",
}
_PIPELINES = {"first": "small", "warm": "small", "large": "large"}
"""Their databases. Each has files of its own, as each day has."""
_TOPICS = ("SNAPSHOTS", "TABLE_EXPORTS", "TABLE_EXPORTED", "DEAD_LETTERS")


@dataclass
class _Mirror:
    """The functions as they are deployed, the bucket that they write to, and the calls of Cloud Storage so far."""

    functions: Deployed
    bucket: storage.Bucket
    calls: list[str]


def measure(work: Path, progress: Progress) -> list[Figure]:
    """Read the small tables in each way, in turns, then the large ones."""
    peers = streams.available()
    seconds: dict[str, list[float]] = {name: [] for name in ("first", "warm", *peers)}
    with Postgres() as server, _mirror(server, work / "mirror") as mirror:
        progress.step(f"small: making {TABLES} tables of {ROWS} rows")
        _fill(server, "small", TABLES, ROWS)
        _fill(server, "large", LARGE, MIB)
        for number in range(1, _TIMES + 1):
            progress.step(f"small: the mirror, {number} of {_TIMES}")
            first, warm = _first_and_warm(mirror)
            seconds["first"].append(first)
            seconds["warm"].append(warm)
            for name, move in peers.items():
                progress.step(f"small: {name}, {number} of {_TIMES}")
                began = time.perf_counter()
                move(server, "small", work / f"{name}-{number}")
                seconds[name].append(time.perf_counter() - began)
        calls = len(mirror.calls) / 2 / TABLES
        progress.step(f"small: {LARGE} tables of {MIB} MiB")
        memory = _most_memory(mirror)
    return [
        *_figures({name: median(each) for name, each in seconds.items()}, peers),
        Figure("small", "by snapshot: calls of Cloud Storage", calls, "a table"),
        Figure("small", f"read_snapshot: memory with tables of {MIB} MiB", memory / 2**20, "MiB", 320),
    ]


def _figures(seconds: Mapping[str, float], peers: Iterable[str]) -> Iterator[Figure]:
    exports = TABLES * OPERATION
    yield Figure("small", f"{TABLES} tables by export: the operations, by arithmetic", exports, "s")
    yield Figure("small", "by snapshot: a first call", seconds["first"], "s", exports / 100)
    yield Figure("small", "by snapshot: a warm call", seconds["warm"], "s")
    for name in peers:
        yield Figure("small", f"{name}: a process", seconds[name], "s")
    for name, target in {"dlt": 2 / 3, "sling": 1.0}.items():
        if name in peers:
            yield Figure("small", f"a first call over {name}", seconds["first"] / seconds[name], target=target)


@contextmanager
def _mirror(server: Postgres, work: Path) -> Iterator[_Mirror]:
    with Storage() as objects, PubSub() as pubsub, Metadata(PROJECT) as metadata:
        calls: list[str] = []

        def note(call: Call, answering: Answering) -> Answer:
            calls.append(call.target)
            return answering(call)

        objects.create_bucket("bench")
        objects.server.between = note
        for each in map(topic, _TOPICS):
            pubsub.create(each, each.replace("/topics/", "/subscriptions/"))
        environ = {"STORAGE_EMULATOR_HOST": objects.url, "PUBSUB_EMULATOR_HOST": pubsub.host, **metadata.environ}
        environ["SNAPSHOTS_TOPIC"] = topic("SNAPSHOTS")
        functions = Deployed(work, {each[0]: _pipeline(server, *each) for each in _PIPELINES.items()}, environ)
        with storage.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": objects.url}) as client:
            yield _Mirror(functions, client.bucket("bench"), calls)


def _pipeline(server: Postgres, name: str, database: str) -> dict[str, Any]:
    datasets = {"shards_dataset": f"{name}_shards", "views_dataset": f"{name}_views"}
    return PIPELINE | datasets | {"host": server.host, "database": database, "small_tables": "snapshot"}


def _fill(server: Postgres, name: str, tables: int, rows: int) -> None:
    server.create(name)
    with closing(server.connect(name)) as connection:
        for number in range(tables):
            connection.run(_CREATE[name].format(number=number, rows=rows))


def _first_and_warm(mirror: _Mirror) -> tuple[float, float]:
    """Seconds of two runs. The functions are started for the first, each when its message comes."""
    mirror.bucket.delete_blobs(list(mirror.bucket.list_blobs()))
    mirror.calls.clear()
    began = time.perf_counter()
    with mirror.functions.start("list_tables") as list_tables:
        wish = _listed(mirror, list_tables, "first")
        with mirror.functions.start("read_snapshot") as read_snapshot:
            receive(read_snapshot, pushed(wish))
            first = time.perf_counter() - began
            began = time.perf_counter()
            receive(read_snapshot, pushed(_listed(mirror, list_tables, "warm")))
            return first, time.perf_counter() - began


def _most_memory(mirror: _Mirror) -> int:
    """The most bytes that read_snapshot has had resident while it read the large tables."""
    with mirror.functions.start("list_tables") as list_tables, mirror.functions.start("read_snapshot") as reading:
        wish = _listed(mirror, list_tables, "large")
        found, is_over = [reading.memory()], Event()

        def look() -> None:
            while not is_over.wait(_OFTEN):
                found.append(reading.memory())

        looking = Thread(target=look)
        looking.start()
        try:
            receive(reading, pushed(wish))
        finally:
            is_over.set()
            looking.join()
        return max(found)


def _listed(mirror: _Mirror, list_tables: Function, pipeline: str) -> dict[str, Any]:
    """Have a pipeline's tables listed, and give the message that wishes for the snapshot."""
    run_id = str(time.time_ns())
    receive(list_tables, pushed({"pipeline": pipeline}, run_id))
    run = json.loads(mirror.bucket.blob(f"{pipeline}/_runs/{run_id}/manifest.json").download_as_bytes())
    if any(each["snapshot"] != 1 for each in run["tables"]):
        raise RuntimeError("not all tables are to be read by one snapshot")
    return {name: run[name] for name in ("run_id", "requested_at", "pipeline", "shard_date")} | {
        "replace": True,
        "snapshot": 1,
    }
