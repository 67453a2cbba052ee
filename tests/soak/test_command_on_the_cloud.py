"""The command and the whole mirror: what one says, the other understands."""

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.following import Run
from local import command, demo
from local.cloud import Cloud
from local.comparison import VIEWS
from local.postgres import Postgres
from local.source import Source
from shared.runs.records import EXPORTED, FAILED, LOADED, SHOWN
from tests.support.person import COMMAND, Person
from tests.support.repository import ROOT

SOURCE = ("CREATE TABLE good (id int)", "INSERT INTO good VALUES (1), (2)", "CREATE TABLE bare ()")


@pytest.fixture(scope="module")
def database() -> Iterator[Source]:
    with Postgres() as server:
        server.create("operated")
        with closing(server.connect("operated")) as connection:
            for statement in SOURCE:
                connection.run(statement)
        address = {"user": server.user, "host": server.host, "schemas": ["public"]}
        yield Source("operated", address, server.connect)


@pytest.fixture(scope="module")
def cloud(database: Source, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with demo.cloud_of(database, tmp_path_factory.mktemp("cloud"), by_beam=False) as running:
        yield running


@pytest.fixture
def operator(cloud: Cloud, tmp_path: Path) -> Person:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(command.settings(cloud)), encoding="utf-8")
    return Person(command.environ(cloud, file), tmp_path)


def until(what: Callable[[], Any]) -> Any:
    end = time.monotonic() + 60
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.1)
    return found


def test_a_request_becomes_a_run_whose_records_are_read(cloud: Cloud, operator: Person) -> None:
    ran = operator.says("request", "demo", "--json")

    run = Run(*command.place(cloud, "demo"), json.loads(ran.output)["run_id"])
    until(lambda: (tables := run.look()) and all(each.state != "waiting" for each in tables))
    found = {each.table: each for each in run.look() or ()}
    assert found["public.good"].state in {EXPORTED, LOADED, SHOWN}
    assert found["public.bare"].state == FAILED
    assert "has no columns" in (found["public.bare"].reason or "")


def test_a_plan_is_what_list_tables_makes_of_the_question(operator: Person) -> None:
    ran = operator.says("plan", "demo")

    rows = {line.split()[0]: line for line in ran.lines if line.startswith("public.")}
    assert ran.code == 0, ran.errors
    assert "refused" in rows["public.bare"]
    assert "public.good" in rows
    assert "To begin: mirror request demo --follow" in ran.lines


def test_status_tells_what_the_mirror_has_written_down(operator: Person) -> None:
    operator.says("request", "demo")

    def tables() -> dict[str, Any]:
        [pipeline] = json.loads(operator.says("status", "demo", "--json").output)["pipelines"]
        return {each["table"]: each for each in pipeline["tables"] if not each["under_way"]}

    good = until(lambda: tables().get("public.good"))
    bare = tables()["public.bare"]
    assert (good["state"], good["view_day"]) == ("shown", good["shard_date"])
    assert (bare["state"], bare["command"]) == ("failed", "mirror request demo public.bare")


def test_a_table_that_is_not_there_is_wrong_use_and_its_letter_is_shown_by_a_dry_run(operator: Person) -> None:
    ran = operator.says("request", "demo", "gone", "--follow")
    shown = operator.says("replay", "--function", "list_tables", "--table", "gone", "--dry-run", "--json")

    [group] = json.loads(shown.output)["groups"]
    assert ran.code == 2
    assert "mirrors no table gone" in ran.errors
    assert "mirrors no table gone" in group["reason"]
    assert [each["about"] for each in group["letters"]] == ["gone"]


def test_a_replay_is_a_delivery_to_the_function_that_gave_up(cloud: Cloud, database: Source, operator: Person) -> None:
    operator.says("request", "demo", "later")
    until(lambda: _about(operator, "later"))
    with closing(database.connect("operated")) as connection:
        connection.run("CREATE TABLE later (id int)")

    ran = operator.says("replay", "--table", "later")

    assert ran.code == 0
    with cloud.warehouse() as client:
        until(lambda: [each for each in client.list_tables(VIEWS) if each.table_id == "later"])


def test_a_pin_and_an_unpin_change_the_views_label(cloud: Cloud, operator: Person) -> None:
    run = operator.says("request", "demo", "good")
    assert run.code == 0
    with cloud.warehouse() as client:
        view = f"{VIEWS}.good"
        until(lambda: [each for each in client.list_tables(VIEWS) if each.table_id == "good"])
        day = client.get_table(view).view_query.rpartition("_")[2][:8]

        operator.says("pin", "demo", "good", "--date", f"{day[:4]}-{day[4:6]}-{day[6:]}")
        until(lambda: client.get_table(view).labels.get("mirror_pin") == day)
        operator.says("unpin", "demo", "good")
        until(lambda: "mirror_pin" not in client.get_table(view).labels)


def test_what_the_demo_leaves_up_is_operated_by_the_line_that_it_prints(cloud: Cloud, tmp_path: Path) -> None:
    shell = command.write(cloud, tmp_path)

    ran = subprocess.run(
        ["sh", "-c", f'. {shell} && exec "$@"', "sh", *COMMAND, "stop", "demo", "1", "--json"],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert json.loads(ran.stdout)["pipeline"] == "demo"


def _about(operator: Person, table: str) -> list[Any]:
    found: list[Any] = json.loads(operator.says("replay", "--table", table, "--dry-run", "--json").output)["groups"]
    return found
