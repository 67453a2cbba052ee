"""The REST methods of jobs."""

from collections.abc import Mapping
from typing import Any

from local.bigquery.catalog import Catalog, TableRef
from local.bigquery.errors import BigQueryError, refuse_others, unhonoured
from local.bigquery.files import Files
from local.bigquery.jobs import Job, Jobs
from local.bigquery.pages import numbered_page, rows_page
from local.rest import Request

_PAGE = 50
_DEFAULT_WAIT_MS = "10000"
# The service takes longer than this to answer, so a second call finds a small job done. With this wait it does here too.
_SHORT_WAIT_SECONDS = 0.1
_QUERY_CONFIGURATION = frozenset({"defaultDataset", "maximumBytesBilled", "query", "useLegacySql", "useQueryCache"})
_JOB_CONFIGURATION = frozenset({"dryRun", "jobTimeoutMs", "labels"})
_QUERY_REQUEST = (
    _QUERY_CONFIGURATION
    | _JOB_CONFIGURATION
    | {
        "formatOptions",
        "jobCreationMode",
        "kind",
        "location",
        "maxResults",
        "requestId",
        "timeoutMs",
    }
)


class JobMethods:
    """Answers bigquery.jobs.*."""

    def __init__(self, catalog: Catalog, jobs: Jobs, files: Files) -> None:
        self._catalog = catalog
        self._jobs = jobs
        self._files = files

    def insert(self, request: Request) -> dict[str, Any]:
        """
        Start a job, and answer at once. A load of a file that comes with it is one of a file that lies somewhere.

        Raises BigQueryError for a job that is refused.
        """
        self._check_project(request)
        if request.content:
            request.body["configuration"]["load"]["sourceUris"] = [self._files.keep(request.content.data)]
        reference = request.body.get("jobReference", {})
        job = self._jobs.insert(request.body.get("configuration", {}), reference, "jobs.insert")
        resource = job.resource()
        if job.configuration.get("dryRun"):
            del resource["jobReference"]["jobId"]
        return resource

    def get(self, request: Request) -> dict[str, Any]:
        """The job as it is now, or as soon as it is done within `_SHORT_WAIT_SECONDS`."""
        self._check_project(request)
        job = self._jobs.get(request.path["jobId"], request.query.get("location"))
        job.done.wait(_SHORT_WAIT_SECONDS)
        return job.resource()

    def listed(self, request: Request) -> dict[str, Any]:
        """A page of the jobs, newest first."""
        self._check_project(request)
        honoured = frozenset({"allUsers", "alt", "maxResults", "pageToken", "prettyPrint", "projection", "stateFilter"})
        refuse_others(dict(request.query), honoured, "query")
        state = request.query.get("stateFilter", "").upper()
        jobs = [job for job in self._jobs.all() if state in ("", job.state)]
        page, token = numbered_page(jobs, request.query, _PAGE)
        return {"kind": "bigquery#jobList", "jobs": [_item(job) for job in page]} | token

    def query(self, request: Request) -> dict[str, Any]:
        """Start a query job, and answer with its first page. Without rows if the job takes longer than `timeoutMs`."""
        self._check_project(request)
        body = request.body
        refuse_others(body, _QUERY_REQUEST, "query")
        query = {name: body[name] for name in body.keys() & _QUERY_CONFIGURATION}
        configuration = {name: body[name] for name in body.keys() & _JOB_CONFIGURATION} | {"query": query}
        reference = {"location": body["location"]} if body.get("location") else {}
        job = self._jobs.insert(configuration, reference, "jobs.query")
        options = {f"formatOptions.{name}": str(value) for name, value in body.get("formatOptions", {}).items()}
        limits = {name: str(body[name]) for name in ("maxResults", "timeoutMs") if name in body}
        if body.get("dryRun"):
            return _dry_answer(job)
        return {"kind": "bigquery#queryResponse"} | self._results(job, options | limits)

    def results(self, request: Request) -> dict[str, Any]:
        """A page of a query's rows, without rows if the job takes longer than `timeoutMs`. Raises the job's error."""
        self._check_project(request)
        job = self._jobs.get(request.path["jobId"], request.query.get("location"))
        if job.kind != "query":
            raise BigQueryError("invalid", f"Job {job.id} is no query job")
        return {"kind": "bigquery#getQueryResultsResponse"} | self._results(job, request.query)

    def _results(self, job: Job, query: Mapping[str, str]) -> dict[str, Any]:
        reference = {"jobReference": job.reference()}
        if not job.done.wait(int(query.get("timeoutMs", _DEFAULT_WAIT_MS)) / 1000):
            return reference | {"jobComplete": False}
        job.raise_error()
        with self._catalog.lock:
            table = self._catalog.table(TableRef.of(job.configuration["query"]["destinationTable"]))
            page = rows_page(self._catalog, table, query)
        statistics = {name: job.outcome.statistics["query"][name] for name in ("cacheHit", "totalBytesProcessed")}
        return reference | {"jobComplete": True, "schema": {"fields": table.fields}} | statistics | page

    def _check_project(self, request: Request) -> None:
        if request.path["projectId"] != self._catalog.project:
            raise BigQueryError("notFound", f"Not found: Project {request.path['projectId']}")
        if "minCreationTime" in request.query:
            raise unhonoured("minCreationTime")


def _item(job: Job) -> dict[str, Any]:
    resource = job.resource()
    shown = {name: resource[name] for name in resource.keys() - {"etag"}}
    failed = {"errorResult": job.errors[0]} if job.state == "DONE" and job.errors else {}
    return shown | {"state": resource["status"]["state"]} | failed


def _dry_answer(job: Job) -> dict[str, Any]:
    statistics = job.outcome.statistics["query"]
    answer = {name: statistics[name] for name in ("schema", "cacheHit", "totalBytesProcessed")}
    reference = {"projectId": job.project, "location": job.location}
    return {"kind": "bigquery#queryResponse", "jobComplete": True, "jobReference": reference} | answer
