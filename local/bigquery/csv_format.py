"""Reads CSV as BigQuery's loads do. It keeps NULL and the empty string apart. Python's and DuckDB's readers guess.

Source: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv#details_of_loading_csv_data

The page does not define a null marker in quotes, a bare carriage return within a line, and control characters that are
not preserved. They are refused. Blanks around a value are part of the value, as in RFC 4180.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from local.bigquery.errors import BigQueryError, unhonoured

Row = list[str | None]

_CONTROLS = frozenset(map(chr, range(32))) - frozenset("\t\n\r")


class RecordError(Exception):
    """A record that cannot be read. The message is the service's, without the position in the file."""


@dataclass(frozen=True)
class Csv:
    """How the text of a file is read as rows of `width` columns. `skipped`: the records before the first row."""

    width: int
    delimiter: str
    quote: str
    null_markers: frozenset[str]
    quoted_newlines: bool
    jagged: bool
    ignores_extra: bool
    preserves_controls: bool
    skipped: int

    name = "CSV"

    @classmethod
    def of(cls, load: dict[str, Any], width: int) -> "Csv":
        """Read the options of a load. Raises BigQueryError if they contradict each other or are not honoured."""
        if load.get("nullMarker") and load.get("nullMarkers"):
            raise BigQueryError("invalid", "Only one of nullMarker and nullMarkers can be set")
        delimiter, quote = load.get("fieldDelimiter") or ",", load.get("quote", '"')
        delimiter = "\t" if delimiter == "\\t" else delimiter
        if len(delimiter) != 1 or len(quote) > 1 or not (delimiter + quote).isascii() or delimiter == quote:
            raise unhonoured(f"fieldDelimiter {delimiter!r} with quote {quote!r}")
        return cls(
            width,
            delimiter,
            quote,
            frozenset(load.get("nullMarkers") or [load.get("nullMarker", "")]),
            bool(load.get("allowQuotedNewlines")),
            bool(load.get("allowJaggedRows")),
            bool(load.get("ignoreUnknownValues")),
            bool(load.get("preserveAsciiControlCharacters")),
            int(load.get("skipLeadingRows") or 0),
        )

    @property
    def empty_is_null(self) -> bool:
        """Whether an empty value in quotes is NULL, in columns other than STRING and BYTES."""
        return "" in self.null_markers

    def records(self, lines: Iterator[str]) -> Iterator[str]:
        """The records. One has several lines if a quoted value has line ends. Raises RecordError for an open quote."""
        for line in lines:
            if self.quote and line.count(self.quote) % 2:
                yield self._closed(line, lines)
            else:
                yield line

    def row(self, record: str) -> Row:
        """The values of a record, None for NULL. Raises RecordError if it cannot be read."""
        text = record.removesuffix("\n").removesuffix("\r")
        if not self.preserves_controls and (found := self._controls.search(text)):
            raise RecordError(_control(found.group()))
        if self.quote and self.quote in text:
            values = self._quoted_values(text)
        elif "\r" in text:
            raise RecordError("This stand-in does not read a bare carriage return.")
        else:
            values = [None if value in self.null_markers else value for value in text.split(self.delimiter)]
        return values if len(values) == self.width else self._fitted(values)

    def _closed(self, line: str, lines: Iterator[str]) -> str:
        parts = [line]
        for more in lines if self.quoted_newlines else ():
            parts.append(more)
            if more.count(self.quote) % 2:
                return "".join(parts)
        raise RecordError(f"Missing close quote character ({self.quote}).")

    @cached_property
    def _controls(self) -> re.Pattern[str]:
        return re.compile(f"[{re.escape(''.join(sorted(_CONTROLS - {self.delimiter, self.quote})))}]")

    @cached_property
    def _value(self) -> re.Pattern[str]:
        quote, delimiter = re.escape(self.quote), re.escape(self.delimiter)
        within = f"[^{quote}]*(?:{quote}{quote}[^{quote}]*)*"
        return re.compile(f"(?:{quote}({within}){quote}|([^{quote}{delimiter}\r]*))({delimiter}|\\Z)")

    def _quoted_values(self, text: str) -> Row:
        values: Row = []
        position, separator = 0, self.delimiter
        while separator:
            found = self._value.match(text, position)
            if found is None:
                raise RecordError(f"Data between close quote character ({self.quote}) and field separator.")
            quoted, bare, separator = found.groups()
            values.append(self._unquoted(quoted) if bare is None else None if bare in self.null_markers else bare)
            position = found.end()
        return values

    def _unquoted(self, quoted: str) -> str:
        value = quoted.replace(self.quote * 2, self.quote)
        if value and value in self.null_markers:
            raise RecordError(f"This stand-in does not read the null marker {value!r} in quotes.")
        return value

    def _fitted(self, values: Row) -> Row:
        if len(values) > self.width:
            if not self.ignores_extra:
                raise RecordError("Too many values in row.")
            return values[: self.width]
        if not self.jagged:
            message = (
                f"CSV table references column position {len(values)}, but line contains only {len(values)} columns."
            )
            raise RecordError(message)
        return values + [None] * (self.width - len(values))


def _control(character: str) -> str:
    if character == "\0":
        return "Bad character (ASCII 0) encountered."
    return f"This stand-in does not read ASCII {ord(character)} without preserveAsciiControlCharacters."
