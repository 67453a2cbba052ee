"""A table of a snapshot that cannot be read fails alone; a message that nobody has sent, and a source that lets nobody in."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from local.server import Answer, Answering, Call
from tests.support.delivery import table_export, topic
from tests.support.interposed import interposed
from tests.support.snapshot import FIRST, Run
from tests.support.stage import Log, Stage

BEYOND = ("CREATE TABLE t (id bigint NOT NULL, at date)", "INSERT INTO t VALUES (1, '0044-03-15 BC')")
USERS = ("CREATE TABLE users (id bigint NOT NULL, note text)", "INSERT INTO users VALUES (7, 'u')")


@pytest.fixture
def failing(stage: Stage) -> Run:
    """A run one of whose tables holds a value that BigQuery cannot hold."""
    stage.pipeline["unrepresentable"] = "fail"
    stage.run(FIRST, *BEYOND, *USERS)
    return Run(stage)


def test_a_value_that_bigquery_cannot_hold_fails_its_table_and_no_other(failing: Run, log: Log) -> None:
    log()

    status = failing.read()

    assert status == 200
    assert failing.ends() == {"exported": ["aaa", "users"], "failed": ["t"]}
    assert failing.record("failed", "t")["function"] == "read_snapshot"
    assert "column at holds a value that BigQuery cannot hold" in failing.record("failed", "t")["error"]
    assert [line["severity"] for line in log() if line.get("table") == "public.t"] == ["ERROR"]
    assert failing.staged() == []


@contextmanager
def when(stage: Stage, at: bytes, do: Callable[[], object], *, has_been: bool) -> Iterator[None]:
    """Have something done when the first upload that names `at` begins, or when it has been answered."""
    todo = [do]

    def between(call: Call, answering: Answering) -> Answer:
        if not (todo and "/upload/" in call.target and at in call.body):
            return answering(call)
        todo.pop()
        answer = answering(call) if has_been else None
        do()
        return answer or answering(call)

    with interposed(between, stage.objects.server):
        yield
    assert todo == []


@pytest.mark.parametrize(
    ("at", "letters"),
    [
        pytest.param(b'snapshots/1.json"', 0, id="it has exported before the other fails"),
        pytest.param(b"/t_2", 1, id="the other fails before it has exported"),
    ],
)
def test_of_two_deliveries_at_once_that_which_can_read_a_table_counts(stage: Stage, at: bytes, letters: int) -> None:
    stage.pipeline["unrepresentable"] = "fail"
    stage.run(FIRST, *BEYOND)
    run = Run(stage)
    spoil, mend = (f"UPDATE t SET at = {value}" for value in ("'0044-03-15 BC'", "'2026-01-01'"))
    stage.run(mend)

    def beside() -> None:
        if letters:
            stage.run(spoil)
        assert run.read() == 200
        stage.run(spoil)

    with when(stage, at, beside, has_been=not letters):
        status = run.read()

    assert status == 200
    assert run.ends() == {"exported": ["aaa", "t"]}
    assert run.staged() == []
    assert len(stage.published("dead-letters")) == letters


def test_its_dead_letter_is_its_own_wish_for_an_export(stage: Stage, failing: Run) -> None:
    failing.read()

    [letter] = stage.published("dead-letters")
    manifest = stage.json(f"billing/_runs/{failing.run_id}/manifest.json")
    [entry] = [each for each in manifest["tables"] if each["table"] == "t"]
    attributes = dict(letter.attributes)
    assert json.loads(letter.data) == entry | {"snapshot": None}
    assert "BigQuery cannot hold" in attributes.pop("error")
    assert attributes == {
        "function": "read_snapshot",
        "source_topic": topic("table-exports"),
        "ordering_key": stage.pipeline["instance"],
        "message_id": failing.run_id,
        "publish_time": failing.requested_at,
    }


def test_the_replay_of_its_dead_letter_exports_it(stage: Stage, failing: Run) -> None:
    failing.read()
    [letter] = stage.published("dead-letters")
    stage.run("UPDATE t SET at = '2026-01-01'")
    export_table = stage.function("export_table")

    status = export_table.receive(
        letter.data, message_id="replay", published=stage.clock.text(), attributes=dict(letter.attributes)
    )

    assert status == 200
    assert failing.ends() == {"exported": ["aaa", "t", "users"]}
    assert failing.seal("t")["snapshot"] == stage.exports()[0]["name"]


def test_a_table_that_failed_is_not_tried_again_by_the_same_message(stage: Stage, failing: Run) -> None:
    failing.read()
    stage.published("dead-letters")

    failing.read()

    assert stage.published("dead-letters") == []


def test_a_replay_of_the_snapshot_tries_it_again(stage: Stage, failing: Run) -> None:
    failing.read()
    stage.run("UPDATE t SET at = '2026-01-01'")

    failing.read(attributes={"message_id": "1", "publish_time": failing.requested_at})

    assert failing.ends() == {"exported": ["aaa", "t", "users"]}


def test_rows_that_cannot_be_read_fail_their_table_after_some_tries(stage: Stage) -> None:
    virtual = "CREATE TABLE t (id bigint NOT NULL, v bigint GENERATED ALWAYS AS (1 / (id - 1)) VIRTUAL)"
    stage.run(FIRST, virtual, "INSERT INTO t VALUES (1)", *USERS)
    run = Run(stage)

    status = run.read()

    assert status == 200
    assert run.ends() == {"exported": ["aaa", "users"], "failed": ["t"]}
    assert "division by zero" in run.record("failed", "t")["error"]


@pytest.mark.parametrize(
    "changes",
    [
        {"requested_at": "2026-01-15T02:00:01Z"},
        {"shard_date": "2026-01-14"},
        {"replace": False},
        {"snapshot": 2},
        {"run_id": "9999"},
    ],
    ids=str,
)
def test_a_message_that_differs_from_the_runs_record_is_dead_with_nothing_done(
    stage: Stage, changes: dict[str, Any]
) -> None:
    stage.run(*USERS)
    run = Run(stage)
    before = stage.files()

    status = run.function.receive(run.wish | changes, published=run.requested_at)

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert json.loads(letter.data) == run.wish | changes
    assert letter.attributes["function"] == "read_snapshot"
    assert stage.files() == before


@pytest.mark.parametrize(
    "changes", [{"snapshot": None}, {"snapshot": "1"}, {"tables": ["users"]}, {"pipeline": "x"}], ids=str
)
def test_a_message_of_another_form_is_dead(stage: Stage, changes: dict[str, Any]) -> None:
    stage.run(*USERS)
    run = Run(stage)

    run.function.receive(run.wish | changes, published=run.requested_at)

    assert len(stage.published("dead-letters")) == 1
    assert run.ends() == {}


def test_a_user_who_is_let_in_nowhere_is_denied_four_times_and_then_all_tables_fail(stage: Stage) -> None:
    stage.run(FIRST, *USERS)
    run = Run(stage)
    stage.pipeline["user"] = "nobody"
    run.function = stage.function("read_snapshot")

    statuses = [run.read(attempt=attempt) for attempt in range(1, 6)]

    [letter] = stage.published("dead-letters")
    assert statuses == [503, 503, 503, 503, 200]
    assert letter.attributes["source_topic"] == topic("snapshots")
    assert run.ends() == {"failed": ["aaa", "users"]}
    assert "nobody" in run.record("failed", "users")["error"]


def test_the_replay_of_a_snapshot_that_was_denied_reads_it(stage: Stage) -> None:
    stage.run(FIRST, *USERS)
    run = Run(stage)
    stage.pipeline["user"] = "nobody"
    stage.function("read_snapshot").receive(run.wish, published=run.requested_at, attempt=5)
    [letter] = stage.published("dead-letters")
    stage.pipeline["user"] = stage.postgres.user

    status = stage.function("read_snapshot").receive(
        letter.data, message_id="2", published=stage.clock.text(), attributes=dict(letter.attributes)
    )

    assert status == 200
    assert run.ends() == {"exported": ["aaa", "users"]}


def test_a_late_snapshot_of_a_day_that_is_past_only_fills_gaps(stage: Stage) -> None:
    stage.run(FIRST, *USERS)
    day = "2026-01-10"
    stamped = day.replace("-", "")
    stage.create_shard(f"aaa_{stamped}")
    run = Run(stage, day=day)
    stage.bigquery.calls.clear()

    status = run.read()

    assert status == 200
    assert run.ends() == {"exported": ["users"], "skipped": ["aaa"]}
    assert [name for name, _ in stage.bigquery.calls] == ["bigquery.tables.list"]


def test_a_snapshot_of_a_day_that_is_past_leaves_what_is_sealed(stage: Stage) -> None:
    stage.run(FIRST, *USERS)
    Run(stage, day="2026-01-10").read()
    stage.run("UPDATE users SET note = 'new'")
    later = Run(stage, day="2026-01-10", number=2)

    later.read()

    assert later.rows("users") == ["7,u"]
    assert later.ends() == {"skipped": ["aaa", "users"]}
    assert later.staged() == []


def test_a_pair_of_another_format_is_replaced_and_its_data_deleted(stage: Stage) -> None:
    stage.run(*USERS)
    stage.pipeline["format"] = "ndjson"
    Run(stage).read()
    stage.pipeline["format"] = "csv"
    later = Run(stage, number=2)

    later.read()

    assert later.rows("users") == ["7,u"]
    assert [name for name in stage.files() if "data_" in name] == [f"billing/users/data_{later.stamp}.csv"]


def test_an_earlier_run_of_another_format_that_comes_late_leaves_no_data(stage: Stage) -> None:
    stage.run(*USERS)
    stage.pipeline["format"] = "ndjson"
    earlier = Run(stage)
    stage.pipeline["format"] = "csv"
    later = Run(stage, number=2)
    later.read()

    earlier.read()

    assert later.rows("users") == ["7,u"]
    assert earlier.ends() == {"skipped": ["users"]}
    assert [name for name in stage.files() if "data_" in name] == [f"billing/users/data_{later.stamp}.csv"]


def test_data_of_a_later_run_that_is_not_sealed_yet_is_left_to_it(stage: Stage) -> None:
    stage.run(*USERS)
    earlier, later = Run(stage), Run(stage, number=2)
    blob = stage.bucket.blob(f"billing/users/data_{later.stamp}.csv")
    blob.metadata = {
        "run_id": later.run_id,
        "requested_at": later.requested_at,
        "exported_at": later.requested_at,
        "seconds": "0",
        "snapshot": "s",
    }
    blob.upload_from_string("9,moved\n")

    earlier.read()
    later.read()

    assert earlier.ends() == {"skipped": ["users"]}
    assert later.rows("users") == ["9,moved"]


def test_an_export_of_the_new_description_does_not_seal_data_of_the_first(stage: Stage) -> None:
    export = table_export(run_id="9913")
    again = table_export(run_id="9913", columns=[export["columns"][0]])
    stage.run("CREATE TABLE orders (id bigint NOT NULL)", "INSERT INTO orders VALUES (1)")
    stage.begin_run(export)
    stage.put("billing/_runs/9913/relisted/orders.json", whole(again))
    blob = stage.bucket.blob("billing/orders/data_20260115.csv")
    blob.metadata = {"run_id": "9913", "exported_at": "2026-01-15T02:00:00Z", "seconds": "0", "snapshot": "s"}
    blob.upload_from_string("1,of the first\n")

    status = stage.function("export_table").receive(whole(again))

    assert status == 200
    assert stage.content("billing/orders/data_20260115.csv") == "1\n"


def whole(export: dict[str, Any]) -> dict[str, Any]:
    return export | {
        "comment": None,
        "format": "csv",
        "only": False,
        "server_major": None,
        "run_tables": None,
        "snapshot": None,
    }
