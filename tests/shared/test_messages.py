"""The JSON that travels between the functions."""

import json
import re
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import messages
from shared.catalog import Column
from shared.errors import Permanent
from shared.events import RUN_ID, Message
from shared.messages import TableExport, TableExported, ViewRefresh
from shared.pipelines import Pipeline
from shared.shards import Shard

BILLING = Pipeline("billing", "p:r:db", "billing", "mirror@p.iam", "p-mirror", "shards", "views")
TOKYO = Pipeline("tokyo", "p:r:db", "tokyo", "mirror@p.iam", "p-mirror", "shards2", "views2", time_zone="Asia/Tokyo")
PIPELINES = {"billing": BILLING, "tokyo": TOKYO}

_TEXTS = st.text(min_size=1, max_size=10)
_COLUMNS = st.builds(Column, _TEXTS, _TEXTS, st.booleans(), st.none() | _TEXTS, st.none() | _TEXTS)
_OF_RUN: dict[str, Any] = {
    "run_id": _TEXTS,
    "requested_at": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    "pipeline": st.just(BILLING),
    "schema": _TEXTS,
    "table": _TEXTS,
    "shard_date": st.dates(),
    "replace": st.booleans(),
}
_EXPORTS = st.builds(
    TableExport,
    **_OF_RUN,
    columns=st.lists(_COLUMNS, min_size=1, max_size=3).map(tuple),
    comment=st.none() | _TEXTS,
    has_children=st.booleans(),
    run_tables=st.none() | st.integers(1, 20_000),
)
_ANNOUNCEMENTS = st.builds(
    TableExported,
    **_OF_RUN,
    table_id=_TEXTS,
    schema_uri=_TEXTS,
    data_uri=_TEXTS,
    format=st.sampled_from(["csv", "ndjson"]),
)


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


def export(**changes: Any) -> TableExport:
    content: dict[str, Any] = {
        "run_id": "9912",
        "requested_at": datetime(2026, 11, 22, 2, tzinfo=UTC),
        "pipeline": BILLING,
        "schema": "public",
        "table": "orders",
        "shard_date": date(2026, 11, 22),
        "replace": True,
        "columns": (Column("id", "bigint", nullable=False),),
    }
    return TableExport(**(content | changes))


def test_a_request_is_a_run_of_its_messages_id() -> None:
    asked = messages.mirror_request(request(), PIPELINES)

    assert (asked.run_id, asked.requested_at, asked.pipeline, asked.tables) == (
        "9912",
        datetime(2026, 11, 22, 2, tzinfo=UTC),
        BILLING,
        None,
    )


def test_a_request_means_the_day_of_its_publication_in_the_pipelines_time_zone() -> None:
    asked = messages.mirror_request(request("2026-11-21T15:00:00Z", pipeline="tokyo"), PIPELINES)

    assert asked.shard_date == date(2026, 11, 22)


def test_a_replayed_request_keeps_its_run_and_its_day() -> None:
    origin = {"message_id": "9000", "publish_time": "2026-11-20T23:59:59Z"}

    asked = messages.mirror_request(request(attributes=origin), PIPELINES)

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
    assert messages.mirror_request(request(**content), PIPELINES).replace is replaces


def test_a_request_names_its_tables() -> None:
    asked = messages.mirror_request(request(tables=["orders", "sales.refunds"]), PIPELINES)

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
        messages.mirror_request(request(**content), PIPELINES)


def test_a_day_that_has_not_begun_in_the_pipelines_time_zone_is_refused() -> None:
    with pytest.raises(Permanent, match=r"shard_date 2026-11-23 is later than 2026-11-22.*Asia/Tokyo"):
        messages.mirror_request(request(pipeline="tokyo", shard_date="2026-11-23"), PIPELINES)


@pytest.mark.parametrize(
    ("origin", "time_zone"), [("0001-01-01T00:00:00Z", "America/New_York"), ("9999-12-31T23:59:59Z", "Asia/Tokyo")]
)
def test_a_replay_from_a_day_beyond_the_calendar_is_refused(origin: str, time_zone: str) -> None:
    pipelines = {"billing": replace(BILLING, time_zone=time_zone)}

    with pytest.raises(Permanent, match=origin):
        messages.mirror_request(request(attributes={"publish_time": origin}), pipelines)


RELIST: dict[str, Any] = {"run_id": "9000", "relist": True, "tables": ["public.orders"], "shard_date": "2026-11-21"}


def test_a_wish_for_a_new_description_is_of_the_run_that_it_names() -> None:
    asked = messages.mirror_request(request(**RELIST), PIPELINES)

    assert (asked.run_id, asked.relist, asked.tables) == ("9000", True, ("public.orders",))
    assert asked.shard_date == date(2026, 11, 21)


def test_any_other_request_is_none() -> None:
    assert messages.mirror_request(request(relist=False), PIPELINES).relist is False


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
        messages.mirror_request(request(**(RELIST | change)), PIPELINES)


_IDS = st.from_regex(RUN_ID, fullmatch=True)


@given(_EXPORTS, _IDS)
def test_what_an_export_asks_for_is_a_wish_that_is_understood(wish: TableExport, run_id: str) -> None:
    wish = replace(wish, run_id=run_id, shard_date=date(2026, 11, 21))

    asked = messages.mirror_request(request(**wish.relist_request()), PIPELINES)

    assert (asked.run_id, asked.pipeline, asked.shard_date) == (run_id, BILLING, wish.shard_date)
    assert asked.tables == (f"{wish.schema}.{wish.table}",)
    assert asked.relist


@given(_EXPORTS)
def test_a_wish_for_an_export_comes_back_from_its_message(wish: TableExport) -> None:
    assert messages.table_export(json.dumps(wish.to_json()).encode(), PIPELINES) == wish


@given(_ANNOUNCEMENTS)
def test_an_announcement_comes_back_from_its_message(announced: TableExported) -> None:
    assert messages.table_exported(json.dumps(announced.to_json()).encode(), PIPELINES) == announced


def test_a_wish_for_an_export_is_written_as_the_contract_says() -> None:
    assert export().to_json() == {
        "run_id": "9912",
        "requested_at": "2026-11-22T02:00:00Z",
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "shard_date": "2026-11-22",
        "replace": True,
        "comment": None,
        "has_children": False,
        "run_tables": None,
        "columns": [{"name": "id", "data_type": "bigint", "nullable": False, "comment": None}],
    }


def test_a_column_of_a_domain_carries_what_it_stands_for() -> None:
    column = Column("price", "euros", nullable=True, base_type="numeric(12,2)")

    assert export(columns=(column,)).to_json()["columns"] == [
        {"name": "price", "data_type": "euros", "nullable": True, "comment": None, "base_type": "numeric(12,2)"}
    ]


def test_the_widest_table_fits_a_message() -> None:
    columns = tuple(
        Column(f"{number:04d}" + "é" * 29, "numeric(1000,500)", nullable=True, comment="🙂" * 1024)
        for number in range(1600)
    )

    size = len(json.dumps(export(columns=columns).to_json(), ensure_ascii=False).encode())

    assert size < 10_000_000  # bytes, https://cloud.google.com/pubsub/quotas


def test_a_table_outside_the_first_schema_has_it_in_its_id() -> None:
    assert export(schema="sales").table_id == "sales__orders"


def test_an_announcement_names_its_shard() -> None:
    content = messages.TableOfRun.to_json(export()) | {
        "table_id": "orders",
        "schema_uri": "s",
        "data_uri": "d",
        "format": "csv",
    }

    announced = messages.table_exported(json.dumps(content).encode(), PIPELINES)

    assert announced.shard == Shard("orders", date(2026, 11, 22))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pipeline": "gone"}, "'gone'"),
        ({"requested_at": "then"}, "then"),
        ({"columns": []}, "columns"),
        ({"columns": [{"name": "id"}]}, "data_type"),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused_by_what_is_wrong(changes: dict[str, Any], named: str) -> None:
    content = json.dumps(export().to_json() | changes).encode()

    with pytest.raises(Permanent, match=named):
        messages.table_export(content, PIPELINES)


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
    assert messages.view_refresh(request(**content).data, PIPELINES) == wish


@pytest.mark.parametrize(
    ("content", "named"),
    [({"tables": []}, "tables"), ({"shard_date": "latest"}, "latest"), ({"pin": "2026-11-20"}, "pin")],
)
def test_a_wish_for_views_that_cannot_be_read_is_refused_by_what_is_wrong(content: dict[str, Any], named: str) -> None:
    with pytest.raises(Permanent, match=named):
        messages.view_refresh(request(**content).data, PIPELINES)
