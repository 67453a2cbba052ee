"""
The canaries of a check: tables that are no tables, but constant rows, whose values are known at both ends of the mirror.

They go the way of any table, by the same code. Their table_ids are kept for them: a table of the database that would bear one is
refused. So no message, file, shard or view of that name is ever a table's.
"""

import json
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from shared import names
from shared.pipelines import Pipeline
from shared.tables import Column

PREFIX = "mirror_check"
"""What the table_ids of canaries begin with, in any case, and those of no table."""
CSV, NDJSON, SNAPSHOT = f"{PREFIX}_csv", f"{PREFIX}_ndjson", f"{PREFIX}_snapshot"
"""Two by the Admin API, one in each format, and one that is read over a connection."""
ALL = (CSV, NDJSON, SNAPSHOT)
KEY = "id"
"""The column that numbers the rows, from 1 on."""

Row = Mapping[str, Any]
"""The values of a row by the columns' names in BigQuery, as its Python client gives them."""


@dataclass(frozen=True, slots=True)
class _Column:
    """
    A column, and its values from the first row on; after these come NULLs.

    `data_type` is its type in PostgreSQL's words, `type_name` what pg_catalog calls it. Each value is its text, as PostgreSQL reads
    it, and what it is in BigQuery.
    """

    name: str
    data_type: str
    type_name: str
    values: Sequence[tuple[str, Any]]


def _texts(*texts: str) -> list[tuple[str, Any]]:
    return [(text, text) for text in texts]


def _decimals(*texts: str) -> list[tuple[str, Any]]:
    return [(text, Decimal(text)) for text in texts]


_COLUMNS = (
    _Column("whole", "bigint", "int8", [(str(n), n) for n in (0, -1, 2**63 - 1, -(2**63))]),
    _Column("short float", "real", "float4", [(text, float(text)) for text in ("1.5", "-0.25", "16777216", "NaN")]),
    _Column(
        "float",
        "double precision",
        "float8",
        [
            (text, float(text))
            for text in ("0.1", "1.7976931348623157e+308", "2.2250738585072014e-308", "Infinity", "-Infinity", "NaN")
        ],
    ),
    _Column("flag", "boolean", "bool", [("true", True), ("false", False)]),
    _Column(
        "amount",
        "numeric(38,9)",
        "numeric(38,9)",
        [*_decimals(f"{'9' * 29}.{'9' * 9}", f"-{'9' * 29}.{'9' * 9}", "0.000000001", "1.50"), ("NaN", None)],
    ),
    _Column(
        "large amount",
        "numeric(76,38)",
        "numeric(76,38)",
        _decimals(f"{'9' * 38}.{'9' * 38}", f"-{'9' * 38}.{'9' * 38}", f"0.{'0' * 37}1"),
    ),
    _Column("any number", "numeric", "numeric", _texts(f"{'9' * 60}.{'1' * 60}", "-0.5", "NaN")),
    _Column(
        "day",
        "date",
        "date",
        [
            ("0001-01-01", date(1, 1, 1)),
            ("9999-12-31", date(9999, 12, 31)),
            ("2024-02-29", date(2024, 2, 29)),
            ("infinity", None),
        ],
    ),
    _Column("time", "time without time zone", "time", [("00:00:00", time()), ("23:59:59.999999", time.max)]),
    _Column(
        "moment",
        "timestamp without time zone",
        "timestamp",
        [
            ("0001-01-01 00:00:00", datetime.min),  # noqa: DTZ901 - a DATETIME has no zone
            ("9999-12-31 23:59:59.999999", datetime.max),  # noqa: DTZ901
            ("2024-02-29 01:02:03.000004", datetime(2024, 2, 29, 1, 2, 3, 4)),  # noqa: DTZ001
        ],
    ),
    _Column(
        "instant",
        "timestamp with time zone",
        "timestamptz",
        [
            ("0001-01-01 00:00:00+00", datetime.min.replace(tzinfo=UTC)),
            ("9999-12-31 23:59:59.999999+00", datetime.max.replace(tzinfo=UTC)),
            ("2024-02-29 01:02:03.4+05:30", datetime(2024, 2, 28, 19, 32, 3, 400_000, UTC)),
        ],
    ),
    _Column("bytes", "bytea", "bytea", [(r"\x", b""), (r"\x00ff22270a5c", b"\x00\xff\"'\n\\"), (r"\x61", b"a")]),
    _Column(
        "document",
        "jsonb",
        "jsonb",
        [
            (r'{"a": "x,\"y\"\n🐤", "b": [1, null, 2.5]}', {"a": 'x,"y"\n🐤', "b": [1, None, 2.5]}),
            ("{}", {}),
            ('"text"', "text"),
        ],
    ),
    _Column("list", "integer[]", "int4[]", [("{1,NULL,-3}", [1, None, -3]), ("{}", [])]),
    _Column("words", "text[]", "text[]", [('{"a, \\"b\\"","",NULL}', ['a, "b"', "", None])]),
    _Column("span", "interval", "interval", _texts("1 day 02:03:00")),
    _Column("It's", "uuid", "uuid", _texts("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")),
    _Column(
        "text",
        "text",
        "text",
        _texts(
            "",
            'with "quotes", it\'s said',
            '"',
            "two\nlines",
            "two\r\nlines\ttab",
            r"\. \N back\slash",
            "🐤 Zürich 日本",
            " blanks ",
            "NULL",
            "\x01\x02",
            "x" * 10_000,
        ),
    ),
)


def is_canary(table_id: str) -> bool:
    """Whether a table_id is kept for canaries. In a dataset that ignores case, one in another case would meet it."""
    return table_id.casefold().startswith(PREFIX)


def are_canaries(table_ids: Collection[str]) -> bool:
    """Whether it is about canaries, and about nothing else."""
    return bool(table_ids) and all(map(is_canary, table_ids))


def of(pipeline: Pipeline) -> list[str]:
    """The names of a pipeline's canaries, which are their table_ids, too."""
    return [name for name in ALL if name != SNAPSHOT or pipeline.small_tables == "snapshot"]


def seen_by(pipeline: Pipeline) -> Pipeline:
    """A pipeline as its canaries see it. Each value arrives as it is, and no view waits or is kept back."""
    return replace(
        pipeline,
        unrepresentable="null",
        leave_out=(),
        hash=(),
        release="each",
        max_shrink=None,
        keep_days=None,
    )


def spelt(text: str) -> str:
    """A text in ASCII: another character is written as `<U+1F424>`. For a database whose encoding may lack it."""
    return "".join(each if each.isascii() else f"<U+{ord(each):04X}>" for each in text)


def columns() -> tuple[Column, ...]:
    """The columns of every canary."""
    return (Column(KEY, "bigint", nullable=False), *(Column(each.name, each.data_type, True) for each in _COLUMNS))


def types() -> list[str]:
    """What pg_catalog calls the columns' types."""
    return ["int8", *(each.type_name for each in _COLUMNS)]


def texts() -> list[list[str | None]]:
    """The rows of every canary, as PostgreSQL reads them. None is NULL, and the last row has nothing else."""
    return [[str(number), *row] for number, row in enumerate(_rows(0), 1)]


def rows() -> list[Row]:
    """The same rows, as BigQuery is to have them."""
    called = names.column_names([column.name for column in columns()])
    return [dict(zip(called, (number, *row), strict=True)) for number, row in enumerate(_rows(1), 1)]


def differences(found: Iterable[Row]) -> list[str]:
    """What of a view's rows is not as it was sent, in words. Empty if all is."""
    there = list(found)
    known, sent = {row.get(KEY): row for row in there}, {row[KEY]: row for row in rows()}
    counts = Counter(row.get(KEY) for row in there)
    return [
        *(f"the row {number} is missing" for number in sent if number not in known),
        *(f"there is a row {number!r}, which was not sent" for number in known if number not in sent),
        *(f"the row {number} is there {count} times" for number, count in counts.items() if count > 1),
        *(
            f"{name} of the row {number} is {_shown(known[number].get(name))}, and was sent as {_shown(value)}"
            for number, row in sent.items()
            if number in known
            for name, value in row.items()
            if not _same(value, known[number].get(name))
        ),
    ]


def _rows(side: int) -> list[tuple[Any, ...]]:
    """The values of all columns on one side: PostgreSQL's (0), or BigQuery's (1)."""
    filled = zip_longest(*([value[side] for value in each.values] for each in _COLUMNS))
    return [*filled, (None,) * len(_COLUMNS)]


def _same(wanted: Any, found: Any) -> bool:
    """NaN is the same as itself, and 1 is not the same as true. A text may have been spelt, within a document, too."""
    if type(wanted) is not type(found):
        return False
    if isinstance(wanted, list | dict):
        wanted, found = (json.dumps(each, ensure_ascii=False, sort_keys=True) for each in (wanted, found))
    return repr(found) in {repr(wanted), spelt(repr(wanted))} or bool(wanted == found)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
