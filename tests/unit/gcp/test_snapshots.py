"""A connection for reading tables, to a real PostgreSQL."""

from collections.abc import Iterator
from io import BytesIO

import pytest

from local.postgres import Postgres
from shared.exporting.statement import Extraction
from shared.gcp.snapshots import Reading, Readings
from shared.pipelines import Pipeline
from shared.tables import Table
from tests.support.asked import export_of


@pytest.fixture(scope="module", name="pipeline")
def _pipeline() -> Iterator[Pipeline]:
    with Postgres() as server:
        yield Pipeline("p", "p:r:i", "postgres", server.user, "b", "s", "v", host=server.host)


@pytest.fixture(name="reading")
def _reading(pipeline: Pipeline) -> Iterator[Reading]:
    with Readings().reading(pipeline) as reading:
        yield reading


class Full:
    """A sink that takes nothing."""

    def write(self, chunk: bytes) -> None:
        raise BufferError(f"{len(chunk)} bytes are too many")


def test_a_sink_that_fails_ends_a_copy_without_end_and_the_snapshot_is_kept(
    reading: Reading, pipeline: Pipeline
) -> None:
    export = export_of(Table("public", "t", ()), pipeline, "csv")
    moment = reading.begin()

    with pytest.raises(BufferError, match="too many"):
        reading.copy(export, said("SELECT pg_catalog.generate_series(1, 1e12)"), Full())

    sink = BytesIO()
    reading.copy(export, said("SELECT pg_catalog.pg_current_snapshot() IS NOT NULL"), sink)
    assert sink.getvalue() == b"t\n"
    assert moment.name


def said(query: str) -> Extraction:
    return Extraction(query, "22", "22", "2C")
