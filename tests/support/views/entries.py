"""The ways in which the end of a job, or of a Dataflow job, is told beside Eventarc's usual one."""

import copy
import json
from typing import Any

from tests.support.stage import Event
from tests.support.standins import PROJECT


def legacy(event: Event) -> Event:
    """The same end of a job as the older form of the log writes it: one entry, when the job has ended."""
    headers, entry = copy.deepcopy(event)
    payload = entry["protoPayload"]
    said = payload.pop("metadata")["jobChange"]["job"]
    kind, name = {"IMPORT": ("load", "loadConfig"), "COPY": ("tableCopy", "tableCopyConfig")}[said["jobConfig"]["type"]]
    config, status = said["jobConfig"][name], said["jobStatus"]
    _, project, _, dataset, _, table = config["destinationTable"].split("/", 5)
    destination = {"projectId": project, "datasetId": dataset, "tableId": table}
    job = {
        "jobName": {"projectId": PROJECT, "jobId": said["jobName"].rpartition("/")[2], "location": "US"},
        "jobConfiguration": {kind: {"destinationTable": destination, "writeDisposition": config["writeDisposition"]}},
        "jobStatus": {"state": "DONE", "error": status.get("errorResult", {})},
    }
    event_name = f"{'load' if kind == 'load' else 'table_copy'}_job_completed"
    payload["serviceData"] = {"jobCompletedEvent": {"eventName": event_name, "job": job}}
    payload["methodName"] = headers["ce-methodname"] = "jobservice.jobcompleted"
    entry["resource"] = {"type": "bigquery_resource", "labels": {"project_id": PROJECT}}
    return headers, entry


def truncated(event: Event) -> Event:
    """The same entry, too long to say more than which job it is about."""
    headers, entry = copy.deepcopy(event)
    entry["protoPayload"]["metadata"] = {"@type": entry["protoPayload"]["metadata"]["@type"]}
    return headers, entry


def sunk(event: Event) -> bytes:
    """The data of the message that a log sink publishes."""
    return json.dumps(event[1]).encode()


def dataflow(state: str = "JOB_STATE_DONE", ended: str = "2026-01-16T03:00:00Z", **job: Any) -> Event:
    """The event of a change of a Dataflow job's state."""
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "2026-01-16_00_10_11-123-1",
        "ce-source": f"//dataflow.googleapis.com/projects/{PROJECT}/locations/europe-west1/jobs/{job.get('name', '')}",
        "ce-type": "google.cloud.dataflow.job.v1beta3.statusChanged",
        "ce-time": ended,
    }
    payload = {
        "id": "2026-01-16_00_10_11-123",
        "name": "mirror-billing-20260116",
        "projectId": PROJECT,
        "location": "europe-west1",
        "type": "JOB_TYPE_BATCH",
        "currentState": state,
        "currentStateTime": ended,
    }
    return headers, {"payload": payload | job}
