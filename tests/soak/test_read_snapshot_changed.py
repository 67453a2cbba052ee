"""Tables that change between their listing, the snapshot and their reading: all rows, or a new description, and never half."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from threading import Thread
from typing import Any

import pytest

from local.server import Call
from tests.support.cuts import refused
from tests.support.delivery import topic
from tests.support.snapshot import FIRST, Run, behind_the_snapshot
from tests.support.stage import Log, Stage, wait_for
from tests.support.standins import DATABASE

PLAIN = ("CREATE TABLE t (id bigint NOT NULL, note text)", "INSERT INTO t VALUES (7, 'old')")
FILL = "INSERT INTO t SELECT n, 'new' FROM generate_series(1, 3) AS n"
PARTITIONED = (
    "CREATE TABLE t (id bigint NOT NULL, note text) PARTITION BY RANGE (id)",
    "CREATE TABLE part PARTITION OF t DEFAULT",
    "INSERT INTO t VALUES (7, 'old')",
)
NEW = ["1,new", "2,new", "3,new"]
REPLACED = {
    "refilled": (PLAIN, ("TRUNCATE t", FILL)),
    "made again": (PLAIN, ("DROP TABLE t", "CREATE TABLE t (id bigint NOT NULL, note text)", FILL)),
    "swapped": (
        PLAIN,
        (
            "CREATE TABLE new (LIKE t)",
            "ALTER TABLE t RENAME TO old",
            "ALTER TABLE new RENAME TO t",
            FILL,
            "DROP TABLE old",
        ),
    ),
    "swapped for one that was filled in part": (
        (*PLAIN, "CREATE TABLE new (LIKE t)", "INSERT INTO new VALUES (1, 'new')"),
        (
            "INSERT INTO new VALUES (2, 'new'), (3, 'new')",
            "ALTER TABLE t RENAME TO old",
            "ALTER TABLE new RENAME TO t",
        ),
    ),
    "rewritten": (PLAIN, ("DELETE FROM t", FILL, "ALTER TABLE t ALTER COLUMN note TYPE text USING note || ''")),
    "partition refilled": (PARTITIONED, ("TRUNCATE part", FILL)),
    "partition made again": (PARTITIONED, ("DROP TABLE part", "CREATE TABLE part PARTITION OF t DEFAULT", FILL)),
}
ALTERED = {
    "a column dropped": ("ALTER TABLE t DROP COLUMN note",),
    "a column renamed": ("ALTER TABLE t RENAME COLUMN note TO remark",),
    "another type": ("ALTER TABLE t ALTER COLUMN id TYPE text",),
    "dropped": ("DROP TABLE t",),
    "a view in its place": ("ALTER TABLE t RENAME TO u", "CREATE VIEW t AS SELECT * FROM u"),
    "a right lost": ("REVOKE SELECT ON t FROM reader",),
    "row-level security": ("ALTER TABLE t ENABLE ROW LEVEL SECURITY",),
}


@pytest.fixture
def reader(stage: Stage) -> Iterator[None]:
    """The mirror's user is none that may read everything."""
    stage.run("CREATE ROLE reader LOGIN", "GRANT USAGE ON SCHEMA public TO reader")
    stage.run("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader")
    stage.pipeline["user"] = "reader"
    yield
    stage.run("ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM reader")
    stage.run("DROP OWNED BY reader", "DROP ROLE reader")


@contextmanager
def locked(stage: Stage, table: str) -> Iterator[Any]:
    """Somebody holds a table."""
    with closing(stage.postgres.connect(DATABASE)) as holder:
        holder.run("BEGIN")
        holder.run(f"LOCK TABLE {table}")
        yield holder
        holder.run("COMMIT")


@pytest.mark.parametrize(("made", "statements"), REPLACED.values(), ids=REPLACED.keys())
def test_a_table_that_is_replaced_behind_the_snapshot_is_read_again_with_all_its_rows(
    stage: Stage, made: Sequence[str], statements: Sequence[str]
) -> None:
    stage.run(FIRST, *made, "CREATE TABLE users (id bigint NOT NULL, note text)", "INSERT INTO users VALUES (7, 'u')")
    run = Run(stage)

    with behind_the_snapshot(stage, *statements):
        status = run.read()

    assert status == 200
    assert run.rows("t") == NEW
    assert run.seal("aaa")["snapshot"] == run.seal("users")["snapshot"] != run.seal("t")["snapshot"]
    assert run.seal("users")["exported_at"] < run.seal("t")["exported_at"]


def test_no_lock_outlives_the_reading_of_its_own_table(stage: Stage) -> None:
    stage.run("CREATE TABLE a (id bigint NOT NULL, note text)", FIRST, "CREATE TABLE held (relation text)")
    run = Run(stage)
    held = (
        "INSERT INTO held SELECT relation::regclass FROM pg_locks JOIN pg_stat_activity USING (pid) "
        "WHERE query LIKE 'COPY%' AND relation::regclass::text IN ('a', 'aaa')"
    )

    with behind_the_snapshot(stage, held):
        run.read()

    assert stage.database.run("SELECT DISTINCT relation FROM held") == [["aaa"]]


def test_no_lock_is_held_while_the_rows_of_a_table_that_is_read_again_are_uploaded(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage)
    held: list[Any] = []
    with closing(stage.postgres.connect(DATABASE)) as watcher:

        def look(call: Call) -> bool:
            if "uploadType=resumable" in call.target:
                held.extend(
                    watcher.run(
                        "SELECT state FROM pg_locks JOIN pg_stat_activity USING (pid) "
                        "WHERE relation = 't'::regclass AND query NOT LIKE 'COPY%' AND pid <> pg_backend_pid()"
                    )
                )
            return False

        refill = "INSERT INTO t SELECT n, repeat(md5(n::text), 30) FROM generate_series(1, 3000) AS n"
        with behind_the_snapshot(stage, "TRUNCATE t", refill), refused(stage, look):
            run.read()

    assert len(run.rows("t")) == 3000
    assert held == []


def test_rows_that_come_behind_the_snapshot_are_not_read(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage)

    with behind_the_snapshot(stage, FILL, "UPDATE t SET note = 'late'"):
        run.read()

    assert run.rows("t") == ["7,old"]


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("when", ["before", "behind"])
@pytest.mark.parametrize("statements", ALTERED.values(), ids=ALTERED.keys())
def test_a_table_that_is_not_as_it_was_listed_is_described_again(
    stage: Stage, log: Log, when: str, statements: Sequence[str]
) -> None:
    stage.run(FIRST, *PLAIN, "CREATE TABLE users (id bigint NOT NULL, note text)")
    run = Run(stage, environ={"MIRROR_REQUESTS_TOPIC": topic("table-exports")})
    log()

    if when == "before":
        stage.run(*statements)
        status = run.read()
    else:
        with behind_the_snapshot(stage, *statements):
            status = run.read()

    [request] = [json.loads(message.data) for message in stage.published("table-exports")]
    assert status == 200
    assert (request["tables"], request["relist"]) == ([{"schema": "public", "table": "t"}], True)
    assert run.ends() == {"exported": ["aaa", "users"]}
    assert [line["outcome"] for line in log() if line.get("table") == "public.t"] == ["waiting"]
    assert run.staged() == []


def test_a_table_that_has_grown_too_large_is_described_again_and_the_others_are_read(stage: Stage) -> None:
    stage.run(FIRST, "CREATE TABLE t (id bigint NOT NULL, note text)")
    stage.run("CREATE TABLE users (id bigint NOT NULL, note text)", "INSERT INTO users VALUES (7, 'u')")
    run = Run(stage, environ={"MIRROR_REQUESTS_TOPIC": topic("table-exports")})
    stage.run("INSERT INTO t SELECT n, repeat('x', 1048576) FROM generate_series(1, 30) AS n")
    stage.started["read_snapshot"].work_with(most_bytes=20 * 2**20)

    status = run.read()

    [request] = [json.loads(message.data) for message in stage.published("table-exports")]
    assert status == 200
    assert request["tables"] == [{"schema": "public", "table": "t"}]
    assert run.ends() == {"exported": ["aaa", "users"]}
    assert run.seal("aaa")["snapshot"] == run.seal("users")["snapshot"]
    assert run.staged() == []


def test_a_table_that_nobody_can_describe_again_fails_alone(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage)
    stage.run("ALTER TABLE t DROP COLUMN note")

    status = run.read()

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert run.ends() == {"exported": ["aaa"], "failed": ["t"]}
    assert "column t.note does not exist" in run.record("failed", "t")["error"]
    assert json.loads(letter.data)["table"] == "t"


def test_a_table_that_has_been_described_again_is_left_alone(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage)
    stage.put(f"billing/_runs/{run.run_id}/relisted/t.json", {"any": "description"})

    run.read()

    assert run.ends() == {"exported": ["aaa"], "relisted": ["t"]}


def test_a_table_that_is_locked_comes_last_and_holds_up_no_other(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN, "CREATE TABLE users (id bigint NOT NULL, note text)")
    run = Run(stage)
    ends: list[dict[str, list[str]]] = []

    with locked(stage, "t") as holder:

        def let_go() -> None:
            wait_for(lambda: run.ends() == {"exported": ["aaa", "users"]}, seconds=12)
            ends.append(run.ends())
            holder.run("UPDATE t SET note = 'new'")
            holder.run("COMMIT")

        letting = Thread(target=let_go)
        letting.start()
        status = run.read()
        letting.join()

    assert status == 200
    assert ends == [{"exported": ["aaa", "users"]}]
    assert run.rows("t") == ["7,new"]


def test_a_table_that_stays_locked_is_handed_back_and_the_others_are_sealed(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage, environ={"WAIT_BUDGET_SECONDS": "1"})

    with locked(stage, "t"):
        handed_back = run.read()
    ends = run.ends()
    status = run.read()

    assert (handed_back, status) == (503, 200)
    assert ends == {"exported": ["aaa"]}
    assert run.rows("t") == ["7,old"]


def test_no_table_is_begun_once_the_wait_budget_is_spent(stage: Stage) -> None:
    stage.run(FIRST, *PLAIN)
    run = Run(stage, environ={"WAIT_BUDGET_SECONDS": "0.0001"})

    handed_back = run.read()

    assert handed_back == 503
    assert run.ends() == {}


def test_a_table_is_read_without_the_rows_of_those_that_inherit_from_it(stage: Stage) -> None:
    stage.run(*PLAIN, "CREATE TABLE child () INHERITS (t)", "INSERT INTO child VALUES (8, 'c')")
    run = Run(stage)

    run.read()

    assert (run.rows("t"), run.rows("child")) == (["7,old"], ["8,c"])


def test_a_partitioned_table_is_read_with_all_its_partitions(stage: Stage) -> None:
    stage.run(*PARTITIONED, "CREATE TABLE second PARTITION OF t FOR VALUES FROM (1) TO (5)", FILL)
    run = Run(stage)

    run.read()

    assert run.rows("t") == [*NEW, "7,old"]


def test_a_session_that_is_set_otherwise_reads_the_same(stage: Stage) -> None:
    stage.run(FIRST, "INSERT INTO aaa SELECT n, repeat('x', 100) FROM generate_series(1, 400000) AS n")
    settings = {
        "statement_timeout": "200ms",  # which the rows take longer than, and all that comes before does not
        "DateStyle": "German",
        "client_encoding": "LATIN1",
        "search_path": "nowhere",
    }
    for name, value in settings.items():
        stage.run(f"ALTER ROLE {stage.postgres.user} SET {name} = '{value}'")
    run = Run(stage)

    status = run.read()
    stage.run(f"ALTER ROLE {stage.postgres.user} RESET ALL")

    assert status == 200
    assert len(run.rows("aaa")) == 400_000
