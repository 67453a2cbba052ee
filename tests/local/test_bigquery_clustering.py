"""How the local BigQuery holds the clustering of a table."""

from collections.abc import Iterator
from contextlib import closing

import google.cloud.storage as storage
import pytest
from google.api_core.exceptions import BadRequest
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from local.bigquery import BigQuery
from local.storage import Storage

COLUMNS = [bigquery.SchemaField(name, kind) for name, kind in (("id", "INT64"), ("at", "TIMESTAMP"), ("f", "FLOAT64"))]


@pytest.fixture(name="client")
def connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[bigquery.Client]:
    with Storage() as objects, BigQuery("p", objects.url) as service:
        objects.create_bucket("files")
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", service.url)
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", objects.url)
        with (
            closing(storage.Client("p", AnonymousCredentials())) as files,
            bigquery.Client("p", AnonymousCredentials()) as client,
        ):
            files.bucket("files").blob("data.csv").upload_from_string("1,,1.5\n")
            client.create_dataset("d")
            yield client


def load(
    client: bigquery.Client, clustering: list[str] | None, columns: list[bigquery.SchemaField] = COLUMNS, to: str = "t"
) -> None:
    config = bigquery.LoadJobConfig(schema=columns, source_format="CSV", write_disposition="WRITE_TRUNCATE")
    config.clustering_fields = clustering
    client.load_table_from_uri("gs://files/data.csv", f"p.d.{to}", job_config=config).result()


def clustering(client: bigquery.Client, table: str = "t") -> list[str] | None:
    found: list[str] | None = client.get_table(f"p.d.{table}").clustering_fields
    return found


@pytest.mark.parametrize("fields", [None, ["id"], ["at", "id"]])
def test_a_load_that_makes_a_table_clusters_it(client: bigquery.Client, fields: list[str] | None) -> None:
    load(client, fields)

    assert clustering(client) == fields
    assert [table.clustering_fields for table in client.list_tables("p.d")] == [fields]


@pytest.mark.parametrize(("fields", "said"), [(["f"], "FLOAT"), (["x"], "x"), (["id"] * 5, "1 to 4")])
def test_a_clustering_that_bigquery_has_not_is_refused(client: bigquery.Client, fields: list[str], said: str) -> None:
    with pytest.raises(BadRequest, match=said):
        load(client, fields)


@pytest.mark.parametrize(("there", "given"), [(None, ["id"]), (["id"], ["at"]), (["id"], None)])
def test_a_load_that_says_otherwise_of_a_table_that_is_there_is_refused(
    client: bigquery.Client, there: list[str] | None, given: list[str] | None
) -> None:
    load(client, there)

    with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
        load(client, given)

    load(client, there)
    assert clustering(client) == there


def test_a_load_without_the_column_that_its_table_is_clustered_by_is_refused(client: bigquery.Client) -> None:
    load(client, ["id"])

    with pytest.raises(BadRequest, match="cannot be found in the schema: id"):
        load(client, ["id"], [bigquery.SchemaField("other", "STRING"), *COLUMNS[1:]])


@pytest.mark.parametrize("fields", [None, ["at"]])
def test_a_patch_changes_it(client: bigquery.Client, fields: list[str] | None) -> None:
    load(client, ["id"])
    table = bigquery.Table("p.d.t")
    table.clustering_fields = fields

    client.update_table(table, ["clustering_fields"])

    assert clustering(client) == fields


def test_a_patch_to_what_is_no_column_is_refused(client: bigquery.Client) -> None:
    load(client, ["id"])
    table = bigquery.Table("p.d.t")
    table.clustering_fields = ["x"]

    with pytest.raises(BadRequest, match="cannot be found"):
        client.update_table(table, ["clustering_fields"])


def test_a_copy_is_clustered_as_its_source_is(client: bigquery.Client) -> None:
    load(client, ["id"])
    load(client, None, to="plain")

    client.copy_table("p.d.t", "p.d.copy").result()

    assert clustering(client, "copy") == ["id"]
    with pytest.raises(BadRequest, match="Incompatible table partitioning specification"):
        client.copy_table(
            "p.d.t", "p.d.plain", job_config=bigquery.CopyJobConfig(write_disposition="WRITE_TRUNCATE")
        ).result()


def test_a_table_is_made_so(client: bigquery.Client) -> None:
    table = bigquery.Table("p.d.t", COLUMNS)
    table.clustering_fields = ["id"]

    client.create_table(table)

    assert clustering(client) == ["id"]
