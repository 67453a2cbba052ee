"""The reconcile: how long it takes to move many views, compared with the least that BigQuery's rate limits allow."""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from bench.deployed import PIPELINE, Deployed, pushed, receive
from bench.figures import Figure
from bench.progress import Progress
from local.bigquery import BigQuery
from local.cloud import PROJECT
from local.functions import Function
from local.metadata import Metadata
from local.server import Answer, Answering, Call
from local.storage import Storage
from shared.tables import Shard

SIZES = (10, 100, 1_000)
LATENCY = 0.05
"""Seconds added to each BigQuery call."""
_RATE = 100
"""Calls of one method that a user may make in a second: https://cloud.google.com/bigquery/quotas#api_request_quotas"""
_GETS, _PATCHES = 2, 1
"""Calls for one view: get the view, get the shard that it moves to, patch the view."""
_PAGE = 1_000
_DAYS = (date(2026, 11, 21), date(2026, 11, 22))


def limit(views: int, latency: float) -> float:
    """
    The least seconds in which so many views can be moved, if each call takes `latency` seconds.

    The shards are listed first, page by page. Then as many calls run at once as the rate limit allows.
    """
    at_once = _RATE * latency / _GETS * (_GETS + _PATCHES)
    pages = -(-views * len(_DAYS) // _PAGE)
    return pages * latency + max(views * (_GETS + _PATCHES) / at_once, _GETS + _PATCHES) * latency


def measure(work: Path, progress: Progress) -> list[Figure]:
    """Move all views of a pipeline by one day, by one request."""
    figures: list[Figure] = []
    with _around(work) as (warehouse, refresh_views):
        for size in (1, *SIZES):
            progress.step(f"reconcile: making {size:,} views, and moving them at {LATENCY * 1000:g} ms a call")
            _make(warehouse, size, progress)
            seconds, calls = _move(warehouse, refresh_views, size)
            if size > 1:  # the first time, the function makes its clients
                figures += _figures(size, seconds, calls)
    return figures


def _figures(size: int, seconds: float, calls: Counter[str]) -> Iterator[Figure]:
    views, most = f"{size:,} views", max(calls.values()) / seconds
    yield Figure(
        "reconcile", f"{views}: over what the limits on calls allow", seconds / limit(size, LATENCY), target=1.2
    )
    yield Figure("reconcile", f"{views}: all moved", seconds, "s")
    yield Figure("reconcile", f"{views}: BigQuery calls", calls.total() / size, "a view")
    yield Figure("reconcile", f"{views}: calls of the most called method", most, "/s", _RATE)


@contextmanager
def _around(work: Path) -> Iterator[tuple[BigQuery, Function]]:
    with Storage() as storage, BigQuery(PROJECT, storage.url) as warehouse, Metadata(PROJECT) as metadata:
        storage.create_bucket(PIPELINE["bucket"])
        environ = {"BIGQUERY_EMULATOR_HOST": warehouse.url, "STORAGE_EMULATOR_HOST": storage.url, **metadata.environ}
        pipelines = {_name(size): PIPELINE | _datasets(size) for size in (1, *SIZES)}
        with Deployed(work, pipelines, environ).start("refresh_views") as function:
            yield warehouse, function


def _name(size: int) -> str:
    return f"bench-{size}"


def _datasets(size: int) -> dict[str, str]:
    return {"shards_dataset": f"shards_{size}", "views_dataset": f"views_{size}"}


def _make(warehouse: BigQuery, size: int, progress: Progress) -> None:
    """Create two shards for each table, one for each of `_DAYS`, and a view of the first."""
    columns = [bigquery.SchemaField("id", "INT64"), bigquery.SchemaField("note", "STRING")]
    shards, views = _datasets(size).values()
    with bigquery.Client(PROJECT, AnonymousCredentials(), client_options={"api_endpoint": warehouse.url}) as client:
        for dataset in (shards, views):
            client.create_dataset(dataset)
        for number in range(size):
            progress.at(f"view {number:,}")
            days = [f"{PROJECT}.{shards}.{Shard(f'table_{number}', day).name}" for day in _DAYS]
            for name in days:
                client.create_table(bigquery.Table(name, columns))
            view = bigquery.Table(f"{PROJECT}.{views}.table_{number}")
            view.view_query = f"SELECT * FROM `{days[0]}`"
            client.create_table(view)


def _move(warehouse: BigQuery, refresh_views: Function, size: int) -> tuple[float, Counter[str]]:
    """Reconcile once. Gives its seconds, and how often it called each method."""
    earlier = len(warehouse.calls)
    warehouse.server.between = _late
    began = time.perf_counter()
    receive(refresh_views, pushed({"pipeline": _name(size)}))
    seconds = time.perf_counter() - began
    warehouse.server.between = None
    calls = Counter(method for method, _ in warehouse.calls[earlier:])
    if calls["bigquery.tables.patch"] != size:
        raise RuntimeError(f"{calls['bigquery.tables.patch']} views were moved, not {size}")
    return seconds, calls


def _late(call: Call, answering: Answering) -> Answer:
    time.sleep(LATENCY)
    return answering(call)
