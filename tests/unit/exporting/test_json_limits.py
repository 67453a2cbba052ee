"""Which JSON documents BigQuery can hold, as PostgreSQL answers it."""

import json
from collections.abc import Iterator
from contextlib import closing

import pg8000.native
import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.postgres import Postgres
from shared.exporting import json_limits
from shared.exporting.sql import identifier, literal

_COLUMN = "a'b\"{}"
_DOCUMENTS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('ab{["\\1234567890', max_size=20), inner, max_size=4)
    ),
)


@pytest.fixture(name="connection", scope="module", params=["on", "off"])
def _connection(request: pytest.FixtureRequest) -> Iterator[pg8000.native.Connection]:
    with Postgres({"standard_conforming_strings": request.param}) as server, closing(server.connect()) as connection:
        yield connection


def holds(connection: pg8000.native.Connection, document: str) -> bool:
    """Whether the condition admits the document, in a column whose name is apt to break it."""
    column = identifier(_COLUMN)
    query = f"SELECT {json_limits.held(f't.{column}::text')} FROM (SELECT CAST({literal(document)} AS json) AS {column}) AS t"
    context = connection.execute_simple(query)
    ((answer,),) = context.rows
    return bool(answer)


@pytest.mark.parametrize(
    "document",
    [
        "9223372036854775807",
        "-9223372036854775808",
        "18446744073709551615",
        "0.30000000000000004",
        "1.10",
        "1.0000000000000000000000",
        "5e-324",
        "1e20",
        "-6.10082312396185E+16",
        "3.732195739251026e+16",
        "1.7976931348623157e308",
        '"12345678901234567890123"',
        r'"\"12345678901234567890.5"',
        r'"\u0000"',
        r'"\ud83d\ude00"',
        r'"\\ud83d"',
        '"[[[["',
        "[" + ",".join(['{"ok": true}'] * 600) + "]",
        "[" + ",".join(['{"p": 1.5}'] * 600) + "]",
        "[" * 500 + "]" * 500,
        '{"a":' * 500 + "1" + "}" * 500,
    ],
)
def test_a_document_that_comes_back_is_held(connection: pg8000.native.Connection, document: str) -> None:
    assert holds(connection, document)


@pytest.mark.parametrize(
    "document",
    [
        "18446744073709551616",
        "-9223372036854775809",
        "1.2345678901234567890123",
        "0.30000000000000001",
        "1e400",
        "1e-400",
        "1e999999999999",
        r'["\"", 12345678901234567890123]',
        '{"12345678901234567890": 12345678901234567890123}',
        r'"\ud83d"',
        r'"\\\ude00"',
        "[" * 501 + "]" * 501,
        '{"a":' * 501 + "1" + "}" * 501,
        "[" * 501 + r'"\u0000"' + "]" * 501,
    ],
)
def test_a_document_that_would_change_is_not_held(connection: pg8000.native.Connection, document: str) -> None:
    assert not holds(connection, document)


@given(document=_DOCUMENTS)
def test_a_document_of_whole_numbers_and_floats_is_held_as_far_as_its_numbers_are(
    connection: pg8000.native.Connection, document: object
) -> None:
    fits = all(-(2**63) <= number < 2**64 for number in whole_numbers(document))

    assert holds(connection, json.dumps(document)) == fits


def whole_numbers(document: object) -> Iterator[int]:
    """All integers in a document."""
    if isinstance(document, int) and not isinstance(document, bool):
        yield document
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    for child in children:
        yield from whole_numbers(child)
