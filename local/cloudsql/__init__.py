"""
The Cloud SQL Admin API on one machine: CSV exports of real PostgreSQL servers, one operation at a time.

Differences from the service: the code of an error is always ERROR_RDBMS, and the message of a failed upload is our own.
A failed export leaves no object unless an Outcome says so. There are no permissions. What is not simulated (other files
than CSV, compression, locations) is refused with 501.
"""

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from tempfile import TemporaryFile
from typing import Any
from uuid import uuid4

from local.cloudsql import csv_export
from local.cloudsql.csv_export import Connect, Export
from local.cloudsql.operations import Operation, OperationFailed, Operations, Slot
from local.cloudsql.plans import Condition, Outcome, following
from local.rest import Api, ApiError, Handler, Reply, Request

__all__ = ["CloudSqlAdmin", "Condition", "Outcome"]


@dataclass(frozen=True)
class _Instance:
    project: str
    region: str
    name: str
    connect: Connect


class CloudSqlAdmin(Api):
    """
    The API of some instances.

    `instances`: for each `project:region:instance`, how to connect to its databases. `storage`: the URL of the Cloud
    Storage that objects are written to. `duration`: the seconds that an export takes beyond its COPY, if no outcome is
    planned for it. `operations`: given by a test that has a clock of its own. `calls` has every call that the discovery
    document allows.
    """

    def __init__(
        self,
        instances: Mapping[str, Connect],
        storage: str,
        *,
        duration: float = 0.0,
        operations: Operations | None = None,
    ) -> None:
        self._instances: dict[tuple[str, str], _Instance] = {}
        for connection_name, connect in instances.items():
            project, region, name = connection_name.rsplit(":", 2)
            self._instances[project, name] = _Instance(project, region, name, connect)
        self._storage = storage
        self._usual = Outcome(running=duration)
        self._outcomes: deque[Outcome] = deque()
        self._conditions: dict[tuple[str, str], Condition] = {}
        self._operations = operations or Operations()
        self._application = f"cloudsqlexport {uuid4()}"
        self.calls: list[Request] = []
        handlers: dict[str, Handler] = {
            "sql.instances.get": self._get_instance,
            "sql.instances.export": self._export,
            "sql.operations.get": self._get_operation,
            "sql.operations.list": self._list_operations,
        }
        super().__init__("sqladmin", "v1", handlers)

    def stop(self) -> None:
        """Stop the server, and interrupt the exports that run. Their operations stay unfinished."""
        super().stop()
        self._operations.stop(interrupt=self._terminate)

    @property
    def operations(self) -> list[Operation]:
        """All operations as they are now, oldest first."""
        return self._operations.snapshot()

    def plan_exports(self, *outcomes: Outcome) -> None:
        """Plan the outcomes of the next exports, one each, in the order in which they start."""
        self._outcomes.extend(outcomes)

    def put(self, instance: str, condition: Condition) -> None:
        """Put `project:region:instance` into a condition from now on. Operations that run continue."""
        project, _, name = instance.rsplit(":", 2)
        self._find(project, name)
        self._conditions[project, name] = condition

    def backup(self, instance: str, seconds: float) -> Operation:
        """
        Start a backup of `project:region:instance` that takes `seconds`, as someone else might.

        Raises ApiError if a running operation blocks it.
        """
        project, _, name = instance.rsplit(":", 2)
        self._find(project, name)

        def work(begin: Callable[[], None]) -> None:
            begin()
            self._operations.wait(seconds)

        return self._operations.start(Slot(project, name), "BACKUP", work)

    def refuse_as_forbidden(self) -> None:
        """Answer 403 instead of 409 if an operation is in progress. The service did so in the past."""
        self._operations.busy_status = 403

    def _terminate(self) -> None:
        for instance in self._instances.values():
            csv_export.terminate(instance.connect, self._application)

    def handle(self, request: Request) -> Reply:
        self.calls.append(request)
        if "location" in request.query:
            raise ApiError(501, "notImplemented", "The stand-in does not simulate locations")
        return super().handle(request)

    def _find(self, project: str, name: str) -> _Instance:
        try:
            return self._instances[project, name]
        except KeyError:
            raise ApiError(404, "instanceDoesNotExist", "The Cloud SQL instance does not exist.") from None

    def _get_instance(self, request: Request) -> dict[str, Any]:
        instance = self._find(request.path["project"], request.path["instance"])
        condition = self._condition(instance)
        with closing(instance.connect("postgres")) as connection:
            [[version]] = connection.run("SELECT current_setting('server_version_num') :: int / 10000")
        return {
            "kind": "sql#instance",
            "name": instance.name,
            "project": instance.project,
            "region": instance.region,
            "connectionName": f"{instance.project}:{instance.region}:{instance.name}",
            "state": condition.state,
            "databaseVersion": f"POSTGRES_{version}",
            "serviceAccountEmailAddress": f"p-{instance.name}@gcp-sa-cloud-sql.iam.gserviceaccount.com",
            "settings": {"kind": "sql#settings", "activationPolicy": condition.activation_policy},
        }

    def _condition(self, instance: _Instance) -> Condition:
        return self._conditions.get((instance.project, instance.name), Condition())

    def _get_operation(self, request: Request) -> dict[str, Any]:
        operation = self._operations.find(request.path["operation"])
        if operation is None or operation["targetProject"] != request.path["project"]:
            raise ApiError(404, "operationDoesNotExist", "The Cloud SQL instance operation does not exist.")
        return operation

    def _list_operations(self, request: Request) -> dict[str, Any]:
        project, query = request.path["project"], request.query
        found = [operation for operation in reversed(self.operations) if operation["targetProject"] == project]
        if "instance" in query:
            instance = self._find(project, query["instance"])
            found = [operation for operation in found if operation["targetId"] == instance.name]
        return _page(found, int(query.get("maxResults", 0)) or len(found), query.get("pageToken"))

    def _export(self, request: Request) -> dict[str, Any]:
        instance = self._find(request.path["project"], request.path["instance"])
        self._condition(instance).check()
        context = _without_nulls(request.body.get("exportContext") or {})
        work = partial(self._run, csv_export.read(context), instance.connect)
        slot = Slot(instance.project, instance.name, context.get("offload", False))
        return self._operations.start(slot, "EXPORT", work, exportContext={"kind": "sql#exportContext", **context})

    def _run(self, export: Export, connect: Connect, begin: Callable[[], None]) -> None:
        outcome = following(self._outcomes) or self._usual
        self._operations.wait(outcome.pending)
        begin()
        with csv_export.bucket(self._storage, export.bucket) as bucket, TemporaryFile() as rows:
            csv_export.refuse_existing(export, bucket)
            csv_export.copy(export, connect, self._application, self._operations.check, rows)
            self._operations.wait(outcome.running)
            if outcome.error is None:
                csv_export.upload(export, bucket, rows)
                return
            if outcome.leaves:
                rows.truncate(int(rows.tell() * outcome.leaves))
                csv_export.upload(export, bucket, rows)
            raise OperationFailed(outcome.error)


def _page(found: list[Operation], size: int, token: str | None) -> dict[str, Any]:
    """A page of a list. Its token is the name of the last operation before it, so new operations do not shift pages."""
    names = [operation["name"] for operation in found]
    if token is not None and token not in names:
        raise ApiError(400, "invalid", "Invalid request: pageToken is of no earlier page.")
    start = names.index(token) + 1 if token else 0
    answer: dict[str, Any] = {"kind": "sql#operationsList"}
    if page := found[start : start + size]:
        answer["items"] = page
    if start + size < len(found):
        answer["nextPageToken"] = page[-1]["name"]
    return answer


def _without_nulls(value: Any) -> Any:
    """A copy without nulls. In a request, null means the same as absent."""
    if isinstance(value, dict):
        return {name: _without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value
