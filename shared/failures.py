"""
Whether a failure passes by itself, and what to do about one that does not: the one place that decides.

    of_admin_api    a call of the Cloud SQL Admin API that was refused     Busy, HandBack or Permanent
    of_operation    an operation of Cloud SQL that ended with an error     OperationFailure
    of_storage      a call of Cloud Storage that was refused               Busy, LostRace or Permanent
    of_bigquery     a call of BigQuery that was refused                    HandBack or Permanent
    passes          a job of BigQuery that failed for a reason             true or false
    of_dataflow     a call of Dataflow that was refused                    Busy or Permanent
    of_postgres     an error of the source database                        Busy or Permanent

A failure passes where the same message may succeed later with nobody's help.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from shared.errors import Busy, HandBack, LostRace, Permanent
from shared.pipelines import Pipeline
from shared.redaction import BEYOND, REPLACED, without_values

BUSY = "operationInProgress"
"""Another operation has the instance's one slot. It came as 403 in earlier years and comes as 409 now, so the status is open."""
_RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_NOT_RUNNING = "instance is not running"

_STOPPED = frozenset({"SUSPENDED", "FAILED", "PENDING_DELETE"})
_PASSING_STATES = frozenset({"MAINTENANCE", "ONLINE_MAINTENANCE", "REPAIRING", "PENDING_CREATE"})

_PASSING_REASONS = frozenset(
    {
        "backendError",
        "internalError",
        "jobBackendError",
        "jobInternalError",
        "jobRateLimitExceeded",
        "quotaExceeded",
        "rateLimitExceeded",
        "stopped",
        "tableUnavailable",
        "timeout",
    }
)
"""Of BigQuery's jobs and calls (https://cloud.google.com/bigquery/docs/error-messages)."""
_NO_SUCH_DATABASE = "3D000"
OLDEST_POSTGRES = 11
"""The oldest version that is supported."""

_REPLAY = "then replay the message"
_GRANT_BUCKET = "Grant the Cloud SQL instance's own service account roles/storage.objectAdmin on the pipeline's bucket, which must exist"
_REMEDIES_OF_ADMIN_API = {
    400: "Correct the pipeline's settings by what it says",
    401: "Give the function's service account access to the Cloud SQL Admin API",
    403: "Grant the function's service account cloudsql.instances.export and .get on it, and enable the Cloud SQL Admin API",
    404: "Correct the pipeline's instance",
}
_REMEDIES_OF_DATAFLOW = {
    400: "Correct the pipeline's dataflow setting by what it says",
    401: "Give the function's service account access to the Dataflow API",
    403: (
        "Grant the function's service account roles/dataflow.developer and, on the job's service account, "
        "roles/iam.serviceAccountUser, and enable the Dataflow API"
    ),
    404: "Correct the template and the region of the pipeline's dataflow setting",
}
_REMEDIES_OF_OPERATION = {
    REPLACED: "Request the table at a time when nothing truncates it or makes it again",
    BEYOND: 'Correct the rows, or have the pipeline say "unrepresentable": "null" or "string"',
    "permission denied": "Grant SELECT on the table to cloudsqlsuperuser, the role that Cloud SQL exports with",
    "bucket": _GRANT_BUCKET,
    "storage.objects": _GRANT_BUCKET,
    "Access denied for": _GRANT_BUCKET,
    "replica": "Name the primary instance: a read replica cannot export CSV files",
}
"""By words of the operation's error."""
_ALTERED = re.compile(
    r"\b(column|relation|table|schema|type|function|operator)\b.* does not exist|\bcannot (cast|be cast|be matched)\b",
    re.DOTALL,
)
"""PostgreSQL's words for a SELECT that names what has been dropped, renamed or given another type."""
_OUTAGE = re.compile(
    r"database system is (starting up|shutting down|in recovery)|not (yet )?accepting connections|administrator command|"
    r"[Cc]onnection refused|server closed the connection unexpectedly"
)
"""Its words, and those of its clients, for a server that restarts or fails over."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """
    An error that a REST API has answered with: what was asked for, the status, Google's words for the reasons, the message.

    `by_id`: one operation was asked for, which may be unknown for a moment after its start.
    """

    what: str
    status: int
    reasons: Collection[str]
    message: str
    by_id: bool = False

    @property
    def said(self) -> str:
        """It, in words, without a full stop."""
        return f"{self.what}: {self.status} {without_values(self.message).rstrip('.')}"

    @property
    def depends_on_state(self) -> bool:
        """Whether the state of the instance has to be known to judge it."""
        conflict = self.status == 409 and BUSY not in self.reasons
        return conflict or (self.status == 400 and _NOT_RUNNING in self.message)

    @property
    def passes(self) -> bool:
        """Whether its status or reasons alone say that it passes."""
        return (
            BUSY in self.reasons
            or not _RATE_LIMITS.isdisjoint(self.reasons)
            or self.status in {408, 429}
            or self.status >= 500
            or (self.status == 404 and self.by_id)
        )


class OperationFailure(Enum):
    """What the error of an operation that is done says of the next try."""

    UNKNOWN = "it may go well"
    PASSING = "it will go well, after a while"
    REPLACED = "it will go well, unless the table is replaced again meanwhile"
    ALTERED = "it will go as badly, unless the table is described as it is now"
    HOPELESS = "it will go as badly"


def of_admin_api(error: ApiError, state: str = "", activation_policy: str = "") -> Busy | HandBack | Permanent:
    """What to raise. `state` and `activation_policy` are the instance's, needed where the error depends on them."""
    if error.passes or state in _PASSING_STATES:
        return Busy(error.said)
    if activation_policy == "NEVER" or state in _STOPPED:
        found = state if state in _STOPPED else "stopped"
        return Permanent(f"{error.said}. The instance is {found}: start it, {_REPLAY}")
    if error.status == 400 and error.depends_on_state:
        return Busy(error.said)  # it has been started, or restarts
    if error.status == 409:
        return HandBack(error.said)  # a conflict of another kind: not for waiting here, but not for good either
    if "bucket" in error.message:  # with 403 or 412
        return Permanent(f"{error.said}. {_GRANT_BUCKET}, {_REPLAY}")
    return Permanent(f"{error.said}. {_REMEDIES_OF_ADMIN_API.get(error.status, 'Correct the request')}, {_REPLAY}")


def of_dataflow(error: ApiError) -> Busy | Permanent:
    """What to raise for a refused call of Dataflow."""
    if error.passes:
        return Busy(error.said)
    return Permanent(f"{error.said}. {_REMEDIES_OF_DATAFLOW.get(error.status, 'Correct the request')}, {_REPLAY}")


def of_operation(error: str) -> OperationFailure:
    """What the error of an operation that is done says of the next try."""
    if BEYOND in error:
        return OperationFailure.HOPELESS
    if REPLACED in error:
        return OperationFailure.REPLACED
    if _OUTAGE.search(error):
        return OperationFailure.PASSING
    return OperationFailure.ALTERED if _ALTERED.search(error) else OperationFailure.UNKNOWN


def remedy_of_operation(error: str) -> str:
    """What to do about an operation that fails again and again."""
    found = (remedy for words, remedy in _REMEDIES_OF_OPERATION.items() if words in error)
    return f"{next(found, 'Mend what it says')}, {_REPLAY}"


def of_storage(where: str, status: int) -> Busy | LostRace | Permanent | None:
    """What to raise for a refused call about the object `where`. None for a status that nobody expects."""
    if status == 412:
        return LostRace(f"{where} has changed")
    if status in {401, 403}:
        return Permanent(
            f"no access to {where}: grant this function's service account roles/storage.objectUser on the bucket"
        )
    return Busy(f"Cloud Storage cannot serve {where}: {status}") if status == 429 or status >= 500 else None


def of_bigquery(what: str, reason: str, message: str) -> HandBack | Permanent:
    """What to raise for a refused call. A spent quota comes as a refusal, too, and passes."""
    said = f"BigQuery refuses {what}: {without_values(message)}"
    return HandBack(said) if passes(reason) else Permanent(said)


def passes(reason: str | None) -> bool:
    """Whether a job of BigQuery that failed for this reason may succeed later. None: it did not fail."""
    return reason in _PASSING_REASONS


def of_postgres(pipeline: Pipeline, code: str | None, message: str | None) -> Busy | Permanent:
    """What to raise for an error of the source database: its SQLSTATE and its words."""
    if code == _NO_SUCH_DATABASE:
        return Permanent(f"{pipeline.instance} has no database {pipeline.database}: correct the pipeline's database")
    return Busy(f"the database {pipeline.database} of {pipeline.instance} says: {message}")


def of_old_postgres(pipeline: Pipeline, version: str) -> Permanent:
    """What to raise for a server that is too old."""
    return Permanent(
        f"{pipeline.instance} runs PostgreSQL {version}, and the mirror supports {OLDEST_POSTGRES} and later: upgrade the instance"
    )
