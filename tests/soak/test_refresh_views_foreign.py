"""Not all that stands in the dataset of shards is the mirror's: backups, clones and snapshots, and days to come."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from google.cloud.bigquery import CopyJobConfig

from local.server import Answer, Answering, Call
from tests.support.delivery import Function
from tests.support.interposed import interposed
from tests.support.stage import Event, Log, Stage
from tests.support.views import entries, records
from tests.support.views.steps import ORDERS, RECONCILE, called, expires, load, said, select, show, views

BACKUP = "orders_backup_20260116"
PIN = RECONCILE | {"shard_date": "2026-01-16"}
DAY = timedelta(days=1)


@pytest.fixture
def refresh_views(stage: Stage) -> Function:
    """Of a pipeline with a run on record that lists `orders`, and has brought no shard yet."""
    records.begin(stage, "run", "20260116", ["orders"])
    return stage.function("refresh_views")


@pytest.mark.parametrize("operation", ["COPY", "CLONE", "SNAPSHOT"])
@pytest.mark.parametrize("by", ["event", "older log", "truncated", "reconcile"])
def test_a_dated_copy_clone_or_snapshot_of_a_table_that_no_run_has_listed_gets_no_view(
    stage: Stage, refresh_views: Function, log: Log, operation: str, by: str
) -> None:
    load(stage, "orders_20260116")
    show(stage, "orders_20260116")
    event = _copy(stage, "orders_20260116", BACKUP, operation)
    forms = {"older log": entries.legacy, "truncated": entries.truncated}

    status = refresh_views.receive(RECONCILE) if by == "reconcile" else refresh_views.hear(*forms.get(by, _same)(event))

    assert status == 200
    assert said(log, "ERROR") == []
    assert views(stage) == {"orders": "orders_20260116"}


def test_a_shard_that_is_not_the_mirrors_is_one_line_that_names_it(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    load(stage, "orders_20260116")

    refresh_views.hear(*_copy(stage, "orders_20260116", BACKUP))

    [line] = log()
    assert (line["severity"], line["outcome"], line["table"]) == ("INFO", "skipped", "orders_backup")
    assert BACKUP in line["message"]


def test_a_reconcile_names_the_tables_that_get_no_view_and_calls_none_of_them_stale(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    for shard in ("orders_20260115", "orders_20260116", "orders_backup_20260101"):
        load(stage, shard)

    refresh_views.receive(RECONCILE)

    lines = log()
    assert [line["message"] for line in lines if "no views are made of orders_backup" in line["message"]]
    assert [line for line in lines if line["severity"] != "INFO"] == []


def test_the_days_of_backups_make_no_other_view_stale(stage: Stage, refresh_views: Function, log: Log) -> None:
    for shard in ("orders_20260116", "a_backup_20260117", "a_backup_20260118"):
        load(stage, shard)

    refresh_views.receive(RECONCILE)

    assert said(log, "WARNING") == []


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_a_table_that_the_newest_run_lists_gets_its_view(stage: Stage, refresh_views: Function, by: str) -> None:
    event = load(stage, "orders_20260116")

    _tell(refresh_views, by, event)

    assert views(stage) == {"orders": "orders_20260116"}


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_a_table_that_was_requested_by_name_dropped_or_excluded_since_gets_its_view(
    stage: Stage, refresh_views: Function, by: str
) -> None:
    records.begin(stage, "some", "20260115", ["refunds"], whole=False)
    event = load(stage, "refunds_20260115")
    records.seal(stage, "some", "refunds_20260115")

    _tell(refresh_views, by, event)

    assert views(stage) == {"refunds": "refunds_20260115"}


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_a_run_of_some_tables_is_a_run_on_record(stage: Stage, by: str) -> None:
    records.begin(stage, "some", "20260116", ["orders"], whole=False)
    refresh_views = stage.function("refresh_views")
    event = load(stage, BACKUP)

    _tell(refresh_views, by, event)

    assert views(stage) == {}


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_a_pipeline_with_no_run_on_record_goes_by_the_shards_alone(stage: Stage, by: str) -> None:
    refresh_views = stage.function("refresh_views")
    event = load(stage, BACKUP)

    _tell(refresh_views, by, event)

    assert views(stage) == {"orders_backup": BACKUP}


def test_where_the_teams_own_job_loads_each_shard_is_the_pipelines(stage: Stage) -> None:
    stage.pipeline["loader"] = "scio"
    records.begin(stage, "run", "20260116", ["orders"])
    refresh_views = stage.function("refresh_views")

    refresh_views.hear(*load(stage, "others_20260116"))

    assert views(stage) == {"others": "others_20260116"}


@pytest.mark.parametrize("by", ["event", "reconcile"])
def test_a_view_that_is_there_keeps_following(stage: Stage, refresh_views: Function, by: str) -> None:
    load(stage, "dropped_20260115")
    show(stage, "dropped_20260115")
    event = _copy(stage, "dropped_20260115", "dropped_20260116")

    _tell(refresh_views, by, event)

    assert views(stage) == {"dropped": "dropped_20260116"}


@pytest.mark.parametrize("by", ["event", "older log", "reconcile"])
def test_a_view_follows_no_snapshot(stage: Stage, refresh_views: Function, by: str) -> None:
    load(stage, "orders_20260115")
    show(stage, "orders_20260115")
    event = _copy(stage, "orders_20260115", "orders_20260116", "SNAPSHOT")

    _tell(refresh_views, by, entries.legacy(event) if by == "older log" else event)

    assert views(stage) == {"orders": "orders_20260115"}


def test_who_names_a_table_gets_a_view_of_it(stage: Stage, refresh_views: Function) -> None:
    load(stage, BACKUP)

    refresh_views.receive({"pipeline": "billing", "tables": ["orders_backup"]})

    assert views(stage) == {"orders_backup": BACKUP}


def test_a_pin_of_all_views_leaves_out_what_is_not_the_mirrors(stage: Stage, refresh_views: Function) -> None:
    for shard in ("orders_20260116", "orders_backup_20260116", "orders_backup_20260101", "a_backup_20260101"):
        load(stage, shard)

    refresh_views.receive(PIN)

    assert stage.published("dead-letters") == []
    assert views(stage) == {"orders": "orders_20260116"}


def test_a_copy_of_somebody_elses_that_failed_is_no_error_of_ours(
    stage: Stage, refresh_views: Function, log: Log
) -> None:
    theirs = stage.load(stage.shard(BACKUP), rows="12,50\n")[-1]
    ours = stage.load(stage.shard("orders_20260116"), rows="12,50\n")[-1]

    statuses = [refresh_views.hear(*event) for event in (theirs, ours)]

    assert statuses == [200, 200]
    assert [(line["severity"], line["table"]) for line in log()] == [("INFO", "orders_backup"), ("ERROR", "orders")]


def test_backups_do_not_expire(stage: Stage) -> None:
    stage.pipeline["keep_days"] = 1
    records.begin(stage, "run", "20260116", ["orders"])
    refresh_views = stage.function("refresh_views")
    for shard in ("orders_20260116", "orders_backup_20260101", BACKUP):
        load(stage, shard)

    refresh_views.receive(RECONCILE)

    assert expires(stage, "orders_backup_20260101") is None


def test_what_is_the_mirrors_is_found_out_only_for_tables_without_a_view_and_by_three_calls_at_most(
    stage: Stage, refresh_views: Function
) -> None:
    for number in range(20):
        load(stage, f"backup{number}_20260101")
        load(stage, f"backup{number}_20260102")
    event = load(stage, "backup0_20260103")
    load(stage, "orders_20260116")
    with _storage_calls(stage) as of_event:
        refresh_views.hear(*event)
    with _storage_calls(stage) as of_reconcile:
        refresh_views.receive(RECONCILE)
    moving = load(stage, "orders_20260117")

    with _storage_calls(stage) as of_move:
        refresh_views.hear(*moving)

    of_runs = [call for call in of_reconcile if "/open" in call or "%2Fopen" in call or "schema_20260116" in call]
    assert len(of_event) == len(of_reconcile) - len(of_runs) == 3
    assert len(of_runs) == 2  # which are not over, and whose rows the view shows
    [of_seal] = of_move
    assert "schema_20260117" in of_seal
    assert views(stage) == {"orders": "orders_20260117"}


@pytest.mark.parametrize("release", ["each", "together"])
@pytest.mark.parametrize("by", ["event", "failed event", "reconcile", "named", "pin"])
def test_a_shard_of_a_day_to_come_moves_no_view_and_is_a_warning_by_its_name(
    stage: Stage, log: Log, release: str, by: str
) -> None:
    stage.pipeline["release"] = release
    refresh_views = stage.function("refresh_views")
    today, later = f"orders_{_today():%Y%m%d}", f"orders_{_today() + 2 * DAY:%Y%m%d}"
    load(stage, today)
    show(stage, today)
    event = load(stage, later)
    failed = stage.load(stage.shard(later), rows="12,50\n")[-1]

    match by:
        case "event" | "failed event":
            refresh_views.hear(*(event if by == "event" else failed))
        case "reconcile" | "named":
            refresh_views.receive(RECONCILE if by == "reconcile" else ORDERS)
        case _:
            refresh_views.receive(ORDERS | {"shard_date": str(_today() + 2 * DAY)})

    [line] = [line for line in log() if line["severity"] == "WARNING"]
    assert (line["pipeline"], line["table"]) == ("billing", "orders")
    assert f"{later}: " in line["message"]
    assert "to come in UTC" in line["message"]
    assert stage.shown() == select(stage, today)


def test_a_pin_to_a_day_to_come_is_dead_lettered(stage: Stage, refresh_views: Function) -> None:
    load(stage, later := f"orders_{_today() + 2 * DAY:%Y%m%d}")

    refresh_views.receive(ORDERS | {"shard_date": str(_today() + 2 * DAY)})

    [letter] = stage.published("dead-letters")
    assert later
    assert "to come" in letter.attributes["error"]
    assert views(stage) == {}


@pytest.mark.parametrize(("zone", "ahead"), [("Etc/GMT+12", timedelta(hours=-12)), ("Etc/GMT-14", timedelta(hours=14))])
@pytest.mark.parametrize("days", [0, 1])
def test_what_is_to_come_is_told_by_the_pipelines_time_zone(
    stage: Stage, zone: str, ahead: timedelta, days: int
) -> None:
    stage.pipeline["time_zone"] = zone
    refresh_views = stage.function("refresh_views")
    there = (datetime.now(UTC) + ahead).date() + days * DAY

    refresh_views.hear(*load(stage, shard := f"orders_{there:%Y%m%d}"))

    assert views(stage) == ({} if days else {"orders": shard})


def test_days_to_come_make_no_view_stale_and_let_no_shard_expire(stage: Stage, log: Log) -> None:
    stage.pipeline["keep_days"] = 1
    refresh_views = stage.function("refresh_views")
    today = f"orders_{_today():%Y%m%d}"
    for shard in (today, *(f"others_{_today() + ahead * DAY:%Y%m%d}" for ahead in (1, 2, 3))):
        load(stage, shard)

    refresh_views.receive(RECONCILE)

    assert [line for line in said(log, "WARNING") if "stale" in line] == []
    assert expires(stage, today) is None
    assert views(stage) == {"orders": today}


def test_a_request_for_a_table_with_days_to_come_alone_is_dead_lettered(stage: Stage, refresh_views: Function) -> None:
    load(stage, f"orders_{_today() + 2 * DAY:%Y%m%d}")

    refresh_views.receive(ORDERS)

    assert len(stage.published("dead-letters")) == 1
    assert called(stage) == ["tables.list"]


def _copy(stage: Stage, source: str, destination: str, operation: str = "COPY") -> Event:
    """Copy a table, and give the event of the job's end."""
    config = CopyJobConfig(operation_type=operation)
    job = stage.warehouse.copy_table(stage.shard(source), stage.shard(destination), job_config=config)
    return stage.events(job)[-1]


def _tell(function: Function, by: str, event: Event) -> None:
    if by == "reconcile":
        function.receive(RECONCILE)
    else:
        function.hear(*event)


def _same(event: Event) -> Event:
    return event


def _today() -> date:
    return datetime.now(UTC).date()


@contextmanager
def _storage_calls(stage: Stage) -> Iterator[list[str]]:
    """What Cloud Storage is asked for objects meanwhile. A new client asks for its bucket, too."""
    calls: list[str] = []

    def note(call: Call, answering: Answering) -> Answer:
        if f"{stage.bucket.name}/o" in call.target:
            calls.append(call.target)
        return answering(call)

    with interposed(note, stage.objects.server):
        yield calls
