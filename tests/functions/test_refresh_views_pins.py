"""A view can be pinned to a day, and let go again."""

import pytest

from tests.support.delivery import Function
from tests.support.stage import Stage

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


def test_a_pin_moves_a_view_back_and_labels_it_in_the_same_patch(stage: Stage, refresh_views: Function) -> None:
    show(stage, "orders_20260115", labels={"team": "finance"})

    status = refresh_views.receive(PIN)

    assert status == 200
    assert stage.shown() == select(stage, "orders_20260114")
    assert labels(stage) == PINNED | {"team": "finance"}
    assert len(stage.calls("patch")) == 1


def test_a_pin_creates_the_view_that_is_missing(stage: Stage, refresh_views: Function) -> None:
    refresh_views.receive(PIN)

    assert stage.shown() == select(stage, "orders_20260114")
    assert labels(stage) == PINNED


def test_a_pin_without_tables_is_for_every_view(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("refunds_20260114")

    refresh_views.receive({"pipeline": "billing", "shard_date": "2026-01-14"})

    assert labels(stage, "orders") == labels(stage, "refunds") == PINNED


def test_a_pinned_view_is_left_alone(stage: Stage, refresh_views: Function) -> None:
    refresh_views.receive(PIN)
    load = stage.load(stage.shard("orders_20260116"))

    statuses = [refresh_views.receive(RECONCILE), *(refresh_views.hear(*event) for event in load)]

    assert set(statuses) == {200}
    assert stage.shown() == select(stage, "orders_20260114")


def test_an_unpinned_view_shows_the_newest_shard_and_has_lost_its_label(stage: Stage, refresh_views: Function) -> None:
    refresh_views.receive(PIN)
    stage.bigquery.calls.clear()

    status = refresh_views.receive(UNPIN)

    assert status == 200
    assert stage.shown() == select(stage, "orders_20260115")
    assert labels(stage) == {}
    assert len(stage.calls("patch")) == 1


def test_a_pin_to_a_shard_that_is_missing_is_refused(stage: Stage, refresh_views: Function) -> None:
    show(stage, "orders_20260115")

    status = refresh_views.receive(PIN | {"shard_date": "2026-01-01"})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "orders_20260101" in letter.attributes["error"]
    assert stage.shown() == select(stage, "orders_20260115")
    assert stage.calls("patch") == []


def test_a_pin_of_two_tables_is_refused_whole(stage: Stage, refresh_views: Function) -> None:
    stage.create_shard("refunds_20260115")

    refresh_views.receive(PIN | {"tables": ["orders", "refunds"]})

    [letter] = stage.published("dead-letters")
    assert "refunds_20260114" in letter.attributes["error"]
    assert views(stage) == []


def select(stage: Stage, shard: str) -> str:
    return f"SELECT * FROM `{stage.shard(shard)}`"


def show(stage: Stage, shard: str, labels: dict[str, str] | None = None) -> None:
    stage.create_view("orders", select(stage, shard), labels)


def labels(stage: Stage, view: str = "orders") -> dict[str, str]:
    return dict(stage.warehouse.get_table(stage.view(view)).labels)


def views(stage: Stage) -> list[str]:
    return [table.table_id for table in stage.warehouse.list_tables(stage.pipeline["views_dataset"])]
