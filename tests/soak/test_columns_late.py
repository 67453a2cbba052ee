"""A column that is not to leave does not, where its name or its pipeline has changed since its table was listed."""

import json
from typing import Any

import pytest

from tests.support.days import Days
from tests.support.delivery import topic
from tests.support.snapshot import Run
from tests.support.stage import Stage
from tests.support.standins import PROJECT

EMAIL = "public.users.email"
USERS = (
    "CREATE TABLE users (id bigint PRIMARY KEY, note text, email text)",
    "INSERT INTO users VALUES (1, 'kept', 'L3FT')",
)
RENAMED = ("ALTER TABLE users DROP COLUMN note", "ALTER TABLE users RENAME COLUMN email TO note")
SWAPPED = (
    "ALTER TABLE users RENAME note TO other",
    "ALTER TABLE users RENAME email TO note",
    "ALTER TABLE users RENAME other TO email",
)
MADE_AGAIN = ("DROP TABLE users", "CREATE TABLE users (id bigint, note text)", "INSERT INTO users VALUES (1, 'kept')")


@pytest.fixture(autouse=True)
def users(stage: Stage) -> None:
    stage.run(*USERS)
    stage.make_topic("mirror-requests")


def listed(stage: Stage) -> Any:
    assert stage.function("list_tables").receive({"pipeline": "billing"}) == 200
    [message] = stage.published("table-exports")
    return json.loads(message.data)


def export(stage: Stage, message: Any) -> int:
    return stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests")).receive(message)


def sealed(stage: Stage) -> list[str]:
    return [name for name in stage.files() if "/users/" in name]


def relisted(stage: Stage) -> list[Any]:
    return [json.loads(message.data)["tables"] for message in stage.published("mirror-requests")]


@pytest.mark.parametrize(
    ("pattern", "statements"),
    [({"leave_out": [EMAIL]}, RENAMED), ({"leave_out": [EMAIL]}, SWAPPED), ({"hash": [EMAIL]}, SWAPPED)],
)
def test_a_column_that_was_given_the_name_of_another_one_is_not_exported(
    stage: Stage, pattern: dict[str, Any], statements: tuple[str, ...]
) -> None:
    stage.pipeline |= pattern
    message = listed(stage)
    stage.run(*statements)

    export(stage, message)

    assert sealed(stage) == []
    assert relisted(stage) == [[{"schema": "public", "table": "users"}]]


@pytest.mark.parametrize("statements", [RENAMED, SWAPPED, MADE_AGAIN])
def test_nor_is_it_read_in_a_snapshot(stage: Stage, statements: tuple[str, ...]) -> None:
    stage.pipeline |= {"hash": [EMAIL]}
    run = Run(stage, environ={"MIRROR_REQUESTS_TOPIC": topic("mirror-requests")})
    stage.run(*statements)

    run.read()

    assert sealed(stage) == []
    assert relisted(stage) == [[{"schema": "public", "table": "users"}]]


def test_a_table_whose_columns_keep_their_names_is_exported(stage: Stage) -> None:
    stage.pipeline |= {"leave_out": [EMAIL]}
    message = listed(stage)
    stage.run("ALTER TABLE users RENAME email TO mail", "ALTER TABLE users ADD COLUMN more text")

    assert export(stage, message) == 200
    assert stage.content("billing/users/data_20260115.csv") == "1,kept\n"


@pytest.mark.parametrize("key", ["leave_out", "hash"])
def test_data_that_was_moved_before_the_pattern_came_is_not_sealed(stage: Stage, key: str) -> None:
    message = listed(stage)
    export(stage, message)
    stage.published("table-exported")
    for name in [each for each in stage.files() if "/schema_" in each or "/exported/" in each]:
        stage.bucket.blob(name).delete()
    stage.pipeline |= {key: [EMAIL]}

    export(stage, message)

    assert stage.published("table-exported") == []
    assert (
        "come to leave out or to hash public.users.email" in stage.json("billing/_runs/9912/failed/users.json")["error"]
    )


@pytest.mark.parametrize("key", ["leave_out", "hash"])
def test_a_pair_that_was_sealed_before_the_pattern_came_is_not_loaded(stage: Stage, key: str) -> None:
    export(stage, listed(stage))
    [told] = stage.published("table-exported")
    stage.pipeline |= {key: [EMAIL]}

    status = stage.function("load_shard").receive(json.loads(told.data))

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "request the table again" in letter.attributes["error"]
    assert list(stage.warehouse.list_tables(stage.pipeline["shards_dataset"])) == []


def test_a_column_that_had_another_name_before_the_pattern_came_is_not_exported(stage: Stage) -> None:
    stage.run("ALTER TABLE users RENAME COLUMN email TO mail")
    message = listed(stage)
    stage.pipeline |= {"hash": [EMAIL]}

    export(stage, message)

    assert sealed(stage) == []
    assert "columns of public.users" in stage.json("billing/_runs/9912/failed/users.json")["error"]


def test_a_column_that_a_pattern_has_come_for_leaves_the_view_with_the_next_run_of_the_same_day(stage: Stage) -> None:
    days = Days(stage)
    days.all_through()
    stage.pipeline |= {"leave_out": [EMAIL]}
    days.functions.clear()
    days.run += "-later"
    stage.clock.pass_time(minutes=1)

    days.all_through()

    view = stage.warehouse.get_table(f"{PROJECT}.{stage.pipeline['views_dataset']}.users")
    assert [field.name for field in view.schema] == ["id", "note"]
