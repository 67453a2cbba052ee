"""`mirror status`: the morning's look."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.rest import ApiError, Fault
from shared import canaries
from shared.errors import REQUEST_AGAIN
from tests.cli.conftest import PIPELINE, SETTINGS, Deployment
from tests.support.person import Person

TODAY = datetime.now(UTC).date()
YESTERDAY, LONG_AGO = TODAY - timedelta(days=1), TODAY - timedelta(days=9)
DENIED = {"function": "export_table", "error": "permission denied for table customers. Grant SELECT on the table"}


def table(operator: Person, name: str) -> Any:
    """What the JSON says of a table."""
    [pipeline] = json.loads(operator.says("status", "billing", "--json").output)["pipelines"]
    [found] = [each for each in pipeline["tables"] if each["table"] == f"public.{name}"]
    return found


@pytest.fixture
def good(deployment: Deployment) -> Deployment:
    """Three tables whose views show yesterday."""
    deployment.write_run("100", YESTERDAY, "orders", "customers", "refunds")
    for each in ("orders", "customers", "refunds"):
        deployment.write("100", f"shown/{each}", {"row_count": 3})
        deployment.show(each, YESTERDAY)
    return deployment


@pytest.fixture
def mixed(good: Deployment) -> Deployment:
    """The next day, one is shown, one has failed, one is held, and one is refused."""
    refused = [{"schema": "public", "table": "secret", "reason": "it has row-level security"}]
    good.write_run("200", TODAY, "orders", "customers", "refunds", refused=refused)
    good.write("200", "shown/orders", {})
    good.write("200", "failed/customers", DENIED)
    good.write("200", "held/refunds", {"reason": f"the view refunds is pinned to {YESTERDAY}"})
    good.show("gone", LONG_AGO)
    good.show("kept", LONG_AGO, pin=LONG_AGO)
    return good


@pytest.mark.usefixtures("good")
def test_where_all_is_shown_it_is_good(operator: Person) -> None:
    ran = operator.says("status")

    assert ran.code == 0, ran.errors
    assert ran.output.splitlines() == [f"billing shows {YESTERDAY}", "  in all   3 tables: 3 shown"]


@pytest.mark.usefixtures("good")
def test_of_a_check_nothing_is_told(operator: Person, deployment: Deployment) -> None:
    deployment.write_run("300", TODAY, canaries.CSV, check=True)
    deployment.write("300", f"failed/{canaries.CSV}", DENIED)
    deployment.show(canaries.CSV, TODAY, pin=TODAY)

    ran = operator.says("status")

    assert ran.output.splitlines() == [f"billing shows {YESTERDAY}", "  in all   3 tables: 3 shown"]


@pytest.mark.usefixtures("mixed")
def test_the_bad_comes_first_each_with_the_command_that_mends_it(operator: Person) -> None:
    ran = operator.says("status", "billing")

    lines = ran.output.splitlines()
    assert ran.code == 1, ran.errors
    assert [line.split()[0] for line in lines[1:]] == ["failed", "failed", "held", "stale", "pinned", "in"]
    assert f"public.customers  (the view shows {YESTERDAY})  {DENIED['error']}" in lines[1]
    assert lines[1].endswith("  -> mirror replay --table public.customers")
    assert lines[2].endswith("it has row-level security  -> when that is done: mirror request billing public.secret")
    assert lines[3].endswith("  -> mirror unpin billing refunds")
    assert lines[4] == f"  stale    gone  (the view shows {LONG_AGO})"
    assert lines[5].endswith("  -> mirror unpin billing kept")


@pytest.mark.usefixtures("mixed")
@pytest.mark.parametrize("columns", [80, 200])
def test_at_a_terminal_no_line_is_wider_and_the_command_stands_alone(operator: Person, columns: int) -> None:
    ran = operator.sees(columns, "status")

    assert ran.code == 1
    assert max(map(len, ran.lines)) <= columns
    assert "           -> mirror replay --table public.customers" in ran.lines
    assert "\x1b[1;31m" in ran.output


def test_a_table_that_a_later_run_has_mended_has_not_failed(mixed: Deployment, operator: Person) -> None:
    mixed.write_run("300", TODAY, "customers", is_whole=False)
    mixed.write("300", "shown/customers", {})

    found = table(operator, "customers")

    assert (found["state"], found["run_id"], found["command"]) == ("shown", "300", None)
    assert table(operator, "orders")["run_id"] == "200"


def test_a_table_that_is_tried_again_has_failed_until_then(mixed: Deployment, operator: Person) -> None:
    mixed.write_run("300", TODAY, "orders", "customers", "refunds")
    mixed.write("300", "exported/customers", {})

    ran = operator.says("status")

    found = table(operator, "customers")
    assert ran.code == 1
    assert "the run 300 is under way: 2 waiting, 1 exported" in ran.output
    assert (found["state"], found["under_way"]) == ("failed", {"run_id": "300", "state": "exported"})


def test_a_backfill_does_not_hide_what_has_failed_today(mixed: Deployment, operator: Person) -> None:
    tables = ("orders", "customers", "refunds")
    mixed.write_newest_manifest("200", TODAY)
    mixed.write_run("300", LONG_AGO, *tables)
    for each in tables:
        mixed.write("300", f"held/{each}", {"reason": f"the view {each} shows {each}_20260115, which is newer"})

    assert table(operator, "customers")["state"] == "failed"


def test_what_a_replay_would_meet_again_is_to_be_requested(deployment: Deployment, operator: Person) -> None:
    refused = {"function": "load_shard", "error": f"BigQuery refuses it. Mend what it says, and {REQUEST_AGAIN}"}
    deployment.write_run("200", TODAY, "orders")
    deployment.write("200", "failed/orders", refused)

    ran = operator.says("status", "billing")

    assert "-> mirror request billing public.orders" in ran.output


def test_a_view_that_is_held_by_its_pin_is_told_once(good: Deployment, operator: Person) -> None:
    good.write_run("200", TODAY, "kept", is_whole=False)
    good.write("200", "held/kept", {"reason": f"the view kept is pinned to {LONG_AGO}"})
    good.show("kept", LONG_AGO, pin=LONG_AGO)

    ran = operator.says("status")

    assert ran.output.count("-> mirror unpin billing kept") == 1


def test_held_pinned_and_stale_views_alone_are_no_failure(good: Deployment, operator: Person) -> None:
    good.write_run("200", TODAY, "refunds", is_whole=False)
    good.write("200", "held/refunds", {"reason": "it shrank"})
    good.show("gone", LONG_AGO)
    good.show("kept", LONG_AGO, pin=LONG_AGO)

    ran = operator.says("status")

    assert ran.code == 0
    assert "3 tables: 1 held, 2 shown; views: 1 pinned, 1 stale" in ran.output


def test_a_day_is_late_when_most_views_show_one_before_yesterday(deployment: Deployment, operator: Person) -> None:
    for each, day in (("orders", TODAY), ("customers", LONG_AGO), ("refunds", LONG_AGO)):
        deployment.show(each, day)

    ran = operator.says("status")

    assert ran.code == 1
    assert f"billing shows {LONG_AGO}, late" in ran.output
    assert "-> mirror request billing" in ran.output


def test_a_day_is_late_by_the_schedule_of_its_pipeline(
    deployment: Deployment, operator: Person, settings: Path
) -> None:
    last_week = TODAY - timedelta(days=7)
    deployment.show("orders", last_week)
    ran = {}
    for weekday in (last_week, YESTERDAY):
        schedules = {"billing": f"0 4 * * {weekday.isoweekday()}"}
        settings.write_text(json.dumps({**SETTINGS, "schedules": schedules}), encoding="utf-8")
        ran[weekday] = operator.says("status")

    assert (ran[last_week].code, ran[YESTERDAY].code) == (0, 1)
    assert f"{YESTERDAY} is due, most views do not show it, and no run is under way" in ran[YESTERDAY].output


def test_without_a_schedule_a_day_is_late_when_the_usual_gap_has_passed(
    deployment: Deployment, operator: Person
) -> None:
    deployment.show("orders", TODAY - timedelta(days=7))
    for run_id, weeks in (("100", 3), ("200", 2), ("300", 1)):
        deployment.write_newest_manifest(run_id, TODAY - timedelta(days=7 * weeks))

    [pipeline] = json.loads(operator.says("status", "--json").output)["pipelines"]

    assert (pipeline["due"], pipeline["late"]) == (str(TODAY - timedelta(days=7)), False)


def test_failures_of_one_cause_are_one_line(good: Deployment, operator: Person) -> None:
    tables = [f"t{number}" for number in range(9)]
    good.write_run("200", TODAY, *tables)
    for each in tables:
        good.write("200", f"failed/{each}", {"function": "load_shard", "error": f"public.{each} is too wide"})

    ran = operator.says("status")

    assert (
        "public.t0, public.t1, public.t2 and 6 more  … is too wide  -> mirror replay --function load_shard"
        in ran.output
    )


def test_of_all_pipelines_the_bad_come_first(mixed: Deployment, operator: Person, settings: Path) -> None:
    other = {**PIPELINE, "shards_dataset": "other_shards", "views_dataset": "other"}
    settings.write_text(
        json.dumps({**SETTINGS, "pipelines": {"archive": other, "billing": PIPELINE}}), encoding="utf-8"
    )
    with mixed.warehouse() as client:
        client.create_dataset("other_shards")
        client.create_dataset("other")
    mixed.show("orders", TODAY, dataset="other")

    ran = operator.says("status")

    assert [line.split()[0] for line in ran.output.splitlines() if not line.startswith(" ")] == ["billing", "archive"]


def test_what_may_not_be_looked_at_is_said_so(mixed: Deployment, operator: Person) -> None:
    mixed.bigquery.plan("bigquery.tables.list", Fault(ApiError(403, "accessDenied")))

    ran = operator.says("status")

    assert ran.code == 1
    assert "unseen   the views are not looked at: " in ran.output
    assert "public.customers" in ran.output


def test_where_nothing_may_be_looked_at_it_has_failed(deployment: Deployment, operator: Person, settings: Path) -> None:
    elsewhere = {**PIPELINE, "bucket": "not-there"}
    settings.write_text(json.dumps({**SETTINGS, "pipelines": {"billing": elsewhere}}), encoding="utf-8")
    deployment.bigquery.plan("bigquery.tables.list", Fault(ApiError(403, "accessDenied")))

    ran = operator.says("status")

    assert (ran.code, ran.errors) == (1, "")
    assert "billing cannot be looked at" in ran.output
    assert "`operators` in Terraform gives the roles" in ran.output


@pytest.mark.usefixtures("good")
def test_a_pipeline_that_cannot_be_looked_at_hides_no_other(operator: Person, settings: Path) -> None:
    elsewhere = {**PIPELINE, "bucket": "not-there", "views_dataset": "gone", "shards_dataset": "gone_shards"}
    pipelines = {"billing": PIPELINE, "elsewhere": elsewhere}
    settings.write_text(json.dumps({**SETTINGS, "pipelines": pipelines}), encoding="utf-8")

    ran = operator.says("status")
    as_json = operator.says("status", "--json")

    first, *_, last = [line for line in ran.output.splitlines() if not line.startswith(" ")]
    assert (ran.code, as_json.code) == (1, 1)
    assert (first, last) == ("elsewhere cannot be looked at", f"billing shows {YESTERDAY}")
    seen = json.loads(as_json.output)["pipelines"]
    assert [len(each["not_looked_at"]) for each in seen] == [2, 0]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_what_a_terminals_encoding_lacks_is_no_reason_to_end(
    mixed: Deployment, operator: Person, encoding: str
) -> None:
    mixed.write("200", "failed/customers", {"function": "export_table", "error": "denied for …"})

    ran = operator.says("status", environ={"PYTHONIOENCODING": encoding})

    assert "denied for \\u2026" in ran.output
    assert "in all" in ran.output


@pytest.mark.usefixtures("mixed")
def test_a_pipe_gets_no_colours_whatever_the_environment_says(operator: Person) -> None:
    ran = operator.says("status", environ={"FORCE_COLOR": "1"})

    assert "\x1b" not in ran.output


def test_an_unknown_pipeline_is_2(operator: Person) -> None:
    ran = operator.says("status", "biling")

    assert ran.code == 2
    assert "Did you mean billing?" in ran.errors


@pytest.mark.usefixtures("deployment")
def test_where_nothing_answers_it_says_so_in_some_seconds(operator: Person) -> None:
    ran = operator.says("status", environ={"BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9"})

    assert (ran.code, ran.output) == (1, "")
    assert "Cannot look at the views: " in ran.errors
    assert "Traceback" not in ran.errors
