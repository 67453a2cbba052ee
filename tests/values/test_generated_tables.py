"""Tables that nobody thought of: names, types and rows by chance, many to a database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pg8000.native import identifier, literal

from shared import bucket, names
from shared.messages.exports import TableExport
from tests.support import expected as values
from tests.support.mirrored import Mirror, Rows, Services
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.soak

TABLES_PER_DATABASE = 10

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NAME = TEXT.filter(lambda text: 0 < len(text.encode()) < 64)
DATE = st.dates().map(str) | st.sampled_from(SAMPLES["date"])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
).map(lambda value: json.dumps(value, ensure_ascii=False))
DIGITS = st.decimals(allow_nan=False, allow_infinity=False).map("{:f}".format).filter(lambda text: len(text) < 300)


def whole(bits: int) -> st.SearchStrategy[str]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1).map(str)


def clocks(data_type: str) -> st.SearchStrategy[str]:
    return st.datetimes().map(str) | st.sampled_from(SAMPLES[data_type])


def arrays(element: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """PostgreSQL's text of an array of one dimension."""

    def quoted(text: str | None) -> str:
        return "NULL" if text is None else '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    return st.lists(st.none() | element, max_size=4).map(lambda found: "{" + ",".join(map(quoted, found)) + "}")


INPUTS = {
    "bool": st.sampled_from(["true", "false"]),
    "int2": whole(16),
    "int4": whole(32),
    "int8": whole(64),
    "oid": st.integers(0, 2**32 - 1).map(str),
    "float4": st.floats(width=32).map(str),
    "float8": st.floats().map(str),
    "numeric": DIGITS,
    "numeric(12,2)": st.decimals(-(10**9), 10**9, places=2).map(str) | st.just("NaN"),
    "numeric(76,38)": st.decimals(-(10**38) + 1, 10**38 - 1, places=38).map("{:f}".format),
    "text": TEXT,
    "varchar": TEXT,
    "bpchar": TEXT,
    "name": TEXT.filter(lambda text: len(text.encode()) < 64),
    "bytea": st.binary(max_size=80).map(lambda found: "\\x" + found.hex()),
    "date": DATE,
    "time": st.times().map(str),
    "timestamp": clocks("timestamp"),
    "timestamptz": clocks("timestamptz"),
    "interval": st.timedeltas().map(lambda found: f"{found.days} days {found.microseconds} microseconds"),
    "json": JSON,
    "uuid": st.uuids().map(str),
    "inet": st.ip_addresses().map(str),
    "int4[]": arrays(whole(32)),
    "text[]": arrays(TEXT),
    "bool[]": arrays(st.sampled_from(["true", "false"])),
    "float8[]": arrays(st.floats().map(str)),
    "numeric[]": arrays(DIGITS),
    "date[]": arrays(DATE),
    "timestamptz[]": arrays(clocks("timestamptz")),
    "json[]": arrays(JSON),
}


@dataclass(frozen=True)
class Table:
    """A table, its columns with their types, and its rows as text that the types' inputs read."""

    name: str
    columns: tuple[tuple[str, str], ...]
    rows: list[tuple[str | None, ...]]

    def statements(self) -> Sequence[str]:
        columns = ", ".join(f"{identifier(name)} {data_type}" for name, data_type in self.columns)
        made = f"CREATE TABLE {identifier(self.name)} ({columns})"
        rows = [f"({', '.join(map(literal, row))})" for row in self.rows]
        return [made, *([f"INSERT INTO {identifier(self.name)} VALUES {', '.join(rows)}"] if rows else [])]

    def expected(self, said: Rows, policy: str) -> list[list[Any]]:
        return [
            [
                self._kind(data_type).expected(text, policy)
                for (_, data_type), text in zip(self.columns, row, strict=True)
            ]
            for row in said
        ]

    def _kind(self, data_type: str) -> values.Kind:
        if data_type.endswith("[]"):
            return values.kind(data_type.removesuffix("[]")).array
        limited = {"numeric(12,2)": "NUMERIC", "numeric(76,38)": "BIGNUMERIC"}.get(data_type)
        return values.limited_numeric(limited) if limited else values.kind(data_type)


@st.composite
def tables(draw: st.DrawFn, name: str) -> Table:
    columns = draw(
        st.lists(
            st.tuples(NAME, st.sampled_from(sorted(INPUTS))), min_size=1, max_size=6, unique_by=lambda column: column[0]
        )
    )
    rows = st.tuples(*(st.none() | INPUTS[data_type] for _, data_type in columns))
    return Table(name, tuple(columns), draw(st.lists(rows, max_size=5)))


def _table_id(name: str) -> str:
    return names.table_id("public", name, "public")


@st.composite
def databases(draw: st.DrawFn) -> list[Table]:
    # Tables whose ids meet, or are the mirror's own, are refused, which others prove. A path that ends in INFORMATION_SCHEMA
    # is no table's to the local BigQuery.
    name = NAME.filter(lambda name: _table_id(name) not in {*bucket.RESERVED, "INFORMATION_SCHEMA"})
    found = draw(st.lists(name, min_size=TABLES_PER_DATABASE, max_size=TABLES_PER_DATABASE, unique_by=_table_id))
    return [draw(tables(name)) for name in found]


def differences(mirror: Mirror, table: Table, export: TableExport) -> tuple[list[Any], list[Any]]:
    """The rows that were expected and have not arrived, and those that have arrived instead."""
    mirror.shown(mirror.copied(export))
    described = mirror.schema(export.table_id)["columns"]
    said = mirror.said(f"SELECT * FROM {identifier(table.name)}")
    found = [
        [values.arrived(value, column["bigquery_type"]) for value, column in zip(row, described, strict=True)]
        for row in mirror.rows(export.table_id)
    ]
    missing = []
    for row in table.expected(said, mirror.pipeline.unrepresentable):
        arrived = (index for index, other in enumerate(found) if all(map(values.same, row, other)))
        index = next(arrived, None)
        if index is None:
            missing.append(row)
        else:
            del found[index]
    return missing, found


def check(services: Services, database: list[Table], server: str, file_format: str, policy: str) -> None:
    with Mirror(services, server, format=file_format, unrepresentable=policy) as mirror:
        for table in database:
            mirror.run(*table.statements())
        exports = {export.table: export for export in mirror.listed()}
        for table in database:
            assert differences(mirror, table, exports[table.name]) == ([], [])


WAYS = {
    "server": st.sampled_from(["default", "hostile"]),
    "file_format": st.sampled_from(["csv", "ndjson"]),
    "policy": st.sampled_from(["null", "string"]),
}
SETTINGS = settings(
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # to shrink such an example takes minutes
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@settings(SETTINGS, max_examples=4)
@given(database=databases(), **WAYS)
def test_forty_tables_arrive_as_they_were(
    services: Services, database: list[Table], server: str, file_format: str, policy: str
) -> None:
    check(services, database, server, file_format, policy)


@settings(SETTINGS, max_examples=20)
@given(database=databases(), **WAYS)
def test_two_hundred_tables_arrive_as_they_were(
    services: Services, database: list[Table], server: str, file_format: str, policy: str
) -> None:
    check(services, database, server, file_format, policy)
