"""An export whose table changes while it waits, or whose database is away for a moment: it reads all rows, or it reads again."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta
from threading import Thread
from typing import Any

import pytest

from local.cloudsql import Outcome
from shared import times
from tests.support.stage import Stage, wait_for
from tests.support.standins import DATABASE

DATA = "billing/orders/data_20260115.csv"
SCHEMA = "billing/orders/schema_20260115.json"
ROWS = ['{"id":"1"}', '{"id":"2"}', '{"id":"3"}']
REFILLED = ("TRUNCATE orders", "INSERT INTO orders SELECT generate_series(1, 3)")
MADE_AGAIN = ("DROP TABLE orders", "CREATE TABLE orders AS SELECT generate_series(1, 3)::bigint AS id")
PART_REFILLED = ("TRUNCATE part", "INSERT INTO orders VALUES (1), (2), (3)")
PART_MADE_AGAIN = (
    "DROP TABLE part",
    "CREATE TABLE part PARTITION OF orders DEFAULT",
    "INSERT INTO orders VALUES (1), (2), (3)",
)
PLAIN = ("CREATE TABLE orders (id bigint)", "INSERT INTO orders VALUES (7)")
PARTITIONED = (
    "CREATE TABLE orders (id bigint) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF orders DEFAULT",
    "INSERT INTO orders VALUES (7)",
)
STARTING_UP = "connection to server failed: FATAL:  the database system is starting up"


@contextmanager
def under_way(stage: Stage, statements: Sequence[str]) -> Iterator[None]:
    """A transaction that commits once an export waits for its table."""
    with closing(stage.postgres.connect(DATABASE)) as writer, closing(stage.postgres.connect(DATABASE)) as watcher:
        writer.run("BEGIN")
        for statement in statements:
            writer.run(statement)

        def commit() -> None:
            wait_for(lambda: bool(watcher.run("SELECT FROM pg_catalog.pg_locks WHERE NOT granted")))
            writer.run("COMMIT")

        committing = Thread(target=commit)
        committing.start()
        yield
        committing.join()


def listed(stage: Stage) -> dict[str, Any]:
    """The message that asks for the table's export."""
    stage.function("list_tables").receive({"pipeline": "billing"})
    [message] = stage.published("table-exports")
    return dict(json.loads(message.data))


@pytest.mark.parametrize(
    ("made", "statements"),
    [(PLAIN, REFILLED), (PLAIN, MADE_AGAIN), (PARTITIONED, PART_REFILLED), (PARTITIONED, PART_MADE_AGAIN)],
    ids=["refilled", "made again", "partition refilled", "partition made again"],
)
def test_a_table_that_is_replaced_while_its_export_waits_is_exported_with_all_its_rows(
    stage: Stage, made: Sequence[str], statements: Sequence[str]
) -> None:
    stage.run(*made)
    message = listed(stage)
    export_table = stage.function("export_table")

    with under_way(stage, statements):
        status = export_table.receive(message)

    assert status == 200
    assert sorted(stage.content(stage.json(SCHEMA)["data_uri"].partition(f"{stage.bucket.name}/")[2]).split()) == ROWS
    assert ["error" in each for each in stage.exports()] == [True, False]


def test_a_table_that_gets_its_first_child_after_it_was_listed_is_exported_without_the_childs_rows(
    stage: Stage,
) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a')")
    message = listed(stage)
    stage.run("CREATE TABLE late () INHERITS (orders)", "INSERT INTO late VALUES (2, 'b')")

    status = stage.function("export_table").receive(message)

    assert status == 200
    assert stage.content(DATA) == "1,a\n"


def test_an_export_that_meets_a_restart_of_its_database_is_tried_again_after_a_while(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'a')")
    stage.admin.plan_exports(Outcome(error=STARTING_UP))

    status = stage.function("export_table").receive(listed(stage))

    failed, again = stage.exports()
    assert status == 200
    assert stage.content(DATA) == "1,a\n"
    assert times.moment(again["insertTime"]) - times.moment(failed["endTime"]) >= timedelta(seconds=5)
