"""By which columns a shard is clustered."""

import pytest

from shared.exporting import typemap
from shared.exporting.clustering import clustering
from shared.tables import Column

HELD = (
    "bigint",
    "text",
    "date",
    "timestamp without time zone",
    "timestamp with time zone",
    "boolean",
    "numeric(12,2)",
    "numeric(50,20)",
    "uuid",
)
COLUMNS = [Column(f"k {number}", data_type, nullable=False) for number, data_type in enumerate(HELD)]
KEY = [column.name for column in COLUMNS]
OTHERS = ["real", "bytea", "time without time zone", "json", "integer[]"]


def clustered(columns: list[Column], key: list[str]) -> tuple[str, ...]:
    return clustering(key, typemap.mapped(columns, "null"))


@pytest.mark.parametrize("at", range(len(HELD)))
def test_each_type_that_bigquery_clusters_by_counts(at: int) -> None:
    assert clustered(COLUMNS, KEY[at : at + 1]) == (f"k_{at}",)


def test_a_table_without_a_key_is_not_clustered() -> None:
    assert clustered(COLUMNS, []) == ()


def test_four_columns_count_in_the_order_of_the_key() -> None:
    assert clustered(COLUMNS, KEY[::-1]) == ("k_8", "k_7", "k_6", "k_5")


@pytest.mark.parametrize("data_type", OTHERS)
def test_it_ends_before_a_column_of_another_type(data_type: str) -> None:
    columns = [*COLUMNS, Column("other", data_type, nullable=False)]

    assert clustered(columns, [KEY[1], "other", KEY[0]]) == ("k_1",)
    assert clustered(columns, ["other", KEY[0]]) == ()


def test_it_ends_before_a_column_that_is_hashed_or_not_there() -> None:
    columns = [*COLUMNS, Column("email", "text", nullable=False, hashed=True)]

    assert clustered(columns, [KEY[1], "email", KEY[0]]) == ("k_1",)
    assert clustered(columns, [KEY[1], "gone", KEY[0]]) == ("k_1",)


def test_its_names_are_those_of_bigquery() -> None:
    assert clustered(
        [Column("1st", "text", nullable=False), Column("_1ST", "text", nullable=False)], ["_1ST", "1st"]
    ) == ("_1ST_2", "_1st")
