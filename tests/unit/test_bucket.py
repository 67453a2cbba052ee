"""What the objects of a pipeline's bucket are called."""

from datetime import date

import pytest

from shared import bucket

DAY = date(2026, 11, 22)


def test_the_schema_file_stands_in_the_tables_folder() -> None:
    assert bucket.schema_file("billing", "orders", DAY) == "billing/orders/schema_20261122.json"


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_the_data_file_stands_beside_it(file_format: str) -> None:
    assert bucket.data_file("billing", "orders", DAY, file_format) == f"billing/orders/data_20261122.{file_format}"


def test_staged_data_stands_under_the_run() -> None:
    staged = bucket.staged_file("billing", "9912", "orders", DAY, "csv")

    assert staged == "billing/_staging/9912/orders_20261122.csv"


def test_a_uri_names_bucket_and_object() -> None:
    assert (
        bucket.uri("my-mirror", "billing/orders/data_20261122.csv") == "gs://my-mirror/billing/orders/data_20261122.csv"
    )


def test_the_name_of_an_object_comes_back_from_its_uri() -> None:
    name = "billing/orders/data_20261122.csv"

    assert bucket.object_name("my-mirror", bucket.uri("my-mirror", name)) == name


def test_a_manifest_stands_in_its_runs_folder() -> None:
    assert bucket.manifest_file("billing", "9912") == "billing/_runs/9912/manifest.json"


def test_the_newest_manifest_stands_under_its_day() -> None:
    assert bucket.newest_manifest_file("billing", DAY) == "billing/manifest_20261122.json"


@pytest.mark.parametrize("settled", ["exported", "failed", "skipped"])
def test_what_became_of_a_table_stands_in_its_runs_folder(settled: str) -> None:
    assert bucket.record_file("billing", "9912", settled, "orders") == f"billing/_runs/9912/{settled}/orders.json"


def test_what_else_is_known_of_a_run_stands_in_its_folder() -> None:
    assert bucket.run_folder("billing", "9912") == "billing/_runs/9912/"
    assert bucket.described_again_file("billing", "9912", "orders") == "billing/_runs/9912/relisted/orders.json"
    assert bucket.run_exported_file("billing", "9912") == "billing/_runs/9912/run_exported.json"


def test_no_table_is_called_like_a_folder_of_ours() -> None:
    staged, record = bucket.staged_file("billing", "9912", "t", DAY, "csv"), bucket.manifest_file("billing", "9912")
    plan = bucket.plan_file("billing", "9912")

    assert {name.split("/")[1] for name in (staged, record, plan)} == bucket.RESERVED
