"""Floats arrive as the numbers that they were, from servers that write all of their digits, and from those that did not."""

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.mirrored import Mirror, Services

pytestmark = pytest.mark.soak

DOUBLES = (0.1 + 0.2, 0.3, 1 / 3, 1e300, -5e-324, 1.7976931348623157e308, 9007199254740993.0, 0.1, -2.5, 0.0)
REALS = (16777216.0, 1.1, 0.1, 1 / 3, 3.4028234663852886e38, 1.401298464324817e-45, -2.5, 8388609.0, 0.0, 1e10)
ROUTES = [(server, file_format) for server in ("default", "11") for file_format in ("csv", "ndjson")]


def single(number: float) -> float:
    """The nearest number of four bytes."""
    found: float = struct.unpack("f", struct.pack("f", number))[0]
    return found


@pytest.fixture(name="mirror", params=ROUTES, ids=["-".join(route) for route in ROUTES])
def filled(request: pytest.FixtureRequest, services_of: Callable[[str], Services]) -> Any:
    server, file_format = request.param
    with Mirror(services_of(server), server, format=file_format) as mirror:
        mirror.run(
            "CREATE DOMAIN doubles AS float8[]",
            "CREATE TYPE mixed AS (r real, d float8)",
            "CREATE TABLE plain (id int, r real, d float8)",
            "CREATE TABLE arrays (id int, r real[], d float8[], of_domain doubles, p point)",
            "CREATE TABLE composites (id int, b mixed[])",
        )
        for number, (r, d) in enumerate(zip(REALS, DOUBLES, strict=True)):
            mirror.run(
                f"INSERT INTO plain VALUES ({number}, {r!r}::float8::real, {d!r}::float8)",
                f"INSERT INTO arrays VALUES ({number}, ARRAY[{r!r}::float8::real, NULL], ARRAY[[{d!r}::float8]], "
                f"ARRAY[{d!r}::float8], point({d!r}::float8, 0))",
                f"INSERT INTO composites VALUES ({number}, ARRAY[ROW(1.5, {d!r}::float8)::mixed])",
            )
        mirror.mirror_quickly()
        yield mirror


def test_a_float_is_told_from_its_neighbours(mirror: Mirror) -> None:
    rows = sorted(mirror.rows("plain"))

    assert [single(r) for _, r, _ in rows] == [single(r) for r in REALS]
    assert [d for _, _, d in rows] == [*DOUBLES]


def test_the_elements_of_an_array_are_too(mirror: Mirror) -> None:
    rows = sorted(mirror.rows("arrays"), key=lambda row: row[0])

    assert [_numbers(r)[0] for _, r, *_ in rows] == pytest.approx([*REALS], rel=1e-7)
    assert [[single(_numbers(r)[0]), _numbers(r)[1]] for _, r, *_ in rows] == [[single(r), None] for r in REALS]
    assert [_numbers(d) for _, _, d, *_ in rows] == [[[d]] for d in DOUBLES]
    assert [_numbers(d) for _, _, _, d, _ in rows] == [[d] for d in DOUBLES]


def test_a_point_is_too(mirror: Mirror) -> None:
    rows = sorted(mirror.rows("arrays"), key=lambda row: row[0])

    assert [float(p.strip("()").split(",")[0]) for *_, p in rows] == [*DOUBLES]


def test_a_double_in_an_array_of_composites_is_too(mirror: Mirror) -> None:
    rows = sorted(mirror.rows("composites"), key=lambda row: row[0])

    assert [_numbers(b)[0]["d"] for _, b in rows] == [*DOUBLES]


def _numbers(value: Any) -> Any:
    return json.loads(value) if isinstance(value, str) else value
