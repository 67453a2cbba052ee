"""BigQuery: the shards that are loaded, and the views that show them."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import cache, cached_property
from typing import Any

from shared import audit, loading, shards, views
from shared.audit import TableWritten, Truncated
from shared.errors import NotYet, Outrun, Permanent, without_values
from shared.loading import Job
from shared.messages import TableExported
from shared.pipelines import Pipeline
from shared.schema_file import Seal
from shared.shards import Listed, Shard
from shared.views import PIN, Columns, ShardState, View

_CALL = 60
"""Seconds for one call, its repetitions included."""
_WAIT = 480
"""Seconds for a job to end within one invocation; the next delivery waits on."""

_PAIR = "mirror_pair"
"""The label of a load job that says which pair it loads."""


class BigQuery:
    """The project's datasets. The client is made when it is first used."""

    def __init__(self, project: str) -> None:
        self.project = project
        self._locations: dict[str, str] = {}

    def load(self, job_id: str, exported: TableExported, seal: Seal) -> Job:
        """
        Run a load job to its end, or wait for the one that has this id already; then the shard has its descriptions.

        The shard is replaced whole or not at all: a load commits when it ends. Descriptions come with the load that makes a
        shard, so that its view finds them; a load that changed those of a shard that is there would fail, so that they
        follow in a patch.
        """
        dataset = exported.pipeline.shards_dataset
        destination = f"{self.project}.{dataset}.{exported.shard.name}"
        described = seal.description or any(column["description"] for column in seal.columns)
        is_new = not described or self._table(dataset, exported.shard.name) is None
        location = self._location(dataset)
        config = _load_config(exported, seal, described=is_new)
        existed = False
        try:
            job = self._client.load_table_from_uri(
                exported.data_uri, destination, job_id=job_id, location=location, job_config=config, **self._patience
            )
        except _errors().Conflict:
            existed = True
            job = self._client.get_job(job_id, location=location, **self._patience)
        except _refusals() as error:
            raise _refusal(f"the load into {destination}", error) from error
        ended = _ended(job, existed=existed)
        if not ended.reason and not is_new:
            self._describe(destination, seal)
        return ended

    def begun(self, job_id: str, pipeline: Pipeline) -> Job | None:
        """The load job that has this id, when it has ended; None where we have begun none. Raises NotYet as `load` does."""
        location = self._location(pipeline.shards_dataset)
        try:
            job = self._client.get_job(job_id, location=location, **self._patience)
        except _errors().NotFound:
            return None
        except _errors().Forbidden as error:
            # Whoever has begun a job may look at it (https://cloud.google.com/bigquery/docs/managing-jobs).
            refusal = _refusal(f"a look at the job {job_id}", error)
            if isinstance(refusal, Permanent):
                return None
            raise refusal from error
        return _ended(job, existed=True)

    def _describe(self, destination: str, seal: Seal) -> None:
        from google.cloud import bigquery

        table = bigquery.Table(destination, schema=_schema(seal, described=True))
        table.description = seal.description
        with suppress(_errors().NotFound):  # deleted since it was loaded
            self._client.update_table(table, ["description", "schema"], **self._patience)

    def has_shard(self, dataset: str, shard: Shard) -> bool:
        """Whether the shard is there."""
        return self.shard(dataset, shard) is not None

    def shard(self, dataset: str, shard: Shard) -> ShardState | None:
        """A shard; None where there is none."""
        table = self._table(dataset, shard.name)
        if table is None:
            return None
        return ShardState(
            description=table.description,
            changed_at=table.modified,
            rows=table.num_rows or 0,
            streaming=table.streaming_buffer is not None,
            expires_at=table.expires,
            columns=_columns(table),
        )

    def shards(self, dataset: str) -> dict[Shard, Listed]:
        """All shards of a dataset."""
        tables = self._client.list_tables(f"{self.project}.{dataset}", page_size=1000, **self._patience)
        try:
            found = {shards.parse(table.table_id): table for table in tables if table.table_type == "TABLE"}
        except (_errors().NotFound, _errors().Forbidden) as error:
            raise _refusal(f"the list of {dataset}", error) from error
        return {shard: Listed(table.created, table.expires) for shard, table in found.items() if shard}

    def expire(self, dataset: str, shard: Shard, at: datetime | None) -> None:
        """Have a shard expire at that moment, or never; one that is gone stays so."""
        from google.cloud import bigquery

        table = bigquery.Table(f"{self.project}.{dataset}.{shard.name}")
        table.expires = at
        try:
            self._client.update_table(table, ["expires"], **self._patience)
        except _errors().NotFound:
            return
        except _refusals() as error:
            raise _refusal(f"the expiry of {dataset}.{shard.name}", error) from error

    def view(self, dataset: str, name: str) -> View | None:
        """What stands under that name; None where nothing does."""
        table = self._table(dataset, name)
        if table is None:
            return None
        query = table.view_query if table.table_type == "VIEW" else None
        return View(dataset, name, table.etag, table.table_type, query, table.labels.get(PIN, ""), _columns(table))

    def create_view(self, dataset: str, name: str, query: str, shard: ShardState, pin: str) -> None:
        """
        Create a view, described as its shard is, that never expires, whatever the dataset's default, which holds for views too.

        Raises Outrun where the name has been taken since it was looked at.
        """
        from google.cloud import bigquery

        view = bigquery.Table(f"{self.project}.{dataset}.{name}")
        view.view_query = query
        view.description = shard.description
        view.labels = {PIN: pin} if pin else {}
        try:
            created = self._client.create_table(view, **self._patience)
        except _errors().Conflict as error:
            raise Outrun(f"{dataset}.{name} has been created since") from error
        except _refusals() as error:
            raise _refused_view(f"the view {dataset}.{name}", error) from error
        # BigQuery takes columns only of a view that is there.
        columns = views.described(_columns(created), shard.columns)
        changes = (["schema"] if columns else []) + (["expires"] if created.expires else [])
        if changes:
            created.expires = None
            created.schema = columns or created.schema
            try:
                self._patch_view(f"{dataset}.{name}", created, changes, "describing")
            except Outrun:  # moved on already, with the expiry that it got here
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

    def _patch_view(self, name: str, changed: Any, fields: list[str], doing: str) -> Any:
        try:
            return self._client.update_table(changed, fields, **self._patience)
        except _errors().PreconditionFailed as error:
            raise Outrun(f"{name} has been changed since") from error
        except _refusals() as error:
            raise _refused_view(f"{doing} the view {name}", error) from error

    def table_written(self, job: Truncated) -> TableWritten | None:
        """What a job wrote; None where it is gone, runs, or is neither a load nor a copy."""
        from google.cloud import bigquery

        try:
            found = self._client.get_job(job.job_id, project=job.project, location=job.location, **self._patience)
        except _errors().NotFound:
            return None
        except _errors().Forbidden as error:
            raise _refusal(f"a look at the job {job.job_id}", error) from error
        if not isinstance(found, bigquery.LoadJob | bigquery.CopyJob) or found.state != "DONE":
            return None
        failure = found.error_result["message"] if found.error_result else None
        return audit.table_written(found.job_id, found.destination.path.removeprefix("/"), failure)

    def _location(self, dataset: str) -> str:
        """A job is found again only where it runs, which is where its dataset is."""
        if dataset not in self._locations:
            try:
                self._locations[dataset] = self._client.get_dataset(
                    f"{self.project}.{dataset}", **self._patience
                ).location
            except _errors().NotFound as error:
                raise Permanent(
                    f"there is no dataset {self.project}.{dataset}: create it, or correct the pipeline's shards_dataset"
                ) from error
            except _errors().Forbidden as error:
                raise _refusal(f"a look at the dataset {dataset}", error) from error
        return self._locations[dataset]

    def _table(self, dataset: str, name: str) -> Any:
        try:
            return self._client.get_table(f"{self.project}.{dataset}.{name}", **self._patience)
        except _errors().NotFound:
            return None
        except _errors().Forbidden as error:
            raise _refusal(f"a look at {dataset}.{name}", error) from error

    @cached_property
    def _patience(self) -> dict[str, Any]:
        """For each call: without it, one could take ten minutes, and Pub/Sub would deliver the event a second time."""
        from google.cloud.bigquery import DEFAULT_RETRY

        return {"timeout": _CALL, "retry": DEFAULT_RETRY.with_timeout(_CALL)}

    @cached_property
    def _client(self) -> Any:
        from google.cloud import bigquery

        return bigquery.Client(project=self.project)


@cache
def _errors() -> Any:
    """The client's errors, which take as long to import as all else here: most events need none."""
    from google.api_core import exceptions

    return exceptions


def _refusals() -> tuple[type[Exception], ...]:
    return _errors().BadRequest, _errors().Forbidden, _errors().NotFound


def _load_config(exported: TableExported, seal: Seal, *, described: bool) -> Any:
    from google.cloud import bigquery

    csv = exported.format == "csv"
    config = bigquery.LoadJobConfig(
        schema=_schema(seal, described=described),
        source_format=bigquery.SourceFormat.CSV if csv else bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE
        if exported.replace
        else bigquery.WriteDisposition.WRITE_EMPTY,
        labels={_PAIR: loading.pair_of(seal.run_id, exported.table_id)},
    )
    if csv:
        config.allow_quoted_newlines = True
        config.preserve_ascii_control_characters = True
    if described and seal.description:
        config.destination_table_description = seal.description
    return config


def _columns(table: Any) -> Columns:
    return [field.to_api_repr() for field in table.schema]


def _schema(seal: Seal, *, described: bool) -> list[Any]:
    from google.cloud import bigquery

    def field(column: Mapping[str, Any]) -> Any:
        description = {"description": column["description"]} if described and column["description"] else {}
        return bigquery.SchemaField(column["name"], column["bigquery_type"], mode=column["mode"], **description)

    return [field(column) for column in seal.columns]


def _ended(job: Any, *, existed: bool) -> Job:
    from concurrent import futures

    try:
        job.result(timeout=_WAIT)
    except futures.TimeoutError as error:
        raise NotYet(f"the load job {job.job_id} goes on", job.job_id) from error
    except _errors().GoogleAPICallError:
        if not job.error_result:  # the call failed, not the job
            raise
    failure = job.error_result or {}
    return Job(
        job_id=job.job_id,
        pair=job.labels.get(_PAIR, ""),
        ended_at=job.ended,
        existed=existed,
        rows=getattr(job, "output_rows", None) or 0,
        reason=failure.get("reason"),
        error=failure.get("message", ""),
    )


def _refusal(what: str, error: Any) -> NotYet | Permanent:
    """What a refused call means: a spent quota is a Forbidden, too, and passes."""
    reason = error.errors[0].get("reason", "") if error.errors else ""
    said = f"BigQuery refuses {what}: {without_values(error.message)}"
    return NotYet(said) if reason in loading.PASSING else Permanent(said)


def _refused_view(what: str, error: Any) -> NotYet | Outrun | Permanent:
    """Where the shard or the view is gone since it was looked at, another look tells."""
    return Outrun(f"{what}: {error.message}") if "Not found: Table" in error.message else _refusal(what, error)


def _reference(project: str, view: View) -> dict[str, Any]:
    return {"tableReference": {"projectId": project, "datasetId": view.dataset, "tableId": view.name}}
