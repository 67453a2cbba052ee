"""Tables whose names differ by case alone: two tables to BigQuery, but in a dataset that ignores case."""

import json

import pytest
from google.cloud.bigquery import Dataset

from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT
from tests.support.views.steps import called, refused

REQUEST = {"pipeline": "billing"}


@pytest.fixture(autouse=True)
def source(stage: Stage) -> None:
    stage.run('CREATE TABLE "Orders" (id int)', "CREATE TABLE orders (id int)", "CREATE TABLE refunds (id int)")


@pytest.mark.parametrize("which", ["shards_dataset", "views_dataset"])
def test_in_a_dataset_without_case_all_of_them_are_refused_by_name_and_the_rest_goes_on(
    stage: Stage, log: Log, which: str
) -> None:
    _ignore_case(stage, which)

    status = stage.function("list_tables").receive(REQUEST)

    errors = {line["table"]: line["message"] for line in log() if line["severity"] == "ERROR"}
    assert status == 200
    assert _exported(stage) == ["refunds"]
    assert errors.keys() == {"public.Orders", "public.orders"}
    assert "as public.orders would" in errors["public.Orders"]
    assert "as public.Orders would" in errors["public.orders"]
    assert {name for name in stage.files() if "/failed/" in name} == {
        f"billing/_runs/9912/failed/{table}.json" for table in ("Orders", "orders")
    }


def test_one_of_them_alone_is_refused_too_when_it_is_requested_by_name(stage: Stage) -> None:
    _ignore_case(stage, "shards_dataset")

    stage.function("list_tables").receive(REQUEST | {"tables": ["orders", "refunds"]})

    assert _exported(stage) == ["refunds"]


def test_one_that_is_excluded_stands_in_nobodys_way(stage: Stage) -> None:
    _ignore_case(stage, "shards_dataset")
    stage.pipeline["exclude"] = ["public.Orders"]
    stage.bigquery.calls.clear()

    stage.function("list_tables").receive(REQUEST)

    assert _exported(stage) == ["orders", "refunds"]
    assert called(stage) == []


def test_elsewhere_they_are_two_tables(stage: Stage) -> None:
    stage.function("list_tables").receive(REQUEST)

    assert _exported(stage) == ["Orders", "orders", "refunds"]
    assert called(stage) == ["datasets.get", "datasets.get"]


def test_a_dataset_that_list_tables_may_not_look_at_is_said_by_its_name(stage: Stage) -> None:
    target = f"/datasets/{stage.pipeline['shards_dataset']}"

    with interposed(refused(1, target, verb="GET", reason="accessDenied"), stage.bigquery.server):
        status = stage.function("list_tables").receive(REQUEST)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert stage.pipeline["shards_dataset"] in letter.attributes["error"]


def _ignore_case(stage: Stage, which: str) -> None:
    """Take another dataset, `shards_dataset` or `views_dataset`, that ignores case."""
    stage.pipeline[which] += "_without_case"
    dataset = Dataset(f"{PROJECT}.{stage.pipeline[which]}")
    dataset.is_case_insensitive = True
    stage.warehouse.create_dataset(dataset)


def _exported(stage: Stage) -> list[str]:
    """The tables whose export has been asked for."""
    return sorted(json.loads(message.data)["table"] for message in stage.published("table-exports"))
