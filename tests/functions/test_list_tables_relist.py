"""What comes of the request to describe tables of a run again."""

import json
from typing import Any

import pytest

from tests.support.delivery import Function
from tests.support.stage import Stage
from tests.support.standins import INSTANCE

RUN = "billing/_runs/9912"
FAILED, RELISTED = (f"{RUN}/{folder}/orders.json" for folder in ("failed", "relisted"))
NOTE_DROPPED = "ALTER TABLE orders DROP COLUMN note"
NOW = "2026-11-22T12:00:00Z"
REQUEST = {
    "pipeline": "billing",
    "tables": [{"schema": "public", "table": "orders"}],
    "shard_date": "2026-01-15",
    "run_id": "9912",
    "relist": True,
}


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text, due date, paid boolean)")


@pytest.fixture
def list_tables(stage: Stage) -> Function:
    return stage.function("list_tables")


@pytest.fixture
def listed(stage: Stage, list_tables: Function) -> dict[str, Any]:
    """The wish to export the table as it was when it was listed."""
    list_tables.receive({"pipeline": "billing"})
    [listed] = exports(stage)
    return listed


def exports(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("table-exports")]


def test_a_relisted_table_belongs_to_its_run(stage: Stage, listed: dict[str, Any], list_tables: Function) -> None:
    stage.run(NOTE_DROPPED)

    status = list_tables.receive(REQUEST, message_id="9950", published="2026-01-16T07:00:00Z")

    messages = stage.published("table-exports")
    [described] = [json.loads(message.data) for message in messages]
    assert status == 200
    assert described | {"columns": []} == listed | {"columns": []}
    assert [each["name"] for each in described["columns"]] == ["id", "due", "paid"]
    assert [message.ordering_key for message in messages] == [INSTANCE]
    assert stage.json(RELISTED) == described


def test_a_relisted_table_keeps_the_format_that_was_decided(stage: Stage) -> None:
    stage.pipeline["format"] = "auto"
    list_tables = stage.function("list_tables")
    list_tables.receive({"pipeline": "billing"})
    stage.run(NOTE_DROPPED, "INSERT INTO orders VALUES (1)", "ANALYZE orders")

    list_tables.receive(REQUEST, message_id="9950", published=NOW)

    assert [each["format"] for each in exports(stage)] == ["ndjson", "ndjson"]


def test_a_relisted_table_of_an_earlier_day_is_replaced_no_more_than_its_run_does(
    stage: Stage, list_tables: Function
) -> None:
    list_tables.receive({"pipeline": "billing", "shard_date": "2026-01-10"})
    exports(stage)

    list_tables.receive(REQUEST | {"shard_date": "2026-01-10"}, message_id="9950")

    [described] = exports(stage)
    assert (described["shard_date"], described["replace"]) == ("2026-01-10", False)


def test_a_relist_that_is_delivered_again_publishes_the_same(
    stage: Stage, listed: dict[str, Any], list_tables: Function
) -> None:
    manifest = stage.content(f"{RUN}/manifest.json")
    stage.run(NOTE_DROPPED)
    list_tables.receive(REQUEST, message_id="9950")
    stage.run("ALTER TABLE orders DROP COLUMN due")

    status = list_tables.receive(REQUEST, message_id="9951")

    first, second = exports(stage)
    assert status == 200
    assert first == second != listed
    assert stage.content(f"{RUN}/manifest.json") == manifest


@pytest.mark.usefixtures("listed")
def test_a_table_that_has_been_dropped_is_dead_lettered_and_recorded(stage: Stage, list_tables: Function) -> None:
    stage.run("DROP TABLE orders", "CREATE TABLE refunds (id bigint)")

    status = list_tables.receive(REQUEST, message_id="9950", published=NOW)

    [letter] = stage.published("dead-letters")
    record = stage.json(FAILED)
    assert status == 200
    assert letter.attributes["function"] == "list_tables"
    assert json.loads(letter.data) == REQUEST
    assert "orders" in letter.attributes["error"]
    assert record["function"] == "list_tables"
    assert exports(stage) == []


@pytest.mark.usefixtures("listed")
def test_a_table_that_its_run_has_exported_is_not_described_again(stage: Stage, list_tables: Function) -> None:
    stage.put(f"{RUN}/exported/orders.json", {})
    stage.run("DROP TABLE orders", "CREATE TABLE refunds (id bigint)")

    status = list_tables.receive(REQUEST, message_id="9950", published=NOW)

    assert status == 200
    assert exports(stage) == []
    assert stage.published("dead-letters") == []
    assert FAILED not in stage.files()


def test_a_table_that_is_there_again_is_exported_by_a_replay_of_the_request(
    stage: Stage, listed: dict[str, Any], list_tables: Function
) -> None:
    stage.run("ALTER TABLE orders RENAME TO purchases")
    list_tables.receive(REQUEST, message_id="9950", published=NOW)
    [letter] = stage.published("dead-letters")
    stage.run("ALTER TABLE purchases RENAME TO orders")

    status = list_tables.receive(letter.data, message_id="9999", published=NOW, attributes=dict(letter.attributes))

    assert status == 200
    assert exports(stage) == [listed]


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"run_id": None}, "run_id"),
        ({"run_id": "9913"}, "9913"),
        ({"run_id": "../9912"}, "../9912"),
        ({"run_id": 9912}, "9912"),
        ({"relist": None}, "relist"),
        ({"relist": False}, "relist"),
        ({"relist": "yes"}, "yes"),
        ({"tables": None}, "tables"),
        ({"tables": ["public.refunds"]}, "refunds"),
        ({"tables": [{"schema": "public", "table": "came_later"}]}, "came_later"),
        (
            {"tables": [{"schema": "public", "table": "orders"}, {"schema": "public", "table": "came_later"}]},
            "came_later",
        ),
        ({"tables": [{"table": "orders"}]}, "schema"),
        ({"tables": [{"schema": "public"}]}, "table"),
        ({"tables": [7]}, "7"),
    ],
    ids=str,
)
def test_a_bad_relist_request_is_dead_lettered_with_what_is_wrong(
    stage: Stage, list_tables: Function, change: dict[str, Any], named: str
) -> None:
    stage.run("CREATE TABLE came_later (id int)")
    before = stage.files()

    status = list_tables.receive({key: value for key, value in (REQUEST | change).items() if value is not None})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert named in letter.attributes["error"]
    assert exports(stage) == []
    assert stage.files() == before
