"""
The fan-out: how long it takes to list many tables and to publish a message for each.

Compared with the bare catalog query and the bare publishing of the same messages.
"""

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median

import grpc
import pg8000.dbapi
from google.pubsub_v1 import PublisherClient, PubsubMessage
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

from bench.deployed import PIPELINE, topic
from bench.figures import Figure
from bench.progress import Progress
from local.cloud import PROJECT
from local.postgres import Postgres as Server
from local.pubsub import PubSub as PubSubServer
from local.source import INSTANCE
from local.storage import Storage as StorageServer
from shared import bucket as paths
from shared import pipelines
from shared.gcp.bigquery import BigQuery
from shared.gcp.catalog_sql import TABLES
from shared.gcp.postgres import Postgres
from shared.gcp.pubsub import PubSub
from shared.gcp.storage import Storage
from shared.listing import fanout
from shared.messages.requests import MirrorRequest
from shared.runs.announcing import Listeners
from shared.settings import Settings
from shared.times import SystemClock

SIZES = (100, 1_000, 10_000)
_TIMES = 3
_IN_A_CALL = 1_000
"""The most messages that Pub/Sub takes in one call: https://cloud.google.com/pubsub/quotas#resource_limits"""
_BYTES_IN_A_CALL = 9_000_000
# Tables that one statement creates. It holds a lock on each until it ends, and PostgreSQL's lock table is limited.
_AT_ONCE = 500
_CREATE = """
DO $$ BEGIN FOR n IN {first}..{last} LOOP EXECUTE format('CREATE TABLE table_%s (
    id bigint NOT NULL, customer varchar(80), placed timestamptz, total numeric(12,2), status varchar(20), note varchar(80),
    quantity integer, paid boolean, reference uuid, shipped date)', to_char(n, 'FM00000')); END LOOP; END $$
"""


@dataclass(frozen=True)
class _Around:
    """What a run needs: the database, a request for its tables, the services it writes to, and a bare publisher."""

    server: Server
    request: MirrorRequest
    services: fanout.ListServices
    publisher: PublisherClient

    def queries(self) -> int:
        """How many statements have queried the catalog so far, by the database's log."""
        log = Path(self.server.socket_directory, "log").read_text(encoding="utf-8")
        return sum("pg_catalog.pg_class" in said for said in re.split(r"LOG:  ", log))


def measure(_: Path, progress: Progress) -> list[Figure]:
    """List a database of each of the `SIZES`. The mirror and the bare work take turns."""
    figures: list[Figure] = []
    each: dict[int, float] = {}
    with _around() as around:
        made = 0
        for size in SIZES:
            progress.step(f"fanout: making {size:,} tables")
            for first in range(made, size, _AT_ONCE):
                progress.at(f"{first:,}")
                _create(around.server, first, min(first + _AT_ONCE, size))
            made = size
            progress.step(f"fanout: {size:,} tables, {_TIMES} times over")
            ours, bare, queries = _compare(around, progress)
            each[size] = ours / size
            figures += _figures(size, ours, bare, queries)
    few, many = SIZES[-2:]
    return [
        *figures,
        Figure("fanout", f"time a table at {many:,} over that at {few:,}", each[many] / each[few], target=1.1),
    ]


def _figures(size: int, ours: float, bare: float, queries: float) -> list[Figure]:
    target = 1.3 if size == SIZES[-1] else None
    return [
        Figure("fanout", f"{size:,} tables: over the bare query and publishing", ours / bare, target=target),
        Figure("fanout", f"{size:,} tables: to the last publish confirmed", ours, "s"),
        Figure("fanout", f"{size:,} tables: catalog queries", queries, "a run", 1),
    ]


@contextmanager
def _around() -> Iterator[_Around]:
    with ExitStack() as undo:
        server = undo.enter_context(Server({"log_statement": "all"}))
        storage, pubsub = undo.enter_context(StorageServer()), undo.enter_context(PubSubServer())
        storage.create_bucket("bench")
        undo.enter_context(_environment(STORAGE_EMULATOR_HOST=storage.url, PUBSUB_EMULATOR_HOST=pubsub.host))
        channel = undo.enter_context(grpc.insecure_channel(pubsub.host))
        publisher = PublisherClient(transport=PublisherGrpcTransport(channel=channel))
        publisher.create_topic(name=topic("TABLE_EXPORTS"))
        known, _ = pipelines.read(json.dumps({"bench": PIPELINE | {"host": server.host}}))
        settings = Settings(PROJECT, known, topic("DEAD_LETTERS"), table_exports_topic=topic("TABLE_EXPORTS"))
        services = fanout.ListServices(
            Postgres(),
            Storage(PROJECT),
            PubSub(settings),
            BigQuery(PROJECT),
            listeners=Listeners(),
            clock=SystemClock(),
        )
        now = datetime.now(UTC)
        request = MirrorRequest("0", now, known["bench"], None, now.date(), replace=True)
        yield _Around(server, request, services, publisher)


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    """Set environment variables for a while. The client libraries find the stand-ins by them."""
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]


def _create(server: Server, first: int, end: int) -> None:
    with closing(server.connect()) as connection:
        connection.run(_CREATE.format(first=first, last=end - 1))


def _compare(around: _Around, progress: Progress) -> tuple[float, float, float]:
    """Median seconds of the mirror, median seconds of the bare work, and the mirror's catalog queries in one run."""
    ours, bare = [], []
    asked = around.queries()
    for number in range(_TIMES):
        progress.at(f"the mirror, {number + 1}")
        run = replace(around.request, run_id=f"{time.time_ns()}", requested_at=datetime.now(UTC))
        ours.append(_timed(partial(fanout.list_tables, run, around.services)))
        calls = _calls(_published(around, run))
        progress.at(f"the bare work, {number + 1}")
        bare.append(_timed(partial(_bare, around, calls)))
    # Less the bare work's queries: one each time.
    return median(ours), median(bare), (around.queries() - asked - _TIMES) / _TIMES


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _published(around: _Around, run: MirrorRequest) -> list[bytes]:
    """The messages of a run, as they were published."""
    bucket = around.services.storage.bucket(run.pipeline.bucket)
    manifest = bucket.read(paths.manifest_file(run.pipeline.name, run.run_id))
    assert manifest
    return [json.dumps(each, ensure_ascii=False).encode() for each in json.loads(manifest[0])["tables"]]


def _calls(messages: Sequence[bytes]) -> list[list[PubsubMessage]]:
    """The messages in as few calls as Pub/Sub allows."""
    calls: list[list[PubsubMessage]] = [[]]
    size = 0
    for data in messages:
        if len(calls[-1]) == _IN_A_CALL or size + len(data) > _BYTES_IN_A_CALL:
            calls.append([])
            size = 0
        calls[-1].append(PubsubMessage(data=data, ordering_key=INSTANCE))
        size += len(data)
    return calls


def _bare(around: _Around, calls: Sequence[list[PubsubMessage]]) -> None:
    host, _, port = around.server.host.partition(":")
    with closing(pg8000.dbapi.connect(Server.user, host=host, port=int(port))) as connection:
        cursor = connection.cursor()
        cursor.execute(TABLES, (["public"],))
        cursor.fetchall()
    for call in calls:
        around.publisher.publish(topic=topic("TABLE_EXPORTS"), messages=call)
