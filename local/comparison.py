"""Checks the result of a demo: compares each table at the source, in its newest shard, and through its view."""

import re
from dataclasses import dataclass

import pg8000.exceptions
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from cli.following import TableOfRun
from local.cloud import PROJECT, Cloud
from local.source import Source

SHARDS = "mirror_shards"
VIEWS = "mirror"


@dataclass(frozen=True)
class Check:
    """
    The comparison of one table.

    The first three numbers count rows. `newest` and `shown` are names of shards: the newest, and the one that the view
    names. `failure` says why the table could not be compared. It is empty if it could.
    """

    table: TableOfRun
    at_source: int = 0
    in_shard: int = 0
    through_view: int = 0
    newest: str = ""
    shown: str = ""
    failure: str = ""

    @property
    def agrees(self) -> bool:
        """Whether the view names the newest shard, and the numbers of rows are the same everywhere."""
        same_rows = self.at_source == self.in_shard == self.through_view
        return not self.failure and same_rows and self.newest == self.shown


def compare(cloud: Cloud, database: Source, table: TableOfRun) -> Check:
    """Compare a table. An error of BigQuery or PostgreSQL becomes its `failure`."""
    try:
        return _compared(cloud, database, table)
    except (GoogleAPICallError, pg8000.exceptions.Error) as error:
        return Check(table, failure=words(error))


def words(error: Exception) -> str:
    """The message of an error, as BigQuery or PostgreSQL wrote it. For any other error, its text."""
    if isinstance(error, GoogleAPICallError) and error.errors:
        return str(error.errors[0]["message"])
    fields = error.args[0] if error.args else None
    return str(fields["M"]) if isinstance(fields, dict) and "M" in fields else str(error)


def _compared(cloud: Cloud, database: Source, table: TableOfRun) -> Check:
    with cloud.warehouse() as client:
        query = client.get_table(f"{PROJECT}.{VIEWS}.{table.table_id}").view_query
        shards = [
            each.table_id
            for each in client.list_tables(f"{PROJECT}.{SHARDS}")
            if re.fullmatch(rf"{re.escape(table.table_id)}_\d{{8}}", each.table_id)
        ]
        if not shards:
            return Check(table, failure="it has no shard")
        newest = max(shards)
        return Check(
            table=table,
            at_source=database.rows(table.schema, table.name),
            in_shard=_count(client, SHARDS, newest),
            through_view=_count(client, VIEWS, table.table_id),
            newest=newest,
            shown=(query or "").rpartition(".")[2].rstrip("`"),
        )


def _count(client: bigquery.Client, dataset: str, table: str) -> int:
    (row,) = client.query_and_wait(f"SELECT COUNT(*) AS n FROM `{PROJECT}.{dataset}.{table}`")
    return int(row.n)
