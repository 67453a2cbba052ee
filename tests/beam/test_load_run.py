"""The file contract, read by somebody else: a run of the local cloud is loaded by a Beam pipeline that knows nothing of ours."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime
from datetime import time as clock
from decimal import Decimal
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from local import beam
from local.cloud import PROJECT, Cloud
from local.dataflow import ACTIVE, CANCELLED, DONE, FAILED, Launch
from local.postgres import Postgres
from local.server import Answer, Answering, Call
from shared.times import stamp

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not beam.PYTHON.exists(), reason="there is no .venv-beam: `make test-beam` makes it"),
    # The local cloud looks at its dead letters without waiting, which is what the flag is for.
    pytest.mark.filterwarnings("ignore:The return_immediately flag is deprecated:DeprecationWarning"),
]

PATIENCE = 180.0  # seconds for a run to be loaded: Beam alone takes some to start
FORMATS = ("csv", "ndjson")
SOURCE = (
    """CREATE TABLE orders (
        id bigint PRIMARY KEY, note text, total numeric(12,2), wide numeric(50,20), weight double precision, paid boolean,
        photo bytea, tags text[], details jsonb, placed timestamptz, written timestamp, day date, hour time)""",
    """INSERT INTO orders VALUES
        (9223372036854775807, E'a,"b"\\nc\\r\\n\\\\d\\té', 12.50, -0.00000000000000000001, 1.1, true,
         '\\x00ff', '{x,NULL,"y,z"}', '{"a": [1, null], "b": "c,\\"d"}', '2026-01-15 01:02:03.5+01', '2026-01-15 01:02:03.5',
         '0001-01-01', '23:59:59.999999'),
        (2, '', 0, NULL, 'NaN', false, '', '{}', '[]', NULL, NULL, NULL, NULL),
        (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)""",
    'CREATE TABLE "Refund Log" ("Refund Id" int NOT NULL, "1st" text)',
    """INSERT INTO "Refund Log" VALUES (7, '"')""",
    "CREATE TABLE notes (note text)",
    "INSERT INTO notes VALUES ('x'), (NULL), ('')",
    "CREATE TABLE empty (id int, note text)",
)
TABLES = {"orders", "Refund_Log", "notes", "empty"}


class Scio:
    """The team's own job, which Beam does; while it is held it only says that it was done."""

    def __init__(self, log: Path) -> None:
        self._work = beam.job(log)
        self.is_held = False
        self.launches: list[Launch] = []

    def __call__(self, environ: Mapping[str, str], launch: Launch, stopping: Event) -> str:
        self.launches.append(launch)
        return DONE if self.is_held else self._work(environ, launch, stopping)


@pytest.fixture(scope="module")
def scio(tmp_path_factory: pytest.TempPathFactory) -> Scio:
    return Scio(tmp_path_factory.mktemp("beam") / "beam.log")


@pytest.fixture(scope="module")
def cloud(scio: Scio, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A pipeline for each format, each on an instance of its own."""
    with Postgres() as server:
        server.create("shop")
        with closing(server.connect("shop")) as connection:
            for statement in SOURCE:
                connection.run(statement)
        pipelines = {each: pipeline(each, server) for each in FORMATS}
        instances = {each["instance"]: server.connect for each in pipelines.values()}
        with Cloud(pipelines, instances, tmp_path_factory.mktemp("cloud"), job=scio) as running:
            yield running
            assert [
                *running.admin.faults,
                *running.bigquery.faults,
                *running.dataflow.faults,
                *running.storage.faults,
            ] == []


def pipeline(form: str, server: Postgres) -> dict[str, Any]:
    return {
        "instance": f"{PROJECT}:europe-west1:{form}-db",
        "database": "shop",
        "user": server.user,
        "host": server.host,
        "bucket": f"{form}-mirror",
        "shards_dataset": f"{form}_shards",
        "views_dataset": form,
        "format": form,
        "loader": "scio",
        "dataflow": {"template": "gs://templates/load_run.json", "region": "europe-west1"},
    }


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.1)


def views(cloud: Cloud, dataset: str) -> dict[str, str]:
    """The views of a dataset, and the shard that each shows."""
    with cloud.warehouse() as client:
        names = [table.table_id for table in client.list_tables(f"{PROJECT}.{dataset}")]
        queries = {name: client.get_table(f"{PROJECT}.{dataset}.{name}").view_query for name in names}
    return {name: query.rpartition(".")[2].rstrip("`") for name, query in queries.items()}


def shards(cloud: Cloud, dataset: str) -> set[str]:
    with cloud.warehouse() as client:
        return {table.table_id for table in client.list_tables(f"{PROJECT}.{dataset}")}


def rows(cloud: Cloud, view: str) -> list[tuple[Any, ...]]:
    with cloud.warehouse() as client:
        return [row.values() for row in client.query_and_wait(f"SELECT * FROM `{PROJECT}.{view}` ORDER BY 1")]


def of_day(date: str) -> dict[str, str]:
    """What the views show when they show that day."""
    return {table: f"{table}_{date}" for table in TABLES}


def launched(cloud: Cloud, scio: Scio, pipeline: str, day: str) -> Launch:
    """Ask for a mirror of that day, and give the launch of its job when that has ended well."""
    run_id = cloud.publish("mirror-requests", {"pipeline": pipeline, "shard_date": day})

    def states() -> list[str]:
        return [job["currentState"] for job in cloud.dataflow.jobs if job["name"].endswith(f"-{run_id}")]

    wait_for(lambda: bool(states()) and states()[0] not in ACTIVE)
    assert states() == [DONE]
    wait_for(cloud.is_idle)
    [launch] = [each for each in scio.launches if each.name.endswith(f"-{run_id}")]
    return launch


@pytest.mark.parametrize("form", FORMATS)
def test_every_value_arrives_as_it_was(cloud: Cloud, scio: Scio, form: str) -> None:
    scio.is_held = False

    launch = launched(cloud, scio, form, "2026-01-15")

    wait_for(lambda: views(cloud, form) == of_day("20260115"))
    empty, null, full = rows(cloud, f"{form}.orders")
    placed = datetime(2026, 1, 15, 0, 2, 3, 500_000, tzinfo=UTC)
    assert empty[:4] == (2, "", Decimal(0), None)
    assert math.isnan(empty[4])
    assert empty[5:] == (False, b"", [], [], None, None, None, None)
    assert null == (3, *[None] * 12)
    assert full == (
        9223372036854775807,
        'a,"b"\nc\r\n\\d\té',
        Decimal("12.50"),
        Decimal("-0.00000000000000000001"),
        1.1,
        True,
        b"\x00\xff",
        ["x", None, "y,z"],
        {"a": [1, None], "b": 'c,"d'},
        placed,
        datetime(2026, 1, 15, 1, 2, 3, 500_000),  # noqa: DTZ001 - a DATETIME has no zone
        date(1, 1, 1),
        clock(23, 59, 59, 999_999),
    )
    assert rows(cloud, f"{form}.notes") == [(None,), ("",), ("x",)]
    assert rows(cloud, f"{form}.Refund_Log") == [(7, '"')]
    assert rows(cloud, f"{form}.empty") == []
    assert launch.labels == {"mirror_pipeline": form}


def test_a_run_is_loaded_by_one_job_and_by_nobody_else(cloud: Cloud, scio: Scio) -> None:
    scio.is_held = False
    launch = launched(cloud, scio, "csv", "2026-01-16")

    [loaded] = [each for each in beam.loaded(cloud) if each.job == launch.name]
    with cloud.warehouse() as client:
        jobs = [job for job in client.list_jobs() if job.destination.table_id.endswith("_20260116")]
    by_job = [job.job_id for job in jobs if launch.name.replace("-", "") in job.job_id]
    assert (loaded.launches, loaded.shards, loaded.state) == (1, len(TABLES), DONE)
    assert len(by_job) == len(jobs) == len(TABLES)
    assert "load_shard" not in {line["function"] for line in cloud.log()}
    assert cloud.dead_letters() == []


def test_the_views_follow_the_load_jobs_of_beam_over_several_days(cloud: Cloud, scio: Scio, tmp_path: Path) -> None:
    """The jobs' events alone tell of them: Dataflow says that it was done before Beam has begun. The last day is late."""
    scio.is_held = True
    work = beam.job(tmp_path / "beam.log")
    seen = []

    for day in ("2026-02-14", "2026-02-16", "2026-02-15"):
        launch = launched(cloud, scio, "ndjson", day)
        before = views(cloud, "ndjson")
        assert work(cloud.environ, launch, Event()) == DONE
        wait_for(cloud.is_idle)
        assert set(of_day(stamp(date.fromisoformat(day))).values()) <= shards(cloud, "ndjson_shards")
        seen.append((before, views(cloud, "ndjson")))

    first, second = of_day("20260214"), of_day("20260216")
    assert [after for _, after in seen] == [first, second, second]
    assert [before for before, _ in seen[1:]] == [first, second]


def test_a_job_that_cannot_read_its_run_fails_and_moves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    parameters = {
        "manifest": "gs://csv-mirror/nowhere/manifest.json",
        "files": "gs://csv-mirror/",
        "shardDate": "2026-03-01",
    }
    launch = Launch("1", "mirror-csv-20260301-1", "gs://t/t", parameters | {"dataset": f"{PROJECT}:csv_shards"}, {})
    before = views(cloud, "csv")

    state = beam.job(tmp_path / "log")(cloud.environ, launch, Event())

    assert state == FAILED
    assert views(cloud, "csv") == before
    assert "Traceback" in (tmp_path / "log").read_text(encoding="utf-8")


def test_a_job_that_hangs_ends_when_its_service_stops(cloud: Cloud, tmp_path: Path) -> None:
    hangs, released, stopping = Event(), Event(), Event()
    parameters = {
        "manifest": "gs://csv-mirror/m",
        "files": "gs://csv-mirror/",
        "shardDate": "2026-03-01",
        "dataset": "p:d",
    }
    launch = Launch("1", "mirror-csv-20260301-2", "gs://t/t", parameters, {})

    def hang(call: Call, answering: Answering) -> Answer:
        hangs.set()
        released.wait(PATIENCE)
        return answering(call)

    cloud.storage.server.between = hang
    with ThreadPoolExecutor() as pool:
        job = pool.submit(beam.job(tmp_path / "log"), cloud.environ, launch, stopping)
        assert hangs.wait(PATIENCE)
        stopping.set()
        state = job.result(PATIENCE / 2)
        released.set()
    cloud.storage.server.between = None

    assert state == CANCELLED
