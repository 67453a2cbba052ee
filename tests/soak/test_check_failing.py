"""A canary that fails is on record in its run, with the reason, and sets off no alert; what is only said to be one is not believed."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.cloud.bigquery import SchemaField, Table

from local.cloudsql import Outcome
from local.rest import ApiError, Fault
from local.server import Answer, Answering, Call
from tests.support import cuts
from tests.support.checks import CHECK, Check
from tests.support.days import tables
from tests.support.delivery import topic
from tests.support.interposed import interposed
from tests.support.stage import Log, Stage

CSV, SNAPSHOT = "mirror_check_csv", "mirror_check_snapshot"
REFUSED = Fault(ApiError(403, "notAuthorized", "The client is not authorized."))


def alarming(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that an alert looks for, or that are louder than a warning."""
    return [
        line for line in lines if line["severity"] not in {"DEBUG", "INFO", "WARNING"} or line.get("outcome") == "dead"
    ]


def failed_with(check: Check, name: str, log: Log) -> str:
    """What is on record of a canary's failure, which nobody else is told of."""
    record = check.record("failed", name)
    assert (check.letters(), check.told(), alarming(log())) == ([], [], [])
    assert f"billing/_runs/open/{check.run}" not in check.stage.files()
    return str(record["error"])


def test_an_export_that_is_refused(stage: Stage, log: Log) -> None:
    check = Check(stage)
    export, *_ = check.listed()
    stage.admin.plan("sql.instances.export", REFUSED)

    check.export(export)

    assert "cloudsql.instances.export" in failed_with(check, CSV, log)


def test_a_check_that_comes_when_nobody_waits_for_it_any_more_is_not_begun(stage: Stage, log: Log) -> None:
    check = Check(stage)
    asked = stage.clock.text()
    stage.clock.pass_time(minutes=16)

    status = check.function("list_tables").receive(CHECK, message_id="late", published=asked)

    [line] = log()
    assert (status, line["outcome"], line["severity"]) == (200, "skipped", "WARNING")
    assert [name for name in stage.files() if "late" in name] == stage.published("table-exports") == []


def test_a_failure_that_is_made_good_opens_no_run(stage: Stage) -> None:
    check = Check(stage)
    export, *_ = check.listed()
    stage.admin.plan("sql.instances.export", REFUSED)
    check.export(export)
    replay, now = {"message_id": check.run, "publish_time": stage.clock.text()}, stage.clock.text()

    check.function("export_table").receive(export, message_id="10000", published=now, attributes=replay)

    ends = {f"{end}/{CSV}.json" for end in ("exported", "failed")}
    assert ends & set(check.records()) == {f"exported/{CSV}.json"}
    assert f"billing/_runs/open/{check.run}" not in stage.files()


@pytest.mark.parametrize(
    "error",
    ["ERROR:  something nobody knows", "ERROR:  column t.id does not exist", "ERROR:  permission denied for schema x"],
)
def test_the_first_operation_that_fails_is_the_last(stage: Stage, log: Log, error: str) -> None:
    stage.environment.setenv("MIRROR_REQUESTS_TOPIC", topic("mirror-requests"))
    stage.make_topic("mirror-requests")
    check = Check(stage)
    export, *_ = check.listed()
    stage.admin.plan_exports(Outcome(running=0.03, error=error))

    check.export(export)

    assert "its export failed 1 times" in failed_with(check, CSV, log)
    assert (len(stage.exports()), stage.published("mirror-requests")) == (1, [])


def test_a_load_that_is_refused_and_the_event_of_it(stage: Stage, log: Log) -> None:
    check = Check(stage)
    [announced] = check.export(check.listed()[0])
    seal = f"billing/{CSV}/schema_{check.stamp}.json"
    document = stage.json(seal)
    document["columns"][1]["bigquery_type"] = "DATE"
    stage.put(seal, document)

    statuses = [*check.load(announced), *check.hear()]

    assert statuses == [200, 200]
    assert "BigQuery refuses" in failed_with(check, CSV, log)


def test_a_view_that_cannot_be_moved(stage: Stage, log: Log) -> None:
    stage.warehouse.create_table(Table(stage.view(CSV), [SchemaField("id", "INT64")]))
    check = Check(stage)
    check.load(*check.export(check.listed()[0]))

    check.hear()
    status = check.function("refresh_views").receive(
        {"pipeline": "billing", "tables": [CSV]}, published=stage.clock.text()
    )

    assert status == 200
    assert "is a TABLE, not a view" in check.record("held", CSV)["reason"]
    assert (check.letters(), check.told(), alarming(log())) == ([], [], [])


def test_an_event_of_a_canary_whose_files_nobody_may_read(stage: Stage, log: Log) -> None:
    check = Check(stage)
    check.load(*check.export(check.listed()[0]))
    log()

    def forbid(call: Call, answering: Answering) -> Answer:
        return Answer(403, b"{}") if CSV in call.target else answering(call)

    with interposed(forbid, stage.objects.server):
        statuses = check.hear()

    lines = log()
    assert set(statuses) == {200}
    assert "skipped" in {line["outcome"] for line in lines}
    assert (check.letters(), check.told(), alarming(lines)) == ([], [], [])


def test_a_pin_that_is_refused_is_no_dead_letter(stage: Stage, log: Log) -> None:
    check = Check(stage)
    pin = {"pipeline": "billing", "tables": [CSV], "shard_date": check.day}

    assert check.function("refresh_views").receive(pin, published=stage.clock.text()) == 200

    assert (check.letters(), alarming(log())) == ([], [])


@pytest.mark.parametrize("wrong", [{"database": "nowhere"}, {"user": "nobody"}], ids=str)
def test_a_database_that_lets_nobody_in(stage: Stage, log: Log, wrong: dict[str, str]) -> None:
    check = Check(stage)
    check.listed()
    stage.pipeline |= wrong

    statuses = check.read(*check.wishes())

    assert statuses == [200]
    assert failed_with(check, SNAPSHOT, log)


def test_a_snapshot_that_cannot_be_read(stage: Stage, log: Log) -> None:
    check = Check(stage)
    check.listed()
    stage.run("REVOKE SELECT ON pg_catalog.pg_database FROM PUBLIC", "CREATE ROLE reader LOGIN")
    stage.pipeline["user"] = "reader"

    check.read(*check.wishes())

    stage.run(
        "GRANT SELECT ON pg_catalog.pg_database TO PUBLIC", "DROP ROLE reader", "ALTER DATABASE billing RESET ALL"
    )
    assert "permission denied" in failed_with(check, SNAPSHOT, log)


def test_a_request_whose_bucket_is_not_there_is_no_dead_letter(stage: Stage, log: Log) -> None:
    check = Check(stage, bucket="no-such-bucket")

    assert check.function("list_tables").receive(CHECK, published=stage.clock.text()) == 200

    assert (check.letters(), [line["outcome"] for line in log()]) == ([], ["skipped"])


def test_what_comes_after_the_check_has_been_cleared_away_is_acknowledged(stage: Stage, log: Log) -> None:
    check = Check(stage)
    exports = check.listed()
    announced = check.export(exports[0])
    [wish] = check.wishes()
    check.load(*announced)
    for name in stage.files():
        stage.bucket.delete_blob(name)
    stage.warehouse.delete_table(stage.shard(f"{CSV}_{check.stamp}"))

    announced += check.export(exports[1])
    statuses = [*check.load(*announced), *check.read(wish), *check.hear()]

    assert statuses == [200, 200, 200]
    assert (stage.files(), list(stage.warehouse.list_tables(stage.pipeline["views_dataset"]))) == ([], [])
    assert (check.letters(), alarming(log())) == ([], [])


def test_a_check_that_is_cut_off_anywhere_is_taken_up_by_the_next_delivery(stage: Stage) -> None:
    check = Check(stage)

    for cut in range(_changes(check, lambda: check.listed(100)) + 1):
        with cuts.cut_off(stage, cut), suppress(AssertionError):  # its answer
            check.listed(cut)
        exports = check.listed(cut)
        check.read(*check.wishes())
        check.load(*check.export(*exports))

        for name in (CSV, SNAPSHOT):
            assert stage.json(f"billing/{name}/schema_{check.stamp}.json")["run_id"] == check.run
            assert f"loaded/{name}.json" in check.records()
    assert check.letters() == []


def test_an_export_that_is_cut_off_anywhere_is_taken_up_by_the_next_delivery(stage: Stage) -> None:
    check = Check(stage)
    [first, _] = check.listed(100)

    for cut in range(_changes(check, lambda: check.export(first)) + 1):
        export, _ = check.listed(cut)
        with cuts.cut_off(stage, cut):
            check.export(export)
        check.load(*check.export(export))

        assert stage.json(f"billing/{CSV}/schema_{check.stamp}.json")["run_id"] == check.run
        assert f"loaded/{CSV}.json" in check.records()
        assert [name for name in stage.files() if "/_staging/" in name or "/open/" in name] == []
    assert check.letters() == []


def _changes(check: Check, work: Callable[[], object]) -> int:
    """How many calls that change something it takes."""
    assert check.stage.admin
    with cuts.cut_off(check.stage, 1_000) as calls:
        work()
    assert calls.made >= 4
    return calls.made


def test_a_message_of_a_table_that_is_said_to_be_of_a_check_is_not_believed(stage: Stage) -> None:
    tables(stage, "orders")
    check = Check(stage, small_tables="export")
    [export] = check.request()
    forged = json.dumps(json.loads(export) | {"check": True}).encode()

    check.export(forged)
    [announced] = check.export(export)
    check.load(json.dumps(json.loads(announced) | {"check": True}).encode())

    assert [letter["table"] for letter in check.letters()] == ["orders", "orders"]
    assert (len(stage.exports()), stage.jobs) == (1, [])


def test_a_snapshot_of_tables_that_is_said_to_be_of_a_check_is_not_read(stage: Stage) -> None:
    tables(stage, "orders")
    check = Check(stage)
    check.request()
    [wish] = check.wishes()

    check.read(json.dumps(json.loads(wish) | {"check": True}).encode())

    assert check.records() == ["digests.json", "manifest.json"]


def test_a_message_of_a_canary_that_does_not_say_so_is_not_believed(stage: Stage) -> None:
    check = Check(stage)
    export, *_ = check.listed()
    [announced] = check.export(export)
    [wish] = check.wishes()

    def bare(message: bytes) -> bytes:
        return json.dumps({key: value for key, value in json.loads(message).items() if key != "check"}).encode()

    check.export(bare(export))
    check.load(bare(announced))
    check.read(bare(wish))

    assert [letter.get("table") for letter in check.letters()] == [CSV, CSV, None]
    assert (len(stage.exports()), stage.jobs) == (1, [])


def test_a_canary_that_no_check_has_is_not_exported(stage: Stage, log: Log) -> None:
    tables(stage, "orders")
    check = Check(stage, small_tables="export")
    run_id = json.loads(check.request()[0])["run_id"]
    canary = json.loads(check.listed()[0]) | {"run_id": run_id}

    check.export(json.dumps(canary).encode())

    assert (stage.exports(), alarming(log())) == ([], [])


def test_a_stop_that_comes_when_its_check_is_cleared_away_sets_off_no_alert(stage: Stage, log: Log) -> None:
    check = Check(stage)
    check.run = "9912"

    assert check.request(stop=check.run, check=True) == []

    assert (check.letters(), alarming(log())) == ([], [])
    assert stage.files() == []


def test_a_check_that_is_stopped_begins_no_more(stage: Stage) -> None:
    check = Check(stage)
    exports = check.listed()

    run, check.run = check.run, "stop"
    check.request(stop=run, check=True)
    check.run = run
    check.export(*exports)

    assert f"skipped/{CSV}.json" in check.records()
    assert check.letters() == []


def test_a_request_for_a_table_that_is_called_like_a_canary_is_a_dead_letter(stage: Stage) -> None:
    tables(stage, "orders")
    check = Check(stage, small_tables="export")
    check.run = "9912"

    check.request(tables=[CSV])

    [letter] = check.letters()
    assert letter["tables"] == [CSV]
