"""The audit log's entries of jobs that ran, and the events made of them."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core.exceptions import GoogleAPICallError
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.cloud.storage import Client as Files

from local.audit_log import LogEntry, cloud_event, entries
from local.bigquery import BigQuery, JobDone
from local.storage import Storage

SCHEMA = [bigquery.SchemaField("a", "STRING", description="a letter")]
REPLACE = bigquery.LoadJobConfig(schema=SCHEMA, write_disposition="WRITE_TRUNCATE", labels={"run": "1"})

Run = Callable[[Callable[[bigquery.Client], Any]], list[LogEntry]]


@pytest.fixture(name="log")
def logging() -> Iterator[Run]:
    """Does something with a client, and answers the entries of the jobs that it started."""
    anonymous = AnonymousCredentials()
    done: list[JobDone] = []
    with Storage() as emulator, BigQuery("p", emulator.url, on_job=done.append) as service:
        emulator.create_bucket("files")
        files = Files("p", credentials=anonymous, client_options={"api_endpoint": emulator.url})
        files.bucket("files").blob("two.csv").upload_from_string("x\ny\n")
        files.bucket("files").blob("none.csv").upload_from_string("")
        client = bigquery.Client(
            "p", credentials=anonymous, client_options={"api_endpoint": service.url}, location="europe-west1"
        )
        client.create_dataset("d")

        def run(act: Callable[[bigquery.Client], Any]) -> list[LogEntry]:
            act(client)
            service.stop()
            return [entry for each in done for entry in entries(each)]

        yield run
        client.close()
        files.close()


def load(client: bigquery.Client, job_id: str = "j", uri: str | list[str] = "gs://files/two.csv") -> None:
    client.load_table_from_uri(uri, "p.d.t_20261122", job_id=job_id, job_config=REPLACE).result()


def metadata(entry: LogEntry) -> Any:
    return entry["protoPayload"]["metadata"]


def test_a_load_into_a_new_table_leaves_four_entries(log: Run) -> None:
    found = log(load)

    assert [next(name for name in metadata(entry) if name != "@type") for entry in found] == [
        "jobInsertion",
        "tableCreation",
        "tableDataChange",
        "jobChange",
    ]
    assert [entry["logName"].rpartition("%2F")[2] for entry in found] == [
        "data_access",
        "activity",
        "data_access",
        "data_access",
    ]
    assert [entry["resource"]["type"] for entry in found] == [
        "bigquery_project",
        "bigquery_dataset",
        "bigquery_dataset",
        "bigquery_project",
    ]
    assert [entry["protoPayload"]["resourceName"] for entry in found] == [
        "projects/p/jobs/j",
        "projects/p/datasets/d/tables/t_20261122",
        "projects/p/datasets/d/tables/t_20261122",
        "projects/p/jobs/j",
    ]
    assert len({entry["insertId"] for entry in found}) == 4


def test_a_load_into_an_old_table_creates_none(log: Run) -> None:
    def twice(client: bigquery.Client) -> None:
        load(client, "one")
        load(client, "two")

    assert sum("tableCreation" in metadata(entry) for entry in log(twice)) == 1


def test_the_end_of_a_load_tells_what_was_loaded_where(log: Run) -> None:
    end = log(load)[-1]

    change = metadata(end)["jobChange"]
    assert (change["before"], change["after"]) == ("RUNNING", "DONE")
    job = change["job"]
    assert job["jobName"] == "projects/p/jobs/j"
    assert json.loads(job["jobConfig"]["loadConfig"].pop("schemaJson"))["fields"][0]["description"] == "a letter"
    assert job["jobConfig"] == {
        "type": "IMPORT",
        "labels": {"run": "1"},
        "loadConfig": {
            "sourceUris": ["gs://files/two.csv"],
            "destinationTable": "projects/p/datasets/d/tables/t_20261122",
            "createDisposition": "CREATE_IF_NEEDED",
            "writeDisposition": "WRITE_TRUNCATE",
        },
    }
    assert job["jobStatus"] == {"jobState": "DONE"}
    assert job["jobStats"]["loadStats"] == {"totalOutputBytes": "6"}
    assert job["jobStats"].keys() == {"createTime", "startTime", "endTime", "loadStats"}
    assert end["resource"] == {
        "type": "bigquery_project",
        "labels": {"project_id": "p", "location": "europe-west1"},
    }
    assert end["operation"]["last"]
    assert end["severity"] == "INFO"
    assert end["protoPayload"]["methodName"] == "google.cloud.bigquery.v2.JobService.InsertJob"


def test_the_start_of_a_job_is_no_end(log: Run) -> None:
    start = log(load)[0]

    insertion = metadata(start)["jobInsertion"]
    assert insertion["reason"] == "JOB_INSERT_REQUEST"
    assert insertion["job"]["jobStatus"] == {"jobState": "RUNNING"}
    assert "endTime" not in insertion["job"]["jobStats"]
    assert start["operation"]["first"]


def test_rows_are_counted_in_text_and_none_not_at_all(log: Run) -> None:
    def both(client: bigquery.Client) -> None:
        load(client, "one")
        load(client, "none", "gs://files/none.csv")

    changes = [metadata(entry)["tableDataChange"] for entry in log(both) if "tableDataChange" in metadata(entry)]

    assert changes == [
        {"insertedRowsCount": "2", "truncated": True, "reason": "JOB", "jobName": "projects/p/jobs/one"},
        {"truncated": True, "reason": "JOB", "jobName": "projects/p/jobs/none"},
    ]


def test_a_failed_load_ends_with_its_error_and_changed_nothing(log: Run) -> None:
    def fail(client: bigquery.Client) -> None:
        with pytest.raises(GoogleAPICallError):
            load(client, uri="gs://files/missing.csv")

    start, end = log(fail)

    assert "jobInsertion" in metadata(start)
    status = metadata(end)["jobChange"]["job"]["jobStatus"]
    assert status["jobState"] == "DONE"
    assert status["errorResult"] == {"code": 5, "message": "Not found: URI gs://files/missing.csv"}
    assert (end["severity"], end["protoPayload"]["status"]) == ("ERROR", status["errorResult"])


def test_a_copy_names_its_sources(log: Run) -> None:
    def copy(client: bigquery.Client) -> None:
        load(client)
        client.copy_table("p.d.t_20261122", "p.d.copy", job_id="c").result()

    found = [entry for entry in log(copy) if "projects/p/jobs/c" in json.dumps(entry)]

    assert len(found) == 4
    assert metadata(found[-1])["jobChange"]["job"]["jobConfig"] == {
        "type": "COPY",
        "tableCopyConfig": {
            "destinationTable": "projects/p/datasets/d/tables/copy",
            "createDisposition": "CREATE_IF_NEEDED",
            "sourceTables": ["projects/p/datasets/d/tables/t_20261122"],
            "operationType": "COPY",
            "writeDisposition": "WRITE_EMPTY",
        },
    }


def test_queries_leave_a_start_and_an_end_under_the_method_that_started_them(log: Run) -> None:
    def ask(client: bigquery.Client) -> None:
        client.query("SELECT 1 AS one").result()
        client.query_and_wait("SELECT 1 AS one")

    found = log(ask)

    assert [entry["protoPayload"]["methodName"].rpartition(".")[2] for entry in found] == [
        "InsertJob",
        "InsertJob",
        "Query",
        "Query",
    ]
    config = metadata(found[1])["jobChange"]["job"]["jobConfig"]
    assert config["type"] == "QUERY"
    assert (config["queryConfig"]["query"], config["queryConfig"]["statementType"]) == ("SELECT 1 AS one", "SELECT")


def test_an_entry_that_would_be_too_long_says_only_what_job_it_is_of(log: Run) -> None:
    def many(client: bigquery.Client) -> None:
        with pytest.raises(GoogleAPICallError):
            load(client, uri=["gs://files/missing.csv"] * 6000)

    found = log(many)

    assert all(metadata(entry).keys() == {"@type"} for entry in found)
    assert found[-1]["protoPayload"]["resourceName"] == "projects/p/jobs/j"


def test_an_event_says_in_its_headers_what_triggers_filter_by(log: Run) -> None:
    entry = log(load)[-1]

    headers, body = cloud_event(entry)

    assert body == entry
    assert headers.pop("ce-id").endswith(entry["insertId"])
    assert headers.pop("ce-time") == entry["timestamp"]
    assert headers == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-type": "google.cloud.audit.log.v1.written",
        "ce-source": "//cloudaudit.googleapis.com/projects/p/logs/data_access",
        "ce-subject": "bigquery.googleapis.com/projects/p/jobs/j",
        "ce-servicename": "bigquery.googleapis.com",
        "ce-methodname": "google.cloud.bigquery.v2.JobService.InsertJob",
        "ce-resourcename": "projects/p/jobs/j",
    }
