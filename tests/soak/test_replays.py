"""What a message that comes late may still replace: its rows are those of now, and the day that it is for may be past."""

import json
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from local.pubsub.requests import Pb, Rejected
from tests.support.cuts import cut_off
from tests.support.delivery import REQUESTED, Function, table_export, topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage

SCHEMA = "billing/orders/schema_20260115.json"
DATA = "billing/orders/data_20260115.csv"
OLD = {"run_id": "9000", "requested_at": "2026-01-15T01:00:00Z"}
ORIGIN = {"message_id": "9912", "publish_time": REQUESTED}
NEXT_DAY = "2026-01-16T00:30:00Z"
REQUEST = {"pipeline": "billing"}


@pytest.fixture(autouse=True)
def orders(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id bigint NOT NULL, note text)", "INSERT INTO orders VALUES (1, 'old')")


@pytest.fixture
def list_tables(stage: Stage) -> Function:
    return stage.function("list_tables")


@pytest.fixture
def export_table(stage: Stage) -> Function:
    """It asks for new descriptions on the topic of exports, which these tests look at."""
    return stage.function("export_table", MIRROR_REQUESTS_TOPIC=topic("table-exports"))


@pytest.fixture
def standing(stage: Stage, export_table: Function) -> str:
    """What a run of the day has made of the table, before its rows change."""
    export_table.receive(table_export(**OLD))
    stage.published("table-exported")
    stage.run("UPDATE orders SET note = 'of now'")
    return stage.content(SCHEMA)


def _refused(_name: str, _request: Pb, _procedure: Callable[[Pb], Pb]) -> Pb:
    raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "no publisher")


def asked(stage: Stage) -> tuple[dict[str, Any], dict[str, str]]:
    """The one message that has been published on `table-exports`, and its attributes."""
    [message] = stage.published("table-exports")
    return json.loads(message.data), dict(message.attributes)


def announced(stage: Stage) -> list[bool]:
    """Whether what has been announced is to replace a shard."""
    return [json.loads(message.data)["replace"] for message in stage.published("table-exported")]


@pytest.mark.parametrize(
    ("now", "replace"),
    [("2026-01-15T23:59:00Z", True), (NEXT_DAY, False), ("2026-02-09T00:00:00Z", False)],
    ids=["the same day", "the next day", "weeks later"],
)
def test_a_request_that_is_replayed_is_judged_by_the_day_of_now(
    stage: Stage, list_tables: Function, now: str, replace: bool
) -> None:
    stage.clock.put(now)

    status = list_tables.receive(REQUEST, message_id="10000", published=now, attributes=ORIGIN)

    export, _ = asked(stage)
    assert status == 200
    assert (export["run_id"], export["shard_date"], export["replace"]) == ("9912", "2026-01-15", replace)


@pytest.mark.parametrize(
    ("now", "replace"),
    [(NEXT_DAY, True), ("2026-01-16T01:59:00Z", True), ("2026-01-16T03:00:00Z", False)],
    ids=["past midnight", "hardly a day late", "25 hours late"],
)
def test_a_request_that_is_delivered_late_is_judged_by_how_late(
    stage: Stage, list_tables: Function, now: str, replace: bool
) -> None:
    stage.clock.put(now)

    list_tables.receive(REQUEST)

    assert asked(stage)[0]["replace"] is replace


def test_the_day_of_now_is_that_of_the_pipeline(stage: Stage) -> None:
    stage.pipeline["time_zone"] = "America/Los_Angeles"
    list_tables = stage.function("list_tables")
    stage.clock.put("2026-01-15T07:00:00Z")  # which is the evening before there, as it was at the request

    list_tables.receive(REQUEST, message_id="10000", published="2026-01-15T07:00:00Z", attributes=ORIGIN)

    export, _ = asked(stage)
    assert (export["shard_date"], export["replace"]) == ("2026-01-14", True)


@pytest.mark.parametrize("attributes", [ORIGIN, {"publish_time": REQUESTED}], ids=["a dead letter's", "by hand"])
def test_an_export_that_is_replayed_another_day_replaces_nothing(
    stage: Stage, log: Log, export_table: Function, standing: str, attributes: dict[str, str]
) -> None:
    stage.clock.put(NEXT_DAY)
    log()

    status = export_table.receive(table_export(), published=NEXT_DAY, attributes=attributes)

    [line] = log()
    assert status == 200
    assert stage.content(SCHEMA) == standing
    assert stage.content(DATA) == "1,old\n"
    assert announced(stage) == []
    assert (line["outcome"], line["severity"]) == ("skipped", "WARNING")
    assert '"replace": true' in line["message"]


def test_an_export_that_is_replayed_another_day_fills_a_gap(stage: Stage, export_table: Function) -> None:
    stage.clock.put("2026-02-09T00:00:00Z")

    export_table.receive(table_export(), published="2026-02-09T00:00:00Z", attributes=ORIGIN)

    assert stage.json(SCHEMA)["run_id"] == "9912"
    assert announced(stage) == [False]


def test_a_shard_whose_files_have_expired_is_no_gap(stage: Stage, export_table: Function) -> None:
    stage.create_shard("orders_20260115")
    stage.clock.put("2026-02-09T00:00:00Z")

    export_table.receive(table_export(), published="2026-02-09T00:00:00Z", attributes=ORIGIN)

    assert SCHEMA not in stage.files()
    assert stage.exports() == []
    assert announced(stage) == []


@pytest.mark.usefixtures("standing")
def test_an_export_that_is_replayed_on_its_day_replaces(stage: Stage, export_table: Function) -> None:
    export_table.receive(table_export(), published=stage.clock.text(), attributes=ORIGIN)

    assert stage.content(DATA) == "1,of now\n"
    assert announced(stage) == [True]


@pytest.mark.usefixtures("standing")
@pytest.mark.parametrize(
    ("now", "content"),
    [(NEXT_DAY, "1,of now\n"), ("2026-01-16T03:00:00Z", "1,old\n")],
    ids=["past midnight", "25 hours after the request"],
)
def test_an_export_of_a_run_in_progress_replaces_for_a_day(
    stage: Stage, export_table: Function, now: str, content: str
) -> None:
    stage.clock.put(now)

    export_table.receive(table_export(), published=now)

    assert stage.content(DATA) == content


@pytest.mark.usefixtures("standing")
def test_a_run_that_passes_midnight_replaces(stage: Stage, list_tables: Function, export_table: Function) -> None:
    stage.clock.put("2026-01-16T00:00:05Z")
    list_tables.receive(REQUEST, published="2026-01-15T23:59:55Z")
    export, attributes = asked(stage)
    stage.clock.pass_time(hours=9)

    export_table.receive(export, published="2026-01-16T00:00:06Z", attributes=attributes)

    assert stage.content(DATA) == "1,of now\n"


@pytest.mark.usefixtures("standing")
def test_a_backfill_that_says_replace_says_it_in_its_replays_too(
    stage: Stage, list_tables: Function, export_table: Function
) -> None:
    request = {"pipeline": "billing", "shard_date": "2026-01-15", "replace": True}
    origin = {"message_id": "9912", "publish_time": "2026-01-20T02:00:00Z"}
    stage.clock.put("2026-01-25T02:00:00Z")
    list_tables.receive(request, message_id="10000", published=stage.clock.text(), attributes=origin)
    export, _ = asked(stage)
    stage.clock.pass_time(days=5)

    export_table.receive(export, message_id="10001", published=stage.clock.text(), attributes=origin)

    assert (export["replace"], export["replace_asked"]) == (True, True)
    assert stage.content(DATA) == "1,of now\n"
    assert announced(stage) == [True]


def test_a_request_that_does_not_say_replace_leaves_it_out(stage: Stage, list_tables: Function) -> None:
    list_tables.receive(REQUEST)

    assert "replace_asked" not in asked(stage)[0]


def test_a_run_that_is_replayed_another_day_asks_for_exports_that_are_as_late(
    stage: Stage, list_tables: Function, export_table: Function, standing: str
) -> None:
    """Its manifest says `replace` since it began."""
    list_tables.receive(REQUEST)
    asked(stage)
    stage.clock.put(NEXT_DAY)

    list_tables.receive(REQUEST, message_id="10000", published=NEXT_DAY, attributes=ORIGIN)
    export, attributes = asked(stage)
    export_table.receive(export, message_id="10001", published=NEXT_DAY, attributes=attributes)

    assert export == stage.json("billing/_runs/9912/manifest.json")["tables"][0]
    assert stage.content(SCHEMA) == standing
    assert announced(stage) == []


@pytest.mark.parametrize(("attributes", "replaced"), [(ORIGIN, False), ({}, True)], ids=["replay", "run in progress"])
def test_a_table_that_is_described_again_is_as_late_as_what_asked_for_it(
    stage: Stage, list_tables: Function, export_table: Function, attributes: dict[str, str], replaced: bool
) -> None:
    list_tables.receive(REQUEST)
    export, _ = asked(stage)
    stage.run("ALTER TABLE orders DROP COLUMN note")
    stage.clock.put(NEXT_DAY)
    export_table.receive(export, published=NEXT_DAY, attributes=attributes)
    relist, of_relist = asked(stage)
    list_tables.receive(relist, message_id="10001", published=NEXT_DAY, attributes=of_relist)
    described, of_described = asked(stage)
    export_table.receive(table_export(**OLD, columns=described["columns"]))
    stage.run("UPDATE orders SET id = 2")
    stage.published("table-exported")

    export_table.receive(described, message_id="10002", published=NEXT_DAY, attributes=of_described)

    assert relist["relist"]
    assert stage.content(DATA) == ("2\n" if replaced else "1\n")
    assert announced(stage) == ([True] if replaced else [])


@pytest.mark.usefixtures("standing")
def test_a_pair_that_was_half_replaced_in_time_is_finished_when_it_is_late(
    stage: Stage, export_table: Function
) -> None:
    for after in range(20):  # an export has fewer calls that change something
        with cut_off(stage, after):
            export_table.receive(table_export())
        if stage.content(DATA) == "1,of now\n":
            break
    assert stage.json(SCHEMA)["run_id"] == "9000"
    stage.clock.put("2026-01-16T03:00:00Z")

    export_table.receive(table_export())

    sealed = stage.json(SCHEMA)
    assert (sealed["run_id"], sealed["data_generation"]) == ("9912", stage.bucket.get_blob(DATA).generation)


@pytest.mark.usefixtures("standing")
def test_an_announcement_that_was_lost_on_its_day_replaces_when_it_is_made_good(
    stage: Stage, export_table: Function
) -> None:
    with interposed(_refused, stage.pubsub):
        export_table.receive(table_export())
    assert stage.json(SCHEMA)["run_id"] == "9912"
    assert announced(stage) == []
    stage.clock.put(NEXT_DAY)

    export_table.receive(table_export(), message_id="10000", published=NEXT_DAY, attributes=ORIGIN)

    assert stage.content(DATA) == "1,of now\n"
    assert announced(stage) == [True]


@pytest.mark.parametrize("function", ["list_tables", "refresh_views"])
@pytest.mark.parametrize("attribute", ["publish_time", "CloudPubSubDeadLetterSourceTopicPublishTime"])
def test_an_origin_that_is_later_than_the_message_is_refused(stage: Stage, function: str, attribute: str) -> None:
    hears = stage.function(function)

    status = hears.receive(REQUEST, attributes={attribute: "2026-01-15T02:00:01Z"})

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "2026-01-15T02:00:01Z" in letter.attributes["error"]
    assert stage.published("table-exports") == []
    assert stage.files() == []
