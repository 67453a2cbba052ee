"""Which load job decides about a pair."""

import hashlib
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from shared.errors import HandBack
from shared.loading import attempts
from shared.loading.attempts import LoadJob
from shared.messages.exports import TableExported
from shared.pipelines import Pipeline
from shared.runs import schema_file
from shared.runs.schema_file import Seal
from tests.support.billing import BILLING, DAY, REQUESTED_AT

SECOND = timedelta(seconds=1)
EXPORTED = TableExported(
    run_id="9912",
    requested_at=REQUESTED_AT,
    pipeline=BILLING,
    schema="public",
    table="orders",
    table_id="orders",
    shard_date=DAY,
    replace=True,
    schema_uri="gs://p-mirror/s",
    data_uri="gs://p-mirror/d",
    format="csv",
)
SEAL = Seal("9912", REQUESTED_AT, REQUESTED_AT, EXPORTED.data_uri, 1, "csv")


@dataclass
class Jobs:
    """BigQuery's load jobs: those that earlier deliveries have begun, and what becomes of the next."""

    earlier: tuple[LoadJob, ...] = ()
    reason: str | None = None
    loaded: list[tuple[str, str]] = field(default_factory=list)

    def load(self, job_id: str, pair: str, exported: TableExported, seal: Seal) -> LoadJob:
        assert (exported, seal) == (EXPORTED, SEAL)
        self.loaded.append((job_id, pair))
        begun = self.begun(job_id, exported.pipeline)
        return begun or LoadJob(job_id, pair, REQUESTED_AT + SECOND, existed=False, rows=7, reason=self.reason)

    def begun(self, job_id: str, pipeline: Pipeline) -> LoadJob | None:
        assert pipeline == EXPORTED.pipeline
        return next((job for job in self.earlier if job.job_id == job_id), None)


def begun(attempt: int, reason: str | None = None, after: timedelta = SECOND) -> LoadJob:
    """An attempt that an earlier delivery has begun, and that ended so long after the message was published."""
    job_id, pair = attempts.job_id("9912", "orders", attempt), schema_file.pair_of("9912", "orders")
    return LoadJob(job_id, pair, REQUESTED_AT + after, existed=True, reason=reason)


def deciding(jobs: Jobs) -> LoadJob:
    return attempts.deciding_job(EXPORTED, SEAL, REQUESTED_AT, jobs)


def test_the_ids_of_attempts_are_what_the_contract_says() -> None:
    pair = hashlib.sha256(b"9912/orders").hexdigest()[:32]

    assert schema_file.pair_of("9912", "orders") == pair
    assert attempts.job_id("9912", "orders", 2) == f"mirror_{pair}_2"


def test_the_first_attempt_loads_the_pair() -> None:
    jobs = Jobs()

    assert deciding(jobs).rows == 7
    assert jobs.loaded == [(begun(1).job_id, begun(1).pair)]


def test_what_an_earlier_delivery_has_loaded_decides() -> None:
    assert deciding(Jobs((begun(1),))) == begun(1)


def test_what_bigquery_refuses_decides() -> None:
    assert deciding(Jobs((begun(1, "invalid"),))) == begun(1, "invalid")
    assert deciding(Jobs(reason="invalid")).reason == "invalid"


def test_a_failure_that_passes_is_handed_back_and_passed_over_the_next_time() -> None:
    with pytest.raises(HandBack, match="backendError") as caught:
        deciding(Jobs((begun(1, "timeout"),), reason="backendError"))

    assert caught.value.operation == begun(2).job_id
    assert deciding(Jobs((begun(1, "timeout"), begun(2, "backendError")))).job_id == begun(3).job_id


def test_a_replay_passes_over_what_failed_before_it_was_published() -> None:
    assert deciding(Jobs((begun(1, "invalid", -SECOND),))).job_id == begun(2).job_id
    assert deciding(Jobs((begun(1, None, -SECOND),))).job_id == begun(1).job_id


def test_the_last_attempt_that_filled_the_shard_is_found() -> None:
    jobs = Jobs((begun(1), replace(begun(2), pair="later"), begun(3, "stopped")))

    assert attempts.last_filling("9912", EXPORTED, jobs) == (3, jobs.earlier[1])
    assert attempts.last_filling("9913", EXPORTED, jobs) == (0, None)
    assert jobs.loaded == []
