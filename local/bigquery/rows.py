"""Rows of tables, in DuckDB: each version of a table has rows of its own, under a name that nobody sees."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import duckdb
import pyarrow as pa

from local.bigquery.schemas import Field
from local.bigquery.types import TYPES

T = TypeVar("T")
Column = Sequence[str | None]

_WIDEST = 200
"""The columns that one statement computes: DuckDB plans twice as many in far more than twice the time."""


class Size(NamedTuple):
    """What tables.get tells of rows."""

    rows: int
    logical_bytes: int


NO_ROWS = Size(0, 0)


class CellError(Exception):
    """The first value, counted in rows of the batch, that its column's type cannot hold."""

    def __init__(self, row: int, position: int, value: str | None) -> None:
        super().__init__(value)
        self.row = row
        self.position = position
        self.value = value


class Rows:
    """A DuckDB of its own, in so much memory (such as "1GB"; most of the machine's if None), that reads no files and fetches nothing."""

    def __init__(self, memory: str | None = None) -> None:
        settings: dict[str, Any] = {"enable_external_access": False, "python_enable_replacements": False}
        settings |= {"memory_limit": memory} if memory else {}
        self._database = duckdb.connect(":memory:", config=settings)
        self._numbers = itertools.count()
        self.in_utc = self.cursor().execute("SELECT current_setting('TimeZone')").fetchone() in _UTC

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one thread."""
        return self._database.cursor()

    def close(self) -> None:
        """Forget everything."""
        self._database.close()

    def create(self, fields: list[Field]) -> str:
        """No rows yet; answers the name."""
        name = f"rows{next(self._numbers)}"
        columns = ", ".join(f"{quoted(field['name'])} {TYPES[field['type']].column}" for field in fields)
        self.cursor().execute(f"CREATE TABLE {name} ({columns})")
        return name

    def drop(self, name: str) -> None:
        """Free the memory of rows that no table has any more."""
        self.cursor().execute(f"DROP TABLE {name}")

    def append(self, name: str, others: Iterable[str]) -> None:
        """Add the rows of others, column by column in order, all or none."""
        union = " UNION ALL ".join(f"SELECT * FROM {other}" for other in others)
        self.cursor().execute(f"INSERT INTO {name} {union}")

    def size(self, name: str, fields: list[Field]) -> Size:
        """By https://cloud.google.com/bigquery/pricing#data; JSON's size is not published and taken as its text's."""
        rows, logical_bytes = 0, 0
        for part in _parts(fields):
            sizes = ", ".join(_of(TYPES[field["type"]].size, field["name"]) for field in part)  # a long sum is too deep
            rows, *found = self.cursor().execute(f"SELECT count(*), {sizes} FROM {name}").fetchone() or (0,)
            logical_bytes += sum(map(int, found))
        return Size(int(rows), logical_bytes)

    def page(self, name: str, fields: list[Field], start: int, most: int) -> list[tuple[str | None, ...]]:
        """Values as the REST API prints them, timestamps as microseconds, in the order in which they were added."""
        parts = []
        for part in _parts(fields):
            texts = ", ".join(_of(TYPES[field["type"]].text, field["name"]) for field in part)
            query = f"SELECT {texts} FROM {name} LIMIT {most} OFFSET {start}"
            parts.append(self.cursor().execute(query).fetchall())
        return [tuple(itertools.chain(*row)) for row in zip(*parts, strict=True)]


class Loader:
    """Adds text to rows that only one thread knows, as the columns' types read it."""

    def __init__(self, rows: Rows, fields: list[Field], *, empty_is_null: bool) -> None:
        self.name = rows.create(fields)
        self._cursor = rows.cursor()
        self._types = [TYPES[field["type"]] for field in fields]
        self._empty_is_null = [empty_is_null and kind.name not in ("STRING", "BYTES") for kind in self._types]
        self._required = [field["mode"] == "REQUIRED" for field in fields]

    def add(self, columns: Iterable[Column]) -> None:
        """Raises CellError, and then nothing of the batch is added."""
        texts = [
            [value or None for value in column] if empty_is_null else column
            for column, empty_is_null in zip(columns, self._empty_is_null, strict=True)
        ]
        read = self._read(texts)
        bad = [self._first_bad(position, texts[position], read.column(position)) for position in range(len(texts))]
        found = [value for value in bad if value is not None]
        if found:
            raise min(found, key=lambda value: value.row)
        self._cursor.from_arrow(read).insert_into(self.name)

    def _read(self, texts: list[Column]) -> Any:
        """The batch in the columns' types, NULL for what they cannot hold."""
        read = [
            self._cursor.from_arrow(self._prepared(texts, part)).project(self._parses(part)).to_arrow_table()
            for part in _parts(range(len(texts)))
        ]
        columns = [column for each in read for column in each.columns]
        return pa.table(columns, schema=pa.schema([field for each in read for field in each.schema]))

    def _prepared(self, texts: list[Column], positions: Sequence[int]) -> Any:
        prepares = [self._types[position].prepare for position in positions]
        arrays = [
            pa.array(texts[position] if prepare is None else _map(prepare, texts[position]), pa.string())
            for position, prepare in zip(positions, prepares, strict=True)
        ]
        return pa.table(arrays, [f"c{position}" for position in positions])

    def _parses(self, positions: Sequence[int]) -> str:
        return ", ".join(f"{_of(self._types[position].parse, f'c{position}')} AS c{position}" for position in positions)

    def _first_bad(self, position: int, texts: Column, read: Any) -> CellError | None:
        if read.null_count == (0 if self._required[position] else sum(text is None for text in texts)):
            return None
        nulls = read.is_null().to_pylist()
        row = next(
            row for row, null in enumerate(nulls) if null and (self._required[position] or texts[row] is not None)
        )
        return CellError(row, position, texts[row])


def quoted(name: str) -> str:
    """The name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


_UTC = [("UTC",), ("Etc/UTC",), ("Etc/UCT",), ("GMT",)]


def _of(template: str, column: str) -> str:
    return template.replace("{c}", quoted(column))


def _parts(columns: Sequence[T]) -> Iterator[Sequence[T]]:
    """All columns, as many at a time as one statement takes on."""
    for start in range(0, len(columns), _WIDEST):
        yield columns[start : start + _WIDEST]


def _map(prepare: Any, texts: Column) -> Column:
    return [None if text is None else prepare(text) for text in texts]
