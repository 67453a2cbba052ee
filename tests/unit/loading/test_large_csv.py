"""How much CSV is given to BigQuery."""

from dataclasses import replace

import pytest

from shared.bucket import File
from shared.errors import Permanent
from shared.loading.attempts import LoadJob
from shared.loading.load import LARGEST_CSV, LoadServices, load_shard
from shared.messages.exports import TableExported
from shared.messages.requests import MirrorRequest
from shared.pipelines import Pipeline
from shared.runs import manifest, schema_file
from shared.runs.schema_file import Seal
from tests.support.billing import EXPORT, REQUESTED_AT
from tests.support.memory import Memory


class Large(Memory):
    """A bucket whose objects are of this size."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def bucket(self, _name: str) -> Memory:
        return self

    def stat(self, name: str) -> File | None:
        found = super().stat(name)
        return replace(found, size=self._size) if found else None


class Jobs:
    """BigQuery, which loads whatever it is given."""

    def __init__(self) -> None:
        self.loaded: list[str] = []

    def load(self, job_id: str, pair: str, exported: TableExported, seal: Seal) -> LoadJob:  # noqa: ARG002 - the port's
        self.loaded.append(exported.data_uri)
        return LoadJob(job_id, pair, REQUESTED_AT, existed=False, rows=7)

    def begun(self, _job_id: str, _pipeline: Pipeline) -> LoadJob | None:
        return None


def load(size: int, file_format: str) -> list[str]:
    """What BigQuery is given of a pair with so many bytes of data."""
    storage, jobs, uri = Large(size), Jobs(), f"gs://p-mirror/billing/orders/data_20261122.{file_format}"
    seal = Seal("9912", REQUESTED_AT, REQUESTED_AT, uri, 1, file_format)
    request = MirrorRequest("9912", REQUESTED_AT, EXPORT.pipeline, None, EXPORT.shard_date, replace=True)
    manifest.write(storage, EXPORT.pipeline, manifest.of_request(request, [EXPORT.to_json()]))
    storage.write("billing/orders/schema_20261122.json", schema_file.write(EXPORT, seal), 0)
    storage.write(f"billing/orders/data_20261122.{file_format}", b"1\n", 0)
    announced = EXPORT.exported("gs://p-mirror/billing/orders/schema_20261122.json", uri, file_format, replace=True)
    try:
        load_shard(announced, REQUESTED_AT, LoadServices(storage, jobs))
    finally:
        is_recorded = "billing/_runs/9912/failed/orders.json" in storage.objects
        assert is_recorded != bool(jobs.loaded)
    return jobs.loaded


def test_a_csv_over_four_gib_is_not_given_to_bigquery() -> None:
    with pytest.raises(Permanent, match=r'public\.orders has 4294967297 bytes of CSV.*"format": "ndjson"'):
        load(LARGEST_CSV + 1, "csv")


def test_four_gib_of_csv_are_loaded() -> None:
    assert LARGEST_CSV == 4_294_967_296
    assert len(load(LARGEST_CSV, "csv")) == 1


def test_ndjson_may_be_larger() -> None:
    assert len(load(100 * LARGEST_CSV, "ndjson")) == 1
