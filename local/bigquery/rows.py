"""The rows of tables, in DuckDB. Each set of rows is a DuckDB table with an internal name."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, TypeVar

import duckdb

from local.bigquery.schemas import Field
from local.bigquery.types import type_of

T = TypeVar("T")

WIDEST = 200
"""The most columns of one statement. DuckDB's planning time grows much faster than the number of columns."""


class Size(NamedTuple):
    """The size of rows, as tables.get shows it."""

    rows: int
    logical_bytes: int


NO_ROWS = Size(0, 0)


class Rows:
    """
    A DuckDB database of its own, which cannot use the network, and reads the files of `folder` alone.

    `memory` is its limit, such as "1GB". If it is None, the database may use most of the machine's memory.
    """

    def __init__(self, memory: str | None = None) -> None:
        settings: dict[str, Any] = {"python_enable_replacements": False} | ({"memory_limit": memory} if memory else {})
        self._database = duckdb.connect(":memory:", config=settings)
        self._folder = TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._database.execute(f"SET allowed_directories = [{literal(self.folder)}]")
        self._database.execute("SET enable_external_access = false")
        self._numbers = itertools.count()
        self.in_utc = self.cursor().execute("SELECT current_setting('TimeZone')").fetchone() in _UTC

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A connection for one thread."""
        return self._database.cursor()

    def close(self) -> None:
        """Close the database, and forget all rows."""
        self._database.close()
        self._folder.cleanup()

    def name(self) -> str:
        """A name that no rows have yet."""
        return f"rows{next(self._numbers)}"

    def create(self, fields: list[Field]) -> str:
        """Create an empty set of rows. Gives its name."""
        name = self.name()
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
        for part in parts(fields):
            sizes = ", ".join(of(type_of(field).size, field["name"]) for field in part)  # a long sum is too deep
            rows, *found = self.cursor().execute(f"SELECT count(*), {sizes} FROM {name}").fetchone() or (0,)
            logical_bytes += sum(map(int, found))
        return Size(int(rows), logical_bytes)

    def page(self, name: str, fields: list[Field], start: int, most: int) -> list[tuple[str | None, ...]]:
        """Rows in the order of their addition, with values as the REST API prints them. Timestamps are microseconds."""
        pages = []
        for part in parts(fields):
            texts = ", ".join(of(type_of(field).text, field["name"]) for field in part)
            query = f"SELECT {texts} FROM {name} LIMIT {most} OFFSET {start}"
            pages.append(self.cursor().execute(query).fetchall())
        return [tuple(itertools.chain(*row)) for row in zip(*pages, strict=True)]


def quoted(name: str) -> str:
    """The name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: object) -> str:
    """The text as an SQL literal."""
    return "'" + str(text).replace("'", "''") + "'"


_UTC = [("UTC",), ("Etc/UTC",), ("Etc/UCT",), ("GMT",)]


def of(template: str, column: str) -> str:
    """A type's SQL for a column."""
    return template.replace("{c}", quoted(column))


def parts(columns: Sequence[T]) -> Iterator[Sequence[T]]:
    """The columns in parts of at most `WIDEST`."""
    for start in range(0, len(columns), WIDEST):
        yield columns[start : start + WIDEST]
