"""Which format a table's data file has."""

import pytest

from shared.listing.formats import LARGEST_CSV, data_format
from shared.pipelines import Pipeline
from shared.tables import Column, Table

ID = Column("id", "bigint", nullable=False)
NOTE = Column("note", "text", nullable=True)


def pipeline(**changes: str) -> Pipeline:
    return Pipeline("billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views", **changes)  # type: ignore[arg-type]


def table(*columns: Column, size: int | None = 8192) -> Table:
    return Table("public", "orders", columns or (ID, NOTE), size=size)


def test_a_small_table_is_csv_where_nothing_else_is_said() -> None:
    assert data_format(table(), pipeline()) == "csv"


@pytest.mark.parametrize(
    ("size", "chosen"), [(LARGEST_CSV, "csv"), (LARGEST_CSV + 1, "ndjson"), (None, "ndjson"), (0, "csv")]
)
def test_a_table_that_is_large_or_of_unknown_size_is_ndjson(size: int | None, chosen: str) -> None:
    assert data_format(table(size=size), pipeline()) == chosen


def test_a_scio_job_reads_ndjson() -> None:
    assert data_format(table(), pipeline(loader="scio")) == "ndjson"


@pytest.mark.parametrize("chosen", ["csv", "ndjson"])
@pytest.mark.parametrize("size", [8192, LARGEST_CSV + 1, None])
def test_a_format_that_the_pipeline_names_is_taken(chosen: str, size: int | None) -> None:
    assert data_format(table(size=size), pipeline(format=chosen, loader="scio")) == chosen


@pytest.mark.parametrize("asked", ["auto", "csv"])
def test_one_column_that_may_be_null_is_ndjson_and_one_that_may_not_is_csv(asked: str) -> None:
    assert data_format(table(NOTE), pipeline(format=asked)) == "ndjson"
    assert data_format(table(ID), pipeline(format=asked)) == "csv"
