"""Rows of text, which DuckDB reads from files in CSV, and then reads as the columns' types."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from local.bigquery.rows import Rows, literal, of, parts, quoted
from local.bigquery.schemas import Field
from local.bigquery.types import type_of

LARGEST = 100 * 1024 * 1024
"""Bytes of a cell or a row: https://cloud.google.com/bigquery/quotas#load_jobs."""
_BATCH = 100_000


class CellError(Exception):
    """The first value that its column's type cannot hold."""

    def __init__(self, row: int, position: int, value: str | None) -> None:
        super().__init__(value)
        self.row = row
        self.position = position
        self.value = value


def line(values: Sequence[str | None]) -> str:
    """A row as `reading` reads it by default. Every text is in quotes, so that a bare 0 can stand for NULL."""
    return ",".join("0" if value is None else '"' + value.replace('"', '""') + '"' for value in values) + "\n"


def reading(
    file: Path,
    width: int,
    *,
    delimiter: str = ",",
    quote: str = '"',
    null_markers: Sequence[str] = ("0",),
    jagged: bool = False,
    ignores_extra: bool = False,
) -> str:
    """
    The SQL that reads a file as rows of texts, in columns c0, c1, and so on. A null marker in quotes is a text.

    Lines end in a line feed alone, and none is blank.
    """
    columns = ", ".join(f"'c{number}': 'VARCHAR'" for number in range(width))
    return (
        f"read_csv({literal(file)}, columns = {{{columns}}}, auto_detect = false, header = false, comment = '',"
        f" delim = {literal(delimiter)}, quote = {literal(quote)}, escape = {literal(quote)}, new_line = '\\n',"
        f" nullstr = [{', '.join(map(literal, null_markers))}], allow_quoted_nulls = false, max_line_size = {LARGEST},"
        # In parallel it would guess whether a line begins a row, or goes on in quotes.
        f" parallel = {not quote}, null_padding = {jagged}, strict_mode = {not ignores_extra})"
    )


def parsed(rows: Rows, fields: list[Field], source: str, *, empty_is_null: bool) -> str:
    """
    Make rows of the texts that some SQL gives in columns c0, c1, and so on. Gives their name.

    `empty_is_null`: so is an empty text in columns other than STRING and BYTES. Raises CellError.
    """
    with ExitStack() as undo:
        texts = _Texts(rows, fields, source, undo, empty_is_null=empty_is_null)
        made = rows.create(fields)
        with ExitStack() as failing:
            failing.callback(rows.drop, made)
            texts.insert_into(made)
            texts.check(made)
            failing.pop_all()
        return made


class _Texts:
    """A DuckDB table of texts. It and what is made on the way are dropped by `undo`."""

    def __init__(self, rows: Rows, fields: list[Field], source: str, undo: ExitStack, *, empty_is_null: bool) -> None:
        self._rows = rows
        self._cursor = rows.cursor()
        self._undo = undo
        self._fields = fields
        self._types = [type_of(field) for field in fields]
        nulls = [empty_is_null and kind.name not in ("STRING", "BYTES") for kind in self._types]
        columns = (f"nullif(c{at}, '') AS c{at}" if is_null else f"c{at}" for at, is_null in enumerate(nulls))
        self._name = self._table(f"SELECT {', '.join(columns)} FROM {source}")

    def insert_into(self, made: str) -> None:
        """Insert the values. A value that its type cannot hold is NULL."""
        pieces = [self._values(part) for part in parts(range(len(self._fields)))]
        if len(pieces) > 1:
            pieces = [self._table(piece) for piece in pieces]
            pieces = [f"SELECT * FROM {' POSITIONAL JOIN '.join(pieces)}"]
        self._cursor.execute(f"INSERT INTO {made} {pieces[0]}")

    def check(self, made: str) -> None:
        """Raise CellError if values are missing in the rows that were made."""
        bad: list[tuple[int, int]] = []
        for part in parts(range(len(self._fields))):
            names = [quoted(self._fields[at]["name"]) for at in part]
            rows, *texts = self._one(f"SELECT count(*), {', '.join(f'count(c{at})' for at in part)} FROM {self._name}")
            values = self._one(f"SELECT {', '.join(f'count({name})' for name in names)} FROM {made}")
            for at, name, text, value in zip(part, names, texts, values, strict=True):
                required = self._fields[at]["mode"] == "REQUIRED"
                if value != (rows if required else text):
                    there = "" if required else f" AND texts.c{at} IS NOT NULL"
                    both = f"{self._name} texts JOIN {made} made ON texts.rowid = made.rowid"
                    bad.append(
                        (*self._one(f"SELECT min(texts.rowid) FROM {both} WHERE made.{name} IS NULL{there}"), at)
                    )
        if bad:
            row, at = min(bad)
            raise CellError(row, at, *self._one(f"SELECT c{at} FROM {self._name} WHERE rowid = {row}"))

    def _values(self, part: Sequence[int]) -> str:
        """The SQL of some columns' values."""
        prepared = [at for at in part if self._types[at].prepare]
        texts = f"{self._name} POSITIONAL JOIN {self._prepared(prepared)}" if prepared else self._name
        parses = (of(self._types[at].parse, f"{'p' if at in prepared else 'c'}{at}") + f" AS v{at}" for at in part)
        return f"SELECT {', '.join(parses)} FROM {texts}"

    def _prepared(self, positions: Sequence[int]) -> str:
        """A table of the texts that Python converts before DuckDB reads them, in columns p0, p1, and so on."""
        kinds = [kind for at in positions if (kind := self._types[at].prepare)]
        found = self._cursor.execute(f"SELECT {', '.join(f'c{at}' for at in positions)} FROM {self._name}")
        with NamedTemporaryFile("w", encoding="utf-8-sig", newline="", dir=self._rows.folder) as file:
            while batch := found.fetchmany(_BATCH):
                file.writelines(line(list(map(_prepare, kinds, row))) for row in batch)
            file.flush()
            columns = ", ".join(f"c{number} AS p{at}" for number, at in enumerate(positions))
            return self._table(f"SELECT {columns} FROM {reading(Path(file.name), len(positions))}")

    def _table(self, query: str) -> str:
        name = self._rows.name()
        self._cursor.execute(f"CREATE TABLE {name} AS {query}")
        self._undo.callback(self._rows.drop, name)
        return name

    def _one(self, query: str) -> tuple[Any, ...]:
        found: tuple[Any, ...] | None = self._cursor.execute(query).fetchone()
        return found or ()


def _prepare(kind: Callable[[str], str | None], text: str | None) -> str | None:
    return None if text is None else kind(text)
