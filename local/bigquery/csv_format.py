"""CSV as BigQuery's loads read it. DuckDB reads the values. What it would accept and the service refuses is found here.

Source: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-csv#details_of_loading_csv_data

The page does not define a null marker in quotes, a bare carriage return within a line, and control characters that are
not preserved. They are refused. Blanks around a value are part of the value, as in RFC 4180.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local.bigquery.errors import BigQueryError, unhonoured
from local.bigquery.texts import reading

_CONTROLS = frozenset(map(chr, range(32))) - frozenset("\t\n\r")
_CHUNK = 2**24  # bytes


class RecordError(Exception):
    """A record that cannot be read. The message is the service's, without the position in the file."""


@dataclass(frozen=True)
class Csv:
    """How a file is read as rows of `width` columns. `skipped`: the records before the first row."""

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

    def source(self, file: Path) -> str:
        """The SQL that reads a plain file."""
        return reading(
            file,
            self.width,
            delimiter=self.delimiter,
            quote=self.quote,
            null_markers=sorted(self.null_markers),
            jagged=self.jagged,
            ignores_extra=self.ignores_extra,
        )

    def fast(self, file: Path) -> str | None:
        """The SQL that reads a file without a look at each record. None: the service might read something otherwise."""
        quoted = False
        with file.open("rb") as content:
            is_plain = not self.skipped and not content.peek(3).startswith(BOM_UTF8)
            while is_plain and (chunk := content.read(_CHUNK) + content.readline()):
                pieces = (b"\n" + chunk).split(self.quote.encode()) if self.quote else [b"\n" + chunk]
                is_plain = self._is_plain(chunk, set(pieces[quoted::2]), pieces[not quoted :: 2])
                quoted ^= len(pieces) % 2 == 0
        return self.source(file) if is_plain and not quoted else None

    def _is_plain(self, chunk: bytes, bare: set[bytes], quoted: list[bytes]) -> bool:
        """Whether the pieces out of quotes only part values from each other, and the pieces in quotes are allowed."""
        if b"\r" in chunk or (not self.preserves_controls and self._controls.search(chunk.decode("latin-1"))):
            return False
        ends = tuple({self.delimiter.encode(), b"\n"})
        if not all(piece.startswith(ends) and piece.endswith(ends) and b"\n\n" not in piece for piece in bare - {b""}):
            return False
        markers = {marker.encode() for marker in self.null_markers} - {b""}
        return (self.quoted_newlines or not any(b"\n" in piece for piece in quoted)) and markers.isdisjoint(quoted)

    def plain(self, record: str) -> str:
        """The record in a plain file. Raises RecordError if the service refuses it."""
        text = record.removesuffix("\n").removesuffix("\r")
        if not self.preserves_controls and (found := self._controls.search(text)):
            raise RecordError(_control(found.group()))
        width = self._quoted_width(text) if self.quote and self.quote in text else self._bare_width(text)
        if width > self.width and not self.ignores_extra:
            raise RecordError("Too many values in row.")
        if width < self.width and not self.jagged:
            raise RecordError(f"CSV table references column position {width}, but line contains only {width} columns.")
        return text + "\n"

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

    def _bare_width(self, text: str) -> int:
        if "\r" in text:
            raise RecordError("This stand-in does not read a bare carriage return.")
        return text.count(self.delimiter) + 1

    def _quoted_width(self, text: str) -> int:
        width, position, separator = 0, 0, self.delimiter
        while separator:
            found = self._value.match(text, position)
            if found is None:
                raise RecordError(f"Data between close quote character ({self.quote}) and field separator.")
            quoted, _, separator = found.groups()
            if quoted and (value := quoted.replace(self.quote * 2, self.quote)) in self.null_markers:
                raise RecordError(f"This stand-in does not read the null marker {value!r} in quotes.")
            width, position = width + 1, found.end()
        return width


def _control(character: str) -> str:
    if character == "\0":
        return "Bad character (ASCII 0) encountered."
    return f"This stand-in does not read ASCII {ord(character)} without preserveAsciiControlCharacters."
