"""
Whether a failure may pass: decided here, and with each that does not, what to do about it.

    of a call        an error of the Admin API            NotNow, NotYet or Permanent
    of an operation  one that is done, with an error      PASSING, ALTERED or HOPELESS
    of a launch      an error of Dataflow                 NotNow or Permanent

A failure passes where the same message may succeed later with nobody's help.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from shared.errors import BEYOND, NotNow, NotYet, Permanent, without_values

BUSY = "operationInProgress"
"""Another operation has the instance's one slot. It came as 403 in earlier years and comes as 409 now, so the status is open."""
_RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded"})
_NOT_RUNNING = "instance is not running"

_STOPPED = frozenset({"SUSPENDED", "FAILED", "PENDING_DELETE"})
_PASSING_STATES = frozenset({"MAINTENANCE", "ONLINE_MAINTENANCE", "REPAIRING", "PENDING_CREATE"})

_GRANT_BUCKET = "Grant the Cloud SQL instance's own service account roles/storage.objectAdmin on the pipeline's bucket, which must exist"
_GRANT_EXPORT = (
    "Grant the function's service account cloudsql.instances.export and .get on it, and enable the Cloud SQL Admin API"
)
_REMEDIES = {
    400: "Correct the pipeline's settings by what it says",
    401: "Give the function's service account access to the Cloud SQL Admin API",
    403: _GRANT_EXPORT,
    404: "Correct the pipeline's instance",
}
_REPLAY = "then replay the message"
_REMEDIES_OF_LAUNCH = {
    400: "Correct the pipeline's dataflow setting by what it says",
    401: "Give the function's service account access to the Dataflow API",
    403: (
        "Grant the function's service account roles/dataflow.developer and, on the job's service account, "
        "roles/iam.serviceAccountUser, and enable the Dataflow API"
    ),
    404: "Correct the template and the region of the pipeline's dataflow setting",
}

_ALTERED = re.compile(
    r"\b(column|relation|table|schema|type|function|operator)\b.* does not exist|\bcannot (cast|be cast|be matched)\b",
    re.DOTALL,
)
"""PostgreSQL's words for a SELECT that names what has been dropped, renamed or given another type."""
_REMEDIES_BY_WORDS = {
    BEYOND: 'Correct the rows, or have the pipeline say "unrepresentable": "null" or "string"',
    "permission denied": "Grant SELECT on the table to cloudsqlsuperuser, the role that Cloud SQL exports with",
    "bucket": _GRANT_BUCKET,
    "storage.objects": _GRANT_BUCKET,
    "Access denied for": _GRANT_BUCKET,
    "replica": "Name the primary instance: a read replica cannot export CSV files",
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """
    An error of one of Google's APIs: `what` was asked for, and the status, Google's words for the reasons and the message of the answer.

    `by_id`: of one operation, which may be unknown for a moment after its start.
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


class OperationFailure(Enum):
    """What the error of an operation that is done says of the next try."""

    PASSING = "it may go well"
    ALTERED = "it will go as badly, unless the table is described as it is now"
    HOPELESS = "it will go as badly"


def of_call(refusal: Refusal, state: str = "", activation_policy: str = "") -> NotNow | NotYet | Permanent:
    """What to raise for an error of the Admin API; the instance's state and activation policy where it depends on them."""
    said = refusal.said
    if _passes(refusal) or state in _PASSING_STATES:
        return NotNow(said)
    if activation_policy == "NEVER" or state in _STOPPED:
        found = state if state in _STOPPED else "stopped"
        return Permanent(f"{said}. The instance is {found}: start it, {_REPLAY}")
    if refusal.status == 400 and refusal.depends_on_state:
        return NotNow(said)  # it has been started, or restarts
    if refusal.status == 409:
        return NotYet(said)  # a conflict of another kind: not for waiting here, but not for good either
    return Permanent(f"{said}. {_remedy(refusal)}, {_REPLAY}")


def of_launch(refusal: Refusal) -> NotNow | Permanent:
    """What to raise for an error of Dataflow."""
    said = refusal.said
    if _passes(refusal):
        return NotNow(said)
    return Permanent(f"{said}. {_REMEDIES_OF_LAUNCH.get(refusal.status, 'Correct the request')}, {_REPLAY}")


def of_operation(error: str) -> OperationFailure:
    """What the error of an operation that is done says of the next try."""
    if BEYOND in error:
        return OperationFailure.HOPELESS
    return OperationFailure.ALTERED if _ALTERED.search(error) else OperationFailure.PASSING


def remedy_of_operation(error: str) -> str:
    """What to do about an operation that fails again and again."""
    found = (remedy for words, remedy in _REMEDIES_BY_WORDS.items() if words in error)
    return f"{next(found, 'Mend what it says')}, {_REPLAY}"


def _passes(refusal: Refusal) -> bool:
    return (
        BUSY in refusal.reasons
        or not _RATE_LIMITS.isdisjoint(refusal.reasons)
        or refusal.status in {408, 429}
        or refusal.status >= 500
        or (refusal.status == 404 and refusal.by_id)
    )


def _remedy(refusal: Refusal) -> str:
    if "bucket" in refusal.message:  # with 403 or 412
        return _GRANT_BUCKET
    return _REMEDIES.get(refusal.status, "Correct the request")
