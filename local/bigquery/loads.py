"""Load jobs: all files are read into new rows first. Then the rows are written to the table in one step.

WRITE_TRUNCATE keeps the destination's description, labels and expiration. It does not keep the descriptions of its
columns (measured by users: https://github.com/dlt-hub/dlt/pull/4130).
"""

from typing import Any

from local.bigquery import clustering
from local.bigquery.catalog import Catalog, Table, TableRef
from local.bigquery.csv_format import Csv
from local.bigquery.errors import BigQueryError, refuse_others, unhonoured
from local.bigquery.files import Files
from local.bigquery.jobs import Job, Outcome
from local.bigquery.ndjson_format import Ndjson
from local.bigquery.reading import FileReader, Format
from local.bigquery.schemas import Field, checked, same_shape
from local.bigquery.writes import check_writable, written

_HONOURED = frozenset(
    {
        "allowJaggedRows",
        "allowQuotedNewlines",
        "clustering",
        "createDisposition",
        "destinationTable",
        "destinationTableProperties",
        "encoding",
        "fieldDelimiter",
        "ignoreUnknownValues",
        "nullMarker",
        "nullMarkers",
        "preserveAsciiControlCharacters",
        "quote",
        "schema",
        "skipLeadingRows",
        "sourceFormat",
        "sourceUris",
        "useAvroLogicalTypes",  # Beam sends it with every format, and it is for Avro only
        "writeDisposition",
    }
)
_PROPERTIES = frozenset({"description", "friendlyName", "labels"})


class Loads:
    """Runs load jobs."""

    def __init__(self, catalog: Catalog, files: Files) -> None:
        self._catalog = catalog
        self._files = files

    def location(self, configuration: dict[str, Any], _given: str | None) -> str:
        """The location of the destination's dataset. Raises BigQueryError for an option that is not honoured."""
        load = configuration["load"]
        refuse_others(load, _HONOURED, "load")
        refuse_others(load.get("destinationTableProperties", {}), _PROPERTIES, "load.destinationTableProperties")
        if load.get("encoding", "UTF-8") not in ("UTF-8", "UTF8"):
            raise unhonoured(f"load.encoding {load['encoding']}")
        if not load.get("sourceUris"):
            raise BigQueryError("invalid", "Load configuration must specify at least one source URI")
        ref = TableRef.of(load["destinationTable"])
        return self._catalog.dataset(ref.project, ref.dataset).location

    def dry_run(self, job: Job) -> dict[str, Any]:
        """Refused, by BigQueryError: loads have no dry run."""
        raise unhonoured(f"a dry run of {job.kind}")

    def run(self, job: Job) -> Outcome:
        """Read every file, then write the table. If a file cannot be read, the table does not change."""
        load = job.configuration["load"]
        ref = TableRef.of(load["destinationTable"])
        existing = self._catalog.find(ref)
        check_writable(existing, ref, load, "WRITE_APPEND")
        fields = _fields(load, existing, ref)
        clustering.check(load.get("clustering"), fields)
        form = _format(load, fields)
        uris = self._files.matching(load["sourceUris"])
        sources: list[str] = []
        try:
            size = sum(self._read(uri, form, fields, sources) for uri in uris)
            table, rows = written(self._catalog, ref, fields, sources, load, "WRITE_APPEND")
        finally:
            for source in sources:
                self._catalog.rows.drop(source)
        return Outcome({"load": _statistics(uris, size, rows, table)}, existing is None, rows)

    def _read(self, uri: str, form: Format, fields: list[Field], sources: list[str]) -> int:
        """Read one file into new rows, and add their name to the sources. Gives the file's size in bytes."""
        with self._files.opened(uri) as file:
            sources.append(FileReader(uri, file, form, fields).into(self._catalog.rows))
            return file.stat().st_size


def _fields(load: dict[str, Any], existing: Table | None, ref: TableRef) -> list[Field]:
    """The columns that the files are read as: the load's schema, or else the table's."""
    if not load.get("schema"):
        if existing is None:
            raise BigQueryError("invalid", f"No schema specified on job or table {ref}, and this stand-in detects none")
        return existing.fields
    fields = checked(load["schema"])
    replaces = load.get("writeDisposition") == "WRITE_TRUNCATE"
    if existing and not replaces and not same_shape(fields, existing.fields):
        raise BigQueryError("invalid", f"Provided Schema does not match Table {ref}.")
    return fields


def _format(load: dict[str, Any], fields: list[Field]) -> Format:
    form = load.get("sourceFormat", "CSV")
    if form == "CSV":
        return Csv.of(load, len(fields))
    if form == "NEWLINE_DELIMITED_JSON":
        return Ndjson.of(load, fields)
    raise unhonoured(f"load.sourceFormat {form}")


def _statistics(uris: list[str], size: int, rows: int, table: Table) -> dict[str, str]:
    return {
        "inputFiles": str(len(uris)),
        "inputFileBytes": str(size),
        "outputRows": str(rows),
        "outputBytes": str(table.size.logical_bytes),
        "badRecords": "0",
    }
