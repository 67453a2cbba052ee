"""By what a shard is clustered, and what becomes of that when it is loaded again."""

from typing import Any

import pytest
from google.cloud import bigquery

from local.rest import ApiError, Fault
from tests.support.pairs import ID, NOTE, announce, put_pair
from tests.support.stage import Stage

AMOUNT = NOTE | {"name": "note", "bigquery_type": "FLOAT64"}


def clustering(stage: Stage) -> list[str] | None:
    shard: bigquery.Table = stage.warehouse.get_table(stage.shard("orders_20260115"))
    found: list[str] | None = shard.clustering_fields
    return found


def load(stage: Stage, run: str = "", rows: str = "1,2\n", replace: bool = True, **sealed: Any) -> int:
    run_id = f"{stage.run_id}{run}"
    put_pair(stage, rows, run_id=run_id, **sealed)
    return stage.function("load_shard").receive(announce(stage, run_id=run_id, replace=replace))


@pytest.mark.parametrize("by", [["id"], ["note", "id"]])
def test_a_shard_is_clustered_as_its_schema_file_says(stage: Stage, by: list[str]) -> None:
    assert load(stage, clustering=by) == 200
    assert clustering(stage) == by


def test_one_whose_file_says_nothing_is_not(stage: Stage) -> None:
    assert load(stage) == 200
    assert clustering(stage) is None


@pytest.mark.parametrize("described", [True, False])
@pytest.mark.parametrize(("first", "then"), [([], ["id"]), (["id"], ["note"]), (["id"], []), (["id"], ["id"])])
def test_a_shard_that_stands_keeps_its_clustering(
    stage: Stage, first: list[str], then: list[str], described: bool
) -> None:
    more: dict[str, Any] = {} if described else {"description": None, "columns": [ID | {"description": None}, NOTE]}
    load(stage, clustering=first, **more)

    status = load(stage, "-later", "7,8\n", clustering=then, **more)

    assert status == 200
    assert clustering(stage) == (first or None)
    assert [row.values() for row in stage.warehouse.list_rows(stage.shard("orders_20260115"))] == [(7, "8")]
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("columns", [[ID], [ID, AMOUNT]], ids=["gone", "of another type"])
def test_one_whose_column_cannot_be_clustered_by_any_more_is_loaded_without(
    stage: Stage, columns: list[dict[str, Any]]
) -> None:
    load(stage, clustering=["id", "note"])

    status = load(stage, "-later", "7\n" if len(columns) == 1 else "7,1.5\n", columns=columns, clustering=["id"])

    assert status == 200
    assert clustering(stage) is None
    assert [row["id"] for row in stage.warehouse.list_rows(stage.shard("orders_20260115"))] == [7]
    assert stage.published("dead-letters") == []


def test_a_shard_that_may_not_be_replaced_stays_as_it_is(stage: Stage) -> None:
    load(stage, clustering=["id", "note"])

    status = load(stage, "-later", "7\n", replace=False, columns=[ID])

    assert status == 200
    assert clustering(stage) == ["id", "note"]
    assert [row["id"] for row in stage.warehouse.list_rows(stage.shard("orders_20260115"))] == [1]


def test_it_is_reported_if_bigquery_does_not_let_us_take_it_off(stage: Stage) -> None:
    load(stage, clustering=["note"])
    stage.bigquery.plan("bigquery.tables.patch", Fault(ApiError(403, "accessDenied")))

    status = load(stage, "-later", "7\n", columns=[ID])

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "orders_20260115" in letter.attributes["error"]
