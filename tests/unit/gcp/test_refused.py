"""What the adapters make of calls that are refused, or not answered, and of jobs that have not ended."""

from collections.abc import Iterator
from contextlib import closing

import google.cloud.storage as storage
import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.cloud import bigquery

from local.bigquery import BigQuery as Warehouse
from local.rest import ApiError, Fault
from local.server import Answer, Answering, Call, HangUp
from shared.errors import Busy, Denied, HandBack, Permanent
from shared.gcp.bigquery import BigQuery
from shared.gcp.bigquery_ledger import BigQueryLedger
from shared.gcp.bigquery_loads import BigQueryLoads
from shared.gcp.bigquery_views import BigQueryViews
from shared.gcp.storage import Bucket
from shared.refreshing.bigquery_events import Truncated
from tests.support.billing import BILLING
from tests.support.faults import is_to, told_otherwise
from tests.support.interposed import interposed
from tests.support.standins import NOBODY, PROJECT, StandIns

OPS = "refused_ops"
SPENT = ApiError(403, "quotaExceeded", "Quota exceeded.")


@pytest.fixture(scope="module")
def warehouse(standins: StandIns) -> Iterator[Warehouse]:
    """With the datasets of the ledger and of a pipeline."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("BIGQUERY_EMULATOR_HOST", standins.tables.url)
        with bigquery.Client(PROJECT, NOBODY) as client:
            for dataset in (OPS, BILLING.shards_dataset):
                client.create_dataset(dataset)
        yield standins.tables


@pytest.fixture
def bucket(standins: StandIns) -> Iterator[Bucket]:
    """A bucket whose calls are made once."""
    options = {"api_endpoint": standins.objects.url}
    with closing(storage.Client(PROJECT, NOBODY, client_options=options)) as client:
        yield Bucket(client.bucket("elsewhere"), {"timeout": 5, "retry": None})


@pytest.mark.usefixtures("warehouse", "credentials")
def test_a_dataset_that_is_not_there_has_no_list_of_tables() -> None:
    with pytest.raises(Permanent, match="the list of nowhere"):
        BigQuery(PROJECT).tables("nowhere")


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("reason", "error", "said"),
    [
        ("invalid", Permanent, "BigQuery refuses the lines"),
        ("accessDenied", Denied, "BigQuery refuses the load"),
        ("backendError", Busy, "BigQuery cannot load the lines now"),
    ],
)
def test_a_job_of_the_ledger_that_fails_is_told_by_what_it_asks_for(
    warehouse: Warehouse, reason: str, error: type[Exception], said: str
) -> None:
    warehouse.fail_next_job(reason)

    with pytest.raises(error, match=said):
        BigQueryLedger(PROJECT, OPS).append(f"ledger_{reason}", [{"run_id": "9912"}])


@pytest.mark.usefixtures("credentials")
def test_a_ledger_whose_quota_is_spent_is_tried_again(warehouse: Warehouse) -> None:
    warehouse.plan("bigquery.datasets.get", Fault(SPENT))

    with pytest.raises(Busy, match="quotaExceeded"):
        BigQueryLedger(PROJECT, OPS).append("ledger_spent", [])


@pytest.mark.usefixtures("credentials")
def test_a_ledger_that_answers_what_nobody_expects_is_tried_again(warehouse: Warehouse) -> None:
    def answer(call: Call, answering: Answering) -> Answer:
        return Answer(501, b"{}") if "/upload/" in call.target else answering(call)

    with interposed(answer, warehouse.server), pytest.raises(Busy, match="does not answer: MethodNotImplemented"):
        BigQueryLedger(PROJECT, OPS).append("ledger_unexpected", [{"run_id": "9912"}])


@pytest.mark.usefixtures("credentials")
def test_a_load_that_cannot_be_looked_at_now_is_looked_at_later(warehouse: Warehouse) -> None:
    """And one that may not be looked at was begun by somebody else."""
    loads = BigQueryLoads(PROJECT)
    warehouse.plan("bigquery.jobs.get", Fault(SPENT), Fault(ApiError(403, "accessDenied", "Access Denied.")))

    with pytest.raises(HandBack, match="a look at the job mirror_1"):
        loads.begun("mirror_1", BILLING)
    assert loads.begun("mirror_1", BILLING) is None


@pytest.mark.usefixtures("credentials")
def test_a_load_that_goes_on_is_waited_for_by_the_next_delivery(warehouse: Warehouse) -> None:
    table = f"{PROJECT}.{BILLING.shards_dataset}.long"
    columns = bigquery.LoadJobConfig(schema=[bigquery.SchemaField("id", "INTEGER")])
    goes_on = told_otherwise(warehouse.server, is_to("GET", "/jobs/mirror_2"), status={"state": "RUNNING"})
    with bigquery.Client(PROJECT, NOBODY) as client:
        client.load_table_from_json([{"id": 1}], table, job_id="mirror_2", location="US", job_config=columns)

    with goes_on, pytest.raises(HandBack, match="the load job mirror_2 goes on") as caught:
        BigQueryLoads(PROJECT, wait=0).begun("mirror_2", BILLING)
    ended = BigQueryLoads(PROJECT).begun("mirror_2", BILLING)

    assert caught.value.operation == "mirror_2"
    assert ended
    assert (ended.rows, ended.existed, ended.failed) == (1, True, False)


@pytest.mark.usefixtures("warehouse", "credentials")
def test_a_query_has_written_no_shard() -> None:
    with bigquery.Client(PROJECT, NOBODY) as client:
        job = client.query("SELECT 1")
        job.result()

    assert BigQueryViews(PROJECT).table_written(Truncated(PROJECT, job.job_id, job.location)) is None


def test_an_object_whose_generation_the_answer_does_not_say_is_asked_for_it(bucket: Bucket, standins: StandIns) -> None:
    dropped: list[int] = []

    def answer(call: Call, answering: Answering) -> Answer:
        given = answering(call)
        told = {name: value for name, value in given.headers.items() if name.casefold() != "x-goog-generation"}
        dropped.append(len(given.headers) - len(told))
        return Answer(given.status, given.body, told)

    bucket.write("plain", b"content", 0)
    known = bucket.stat("plain")
    with interposed(answer, standins.objects.server):
        found = bucket.read("plain")

    assert known
    assert found == (b"content", known.generation)
    assert dropped == [1, 0]  # of the content, and of what was asked then


def test_storage_that_does_not_answer_is_busy(bucket: Bucket, standins: StandIns) -> None:
    def answer(_: Call, __: Answering) -> Answer:
        raise HangUp

    with interposed(answer, standins.objects.server), pytest.raises(Busy, match="cannot serve gs://elsewhere/plain"):
        bucket.read("plain")


def test_a_refusal_of_storage_that_nobody_expects_is_raised_as_it_is(bucket: Bucket, standins: StandIns) -> None:
    with (
        interposed(lambda _, __: Answer(451, b"{}"), standins.objects.server),
        pytest.raises(GoogleAPICallError, match="451"),
    ):
        bucket.read("plain")
