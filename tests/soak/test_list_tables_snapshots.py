"""Which tables of a run are read by snapshot where its pipeline asks for that, and what is published of them."""

import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from shared.listing import snapshots
from shared.settings import SettingsError
from tests.support.delivery import REQUESTED, Function, topic
from tests.support.stage import Log, Stage
from tests.support.standins import DATABASE, INSTANCE

REQUEST = {"pipeline": "billing"}
RUN = "billing/_runs/9912"
MANIFEST = f"{RUN}/manifest.json"
WISH = {
    "run_id": "9912",
    "requested_at": REQUESTED,
    "pipeline": "billing",
    "shard_date": "2026-01-15",
    "replace": True,
    "snapshot": 1,
}


@pytest.fixture(autouse=True)
def by_snapshot(stage: Stage) -> None:
    stage.pipeline["small_tables"] = "snapshot"
    stage.environment.setenv("SNAPSHOTS_TOPIC", topic("snapshots"))


@pytest.fixture
def list_tables(stage: Stage) -> Function:
    return stage.function("list_tables")


@pytest.fixture
def mirror(stage: Stage) -> Iterator[Function]:
    """The function, as a user who owns nothing."""
    stage.run("CREATE ROLE mirror LOGIN", "GRANT USAGE ON SCHEMA public TO mirror")
    stage.pipeline["user"] = "mirror"
    yield stage.function("list_tables")
    stage.run("DROP OWNED BY mirror", "DROP ROLE mirror")


def small(*tables: str) -> list[str]:
    return [f"CREATE TABLE {table} (id int PRIMARY KEY, note text)" for table in tables]


def exported(stage: Stage) -> list[str]:
    """The tables that `table-exports` has been asked for, in order."""
    return [json.loads(message.data)["table"] for message in stage.published("table-exports")]


def wishes(stage: Stage) -> list[dict[str, Any]]:
    return [json.loads(message.data) for message in stage.published("snapshots")]


def listed(stage: Stage) -> dict[str, int | None]:
    """The number of the snapshot of each table of the run."""
    return {entry["table"]: entry["snapshot"] for entry in stage.json(MANIFEST)["tables"]}


def test_small_tables_are_one_message_without_a_lane(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders", "refunds"))

    status = list_tables.receive(REQUEST)

    [message] = stage.published("snapshots")
    assert status == 200
    assert json.loads(message.data) == WISH
    assert (message.ordering_key, dict(message.attributes)) == ("", {})
    assert listed(stage) == {"orders": 1, "refunds": 1}
    assert exported(stage) == []


def test_each_table_knows_how_many_the_run_has(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders", "refunds"), "ALTER TABLE refunds ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert [entry["run_tables"] for entry in stage.json(MANIFEST)["tables"]] == [2, 2]


def test_a_table_over_the_limit_is_exported_by_its_estimate_or_its_files(stage: Stage, list_tables: Function) -> None:
    large = "INSERT INTO {} SELECT n, repeat('x', 3000) FROM generate_series(1, 24000) AS n"
    for table in ("counted", "fresh"):
        stage.run(*small(table), f"ALTER TABLE {table} ALTER note SET STORAGE EXTERNAL", large.format(table))
    stage.run("VACUUM ANALYZE counted", *small("orders"), "ANALYZE orders")

    list_tables.receive(REQUEST)

    assert listed(stage) == {"counted": None, "fresh": None, "orders": 1}
    assert exported(stage) == ["counted", "fresh"]


def test_long_values_that_analyze_does_not_count_make_a_table_large(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders"), "ALTER TABLE orders ALTER note SET STORAGE EXTERNAL")
    stage.run("INSERT INTO orders SELECT n, repeat('x', 3000) FROM generate_series(1, 24000) AS n", "ANALYZE orders")

    list_tables.receive(REQUEST)

    assert exported(stage) == ["orders"]


def test_a_partitioned_table_is_as_large_as_all_below_it(stage: Stage, list_tables: Function) -> None:
    for name in ("heavy", "light", "bare"):
        stage.run(f"CREATE TABLE {name} (id int, note text) PARTITION BY LIST (id)")
    for name in ("heavy", "light"):
        stage.run(
            f"CREATE TABLE {name}_1 PARTITION OF {name} FOR VALUES IN (1)",
            f"CREATE TABLE {name}_2 PARTITION OF {name} DEFAULT PARTITION BY LIST (id)",
            f"CREATE TABLE {name}_3 PARTITION OF {name}_2 DEFAULT",
            f"ALTER TABLE {name} ALTER note SET STORAGE EXTERNAL",
            f"INSERT INTO {name} VALUES (1, 'x'), (2, 'y')",
        )
    stage.run("ALTER TABLE heavy_3 ALTER note SET STORAGE EXTERNAL", "VACUUM ANALYZE heavy_1")
    stage.run("INSERT INTO heavy_3 SELECT 3, repeat('x', 3000) FROM generate_series(1, 24000) AS n")

    list_tables.receive(REQUEST)

    assert listed(stage) == {"bare": 1, "heavy": None, "light": 1}


def test_what_the_user_may_not_select_is_exported(stage: Stage, mirror: Function) -> None:
    stage.run(*small("granted", "partly", "secret"), "CREATE TABLE parts (id int) PARTITION BY LIST (id)")
    stage.run("CREATE TABLE part PARTITION OF parts DEFAULT", "CREATE TABLE child () INHERITS (granted)")
    stage.run("GRANT SELECT ON granted, parts TO mirror", "GRANT SELECT (id) ON partly TO mirror")

    mirror.receive(REQUEST)

    assert listed(stage) == {"child": None, "granted": 1, "partly": None, "parts": 1, "secret": None}


def test_so_is_a_table_in_a_schema_that_the_user_may_not_use(stage: Stage, mirror: Function) -> None:
    stage.run(*small("orders"), "GRANT SELECT ON orders TO mirror", "REVOKE USAGE ON SCHEMA public FROM mirror, PUBLIC")

    mirror.receive(REQUEST)

    assert exported(stage) == ["orders"]


@pytest.mark.parametrize("is_owner", [True, False])
def test_a_table_with_policies_is_exported_even_if_they_do_not_hold_for_the_user(
    stage: Stage, mirror: Function, is_owner: bool
) -> None:
    stage.pipeline["trust_database"] = True
    mirror = stage.function("list_tables")
    stage.run(*small("orders"), "ALTER TABLE orders ENABLE ROW LEVEL SECURITY", "GRANT SELECT ON orders TO mirror")
    if is_owner:
        stage.run("ALTER TABLE orders OWNER TO mirror")

    mirror.receive(REQUEST)

    assert exported(stage) == ["orders"]
    assert wishes(stage) == []


def test_a_table_that_somebody_locks_is_exported_and_keeps_no_other_from_its_snapshot(
    stage: Stage, list_tables: Function
) -> None:
    names = [f"t{number:03}" for number in range(100)]
    stage.run(*small(*names), "ANALYZE t050", "VACUUM ANALYZE t051")
    locked = ("t007", "t050", "t099")
    with closing(stage.postgres.connect(DATABASE)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {', '.join(locked)} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()

        list_tables.receive(REQUEST)

        took = time.monotonic() - began
    assert exported(stage) == list(locked)
    assert [number for name, number in listed(stage).items() if name not in locked] == [1] * 97
    assert took < 5


def test_many_locked_tables_are_given_up_together(stage: Stage, list_tables: Function) -> None:
    names = [f"t{number:03}" for number in range(150)]
    stage.run(*small(*names), "CREATE TABLE zebra (id int)", "INSERT INTO zebra VALUES (1)", "ANALYZE zebra")
    with closing(stage.postgres.connect(DATABASE)) as other:
        other.run("BEGIN")
        other.run(f"LOCK TABLE {', '.join(names)} IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()

        status = list_tables.receive(REQUEST)

        took = time.monotonic() - began
    assert status == 200
    assert exported(stage) == names
    assert took < 10


def test_a_run_has_as_many_snapshots_as_its_tables_need(stage: Stage, list_tables: Function) -> None:
    stage.run(*(f"CREATE TABLE t{number:02} (id int)" for number in range(33)))
    pages = snapshots.LARGEST_TABLE // 8192
    stage.run(f"UPDATE pg_class SET relpages = {pages} WHERE relnamespace = 'public'::regnamespace")

    list_tables.receive(REQUEST)

    assert list(listed(stage).values()) == [1] * 16 + [2] * 16 + [3]
    assert wishes(stage) == [WISH, WISH | {"snapshot": 2}, WISH | {"snapshot": 3}]


def test_a_redelivered_request_publishes_what_the_manifest_says(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders", "refunds"), "ALTER TABLE refunds ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    list_tables = stage.function("list_tables")
    list_tables.receive(REQUEST)
    first = (wishes(stage), exported(stage))
    stage.run("ALTER TABLE refunds DISABLE ROW LEVEL SECURITY", "DROP TABLE orders", *small("more"))

    list_tables.receive(REQUEST)

    assert (wishes(stage), exported(stage)) == first == ([WISH], ["refunds"])


def test_one_that_is_delivered_when_nobody_reads_snapshots_any_more_is_exported_whole(
    stage: Stage, list_tables: Function
) -> None:
    stage.run(*small("orders"))
    list_tables.receive(REQUEST)
    wishes(stage)
    stage.pipeline["small_tables"] = "export"
    stage.environment.delenv("SNAPSHOTS_TOPIC")

    stage.function("list_tables").receive(REQUEST)

    assert exported(stage) == ["orders"]
    assert wishes(stage) == []


def test_a_replay_marks_its_wish_as_it_marks_its_exports(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders", "refunds"), "ALTER TABLE refunds ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    list_tables = stage.function("list_tables")
    origin = {"message_id": "9912", "publish_time": REQUESTED}

    list_tables.receive(REQUEST, message_id="9999", published="2026-01-15T09:00:00Z", attributes=origin)

    for name in ("snapshots", "table-exports"):
        [message] = stage.published(name)
        assert dict(message.attributes) == {"replay": "true"}


def test_a_past_day_is_only_filled_unless_the_request_says_otherwise(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders"))

    list_tables.receive(REQUEST | {"shard_date": "2026-01-10"})
    list_tables.receive(REQUEST | {"shard_date": "2026-01-11", "replace": True}, message_id="9913")

    assert [(wish["shard_date"], wish["replace"]) for wish in wishes(stage)] == [
        ("2026-01-10", False),
        ("2026-01-11", True),
    ]


def test_a_table_that_is_described_again_goes_by_itself(stage: Stage, list_tables: Function) -> None:
    stage.run(*small("orders", "refunds"))
    list_tables.receive(REQUEST)
    wishes(stage)
    stage.run("ALTER TABLE orders DROP COLUMN note")
    relist = {
        "pipeline": "billing",
        "tables": [{"schema": "public", "table": "orders"}],
        "shard_date": "2026-01-15",
        "run_id": "9912",
        "relist": True,
    }

    list_tables.receive(relist, message_id="9950")

    [message] = stage.published("table-exports")
    described = json.loads(message.data)
    assert (described["table"], described["snapshot"], described["run_tables"]) == ("orders", None, 2)
    assert message.ordering_key == INSTANCE
    assert stage.json(f"{RUN}/relisted/orders.json") == described
    assert wishes(stage) == []


def test_a_run_without_exports_is_not_complete_yet(stage: Stage) -> None:
    stage.environment.setenv("RUN_EXPORTED_TOPIC", topic("run-exported"))
    stage.run(*small("orders"))

    stage.function("list_tables").receive(REQUEST)

    assert stage.published("run-exported") == []


def test_the_log_says_how_many_go_which_way(stage: Stage, log: Log) -> None:
    stage.run(*small("orders", "refunds", "guarded"), "ALTER TABLE guarded ENABLE ROW LEVEL SECURITY")
    stage.pipeline["trust_database"] = True
    list_tables = stage.function("list_tables")

    list_tables.receive(REQUEST)

    assert log()[-1]["message"] == "1 tables of billing are to be exported, and 2 to be read by snapshot"


def test_it_does_not_start_without_the_topic_that_its_pipeline_needs(stage: Stage) -> None:
    stage.environment.delenv("SNAPSHOTS_TOPIC")

    with pytest.raises(SettingsError, match="SNAPSHOTS_TOPIC is not set, and small_tables of PIPELINES"):
        stage.function("list_tables")
