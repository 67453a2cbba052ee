"""Small tables are read over a connection, all at one moment, and arrive as if they had been exported."""

import json
from datetime import UTC, datetime

from shared import times
from tests.support.delivery import topic
from tests.support.snapshot import Run
from tests.support.stage import Log, Stage

MADE = (
    "CREATE TABLE orders (id bigint NOT NULL, note text)",
    "INSERT INTO orders VALUES (1, 'a,b'), (2, NULL)",
    "CREATE TABLE users (id bigint NOT NULL, name text)",
    "INSERT INTO users VALUES (7, 'Ünal')",
    "CREATE TABLE empty (id bigint NOT NULL, note text)",
)


def test_all_tables_are_sealed_recorded_and_announced(stage: Stage) -> None:
    stage.run(*MADE)
    run = Run(stage)

    status = run.read()

    assert status == 200
    assert (run.rows("orders"), run.rows("users"), run.rows("empty")) == (['1,"a,b"', "2,"], ["7,Ünal"], [])
    assert run.ends() == {"exported": ["empty", "orders", "users"]}
    assert sorted(each["table"] for each in run.announced()) == ["empty", "orders", "users"]
    assert run.staged() == []


def test_tables_that_are_read_at_one_moment_say_so_by_one_name(stage: Stage) -> None:
    stage.run(*MADE)
    run = Run(stage)

    run.read()

    seals = [run.seal(table) for table in ("orders", "users", "empty")]
    records = [run.record("exported", table) for table in ("orders", "users", "empty")]
    assert len({each["snapshot"] for each in [*seals, *records]}) == 1
    assert len({each["exported_at"] for each in seals}) == 1
    assert abs((times.moment(seals[0]["exported_at"]) - datetime.now(UTC)).total_seconds()) < 60


def test_two_snapshots_have_two_names(stage: Stage) -> None:
    stage.run(*MADE)
    first, names = Run(stage), set()

    first.read()
    names.add(first.seal("orders")["snapshot"])
    second = Run(stage, number=2)
    second.read()
    names.add(second.seal("orders")["snapshot"])

    assert len(names) == 2


def test_an_announcement_is_as_that_of_an_export(stage: Stage) -> None:
    stage.run(*MADE[:2])
    run = Run(stage)

    run.read()

    [announced] = run.announced()
    place = f"gs://{stage.bucket.name}/billing/orders"
    assert announced == {
        "run_id": run.run_id,
        "requested_at": run.requested_at,
        "pipeline": "billing",
        "schema": "public",
        "table": "orders",
        "shard_date": run.shard_date,
        "replace": True,
        "table_id": "orders",
        "schema_uri": f"{place}/schema_{run.stamp}.json",
        "data_uri": f"{place}/data_{run.stamp}.csv",
        "format": "csv",
    }


def test_tables_of_no_snapshot_are_left_to_their_exports(stage: Stage) -> None:
    stage.run(*MADE, "ALTER TABLE users ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    run = Run(stage)

    run.read()

    assert run.ends() == {"exported": ["empty", "orders"]}


def test_the_run_is_announced_once_when_the_snapshot_ends_it(stage: Stage) -> None:
    stage.run(*MADE)
    run = Run(stage, environ={"RUN_EXPORTED_TOPIC": topic("run-exported")})

    run.read()
    run.read()

    [announced] = stage.published("run-exported")
    assert json.loads(announced.data)["tables"] == ["empty", "orders", "users"]


def test_each_table_has_a_line_in_the_log_and_the_delivery_one(stage: Stage, log: Log) -> None:
    stage.run(*MADE)
    run = Run(stage)
    log()

    run.read()

    lines = log()
    assert sorted(line.get("table", "") for line in lines) == ["", "public.empty", "public.orders", "public.users"]
    assert {line["outcome"] for line in lines} == {"exported"}
    assert {line["function"] for line in lines} == {"read_snapshot"}


def test_a_delivery_that_comes_again_does_nothing_more(stage: Stage) -> None:
    stage.run(*MADE)
    run = Run(stage)
    run.read()
    run.announced()
    before = {table: run.seal(table) for table in ("orders", "users", "empty")}

    status = run.read()

    assert status == 200
    assert {table: run.seal(table) for table in before} == before
    assert run.announced() == []


def test_a_later_run_of_the_day_replaces_the_pairs(stage: Stage) -> None:
    stage.run(*MADE)
    Run(stage).read()
    stage.run("UPDATE users SET name = 'new'")
    later = Run(stage, number=2)

    status = later.read()

    assert status == 200
    assert later.rows("users") == ["7,new"]
    assert {later.seal(table)["run_id"] for table in ("orders", "users", "empty")} == {later.run_id}
    assert later.staged() == []


def test_an_earlier_run_that_comes_late_replaces_nothing(stage: Stage) -> None:
    stage.run(*MADE)
    earlier, later = Run(stage), Run(stage, number=2)
    later.read()
    stage.run("UPDATE users SET name = 'new'")
    before = run_files(stage)

    status = earlier.read()

    assert status == 200
    assert later.rows("users") == ["7,Ünal"]
    assert earlier.ends() == {"skipped": ["empty", "orders", "users"]}
    assert run_files(stage) == before


def run_files(stage: Stage) -> list[str]:
    """The files of the pairs, and what lies in staging."""
    return [name for name in stage.files() if "/_runs/" not in name]
