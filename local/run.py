"""Follows one run of the mirror from outside, by its manifest, the functions' log lines, and the services' states."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Any

from google.cloud.exceptions import NotFound

from local import dataflow
from local.cloud import Cloud
from local.dataflow import ACTIVE
from local.progress import STATES
from shared import bucket as paths
from shared import names, times

FAILED = "failed"
VIEW = STATES[-1]
_PLACES = {state: place for place, state in enumerate((*STATES, FAILED))}
_OUTCOMES = {
    "exported": "exported",
    "loaded": "loaded",
    "moved": VIEW,
    "ignored": VIEW,
    "skipped": FAILED,
    "dead": FAILED,
}
"""The state of a table after a log line's outcome. `ignored` means that the view shows the shard already."""


@dataclass(frozen=True)
class MirroredTable:
    """A table of a run: its name at the source, and its id in BigQuery."""

    schema: str
    name: str
    table_id: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


class Run:
    """The run that a request started. `run_id` is the message id of the request, `day` its shard date."""

    def __init__(self, cloud: Cloud, pipeline: str, run_id: str, day: date) -> None:
        settings = json.loads(cloud.environ["PIPELINES"])[pipeline]
        self._cloud = cloud
        self._run_id = run_id
        self._day = day
        self._first_schema = settings.get("schemas", ["public"])[0]
        self._manifest = cloud.objects().bucket(settings["bucket"]).blob(paths.manifest_file(pipeline, run_id))
        self._tables: tuple[MirroredTable, ...] | None = None
        self._names: dict[str, str] = {}
        self._states: dict[str, str] = {}

    def tables(self) -> tuple[MirroredTable, ...]:
        """The tables in the run's manifest. Empty until the manifest is written."""
        if self._tables is None:
            try:
                listed = json.loads(self._manifest.download_as_bytes())["tables"]
            except NotFound:
                return ()
            self._tables = tuple(self._table(entry["schema"], entry["table"]) for entry in listed)
            self._names = {table.table_id: str(table) for table in self._tables}
        return self._tables

    def states(self) -> dict[str, str]:
        """The state of each table, by its name at the source. A table never goes back to an earlier state."""
        tables = self.tables()
        seen = [(str(table), "listed") for table in tables]
        seen += [(self._name(table_id), "exporting") for table_id in self._exporting()]
        seen += [(self._name(table_id), "loading") for table_id in self._loading()]
        seen += [(str(table), "loading") for table in tables if self._job_in(ACTIVE)]
        for line in self._lines():
            table, state = line.get("table"), _OUTCOMES.get(line["outcome"])
            seen += [(self._name(table), state)] if table and state else []
        for table, state in seen:
            if _PLACES[state] > _PLACES.get(self._states.get(table, ""), -1):
                self._states[table] = state
        return dict(self._states)

    def failures(self) -> dict[str, str]:
        """
        Why tables of the run failed, by the tables' names.

        The empty name says why the request or its Dataflow job failed. If several functions report a table, the first
        function's reason counts.
        """
        failures: dict[str, str] = {}
        for line in self._lines():
            if _OUTCOMES.get(line["outcome"]) == FAILED:
                failures.setdefault(self._name(line.get("table", "")), line["message"])
        return failures | ({"": "the run's Dataflow job failed"} if self._job_in((dataflow.FAILED,)) else {})

    def is_working(self) -> bool:
        """Whether an export, a load or a Dataflow job of the run is in progress."""
        return bool(self._exporting() or self._loading() or self._job_in(ACTIVE))

    def is_over(self) -> bool:
        """Whether the request has failed, or all tables have a view or have failed and no Dataflow job is active."""
        settled = all(state in {VIEW, FAILED} for state in self.states().values()) and not self._job_in(ACTIVE)
        return "" in self.failures() or (self._tables is not None and settled)

    def _table(self, schema: str, name: str) -> MirroredTable:
        return MirroredTable(schema, name, names.table_id(schema, name, self._first_schema))

    def _name(self, table: str) -> str:
        """A table's name at the source. Functions that know only its shard log its id instead."""
        return self._names.get(table, table)

    def _lines(self) -> list[dict[str, Any]]:
        """
        The log lines about this run, function by function.

        Lines of `refresh_views` may have no run id. They are matched by their shard date.
        """
        return [
            line
            for line in self._cloud.log()
            if self._run_id in {line.get("run_id"), line.get("message_id")}
            or (line["function"] == "refresh_views" and line.get("shard_date") == self._day.isoformat())
        ]

    def _job_in(self, states: Collection[str]) -> bool:
        """Whether the run has a Dataflow job in one of these states."""
        jobs = self._cloud.dataflow.jobs
        return any(job["name"].endswith(f"-{self._run_id}") and job["currentState"] in states for job in jobs)

    def _exporting(self) -> set[str]:
        """The ids of the tables whose export operation is not done."""
        suffix = f"_{times.stamp(self._day)}."
        running = (operation for operation in self._cloud.admin.operations if operation["status"] != "DONE")
        uris = (operation.get("exportContext", {}).get("uri", "") for operation in running)
        return {uri.rpartition("/")[2].rpartition(suffix)[0] for uri in uris if f"/{self._run_id}/" in uri}

    def _loading(self) -> set[str]:
        """The ids of the tables whose load job is not done."""
        suffix = f"_{times.stamp(self._day)}"
        with self._cloud.warehouse() as client:
            jobs = [job for job in client.list_jobs(max_results=20) if job.job_type == "load" and job.state != "DONE"]
        targets = [job.destination.table_id for job in jobs]
        return {target.removesuffix(suffix) for target in targets if target.endswith(suffix)}
