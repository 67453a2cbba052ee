"""What an entry of BigQuery's audit log says."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Permanent
from shared.refreshing import bigquery_events
from shared.refreshing.bigquery_events import TableWritten, Truncated

JOB = "projects/my-project/jobs/mirror_1"
SHARD = "projects/my-project/datasets/mirror_shards/tables/orders_20261122"
CONFIGS = {"IMPORT": "loadConfig", "COPY": "tableCopyConfig", "QUERY": "queryConfig", "EXPORT": "extractConfig"}


def entry(metadata: dict[str, Any] | None, **payload: Any) -> dict[str, Any]:
    said = {"methodName": "google.cloud.bigquery.v2.JobService.InsertJob", "resourceName": JOB} | payload
    return {
        "protoPayload": said | ({} if metadata is None else {"metadata": metadata}),
        "resource": {"type": "bigquery_project", "labels": {"project_id": "my-project", "location": "EU"}},
        "severity": "INFO",
    }


def ended(
    kind: str = "IMPORT", destination: str = SHARD, after: str = "DONE", job: str = JOB, **status: Any
) -> dict[str, Any]:
    config = {"type": kind, CONFIGS[kind]: {"destinationTable": destination}}
    status = {"jobState": after} | status
    change = {"before": "RUNNING", "after": after, "job": {"jobName": job, "jobConfig": config, "jobStatus": status}}
    return entry({"jobChange": change})


@pytest.mark.parametrize("kind", ["IMPORT", "COPY"])
def test_the_end_of_a_load_or_a_copy_says_what_was_written(kind: str) -> None:
    assert bigquery_events.read(ended(kind)) == TableWritten("my-project", "mirror_shards", "orders_20261122")


def test_a_job_that_failed_wrote_nothing_and_says_why() -> None:
    failed = ended(errorResult={"code": 3, "message": "Too many errors"})

    assert bigquery_events.read(failed) == TableWritten(
        "my-project", "mirror_shards", "orders_20261122", "Too many errors"
    )


def test_errors_that_a_job_survived_do_not_count() -> None:
    survived = ended(errors=[{"code": 3, "message": "Bad row"}], errorResult={})

    assert bigquery_events.read(survived) == TableWritten("my-project", "mirror_shards", "orders_20261122", None)


def test_a_destination_of_another_project_is_told_as_it_is() -> None:
    written = bigquery_events.read(ended(destination="projects/example.com:other/datasets/d/tables/größe x_20261122"))

    assert written == TableWritten("example.com:other", "d", "größe x_20261122")


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(entry({"jobInsertion": {"job": {}, "reason": "JOB_INSERT_REQUEST"}}), id="a start"),
        pytest.param(ended(after="RUNNING"), id="a change that is no end"),
        pytest.param(ended("QUERY"), id="a query"),
        pytest.param(ended("EXPORT"), id="an extract"),
        pytest.param(ended(job="projects/my-project/jobs/beam_bq_job_SCHEMA_UPDATE_x_00000-0"), id="a load of no rows"),
        pytest.param(entry({"tableCreation": {}}, resourceName=SHARD), id="a table's creation"),
        pytest.param(entry({"tableDataChange": {}}, resourceName=SHARD), id="a table's data"),
        pytest.param(entry(None, resourceName=SHARD), id="a table's entry that is truncated"),
        pytest.param(entry(None, methodName="google.cloud.bigquery.v2.TableService.PatchTable"), id="a patch"),
        pytest.param(entry(None, methodName="google.cloud.bigquery.v2.JobService.Query"), id="a query of another kind"),
        pytest.param(entry(None) | {"severity": "ERROR"}, id="a job that was refused"),
        pytest.param({"protoPayload": {}}, id="an entry that says nothing"),
    ],
)
def test_what_says_nothing_here_is_none(said: dict[str, Any]) -> None:
    assert bigquery_events.read(said) is None


@pytest.mark.parametrize(
    "metadata", [None, {}, {"@type": "type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata"}]
)
def test_an_entry_that_lost_what_it_says_names_its_job(metadata: dict[str, Any] | None) -> None:
    assert bigquery_events.read(entry(metadata)) == Truncated("my-project", "mirror_1", "EU")


def test_a_truncated_entry_need_not_know_the_location() -> None:
    said = entry(None)
    del said["resource"]

    assert bigquery_events.read(said) == Truncated("my-project", "mirror_1", None)


@pytest.mark.parametrize(
    "said",
    [
        None,
        "text",
        b"bytes",
        [],
        {},
        {"protoPayload": None},
        entry({"jobChange": {"after": "DONE"}}),
        entry(None, resourceName=7),
    ],
)
def test_what_is_no_entry_is_malformed(said: Any) -> None:
    with pytest.raises(Permanent, match="malformed audit log entry"):
        bigquery_events.read(said)


def paths(value: Any, at: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    inner = [path for key, item in value.items() for path in paths(item, (*at, key))] if isinstance(value, dict) else []
    return [at, *inner] if at else inner


_JUNK = st.none() | st.integers() | st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text())


@given(st.sampled_from(paths(ended(errorResult={"message": "x"}))), _JUNK)
def test_whatever_stands_in_an_entry_it_is_read_or_malformed(path: tuple[str, ...], junk: Any) -> None:
    said = copy.deepcopy(ended(errorResult={"message": "x"}))
    place = said
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = junk

    try:
        found = bigquery_events.read(said)
    except Permanent:
        return
    assert found is None or isinstance(found, TableWritten | Truncated)


def completed(kind: str = "load", state: str = "DONE", job_id: str = "mirror_1", **error: Any) -> dict[str, Any]:
    """The end of a job in the older form."""
    table = {"projectId": "my-project", "datasetId": "mirror_shards", "tableId": "orders_20261122"}
    job = {
        "jobName": {"projectId": "my-project", "jobId": job_id, "location": "EU"},
        "jobConfiguration": {kind: {"destinationTable": table}},
        "jobStatus": {"state": state, "error": error},
    }
    return {
        "protoPayload": {
            "methodName": "jobservice.jobcompleted",
            "serviceData": {"jobCompletedEvent": {"eventName": f"{kind}_job_completed", "job": job}},
        }
    }


@pytest.mark.parametrize("kind", ["load", "tableCopy"])
def test_the_older_form_says_what_was_written(kind: str) -> None:
    assert bigquery_events.read(completed(kind)) == TableWritten("my-project", "mirror_shards", "orders_20261122")


def test_the_older_form_says_why_a_job_failed() -> None:
    found = bigquery_events.read(completed(code=3, message="Too many errors"))

    assert found == TableWritten("my-project", "mirror_shards", "orders_20261122", "Too many errors")


@pytest.mark.parametrize(
    "said",
    [
        completed("query"),
        completed("extract"),
        completed(state="RUNNING"),
        completed(job_id="beam_bq_job_SCHEMA_UPDATE_x_00000-0"),
    ],
    ids=["a query", "an export", "a job that runs", "a load of no rows"],
)
def test_the_older_form_of_other_jobs_is_none(said: dict[str, Any]) -> None:
    assert bigquery_events.read(said) is None


@given(st.sampled_from(paths(completed(message="x"))), _JUNK)
def test_whatever_stands_in_the_older_form_it_is_read_or_malformed(path: tuple[str, ...], junk: Any) -> None:
    said = completed(message="x")
    place = said
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = junk

    try:
        found = bigquery_events.read(said)
    except Permanent:
        return
    assert found is None or isinstance(found, TableWritten | Truncated)
