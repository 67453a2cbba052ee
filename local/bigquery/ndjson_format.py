"""Newline-delimited JSON as BigQuery's loads read it.

DuckDB reads it as long as all is well, and there is no column of JSON: it rounds numbers in documents, and goes no more than 128
levels deep. Otherwise each line becomes one of CSV here.

Source: https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-json

Stricter than the service: keys must match columns in upper and lower case too. A STRING must be a string. Integers
beyond 2^53, and fractions for NUMERIC, must be strings, because the service promises nothing for them as numbers.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from pathlib import Path
from typing import Any

from local.bigquery import documents
from local.bigquery.csv_format import RecordError
from local.bigquery.errors import refuse_others
from local.bigquery.rows import WIDEST, literal, quoted
from local.bigquery.schemas import Field
from local.bigquery.texts import line, reading
from local.bigquery.types import is_repeated

_CSV_ONLY = frozenset(
    {
        "allowJaggedRows",
        "allowQuotedNewlines",
        "fieldDelimiter",
        "nullMarker",
        "nullMarkers",
        "preserveAsciiControlCharacters",
        "quote",
        "skipLeadingRows",
    }
)
_SAFE = range(-(2**53) + 1, 2**53)
_DOUBTFUL = r",\s*[]}]|-0\s*[,}]"
"""A comma that DuckDB would forgive, and a zero whose sign it would forget."""
_BARE = {
    "BOOLEAN": "{v} = 'true' OR {v} = 'false'",
    "FLOAT": "regexp_full_match({v}, '-?[0-9].*') AND isfinite(try_cast({v} AS DOUBLE))",
    **dict.fromkeys(
        ("INTEGER", "NUMERIC", "BIGNUMERIC"),
        f"regexp_full_match({{v}}, '-?[0-9]{{1,16}}') AND abs(try_cast({{v}} AS BIGINT)) < {2**53}",
    ),
}
"""What may come without quotes, in SQL for a value `{v}`."""


@dataclass(frozen=True)
class Ndjson:
    """How a file is read as rows of the schema's columns."""

    fields: list[Field]
    ignores_extra: bool

    name = "JSON"
    skipped = 0
    empty_is_null = False

    @classmethod
    def of(cls, load: dict[str, Any], fields: list[Field]) -> "Ndjson":
        """Read the options of a load. Raises BigQueryError for options that are for CSV only."""
        refuse_others({key: load[key] for key in load.keys() & _CSV_ONLY}, frozenset(), "load")
        return cls(fields, bool(load.get("ignoreUnknownValues")))

    def records(self, lines: Iterator[str]) -> Iterator[str]:
        """The records. Each line is one."""
        return lines

    def fast(self, file: Path) -> str | None:
        """The SQL that reads a file without a look at each record. Fails if the service might refuse something. None: none does."""
        kinds = self._types.values()
        if "JSON" in kinds or self._repeated or len(kinds) > WIDEST:
            return None
        known, is_row = f"[{', '.join(map(literal, self._types))}]", "json_type(c0) = 'OBJECT'"
        if not self.ignores_extra:  # most rows have all keys, in order, and that is told faster
            is_row = f"(json_keys(c0) = {known} OR {is_row} AND list_has_all({known}, json_keys(c0)))"
        is_row += f" AND NOT regexp_matches(c0, {literal(_DOUBTFUL)})"
        shape = literal(json.dumps(dict.fromkeys(self._types, "JSON")))
        lines = reading(file, 1, delimiter="\x01", quote="", null_markers=[""])  # a character that no JSON has
        rows = f"SELECT from_json(CASE WHEN {is_row} THEN c0 ELSE error('no row') END, {shape}) AS row FROM {lines}"
        texts = (
            f"CASE WHEN {value} IS NULL THEN NULL WHEN left({value}, 1) = '\"' THEN json_extract_string({value}, '$')"
            f" WHEN {_BARE.get(kind, 'false').replace('{v}', value)} THEN {value} ELSE error('no value') END AS c{at}"
            for at, (value, kind) in enumerate(
                (f"row.{quoted(name)}::VARCHAR", kind) for name, kind in self._types.items()
            )
        )
        return f"(SELECT {', '.join(texts)} FROM ({rows} WHERE c0 IS NOT NULL))"

    def source(self, file: Path) -> str:
        """The SQL that reads a plain file."""
        return reading(file, len(self.fields))

    def plain(self, record: str) -> str:
        """The record as a line of CSV. Raises RecordError if it cannot be read."""
        return line(self._row(record))

    def _row(self, record: str) -> list[str | None]:
        try:
            members = documents.parse(record)
        except ValueError as error:
            raise RecordError(f"Parser terminated before end of string: {error}") from error
        if not isinstance(members, dict):
            raise RecordError("A row is no JSON object.")
        if not self.ignores_extra and (unknown := members.keys() - self._types.keys()):
            raise RecordError(f"No such field: {min(unknown)}.")
        return [
            _array(members.get(name), name) if name in self._repeated else _text(members.get(name), kind, name)
            for name, kind in self._types.items()
        ]

    @cached_property
    def _types(self) -> dict[str, str]:
        return {field["name"]: field["type"] for field in self.fields}

    @cached_property
    def _repeated(self) -> frozenset[str]:
        return frozenset(field["name"] for field in self.fields if is_repeated(field))


def _array(value: Any, name: str) -> str:
    """The texts of a column that is REPEATED, as a JSON array. A NULL is an empty one."""
    if not isinstance(value, list | None) or not all(isinstance(each, str) for each in value or ()):
        raise RecordError(f"Array of STRING expected. Field: {name}; Value: {value}")
    return json.dumps(value or [], ensure_ascii=False)


def _text(value: Any, kind: str, name: str) -> str | None:
    if value is None:
        return None
    try:
        if kind == "JSON":
            return documents.canonical(value)
        if isinstance(value, str):
            value.encode()  # raises UnicodeEncodeError for half a surrogate pair
            return value
    except ValueError as error:
        raise RecordError(f"Field: {name}; {error}") from error
    if _fits(value, kind):
        return str(value).lower() if kind == "BOOLEAN" else repr(value)
    raise RecordError(f"Could not convert value to {kind}. Field: {name}; Value: {value}")


def _fits(value: Any, kind: str) -> bool:
    if kind == "BOOLEAN" or isinstance(value, bool):
        return kind == "BOOLEAN" and isinstance(value, bool)
    if kind == "FLOAT":
        return isinstance(value, int) or (isinstance(value, float) and isfinite(value))
    return kind in ("INTEGER", "NUMERIC", "BIGNUMERIC") and isinstance(value, int) and value in _SAFE
