"""What the functions tell one another of a run's tables."""

import json
from dataclasses import fields, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import names
from shared.errors import Permanent
from shared.messages import exports, requests
from shared.messages.exports import RunExported, TableExport, TableExported, TableOfRun
from shared.messages.message import RUN_ID, Message
from shared.tables import Column, Shard
from tests.support.billing import BILLING

PIPELINES = {"billing": BILLING}

_TEXTS = st.text(min_size=1, max_size=10)
_IDS = st.from_regex(RUN_ID, fullmatch=True)
_COLUMNS = st.builds(Column, _TEXTS, _TEXTS, st.booleans(), st.none() | _TEXTS, st.none() | _TEXTS, st.booleans())
_OF_RUN: dict[str, Any] = {
    "run_id": _IDS,
    "requested_at": st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - hypothesis adds the zone
    "pipeline": st.just(BILLING),
    "schema": _TEXTS,
    "table": _TEXTS,
    "shard_date": st.dates(),
    "replace": st.booleans(),
}


def of_catalog(**content: Any) -> TableExport:
    """An export as the tables of a catalog lead to it."""
    table_id = names.table_id(content["schema"], content["table"], "public")
    return TableExport(**({"format": "csv", "table_id": table_id} | content))


_EXPORTS = st.builds(
    of_catalog,
    **_OF_RUN,
    columns=st.lists(_COLUMNS, min_size=1, max_size=3).map(tuple),
    comment=st.none() | _TEXTS,
    format=st.sampled_from(["csv", "ndjson"]),
    only=st.booleans(),
    server_major=st.none() | st.integers(11, 99),
    run_tables=st.none() | st.integers(1, 20_000),
    snapshot=st.none() | st.integers(1, 20),
    primary_key=st.lists(_TEXTS, max_size=3).map(tuple),
)
_ANNOUNCEMENTS = st.builds(
    TableExported,
    **_OF_RUN,
    table_id=_TEXTS,
    schema_uri=_TEXTS,
    data_uri=_TEXTS,
    format=st.sampled_from(["csv", "ndjson"]),
)


def message(content: dict[str, Any]) -> Message:
    return Message(
        topic="projects/p/topics/t",
        message_id="9912",
        published_at=datetime(2026, 11, 22, 2, tzinfo=UTC),
        data=json.dumps(content).encode(),
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
    return of_catalog(**(content | changes))


@given(_EXPORTS, _IDS)
def test_what_an_export_asks_for_is_a_wish_that_is_understood(wish: TableExport, run_id: str) -> None:
    wish = replace(wish, run_id=run_id, shard_date=date(2026, 11, 21))

    asked = requests.mirror_request(message(wish.relist_request()), PIPELINES)

    assert (asked.run_id, asked.pipeline, asked.shard_date) == (run_id, BILLING, wish.shard_date)
    assert asked.tables == ((wish.schema, wish.table),)
    assert asked.relist


@given(_EXPORTS)
def test_a_wish_for_an_export_comes_back_from_its_message(wish: TableExport) -> None:
    assert exports.table_export(message(wish.to_json()), PIPELINES) == wish


@given(_EXPORTS)
def test_a_wish_for_an_export_comes_back_from_a_manifest(wish: TableExport) -> None:
    assert exports.listed_export(wish.to_json(), PIPELINES) == wish


@given(_EXPORTS, _TEXTS, _TEXTS, st.sampled_from(["csv", "ndjson"]))
def test_what_is_exported_is_what_was_wished_for(wish: TableExport, schema: str, data: str, file_format: str) -> None:
    shared_by_both = [field.name for field in fields(TableOfRun)]

    announced = wish.exported(schema, data, file_format, replace=wish.replace)

    assert [getattr(announced, name) for name in shared_by_both] == [getattr(wish, name) for name in shared_by_both]
    assert (announced.schema_uri, announced.data_uri, announced.format) == (schema, data, file_format)


_RUNS = st.builds(
    RunExported,
    run_id=_IDS,
    pipeline=st.just(BILLING),
    shard_date=st.dates(),
    manifest_uri=_TEXTS,
    tables=st.lists(_TEXTS).map(tuple),
    failed=st.lists(_TEXTS).map(tuple),
)


@given(_RUNS)
def test_the_announcement_of_a_run_comes_back_from_its_message(run: RunExported) -> None:
    assert exports.run_exported(message(run.to_json()), PIPELINES) == run


@given(_ANNOUNCEMENTS)
def test_an_announcement_comes_back_from_its_message(announced: TableExported) -> None:
    assert exports.table_exported(message(announced.to_json()), PIPELINES) == announced


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
        "format": "csv",
        "only": False,
        "server_major": None,
        "run_tables": None,
        "snapshot": None,
        "primary_key": [],
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
    content = export().to_json() | {"schema": "sales"}

    assert exports.table_export(message(content), PIPELINES).table_id == "sales__orders"
    assert exports.listed_export(content, PIPELINES).table_id == "sales__orders"


@pytest.mark.parametrize(("of_pipeline", "meant"), [("auto", "csv"), ("csv", "csv"), ("ndjson", "ndjson")])
def test_a_wish_of_the_version_before_has_the_format_of_its_pipeline(of_pipeline: str, meant: str) -> None:
    content = export().to_json()
    del content["format"]
    pipelines = {"billing": replace(BILLING, format=of_pipeline)}

    assert exports.table_export(message(content), pipelines).format == meant


def test_a_wish_of_the_version_before_has_no_primary_key_and_hashes_nothing() -> None:
    content = export(primary_key=("id",)).to_json()
    del content["primary_key"]

    found = exports.table_export(message(content), PIPELINES)

    assert found.primary_key == ()
    assert [column.hashed for column in found.columns] == [False]


def test_a_column_that_is_hashed_says_so() -> None:
    [column] = export(columns=(Column("email", "text", nullable=True, hashed=True),)).to_json()["columns"]

    assert column == {"name": "email", "data_type": "text", "nullable": True, "comment": None, "hashed": True}


def test_an_announcement_names_its_shard() -> None:
    content = TableOfRun.to_json(export()) | {
        "table_id": "orders",
        "schema_uri": "s",
        "data_uri": "d",
        "format": "csv",
    }

    announced = exports.table_exported(message(content), PIPELINES)

    assert announced.shard == Shard("orders", date(2026, 11, 22))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"pipeline": "gone"}, "'gone'"),
        ({"requested_at": "then"}, "then"),
        ({"run_id": ".."}, "no run's"),
        ({"run_id": "9912/x"}, "no run's"),
        ({"columns": []}, "columns"),
        ({"columns": [{"name": "id"}]}, "data_type"),
        ({"format": "../csv"}, "'../csv'"),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused_by_what_is_wrong(changes: dict[str, Any], named: str) -> None:
    content = export().to_json() | changes

    with pytest.raises(Permanent, match=named):
        exports.table_export(message(content), PIPELINES)
    with pytest.raises(Permanent, match=named):
        exports.listed_export(content, PIPELINES)
