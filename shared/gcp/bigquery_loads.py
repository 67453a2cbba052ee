"""BigQuery's load jobs, which fill the shards."""

from collections.abc import Mapping, Sequence
from concurrent import futures
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from shared.errors import HandBack, Permanent
from shared.gcp.bigquery import BigQuery, errors, refusal, refusals
from shared.loading.attempts import LoadJob
from shared.messages.exports import TableExported
from shared.pipelines import Pipeline
from shared.runs.schema_file import Seal

if TYPE_CHECKING:
    from google.cloud import bigquery

_WAIT = 480
"""Seconds that one invocation waits for a job. The next delivery waits on."""

_PAIR = "mirror_pair"
"""The label of a load job that says which pair it loads."""


class BigQueryLoads(BigQuery):
    """The load jobs of the project's datasets. `wait`: for how many seconds one invocation waits for a job."""

    def __init__(self, project: str, wait: float = _WAIT) -> None:
        super().__init__(project)
        self._wait = wait
        self._locations: dict[str, str] = {}

    def load(self, job_id: str, pair: str, exported: TableExported, seal: Seal) -> LoadJob:
        """
        Run a load job to its end, or wait for the one that has this id already. Then the shard has its descriptions.

        The shard is replaced as a whole or not at all: a load commits when it ends. Descriptions and clustering come with the load
        that makes a shard, so that its view finds them. A load that changed those of a shard that is there would fail. So its
        descriptions follow in a patch, and its clustering stays.
        """
        dataset = exported.pipeline.shards_dataset
        destination = f"{self.project}.{dataset}.{exported.shard.name}"
        described = seal.description or any(column["description"] for column in seal.columns)
        standing = self._table(dataset, exported.shard.name)
        clustering = self._kept_clustering(standing, seal, exported) if standing else seal.clustering
        location = self._location(dataset)
        config = _load_config(exported, pair, seal, clustering, described=standing is None)
        existed = False
        try:
            job = self._client.load_table_from_uri(
                exported.data_uri, destination, job_id=job_id, location=location, job_config=config, **self._patience
            )
        except errors().Conflict:
            existed = True
            job = self._begun(job_id, location)
        except refusals() as error:
            raise refusal(f"the load into {destination}", error) from error
        ended = _ended(job, self._wait, existed=existed)
        if not ended.failed and standing and described:
            self._describe(destination, seal)
        return ended

    def begun(self, job_id: str, pipeline: Pipeline) -> LoadJob | None:
        """The load job that has this id, when it has ended. None if we have begun none. Raises HandBack as `load` does."""
        location = self._location(pipeline.shards_dataset)
        try:
            job = self._begun(job_id, location)
        except errors().NotFound:
            return None
        except errors().Forbidden as error:
            # Who has begun a job may look at it (https://cloud.google.com/bigquery/docs/managing-jobs).
            refused = refusal(f"a look at the job {job_id}", error)
            if isinstance(refused, Permanent):
                return None
            raise refused from error
        return _ended(job, self._wait, existed=True)

    def _kept_clustering(self, standing: "bigquery.Table", seal: Seal, exported: TableExported) -> Sequence[str]:
        """
        The clustering of a shard that stands, which a load has to repeat.

        It is taken off where the new rows have no such column any more, or one of a type that BigQuery does not cluster by.
        """
        kept: Sequence[str] = standing.clustering_fields or ()
        if seal.can_be_clustered_by(kept) or not (exported.replace or not standing.num_rows):
            return kept
        from google.cloud import bigquery

        table = bigquery.Table(standing.reference)
        table.clustering_fields = None
        try:
            self._client.update_table(table, ["clustering_fields"], **self._patience)
        except refusals() as error:
            raise refusal(f"a change of {exported.shard.name}", error) from error
        return ()

    def _describe(self, destination: str, seal: Seal) -> None:
        from google.cloud import bigquery

        table = bigquery.Table(destination, schema=_schema(seal, described=True))
        table.description = seal.description
        with suppress(errors().NotFound):  # deleted since it was loaded
            self._client.update_table(table, ["description", "schema"], **self._patience)

    def _begun(self, job_id: str, location: str) -> "bigquery.LoadJob":
        """The job of that id, which is a load: nobody else gives ids of this form."""
        return cast("bigquery.LoadJob", self._client.get_job(job_id, location=location, **self._patience))

    def _location(self, dataset: str) -> str:
        """The dataset's location. Its jobs run there, and are found only there."""
        if dataset not in self._locations:
            self._locations[dataset] = self._dataset(dataset).location
        return self._locations[dataset]


def _load_config(
    exported: TableExported, pair: str, seal: Seal, clustering: Sequence[str], *, described: bool
) -> "bigquery.LoadJobConfig":
    from google.cloud import bigquery

    csv = exported.format == "csv"
    config = bigquery.LoadJobConfig(
        schema=_schema(seal, described=described),
        source_format=bigquery.SourceFormat.CSV if csv else bigquery.SourceFormat.NEWLINE_DELIMITED_JSON,
        create_disposition=bigquery.CreateDisposition.CREATE_IF_NEEDED,
        write_disposition=bigquery.WriteDisposition.WRITE_TRUNCATE
        if exported.replace
        else bigquery.WriteDisposition.WRITE_EMPTY,
        labels={_PAIR: pair},
    )
    if csv:
        config.allow_quoted_newlines = True
        config.preserve_ascii_control_characters = True
    if clustering:
        config.clustering_fields = clustering
    if described and seal.description:
        config.destination_table_description = seal.description
    return config


def _schema(seal: Seal, *, described: bool) -> "list[bigquery.SchemaField]":
    from google.cloud import bigquery

    def field(column: Mapping[str, Any]) -> "bigquery.SchemaField":
        description = {"description": column["description"]} if described and column["description"] else {}
        return bigquery.SchemaField(column["name"], column["bigquery_type"], mode=column["mode"], **description)

    return [field(column) for column in seal.columns]


def _ended(job: "bigquery.LoadJob", wait: float, *, existed: bool) -> LoadJob:
    try:
        job.result(timeout=wait)
    except futures.TimeoutError as error:
        raise HandBack(f"the load job {job.job_id} goes on", job.job_id) from error
    except errors().GoogleAPICallError:
        if job.error_result is None:  # the call failed, not the job
            raise
    failure = job.error_result
    return LoadJob(
        job_id=job.job_id,
        pair=job.labels.get(_PAIR, ""),
        ended_at=job.ended,
        existed=existed,
        rows=getattr(job, "output_rows", None) or 0,
        reason=None if failure is None else failure.get("reason", ""),
        error=(failure or {}).get("message", ""),
    )
