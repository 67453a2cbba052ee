"""Reads one file into rows. If it cannot be read, the error describes the first bad row in BigQuery's words."""

from collections.abc import Iterator
from itertools import islice
from typing import TextIO

from local.bigquery.csv_format import Csv, RecordError
from local.bigquery.errors import BigQueryError
from local.bigquery.ndjson_format import Ndjson
from local.bigquery.rows import CellError, Loader
from local.bigquery.schemas import Field

_BATCH = 20_000
_LARGEST = 100 * 1024 * 1024  # bytes of a cell or a row: https://cloud.google.com/bigquery/quotas#load_jobs
_WORDS = {"BOOLEAN": "BOOL", "FLOAT": "DOUBLE", "INTEGER": "INT64"}

Format = Csv | Ndjson


class FileError(BigQueryError):
    """A file that cannot be loaded. `more` holds the job's further errors, as ErrorProtos."""

    def __init__(self, uri: str, message: str, more: str) -> None:
        super().__init__("invalid", f"Error while reading data, error message: {message} File: {uri}", uri)
        self.more = [BigQueryError("invalid", f"Error while reading data, error message: {more}").proto()]


class FileReader:
    """Reads one file, in batches."""

    def __init__(self, uri: str, text: TextIO, form: Format, fields: list[Field]) -> None:
        self._uri = uri
        self._text = text
        self._form = form
        self._fields = fields

    def into(self, loader: Loader) -> None:
        """Add all rows to the loader. If it raises FileError, the loader has the batches before the bad row's."""
        records = (record for record, is_row in self._records() if is_row)
        done = 0
        while batch := self._rows(records, done):
            try:
                loader.add(zip(*batch, strict=True))
            except CellError as bad:
                raise self._bad(done + bad.row, self._wording(bad)) from bad
            done += len(batch)

    def _rows(self, records: Iterator[str], done: int) -> list[list[str | None]]:
        rows: list[list[str | None]] = []
        try:
            for record in islice(records, _BATCH):
                rows.append(self._form.row(record))  # noqa: PERF401 - if a record is bad, the rows before it are counted
        except RecordError as error:
            position = self._position(done + len(rows))
            wording = f"Error detected while parsing row starting at position: {position}. Error: {error}"
            raise self._bad(done + len(rows), wording) from error
        except UnicodeDecodeError as error:
            raise self._bad(done + len(rows), f"This stand-in reads UTF-8 alone: {error.reason}.") from error
        return rows

    def _records(self) -> Iterator[tuple[str, bool]]:
        """All records from the start of the file, each with whether it is a row."""
        self._text.seek(0)
        for number, record in enumerate(self._form.records(iter(self._text))):
            if len(record) > _LARGEST:
                raise RecordError("Row is larger than 100 MB.")
            yield record, number >= self._form.skipped and record.strip("\r\n") != ""

    def _position(self, row: int) -> int:
        """The offset in bytes at which a row starts."""
        position = 0
        try:
            for record, is_row in self._records():
                if is_row and row == 0:
                    break
                row -= is_row
                position += len(record.encode())
        except RecordError:
            pass  # the record without an end starts at this position
        return position

    def _wording(self, bad: CellError) -> str:
        field = self._fields[bad.position]
        start = self._position(bad.row)
        if bad.value is None or (bad.value == "" and field["mode"] == "REQUIRED"):
            return f"Required column value for column {field['name']} is missing in row starting at position: {start}."
        where = f"for field {field['name']} (position {bad.position}) starting at location {start}"
        return f"Could not parse '{bad.value:.100}' as {_WORDS.get(field['type'], field['type'])} {where} with message 'Unable to parse'"

    def _bad(self, row: int, message: str) -> FileError:
        counts = f"Rows: {row + 1}; errors: 1; max bad: 0; error percent: 0"
        more = f"{self._form.name} processing encountered too many errors, giving up. {counts}"
        return FileError(self._uri, message, more)
