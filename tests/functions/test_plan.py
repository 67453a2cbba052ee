"""A plan says what a run would do, and does nothing."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from local.server import Answer, Answering, Call
from shared.listing import plan
from tests.cli.test_reference import SAMPLES, shape
from tests.support.delivery import REQUESTED, Function, topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage
from tests.support.standins import DATABASE

REQUEST = {"pipeline": "billing", "plan": True}
PLAN = "billing/_plans/9950.json"
ORDERS = "CREATE TABLE orders (id bigint PRIMARY KEY, note text)"
REFUNDS = "CREATE TABLE refunds (id bigint PRIMARY KEY)"


@pytest.fixture
def exporter(stage: Stage) -> Iterator[str]:
    """The role that Cloud SQL exports with."""
    stage.run("CREATE ROLE cloudsqlsuperuser")
    yield "cloudsqlsuperuser"
    stage.run("DROP OWNED BY cloudsqlsuperuser", "DROP ROLE cloudsqlsuperuser")


def planned(stage: Stage, list_tables: Function | None = None) -> dict[str, Any]:
    """What stands in the bucket after a request for a plan."""
    status = (list_tables or stage.function("list_tables")).receive(REQUEST, message_id="9950")
    assert status == 200
    content: dict[str, Any] = stage.json(PLAN)
    return content


def tables(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {each["table"]: each for each in content["tables"]}


def run(stage: Stage, **seconds: float) -> None:
    """A run over the whole database, in which these operations took so long."""
    stage.function("list_tables").receive({"pipeline": "billing"})
    stage.published("table-exports")
    for table, took in seconds.items():
        stage.put(f"billing/_runs/9912/exported/{table}.json", {"seconds": took})


def nothing_is_published(stage: Stage) -> bool:
    return not any(stage.published(each) for each in ("table-exports", "snapshots", "dead-letters", "run-exported"))


def test_a_plan_is_all_that_is_written_and_nothing_is_published(stage: Stage, log: Log) -> None:
    stage.run(ORDERS, "CREATE TABLE bare ()")

    content = planned(stage)

    assert stage.files() == [PLAN]
    assert nothing_is_published(stage)
    assert [(line["severity"], line["outcome"]) for line in log()] == [("INFO", "listed")]
    assert {key: content[key] for key in ("version", "pipeline", "database", "shard_date", "requested_at")} == {
        "version": 1,
        "pipeline": "billing",
        "database": DATABASE,
        "shard_date": "2026-01-15",
        "requested_at": REQUESTED,
    }


def test_a_plan_says_what_the_run_then_does(stage: Stage) -> None:
    stage.pipeline |= {"small_tables": "snapshot", "format": "auto"}
    stage.environment.setenv("SNAPSHOTS_TOPIC", topic("snapshots"))
    stage.run(ORDERS, REFUNDS, "CREATE TABLE large (id int)", "ANALYZE orders")
    stage.run("INSERT INTO orders VALUES (1, 'x')", "ANALYZE orders", "CREATE TABLE bare ()")
    stage.run("UPDATE pg_class SET relpages = 100000 WHERE relname = 'large'")

    content = planned(stage)
    run(stage)

    manifest = stage.json("billing/_runs/9912/manifest.json")
    assert {name: (each["snapshot"], each["format"]) for name, each in tables(content).items()} == {
        each["table"]: (each["snapshot"], each["format"]) for each in manifest["tables"]
    }
    assert content["refused"] == manifest["refused"]
    assert {name: each["way"] for name, each in tables(content).items()} == {
        "large": "export",
        "orders": "snapshot",
        "refunds": "snapshot",
    }


def test_a_plan_leaves_the_records_of_the_runs_as_they_are(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS)
    run(stage, orders=20.0)
    before = {blob.name: blob.generation for blob in stage.bucket.list_blobs()}

    planned(stage)

    after = {blob.name: blob.generation for blob in stage.bucket.list_blobs()}
    assert {name: generation for name, generation in after.items() if name != PLAN} == before
    assert nothing_is_published(stage)


def test_what_is_new_gone_and_altered_is_told_by_the_last_run(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS, "CREATE TABLE same (id int)")
    run(stage)
    stage.run("DROP TABLE refunds", "CREATE TABLE users (id int)")
    stage.run(
        "ALTER TABLE orders ADD total int", "ALTER TABLE orders DROP note", "ALTER TABLE orders ALTER id TYPE int"
    )

    content = planned(stage)

    found = tables(content)
    assert content["last_run"] == {"run_id": "9912", "shard_date": "2026-01-15", "requested_at": REQUESTED}
    assert {name: each["new"] for name, each in found.items()} == {"orders": False, "same": False, "users": True}
    assert found["orders"]["altered"] == {"added": ["total"], "removed": ["note"], "changed": ["id"]}
    assert (found["same"]["altered"], found["users"]["altered"]) == (None, None)
    assert [each["table_id"] for each in content["gone"]] == ["refunds"]


def test_before_the_first_run_all_is_new_and_the_time_is_a_guess(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS)

    content = planned(stage)

    assert content["last_run"] is None
    assert content["exports"] == {"tables": 2, "seconds": 2 * plan.GUESS, "measured": False}
    assert all(each["new"] for each in content["tables"])


def test_the_time_is_that_of_the_last_runs_operations(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS, "CREATE TABLE users (id int)")
    run(stage, orders=40.0, refunds=20.0)

    content = planned(stage)

    assert content["exports"] == {"tables": 3, "seconds": 90.0, "measured": True}
    assert {name: each["seconds"] for name, each in tables(content).items()} == {
        "orders": 40.0,
        "refunds": 20.0,
        "users": 30.0,
    }


def test_columns_that_are_left_out_or_hashed_are_named_and_a_pattern_that_matches_none_is_a_warning(
    stage: Stage, log: Log
) -> None:
    stage.pipeline |= {"leave_out": ["*.secret", "*.misspelt*"], "hash": ["*.email"]}
    stage.run("CREATE TABLE users (id int PRIMARY KEY, email text, secret text)", REFUNDS)

    content = planned(stage)

    found = tables(content)
    assert (found["users"]["left_out"], found["users"]["hashed"]) == (["secret"], ["email"])
    assert (found["refunds"]["left_out"], found["refunds"]["hashed"]) == ([], [])
    [warning] = content["warnings"]
    assert "leave_out has *.misspelt*, which matches no column" in warning
    assert [line["severity"] for line in log()] == ["INFO"]


def test_a_refused_table_is_told_with_what_to_do_and_no_record_is_made(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS, "ALTER TABLE refunds ENABLE ROW LEVEL SECURITY")

    content = planned(stage)

    [refused] = content["refused"]
    assert (refused["schema"], refused["table"]) == ("public", "refunds")
    assert "exclude it" in refused["reason"]
    assert stage.files() == [PLAN]


def test_what_the_role_of_the_exports_may_not_select_is_a_warning(stage: Stage, exporter: str) -> None:
    stage.run(ORDERS, REFUNDS, "CREATE SCHEMA sales", "CREATE TABLE sales.visits (id int)")
    stage.run(f"GRANT USAGE ON SCHEMA public TO {exporter}", f"GRANT SELECT ON orders, sales.visits TO {exporter}")
    stage.pipeline["schemas"] = ["public", "sales"]

    found = tables(planned(stage))

    assert found["orders"]["warnings"] == []
    for name in ("refunds", "visits"):
        [warning] = found[name]["warnings"]
        assert "Grant SELECT on it, and USAGE on its schema, to cloudsqlsuperuser" in warning


def test_that_is_no_matter_to_a_snapshot(stage: Stage, exporter: str) -> None:
    assert exporter
    stage.pipeline["small_tables"] = "snapshot"
    stage.environment.setenv("SNAPSHOTS_TOPIC", topic("snapshots"))
    stage.run(ORDERS)

    assert tables(planned(stage))["orders"]["warnings"] == []


def test_whoever_locks_a_table_does_not_hold_up_a_plan(stage: Stage, exporter: str) -> None:
    assert exporter
    stage.run(ORDERS)
    with closing(stage.postgres.connect(DATABASE)) as other:
        other.run("BEGIN")
        other.run("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")

        found = tables(planned(stage))

    assert [*found] == ["orders"]
    assert len(found["orders"]["warnings"]) == 1


def no_database(stage: Stage) -> None:
    stage.pipeline["database"] = "misspelt"


def no_role(stage: Stage) -> None:
    stage.pipeline["user"] = "another"


def no_tables(stage: Stage) -> None:
    stage.run("DROP TABLE orders")


def no_password(stage: Stage) -> None:
    stage.pipeline["password_file"] = "/secrets/billing/password"


@pytest.mark.parametrize(
    ("spoil", "error", "remedy"),
    [
        (no_database, "has no database misspelt", "Correct the pipeline's database"),
        (no_role, 'role "another" does not exist', "Correct the pipeline's user, or give it a password_file"),
        (
            no_tables,
            "has no table that the pipeline billing mirrors",
            "Look at its schemas (public), include and exclude",
        ),
        (no_password, "/secrets/billing/password: No such file or directory", "Correct the pipeline's password_file"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_one_that_cannot_be_made_says_why_and_what_to_do_at_once(
    stage: Stage, log: Log, spoil: Any, error: str, remedy: str
) -> None:
    stage.run(ORDERS)
    spoil(stage)

    content = planned(stage)

    assert content.keys() == {"error", "remedy"}
    assert error in content["error"]
    assert content["remedy"].startswith(remedy)
    assert "replay" not in content["remedy"]
    assert nothing_is_published(stage)
    assert log()[-1]["severity"] == "WARNING"


def test_a_redelivery_writes_the_same_place_again(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")
    planned(stage, list_tables)
    stage.run(REFUNDS)

    again = planned(stage, list_tables)

    assert [*tables(again)] == ["orders", "refunds"]
    assert stage.files() == [PLAN]


def test_two_deliveries_at_once_leave_one_plan(stage: Stage) -> None:
    stage.run(ORDERS)
    list_tables = stage.function("list_tables")

    def after_another(call: Call, answering: Answering) -> Answer:
        if call.target.startswith("/upload/"):
            answering(call)
        return answering(call)

    with interposed(after_another, stage.objects.server):
        content = planned(stage, list_tables)

    assert [*tables(content)] == ["orders"]
    assert nothing_is_published(stage)


def test_a_database_that_cannot_answer_now_is_asked_again(stage: Stage) -> None:
    stage.run(ORDERS, "CREATE ROLE mirror LOGIN CONNECTION LIMIT 0")
    stage.pipeline["user"] = "mirror"

    status = stage.function("list_tables").receive(REQUEST, message_id="9950", attempt=5)

    stage.run("DROP ROLE mirror")
    assert status >= 500
    assert stage.files() == []
    assert nothing_is_published(stage)


@pytest.mark.parametrize(
    "wrong",
    [{"plan": False}, {"plan": "yes"}, {"plan": True, "tables": ["orders"]}, {"plan": True, "pipeline": "biling"}],
)
def test_a_request_for_a_plan_that_cannot_be_read_is_dead_lettered(stage: Stage, wrong: dict[str, Any]) -> None:
    stage.run(ORDERS)

    status = stage.function("list_tables").receive({"pipeline": "billing"} | wrong, message_id="9950")

    [letter] = stage.published("dead-letters")
    assert status == 200
    assert "plan" in letter.attributes["error"] or "biling" in letter.attributes["error"]
    assert stage.files() == []


def test_a_table_that_would_be_called_like_the_folder_of_the_plans_is_refused(stage: Stage) -> None:
    stage.run(ORDERS, "CREATE TABLE _plans (id int)")

    assert [each["table"] for each in planned(stage)["refused"]] == ["_plans"]


def test_the_document_has_the_keys_that_the_commands_reference_has(stage: Stage) -> None:
    stage.run(ORDERS, REFUNDS, "CREATE TABLE bare ()", "ANALYZE orders")
    stage.run("INSERT INTO orders VALUES (1, 'x')", "ANALYZE orders")
    run(stage)
    stage.run("ALTER TABLE orders ADD total int", "DROP TABLE refunds")

    content = planned(stage)

    assert set(shape({"message_id": "9950", **content})) == set(shape(SAMPLES[-1]))


def test_what_is_said_of_a_run_is_json_of_any_name(stage: Stage) -> None:
    stage.run('CREATE TABLE "Bücher & Co" ("Größe" int)')

    [found] = planned(stage)["tables"]

    assert (found["table"], found["table_id"]) == ("Bücher & Co", "Bücher___Co")
    assert json.loads(stage.content(PLAN))["tables"] == [found]
