"""Which datasets and tables there are. A table is a value: whoever changes it puts another in its place."""

import time
import unicodedata
from dataclasses import dataclass, field, replace
from itertools import count
from threading import RLock
from typing import Any, NamedTuple

from local.bigquery.errors import BigQueryError, unhonoured
from local.bigquery.rows import NO_ROWS, Rows, Size
from local.bigquery.schemas import Field

_LONGEST_NAME = 1024
_versions = count(1)


class TableRef(NamedTuple):
    """A table's full name."""

    project: str
    dataset: str
    table: str

    def __str__(self) -> str:
        return f"{self.project}:{self.dataset}.{self.table}"

    @classmethod
    def of(cls, reference: dict[str, str]) -> "TableRef":
        """From a TableReference."""
        return cls(reference["projectId"], reference["datasetId"], reference["tableId"])

    def resource(self) -> dict[str, str]:
        """As a TableReference."""
        return {"projectId": self.project, "datasetId": self.dataset, "tableId": self.table}


@dataclass(frozen=True)
class Dataset:
    """A dataset. Times are milliseconds since the epoch; properties are the fields that its creator chose."""

    project: str
    name: str
    location: str
    created: int
    properties: dict[str, Any]
    hidden: bool = False

    @property
    def table_lifetime(self) -> int | None:
        """Milliseconds after which new tables expire, if they do."""
        given = self.properties.get("defaultTableExpirationMs")
        return int(given) if given else None

    @property
    def ignores_case(self) -> bool:
        """Whether its own name and its tables' names are the same in any case."""
        return bool(self.properties.get("isCaseInsensitive"))


@dataclass(frozen=True)
class Table:
    """One version of a table, a snapshot of one or, where it has a query, a view: in GoogleSQL, unless it is in legacy SQL."""

    ref: TableRef
    fields: list[Field]
    created: int
    properties: dict[str, Any]
    query: str | None = None
    legacy: bool = False
    snapshot: bool = False
    rows: str = ""
    size: Size = NO_ROWS
    modified: int = 0
    version: int = field(default_factory=lambda: next(_versions))

    @property
    def kind(self) -> str:
        if self.query is not None:
            return "VIEW"
        return "SNAPSHOT" if self.snapshot else "TABLE"

    @property
    def expired(self) -> bool:
        """Whether its time has come, if it has one."""
        return "expirationTime" in self.properties and int(self.properties["expirationTime"]) <= now()

    def changed(self, **changes: Any) -> "Table":
        """The next version, with another etag."""
        return replace(self, **changes, modified=now(), version=next(_versions))


class Catalog:
    """The datasets and tables of one project. Hold `lock` from looking until what depends on it is done."""

    def __init__(self, project: str, memory: str | None = None) -> None:
        self.project = project
        self.lock = RLock()
        self.rows = Rows(memory)
        self._datasets: dict[str, Dataset] = {}
        self._tables: dict[TableRef, Table] = {}

    def add_dataset(self, dataset: Dataset) -> None:
        """Raises BigQueryError where there is one of that name."""
        _check_name(dataset.name, "dataset", _is_word)
        with self.lock:
            if self._named(dataset.name):
                raise BigQueryError("duplicate", f"Already Exists: Dataset {self.project}:{dataset.name}")
            self._datasets[dataset.name] = dataset

    def dataset(self, project: str, name: str) -> Dataset:
        """Raises BigQueryError where there is none."""
        found = self._named(name) if project == self.project else None
        if found is None:
            raise BigQueryError("notFound", f"Not found: Dataset {project}:{name}")
        return found

    def datasets(self) -> list[Dataset]:
        """All but the hidden, by name."""
        return [each for _, each in sorted(self._datasets.items()) if not each.hidden]

    def find(self, ref: TableRef) -> Table | None:
        """The table, unless it has expired. Raises BigQueryError where its dataset is missing."""
        with self.lock:
            table = self._tables.get(self._key(ref))
            if table and table.expired:
                self.remove(table)
                return None
            return table

    def table(self, ref: TableRef) -> Table:
        """Raises BigQueryError where there is none."""
        table = self.find(ref)
        if table is None:
            raise BigQueryError("notFound", f"Not found: Table {ref}")
        return table

    def tables(self, dataset: str) -> list[Table]:
        """Those of a dataset, by name."""
        with self.lock:
            name = self.dataset(self.project, dataset).name
            refs = sorted(table.ref for key, table in self._tables.items() if key.dataset == name)
            return [table for ref in refs if (table := self.find(ref))]

    def put(self, table: Table) -> None:
        """Show this version from now on, and free the rows that no version has any more."""
        with self.lock:
            key = self._key(table.ref)
            before = self._tables.get(key)
            self._tables[key] = table
            if before and before.rows and before.rows != table.rows:
                self.rows.drop(before.rows)

    def remove(self, table: Table) -> None:
        """Delete the table and its rows."""
        with self.lock:
            del self._tables[self._key(table.ref)]
            if table.rows:
                self.rows.drop(table.rows)

    def new_table(self, ref: TableRef, fields: list[Field], properties: dict[str, Any]) -> Table:
        """What a new table or view starts from; the caller adds its rows or query, and puts it."""
        _check_table_name(ref.table)
        lifetime = self.dataset(ref.project, ref.dataset).table_lifetime
        if lifetime and "expirationTime" not in properties:
            properties = properties | {"expirationTime": str(now() + lifetime)}
        given = {name: value for name, value in properties.items() if value not in (None, {})}
        return Table(ref, fields, now(), given, modified=now())

    def _named(self, name: str) -> Dataset | None:
        same = (each for each in self._datasets.values() if each.ignores_case and each.name.lower() == name.lower())
        return self._datasets.get(name) or next(same, None)

    def _key(self, ref: TableRef) -> TableRef:
        """What the table is found by. Raises BigQueryError where its dataset is missing."""
        dataset = self.dataset(ref.project, ref.dataset)
        return TableRef(ref.project, dataset.name, ref.table.lower() if dataset.ignores_case else ref.table)


def now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def _check_table_name(name: str) -> None:
    if set("$@*") & set(name):
        raise unhonoured(f"decorators and wildcards: {name}")
    _check_name(name, "table", _is_table_letter)


def _check_name(name: str, what: str, fits: Any) -> None:
    if not name or len(name) > _LONGEST_NAME or not all(map(fits, name)):
        raise BigQueryError("invalid", f'Invalid {what} ID "{name}"')


def _is_word(character: str) -> bool:
    return character == "_" or (character.isascii() and character.isalnum())


def _is_table_letter(character: str) -> bool:
    """Letters, marks, numbers, connectors, dashes and spaces, as the discovery document lists them."""
    kind = unicodedata.category(character)
    return kind[0] in "LMN" or kind in ("Pc", "Pd", "Zs")
