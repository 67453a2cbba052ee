"""What a request for a mirror may say, and what is refused."""

import json
from typing import Any

import pytest

from tests.support.stage import Log, Stage

REQUEST = {"pipeline": "billing"}
NOW = "2026-11-22T12:00:00Z"


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint)")


def export(stage: Stage) -> dict[str, Any]:
    """The one export that has been asked for."""
    [message] = stage.published("table-exports")
    found: dict[str, Any] = json.loads(message.data)
    return found


@pytest.mark.parametrize(
    ("time_zone", "published", "day"),
    [
        ("UTC", "2026-01-15T23:59:59.999Z", "2026-01-15"),
        ("UTC", "2026-01-16T00:00:00Z", "2026-01-16"),
        ("Europe/Berlin", "2026-01-15T22:59:59Z", "2026-01-15"),
        ("Europe/Berlin", "2026-01-15T23:00:00Z", "2026-01-16"),
        ("Europe/Berlin", "2026-07-15T22:00:00Z", "2026-07-16"),  # in summer two hours ahead
        ("America/Los_Angeles", "2026-01-16T07:59:59Z", "2026-01-15"),
    ],
)
def test_the_default_day_is_that_of_the_request_where_the_pipeline_is(
    stage: Stage, time_zone: str, published: str, day: str
) -> None:
    stage.pipeline["time_zone"] = time_zone
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST, published=published)

    assert export(stage)["shard_date"] == day


@pytest.mark.parametrize(
    ("wish", "replace"),
    [
        ({}, True),
        ({"shard_date": "2026-01-15"}, True),
        ({"shard_date": "2026-01-14"}, False),
        ({"shard_date": "2026-01-14", "replace": True}, True),
        ({"shard_date": "2026-01-14", "replace": False}, False),
    ],
)
def test_an_earlier_day_is_replaced_only_where_the_request_says_so(
    stage: Stage, wish: dict[str, Any], replace: bool
) -> None:
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST | wish)

    found = export(stage)
    assert found["replace"] is replace
    assert found["shard_date"] == wish.get("shard_date", "2026-01-15")


@pytest.mark.parametrize(
    ("request_", "named"),
    [
        (b"{", "JSON"),
        (b"", "JSON"),
        (b"\xff", "JSON"),
        (b"[]", "[]"),
        ({}, "pipeline"),
        ({"pipeline": 7}, "7"),
        ({"pipeline": "shipping"}, "shipping"),
        (REQUEST | {"table": "orders", "shard-date": "2026-01-15"}, "shard-date"),
        (REQUEST | {"tables": ["orders", "no_such_table"]}, "no_such_table"),
        (REQUEST | {"tables": ["sales.orders"]}, "sales.orders"),
        (REQUEST | {"tables": ["hidden"]}, "hidden"),
        (REQUEST | {"tables": []}, "[]"),
        (REQUEST | {"tables": "orders"}, "orders"),
        (REQUEST | {"shard_date": "2026-02-30"}, "2026-02-30"),
        (REQUEST | {"shard_date": "20260115"}, "20260115"),
        (REQUEST | {"shard_date": "2026-01-16"}, "2026-01-16"),
        (REQUEST | {"shard_date": 20260115}, "20260115"),
        (REQUEST | {"replace": "yes"}, "yes"),
    ],
)
def test_a_bad_request_is_dead_lettered_with_a_reason_that_names_the_value(
    stage: Stage, request_: Any, named: str
) -> None:
    stage.pipeline["exclude"] = ["public.hidden"]
    stage.run("CREATE TABLE hidden (id int)")
    list_tables = stage.function("list_tables")

    status = list_tables.receive(request_)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert named in letter.attributes["error"]
    assert letter.data == (request_ if isinstance(request_, bytes) else json.dumps(request_).encode())
    assert stage.published("table-exports") == []
    assert stage.files() == []


def test_a_bad_request_is_one_error_line(stage: Stage, log: Log) -> None:
    list_tables = stage.function("list_tables")

    list_tables.receive({"pipeline": "billing", "shard_date": "2027-01-01"})

    [line] = log()
    assert (line["severity"], line["outcome"], line["pipeline"]) == ("ERROR", "dead", "billing")
    assert "2027-01-01" in line["message"]
