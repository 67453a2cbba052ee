"""What an export may replace: today's pair by a later run, an earlier day's only where the request says so."""

import pytest

from tests.support.delivery import Function, table_export
from tests.support.stage import Log, Stage

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
EARLIER = {"run_id": "9911", "requested_at": "2026-01-15T01:00:00Z"}
LATER = {"run_id": "9913", "requested_at": "2026-01-15T03:00:00Z"}


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'old')")


def test_a_later_run_replaces_the_pair_of_an_earlier_one(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    stage.run("UPDATE orders SET note = 'new'")

    status = export_table.receive(table_export(**LATER))

    sealed = stage.json(SCHEMA)
    assert status == 200
    assert stage.content(DATA) == "1,new\n"
    assert (sealed["run_id"], sealed["data_generation"]) == ("9913", stage.bucket.get_blob(DATA).generation)
    assert len(stage.published("table-exported")) == 2


@pytest.mark.parametrize(("first", "then"), [("csv", "ndjson"), ("ndjson", "csv")])
def test_a_pair_in_another_format_takes_the_data_of_the_earlier_one_away(stage: Stage, first: str, then: str) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export(format=first))

    export_table.receive(table_export(**LATER, format=then))

    assert [name for name in stage.files() if "/data_" in name] == [f"billing/orders/data_20260115.{then}"]
    assert stage.json(SCHEMA)["format"] == then


def test_data_that_a_later_run_has_put_there_stays(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export(format="ndjson"))
    stage.put("billing/orders/data_20260115.ndjson", "of a later run")

    export_table.receive(table_export(**LATER, format="csv"))

    assert stage.content("billing/orders/data_20260115.ndjson") == "of a later run"


@pytest.mark.parametrize("replace", [False, True])
def test_a_pair_that_a_later_request_has_sealed_is_left_alone(stage: Stage, replace: bool) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export())
    before = stage.content(SCHEMA), stage.bucket.get_blob(DATA).generation

    status = export_table.receive(table_export(**EARLIER, replace=replace))

    assert status == 200
    assert len(stage.exports()) == 1
    assert (stage.content(SCHEMA), stage.bucket.get_blob(DATA).generation) == before
    assert len(stage.published("table-exported")) == 1


def test_of_two_requests_of_one_moment_one_wins_whatever_the_order(stage: Stage) -> None:
    export_table = stage.function("export_table")
    first, second = table_export(run_id="9912"), table_export(run_id="9913")

    for message in (first, second, first):
        export_table.receive(message)

    assert stage.json(SCHEMA)["run_id"] == "9913"


@pytest.mark.parametrize("standing", ["pair", "shard"])
def test_what_stands_for_an_earlier_day_is_kept(stage: Stage, log: Log, standing: str) -> None:
    export_table = stage.function("export_table")
    _make(standing, stage, export_table)
    exports = len(stage.exports())
    log()

    status = export_table.receive(table_export(**LATER, replace=False))

    [line] = log()
    assert status == 200
    assert len(stage.exports()) == exports
    assert stage.published("table-exported") == []
    assert stage.published("dead-letters") == []
    assert (line["outcome"], line["severity"]) == ("skipped", "WARNING")
    assert "billing/_runs/9913/skipped/orders.json" in stage.files()


@pytest.mark.parametrize("standing", ["pair", "shard"])
def test_what_stands_for_an_earlier_day_is_replaced_where_the_request_says_so(stage: Stage, standing: str) -> None:
    export_table = stage.function("export_table")
    _make(standing, stage, export_table)
    stage.run("UPDATE orders SET note = 'new'")

    status = export_table.receive(table_export(**LATER, replace=True))

    assert status == 200
    assert stage.content(DATA) == "1,new\n"
    assert len(stage.published("table-exported")) == 1


def test_an_earlier_day_that_is_empty_is_filled(stage: Stage) -> None:
    export_table = stage.function("export_table")

    status = export_table.receive(table_export(replace=False))

    assert status == 200
    assert stage.content(DATA) == "1,old\n"


def test_a_redelivery_of_what_filled_an_earlier_day_announces_again(stage: Stage) -> None:
    export_table = stage.function("export_table")
    export_table.receive(table_export(replace=False))
    stage.create_shard("orders_20260115")

    status = export_table.receive(table_export(replace=False))

    assert status == 200
    assert len(stage.exports()) == 1
    assert len(stage.published("table-exported")) == 2


def _make(standing: str, stage: Stage, export_table: Function) -> None:
    """Let a day have a pair of an earlier run, or a shard without one."""
    if standing == "shard":
        stage.create_shard("orders_20260115")
    else:
        export_table.receive(table_export())
        stage.published("table-exported")
