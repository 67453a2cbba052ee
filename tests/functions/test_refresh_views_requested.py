"""What a message on `view-refreshes` does: it reconciles views, all or some, but for those that are not the mirror's."""

import json
from typing import Any

import pytest

from tests.support.delivery import REQUESTED, Function, topic
from tests.support.stage import Log, Stage

RECONCILE = {"pipeline": "billing"}
PIN = {"pipeline": "billing", "tables": ["orders"], "shard_date": "2026-01-14"}
UNPIN = {"pipeline": "billing", "tables": ["orders"], "shard_date": "newest"}
PINNED = {"mirror_pin": "20260114"}


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    """With a table of two days, and no views yet."""
    stage.create_shard("orders_20260114")
    stage.create_shard("orders_20260115")
    return stage.function("refresh_views")


@pytest.mark.parametrize("push", [False, True], ids=["event", "push"])
def test_a_reconcile_heals_missed_events(stage: Stage, refresh_views: Function, push: bool) -> None:
    show(stage, "orders_20260114")
    stage.create_shard("refunds_20260115")

    status = refresh_views.receive(RECONCILE, push=push)

    assert status == 200
    assert stage.shown("orders") == select(stage, "orders_20260115")
    assert stage.shown("refunds") == select(stage, "refunds_20260115")


def test_a_second_reconcile_changes_nothing(stage: Stage, refresh_views: Function) -> None:
    refresh_views.receive(RECONCILE)
    stage.bigquery.calls.clear()

    status = refresh_views.receive(RECONCILE)

    assert status == 200
    assert stage.calls("patch") == stage.calls("insert") == []


def test_a_reconcile_of_some_tables_leaves_the_others(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("refunds_20260115")

    refresh_views.receive({"pipeline": "billing", "tables": ["refunds"]})

    assert views(stage) == ["refunds"]


def test_a_reconcile_looks_at_dates_not_at_when_a_shard_was_made(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260113")

    refresh_views.receive(RECONCILE)

    assert stage.shown() == select(stage, "orders_20260115")


def test_a_reconcile_never_moves_a_view_back(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("orders_20260116")
    refresh_views.receive(RECONCILE)
    stage.warehouse.delete_table(stage.shard("orders_20260116"))

    refresh_views.receive(RECONCILE)

    assert stage.shown() == select(stage, "orders_20260116")


def test_a_reconcile_of_another_loaders_shards_waits_until_they_have_settled(stage: Stage) -> None:
    stage.pipeline["loader"] = "scio"
    stage.create_shard("orders_20260115")
    refresh_views = stage.function("refresh_views")

    status = refresh_views.receive(RECONCILE)

    assert status == 200
    assert views(stage) == []


def test_sql_of_ones_own_keeps_all_but_the_date(stage: Stage, refresh_views: Function) -> None:
    shard = stage.shard("orders_20260114")
    own = f"SELECT id, 'orders_20260114' AS note -- {shard}\nFROM `{shard}` /* orders_20260114 */ WHERE id > 0"
    stage.create_view("orders", own)

    refresh_views.receive(RECONCILE)

    assert stage.shown() == own.replace(f"FROM `{shard}`", f"FROM `{stage.shard('orders_20260115')}`")


def test_of_two_tables_in_one_view_only_its_own_moves(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("refunds_20260114")
    own = "SELECT o.id FROM `{}` AS o JOIN `{}` AS r ON o.id = r.id"
    stage.create_view("orders", own.format(stage.shard("orders_20260114"), stage.shard("refunds_20260114")))

    refresh_views.receive({"pipeline": "billing", "tables": ["orders"]})

    assert stage.shown() == own.format(stage.shard("orders_20260115"), stage.shard("refunds_20260114"))


@pytest.mark.parametrize("kind", ["table", "no shard", "two shards"])
def test_a_view_that_is_not_the_mirrors_is_refused(stage: Stage, refresh_views: Function, kind: str) -> None:
    before = stand_in_the_way(stage, kind)

    status = refresh_views.receive({"pipeline": "billing", "tables": ["orders"]})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert f"{stage.pipeline['views_dataset']}.orders" in letter.attributes["error"]
    assert stage.warehouse.get_table(stage.view("orders")).etag == before


def test_a_reconcile_reports_what_it_is_refused_and_goes_on(stage: Stage, refresh_views: Function, log: Log) -> None:
    stand_in_the_way(stage, "table")
    stage.create_shard("refunds_20260115")

    status = refresh_views.receive(RECONCILE)

    errors = [line for line in log() if line["severity"] == "ERROR"]
    assert status == 200
    assert [line["table"] for line in errors] == ["orders"]
    assert stage.shown("refunds") == select(stage, "refunds_20260115")
    assert stage.published("dead-letters") == []


def test_an_event_for_a_view_that_is_not_the_mirrors_is_an_error_line_and_no_dead_letter(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    before = stand_in_the_way(stage, "table")
    events = stage.load(stage.shard("orders_20260116"))

    status = refresh_views.hear(*events[-1])

    [line] = log()
    assert status == 200
    assert line["severity"] == "ERROR"
    assert f"{stage.pipeline['views_dataset']}.orders" in line["message"]
    assert stage.published("dead-letters") == []
    assert stage.warehouse.get_table(stage.view("orders")).etag == before


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (b"{", "JSON"),
        ({"pipeline": "shipping"}, "shipping"),
        (RECONCILE | {"views": ["orders"]}, "views"),
        (RECONCILE | {"tables": ["no_such_table"]}, "no_such_table"),
        (RECONCILE | {"tables": []}, "tables"),
        (RECONCILE | {"tables": "orders"}, "orders"),
        (RECONCILE | {"shard_date": "oldest"}, "oldest"),
        (RECONCILE | {"shard_date": "2026-02-30"}, "2026-02-30"),
    ],
)
def test_a_bad_message_is_dead_lettered_with_what_is_wrong(
    stage: Stage, refresh_views: Function, message: Any, named: str
) -> None:
    status = refresh_views.receive(message)

    [letter] = stage.published("dead-letters")
    attributes = dict(letter.attributes)
    assert status == 200
    assert named in attributes.pop("error")
    assert letter.data == (message if isinstance(message, bytes) else json.dumps(message).encode())
    assert attributes == {
        "function": "refresh_views",
        "source_topic": topic("view-refreshes"),
        "message_id": "9912",
        "publish_time": REQUESTED,
        "ordering_key": "",
    }
    assert views(stage) == []


def select(stage: Stage, shard: str) -> str:
    return f"SELECT * FROM `{stage.shard(shard)}`"


def show(stage: Stage, shard: str, labels: dict[str, str] | None = None) -> None:
    stage.create_view("orders", select(stage, shard), labels)


def views(stage: Stage) -> list[str]:
    return [table.table_id for table in stage.warehouse.list_tables(stage.pipeline["views_dataset"])]


def stand_in_the_way(stage: Stage, kind: str) -> str:
    """Put something that is not the mirror's under the view's name, and give its etag."""
    if kind == "table":
        stage.load(stage.view("orders"))
    elif kind == "no shard":
        stage.create_view("orders", "SELECT 1 AS id")
    else:
        shards = (stage.shard(name) for name in ("orders_20260114", "orders_20260115"))
        stage.create_view("orders", " UNION ALL ".join(f"SELECT * FROM `{shard}`" for shard in shards))
    etag: str = stage.warehouse.get_table(stage.view("orders")).etag
    return etag
