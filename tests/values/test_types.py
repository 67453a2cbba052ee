"""Every built-in type of PostgreSQL, as columns and as arrays: what its values are when they have arrived."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from pg8000.native import identifier, literal

from shared.errors import Permanent
from shared.messages.exports import TableExport
from tests.support import expected as values
from tests.support.expected import Kind
from tests.support.mirrored import Mirror, Services
from tests.support.samples import SAMPLES, SAMPLES_11, samples

ROUTES = [
    (server, file_format, policy)
    for server in ("default", "hostile", "11")
    for file_format in ("csv", "ndjson")
    for policy in ("null", "string")
    if server != "11" or (file_format, policy) in {("csv", "null"), ("ndjson", "string")}
]
MOST = max(map(len, (*SAMPLES.values(), *SAMPLES_11.values()))) + 4
"""Rows of a table: one for each sample, and the three arrays without one."""


def base(data_type: str) -> str:
    """`numeric(12,2)` is of the type numeric."""
    return data_type.partition("(")[0].partition(" ")[0].strip('"')


def kind(data_type: str) -> Kind:
    if data_type in ("numeric(12,2)", "numeric(38,9)", "numeric(5,-2)", "numeric(3,5)"):
        return values.limited_numeric("NUMERIC")
    if data_type == "numeric(76,38)":
        return values.limited_numeric("BIGNUMERIC")
    return values.TEXT if data_type == '"char"' else values.kind(base(data_type))


@dataclass(frozen=True)
class Route:
    """What has come over one way in one table: for each type its values in PostgreSQL's text, and those of its column and array."""

    policy: str
    said: dict[str, list[str | None]]
    found: dict[str, list[Any]]
    types: dict[str, str]
    refusal: str = ""

    def differences(self, column: str, expected: Kind) -> list[str]:
        """What arrived otherwise than it should have, or why nothing did."""
        if self.refusal:
            return [self.refusal]
        bigquery_type = self.types[column]
        wanted = [expected.expected(text, self.policy) for text in self.said[column]]
        found = [values.arrived(value, bigquery_type) for value in self.found[column]]
        return [
            f"{text!r} arrived as {value!r}, not {want!r}"
            for text, want, value in zip(self.said[column], wanted, found, strict=True)
            if not values.same(want, value)
        ]


Way = tuple[str, str, str]
Arrived = Callable[[str, str, str], dict[str, Route]]


def has_array(data_type: str, server: str) -> bool:
    """Whether one can write ARRAY with it."""
    # Of its floats test_floats.py tells: their arrays have other digits than PostgreSQL's own text.
    if server == "11" and data_type in ("int2vector", "oidvector", "float4", "float8"):
        return False
    return not data_type.startswith(("pg_brin", "pg_d", "pg_m", "pg_nd", "pg_no", "smgr"))


def fill(mirror: Mirror) -> None:
    """Make tables of all types, and of their arrays: row n has the n-th sample of each type, and NULL beyond."""
    given = samples(mirror.server)
    with_arrays = [name for name in given if has_array(name, mirror.server)]
    tables: dict[str, dict[str, list[str]]] = defaultdict(dict)
    for name in given:
        tables["plain"][name] = [sample(name, given[name], n) for n in range(MOST)]
    for name in with_arrays:
        tables["arrays"][f"{name}[]"] = [array(name, given[name], n) for n in range(MOST)]
    for made, columns in tables.items():
        named = ", ".join(f"{identifier(data_type.removesuffix('[]'))} {data_type}" for data_type in columns)
        mirror.run(f"CREATE TABLE {made} (id int, {named})")
        for number, row in enumerate(zip(*columns.values(), strict=True)):
            mirror.run(f"INSERT INTO {made} VALUES ({number}, {', '.join(row)})")


def sample(data_type: str, found: Sequence[str], number: int) -> str:
    return f"{literal(found[number])}::{data_type}" if number < len(found) else "NULL"


def array(data_type: str, found: Sequence[str], number: int) -> str:
    """No array, one of none, a NULL alone, then pairs with odd bounds, and squares."""
    if number < 3:
        return ("NULL", f"'{{}}'::{data_type}[]", f"ARRAY[NULL]::{data_type}[]")[number]
    one = f"{sample(data_type, found, number - 3)}"
    if number % 2:
        return f"array_fill({one}::{data_type}, ARRAY[2], ARRAY[-3]) || NULL::{data_type}"
    return f"ARRAY[[[{one}],[NULL]],[[{one}],[{one}]]]::{data_type}[]"


@pytest.fixture(scope="module")
def arrived(services_of: Callable[[str], Services]) -> Arrived:
    """What comes over a route, by its tables; each route is taken once."""

    @cache
    def take(server: str, file_format: str, policy: str) -> dict[str, Route]:
        with Mirror(services_of(server), server, format=file_format, unrepresentable=policy) as mirror:
            fill(mirror)
            return {export.table: came(mirror, export, policy) for export in mirror.listed()}

    return take


def came(mirror: Mirror, export: TableExport, policy: str) -> Route:
    name = export.table
    exported = mirror.exported(export) if name in ("plain", "arrays") else mirror.copied(export)
    described = {column["source_name"]: column["bigquery_type"] for column in mirror.schema(name)["columns"]}
    try:
        mirror.shown(exported)
    except Permanent as refused:
        return Route(policy, {}, {}, described, str(refused))
    said = mirror.said(f"SELECT * FROM {name} ORDER BY id")
    found = sorted(mirror.rows(name), key=lambda row: int(row[0]))
    return Route(
        policy,
        dict(zip(described, map(list, zip(*said, strict=True)), strict=True)),
        dict(zip(described, map(list, zip(*found, strict=True)), strict=True)),
        described,
    )


over_each_route = pytest.mark.parametrize(
    "way",
    [pytest.param(way, id="-".join(way), marks=[] if way[0] == "default" else [pytest.mark.soak]) for way in ROUTES],
)


@over_each_route
def test_values_of_all_types_arrive_as_they_were(arrived: Arrived, way: Way) -> None:
    route = arrived(*way)["plain"]

    found = {name: route.differences(name, kind(name)) for name in samples(way[0])}
    assert {name: differences for name, differences in found.items() if differences} == {}


@over_each_route
def test_a_column_has_the_type_that_holds_its_values(arrived: Arrived, way: Way) -> None:
    route = arrived(*way)["plain"]

    kinds = {name: kind(name) for name in samples(way[0])}
    wanted = {
        name: "STRING" if each.exceeds and route.policy == "string" else each.bigquery_type
        for name, each in kinds.items()
    }
    assert {name: route.types[name] for name in kinds} == wanted


@over_each_route
def test_arrays_of_all_types_arrive_as_they_were(arrived: Arrived, way: Way) -> None:
    route = arrived(*way)["arrays"]

    found = {name: route.differences(name, kind(name).array) for name in samples(way[0]) if has_array(name, way[0])}
    assert {name: differences for name, differences in found.items() if differences} == {}


def test_no_type_of_a_column_is_forgotten(mirror: Mirror) -> None:
    known = mirror.said(
        "SELECT typname FROM pg_type AS t WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')"
        " AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)"
    )

    given = samples(mirror.server)
    assert {name for (name,) in known} - {base(name) for name in given} == set()
