"""The events that `start` sends: for each function one that makes it call a service, and one that is irrelevant."""

import json
from typing import Any

from bench.deployed import Event, pushed
from local import audit_log
from local.bigquery import JobDone
from local.cloud import PROJECT

_TABLE = {
    "run_id": "9912",
    "requested_at": "2026-11-22T02:00:00Z",
    "pipeline": "bench",
    "schema": "public",
    "table": "orders",
    "shard_date": "2026-11-22",
    "replace": True,
}
_COLUMNS = [{"name": "id", "data_type": "bigint", "nullable": False, "comment": None}]
_FILES = {
    "table_id": "orders",
    "schema_uri": "gs://bench/bench/orders/schema_20261122.json",
    "data_uri": "gs://bench/bench/orders/data_20261122.csv",
    "format": "csv",
}
_RUN = {
    "run_id": "9912",
    "pipeline": "bench",
    "shard_date": "2026-11-22",
    "manifest_uri": "gs://bench/bench/_runs/9912/manifest.json",
    "tables": ["orders"],
    "failed": [],
}


def relevant() -> dict[str, Event]:
    """For each function, by name, an event that makes it call a service."""
    load = {"destinationTable": _reference("shards", "orders_20261122"), "sourceUris": [_FILES["data_uri"]]}
    return {
        "list_tables": pushed({"pipeline": "bench"}),
        "export_table": pushed(_TABLE | {"columns": _COLUMNS}),
        "load_shard": pushed(_TABLE | _FILES),
        "refresh_views": _job_ended({"load": load}, {"load": {"outputBytes": "10"}}),
        "start_loader": pushed(_RUN),
    }


def irrelevant() -> Event:
    """The end of another user's query. A busy project has thousands of them."""
    query = {"query": "SELECT 1", "destinationTable": _reference("_results", "anon")}
    return _job_ended({"query": query}, {"query": {"totalBytesProcessed": "10", "referencedTables": []}})


def _reference(dataset: str, table: str) -> dict[str, str]:
    return {"projectId": PROJECT, "datasetId": dataset, "tableId": table}


def _job_ended(configuration: dict[str, Any], statistics: dict[str, Any]) -> Event:
    """The event that Eventarc delivers when such a job is done."""
    job = {
        "id": f"{PROJECT}:EU.job_1",
        "jobReference": {"projectId": PROJECT, "jobId": "job_1", "location": "EU"},
        "user_email": f"someone@{PROJECT}.iam.gserviceaccount.com",
        "configuration": configuration,
        "statistics": statistics | dict.fromkeys(("creationTime", "startTime", "endTime"), "1795312800000"),
        "status": {"state": "DONE"},
    }
    done = JobDone(job, "jobs.insert", created_table=False, rows=1)
    headers, entry = audit_log.cloud_event(audit_log.entries(done)[-1])
    return "/", headers, json.dumps(entry).encode()
