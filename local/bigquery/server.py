"""BigQuery's REST API, on one machine."""

import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Self
from urllib.parse import parse_qsl, urlencode, urlsplit

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
from local.server import Answer, Call, Server
from local.uploads import Uploads


class BigQuery:
    """One project's datasets, tables and jobs, served on loopback from construction until `stop`.

    `storage` is the URL of the storage emulator that loads read from. `on_job` is called once for each finished job, in
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
        self._api.on_upload = self._files.keep

    @property
    def url(self) -> str:
        """The URL of the server, without a trailing slash."""
        return self._api.url

    @property
    def server(self) -> Server:
        """The HTTP server that answers the calls."""
        return self._api.server

    @property
    def faults(self) -> list[str]:
        return self._api.faults

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let the jobs that run end, then forget everything. A second call is harmless."""
        try:
            self._jobs.stop()  # first, because `on_job` may still call the API
        finally:
            self._api.stop()
            self._files.close()
            self._catalog.rows.close()

    def fail_next(self, method: str, status: int, reason: str, times: int = 1) -> None:
        """Answer the next calls of a method, such as "bigquery.jobs.insert", with an error. They have no effect."""
        errors = [ApiError(status, reason, f"{reason}, as the test asked for") for _ in range(times)]
        self._failures.setdefault(method, deque()).extend(errors)

    def fail_next_job(self, reason: str = "backendError") -> None:
        """Make the next job that starts fail, without effect. The reason is one of BigQuery's."""
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
    """Accepts load jobs whose file is uploaded with them, and the parameter `projection` in jobs.get.

    google-cloud-bigquery sends it, and the service accepts it, but the discovery document does not have it:
    https://github.com/googleapis/python-bigquery/blob/main/google/cloud/bigquery/client.py
    """

    _UPLOADS = re.compile(r"(?:/resumable)?/upload(?P<path>/bigquery/v2/projects/[^/]+/jobs)")
    on_upload: Callable[[bytes], str]
    """Keeps the content of an upload, and gives the URI that it is then loaded from."""

    def __init__(self, name: str, version: str, handlers: Mapping[str, Handler]) -> None:
        super().__init__(name, version, handlers)
        self._uploads = Uploads()

    def _answer(self, call: Call) -> Answer:
        """A load job whose file comes with it is one of a file that lies somewhere."""
        path = self._UPLOADS.fullmatch(urlsplit(call.target).path)
        if not path:
            return super()._answer(call)
        upload = self._uploads.take(call, self.url)
        if isinstance(upload, Answer):
            return upload
        meta = upload.meta
        meta["configuration"]["load"]["sourceUris"] = [self.on_upload(upload.content)]
        return super()._answer(Call("POST", path["path"], call.headers, json.dumps(meta).encode()))

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
