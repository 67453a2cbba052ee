"""Writes the destination of a load or a copy, by its dispositions, in one step."""

from typing import Any

from local.bigquery import clustering
from local.bigquery.catalog import Catalog, Table, TableRef
from local.bigquery.errors import BigQueryError, unhonoured
from local.bigquery.schemas import Field, same_shape

_CREATE = ("CREATE_IF_NEEDED", "CREATE_NEVER")
_WRITE = ("WRITE_APPEND", "WRITE_EMPTY", "WRITE_TRUNCATE")


def check_writable(existing: Table | None, ref: TableRef, job: dict[str, Any], default: str) -> None:
    """
    Check a job's dispositions and its destination before the write.

    `default` is the writeDisposition of a job that gives none. Raises BigQueryError if the write is not allowed.
    """
    create, write = job.get("createDisposition", _CREATE[0]), job.get("writeDisposition", default)
    if create not in _CREATE or write not in _WRITE:
        raise unhonoured(f"{create} with {write}")
    if existing is None:
        if create == "CREATE_NEVER":
            raise BigQueryError("notFound", f"Not found: Table {ref}")
        return
    if existing.kind != "TABLE":
        raise BigQueryError(
            "invalid", f"{ref} is not allowed for this operation because it is currently a {existing.kind}."
        )
    if write == "WRITE_EMPTY" and existing.size.rows:
        raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
    clustering.check_same(existing.properties, job.get("clustering"), ref)
    for name, value in job.get("destinationTableProperties", {}).items():
        if existing.properties.get(name, {} if name == "labels" else None) != value:
            raise BigQueryError("invalid", f"{name} of {ref} differs from what the job would create the table with")


def written(
    catalog: Catalog, ref: TableRef, fields: list[Field], sources: list[str], job: dict[str, Any], default: str
) -> tuple[Table, int]:
    """
    Write the rows of the sources, all or none. Gives the table, and how many rows were written.

    Raises BigQueryError if the dispositions or the schemas do not allow it.
    """
    with catalog.lock:
        before = catalog.find(ref)
        check_writable(before, ref, job, default)
        if before and job.get("writeDisposition", default) != "WRITE_TRUNCATE":
            if not same_shape(fields, before.fields):
                raise BigQueryError("invalid", f"Provided Schema does not match Table {ref}.")
            table, rows = before, before.rows
            catalog.rows.append(rows, sources)
        else:
            given = {**job.get("destinationTableProperties", {}), "clustering": job.get("clustering")}
            table = before or catalog.new_table(ref, fields, given)
            rows = catalog.rows.create(fields)
            catalog.rows.append(rows, sources)
            table = table.changed(fields=fields)
        size = catalog.rows.size(rows, table.fields)
        replaced = before is None or before.rows != rows
        catalog.put(table.changed(rows=rows, size=size))
        return catalog.table(ref), size.rows - (0 if replaced or before is None else before.size.rows)
