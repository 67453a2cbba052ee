"""BigQuery's REST API, on one machine."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self
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
from local.rest import Api, ApiError, Handler, Request
from local.server import Server


class BigQuery:
    """One project's datasets, tables and jobs, served on loopback from construction until it is stopped.

    `storage` is the URL of the storage emulator that loads read. `on_job` hears of every finished job once, after its
    effect can be seen, in the job's thread. A job stays RUNNING for at least `job_seconds`. With `rate_limits` a table
    takes no more than 5 updates of its metadata in 10 s. All rows are kept in `memory`, such as "1GB"; most of the machine's
    unless told.

    `calls` lists the method ids and path parameters of all calls; `faults` the answers that do not fit the discovery
    document, each a bug of the stand-in.
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
        self._failures: dict[str, deque[ApiError]] = {}
        self._catalog = Catalog(project, memory)
        self._files = Files(project, storage)
        queries = Queries(self._catalog)
        kinds: dict[str, Kind] = {
            "load": Loads(self._catalog, self._files),
            "copy": Copies(self._catalog),
            "query": queries,
        }
        self._jobs = Jobs(project, kinds, on_job, job_seconds)
        tables = Tables(self._catalog, queries, rate_limits=rate_limits)
        handlers = _handlers(Datasets(self._catalog), tables, JobMethods(self._catalog, self._jobs))
        self._api = _Api("bigquery", "v2", {name: self._answering(handler) for name, handler in handlers.items()})

    @property
    def url(self) -> str:
        """Without a trailing slash."""
        return self._api.url

    @property
    def server(self) -> Server:
        """What it answers calls with."""
        return self._api.server

    @property
    def faults(self) -> list[str]:
        return self._api.faults

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the jobs that run, then forget everything. Stopping twice is harmless."""
        try:
            self._jobs.stop()  # first, for whoever hears of a job may still ask about it
        finally:
            self._api.stop()
            self._files.close()
            self._catalog.rows.close()

    def fail_next(self, method: str, status: int, reason: str, times: int = 1) -> None:
        """Answer the next calls of a method, such as "bigquery.jobs.insert", with an error, and do nothing."""
        errors = [ApiError(status, reason, f"{reason}, as the test asked for") for _ in range(times)]
        self._failures.setdefault(method, deque()).extend(errors)

    def fail_next_job(self, reason: str = "backendError") -> None:
        """Let the next job that starts end with an error, without effect; the reason is one of BigQuery's."""
        self._jobs.next_failures.append(BigQueryError(reason, f"{reason}, as the test asked for"))

    def _answering(self, handler: Handler) -> Handler:
        def answer(request: Request) -> dict[str, Any] | None:
            self.calls.append((request.method, dict(request.path)))
            if failures := self._failures.get(request.method):
                raise failures.popleft()
            try:
                return handler(request)
            except BigQueryError as error:
                raise error.answer() from error

        return answer


class _Api(Api):
    """google-cloud-bigquery sends `projection` with jobs.get: the document has no such parameter, the service takes it.

    https://github.com/googleapis/python-bigquery/blob/main/google/cloud/bigquery/client.py
    """

    def _query(self, method: Method, text: str) -> dict[str, str]:
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
