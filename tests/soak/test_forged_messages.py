"""Whoever may publish on a topic of the mirror's own is believed only where the run's record says the same."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.server import Answer, Answering, Call
from tests.support.delivery import Function, column, topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.views import entries

RUN = "billing/_runs/9912"
STAGED = "billing/_staging/9912/orders_20260115.csv"
NEXT_DAY = "2026-01-16T00:30:00Z"
ORIGIN = {"message_id": "9912", "publish_time": "2026-01-15T02:00:00Z"}
AUTHID = {"schema": "pg_catalog", "table": "pg_authid", "columns": [column("rolpassword", "text")]}

NO_RUN = {"a run that never was": {"run_id": "9000"}, "another pipeline's": {"pipeline": "shipping"}}
NO_PATH = {f"the run {run_id}": {"run_id": run_id} for run_id in (".", "..", "../9912", "9912/x", "")}
FORGED_EXPORTS: dict[str, dict[str, Any]] = {
    "an excluded table": {"table": "secrets"},
    "a table of pg_catalog": AUTHID,
    "a shard of 2099": {"shard_date": "2099-01-01"},
    "other columns": {"columns": [column("id", "bigint", nullable=False), column("password", "text")]},
    "another type": {"columns": [column("id", "text", nullable=False), column("note", "text")]},
    "another table of the run": {"table": "refunds"},
    "later than it was": {"requested_at": "2026-01-15T09:00:00Z"},
    "replace smuggled in": {"replace_asked": True},
    "with the rows of children": {"only": False},
    "another comment": {"comment": "mine"},
    **NO_RUN,
    **NO_PATH,
}
FORGED_ANNOUNCEMENTS: dict[str, dict[str, Any]] = {
    "only gaps": {"replace": False},
    "another bucket's data": {"data_uri": "gs://elsewhere/billing/orders/data_20260115.csv"},
    "another bucket's schema": {"schema_uri": "gs://elsewhere/billing/orders/schema_20260115.json"},
    "another pipeline's data": {"data_uri": "gs://{bucket}/shipping/orders/data_20260115.csv"},
    "the schema of another table": {"schema_uri": "gs://{bucket}/billing/refunds/schema_20260115.json"},
    "the id of another table": {"table_id": "refunds"},
    "another table": {"table": "refunds"},
    "another schema": {"schema": "sales"},
    "another format": {"format": "ndjson", "data_uri": "gs://{bucket}/billing/orders/data_20260115.ndjson"},
    "a format that leads elsewhere": {"format": "x/../../y", "data_uri": "gs://{bucket}/billing/orders/data_20260115.x/../../y"},
    "a shard of 2099": {"shard_date": "2099-01-01"},
    "later than it was": {"requested_at": "2026-01-15T09:00:00Z"},
    **NO_RUN,
    **NO_PATH,
}  # fmt: skip


@pytest.fixture(autouse=True)
def pipelines(stage: Stage) -> None:
    """Two pipelines of one bucket."""
    stage.pipeline["exclude"] = ["public.secrets"]
    shipping = stage.pipeline | {"shards_dataset": "shipping_shards", "views_dataset": "shipping"}
    both = {"billing": stage.pipeline, "shipping": shipping}
    of_stage = stage.function
    stage.function = lambda name, **environ: of_stage(name, PIPELINES=json.dumps(both), **environ)  # type: ignore[method-assign]


@pytest.fixture
def exports(stage: Stage) -> dict[str, dict[str, Any]]:
    """A run, by what it asks for on `table-exports`."""
    columns = {"orders": "note text", "refunds": "why text", "secrets": "note text"}
    stage.run(*(f"CREATE TABLE {table} (id bigint NOT NULL, {more})" for table, more in columns.items()))
    stage.run("INSERT INTO orders VALUES (1, 'a')")
    return listed(stage)


@pytest.fixture
def announcement(stage: Stage, exports: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """What is said on `table-exported` of one of its tables."""
    stage.function("export_table").receive(exports["orders"], on_record=False)
    [announced] = stage.published("table-exported")
    said: dict[str, Any] = json.loads(announced.data)
    return said


def listed(stage: Stage, **request: Any) -> dict[str, dict[str, Any]]:
    assert stage.function("list_tables").receive({"pipeline": "billing", **request}) == 200
    found = (json.loads(message.data) for message in stage.published("table-exports"))
    return {each["table"]: each for each in found}


@contextmanager
def nothing_done(stage: Stage) -> Iterator[None]:
    """Nothing is changed, begun or published but one dead letter."""
    stage.put(STAGED, "of an operation that runs")
    before = _state(stage)
    yield
    assert _state(stage) == before
    assert [stage.published(name) for name in ("table-exports", "table-exported", "run-exported")] == [[], [], []]
    assert len(stage.published("dead-letters")) == 1


def _state(stage: Stage) -> tuple[Any, ...]:
    files = {blob.name: blob.generation for blob in stage.bucket.list_blobs()}
    return files, len(stage.exports()), len(stage.jobs), stage.calls("patch"), stage.calls("insert")


def forged(stage: Stage, changes: dict[str, Any]) -> dict[str, Any]:
    return {k: v.format(bucket=stage.bucket.name) if isinstance(v, str) else v for k, v in changes.items()}


@pytest.mark.parametrize("kind", FORGED_EXPORTS)
def test_an_export_that_no_run_asks_for_is_not_begun(
    stage: Stage, exports: dict[str, dict[str, Any]], kind: str
) -> None:
    export_table = stage.function("export_table", RUN_EXPORTED_TOPIC=topic("run-exported"))
    message = exports["orders"] | FORGED_EXPORTS[kind]

    with nothing_done(stage):
        statuses = export_table.receive(message, on_record=False)

    assert statuses == 200


@pytest.mark.parametrize("kind", FORGED_ANNOUNCEMENTS)
def test_an_announcement_that_is_not_the_pairs_loads_nothing(
    stage: Stage, announcement: dict[str, Any], kind: str
) -> None:
    load_shard = stage.function("load_shard")
    message = announcement | forged(stage, FORGED_ANNOUNCEMENTS[kind])

    with nothing_done(stage):
        status = load_shard.receive(message, on_record=False)

    assert status == 200


def test_a_table_that_has_not_been_exported_is_not_loaded_and_has_not_failed(
    stage: Stage, announcement: dict[str, Any]
) -> None:
    message = json.loads(json.dumps(announcement).replace("orders", "refunds"))

    with nothing_done(stage):
        stage.function("load_shard").receive(message, on_record=False)


def test_an_announcement_of_a_run_that_only_fills_gaps_replaces_nothing(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    export_table, load_shard = stage.function("export_table"), stage.function("load_shard")
    stage.function("list_tables").receive({"pipeline": "billing", "shard_date": "2026-01-14"}, message_id="9913")
    export = next(each for each in map(_content, stage.published("table-exports")) if each["table"] == "orders")
    export_table.receive(export, on_record=False)
    [announced] = map(_content, stage.published("table-exported"))

    with nothing_done(stage):
        load_shard.receive(announced | {"replace": True}, on_record=False)
    with nothing_done(stage):
        export_table.receive(export | {"replace": True}, on_record=False)
    assert exports["orders"]["replace"]
    assert not announced["replace"]


def test_an_announcement_of_rows_of_a_later_day_replaces_nothing(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    stage.clock.pass_time(hours=48)
    stage.function("export_table").receive(exports["orders"], on_record=False, published=stage.clock.text())
    [announced] = map(_content, stage.published("table-exported"))

    with nothing_done(stage):
        stage.function("load_shard").receive(announced | {"replace": True}, on_record=False)
    assert not announced["replace"]


def test_a_pair_that_an_earlier_run_has_sealed_is_not_loaded_for_a_later_one(
    stage: Stage, announcement: dict[str, Any]
) -> None:
    later = "2026-01-15T03:00:00Z"
    stage.function("list_tables").receive({"pipeline": "billing"}, message_id="9913", published=later)
    stage.published("table-exports")

    with nothing_done(stage):
        message = announcement | {"run_id": "9913", "requested_at": later}
        stage.function("load_shard").receive(message, on_record=False)


def test_a_table_is_not_described_again_for_another_day(stage: Stage, exports: dict[str, dict[str, Any]]) -> None:
    relist = {"tables": [{"schema": "public", "table": "orders"}], "run_id": "9912", "relist": True}
    list_tables = stage.function("list_tables")

    for forged in ({"shard_date": "2026-01-14"}, {"run_id": ".."}, {"run_id": "9000"}):
        with nothing_done(stage):
            request = {"pipeline": "billing", "shard_date": "2026-01-15", **relist, **forged}
            list_tables.receive(request, message_id="9950")
    assert exports


@pytest.mark.parametrize("legacy", [False, True], ids=["newer log", "older log"])
@pytest.mark.parametrize("on", ["view-refreshes", "others"])
def test_an_entry_of_the_audit_log_that_somebody_publishes_moves_no_view(stage: Stage, legacy: bool, on: str) -> None:
    event = stage.load(stage.shard("orders_20260115"))[-1]
    stage.bigquery.calls.clear()
    event = entries.legacy(event) if legacy else event

    with nothing_done(stage):
        status = stage.function("refresh_views").receive(entries.sunk(event), on=on)

    assert status == 200


def test_without_the_topic_of_a_log_sink_no_message_is_an_entry(stage: Stage) -> None:
    event = stage.load(stage.shard("orders_20260115"))[-1]
    stage.bigquery.calls.clear()

    with nothing_done(stage):
        stage.function("refresh_views", JOB_EVENTS_TOPIC="").receive(entries.sunk(event), on="job-events")


def test_a_request_that_bears_the_id_of_another_run_publishes_what_that_run_says(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    list_tables = stage.function("list_tables")
    list_tables.receive({"pipeline": "billing", "tables": ["orders"]}, message_id="9920")
    [own] = map(_content, stage.published("table-exports"))
    whole = stage.json("billing/manifest_20260115.json")

    list_tables.receive({"pipeline": "billing", "shard_date": "2026-01-14"}, attributes=ORIGIN | {"message_id": "9920"})

    assert [_content(each) for each in stage.published("table-exports")] == [own]
    assert stage.json("billing/manifest_20260115.json") == whole
    assert "billing/manifest_20260114.json" not in stage.files()
    assert len(whole["tables"]) == len(exports)


@pytest.mark.parametrize("digests", [True, False], ids=["digests", "manifest alone"])
def test_honest_messages_are_believed_again_and_again(
    stage: Stage, exports: dict[str, dict[str, Any]], log: Log, digests: bool
) -> None:
    if not digests:  # as in a run that the version before has begun
        stage.bucket.delete_blob(f"{RUN}/digests.json")
    export_table, load_shard = stage.function("export_table"), stage.function("load_shard")

    statuses = [_export(export_table, exports["orders"]) for _ in range(2)]
    statuses.append(_export(export_table, exports["orders"], published=NEXT_DAY, attributes=ORIGIN))
    announced = [_content(message) for message in stage.published("table-exported")]
    statuses += [load_shard.receive(message, on_record=False) for message in announced * 2]

    assert statuses == [200] * 9
    assert [line["outcome"] for line in log()] == [*["exported"] * 3, *["loaded"] * 6]
    assert stage.published("dead-letters") == []


def test_a_redelivered_request_writes_the_digests_that_a_crash_has_left_out(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    digests = stage.json(f"{RUN}/digests.json")
    stage.bucket.delete_blob(f"{RUN}/digests.json")

    again = listed(stage)

    assert again == exports
    assert stage.json(f"{RUN}/digests.json") == digests
    assert digests.keys() == {"version", "replace", "requested_at", "shard_date", "tables", "last"}


def test_a_table_is_believed_as_it_was_described_again_and_no_otherwise(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    stage.run("ALTER TABLE orders DROP COLUMN note")
    request = {"pipeline": "billing", "shard_date": "2026-01-15", "run_id": "9912", "relist": True}
    tables = [{"schema": "public", "table": "orders"}]
    stage.function("list_tables").receive(request | {"tables": tables}, message_id="9950")
    [described] = map(_content, stage.published("table-exports"))
    export_table = stage.function("export_table")

    with nothing_done(stage):
        export_table.receive(described | {"comment": "mine"}, on_record=False)
    statuses = [_export(export_table, described) for _ in range(2)]

    assert statuses == [200, 200]
    assert stage.content("billing/orders/data_20260115.csv") == "1\n"
    assert described["columns"] != exports["orders"]["columns"]


def test_an_entry_of_the_version_before_is_believed_beside_one_that_nobody_can_read(
    stage: Stage, exports: dict[str, dict[str, Any]]
) -> None:
    before = {key: value for key, value in exports["orders"].items() if key not in {"only", "server_major"}}
    before |= {"has_children": True}
    stage.bucket.delete_blob(f"{RUN}/digests.json")
    stage.put(
        f"{RUN}/manifest.json", stage.json(f"{RUN}/manifest.json") | {"tables": [{"replace": True, "table": 7}, before]}
    )

    status = _export(stage.function("export_table"), before)

    assert status == 200
    assert "billing/orders/schema_20260115.json" in stage.files()
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("function", ["export_table", "load_shard"])
def test_what_has_no_record_any_more_is_dead_lettered_with_the_request_to_publish(
    stage: Stage, exports: dict[str, dict[str, Any]], announcement: dict[str, Any], function: str
) -> None:
    for blob in list(stage.bucket.list_blobs(prefix=f"{RUN}/")):
        blob.delete()
    message = exports["orders"] if function == "export_table" else announcement

    stage.function(function).receive(message, on_record=False)

    [letter] = stage.published("dead-letters")
    found = re.search(r"publish (\{.*\}) on mirror-requests", letter.attributes["error"])
    assert found
    stage.function("list_tables").receive(json.loads(found[1]), message_id="9950")
    [asked] = map(_content, stage.published("table-exports"))
    assert (asked["table"], asked["shard_date"]) == ("orders", "2026-01-15")


def test_a_run_is_read_once_by_each_instance(stage: Stage, log: Log) -> None:
    stage.run(*(f"CREATE TABLE t{number} (id bigint NOT NULL, note text)" for number in range(5)))
    exports = listed(stage)
    export_table, load_shard = stage.function("export_table"), stage.function("load_shard")
    read: list[str] = []

    def look(call: Call, answering: Answering) -> Answer:
        read.extend(re.findall(r"(digests|manifest|relisted)", call.target))
        return answering(call)

    with interposed(look, stage.objects.server):
        statuses = [_export(export_table, export) for export in exports.values()]
        of_exports = list(read)
        statuses += [load_shard.receive(_content(each), on_record=False) for each in stage.published("table-exported")]

    assert statuses == [200] * 10
    assert of_exports == ["digests"]
    assert read == ["digests"] * 2
    assert {line["outcome"] for line in log()} == {"listed", "exported", "loaded"}


def _export(export_table: Function, message: dict[str, Any], **delivery: Any) -> int:
    return export_table.receive(message, on_record=False, **delivery)


def _content(message: Any) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(message.data)
    return content
