"""One table's events: their calls from its export to its view, which are to be as many in a run of any number of tables."""

import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from google.cloud import bigquery

from bench.deployed import PIPELINE
from bench.figures import Figure
from bench.progress import Progress
from local.cloud import PROJECT, Cloud
from local.postgres import Postgres
from local.server import Answer, Answering, Call
from local.source import INSTANCE
from shared import pipelines, times
from shared.gcp.storage import Bucket
from shared.messages.exports import TableExport
from shared.messages.requests import MirrorRequest
from shared.runs import digests, manifest, records
from shared.tables import Column

SIZES = (10, 1_000, 10_000)
_COUNTED = 3
"""Tables whose events are counted. The fewest calls count: a look at a job that goes on may come too early."""
_FEW = tuple(f"few_{number}" for number in range(_COUNTED + 2))
"""The last tables of a run: one whose event comes first, those that are counted, and the very last."""
_NOT_COUNTED = re.compile(r"GET (/storage/v1/b/[^/]+\?|.*/operations/)")
"""A bucket, for which the client of Cloud Storage asks on its own account, and an operation that goes on: by the clock, both."""
_LIST = re.compile(r"GET .*/(o|tables|jobs)\?")
_PAGES = "pages of lists"
_QUIET, _PAUSE = 0.3, 0.01
"""Seconds in which nothing is left to be done, and nothing more comes of an event; and between two looks at that."""


def measure(work: Path, progress: Progress) -> list[Figure]:
    """Have a few tables come in a run of each of the `SIZES`, whose other tables have settled and have their shards."""
    counts: dict[int, Counter[str]] = {}
    last: dict[int, int] = {}
    with Postgres() as server:
        with closing(server.connect()) as connection:
            for name in _FEW:
                connection.run(f"CREATE TABLE {name} AS SELECT 1::bigint AS id")
        for size in SIZES:
            progress.step(f"events: making a run of {size:,} tables")
            with _cloud(work / str(size), server) as (cloud, calls):
                exports = _begin(cloud, size, progress)
                progress.step(f"events: {len(_FEW)} tables of {size:,}")
                _, *counted, end = [_come(cloud, calls, export) for export in exports]
            counts[size] = Counter(
                {what: min(each[what] for each in counted) for what in sorted(set().union(*counted))}
            )
            last[size] = end[_PAGES]
    return list(_figures(counts, last))


def _figures(counts: dict[int, Counter[str]], last: dict[int, int]) -> Iterator[Figure]:
    """What a run of the least size costs is the target of the others."""
    least = counts[SIZES[0]]
    for size, found in counts.items():
        for what in sorted({*found, *least, _PAGES}):
            target = least[what] if size > SIZES[0] else None
            yield Figure("events", f"{size:,} tables: {what}", found[what], "a table", target)
        yield Figure("events", f"{size:,} tables: {_PAGES}, for the last table", last[size], "a run")


@contextmanager
def _cloud(work: Path, server: Postgres) -> Iterator[tuple[Cloud, list[str]]]:
    """A cloud, and the calls that its services hear."""
    work.mkdir()
    calls: list[str] = []
    with Cloud({"bench": PIPELINE | {"host": server.host}}, {INSTANCE: server.connect}, work) as cloud:
        servers = {
            "Cloud Storage": cloud.storage.server,
            "BigQuery": cloud.bigquery.server,
            "the Admin API": cloud.admin.server,
        }
        for service, listener in servers.items():
            listener.between = partial(_note, calls, service)
        yield cloud, calls


def _note(calls: list[str], service: str, call: Call, answering: Answering) -> Answer:
    said = f"{call.verb} {call.target}"
    if not _NOT_COUNTED.match(said):
        calls += [f"calls of {service}", *([_PAGES] if _LIST.match(said) else [])]
    return answering(call)


def _begin(cloud: Cloud, size: int, progress: Progress) -> Sequence[TableExport]:
    """Write down a run, settle all but the few, and give the exports of these."""
    found, _ = pipelines.read(json.dumps({"bench": PIPELINE}))
    now = datetime.now(UTC)
    request = MirrorRequest("9912", now, found["bench"], None, now.date(), replace=True)
    others = [f"table_{number:05}" for number in range(size - len(_FEW))]
    exports = [_export(name, request) for name in (*others, *_FEW)]
    with cloud.objects() as client, cloud.warehouse() as warehouse:
        bucket = Bucket(client.bucket(request.pipeline.bucket))
        run = manifest.of_request(request, [export.to_json() for export in exports])
        digests.write(bucket, request.pipeline, manifest.write(bucket, request.pipeline, run), is_new=True)
        manifest.show_newest(bucket, request.pipeline, run)
        for export in exports[: -len(_FEW)]:
            progress.at(export.table)
            records.record(bucket, export, records.EXPORTED, {})
            records.record(bucket, export, records.SHOWN, {"shown_at": times.rfc3339(now)})
            shard = f"{PROJECT}.{request.pipeline.shards_dataset}.{export.shard.name}"
            warehouse.create_table(bigquery.Table(shard, [bigquery.SchemaField("id", "INT64")]))
    return exports[-len(_FEW) :]


def _export(name: str, request: MirrorRequest) -> TableExport:
    return TableExport(
        run_id=request.run_id,
        requested_at=request.requested_at,
        pipeline=request.pipeline,
        schema="public",
        table=name,
        table_id=name,
        shard_date=request.shard_date,
        replace=True,
        columns=(Column("id", "bigint", nullable=True),),
        format="csv",
    )


def _come(cloud: Cloud, calls: list[str], export: TableExport) -> Counter[str]:
    """Have a table exported, loaded and shown, and give the calls of that."""
    calls.clear()
    cloud.publish("table-exports", export.to_json())
    quiet = 0.0
    while quiet < _QUIET:
        time.sleep(_PAUSE)
        quiet = quiet + _PAUSE if cloud.is_idle() else 0.0
    return Counter(calls)
