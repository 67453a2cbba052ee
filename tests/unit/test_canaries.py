"""Canaries are of every type that a table can have in BigQuery, and whatever of them arrives otherwise is told."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared import canaries
from shared.exporting import statement, typemap
from shared.messages.exports import TableExport
from shared.pipelines import Pipeline
from tests.support import unqualified

PIPELINE = Pipeline("p", "p:r:i", "postgres", "user", "bucket", "shards", "views")
COLUMNS = typemap.mapped(canaries.columns(), "null")


def query(name: str, file_format: str) -> str:
    export = TableExport(
        run_id="1",
        requested_at=datetime(2026, 1, 15, tzinfo=UTC),
        pipeline=PIPELINE,
        schema="public",
        table=name,
        table_id=name,
        shard_date=date(2026, 1, 15),
        replace=True,
        columns=canaries.columns(),
        format=file_format,
        check=True,
    )
    return statement.extraction(export, COLUMNS).query


def test_there_is_a_column_of_each_type_that_the_mirror_makes() -> None:
    kinds = [*vars(typemap)["_BY_NAME"].values(), *vars(typemap)["_ARRAYS"].values()]

    assert {each.kind.bigquery_type for each in COLUMNS} == {each.bigquery_type for each in kinds} | {
        "BIGNUMERIC",
        "STRING",
    }


def test_each_column_has_values_and_nulls_and_a_row_of_nothing_but_its_number() -> None:
    rows = canaries.rows()

    assert all(row[column.name] is not None for row in rows[:1] for column in COLUMNS)
    assert {value for name, value in rows[-1].items() if name != canaries.KEY} == {None}
    assert [list(row) for row in rows] == [[column.name for column in COLUMNS]] * len(canaries.texts())


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_the_query_names_one_table_which_every_database_has_and_calls_nothing_by_its_bare_name(
    file_format: str,
) -> None:
    asked = query(canaries.CSV, file_format)

    assert (unqualified.found(asked), asked.count("pg_catalog.pg_database"), asked.isascii()) == ([], 1, True)
    assert asked.isprintable()


def test_what_arrives_as_it_was_sent_is_no_difference_in_whatever_order() -> None:
    assert canaries.differences(reversed(canaries.rows())) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("text", None),
        ("whole", 0.0),
        ("flag", 1),
        ("float", 0.1000000001),
        ("day", datetime(1, 1, 1)),  # noqa: DTZ001
        ("instant", datetime(1, 1, 1)),  # noqa: DTZ001
        ("bytes", ""),
        ("list", [1, -3, None]),
        ("list", [True, None, -3]),
        ("list", [1.0, None, -3]),
        ("document", '{"a": 1}'),
    ],
)
def test_another_value_or_type_is_a_difference(name: str, value: Any) -> None:
    first, *rest = canaries.rows()

    [said] = canaries.differences([{**first, name: value}, *rest])

    assert said.startswith(f"{name} of the row 1 is {value!r}, and was sent as ")


def test_rows_that_are_missing_too_many_or_twice_are_told() -> None:
    _, *rest = canaries.rows()

    assert canaries.differences([*rest, rest[0], {canaries.KEY: 99}]) == [
        "the row 1 is missing",
        "there is a row 99, which was not sent",
        "the row 2 is there 2 times",
    ]


@pytest.mark.parametrize("name", ["mirror_check_csv", "mirror_checks", "Mirror_Check_2"])
def test_an_id_that_begins_as_those_of_canaries_is_kept_for_them(name: str) -> None:
    assert canaries.is_canary(name)
    assert canaries.are_canaries([name])
    assert not canaries.are_canaries([name, "orders"])


@pytest.mark.parametrize("name", ["mirror", "orders", "a_mirror_check", "public.mirror_check_csv"])
def test_no_other_id_is(name: str) -> None:
    assert not canaries.is_canary(name)
    assert not canaries.are_canaries([name])
    assert not canaries.are_canaries([])


def test_a_text_may_be_spelt_in_ascii_and_in_no_other_way() -> None:
    first, *rest = [{**row, "text": canaries.spelt(row["text"] or "") or row["text"]} for row in canaries.rows()]
    broken = [
        {**row, "text": row["text"] and row["text"].encode("ascii", "replace").decode()} for row in canaries.rows()
    ]

    assert canaries.differences([first, *rest]) == []
    assert len(canaries.differences(broken)) == 1
