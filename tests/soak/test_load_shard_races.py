"""Who else is at work while a pair is loaded: a later run, another delivery, or a BigQuery that does not answer."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from threading import Thread
from typing import Any

import pytest

from local.rest import ApiError, Fault
from local.server import Answer, Answering, Call, HangUp
from tests.support.cuts import cut_off, meanwhile
from tests.support.delivery import Function
from tests.support.pairs import ID, SCHEMA, announce, put_pair
from tests.support.stage import Log, Stage

NDJSON = "billing/orders/data_20260115.ndjson"


@pytest.fixture(autouse=True)
def undisturbed(stage: Stage) -> Iterator[None]:
    yield
    stage.bigquery.server.between = None


def rows(stage: Stage) -> list[tuple[Any, ...]]:
    return sorted(row.values() for row in stage.warehouse.list_rows(stage.shard("orders_20260115")))


def failed(run_id: str) -> str:
    return f"billing/_runs/{run_id}/failed/orders.json"


def before_job(stage: Stage, work: Callable[[], Any]) -> None:
    """Have the work done by somebody else when the next job is about to begin."""

    def answer(call: Call, answering: Answering) -> Answer:
        if _begins_job(call):
            stage.bigquery.server.between = None
            worker = Thread(target=work)
            worker.start()
            worker.join()
        return answering(call)

    stage.bigquery.server.between = answer


def lose_answer_to_job(stage: Stage) -> None:
    """Have the next job begin, and the connection dropped."""

    def answer(call: Call, answering: Answering) -> Answer:
        answered = answering(call)
        if _begins_job(call):
            stage.bigquery.server.between = None
            raise HangUp
        return answered

    stage.bigquery.server.between = answer


def _begins_job(call: Call) -> bool:
    return call.verb == "POST" and call.target.partition("?")[0].endswith("/jobs")


def overtaken(stage: Stage, then: Callable[[], None] = lambda: None) -> Function:
    """A load_shard whose next job begins when a later run's pair, which has another format, is sealed and loaded."""
    put_pair(stage, "1,old\n")
    later = f"{stage.run_id}-later"
    load_shard = stage.function("load_shard")

    def load_later() -> None:
        stage.put(NDJSON, '{"id":"1","note":"new"}\n')
        sealed = {"run_id": later, "requested_at": "2026-01-15T03:00:00Z", "format": "ndjson"}
        place = {"data_uri": f"gs://{stage.bucket.name}/{NDJSON}"}
        generation = {"data_generation": stage.bucket.get_blob(NDJSON).generation}
        stage.put(SCHEMA, stage.json(SCHEMA) | sealed | place | generation)
        load_shard.receive(announce(stage, run_id=later, requested_at=sealed["requested_at"], format="ndjson", **place))
        then()

    before_job(stage, load_later)
    return load_shard


def test_the_newest_pair_is_in_the_shard_at_last_whichever_job_is_last(stage: Stage, log: Log) -> None:
    load_shard = overtaken(stage)

    status = load_shard.receive(announce(stage))

    assert status == 200
    assert [line["outcome"] for line in log()] == ["loaded", "loaded"]
    assert rows(stage) == [(1, "new")]
    assert len(stage.jobs) == 3
    assert stage.published("dead-letters") == []


def test_rows_that_a_job_has_replaced_too_late_are_put_back_by_a_later_delivery(stage: Stage) -> None:
    gone = Fault(ApiError(501, "notImplemented"))
    load_shard = overtaken(stage, lambda: stage.bigquery.plan("bigquery.jobs.get", gone))

    statuses = [load_shard.receive(announce(stage))]
    stage.bigquery.fail_next_job("backendError")
    statuses += [load_shard.receive(announce(stage)) for _ in range(3)]

    assert statuses == [500, 503, 200, 200]
    assert rows(stage) == [(1, "new")]
    assert len(stage.jobs) == 4
    assert stage.published("dead-letters") == []


def test_rows_of_a_later_run_that_bigquery_will_not_put_back_are_that_runs_matter(stage: Stage, log: Log) -> None:
    load_shard = overtaken(stage, lambda: before_job(stage, lambda: stage.bigquery.fail_next_job("invalid")))

    status = load_shard.receive(announce(stage))

    assert status == 200
    assert [line["outcome"] for line in log()] == ["loaded", "loaded"]
    assert ["errorResult" in each.job["status"] for each in stage.jobs] == [False, False, True]
    assert stage.published("dead-letters") == []


def test_a_message_that_comes_late_needs_no_look_at_jobs_that_it_has_not_begun(stage: Stage, log: Log) -> None:
    put_pair(stage, run_id=f"{stage.run_id}-later")
    load_shard = stage.function("load_shard")
    stage.bigquery.plan("bigquery.jobs.get", Fault(ApiError(403, "accessDenied")))

    status = load_shard.receive(announce(stage))

    [line] = log()
    assert (status, line["outcome"]) == (200, "skipped")
    assert stage.published("dead-letters") == []


def test_data_of_a_later_run_that_bigquery_refuses_is_that_runs_failure_alone(stage: Stage) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    load_shard.receive(announce(stage))
    later = {"run_id": f"{stage.run_id}-later", "requested_at": "2026-01-15T03:00:00Z"}
    put_pair(stage, "x,x\n", **later)
    load_shard.receive(announce(stage, **later))

    status = load_shard.receive(announce(stage))

    assert status == 200
    assert len(stage.published("dead-letters")) == 1
    assert failed(stage.run_id) not in stage.files()


def test_data_that_a_later_run_has_replaced_under_the_job_is_left_to_that_run(stage: Stage) -> None:
    put_pair(stage, "1,old\n")
    later = f"{stage.run_id}-later"
    load_shard = stage.function("load_shard")

    def load_later() -> None:
        put_pair(stage, "1\n", run_id=later, requested_at="2026-01-15T03:00:00Z", columns=[ID])
        load_shard.receive(announce(stage, run_id=later, requested_at="2026-01-15T03:00:00Z"))

    before_job(stage, load_later)
    status = load_shard.receive(announce(stage))

    assert status == 200
    assert rows(stage) == [(1,)]
    assert stage.published("dead-letters") == []
    assert failed(stage.run_id) not in stage.files()


def test_the_record_of_a_failure_is_gone_when_a_replay_succeeds(stage: Stage) -> None:
    put_pair(stage, "x,x\n")
    load_shard = stage.function("load_shard")
    load_shard.receive(announce(stage))
    recorded = failed(stage.run_id) in stage.files()
    [letter] = stage.published("dead-letters")
    put_pair(stage, "2,y\n")

    now = datetime.now(UTC).isoformat()
    status = load_shard.receive(letter.data, message_id="10000", published=now, attributes=dict(letter.attributes))

    assert (recorded, status) == (True, 200)
    assert failed(stage.run_id) not in stage.files()


@pytest.mark.parametrize("replace", [True, False])
def test_a_job_whose_answer_is_lost_is_not_run_twice(stage: Stage, log: Log, replace: bool) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    lose_answer_to_job(stage)

    status = load_shard.receive(announce(stage, replace=replace))

    [line] = log()
    assert (status, line["outcome"]) == (200, "loaded")
    assert len(stage.jobs) == 1
    assert rows(stage) == [(1, "x")]


@pytest.mark.parametrize("step", range(2))
def test_a_crash_between_any_two_steps_costs_no_second_job(stage: Stage, step: int) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")

    with cut_off(stage, after=step):
        crashed = load_shard.receive(announce(stage))
    status = load_shard.receive(announce(stage))

    assert (crashed, status) == (500, 200)
    assert len(stage.jobs) == 1
    assert rows(stage) == [(1, "x")]
    assert stage.published("dead-letters") == []


@pytest.mark.parametrize("call", range(1, 8))
def test_a_second_delivery_at_any_moment_of_the_first_runs_no_second_job(stage: Stage, call: int) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    statuses: list[int] = []

    with meanwhile(stage, call, lambda: statuses.append(load_shard.receive(announce(stage)))) as calls:
        statuses.append(load_shard.receive(announce(stage)))

    assert statuses == [200, 200]
    assert calls.made >= call
    assert len(stage.jobs) == 1
    assert rows(stage) == [(1, "x")]


@pytest.mark.parametrize("method", ["datasets.get", "jobs.insert", "jobs.get", "tables.get"])
def test_a_spent_quota_is_handed_back(stage: Stage, method: str) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    stage.bigquery.plan(f"bigquery.{method}", Fault(ApiError(403, "quotaExceeded")))

    handed_back = load_shard.receive(announce(stage))
    letters = stage.published("dead-letters")
    status = load_shard.receive(announce(stage))

    assert (handed_back // 100, status) == (5, 200)
    assert letters == []
    assert rows(stage) == [(1, "x")]
    assert failed(stage.run_id) not in stage.files()


@pytest.mark.parametrize("method", ["datasets.get", "jobs.insert", "tables.get"])
def test_a_permission_that_is_missing_is_a_failure_for_good(stage: Stage, method: str) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    stage.bigquery.plan(f"bigquery.{method}", Fault(ApiError(403, "accessDenied")))

    status = load_shard.receive(announce(stage))

    assert status == 200
    assert len(stage.published("dead-letters")) == 1
    assert failed(stage.run_id) in stage.files()


@pytest.mark.parametrize("reason", ["quotaExceeded", "rateLimitExceeded", "jobRateLimitExceeded", "internalError"])
def test_a_job_that_ends_for_a_passing_reason_is_handed_back(stage: Stage, reason: str) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    stage.bigquery.fail_next_job(reason)

    handed_back = load_shard.receive(announce(stage))

    assert handed_back == 503
    assert stage.published("dead-letters") == []
    assert failed(stage.run_id) not in stage.files()


def test_an_earlier_days_shard_without_rows_is_filled(stage: Stage) -> None:
    stage.load(stage.shard("orders_20260115"), rows="")
    put_pair(stage, "1\n", columns=[ID | {"mode": "NULLABLE"}])
    load_shard = stage.function("load_shard")

    status = load_shard.receive(announce(stage, replace=False))

    assert status == 200
    assert rows(stage) == [(1,)]


def test_an_earlier_days_shard_that_gets_rows_meanwhile_is_kept(stage: Stage, log: Log) -> None:
    put_pair(stage)
    load_shard = stage.function("load_shard")
    before_job(stage, lambda: stage.load(stage.shard("orders_20260115"), rows="7\n"))

    status = load_shard.receive(announce(stage, replace=False))

    [line] = log()
    assert (status, line["outcome"], line["severity"]) == (200, "skipped", "WARNING")
    assert rows(stage) == [(7,)]
    assert f"billing/_runs/{stage.run_id}/skipped/orders.json" in stage.files()
    assert stage.published("dead-letters") == []
