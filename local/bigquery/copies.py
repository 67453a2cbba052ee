"""
Copy jobs: the rows of one or several tables, whole, into another.

A clone is a copy, though the service stores it otherwise. A snapshot cannot be written to.
"""

from typing import Any

from local.bigquery.catalog import Catalog, Table, TableRef
from local.bigquery.errors import BigQueryError, refuse_others, unhonoured
from local.bigquery.jobs import Job, Outcome
from local.bigquery.schemas import same_shape
from local.bigquery.writes import check_writable, written

_HONOURED = frozenset(
    {"createDisposition", "destinationTable", "operationType", "sourceTable", "sourceTables", "writeDisposition"}
)


class Copies:
    """Runs copy jobs."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def location(self, configuration: dict[str, Any], _given: str | None) -> str:
        """Of the destination's dataset. Raises BigQueryError for options that nothing here reads."""
        copy = configuration["copy"]
        refuse_others(copy, _HONOURED, "copy")
        ref = TableRef.of(copy["destinationTable"])
        return self._catalog.dataset(ref.project, ref.dataset).location

    def dry_run(self, job: Job) -> dict[str, Any]:
        """Copies have none."""
        raise unhonoured(f"a dry run of {job.kind}")

    def run(self, job: Job) -> Outcome:
        """Copy while nothing else changes."""
        copy = job.configuration["copy"]
        ref = TableRef.of(copy["destinationTable"])
        with self._catalog.lock:
            existing = self._catalog.find(ref)
            sources = [self._source(each, job.location) for each in _sources(copy)]
            copy = copy | {"clustering": sources[0].properties.get("clustering")}
            check_writable(existing, ref, copy, "WRITE_EMPTY")
            if not all(same_shape(source.fields, sources[0].fields) for source in sources):
                raise BigQueryError("invalid", "Source tables have schemas that differ")
            names = [source.rows for source in sources]
            snapshot = _makes_snapshot(copy, sources)
            table, rows = written(self._catalog, ref, sources[0].fields, names, copy, "WRITE_EMPTY")
            self._catalog.put(table.changed(snapshot=snapshot))
        return Outcome({"copy": {"copiedRows": str(rows)}}, existing is None, rows)

    def _source(self, reference: dict[str, str], location: str) -> Table:
        table = self._catalog.table(TableRef.of(reference))
        where = self._catalog.dataset(table.ref.project, table.ref.dataset).location
        if table.query is not None:
            raise BigQueryError(
                "invalid", f"{table.ref} is not allowed for this operation because it is currently a VIEW."
            )
        if where != location:
            raise unhonoured(f"a copy from {where} to {location}")
        return table


def _makes_snapshot(copy: dict[str, Any], sources: list[Table]) -> bool:
    """What the operation makes of its sources. Raises BigQueryError where they are of the wrong type."""
    operation = copy.get("operationType", "COPY")
    of_snapshots = any(source.snapshot for source in sources)
    if of_snapshots and operation == "SNAPSHOT":
        raise BigQueryError("invalid", "A snapshot is made of a TABLE")
    if not of_snapshots and operation == "RESTORE":
        raise BigQueryError("invalid", "A table is restored from a SNAPSHOT")
    return operation == "SNAPSHOT" or (of_snapshots and operation != "RESTORE")


def _sources(copy: dict[str, Any]) -> list[dict[str, str]]:
    sources: list[dict[str, str]] = copy.get("sourceTables") or [copy["sourceTable"]]
    return sources
