"""BigQuery's REST API, on one machine."""

from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl, urlencode

from local.bigquery.catalog import Catalog
from local.bigquery.copies import Copies
from local.bigquery.datasets import Datasets
from local.bigquery.errors import BigQueryError
from local.bigquery.files import Files
from local.bigquery.job_methods import JobMethods
from local.bigquery.jobs import JobDone, Jobs, Kind
from local.bigquery.loads import Loads
from local.bigquery.queries import Queries
from local.bigquery.tables import Tables
from local.discovery import Method
from local.rest import Api, Handler, Reply, Request


class BigQuery(Api):
    """
    One project's datasets, tables and jobs, served on loopback from construction until `stop`.

    `storage` is the URL of the Cloud Storage that loads read from. `on_job` is called once for each finished job, in
    the job's thread, after the job's effect is visible. A job stays RUNNING for at least `job_seconds`. With
    `rate_limits`, a table takes at most 5 updates of its metadata in 10 s. `memory` limits the memory for rows, such as
    "1GB". By default they may use most of the machine's memory.

    `calls` has the method id and path parameters of each call. `faults` are the answers that did not fit the discovery
    document. Each is a bug of the stand-in.
    """

    def __init__(
        self,
        project: str,
        storage: str,
        *,
        on_job: Callable[[JobDone], None] | None = None,
        job_seconds: float = 0.0,
        rate_limits: bool = False,
        memory: str | None = None,
    ) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._catalog = Catalog(project, memory)
        self._files = Files(project, storage, self._catalog.rows.folder)
        queries = Queries(self._catalog)
        kinds: dict[str, Kind] = {
            "load": Loads(self._catalog, self._files),
            "copy": Copies(self._catalog),
            "query": queries,
        }
        self._jobs = Jobs(project, kinds, on_job, job_seconds)
        tables = Tables(self._catalog, queries, rate_limits=rate_limits)
        jobs = JobMethods(self._catalog, self._jobs, self._files)
        super().__init__("bigquery", "v2", _handlers(Datasets(self._catalog), tables, jobs))

    def stop(self) -> None:
        """Let the jobs that run end, then forget everything. A second call is harmless."""
        try:
            self._jobs.stop()  # first, because `on_job` may still call the API
        finally:
            super().stop()
            self._files.close()
            self._catalog.rows.close()

    def fail_next_job(self, reason: str = "backendError") -> None:
        """Make the next job that starts fail, without effect. The reason is one of BigQuery's."""
        self._jobs.next_failures.append(BigQueryError(reason, f"{reason}, as the test asked for"))

    def handle(self, request: Request) -> Reply:
        self.calls.append((request.method, dict(request.path)))
        try:
            return super().handle(request)
        except BigQueryError as error:
            raise error.answer() from error

    def _query(self, method: Method, text: str) -> dict[str, str]:
        """
        Accept the parameter `projection` in jobs.get, too.

        google-cloud-bigquery sends it, and the service accepts it, but the discovery document does not have it:
        https://github.com/googleapis/python-bigquery/blob/main/google/cloud/bigquery/client.py
        """
        sent = parse_qsl(text, keep_blank_values=True)
        known = [pair for pair in sent if (method.id, pair[0]) != ("bigquery.jobs.get", "projection")]
        return super()._query(method, urlencode(known))


def _handlers(datasets: Datasets, tables: Tables, jobs: JobMethods) -> Mapping[str, Handler]:
    return {
        "bigquery.datasets.get": datasets.get,
        "bigquery.datasets.insert": datasets.insert,
        "bigquery.datasets.list": datasets.listed,
        "bigquery.jobs.get": jobs.get,
        "bigquery.jobs.getQueryResults": jobs.results,
        "bigquery.jobs.insert": jobs.insert,
        "bigquery.jobs.list": jobs.listed,
        "bigquery.jobs.query": jobs.query,
        "bigquery.tabledata.list": tables.rows,
        "bigquery.tables.delete": tables.delete,
        "bigquery.tables.get": tables.get,
        "bigquery.tables.insert": tables.insert,
        "bigquery.tables.list": tables.listed,
        "bigquery.tables.patch": tables.patch,
    }
