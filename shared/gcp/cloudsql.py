"""The Cloud SQL Admin API: exports, and the operations that carry them out."""

from datetime import UTC, datetime

from googleapiclient.http import HttpRequest

from shared import failures, times
from shared.errors import Busy, HandBack, Permanent
from shared.exporting.operation import Operation
from shared.exporting.statement import Extraction
from shared.failures import ApiError
from shared.gcp import rest
from shared.gcp.rest import Answer, Refused

_OPERATION = "name,status,insertTime,endTime,error,operationType,exportContext/uri"
"""What is asked of an operation: not the query, which may be long."""
_STATE = "state,settings/activationPolicy"
_PAGE = 50


class CloudSql:
    """The Admin API, at another address if one is given."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._api = rest.Api("sqladmin", "v1", endpoint)

    def start_export(
        self, instance: str, database: str, uri: str, extraction: Extraction, *, offload: bool
    ) -> Operation:
        """
        Start an export of a query's rows into a file that does not exist yet.

        Raises Busy while another operation has the instance's one slot, and whenever it is unknown whether the export
        began: look for its operation before starting another.
        """
        project, name = _project_and_name(instance)
        body = {
            "exportContext": {
                "kind": "sql#exportContext",
                "fileType": "CSV",
                "uri": uri,
                "databases": [database],
                "offload": offload,
                "csvExportOptions": {
                    "selectQuery": extraction.query,
                    "quoteCharacter": extraction.quote,
                    "escapeCharacter": extraction.escape,
                    "fieldsTerminatedBy": extraction.delimiter,
                },
            }
        }
        request = self._api.resource("instances").export(project=project, instance=name, body=body, fields=_OPERATION)
        try:
            return _operation(rest.answer(request, f"the export of {uri} from {instance}"))
        except Refused as refused:
            raise self._judged(refused.error, instance) from refused

    def operation(self, instance: str, name: str) -> Operation:
        """The operation as it stands. An operation may be unknown for a moment after its start: Busy."""
        project, _ = _project_and_name(instance)
        request = self._api.resource("operations").get(project=project, operation=name, fields=_OPERATION)
        return _operation(_answer(request, f"the operation {name} of {instance}", by_id=True))

    def operations(self, instance: str) -> list[Operation]:
        """The instance's recent operations, newest first: one page, because in its lane a table's own are the newest."""
        project, name = _project_and_name(instance)
        request = self._api.resource("operations").list(
            project=project, instance=name, maxResults=_PAGE, fields=f"items({_OPERATION})"
        )
        found = _answer(request, f"the operations of {instance}")
        return [_operation(item) for item in found.get("items", [])]

    def _judged(self, error: ApiError, instance: str) -> Busy | HandBack | Permanent:
        """What a refused export means. Where the instance's state decides, it is asked for, and that call may raise too."""
        if not error.depends_on_state:
            return failures.of_admin_api(error)
        project, name = _project_and_name(instance)
        request = self._api.resource("instances").get(project=project, instance=name, fields=_STATE)
        found = _answer(request, f"the state of {instance}")
        policy = found.get("settings", {}).get("activationPolicy", "")
        return failures.of_admin_api(error, found.get("state", ""), policy)


def _project_and_name(instance: str) -> tuple[str, str]:
    """A connection name is project:region:instance, and a project may have a domain, with a colon of its own."""
    project, _, name = instance.rsplit(":", 2)
    return project, name


def _answer(request: HttpRequest, what: str, *, by_id: bool = False) -> Answer:
    """The answer to a call whose errors mean the same whatever the instance's state."""
    try:
        return rest.answer(request, what, by_id=by_id)
    except Refused as refused:
        raise failures.of_admin_api(refused.error) from refused


def _operation(fields: Answer) -> Operation:
    ended = fields.get("endTime")
    return Operation(
        name=fields["name"],
        inserted_at=times.moment(fields["insertTime"]) if "insertTime" in fields else datetime.now(UTC),
        uri=(fields.get("exportContext") or {}).get("uri"),
        done=fields.get("status") == "DONE",
        ended_at=times.moment(ended) if ended else None,
        error=_error(fields.get("error")),
    )


def _error(error: Answer | None) -> str | None:
    """
    The words of an operation's error, which may be none. None if it has no error.

    The field is there only if something went wrong (https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/operations),
    so that even an empty one is an error. Half a file would be a shard, and to export again costs little.
    """
    if error is None:
        return None
    found = (each.get("message") or each.get("code") for each in error.get("errors") or [])
    return next((str(words) for words in found if words), "")
