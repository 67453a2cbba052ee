"""Reads one file into rows. If it cannot be read, the error describes the first bad row in BigQuery's words."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import duckdb

from local.bigquery import texts
from local.bigquery.csv_format import Csv, RecordError
from local.bigquery.errors import BigQueryError
from local.bigquery.ndjson_format import Ndjson
from local.bigquery.rows import Rows
from local.bigquery.schemas import Field

_WORDS = {"BOOLEAN": "BOOL", "FLOAT": "DOUBLE", "INTEGER": "INT64"}

Format = Csv | Ndjson


class FileError(BigQueryError):
    """A file that cannot be loaded. `more` holds the job's further errors, as ErrorProtos."""

    def __init__(self, uri: str, message: str, more: str) -> None:
        super().__init__("invalid", f"Error while reading data, error message: {message} File: {uri}", uri)
        self.more = [BigQueryError("invalid", f"Error while reading data, error message: {more}").proto()]


class FileReader:
    """Reads one file: `file`, which the service knows by its URI."""

    def __init__(self, uri: str, file: Path, form: Format, fields: list[Field]) -> None:
        self._uri = uri
        self._file = file
        self._form = form
        self._fields = fields

    def into(self, rows: Rows) -> str:
        """Make rows of the file. Gives their name. Raises FileError."""
        if fast := self._form.fast(self._file):
            try:
                return self._parsed(rows, fast)
            except duckdb.InvalidInputException:
                pass  # the look at each record finds out what the service says of it
        with NamedTemporaryFile("w", encoding="utf-8-sig", newline="", dir=rows.folder) as plain:
            self._copy(plain)
            plain.flush()
            return self._parsed(rows, self._form.source(Path(plain.name)))

    def _parsed(self, rows: Rows, source: str) -> str:
        try:
            return texts.parsed(rows, self._fields, source, empty_is_null=self._form.empty_is_null)
        except texts.CellError as bad:
            raise self._bad(bad.row, self._wording(bad)) from bad

    def _copy(self, plain: IO[str]) -> None:
        """Look at each record, and write it as DuckDB reads it."""
        row = position = 0
        try:
            for record, is_row in self._records():
                if is_row:
                    plain.write(self._form.plain(record))
                    row += 1
                position += len(record.encode())
        except RecordError as error:
            wording = f"Error detected while parsing row starting at position: {position}. Error: {error}"
            raise self._bad(row, wording) from error
        except UnicodeDecodeError as error:
            raise self._bad(row, f"This stand-in reads UTF-8 alone: {error.reason}.") from error

    def _records(self) -> Iterator[tuple[str, bool]]:
        """All records, each with whether it is a row."""
        with self._file.open(encoding="utf-8", newline="\n") as lines:
            for number, record in enumerate(self._form.records(lines)):
                if len(record) > texts.LARGEST:
                    raise RecordError("Row is larger than 100 MB.")
                yield record, number >= self._form.skipped and record.strip("\r\n") != ""

    def _position(self, row: int) -> int:
        """The offset in bytes at which a row starts."""
        position = 0
        for record, is_row in self._records():
            if is_row and row == 0:
                break
            row -= is_row
            position += len(record.encode())
        return position

    def _wording(self, bad: texts.CellError) -> str:
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
