"""Jobs: their ids, their states, their locations, copies, and the word of their end."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.api_core.exceptions import BadRequest, Conflict, GoogleAPICallError, NotFound, ServiceUnavailable
from google.api_core.retry import Retry, if_exception_type
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as Files

from local.bigquery import BigQuery, JobDone
from local.rest import ApiError, Fault
from local.storage import Storage

ONCE = Retry(predicate=if_exception_type())
LETTER = [bigquery.SchemaField("a", "STRING")]


class World:
    """BigQuery with a file to load, and the jobs that it said were done."""

    def __init__(self, service: BigQuery, client: bigquery.Client, done: list[JobDone]) -> None:
        self.service = service
        self.client = client
        self.done = done

    def load(self, table: str, job_id: str | None = None, **options: Any) -> bigquery.LoadJob:
        """Start to load the file, of two rows, into a table."""
        config = bigquery.LoadJobConfig(schema=LETTER, **options)
        return self.client.load_table_from_uri("gs://files/two.csv", f"p.d.{table}", job_id=job_id, job_config=config)

    def rows(self, table: str) -> list[str]:
        """The values of a table."""
        return [row["a"] for row in self.client.list_rows(self.client.get_table(f"p.d.{table}"))]


@contextmanager
def a_world_where(job_seconds: float = 0.0) -> Iterator[World]:
    anonymous = AnonymousCredentials()
    done: list[JobDone] = []
    with Storage() as emulator, BigQuery("p", emulator.url, on_job=done.append, job_seconds=job_seconds) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        files.bucket("files").blob("two.csv").upload_from_string("x\ny\n")
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        dataset = bigquery.Dataset("p.d")
        dataset.location = "europe-west1"
        client.create_dataset(dataset)
        yield World(service, client, done)
        client.close()
        files.close()
        assert service.faults == []


@pytest.fixture(name="world")
def a_world() -> Iterator[World]:
    with a_world_where() as world:
        yield world


def test_a_job_is_where_its_dataset_is(world: World) -> None:
    job = world.load("t")
    job.result()

    assert (job.location, job.state, job.output_rows) == ("europe-west1", "DONE", 2)
    assert job.created <= job.started <= job.ended


def test_a_regional_job_is_found_by_its_location_alone(world: World) -> None:
    job = world.load("t", "mine").result()

    assert world.client.get_job("mine", location="europe-west1").job_id == job.job_id
    for location in (None, "EU"):
        with pytest.raises(NotFound, match="Not found: Job p:"):
            world.client.get_job("mine", location=location)


def test_a_job_of_the_multi_regions_is_found_without_location(world: World) -> None:
    world.client.query("SELECT 1", job_id="there", location="EU", job_retry=None).result()

    assert world.client.get_job("there").location == "EU"


def test_a_job_elsewhere_than_its_dataset_finds_nothing(world: World) -> None:
    with pytest.raises(NotFound, match="not found in location US"):
        world.client.load_table_from_uri("gs://files/two.csv", "p.d.t", location="US")


def test_the_same_id_runs_once(world: World) -> None:
    world.load("t", "once").result()

    with pytest.raises(Conflict, match=r"Already Exists: Job p:europe-west1\.once"):
        world.load("t", "once")
    assert world.rows("t") == ["x", "y"]


def test_a_job_takes_time_and_has_no_effect_before_it_is_done() -> None:
    with a_world_where(job_seconds=0.3) as world:
        job = world.load("t")

        assert job.state in ("PENDING", "RUNNING")
        assert world.client.get_job(job.job_id, location=job.location).state == "RUNNING"
        with pytest.raises(NotFound):
            world.client.get_table("p.d.t")
        job.result()
        assert world.rows("t") == ["x", "y"]


def test_a_stand_in_that_stops_waits_for_no_timer() -> None:
    with a_world_where(job_seconds=60) as world:
        world.load("t")
        start = time.monotonic()

    assert time.monotonic() - start < 5


def test_jobs_are_listed_newest_first(world: World) -> None:
    world.load("t", "first").result()
    world.load("t", "second").result()

    assert [job.job_id for job in world.client.list_jobs()] == ["second", "first"]
    assert list(world.client.list_jobs(state_filter="running")) == []


def test_every_job_is_told_of_once_when_its_effect_can_be_seen() -> None:
    seen: list[int] = []
    anonymous = AnonymousCredentials()

    def look(done: JobDone) -> None:
        assert client.get_job(done.job["jobReference"]["jobId"], retry=ONCE).state == "DONE"
        seen.append(client.get_table("p.d.t", retry=ONCE).num_rows)

    with BigQuery("p", "http://127.0.0.1:9", on_job=look) as service:
        client = bigquery.Client("p", credentials=anonymous, client_options={"api_endpoint": service.url})
        client.create_dataset("d")
        client.create_table(bigquery.Table("p.d.empty", LETTER))
        client.copy_table("p.d.empty", "p.d.t").result()
        service.stop()
    client.close()

    assert seen == [0]


def test_what_is_told_says_what_the_job_did(world: World) -> None:
    world.load("t").result()
    world.load("t").result()
    world.client.query("SELECT * FROM d.t").result()
    world.service.stop()

    assert [(done.method, done.created_table, done.rows) for done in world.done] == [
        ("jobs.insert", True, 2),
        ("jobs.insert", False, 2),
        ("jobs.insert", False, 4),
    ]
    assert all(done.job["status"] == {"state": "DONE"} for done in world.done)


def test_a_failed_job_is_told_of_too(world: World) -> None:
    with pytest.raises(BadRequest):
        world.client.load_table_from_uri("gs://files/two.csv", "p.d.t").result()
    world.service.stop()

    (done,) = world.done
    assert done.job["status"]["errorResult"]["reason"] == "invalid"
    assert not done.created_table


def test_a_job_fails_as_a_test_asks(world: World) -> None:
    world.service.fail_next_job("backendError")

    with pytest.raises(GoogleAPICallError, match="backendError"):
        world.load("t").result()
    with pytest.raises(NotFound):
        world.client.get_table("p.d.t")


def test_a_call_that_fails_starts_no_job(world: World) -> None:
    world.service.plan("bigquery.jobs.insert", Fault(ApiError(503, "backendError")))

    with pytest.raises(ServiceUnavailable):
        world.client.load_table_from_uri("gs://files/two.csv", "p.d.t", retry=ONCE)
    assert list(world.client.list_jobs()) == []


def test_extract_jobs_are_refused(world: World) -> None:
    world.load("t").result()

    with pytest.raises(BadRequest, match=r"does not honour configuration\.extract"):
        world.client.extract_table("p.d.t", "gs://files/out.csv")


def copied(world: World, *sources: str, to: str = "copy", **options: Any) -> list[str]:
    config = bigquery.CopyJobConfig(**options)
    world.client.copy_table([f"p.d.{source}" for source in sources], f"p.d.{to}", job_config=config).result()
    return world.rows(to)


def test_a_copy_has_the_rows_of_all_its_sources(world: World) -> None:
    world.load("t").result()

    assert copied(world, "t", "t") == ["x", "y", "x", "y"]


def test_a_copy_onto_rows_is_refused_unless_told_to_replace_or_append(world: World) -> None:
    world.load("t").result()
    copied(world, "t")

    with pytest.raises(Conflict, match=r"Already Exists: Table p:d\.copy"):
        copied(world, "t")
    assert copied(world, "t", write_disposition="WRITE_APPEND") == ["x", "y", "x", "y"]
    assert copied(world, "t", write_disposition="WRITE_TRUNCATE") == ["x", "y"]


def test_a_copy_of_nothing_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match=r"Not found: Table p:d\.nothing"):
        copied(world, "nothing")


@pytest.mark.parametrize(
    ("operation", "source", "kind"),
    [
        ("COPY", "t", "TABLE"),
        ("CLONE", "t", "TABLE"),
        ("SNAPSHOT", "t", "SNAPSHOT"),
        ("COPY", "snapshot", "SNAPSHOT"),
        ("RESTORE", "snapshot", "TABLE"),
    ],
)
def test_a_copy_makes_a_table_or_a_snapshot_as_its_operation_says(
    world: World, operation: str, source: str, kind: str
) -> None:
    world.load("t").result()
    copied(world, "t", to="snapshot", operation_type="SNAPSHOT")

    assert copied(world, source, operation_type=operation) == ["x", "y"]
    assert world.client.get_table("p.d.copy").table_type == kind


@pytest.mark.parametrize(("operation", "source"), [("SNAPSHOT", "snapshot"), ("RESTORE", "t")])
def test_a_copy_out_of_the_wrong_type_is_refused(world: World, operation: str, source: str) -> None:
    world.load("t").result()
    copied(world, "t", to="snapshot", operation_type="SNAPSHOT")

    with pytest.raises(BadRequest, match=r"made of a TABLE|restored from a SNAPSHOT"):
        copied(world, source, operation_type=operation)


def test_a_snapshot_is_no_place_to_write(world: World) -> None:
    world.load("t").result()
    copied(world, "t", to="snapshot", operation_type="SNAPSHOT")

    with pytest.raises(BadRequest, match="currently a SNAPSHOT"):
        copied(world, "t", to="snapshot", write_disposition="WRITE_TRUNCATE")


def test_a_view_is_no_place_to_write(world: World) -> None:
    view = bigquery.Table("p.d.v")
    view.view_query = "SELECT 'x' AS a"
    world.client.create_table(view)

    with pytest.raises(BadRequest, match="currently a VIEW"):
        world.load("v").result()
    with pytest.raises(BadRequest, match="currently a VIEW"):
        copied(world, "v")


def test_two_stand_ins_know_nothing_of_each_other() -> None:
    with a_world_where() as one, a_world_where() as other:
        one.load("t").result()

        assert list(other.client.list_tables("d")) == []
