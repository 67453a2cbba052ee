"""Tables and schemas with dots in their names are told apart, by people and by the mirror itself."""

import json
from typing import Any

import pytest

from tests.support.delivery import Function, topic
from tests.support.stage import Stage

INNER, OUTER = ("a", "b.c"), ("a.b", "c")


@pytest.fixture(autouse=True)
def twins(stage: Stage) -> None:
    """Two tables that a dot between schema and table makes one text of, and one more."""
    stage.pipeline["schemas"] = ["public", "a", "a.b", "NextWare.Concierge"]
    stage.run(
        'CREATE SCHEMA a; CREATE SCHEMA "a.b"; CREATE SCHEMA "NextWare.Concierge"',
        'CREATE TABLE a."b.c" (id int, inner_note text)',
        'CREATE TABLE "a.b".c (id int, outer_note text)',
        'CREATE TABLE "NextWare.Concierge"."Users" (id int, note text)',
    )
    stage.make_topic("mirror-requests")


@pytest.fixture
def list_tables(stage: Stage) -> Function:
    return stage.function("list_tables")


def exports(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("table-exports")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('"a.b".c', OUTER),
        ('a."b.c"', INNER),
        ('"a"."b.c"', INNER),
        ("NextWare.Concierge.Users", ("NextWare.Concierge", "Users")),
        ({"schema": "a", "table": "b.c"}, INNER),
    ],
    ids=str,
)
def test_a_request_finds_the_one_table_that_it_can_mean(
    stage: Stage, list_tables: Function, text: Any, name: tuple[str, str]
) -> None:
    list_tables.receive({"pipeline": "billing", "tables": [text]})

    [export] = exports(stage)
    assert (export["schema"], export["table"]) == name


def test_a_request_that_can_mean_two_tables_is_refused_with_both(stage: Stage, list_tables: Function) -> None:
    status = list_tables.receive({"pipeline": "billing", "tables": ["a.b.c"]})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert '"a"."b.c" or "a.b"."c"' in letter.attributes["error"]
    assert exports(stage) == []
    assert stage.files() == []


@pytest.mark.parametrize(
    ("name", "alteration"),
    [
        (INNER, 'ALTER TABLE a."b.c" DROP COLUMN inner_note'),
        (OUTER, 'ALTER TABLE "a.b".c DROP COLUMN outer_note'),
        (("NextWare.Concierge", "Users"), 'ALTER TABLE "NextWare.Concierge"."Users" DROP COLUMN note'),
    ],
)
def test_the_table_that_was_altered_is_described_again_and_no_other(
    stage: Stage, list_tables: Function, name: tuple[str, str], alteration: str
) -> None:
    list_tables.receive({"pipeline": "billing"})
    [listed] = [export for export in exports(stage) if (export["schema"], export["table"]) == name]
    stage.run(alteration)
    export_table = stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests"))
    export_table.receive(listed)
    [request] = stage.published("mirror-requests")

    status = list_tables.receive(request.data, message_id="9950")

    [described] = exports(stage)
    assert status == 200
    assert described | {"columns": []} == listed | {"columns": []}
    assert [column["name"] for column in described["columns"]] == ["id"]


def test_a_request_of_an_earlier_version_is_understood_by_the_runs_manifest(
    stage: Stage, list_tables: Function
) -> None:
    list_tables.receive({"pipeline": "billing", "tables": ['"a.b".c']})
    exports(stage)
    stage.run('ALTER TABLE "a.b".c DROP COLUMN outer_note')

    relist = {"run_id": "9912", "relist": True, "shard_date": "2026-01-15", "tables": ["a.b.c"]}
    list_tables.receive({"pipeline": "billing"} | relist, message_id="9950")

    [described] = exports(stage)
    assert (described["schema"], described["table"]) == OUTER
    assert [column["name"] for column in described["columns"]] == ["id"]
