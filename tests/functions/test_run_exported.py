"""A run is announced as complete when the last of its tables has settled: once, whatever happens at that moment."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import grpc
import pytest

from local.pubsub.requests import Pb, Rejected
from local.server import Answer, Answering, Call
from shared import times
from tests.support.cuts import cut_off, meanwhile
from tests.support.delivery import REQUESTED, Function, topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.views.steps import pass_time

RUN = "billing/_runs/9912"
TABLES = ("lines", "orders", "refunds")


@pytest.fixture(autouse=True)
def announcements(stage: Stage) -> None:
    """Where they go."""
    stage.environment.setenv("RUN_EXPORTED_TOPIC", topic("run-exported"))


@pytest.fixture
def export_table(stage: Stage) -> Function:
    return stage.function("export_table")


def begin(stage: Stage, *tables: str, published: str = REQUESTED, **request: str) -> list[bytes]:
    """Have tables made and a run of them listed, as the request says, and give the messages that ask for their exports."""
    stage.run(*(f"CREATE TABLE {table} (id int, note text)" for table in tables))
    assert stage.function("list_tables").receive({"pipeline": "billing", **request}, published=published) == 200
    return [message.data for message in stage.published("table-exports")]


def changed(data: bytes, **changes: Any) -> bytes:
    """The message with other fields."""
    return json.dumps(json.loads(data) | changes).encode()


def announced(stage: Stage) -> list[dict[str, Any]]:
    """What has been published on `run-exported` since the last look."""
    return [json.loads(message.data) for message in stage.published("run-exported")]


def announcement(stage: Stage, tables: tuple[str, ...] = TABLES, failed: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "run_id": "9912",
        "pipeline": "billing",
        "shard_date": "2026-01-15",
        "manifest_uri": f"gs://{stage.bucket.name}/{RUN}/manifest.json",
        "tables": sorted(tables),
        "failed": sorted(failed),
    }


def test_the_last_table_of_a_run_announces_it(stage: Stage, export_table: Function) -> None:
    exports = begin(stage, *TABLES)

    seen = []
    for data in exports:
        export_table.receive(data)
        seen.append(announced(stage))

    assert seen == [[], [], [announcement(stage)]]


def test_only_the_last_table_of_the_lane_lists_what_has_become_of_its_run(stage: Stage, export_table: Function) -> None:
    listed = []

    def note(call: Call, answering: Answering) -> Answer:
        listed.append(f"prefix={quote(RUN, '')}" in call.target)
        return answering(call)

    exports = begin(stage, *TABLES)
    seen = []

    with interposed(note, stage.objects.server):
        for data in exports:
            listed.clear()
            export_table.receive(data)
            seen.append(sum(listed))

    assert seen == [0, 0, 1]


def test_a_table_that_is_described_again_ends_the_run_that_waits_for_it(stage: Stage, export_table: Function) -> None:
    altered, *others = begin(stage, *TABLES)
    for data in others:
        export_table.receive(data)
    assert announced(stage) == []

    request = json.loads(altered) | {"tables": [{"schema": "public", "table": TABLES[0]}], "relist": True}
    relist = {key: request[key] for key in ("pipeline", "tables", "shard_date", "run_id", "relist")}
    stage.function("list_tables").receive(relist, message_id="relist")
    [again] = stage.published("table-exports")
    export_table.receive(again.data, attributes=dict(again.attributes), message_id="again")

    assert dict(again.attributes) == {"relist": "true"}
    assert announced(stage) == [announcement(stage)]


def test_a_table_that_pubsub_gave_up_ends_its_run_when_it_is_replayed(stage: Stage, export_table: Function) -> None:
    given_up, *others = begin(stage, *TABLES)
    for data in others:
        export_table.receive(data)
    assert announced(stage) == []

    export_table.receive(given_up, attributes={"CloudPubSubDeadLetterSourceTopicPublishTime": REQUESTED})

    assert announced(stage) == [announcement(stage)]


def test_a_request_that_is_replayed_has_each_table_come_in_its_order(stage: Stage) -> None:
    stage.run("CREATE TABLE orders (id int)")
    replay = {"message_id": "9912", "publish_time": REQUESTED, "source_topic": topic("mirror-requests")}

    stage.function("list_tables").receive({"pipeline": "billing"}, attributes=replay, message_id="replay")

    [message] = stage.published("table-exports")
    assert dict(message.attributes) == {"replay": "true"}


def test_a_complete_run_that_nobody_has_announced_is_announced_by_the_next_reconcile_once(
    stage: Stage, export_table: Function
) -> None:
    """As when Pub/Sub has given up on a table before the last of the lane, and the delivery that it gave up went on."""
    late, *others = begin(stage, *TABLES, published=_ago(hours=1))
    for data in [*others, late]:
        export_table.receive(data)
    assert announced(stage) == []

    for _ in range(2):
        stage.function("refresh_views").receive({"pipeline": "billing"})

    assert [said["tables"] for said in announced(stage)] == [list(TABLES)]


def test_the_reconcile_leaves_a_claim_to_its_claimant_for_a_day(stage: Stage, export_table: Function) -> None:
    [data] = begin(stage, "orders", published=_ago(hours=23))
    with interposed(_refuse_announcements, stage.pubsub):
        export_table.receive(data)

    stage.function("refresh_views").receive({"pipeline": "billing"})

    assert announced(stage) == []


def test_nobody_is_told_where_there_is_no_such_topic(stage: Stage) -> None:
    stage.environment.delenv("RUN_EXPORTED_TOPIC")
    [data] = begin(stage, "orders")

    status = stage.function("export_table").receive(data)

    assert (status, announced(stage)) == (200, [])
    assert f"{RUN}/run_exported.json" not in stage.files()


@pytest.mark.parametrize("gone", range(3))
def test_a_table_that_can_never_be_exported_is_named_under_failed(
    stage: Stage, export_table: Function, gone: int
) -> None:
    exports = begin(stage, *TABLES)
    stage.run(f"DROP TABLE {TABLES[gone]}")

    statuses = [export_table.receive(data) for data in exports]

    left = tuple(table for table in TABLES if table != TABLES[gone])
    assert statuses == [200, 200, 200]
    assert announced(stage) == [announcement(stage, left, (TABLES[gone],))]
    assert len(stage.published("dead-letters")) == 1


def test_a_table_whose_export_fails_again_and_again_is_named_under_failed(stage: Stage, export_table: Function) -> None:
    [data] = begin(stage, "orders")
    stage.fail_exports("billing/_staging/9912/orders_20260115.csv", times=5)

    export_table.receive(data)

    assert announced(stage) == [announcement(stage, (), ("orders",))]


def test_a_run_of_tables_that_are_all_refused_is_announced_by_its_listing(stage: Stage) -> None:
    exports = begin(stage, '"Refund Log"', '"Refund-Log"')

    assert exports == []
    [said] = announced(stage)
    assert (said["tables"], len(said["failed"])) == ([], 1)


def test_a_table_that_is_refused_at_the_listing_is_named_under_failed(stage: Stage, export_table: Function) -> None:
    [data] = begin(stage, '"Refund Log"', '"Refund-Log"', "orders")

    export_table.receive(data)

    [said] = announced(stage)
    assert (said["tables"], said["failed"]) == (["orders"], ["Refund_Log"])


def test_a_table_that_is_skipped_holds_nothing_up_and_is_not_named(stage: Stage, export_table: Function) -> None:
    exports = begin(stage, *TABLES, shard_date="2026-01-14")
    earlier = changed(exports[0], run_id="earlier", requested_at="2026-01-15T01:00:00Z")
    export_table.receive(json.loads(earlier))

    for data in exports:
        export_table.receive(data)

    assert f"{RUN}/skipped/{TABLES[0]}.json" in stage.files()
    assert announced(stage) == [announcement(stage, TABLES[1:]) | {"shard_date": "2026-01-14"}]


def test_redelivered_messages_announce_nothing_again(stage: Stage, export_table: Function) -> None:
    exports = begin(stage, *TABLES)

    for data in exports * 3:
        assert export_table.receive(data) == 200

    assert announced(stage) == [announcement(stage)]


def test_a_replay_that_makes_a_failed_table_good_announces_nothing_again(stage: Stage, export_table: Function) -> None:
    exports = begin(stage, "lines", "orders")
    stage.run("DROP TABLE orders")
    for data in exports:
        export_table.receive(data)
    stage.run("CREATE TABLE orders (id int, note text)")
    [letter] = stage.published("dead-letters")

    export_table.receive(letter.data, attributes=dict(letter.attributes), message_id="replay")

    assert announced(stage) == [announcement(stage, ("lines",), ("orders",))]


@pytest.mark.soak
@pytest.mark.parametrize("back", range(12))
def test_two_last_tables_at_the_same_moment_announce_once(stage: Stage, export_table: Function, back: int) -> None:
    """The one is exported from beginning to end while a late call of the other one's is on its way."""
    late = calls_of_a_last_table(stage, export_table) - back
    [first, second] = begin(stage, "lines", "orders")

    with meanwhile(stage, at=late, work=lambda: export_table.receive(second)):
        export_table.receive(first)
    said = announced(stage)
    export_table.receive(second)

    assert [*said, *announced(stage)] == [announcement(stage, ("lines", "orders"))]


def calls_of_a_last_table(stage: Stage, export_table: Function) -> int:
    """How many calls an export makes that is all of its run."""
    stage.run("CREATE TABLE alone (id int, note text)")
    stage.function("list_tables").receive({"pipeline": "billing"}, message_id="alone")
    [message] = stage.published("table-exports")
    with meanwhile(stage, at=0, work=list) as calls:
        export_table.receive(message.data)
    stage.run("DROP TABLE alone")
    assert len(announced(stage)) == 1
    return calls.made


@pytest.mark.parametrize("step", range(10))
def test_a_crash_between_any_two_steps_of_the_last_table_loses_no_announcement(
    stage: Stage, export_table: Function, step: int
) -> None:
    [data] = begin(stage, "orders")

    with cut_off(stage, after=step) as calls:
        export_table.receive(data)
    status = export_table.receive(data)

    said = announced(stage)
    assert status == 200
    assert calls.made >= min(step, 9)
    assert said in ([announcement(stage, ("orders",))], [announcement(stage, ("orders",))] * 2)


def test_these_are_all_steps(stage: Stage, export_table: Function) -> None:
    [data] = begin(stage, "orders")

    with cut_off(stage, after=100) as calls:
        export_table.receive(data)

    assert calls.made == 9


def test_a_crash_between_the_claim_and_the_announcement_is_made_good_by_the_redelivery(
    stage: Stage, export_table: Function
) -> None:
    [data] = begin(stage, "orders")
    with interposed(_refuse_announcements, stage.pubsub):
        crashed = export_table.receive(data)
    claimed = stage.json(f"{RUN}/run_exported.json")

    status = export_table.receive(data)

    assert (crashed, claimed["announced"], status) == (500, False, 200)
    assert announced(stage) == [announcement(stage, ("orders",))]


def test_a_claim_whose_answer_is_lost_is_still_ones_own(stage: Stage, export_table: Function) -> None:
    """The storage client may write again, and find its own first try; what is answered with success never comes again."""
    [data] = begin(stage, "orders")
    lost: list[int] = []

    def lose(call: Call, answering: Answering) -> Answer:
        answer = answering(call)
        if call.verb == "POST" and b"run_exported.json" in call.body and not lost:
            lost.append(answer.status)
            return Answer(HTTPStatus.SERVICE_UNAVAILABLE)
        return answer

    with interposed(lose, stage.objects.server):
        while export_table.receive(data) != HTTPStatus.OK:
            pass

    assert lost == [200]
    assert announced(stage) == [announcement(stage, ("orders",))]


def test_a_run_whose_claimant_never_comes_back_is_announced_by_the_reconcile(
    stage: Stage, export_table: Function
) -> None:
    """Pub/Sub gives up on a message after so many deliveries, and the claimant's may be that one."""
    [data] = begin(stage, "orders", published=_ago(hours=1))
    with interposed(_refuse_announcements, stage.pubsub):
        export_table.receive(data)

    refresh_views = stage.function("refresh_views")
    pass_time(stage, timedelta(hours=25))
    refresh_views.receive({"pipeline": "billing"})

    assert [said["tables"] for said in announced(stage)] == [["orders"]]


def test_tables_that_are_silent_for_a_day_are_recorded_as_failed_and_end_the_run(
    stage: Stage, export_table: Function, log: Log
) -> None:
    exports = begin(stage, *TABLES, published=_ago(hours=1))
    export_table.receive(exports[0])
    log()

    refresh_views = stage.function("refresh_views")
    pass_time(stage, timedelta(hours=25))
    statuses = [refresh_views.receive({"pipeline": "billing"}) for _ in range(2)]

    [said] = announced(stage)
    assert statuses == [200, 200]
    assert (said["tables"], said["failed"]) == (["lines"], ["orders", "refunds"])
    assert "24 hours" in stage.json(f"{RUN}/failed/orders.json")["error"]


def test_tables_that_are_silent_for_less_are_waited_for(stage: Stage) -> None:
    begin(stage, *TABLES, published=_ago(hours=23))

    stage.function("refresh_views").receive({"pipeline": "billing"})

    assert announced(stage) == []
    assert not [name for name in stage.files() if "/failed/" in name]


def test_a_table_that_speaks_after_its_run_has_ended_announces_nothing_again(
    stage: Stage, export_table: Function
) -> None:
    [data] = begin(stage, "orders", published=_ago(hours=1))
    refresh_views = stage.function("refresh_views")
    pass_time(stage, timedelta(hours=25))
    refresh_views.receive({"pipeline": "billing"})
    stage.published("run-exported")

    status = export_table.receive(data)

    assert (status, announced(stage)) == (200, [])


def _ago(*, hours: float) -> str:
    return times.rfc3339(datetime.now(UTC) - timedelta(hours=hours))


def _refuse_announcements(name: str, request: Pb, procedure: Callable[[Pb], Pb]) -> Pb:
    """As where nobody may publish on `run-exported`."""
    if name == "Publish" and request.topic == topic("run-exported"):
        raise Rejected(grpc.StatusCode.PERMISSION_DENIED, "cut off")
    return procedure(request)
