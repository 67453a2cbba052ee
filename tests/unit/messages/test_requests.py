"""What people and schedules ask for."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest

from shared.errors import Permanent
from shared.messages import requests
from shared.messages.message import Message
from shared.messages.requests import ViewRefresh
from tests.support.billing import BILLING

TOKYO = replace(BILLING, name="tokyo", shards_dataset="shards2", views_dataset="views2", time_zone="Asia/Tokyo")
PIPELINES = {"billing": BILLING, "tokyo": TOKYO}


def request(
    published_at: str = "2026-11-22T02:00:00Z", attributes: dict[str, str] | None = None, **content: Any
) -> Message:
    return Message(
        topic="projects/p/topics/mirror-requests",
        message_id="9912",
        published_at=datetime.fromisoformat(published_at),
        data=json.dumps({"pipeline": "billing"} | content).encode(),
        attributes=attributes or {},
    )


def test_a_request_is_a_run_of_its_messages_id() -> None:
    asked = requests.mirror_request(request(), PIPELINES)

    assert (asked.run_id, asked.requested_at, asked.pipeline, asked.tables) == (
        "9912",
        datetime(2026, 11, 22, 2, tzinfo=UTC),
        BILLING,
        None,
    )


def test_a_request_means_the_day_of_its_publication_in_the_pipelines_time_zone() -> None:
    asked = requests.mirror_request(request("2026-11-21T15:00:00Z", pipeline="tokyo"), PIPELINES)

    assert asked.shard_date == date(2026, 11, 22)


def test_a_replayed_request_keeps_its_run_and_its_day() -> None:
    origin = {"message_id": "9000", "publish_time": "2026-11-20T23:59:59Z"}

    asked = requests.mirror_request(request(attributes=origin), PIPELINES)

    assert (asked.run_id, asked.shard_date) == ("9000", date(2026, 11, 20))


@pytest.mark.parametrize(
    ("content", "replaces"),
    [
        ({}, True),
        ({"shard_date": "2026-11-22"}, True),
        ({"shard_date": "2026-11-21"}, False),
        ({"shard_date": "2026-11-21", "replace": True}, True),
    ],
)
def test_only_an_earlier_day_needs_to_be_told_to_replace(content: dict[str, Any], replaces: bool) -> None:
    assert requests.mirror_request(request(**content), PIPELINES).replace is replaces


def test_a_request_names_its_tables() -> None:
    asked = requests.mirror_request(request(tables=["orders", "sales.refunds"]), PIPELINES)

    assert asked.tables == ("orders", "sales.refunds")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"pipeline": "biling"}, "'biling'"),
        ({"pipeline": None}, "pipeline"),
        ({"tables": []}, "tables of the mirror request"),
        ({"tables": "orders"}, '"orders"'),
        ({"shard_date": "2026-02-30"}, "2026-02-30"),
        ({"shard_date": "2026-11-23"}, "2026-11-23"),
        ({"shard_date": "newest"}, "newest"),
        ({"replace": "yes"}, '"yes"'),
        ({"shard-date": "2026-11-22"}, "shard-date"),
    ],
)
def test_a_request_that_cannot_be_met_is_refused_by_what_is_wrong(content: dict[str, Any], named: str) -> None:
    with pytest.raises(Permanent, match=re.escape(named)):
        requests.mirror_request(request(**content), PIPELINES)


def test_a_day_that_has_not_begun_in_the_pipelines_time_zone_is_refused() -> None:
    with pytest.raises(Permanent, match=r"shard_date 2026-11-23 is later than 2026-11-22.*Asia/Tokyo"):
        requests.mirror_request(request(pipeline="tokyo", shard_date="2026-11-23"), PIPELINES)


@pytest.mark.parametrize(
    ("origin", "time_zone"), [("0001-01-01T00:00:00Z", "America/New_York"), ("9999-12-31T23:59:59Z", "Asia/Tokyo")]
)
def test_a_replay_from_a_day_beyond_the_calendar_is_refused(origin: str, time_zone: str) -> None:
    pipelines = {"billing": replace(BILLING, time_zone=time_zone)}

    with pytest.raises(Permanent, match=origin):
        requests.mirror_request(request(attributes={"publish_time": origin}), pipelines)


RELIST: dict[str, Any] = {"run_id": "9000", "relist": True, "tables": ["public.orders"], "shard_date": "2026-11-21"}


def test_a_wish_for_a_new_description_is_of_the_run_that_it_names() -> None:
    asked = requests.mirror_request(request(**RELIST), PIPELINES)

    assert (asked.run_id, asked.relist, asked.tables) == ("9000", True, ("public.orders",))
    assert asked.shard_date == date(2026, 11, 21)


def test_any_other_request_is_none() -> None:
    assert requests.mirror_request(request(relist=False), PIPELINES).relist is False


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"run_id": None}, "run_id, relist and tables go together"),
        ({"relist": None}, "run_id, relist and tables go together"),
        ({"relist": False}, "run_id, relist and tables go together"),
        ({"tables": None}, "run_id, relist and tables go together"),
        ({"relist": "yes"}, '"yes"'),
        ({"run_id": 9000}, "9000"),
        ({"run_id": "a/b"}, "'a/b'"),
        ({"run_id": "a b"}, "'a b'"),
        ({"run_id": "x" * 129}, "xxx"),
        ({"run_id": ""}, "run_id"),
    ],
    ids=str,
)
def test_a_wish_for_a_new_description_that_cannot_be_met_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(Permanent, match=re.escape(named)):
        requests.mirror_request(request(**(RELIST | change)), PIPELINES)


@pytest.mark.parametrize(
    ("content", "wish"),
    [
        ({}, ViewRefresh(BILLING)),
        ({"tables": ["orders"]}, ViewRefresh(BILLING, ("orders",))),
        ({"shard_date": "newest"}, ViewRefresh(BILLING, unpin=True)),
        (
            {"tables": ["orders"], "shard_date": "2026-11-20"},
            ViewRefresh(BILLING, ("orders",), pin=date(2026, 11, 20)),
        ),
    ],
)
def test_a_wish_for_views_is_read(content: dict[str, Any], wish: ViewRefresh) -> None:
    assert requests.view_refresh(request(**content), PIPELINES) == wish


@pytest.mark.parametrize(
    ("content", "named"),
    [({"tables": []}, "tables"), ({"shard_date": "latest"}, "latest"), ({"pin": "2026-11-20"}, "pin")],
)
def test_a_wish_for_views_that_cannot_be_read_is_refused_by_what_is_wrong(content: dict[str, Any], named: str) -> None:
    with pytest.raises(Permanent, match=named):
        requests.view_refresh(request(**content), PIPELINES)
