"""Every built-in type of PostgreSQL, as columns and as arrays: what its values are when they have arrived."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from pg8000.native import identifier, literal

from shared.errors import Permanent
from shared.messages.exports import TableExport
from tests.roundtrip import values
from tests.roundtrip.harness import Mirror, Services
from tests.roundtrip.samples import SAMPLES
from tests.roundtrip.values import Kind

ROUTES = [
    (server, file_format, policy)
    for server in ("default", "hostile")
    for file_format in ("csv", "ndjson")
    for policy in ("null", "string")
]


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
    """What has come over one way: for each type its values in PostgreSQL's text, and those of its column and array."""

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


def fill(mirror: Mirror) -> None:
    """Make a table of all types, and one of their arrays: row n has the n-th sample of each type, and NULL beyond."""
    most = max(map(len, SAMPLES.values())) + 1
    columns = ", ".join(f"{identifier(name)} {name}" for name in SAMPLES)
    with_arrays = [name for name in SAMPLES if not name.startswith(("pg_brin", "pg_d", "pg_m", "pg_nd", "pg_no"))]
    arrays = ", ".join(f"{identifier(name)} {name}[]" for name in with_arrays)
    mirror.run(f"CREATE TABLE plain (id int, {columns})", f"CREATE TABLE arrays (id int, {arrays})")
    for number in range(most):
        row = [sample(name, number) for name in SAMPLES]
        mirror.run(f"INSERT INTO plain VALUES ({number}, {', '.join(row)})")
    for number in range(most):
        row = [array(name, number) for name in with_arrays]
        mirror.run(f"INSERT INTO arrays VALUES ({number}, {', '.join(row)})")


def sample(data_type: str, number: int) -> str:
    found: Sequence[str] = SAMPLES[data_type]
    return f"{literal(found[number])}::{data_type}" if number < len(found) else "NULL"


def array(data_type: str, number: int) -> str:
    """No array, one of none, a NULL alone, then pairs with odd bounds, and squares."""
    if number < 3:
        return ("NULL", f"'{{}}'::{data_type}[]", f"ARRAY[NULL]::{data_type}[]")[number]
    one = f"{sample(data_type, number - 3)}"
    if number % 2:
        return f"array_fill({one}::{data_type}, ARRAY[2], ARRAY[-3]) || NULL::{data_type}"
    return f"ARRAY[[[{one}],[NULL]],[[{one}],[{one}]]]::{data_type}[]"


@pytest.fixture(scope="module", params=ROUTES, ids="-".join)
def route(request: pytest.FixtureRequest, services: Services) -> Iterator[dict[str, Route]]:
    server, file_format, policy = request.param
    with Mirror(services, server, format=file_format, unrepresentable=policy) as mirror:
        fill(mirror)
        yield {export.table: came(mirror, export, policy) for export in mirror.listed()}


def came(mirror: Mirror, export: TableExport, policy: str) -> Route:
    table = export.table
    try:
        mirror.shown(mirror.exported(export))
    except Permanent as refused:
        return Route(policy, {}, {}, {}, str(refused))
    described = mirror.schema(table)["columns"]
    names = [column["source_name"] for column in described]
    said = mirror.said(f"SELECT * FROM {table} ORDER BY id")
    found = sorted(mirror.rows(table), key=lambda row: int(row[0]))
    return Route(
        policy,
        dict(zip(names, map(list, zip(*said, strict=True)), strict=True)),
        dict(zip(names, map(list, zip(*found, strict=True)), strict=True)),
        {column["source_name"]: column["bigquery_type"] for column in described},
    )


@pytest.mark.parametrize("data_type", SAMPLES)
def test_a_value_arrives_as_it_was(route: dict[str, Route], data_type: str) -> None:
    assert route["plain"].differences(data_type, kind(data_type)) == []


@pytest.mark.parametrize("data_type", SAMPLES)
def test_a_column_has_the_type_that_holds_its_values(route: dict[str, Route], data_type: str) -> None:
    expected = kind(data_type)
    as_text = expected.exceeds and route["plain"].policy == "string"

    assert route["plain"].types[data_type] == ("STRING" if as_text else expected.bigquery_type)


@pytest.mark.parametrize(
    "data_type", [name for name in SAMPLES if not name.startswith("pg_") or name in ("pg_lsn", "pg_snapshot")]
)
def test_an_array_arrives_as_it_was(route: dict[str, Route], data_type: str) -> None:
    assert route["arrays"].differences(data_type, kind(data_type).array) == []


def test_no_type_of_a_column_is_forgotten(mirror: Mirror) -> None:
    known = mirror.said(
        "SELECT typname FROM pg_type AS t WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')"
        " AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.typarray = t.oid)"
    )

    assert {name for (name,) in known} - {base(name) for name in SAMPLES} == set()
