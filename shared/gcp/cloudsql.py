"""The Cloud SQL Admin API: exports, and the operations that carry them out."""

import json
import logging
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import Any

import httplib2
from google.auth.exceptions import TransportError
from googleapiclient import discovery
from googleapiclient.errors import HttpError

from shared import times
from shared.errors import NotNow, NotYet, Permanent, without_values
from shared.lane import Operation
from shared.select import Extraction

_OPERATION = "name,status,insertTime,endTime,error,operationType,exportContext/uri"
"""What is asked of an operation: not the query, which may be long."""
_PAGE = 50
_BUSY = "operationInProgress"
_RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})

# It warns of a timeout that it cannot pass on, at each refresh of a token; our clients have one of their own.
logging.getLogger("google_auth_httplib2").setLevel(logging.ERROR)


class CloudSql:
    """The Admin API, at another address where one is given. Each thread has a client of its own: httplib2 cannot be shared."""

    def __init__(self, endpoint: str | None = None) -> None:
        self._endpoint = endpoint
        self._of_thread = threading.local()

    def start_export(
        self, instance: str, database: str, uri: str, extraction: Extraction, *, offload: bool
    ) -> Operation:
        """
        Start an export of a query's rows into a file that does not exist yet.

        Raises NotNow while another operation has the instance's one slot, and whenever it is unknown whether the export
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
        request = self._service.instances().export(project=project, instance=name, body=body, fields=_OPERATION)
        return _operation(_answer(request, f"the export of {uri} from {instance}"))

    def operation(self, instance: str, name: str) -> Operation:
        """The operation as it stands. An operation may be unknown for a moment after its start: NotNow."""
        project, _ = _project_and_name(instance)
        request = self._service.operations().get(project=project, operation=name, fields=_OPERATION)
        return _operation(_answer(request, f"the operation {name} of {instance}", missing_is_permanent=False))

    def operations(self, instance: str) -> list[Operation]:
        """The instance's recent operations, newest first: one page, because in its lane a table's own are the newest."""
        project, name = _project_and_name(instance)
        request = self._service.operations().list(
            project=project, instance=name, maxResults=_PAGE, fields=f"items({_OPERATION})"
        )
        answer = _answer(request, f"the operations of {instance}")
        return [_operation(item) for item in answer.get("items", [])]

    @property
    def _service(self) -> Any:
        if not hasattr(self._of_thread, "service"):
            options = {"api_endpoint": self._endpoint} if self._endpoint else None
            self._of_thread.service = discovery.build("sqladmin", "v1", client_options=options, cache_discovery=False)
        return self._of_thread.service


def _project_and_name(instance: str) -> tuple[str, str]:
    """A connection name is project:region:instance, and a project may have a domain, with a colon of its own."""
    project, _, name = instance.rsplit(":", 2)
    return project, name


def _answer(request: Any, what: str, *, missing_is_permanent: bool = True) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = request.execute()
    except HttpError as error:
        raise _failure(error, what, missing_is_permanent=missing_is_permanent) from error
    except (OSError, httplib2.HttpLib2Error, HTTPException, TransportError) as error:
        raise NotNow(f"{what}: no answer, {type(error).__name__}") from error
    return answer


def _failure(error: HttpError, what: str, *, missing_is_permanent: bool) -> NotNow | NotYet | Permanent:
    """
    What an error of the Admin API means.

    `operationInProgress` came as 403 in earlier years and comes as 409 now, so the reason counts, not the status.
    """
    status = error.status_code
    reasons = _reasons(error)
    message = f"{what}: {status} {without_values(str(error.reason))}"
    if _BUSY in reasons or reasons & _RATE_LIMITS or status in {408, 429} or status >= 500:
        return NotNow(message)
    if status == 409:
        return NotYet(message)  # a conflict of another kind: not for waiting here, but not for good either
    if status == 404 and not missing_is_permanent:
        return NotNow(message)
    return Permanent(f"{message}. {_REMEDIES.get(status, 'Correct the request, then replay the message')}")


def _reasons(error: HttpError) -> set[str]:
    """Google's words for the error. The client's own `error_details` leaves them out where the answer has `details`, too."""
    try:
        errors = json.loads(error.content)["error"]["errors"]
        return {each.get("reason", "") for each in errors}
    except (ValueError, KeyError, TypeError, AttributeError):
        return set()


_REMEDIES = {
    401: "Give the function's service account access to the Cloud SQL Admin API",
    403: "Grant the function's service account cloudsql.instances.export and .get on the instance, and enable the Cloud SQL Admin API",
    404: "Correct the pipeline's instance",
}


def _operation(fields: Mapping[str, Any]) -> Operation:
    errors = (fields.get("error") or {}).get("errors") or []
    ended = fields.get("endTime")
    return Operation(
        name=fields["name"],
        inserted_at=times.moment(fields["insertTime"]) if "insertTime" in fields else datetime.now(UTC),
        uri=(fields.get("exportContext") or {}).get("uri"),
        done=fields.get("status") == "DONE",
        ended_at=times.moment(ended) if ended else None,
        error="; ".join(without_values(each.get("message") or each.get("code", "")) for each in errors) or None,
    )
