"""A table that has been altered since it was listed is described again, once in its run, and exported as it is now."""

import json
from typing import Any

import pytest

from local.cloudsql import Outcome
from tests.support.cuts import cut_off
from tests.support.delivery import REQUESTED, Function, column, table_export, topic
from tests.support.stage import Log, Stage, wait_for

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
RUN = "billing/_runs/9912"
FAILED, EXPORTED = (f"{RUN}/{folder}/orders.json" for folder in ("failed", "exported"))
NOTE_DROPPED = "ALTER TABLE orders DROP COLUMN note"
REQUEST = {
    "pipeline": "billing",
    "tables": [{"schema": "public", "table": "orders"}],
    "shard_date": "2026-01-15",
    "run_id": "9912",
    "relist": True,
}


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    """The table, and the topic that it is described again by."""
    stage.run(
        "CREATE TABLE orders (id bigint NOT NULL, note text, due date, paid boolean)",
        "INSERT INTO orders VALUES (1, 'a,b', '2026-01-31', true)",
    )
    stage.make_topic("mirror-requests")


@pytest.fixture
def list_tables(stage: Stage) -> Function:
    return stage.function("list_tables")


@pytest.fixture
def export_table(stage: Stage) -> Function:
    return stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("mirror-requests"))


@pytest.fixture
def listed(stage: Stage, list_tables: Function) -> dict[str, Any]:
    """The wish to export the table as it was when it was listed."""
    list_tables.receive({"pipeline": "billing"})
    [listed] = exports(stage)
    return listed


def exports(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("table-exports")]


def requests(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("mirror-requests")]


def relist(stage: Stage, list_tables: Function) -> dict[str, Any]:
    """Have the requests that were published answered, and give the one new description."""
    for request in requests(stage):
        assert list_tables.receive(request, message_id="9950", published=stage.clock.text()) == 200
    [described] = exports(stage)
    return described


@pytest.mark.parametrize(
    "alteration",
    [
        "DROP TABLE orders",
        "DROP SCHEMA public CASCADE",
        "ALTER TABLE orders RENAME TO purchases",
        NOTE_DROPPED,
        "ALTER TABLE orders RENAME COLUMN note TO remark",
        "ALTER TABLE orders ALTER COLUMN due TYPE text",
        "ALTER TABLE orders ALTER COLUMN paid TYPE text",
        "ALTER TABLE orders ALTER COLUMN id TYPE text",
    ],
)
def test_an_altered_table_is_to_be_described_anew(
    stage: Stage, log: Log, listed: dict[str, Any], export_table: Function, alteration: str
) -> None:
    stage.run(alteration)
    log()

    status = export_table.receive(listed)

    [line] = log()
    assert status == 200
    assert requests(stage) == [REQUEST]
    assert (line["outcome"], line["severity"], line["operation"]) == ("waiting", "WARNING", stage.exports()[0]["name"])
    assert "publish a new request" not in line["message"]
    assert len(stage.exports()) == 1
    assert stage.published("dead-letters") == []
    assert [file for file in stage.files() if "_staging" in file or FAILED in file] == []


def test_without_the_topic_of_requests_it_is_dead_lettered(stage: Stage, listed: dict[str, Any]) -> None:
    stage.run(NOTE_DROPPED)
    export_table = stage.function("export_table", MIRROR_REQUESTS_TOPIC="")

    status = export_table.receive(listed)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert letter.attributes["error"].endswith(
        "column t.note does not exist. The table has been altered: publish a new request for it"
    )
    assert FAILED in stage.files()


def test_the_relisted_pair_holds_the_table_as_it_is_now(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function
) -> None:
    stage.run(NOTE_DROPPED, "ALTER TABLE orders ADD COLUMN total int")
    export_table.receive(listed)

    described = relist(stage, list_tables)
    status = export_table.receive(described, published=stage.clock.text())

    sealed = stage.json(SCHEMA)
    assert status == 200
    assert (sealed["run_id"], sealed["requested_at"]) == ("9912", REQUESTED)
    assert [each["name"] for each in sealed["columns"]] == ["id", "due", "paid", "total"]
    assert sealed["data_generation"] == stage.bucket.get_blob(DATA).generation
    assert stage.content(DATA) == "1,2026-01-31,true,\n"
    assert EXPORTED in stage.files()
    assert stage.published("dead-letters") == []


def test_a_table_that_is_altered_twice_is_described_anew_once(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function
) -> None:
    stage.run(NOTE_DROPPED)
    export_table.receive(listed)
    described = relist(stage, list_tables)
    stage.run("ALTER TABLE orders DROP COLUMN due")

    status = export_table.receive(described, published=stage.clock.text())

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert requests(stage) == []
    assert "column t.due does not exist" in letter.attributes["error"]


@pytest.mark.parametrize("step", range(3))
def test_a_crash_between_any_two_steps_before_the_request_costs_nothing(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function, step: int
) -> None:
    stage.run(NOTE_DROPPED)

    with cut_off(stage, after=step) as calls:
        crashed = export_table.receive(listed)
    redelivered = export_table.receive(listed)
    status = export_table.receive(relist(stage, list_tables), published=stage.clock.text())

    assert (crashed, redelivered, status) == (500, 200, 200)
    assert calls.made > step
    assert len(stage.exports()) == 2
    assert stage.content(DATA) == "1,2026-01-31,true\n"
    assert stage.published("dead-letters") == []


def test_an_old_message_leaves_a_pair_that_is_done_alone(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function
) -> None:
    stage.run(NOTE_DROPPED)
    export_table.receive(listed)
    export_table.receive(relist(stage, list_tables), published=stage.clock.text())
    before = stage.files(), stage.content(SCHEMA), stage.content(DATA)

    status = export_table.receive(listed)

    assert status == 200
    assert (stage.files(), stage.content(SCHEMA), stage.content(DATA)) == before
    assert len(stage.exports()) == 2
    assert requests(stage) == []
    assert stage.published("dead-letters") == []


def test_an_old_message_leaves_data_without_a_seal_to_the_new_one(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function
) -> None:
    stage.run(NOTE_DROPPED)
    export_table.receive(listed)
    described = relist(stage, list_tables)
    with cut_off(stage, after=3):
        export_table.receive(described, published=stage.clock.text())

    left = export_table.receive(listed)
    unsealed = stage.files()
    status = export_table.receive(described, published=stage.clock.text())

    assert (left, status) == (200, 200)
    assert DATA in unsealed
    assert SCHEMA not in unsealed
    assert [each["name"] for each in stage.json(SCHEMA)["columns"]] == ["id", "due", "paid"]
    assert len(stage.exports()) == 2


@pytest.mark.parametrize("moment", ["running", "failed", "ended"])
def test_an_old_message_leaves_the_operation_of_the_new_one_alone(
    stage: Stage, listed: dict[str, Any], export_table: Function, list_tables: Function, moment: str
) -> None:
    stage.run(NOTE_DROPPED)
    export_table.receive(listed)
    described, at = relist(stage, list_tables), stage.clock.text()
    stage.admin.plan_exports(Outcome(error="ERROR:  canceled" if moment == "failed" else None))
    stage.run("BEGIN", "LOCK TABLE orders")
    with cut_off(stage, after=1):
        export_table.receive(described, published=at)
    if moment != "running":
        stage.run("COMMIT")
        wait_for(lambda: stage.exports()[1]["status"] == "DONE")

    left = export_table.receive(listed)
    operations = len(stage.exports())
    stage.run("COMMIT")
    status = export_table.receive(described, published=at)

    assert (left, operations, status) == (200, 2, 200)
    assert len(stage.exports()) == (3 if moment == "failed" else 2)
    assert stage.content(DATA) == "1,2026-01-31,true\n"
    assert requests(stage) == []
    assert stage.published("dead-letters") == []


def test_a_column_that_the_message_alone_knows_is_described_anew_too(stage: Stage, export_table: Function) -> None:
    message = table_export(columns=[column("id", "bigint"), column('no"te', "text")])

    export_table.receive(message)

    assert requests(stage) == [REQUEST]
