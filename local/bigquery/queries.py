"""Query jobs. The result of a SELECT is kept in a hidden table until the stand-in stops."""

import uuid
from dataclasses import dataclass
from typing import Any

import duckdb

from local.bigquery.catalog import Catalog, Dataset, Table, TableRef, now
from local.bigquery.errors import BigQueryError, refuse_others, unhonoured
from local.bigquery.jobs import Job, Outcome
from local.bigquery.schemas import Field
from local.bigquery.sql import Translation, Translator
from local.bigquery.types import OF_DUCKDB

_HONOURED = frozenset(
    {
        "createDisposition",
        "defaultDataset",
        "maximumBytesBilled",
        "priority",
        "query",
        "useLegacySql",
        "useQueryCache",
        "writeDisposition",
    }
)
_DEFAULT_LOCATION = "US"


@dataclass(frozen=True)
class Answer:
    """The columns of a query's result, and the DuckDB query that computes its rows."""

    fields: list[Field]
    translation: Translation


class Queries:
    """Runs query jobs, and finds the columns of views."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        guarded = {"BIGNUMERIC"} if catalog.rows.in_utc else {"BIGNUMERIC", "TIMESTAMP"}
        self._translator = Translator(catalog.table, catalog.project, guarded)

    def answer(self, query: str, default_dataset: str | None = None) -> Answer:
        """What a query would answer. It is not run. Raises BigQueryError if it is invalid."""
        with self._catalog.lock:
            translation = self._translator.translate(query, default_dataset)
            try:
                relation = self._catalog.rows.cursor().sql(translation.sql)
            except duckdb.Error as error:
                raise _refused(error) from error
            return Answer(_fields(relation.columns, [str(kind) for kind in relation.types]), translation)

    def location(self, configuration: dict[str, Any], given: str | None) -> str:
        """A query runs in the location of its tables. Raises BigQueryError for an option that is not honoured."""
        query = configuration["query"]
        refuse_others(query, _HONOURED, "query")
        if query.get("useLegacySql", True):
            raise BigQueryError("invalid", "This stand-in runs GoogleSQL alone: set useLegacySql to false")
        try:
            answer = self.answer(query["query"], _default_dataset(query))
        except BigQueryError:
            return given or _DEFAULT_LOCATION  # the job will fail with this error
        where = {self._catalog.dataset(t.ref.project, t.ref.dataset).location for t in answer.translation.tables}
        return where.pop() if where else given or _DEFAULT_LOCATION

    def run(self, job: Job) -> Outcome:
        """Run a query. Its rows go to a new hidden table, which becomes the job's destination."""
        query = job.configuration["query"]
        with self._catalog.lock:
            answer = self.answer(query["query"], _default_dataset(query))
            table = self._kept(answer, job.location)
        ref = table.ref.resource()
        dispositions = {"createDisposition": "CREATE_IF_NEEDED", "writeDisposition": "WRITE_TRUNCATE"}
        job.configuration["query"] = query | {"destinationTable": ref} | dispositions
        return Outcome({"query": statistics(answer)}, rows=table.size.rows)

    def dry_run(self, job: Job) -> dict[str, Any]:
        """The statistics of a query, with the schema of its result."""
        query = job.configuration["query"]
        answer = self.answer(query["query"], _default_dataset(query))
        return {"query": statistics(answer) | {"schema": {"fields": answer.fields}}}

    def _kept(self, answer: Answer, location: str) -> Table:
        catalog = self._catalog
        dataset = "_local_" + location.lower().replace("-", "_")
        try:
            catalog.dataset(catalog.project, dataset)
        except BigQueryError:
            catalog.add_dataset(Dataset(catalog.project, dataset, location, now(), {}, hidden=True))
        rows = catalog.rows.create(answer.fields)
        try:
            catalog.rows.cursor().execute(f"INSERT INTO {rows} {answer.translation.sql}")
        except duckdb.Error as error:
            catalog.rows.drop(rows)
            raise _refused(error) from error
        ref = TableRef(catalog.project, dataset, f"anon{uuid.uuid4().hex}")
        new = catalog.new_table(ref, answer.fields, {})
        table = new.changed(rows=rows, size=catalog.rows.size(rows, answer.fields))
        catalog.put(table)
        return table


def statistics(answer: Answer) -> dict[str, Any]:
    """The statistics of a query job. No result comes from a cache, and nothing is billed."""
    tables = [table for table in answer.translation.tables if table.query is None]
    read = str(sum({table.ref: table.size.logical_bytes for table in tables}.values()))
    return {
        "statementType": "SELECT",
        "cacheHit": False,
        "totalBytesProcessed": read,
        "totalBytesBilled": "0",
        "referencedTables": [dict(ref.resource()) for ref in sorted({table.ref for table in tables})],
    }


def _default_dataset(query: dict[str, Any]) -> str | None:
    dataset: str | None = query.get("defaultDataset", {}).get("datasetId")
    return dataset


def _fields(columns: list[str], types: list[str]) -> list[Field]:
    if len({name.lower() for name in columns}) < len(columns):
        raise BigQueryError(
            "invalidQuery", f"Duplicate column names in the result are not supported: {columns}", "query"
        )
    for name, kind in zip(columns, types, strict=True):
        if kind not in OF_DUCKDB:
            raise unhonoured(f"a column of DuckDB's type {kind}: {name}")
    pairs = zip(columns, types, strict=True)
    return [
        {"name": name, "type": OF_DUCKDB[kind], "mode": "REPEATED" if kind.endswith("[]") else "NULLABLE"}
        for name, kind in pairs
    ]


def _refused(error: duckdb.Error) -> BigQueryError:
    return BigQueryError("invalidQuery", f"This stand-in cannot run the query: {str(error).splitlines()[0]}", "query")
