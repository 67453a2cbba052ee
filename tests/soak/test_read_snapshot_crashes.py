"""Whatever step the reading of a snapshot crashes at, and whoever reads it at the same time, the redelivery ends in the same state."""

import pytest

from tests.support.cuts import cut_off, meanwhile, refused
from tests.support.snapshot import FIRST, Run, behind_the_snapshot
from tests.support.stage import Stage

MADE = (
    FIRST,
    "INSERT INTO aaa VALUES (1, 'a')",
    "CREATE TABLE t (id bigint NOT NULL, note text)",
    "INSERT INTO t VALUES (2, 'b')",
)
STEPS = 9
"""Calls that change something: the mark that the reading has begun, and for each of two tables a move, a seal, and what tells of it."""


@pytest.fixture(autouse=True)
def made(stage: Stage) -> None:
    stage.run(*MADE)
    _ = stage.admin  # cuts come between it, too


def assert_read(run: Run) -> None:
    """Hold the bucket and the topics to what is left by a reading that nothing has disturbed."""
    assert (run.rows("aaa"), run.rows("t")) == (["1,a"], ["2,b"])
    assert run.ends() == {"exported": ["aaa", "t"]}
    assert run.staged() == []
    assert {each["table"] for each in run.announced()} == {"aaa", "t"}
    assert run.stage.published("dead-letters") == []


def test_these_are_all_steps(stage: Stage) -> None:
    run = Run(stage)

    with cut_off(stage, after=100) as calls:
        run.read()

    assert calls.made == STEPS


@pytest.mark.parametrize("step", range(STEPS))
def test_a_crash_between_any_two_steps_is_made_good(stage: Stage, step: int) -> None:
    run = Run(stage)

    with cut_off(stage, after=step):
        crashed = run.read()
    status = run.read()

    assert (crashed, status) == (500, 200)
    assert_read(run)


@pytest.mark.parametrize("step", range(STEPS))
def test_what_is_read_by_two_deliveries_bears_the_name_under_which_it_was_read(stage: Stage, step: int) -> None:
    run = Run(stage)
    with cut_off(stage, after=step):
        run.read()
    stage.run("UPDATE aaa SET note = 'new'", "UPDATE t SET note = 'new'")

    run.read()

    moments: dict[str, set[bool]] = {}
    for table in ("aaa", "t"):
        moments.setdefault(run.seal(table)["snapshot"], set()).add(run.rows(table)[0].endswith("new"))
    assert all(len(each) == 1 for each in moments.values())


@pytest.mark.parametrize("call", range(1, 12))
def test_a_second_delivery_at_any_moment_of_the_first_changes_nothing(stage: Stage, call: int) -> None:
    run = Run(stage)
    statuses: list[int] = []

    with meanwhile(stage, call, lambda: statuses.append(run.read())) as calls:
        statuses.append(run.read())

    assert statuses == [200, 200]
    assert calls.made >= call
    assert_read(run)


def test_data_that_is_moved_is_sealed_without_being_read(stage: Stage) -> None:
    run = Run(stage, environ={"WAIT_BUDGET_SECONDS": "1"})
    with refused(stage, lambda call: call.verb == "POST" and b"schema_" in call.body):
        run.read()
    stage.run("DROP TABLE t, aaa")

    status = run.read()

    assert status == 200
    assert_read(run)


def test_data_that_is_staged_is_sealed_without_being_read(stage: Stage) -> None:
    run = Run(stage, environ={"WAIT_BUDGET_SECONDS": "1"})
    with refused(stage, lambda call: "/moveTo/" in call.target):
        run.read()
    stage.run("DROP TABLE t, aaa")

    status = run.read()

    assert status == 200
    assert_read(run)


def test_a_connection_that_is_lost_leaves_the_rest_to_the_next_delivery_in_another_snapshot(stage: Stage) -> None:
    run = Run(stage)
    reader = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'COPY%' AND pid <> pg_backend_pid()"
    )

    with behind_the_snapshot(stage, reader):
        lost = run.read()
    sealed = run.ends()
    status = run.read()

    assert (lost, status) == (500, 200)
    assert sealed == {}
    assert_read(run)


def test_a_database_that_is_away_hands_the_message_back(stage: Stage) -> None:
    run = Run(stage)
    stage.pipeline["host"] = "127.0.0.1:1"
    away = stage.function("read_snapshot")

    assert away.receive(run.wish, published=run.requested_at) == 500
    assert run.ends() == {}
