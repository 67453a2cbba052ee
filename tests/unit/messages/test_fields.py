"""Reading the fields of a JSON object that came from outside."""

import json
import re
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.messages.fields import Fields
from shared.messages.message import Message
from tests.support.billing import BILLING

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def read(data: bytes, known: Collection[str] | None = None) -> Fields:
    """The fields of the request in a message."""
    return Fields.of(Message("projects/p/topics/t", "9912", datetime(2026, 11, 22, tzinfo=UTC), data), "request", known)


def fields(**content: Any) -> Fields:
    return Fields(content, "request")


def wrong(name: str, must_be: str, value: str) -> str:
    return f"^{re.escape(f'{name} of the request must be {must_be}, not {value}')}$"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"mirror billing", b"[" * 100_000, b"1" * 5_000])
def test_what_is_not_json_is_refused(data: bytes) -> None:
    with pytest.raises(Permanent, match="the request is not JSON"):
        read(data)


def test_what_is_not_json_may_be_of_anything_and_is_not_shown() -> None:
    with pytest.raises(Permanent) as refused:
        read(b"mirror billing")

    assert "billing" not in str(refused.value)


@pytest.mark.parametrize("data", [b"null", b"17", b'"text"', b"[1]"])
def test_what_is_not_an_object_is_shown(data: bytes) -> None:
    with pytest.raises(Permanent, match=re.escape(f"the request is not a JSON object but {data.decode()}")):
        read(data)


def test_unknown_keys_are_all_named() -> None:
    with pytest.raises(Permanent, match=r"unknown keys: tabels, shard; it may have pipeline, tables"):
        read(b'{"pipeline": "a", "tabels": 1, "shard": 2}', known=("pipeline", "tables"))


def test_any_key_is_taken_where_none_are_listed() -> None:
    assert read(b'{"anything": 1}').get("anything") == 1


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(Permanent) as caught:
        fields(table=["x" * 1000]).text("table")

    assert len(str(caught.value)) < 300


def test_a_null_field_is_absent() -> None:
    nothing = fields(table=None, replace=None, tables=None)

    assert (nothing.text_or_none("table"), nothing.flag("replace", default=True), nothing.names("tables")) == (
        None,
        True,
        None,
    )


@pytest.mark.parametrize(("value", "shown"), [(None, "null"), ("", '""'), (17, "17"), ({"a": 1}, '{"a": 1}')])
def test_what_is_no_text_is_named(value: Any, shown: str) -> None:
    with pytest.raises(Permanent, match=wrong("table", "a text", shown)):
        fields(table=value).text("table")


@pytest.mark.parametrize(("value", "shown"), [("yes", '"yes"'), (1, "1"), ("", '""')])
def test_what_is_no_flag_is_named(value: Any, shown: str) -> None:
    with pytest.raises(Permanent, match=wrong("replace", "true or false", shown)):
        fields(replace=value).flag("replace", default=False)


@pytest.mark.parametrize(
    ("value", "shown"), [([], "[]"), ("orders", '"orders"'), (["a", 1], '["a", 1]'), ([""], '[""]')]
)
def test_what_are_no_names_is_named(value: Any, shown: str) -> None:
    with pytest.raises(Permanent, match=wrong("tables", "a list of at least one name", shown)):
        fields(tables=value).names("tables")


def test_names_keep_their_order() -> None:
    assert fields(tables=["b", "a"]).names("tables") == ("b", "a")


@pytest.mark.parametrize("value", ["id", {"id": 1}, ["id", 1], [None]])
def test_texts_are_a_list_of_nothing_else(value: Any) -> None:
    with pytest.raises(Permanent, match=wrong("primary_key", "a list of texts", json.dumps(value))):
        fields(primary_key=value).texts("primary_key")


@pytest.mark.parametrize(("value", "shown"), [([], "[]"), ([1], "[1]"), ({}, "{}"), (None, "null")])
def test_what_are_no_objects_is_named(value: Any, shown: str) -> None:
    with pytest.raises(Permanent, match=wrong("columns", "a list of at least one object", shown)):
        fields(columns=value).objects("columns", "column")


def test_a_fault_in_an_object_of_a_list_is_named_for_it() -> None:
    (column,) = fields(columns=[{}]).objects("columns", "column of a table export")

    with pytest.raises(Permanent, match="name of the column of a table export must be a text"):
        column.text("name")


@pytest.mark.parametrize("value", ["2026-02-30", "20261122", "tomorrow"])
def test_an_impossible_day_is_named(value: str) -> None:
    with pytest.raises(Permanent, match=f"shard_date of the request .*{value}"):
        fields(shard_date=value).day("shard_date")


@pytest.mark.parametrize("value", ["2026-11-22T25:00:00Z", "2026-11-22T02:00:00", "0001-01-01T00:00:00+14:00"])
def test_an_impossible_moment_is_named(value: str) -> None:
    with pytest.raises(Permanent, match=re.escape(value)):
        fields(requested_at=value).moment("requested_at")


def test_an_unknown_pipeline_is_named() -> None:
    with pytest.raises(Permanent, match=r"no pipeline 'biling'; PIPELINES has billing"):
        fields(pipeline="biling").pipeline({"billing": BILLING})


@given(_JSON)
def test_whatever_a_field_holds_is_read_or_refused(value: Any) -> None:
    found = read(json.dumps({"field": value}).encode())

    for take in (found.text, found.day, found.moment, found.names, lambda name: found.flag(name, default=False)):
        with suppress(Permanent):
            take("field")
