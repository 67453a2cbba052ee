"""A run is told to be shown once each of its tables has come to its end, whatever that is, and the ledger has its lines."""

import json
from datetime import UTC, datetime, timedelta
from threading import Thread

import pytest
from google.cloud.bigquery import SchemaField

from local.rest import ApiError, Fault
from local.server import Answer, Answering, Between, Call
from shared import times
from shared.runs import ledger
from tests.support.cuts import cut_off, refused
from tests.support.days import RECONCILE, Days, tables
from tests.support.delivery import topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.standins import PROJECT
from tests.support.views import entries
from tests.support.views.steps import ID, NOTE, called, load, pass_time, said, show, views


@pytest.fixture
def days(stage: Stage) -> Days:
    return Days(stage)


def now(*, days: int = 0) -> str:
    """The machine's time, or so many days before it."""
    return times.rfc3339(datetime.now(UTC) - timedelta(days=days))


def test_a_run_is_told_when_the_last_of_its_tables_is_shown(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    first, second = days.export(*days.request())

    days.load(first)
    days.hear()
    days.load(second)
    before = days.told()
    days.hear()

    assert before == []
    assert days.told() == [days.shown(shown="lines orders")]


def test_what_is_shown_is_on_record(stage: Stage, days: Days) -> None:
    tables(stage, "orders", rows=3)
    days.all_through()

    record = days.record("shown")

    size = days.record("exported")["bytes"]
    assert record == {
        "shard": "orders_20260115",
        "row_count": 3,
        "bytes": size,
        "shown_at": record["shown_at"],
        "lost_columns": [],
    }
    assert days.record("loaded")["rows"] == 3


def test_the_ledger_has_a_line_for_each_table_before_the_run_is_told(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    found: list[int] = []

    def note(name: str, request: object, procedure: object) -> object:
        if name == "Publish" and "run-shown" in str(request):
            found.append(len(days.ledger()))
        return procedure(request)  # type: ignore[operator]

    with interposed(note, stage.pubsub):
        days.all_through()

    [line] = days.ledger()
    seal = stage.json("billing/orders/schema_20260115.json")
    assert found == [1]
    assert [field.name for field in stage.warehouse.get_table(f"{PROJECT}.{days.ops}.ledger").schema] == [
        *ledger.COLUMNS
    ]
    assert {**line, "exported_at": None, "shown_at": None} == {
        "run_id": days.run,
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "table_id": "orders",
        "outcome": "shown",
        "reason": None,
        "snapshot": seal["snapshot"],
        "shard_date": line["shard_date"],
        "row_count": 2,
        "bytes": days.record("exported")["bytes"],
        "exported_at": None,
        "shown_at": None,
        "lost_columns": [],
    }
    assert line["exported_at"]
    assert line["shown_at"]
    assert str(line["shard_date"]) == "2026-01-15"


def test_events_that_come_twice_tell_nothing_again(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    days.load(*days.export(*days.request()))
    days.events *= 2

    days.hear()
    days.reconcile()

    assert days.told() == [days.shown(shown="lines orders")]
    assert days.outcomes() == [("lines", "shown"), ("orders", "shown")]


def test_a_run_of_some_tables_is_told_too(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")

    days.all_through(tables=["orders"])

    assert days.told() == [days.shown(shown="orders")]


def test_a_view_that_is_pinned_holds_its_table(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    load(stage, "orders_20260114")
    show(stage, "orders_20260114", {"mirror_pin": "20260114"})

    days.all_through()

    assert days.told() == [days.shown(shown="lines", held="orders")]
    assert days.record("held") == {"reason": "the view orders is pinned to 2026-01-14"}
    assert [line["reason"] for line in days.ledger()] == [None, "the view orders is pinned to 2026-01-14"]


def test_a_shard_that_shrank_is_held(stage: Stage) -> None:
    days = Days(stage, max_shrink=0.5)
    tables(stage, "orders")
    load(stage, "orders_20260114", rows=20)
    show(stage, "orders_20260114")

    days.all_through()

    assert days.told() == [days.shown(held="orders")]
    assert "less than 0.5 of its 20" in days.record("held")["reason"]


def test_somebodys_own_in_the_place_of_a_view_holds_its_table(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    stage.create_view("orders", "SELECT 1 AS id")

    days.all_through()

    assert days.told() == [days.shown(held="orders")]
    assert "not the mirror's to move" in days.record("held")["reason"]


def test_a_view_that_shows_a_newer_shard_holds_its_table(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    load(stage, "orders_20260116")
    show(stage, "orders_20260116")

    days.all_through()

    assert days.told() == [days.shown(held="orders")]


def test_columns_that_are_lost_are_told_by_the_record_and_the_ledger(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    load(stage, "orders_20260114", columns=[ID, NOTE, SchemaField("gone", "STRING")])
    show(stage, "orders_20260114")

    days.all_through()

    [line] = days.ledger()
    assert line["lost_columns"] == ["gone is gone"] == days.record("shown")["lost_columns"]


def test_a_table_that_cannot_be_loaded_has_failed_and_ends_its_run(stage: Stage, days: Days, log: Log) -> None:
    tables(stage, "lines", "orders")
    lines, orders = days.export(*days.request())
    days.load(lines)
    days.hear()

    stage.bigquery.fail_next_job("invalid")
    days.load(orders)

    assert days.told() == [days.shown(shown="lines", failed="orders")]
    [_, line] = days.ledger()
    assert (line["outcome"], "BigQuery refuses" in line["reason"]) == ("failed", True)
    log()


def test_a_table_that_cannot_be_exported_has_failed(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    lines, orders = days.request()
    days.load(*days.export(lines))
    days.hear()
    published = stage.clock.text()

    stage.fail_exports(f"billing/_staging/{days.run}/orders_20260115.csv", times=5)
    days.export(orders, published=published)

    assert days.told() == [days.shown(shown="lines", failed="orders")]


def test_a_table_that_cannot_be_mirrored_has_failed_and_a_line(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    stage.run('CREATE TABLE "a b" (id int)', 'CREATE TABLE "a-b" (id int)')

    days.all_through()

    assert days.told() == [days.shown(shown="orders", failed="a_b")]
    assert days.outcomes() == [("a_b", "failed"), ("a_b", "failed"), ("orders", "shown")]


def test_a_run_that_has_nothing_to_export_is_told_by_its_listing(stage: Stage, days: Days) -> None:
    stage.run('CREATE TABLE "a b" (id int)', 'CREATE TABLE "a-b" (id int)')

    days.request()

    assert days.told() == [days.shown(failed="a_b")]


def test_a_table_that_fills_no_gap_is_skipped(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    days.all_through(tables=["orders"])
    assert days.told() == [days.shown(shown="orders")]
    days.run += "-again"
    stage.clock.pass_time(days=1)

    days.all_through(shard_date="2026-01-15")

    assert days.told() == [days.shown(shown="lines", skipped="orders")]


def test_a_table_whose_pair_a_later_run_has_replaced_is_held(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    first, announcements = days.run, days.export(*days.request())
    days.run += "-later"
    stage.clock.pass_time(minutes=1)
    later = days.export(*days.request())

    days.load(*announcements)
    told_of_first = days.told()
    days.load(*later)
    days.hear()

    assert [(each["run_id"], each["held"]) for each in told_of_first] == [(first, ["orders"])]
    assert days.told() == [days.shown(shown="orders")]


def test_a_late_event_of_an_earlier_run_does_not_count_for_the_later_one(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    days.run += "-later"
    stage.clock.pass_time(minutes=1)
    later = days.export(*days.request())

    days.hear()  # the event of the first run's load, when the second has sealed the pair, and not loaded it
    before = days.told()
    days.load(*later)
    days.hear()

    assert before == []
    assert days.told() == [days.shown(shown="orders")]


def test_a_run_whose_events_are_lost_is_told_by_the_reconcile(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    days.load(*days.export(*days.request()))
    days.events.clear()

    days.reconcile()
    days.reconcile()

    assert days.told() == [days.shown(shown="lines orders")]
    assert [name for name in stage.files() if "/open/" in name] == []


def test_of_two_reconciles_at_once_one_tells_a_run(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    days.function("refresh_views")
    others: list[Thread] = []

    def note(name: str, request: object, procedure: object) -> object:
        if name == "Publish" and "run-shown" in str(request) and not others:
            others.append(Thread(target=days.reconcile, args=["another"]))
            others[0].start()
            others[0].join()
        return procedure(request)  # type: ignore[operator]

    with interposed(note, stage.pubsub):
        days.reconcile("one")

    assert len(others) == 1
    assert days.told() == [days.shown(shown="orders")]


@pytest.mark.parametrize(("message_id", "hours", "told"), [("one", 0, 1), ("another", 23, 0), ("another", 25, 1)])
def test_a_reconcile_that_crashed_tells_the_run_when_it_comes_again_or_another_does_a_day_later(
    stage: Stage, days: Days, message_id: str, hours: int, told: int
) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    refresh_views = days.function("refresh_views")

    with cut_off(stage, after=4):  # the view, the record, the mark, and the lines of the ledger
        refresh_views.receive({"pipeline": "billing"}, message_id="one")
    mark = stage.json(f"billing/_runs/{days.run}/run_shown.json")
    pass_time(stage, timedelta(hours=hours))
    days.reconcile(message_id)

    assert not mark["announced"]
    assert len(days.told()) == told


def test_a_run_of_which_nothing_comes_is_told_a_day_after_its_lanes_last_sign_of_life(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    lines, _ = days.request()
    days.load(*days.export(lines))
    days.hear()
    days.function("refresh_views")

    pass_time(stage, timedelta(hours=23))
    days.reconcile()
    before = days.told()
    pass_time(stage, timedelta(hours=25))
    days.reconcile()

    assert before == []
    assert days.told() == [days.shown(shown="lines", failed="orders")]
    assert "24 hours" in days.record("failed")["error"]


def test_a_view_that_is_moved_by_hand_mends_what_was_held(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    load(stage, "orders_20260114")
    show(stage, "orders_20260114", {"mirror_pin": "20260114"})
    days.all_through()
    days.told()

    unpin = {"pipeline": "billing", "tables": ["orders"], "shard_date": "newest"}
    for _ in range(2):
        assert days.function("refresh_views").receive(unpin) == 200

    assert days.told() == []
    assert days.record("shown")["shard"] == "orders_20260115"
    assert days.outcomes() == [("orders", "held"), ("orders", "shown")]


def test_views_that_were_all_unpinned_before_a_crash_mend_what_was_held(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    load(stage, "orders_20260114")
    show(stage, "orders_20260114", {"mirror_pin": "20260114"})
    days.all_through()
    unpin = {"pipeline": "billing", "shard_date": "newest"}

    with refused(stage, lambda call: call.verb == "POST"):
        first = days.function("refresh_views").receive(unpin)
    before = views(stage)
    second = days.function("refresh_views").receive(unpin)

    assert (first, second) == (500, 200)
    assert before == {"orders": "orders_20260115"}
    assert days.outcomes() == [("orders", "held"), ("orders", "shown")]


def test_a_replay_that_mends_a_table_has_its_own_line(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    [announced] = days.export(*days.request())
    stage.bigquery.fail_next_job("invalid")
    days.load(announced)
    assert days.told() == [days.shown(failed="orders")]

    days.load(announced, published=times.rfc3339(datetime.now(UTC)))  # BigQuery's time is the machine's
    days.hear()

    assert days.told() == []
    assert days.outcomes() == [("orders", "failed"), ("orders", "shown")]


@pytest.mark.parametrize("reason", ["backendError", "accessDenied"])
def test_a_ledger_that_refuses_holds_nobody_back(stage: Stage, days: Days, log: Log, reason: str) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    status = 403 if reason == "accessDenied" else 400
    log()

    with interposed(_refuse_uploads(status, reason), stage.bigquery.server):
        days.hear()

    assert days.told() == [days.shown(shown="orders")]
    severity = "WARNING" if reason == "backendError" else "ERROR"
    assert [line for line in said(log, severity) if "ledger" in line]


def test_lines_that_could_not_be_written_are_written_by_the_next_reconcile(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    with interposed(_refuse_uploads(400, "backendError"), stage.bigquery.server):
        days.hear()

    days.reconcile()

    assert days.outcomes() == [("orders", "shown")]
    assert len(days.told()) == 1


def test_a_view_that_cannot_be_made_now_is_no_end_of_its_table(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    days.events.clear()
    stage.bigquery.plan("bigquery.tables.insert", Fault(ApiError(403, "quotaExceeded")))

    handed_back = days.function("refresh_views").receive(RECONCILE)
    told = days.told()
    days.reconcile()

    assert (handed_back, told) == (503, [])
    assert days.told() == [days.shown(shown="orders")]


def test_a_failed_job_of_the_ledger_is_followed_by_another(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    stage.bigquery.fail_next_job("backendError")

    days.hear()
    days.reconcile()

    assert days.outcomes() == [("orders", "shown")]


def test_without_a_topic_and_a_dataset_nothing_is_told_and_the_records_are_kept(stage: Stage, days: Days) -> None:
    stage.environment.delenv("RUN_SHOWN_TOPIC")
    stage.environment.delenv("OPS_DATASET")
    tables(stage, "orders")

    days.all_through()

    assert days.told() == []
    assert days.record("shown")["row_count"] == 2


def test_no_event_of_a_table_lists_what_has_become_of_its_run_but_the_last(stage: Stage, days: Days) -> None:
    tables(stage, *(f"t{number}" for number in range(5)))
    days.load(*days.export(*days.request()))
    folder, lists = f"_runs%2F{days.run}", list[int]()
    events, days.events = days.events, []

    def note(call: Call, answering: Answering) -> Answer:
        lists[-1] += call.verb == "GET" and "/o?" in call.target and folder in call.target
        return answering(call)

    with interposed(note, stage.objects.server):
        for event in events:
            lists.append(0)
            days.function("refresh_views").hear(*event)

    assert lists[:-1] == [0, 0, 0, 0]
    assert lists[-1] == 2  # what has become of it, and what the ledger is to say
    assert len(days.told()) == 1


def test_a_run_that_is_listed_days_after_its_request_is_not_over_at_once(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    stage.clock.put(now())
    attributes = {"message_id": days.run, "publish_time": now(days=2), "source_topic": topic("mirror-requests")}
    days.function("list_tables").receive(
        {"pipeline": "billing"}, message_id="replay", published=now(), attributes=attributes
    )

    days.reconcile()

    assert days.told() == []


def test_tables_that_are_replayed_together_have_a_line_each(stage: Stage, days: Days) -> None:
    tables(stage, "lines", "orders")
    lines, orders = days.export(*days.request())
    for each in (lines, orders):
        stage.bigquery.fail_next_job("invalid")
        days.load(each)

    days.load(lines, orders, published=now())
    days.hear()

    assert days.outcomes() == [("lines", "failed"), ("lines", "shown"), ("orders", "failed"), ("orders", "shown")]


@pytest.mark.parametrize("reason", ["backendError", "accessDenied"])
def test_the_line_of_a_mended_table_waits_for_a_ledger_that_refuses(stage: Stage, days: Days, reason: str) -> None:
    tables(stage, "orders")
    [announced] = days.export(*days.request())
    stage.bigquery.fail_next_job("invalid")
    days.load(announced)
    days.load(announced, published=now())
    stage.bigquery.fail_next_job(reason)

    days.hear()
    before = days.outcomes()
    days.reconcile()

    assert before == [("orders", "failed")]
    assert days.outcomes() == [("orders", "failed"), ("orders", "shown")]


@pytest.mark.parametrize("reason", ["backendError", "accessDenied"])
def test_the_line_of_a_table_whose_view_is_moved_by_hand_waits_for_a_ledger_that_refuses(
    stage: Stage, days: Days, reason: str
) -> None:
    tables(stage, "orders")
    load(stage, "orders_20260114")
    show(stage, "orders_20260114", {"mirror_pin": "20260114"})
    days.all_through()
    days.reconcile()
    stage.bigquery.fail_next_job(reason)

    unpinned = days.function("refresh_views").receive(
        {"pipeline": "billing", "tables": ["orders"], "shard_date": "newest"}
    )
    before = days.outcomes()
    days.reconcile()

    assert (unpinned, before) == (200, [("orders", "held")])
    assert days.outcomes() == [("orders", "held"), ("orders", "shown")]


def test_the_line_of_a_mended_table_whose_event_is_lost_outlives_a_crash(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    [announced] = days.export(*days.request())
    stage.bigquery.fail_next_job("invalid")
    days.load(announced)
    days.reconcile()
    days.load(announced, published=now())
    days.events.clear()

    with cut_off(stage, after=1):  # the view
        days.function("refresh_views").receive({"pipeline": "billing"}, message_id="one")
    before = views(stage)
    days.reconcile("one")

    assert before == {"orders": "orders_20260115"}
    assert days.outcomes() == [("orders", "failed"), ("orders", "shown")]
    assert len(days.told()) == 1


def test_an_announcement_that_comes_twice_makes_no_line_of_what_was_shown(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    first = days.export(*days.request())
    days.load(*first)
    days.hear()
    days.run += "-later"
    stage.clock.pass_time(minutes=1)
    days.export(*days.request())

    days.load(*first)

    assert days.outcomes() == [("orders", "shown")]


def test_lines_that_are_denied_are_written_once_they_are_granted(stage: Stage, days: Days) -> None:
    tables(stage, "orders")
    days.load(*days.export(*days.request()))
    stage.bigquery.fail_next_job("accessDenied")
    days.hear()

    days.reconcile()

    assert days.outcomes() == [("orders", "shown")]


def test_lines_wait_for_the_dataset_of_the_ledger(stage: Stage, days: Days) -> None:
    days.ops += "_not_yet"
    stage.environment.setenv("OPS_DATASET", days.ops)
    tables(stage, "orders")
    days.all_through()
    stage.warehouse.create_dataset(days.ops)

    days.reconcile()

    assert days.outcomes() == [("orders", "shown")]
    assert len(days.told()) == 1


def test_a_late_event_of_an_earlier_run_moves_no_view_of_those_that_are_released_together(stage: Stage) -> None:
    days = Days(stage, release="together")
    tables(stage, "lines", "orders")
    for table in ("lines", "orders"):
        load(stage, f"{table}_20260114")
        show(stage, f"{table}_20260114")
    _, orders = days.export(*days.request())
    days.load(orders)
    days.run += "-later"
    stage.clock.pass_time(minutes=1)
    days.export(*days.request())

    days.hear()

    assert views(stage) == {"lines": "lines_20260114", "orders": "orders_20260114"}


def test_where_a_scio_job_loads_a_run_is_told_by_the_events_of_its_copies(stage: Stage) -> None:
    days = Days(stage, loader="scio")
    tables(stage, "lines", "orders")
    days.export(*days.request())
    events = [load(stage, f"{table}_20260115", rows=2) for table in ("lines", "orders")]

    days.function("refresh_views").hear(*events[0])
    before = days.told()
    days.function("refresh_views").hear(*events[1])

    assert before == []
    assert days.told() == [days.shown(shown="lines orders")]
    assert days.record("shown")["row_count"] == 2


def test_where_a_scio_job_loads_a_shard_of_before_the_export_does_not_count(stage: Stage) -> None:
    days = Days(stage, loader="scio")
    tables(stage, "orders")
    event = load(stage, "orders_20260115", rows=2)
    stage.clock.put("2036-01-15T02:00:00Z")
    days.export(*days.request(shard_date="2026-01-15", replace=True))

    days.function("refresh_views").hear(*event)

    assert days.told() == []


def test_where_a_scio_job_loads_the_end_of_the_job_tells_a_run_whose_events_were_lost(stage: Stage) -> None:
    days = Days(stage, loader="scio")
    tables(stage, "lines", "orders")
    days.export(*days.request())
    for table in ("lines", "orders"):
        load(stage, f"{table}_20260115", rows=2)

    ended = times.rfc3339(datetime.now(UTC) + timedelta(seconds=1))
    days.function("refresh_views").hear(*entries.dataflow(ended=ended))

    assert days.told() == [days.shown(shown="lines orders")]


def test_where_a_scio_job_loads_a_table_that_is_never_loaded_has_failed_a_day_later(stage: Stage) -> None:
    days = Days(stage, loader="scio")
    tables(stage, "lines", "orders")
    days.export(*days.request())
    days.function("refresh_views").hear(*load(stage, "lines_20260115", rows=2))
    pass_time(stage, timedelta(hours=25))

    days.reconcile()

    assert days.told() == [days.shown(shown="lines", failed="orders")]


def test_views_that_are_released_together_are_told_by_the_last_of_their_run(stage: Stage) -> None:
    days = Days(stage, release="together")
    tables(stage, "lines", "orders")
    days.load(*days.export(*days.request()))
    events, days.events = days.events, []

    days.function("refresh_views").hear(*events[0])

    assert days.told() == [days.shown(shown="lines orders")]
    assert [days.record("shown", table)["shard"] for table in ("lines", "orders")] == [
        "lines_20260115",
        "orders_20260115",
    ]


@pytest.mark.parametrize("count", [3, 6])
def test_an_event_of_a_run_that_has_been_released_together_sees_to_its_own_view(stage: Stage, count: int) -> None:
    days = Days(stage, release="together")
    tables(stage, *(f"t{number}" for number in range(count)))
    days.load(*days.export(*days.request()))
    first, *others = days.events
    days.function("refresh_views").hear(*first)
    stage.bigquery.calls.clear()

    days.events = others
    days.hear()

    assert called(stage) == [
        f"tables.get {table}" for number in range(1, count) for table in (f"t{number}", f"t{number}_20260115")
    ]


def _refuse_uploads(status: int, reason: str) -> Between:
    def befalling(call: Call, answering: Answering) -> Answer:
        if "/upload/" not in call.target:
            return answering(call)
        error = {"code": status, "message": "Not now.", "errors": [{"message": "Not now.", "reason": reason}]}
        return Answer(status, json.dumps({"error": error}).encode(), {"Content-Type": "application/json"})

    return befalling
