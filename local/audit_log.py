"""The entries that Cloud Audit Logs write about a BigQuery job, and the events that Eventarc makes of them.

Entries come in the usual order, which the service does not promise. Reads of tables (`tableDataRead`) are not recorded.
Shapes: https://cloud.google.com/bigquery/docs/reference/auditlogs/rest/Shared.Types/BigQueryAuditMetadata
"""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from local.bigquery import JobDone

LogEntry = dict[str, Any]

_AUDIT_LOG = "type.googleapis.com/google.cloud.audit.AuditLog"
_METADATA = "type.googleapis.com/google.cloud.audit.BigQueryAuditMetadata"
_SERVICE = "bigquery.googleapis.com"
_METHODS = {
    "jobs.insert": "google.cloud.bigquery.v2.JobService.InsertJob",
    "jobs.query": "google.cloud.bigquery.v2.JobService.Query",
}
# https://cloud.google.com/bigquery/docs/reference/auditlogs says 100 KB
_LARGEST = 100_000
_TYPES = {"load": "IMPORT", "copy": "COPY", "query": "QUERY"}
# https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto
_CODES = {"notFound": 5, "duplicate": 6, "rateLimitExceeded": 8, "backendError": 13, "internalError": 13}
_INVALID_ARGUMENT = 3


def entries(done: JobDone) -> list[LogEntry]:
    """
    The entries about a job, from its start to its end.

    An entry of more than 100 KB loses its metadata, except for the metadata's type.
    """
    found = [_start(done)]
    if done.created_table and "errorResult" not in done.job["status"]:
        found.append(_table_creation(done))
    if _kind(done) != "query" and "errorResult" not in done.job["status"]:
        found.append(_table_data_change(done))
    return [_short(entry) for entry in [*found, _end(done)]]


def cloud_event(entry: LogEntry) -> tuple[dict[str, str], LogEntry]:
    """Headers and body of the CloudEvent that a trigger on audit logs delivers, in binary mode."""
    payload = entry["protoPayload"]
    project, _, log = entry["logName"].partition("/logs/cloudaudit.googleapis.com%2F")
    headers = {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": f"{project}/logs/{log}{entry['insertId']}",
        "ce-type": "google.cloud.audit.log.v1.written",
        "ce-source": f"//cloudaudit.googleapis.com/{project}/logs/{log}",
        "ce-subject": f"{_SERVICE}/{payload['resourceName']}",
        "ce-time": entry["timestamp"],
        "ce-servicename": payload["serviceName"],
        "ce-methodname": payload["methodName"],
        "ce-resourcename": payload["resourceName"],
    }
    return headers, entry


def _start(done: JobDone) -> LogEntry:
    metadata = {"jobInsertion": {"job": _job(done, "RUNNING"), "reason": "JOB_INSERT_REQUEST"}}
    return _job_entry(done, metadata, "startTime", {"first": True})


def _end(done: JobDone) -> LogEntry:
    metadata = {"jobChange": {"before": "RUNNING", "after": "DONE", "job": _job(done, "DONE")}}
    entry = _job_entry(done, metadata, "endTime", {"last": True})
    if error := done.job["status"].get("errorResult"):
        entry["severity"] = "ERROR"
        entry["protoPayload"]["status"] = _status(error)
    return entry


def _table_creation(done: JobDone) -> LogEntry:
    load = done.job["configuration"].get("load", {})
    description = load.get("destinationTableProperties", {}).get("description")
    table = {
        "tableName": _destination(done),
        "tableInfo": {"description": description} if description else {},
        "schemaJson": json.dumps(load["schema"]) if load.get("schema") else "",
        "createTime": _time(done, "endTime"),
        "updateTime": _time(done, "endTime"),
    }
    metadata = {"tableCreation": {"table": _set(table), "reason": "JOB", "jobName": _job_name(done)}}
    return _table_entry(done, metadata, "activity")


def _table_data_change(done: JobDone) -> LogEntry:
    kind = _kind(done)
    truncated = done.job["configuration"][kind].get("writeDisposition") == "WRITE_TRUNCATE"
    rows = str(done.rows) if done.rows else ""
    change = {"insertedRowsCount": rows, "truncated": truncated, "reason": "JOB", "jobName": _job_name(done)}
    return _table_entry(done, {"tableDataChange": _set(change)}, "data_access")


def _job_entry(done: JobDone, metadata: LogEntry, time: str, place: LogEntry) -> LogEntry:
    project, location = (done.job["jobReference"][name] for name in ("projectId", "location"))
    labels = {"project_id": project, "location": location}
    entry = _entry(done, metadata, "data_access", _job_name(done), time)
    operation = {"id": f"{done.job['statistics']['creationTime']}-{done.job['id']}", "producer": _SERVICE} | place
    return entry | {"resource": {"type": "bigquery_project", "labels": labels}, "operation": operation}


def _table_entry(done: JobDone, metadata: LogEntry, log: str) -> LogEntry:
    reference = done.job["configuration"][_kind(done)]["destinationTable"]
    labels = {"project_id": reference["projectId"], "dataset_id": reference["datasetId"]}
    entry = _entry(done, metadata, log, _destination(done), "endTime")
    return entry | {"resource": {"type": "bigquery_dataset", "labels": labels}}


def _entry(done: JobDone, metadata: LogEntry, log: str, resource: str, time: str) -> LogEntry:
    named = f"{done.job['id']} {done.job['statistics']['creationTime']} {next(iter(metadata))}"
    return {
        "insertId": hashlib.sha256(named.encode()).hexdigest()[:16],
        "logName": f"projects/{done.job['jobReference']['projectId']}/logs/cloudaudit.googleapis.com%2F{log}",
        "protoPayload": {
            "@type": _AUDIT_LOG,
            "status": {},
            "authenticationInfo": {"principalEmail": done.job["user_email"]},
            "serviceName": _SERVICE,
            "methodName": _METHODS[done.method],
            "resourceName": resource,
            "metadata": {"@type": _METADATA} | metadata,
        },
        "timestamp": _time(done, time),
        "severity": "INFO",
    }


def _job(done: JobDone, state: str) -> LogEntry:
    over = state == "DONE"
    return {
        "jobName": _job_name(done),
        "jobConfig": _config(done),
        "jobStatus": {"jobState": state} | (_errors(done) if over else {}),
        "jobStats": _statistics(done, ["createTime", "startTime", "endTime"] if over else ["createTime", "startTime"]),
    }


def _config(done: JobDone) -> LogEntry:
    configuration, kind = done.job["configuration"], _kind(done)
    config: LogEntry = {"type": _TYPES[kind], "labels": configuration.get("labels", {})}
    given = configuration[kind]
    written = {
        "destinationTable": _destination(done),
        "createDisposition": given.get("createDisposition", "CREATE_IF_NEEDED"),
    }
    if kind == "load":
        schema = json.dumps(given["schema"]) if given.get("schema") else ""
        written |= {"sourceUris": given["sourceUris"], "schemaJson": schema}
        written |= {"writeDisposition": given.get("writeDisposition", "WRITE_APPEND")}
        config["loadConfig"] = _set(written)
    elif kind == "copy":
        sources = given.get("sourceTables") or [given["sourceTable"]]
        written |= {
            "sourceTables": [_table_name(each) for each in sources],
            "operationType": given.get("operationType", "COPY"),
        }
        written |= {"writeDisposition": given.get("writeDisposition", "WRITE_EMPTY")}
        config["tableCopyConfig"] = written
    else:
        written |= {"query": given["query"], "priority": f"QUERY_{given.get('priority', 'INTERACTIVE')}"}
        written |= {"writeDisposition": given.get("writeDisposition", "WRITE_TRUNCATE"), "statementType": "SELECT"}
        config["queryConfig"] = _set(written)
    return _set(config)


def _statistics(done: JobDone, times: list[str]) -> LogEntry:
    statistics = done.job["statistics"]
    audited = {name: _time(done, name.replace("create", "creation")) for name in times}
    if "endTime" not in times:
        return audited
    if load := statistics.get("load"):
        return audited | {"loadStats": _counts({"totalOutputBytes": load["outputBytes"]})}
    if query := statistics.get("query"):
        counts = _counts({"totalProcessedBytes": query["totalBytesProcessed"], "outputRowCount": str(done.rows)})
        tables = [_table_name(reference) for reference in query["referencedTables"]]
        return audited | {"queryStats": counts | _set({"referencedTables": tables})}
    return audited


def _errors(done: JobDone) -> LogEntry:
    status = done.job["status"]
    if "errorResult" not in status:
        return {}
    return {"errorResult": _status(status["errorResult"]), "errors": [_status(error) for error in status["errors"]]}


def _status(error: LogEntry) -> LogEntry:
    return {"code": _CODES.get(error["reason"], _INVALID_ARGUMENT), "message": error["message"]}


def _short(entry: LogEntry) -> LogEntry:
    if len(json.dumps(entry).encode()) > _LARGEST:
        entry["protoPayload"]["metadata"] = {"@type": _METADATA}
    return entry


def _kind(done: JobDone) -> str:
    return next(kind for kind in _TYPES if kind in done.job["configuration"])


def _destination(done: JobDone) -> str:
    reference = done.job["configuration"][_kind(done)].get("destinationTable")
    return _table_name(reference) if reference else ""


def _table_name(reference: dict[str, str]) -> str:
    return f"projects/{reference['projectId']}/datasets/{reference['datasetId']}/tables/{reference['tableId']}"


def _job_name(done: JobDone) -> str:
    reference = done.job["jobReference"]
    return f"projects/{reference['projectId']}/jobs/{reference['jobId']}"


def _time(done: JobDone, name: str) -> str:
    """A time of the job's statistics, in RFC 3339 with microseconds."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(done.job["statistics"][name]))
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def _set(fields: LogEntry) -> LogEntry:
    """The fields without those that are empty or zero. The log leaves them out."""
    return {name: value for name, value in fields.items() if value}


def _counts(fields: dict[str, str]) -> LogEntry:
    return {name: value for name, value in fields.items() if value != "0"}
