"""BigQuery's views, and the shards that they show."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from shared import failures
from shared.errors import HandBack, LostRace, NotThere, Permanent
from shared.gcp.bigquery import BigQuery, errors, refusal, refusals
from shared.refreshing import bigquery_events, views
from shared.refreshing.bigquery_events import TableWritten, Truncated
from shared.refreshing.views import PIN, Columns, ListedShard, ShardState, View
from shared.tables import Shard

if TYPE_CHECKING:
    from google.api_core.exceptions import GoogleAPICallError
    from google.cloud import bigquery


_SHARD = "TABLE"
"""The type of table that a shard is."""


class BigQueryViews(BigQuery):
    """The views and the shards of the project's datasets."""

    def shard(self, dataset: str, shard: Shard) -> ShardState | None:
        """A shard. None if there is none: a snapshot or an external table of its name is none."""
        table = self._table(dataset, shard.name)
        if table is None or table.table_type != _SHARD:
            return None
        return ShardState(
            description=table.description,
            changed_at=table.modified,
            rows=table.num_rows or 0,
            streaming=table.streaming_buffer is not None,
            expires_at=table.expires,
            columns=_columns(table),
        )

    def shards(self, dataset: str) -> dict[Shard, ListedShard]:
        """All shards of a dataset."""
        tables = self._client.list_tables(f"{self.project}.{dataset}", page_size=1000, **self._patience)
        try:
            found = {Shard.named(table.table_id): table for table in tables if table.table_type == _SHARD}
        except (errors().NotFound, errors().Forbidden) as error:
            raise refusal(f"the list of {dataset}", error) from error
        return {shard: ListedShard(table.created, table.expires) for shard, table in found.items() if shard}

    def expire(self, dataset: str, shard: Shard, at: datetime | None) -> None:
        """Have a shard expire at that moment, or never. One that is gone stays so."""
        from google.cloud import bigquery

        table = bigquery.Table(f"{self.project}.{dataset}.{shard.name}")
        table.expires = at
        try:
            self._client.update_table(table, ["expires"], **self._patience)
        except errors().NotFound:
            return
        except refusals() as error:
            raise refusal(f"the expiry of {dataset}.{shard.name}", error) from error

    def view(self, dataset: str, name: str) -> View | None:
        """What stands under that name. None if nothing does."""
        table = self._table(dataset, name)
        if table is None:
            return None
        is_view = table.table_type == "VIEW"
        return View(
            dataset,
            name,
            table.etag,
            kind=table.table_type,
            query=table.view_query if is_view else None,
            pin=table.labels.get(PIN, ""),
            columns=_columns(table),
            legacy=is_view and table.view_use_legacy_sql,
        )

    def create_view(self, dataset: str, name: str, query: str, shard: ShardState, pin: str) -> None:
        """
        Create a view, described as its shard is, that never expires, whatever the dataset's default, which holds for views too.

        Raises LostRace if the name has been taken since it was looked at, and NotThere if a table that it names is missing.
        """
        from google.cloud import bigquery

        view = bigquery.Table(f"{self.project}.{dataset}.{name}")
        view.view_query = query
        view.description = shard.description
        view.labels = {PIN: pin} if pin else {}
        try:
            created = self._client.create_table(view, **self._patience)
        except errors().Conflict as error:
            raise LostRace(f"{dataset}.{name} has been created since") from error
        except refusals() as error:
            raise _refused_view(f"the view {dataset}.{name}", error) from error
        # BigQuery takes columns only of a view that is there.
        columns = views.described(_columns(created), shard.columns)
        changes = (["schema"] if columns else []) + (["expires"] if created.expires else [])
        if changes:
            created.expires = None
            created.schema = columns or created.schema
            try:
                self._patch_view(f"{dataset}.{name}", created, changes, "describing")
            except LostRace:  # moved on already, with the expiry that it got here
                lasting = bigquery.Table(created.reference)
                self._patch_view(f"{dataset}.{name}", lasting, ["expires"], "keeping")

    def change_view(self, view: View, query: str | None, pin: str) -> View:
        """
        Change a view's SQL (None: leave it) and pin in one patch, if it is as it was when it was read, and give it as it is then.

        A patch, because CREATE OR REPLACE VIEW is a query job, which makes events of its own and loses labels.
        """
        from google.cloud import bigquery

        changed = bigquery.Table.from_api_repr(_reference(self.project, view) | {"etag": view.etag})
        fields = (["view_query"] if query else []) + (["labels"] if pin != view.pin else [])
        changed.view_query = query or view.query
        changed.labels = {PIN: pin or None}  # None takes the label away
        answer = self._patch_view(f"{view.dataset}.{view.name}", changed, fields, "moving")
        return replace(view, etag=answer.etag, query=answer.view_query, pin=pin, columns=_columns(answer))

    def describe_view(self, view: View, columns: Columns) -> None:
        """Describe a view's columns, if it is as it was when it was read."""
        from google.cloud import bigquery

        changed = bigquery.Table.from_api_repr(_reference(self.project, view) | {"etag": view.etag})
        changed.schema = columns
        self._patch_view(f"{view.dataset}.{view.name}", changed, ["schema"], "describing")

    def _patch_view(self, name: str, changed: "bigquery.Table", fields: list[str], doing: str) -> "bigquery.Table":
        try:
            return self._client.update_table(changed, fields, **self._patience)
        except errors().PreconditionFailed as error:
            raise LostRace(f"{name} has been changed since") from error
        except refusals() as error:
            raise _refused_view(f"{doing} the view {name}", error) from error

    def table_written(self, job: Truncated) -> TableWritten | None:
        """What a job wrote. None if it is gone, runs, is neither a load nor a copy, or makes a snapshot."""
        from google.cloud import bigquery

        try:
            found = self._client.get_job(job.job_id, project=job.project, location=job.location, **self._patience)
        except errors().NotFound:
            return None
        except errors().Forbidden as error:
            raise refusal(f"a look at the job {job.job_id}", error) from error
        if not isinstance(found, bigquery.LoadJob | bigquery.CopyJob) or found.state != "DONE":
            return None
        if isinstance(found, bigquery.CopyJob) and found.configuration.operation_type == bigquery_events.SNAPSHOT:
            return None
        failure, destination = found.error_result, found.destination.path.removeprefix("/")
        if failure is None:
            return bigquery_events.table_written(found.job_id, destination)
        passes = failures.passes(failure.get("reason"))
        return bigquery_events.table_written(found.job_id, destination, failure.get("message", ""), passes=passes)


def _columns(table: "bigquery.Table") -> Columns:
    return [field.to_api_repr() for field in table.schema]


def _refused_view(what: str, error: "GoogleAPICallError") -> HandBack | NotThere | Permanent:
    """The view, its shard, or another table that its SQL names may be what is missing: BigQuery says the same of all."""
    refused = refusal(what, error)
    return NotThere(str(refused)) if "Not found: Table" in error.message else refused


def _reference(project: str, view: View) -> dict[str, object]:
    return {"tableReference": {"projectId": project, "datasetId": view.dataset, "tableId": view.name}}
