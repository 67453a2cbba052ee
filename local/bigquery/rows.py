"""The rows of tables, in DuckDB. Each set of rows is a DuckDB table with an internal name."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import duckdb
import pyarrow as pa

from local.bigquery.schemas import Field
from local.bigquery.types import type_of

T = TypeVar("T")
Column = Sequence[str | None]

_WIDEST = 200
"""The most columns of one statement. DuckDB's planning time grows much faster than the number of columns."""


class Size(NamedTuple):
    """The size of rows, as tables.get shows it."""

    rows: int
    logical_bytes: int


NO_ROWS = Size(0, 0)


class CellError(Exception):
    """The first value that its column's type cannot hold. `row` counts from the start of the batch."""

    def __init__(self, row: int, position: int, value: str | None) -> None:
        super().__init__(value)
        self.row = row
        self.position = position
        self.value = value


class Rows:
    """
    A DuckDB database of its own, which cannot read files or use the network.

    `memory` is its limit, such as "1GB". If it is None, the database may use most of the machine's memory.
    """

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
        """Close the database, and forget all rows."""
        self._database.close()

    def create(self, fields: list[Field]) -> str:
        """Create an empty set of rows. Gives its name."""
        name = f"rows{next(self._numbers)}"
        columns = ", ".join(f"{quoted(field['name'])} {type_of(field).column}" for field in fields)
        self.cursor().execute(f"CREATE TABLE {name} ({columns})")
        return name

    def drop(self, name: str) -> None:
        """Drop rows, and free their memory."""
        self.cursor().execute(f"DROP TABLE {name}")

    def append(self, name: str, others: Iterable[str]) -> None:
        """Add the rows of `others`, all or none. Columns are matched by their order."""
        union = " UNION ALL ".join(f"SELECT * FROM {other}" for other in others)
        self.cursor().execute(f"INSERT INTO {name} {union}")

    def size(self, name: str, fields: list[Field]) -> Size:
        """
        How many rows there are, and their logical bytes by https://cloud.google.com/bigquery/pricing#data.

        The size of JSON is not published. It is taken as the size of its text.
        """
        rows, logical_bytes = 0, 0
        for part in _parts(fields):
            sizes = ", ".join(_of(type_of(field).size, field["name"]) for field in part)  # a long sum is too deep
            rows, *found = self.cursor().execute(f"SELECT count(*), {sizes} FROM {name}").fetchone() or (0,)
            logical_bytes += sum(map(int, found))
        return Size(int(rows), logical_bytes)

    def page(self, name: str, fields: list[Field], start: int, most: int) -> list[tuple[str | None, ...]]:
        """Rows in the order of their addition, with values as the REST API prints them. Timestamps are microseconds."""
        parts = []
        for part in _parts(fields):
            texts = ", ".join(_of(type_of(field).text, field["name"]) for field in part)
            query = f"SELECT {texts} FROM {name} LIMIT {most} OFFSET {start}"
            parts.append(self.cursor().execute(query).fetchall())
        return [tuple(itertools.chain(*row)) for row in zip(*parts, strict=True)]


class Loader:
    """Parses text by the columns' types, and adds it to a new set of rows. For one thread only."""

    def __init__(self, rows: Rows, fields: list[Field], *, empty_is_null: bool) -> None:
        self.name = rows.create(fields)
        self._cursor = rows.cursor()
        self._types = [type_of(field) for field in fields]
        self._empty_is_null = [empty_is_null and kind.name not in ("STRING", "BYTES") for kind in self._types]
        self._required = [field["mode"] == "REQUIRED" for field in fields]

    def add(self, columns: Iterable[Column]) -> None:
        """Add a batch, given column by column. If it raises CellError, nothing of the batch is added."""
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
        """The batch in the columns' types. A value that its type cannot hold is NULL."""
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
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


_UTC = [("UTC",), ("Etc/UTC",), ("Etc/UCT",), ("GMT",)]


def _of(template: str, column: str) -> str:
    return template.replace("{c}", quoted(column))


def _parts(columns: Sequence[T]) -> Iterator[Sequence[T]]:
    """The columns in parts of at most `_WIDEST`."""
    for start in range(0, len(columns), _WIDEST):
        yield columns[start : start + _WIDEST]


def _map(prepare: Any, texts: Column) -> Column:
    return [None if text is None else prepare(text) for text in texts]
