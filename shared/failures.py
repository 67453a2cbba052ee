"""
Whether a failure passes by itself, and what to do about one that does not: the one place that decides.

    of_admin_api    a call of the Cloud SQL Admin API that was refused     Busy, HandBack or Permanent
    of_operation    an operation of Cloud SQL that ended with an error     OperationFailure
    of_read         an error of the database while a table is read         OperationFailure
    of_storage      a call of Cloud Storage that was refused               Busy, LostRace or Permanent; None: nobody expects it
    of_bigquery     a call of BigQuery that was refused                    HandBack or Permanent
    passes          a job of BigQuery that failed for a reason             true or false
    code_passes     the same, as the audit log tells it                    true or false
    of_dataflow     a call of Dataflow that was refused                    Busy or Permanent
    of_postgres     an error of the source database                        Busy, Denied or Permanent
    of_old_postgres a source database of too old a version                 Permanent
    of_connector    a call of the Cloud SQL connector that was refused     Busy or Denied
    of_connection   settings by which the database cannot be reached       Denied

A failure passes where the same message may succeed later with nobody's help.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from enum import Enum

from shared import redaction, remedies
from shared.errors import Busy, Denied, HandBack, LostRace, Permanent
from shared.pipelines import Pipeline
from shared.redaction import one_line, told

BUSY = "operationInProgress"
"""Another operation has the instance's one slot. It came as 403 in earlier years and comes as 409 now, so the status is open."""
_RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "quotaExceeded", "dailyLimitExceeded"})
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
_PASSING_CODES = frozenset({1, 4, 8, 10, 13, 14})
"""CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, INTERNAL, UNAVAILABLE: https://cloud.google.com/apis/design/errors"""
_NO_SUCH_DATABASE = "3D000"
OLDEST_POSTGRES = 11
"""The oldest version that is supported."""
_PASSING_SQLSTATES = ("08", "40", "53", "55006", "55P03", "57", "58", "XX")
"""How those begin that pass (https://www.postgresql.org/docs/current/errcodes-appendix.html)."""

_LOCK_NOT_AVAILABLE = "55P03"
_NOT_AS_LISTED = ("42", "3F")
"""How the SQLSTATEs begin of what is not there, is something else, or must not be read: since it was listed, that is."""

_REPLAY = "then replay the message"
_AUDIT_LOG = "the project's audit log"
_ALTERED = re.compile(
    r"\b(column|relation|table|schema|type|function|operator)\b.* does not exist|\bcannot (cast type|be cast|be matched)\b|"
    r"could not convert type|cache lookup failed for attribute|TABLESAMPLE clause can only be applied",
    re.DOTALL,
)
"""PostgreSQL's words, and ours, for a SELECT that names what has been dropped, renamed, given another type or made a view."""
_OUTAGE = re.compile(
    r"database system is (starting up|shutting down|in recovery)|not (yet )?accepting connections|administrator command|"
    r"[Cc]onnection (refused|reset by peer|timed out)|No route to host|connection has been closed unexpectedly|"
    r"server closed the connection unexpectedly|too many clients already|remaining connection slots|"
    r"crash of another server process|unexpected postmaster exit"
)
"""Its words, and those of its clients, for a server that restarts or fails over."""


@dataclass(frozen=True, slots=True)
class ApiError:
    """
    An error that a REST API has answered with: what was asked for, the status, Google's words for the reasons, the message.

    `by_id`: one operation was asked for, which may be unknown for a moment after its start. Of the message only `said` is told.
    """

    what: str
    status: int
    reasons: Collection[str]
    message: str = field(repr=False)
    by_id: bool = False

    @property
    def said(self) -> str:
        """What may be told of it, without a full stop."""
        return f"{self.what}: {self.status} {told(self.message, _AUDIT_LOG, self.reasons).rstrip('.')}"

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
    LOCKED = "it will go well, once somebody lets go of the table"
    ALTERED = "it will go as badly, unless the table is described as it is now"
    HOPELESS = "it will go as badly"


_COMPLAINTS = {
    redaction.COMPLAINT_BEYOND: OperationFailure.HOPELESS,
    redaction.COMPLAINT_REPLACED: OperationFailure.REPLACED,
    redaction.COMPLAINT_ALTERED: OperationFailure.ALTERED,
    redaction.COMPLAINT_GUARDED: OperationFailure.HOPELESS,
}


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
    return Permanent(f"{error.said}. {remedies.of_admin_api(error.status, _told(error))}, {_REPLAY}")


def of_dataflow(error: ApiError) -> Busy | Permanent:
    """What to raise for a refused call of Dataflow, which knows of no rows."""
    said = f"{error.what}: {error.status} {one_line(error.message)[:400].rstrip('.')}"
    if error.passes:
        return Busy(said)
    return Permanent(f"{said}. {remedies.of_dataflow(error.status, _told(error))}, {_REPLAY}")


def of_operation(error: str) -> OperationFailure:
    """What the error of an operation that is done says of the next try, by all of its words."""
    shape = redaction.shape(error)
    if shape in _COMPLAINTS:
        return _COMPLAINTS[shape]
    if _ALTERED.search(shape):
        return OperationFailure.ALTERED
    return OperationFailure.PASSING if _OUTAGE.search(shape) else OperationFailure.UNKNOWN


def of_read(code: str, error: str) -> OperationFailure:
    """What an error of the source database, its SQLSTATE and its words, says of the next try to read the table."""
    if code == _LOCK_NOT_AVAILABLE:
        return OperationFailure.LOCKED
    shape = redaction.shape(error)
    if shape != redaction.COMPLAINT_GUARDED and shape in _COMPLAINTS:
        return _COMPLAINTS[shape]
    return OperationFailure.ALTERED if code.startswith(_NOT_AS_LISTED) else of_operation(error)


def remedy_of_operation(error: str) -> str:
    """What to do about an operation that fails again and again."""
    if of_operation(error) is OperationFailure.ALTERED:
        return "The table has been altered: publish a new request for it"
    return f"{remedies.of_operation(redaction.shape(error))}, {_REPLAY}"


def of_storage(error: ApiError, *, raced: bool = True) -> Busy | LostRace | Permanent | None:
    """
    What to raise for a refused call of Cloud Storage, which says nothing of what is in a file. None for a status that nobody expects.

    `raced`: whether something has changed that the call had set as its condition. A policy of the organization is told in the
    same way as a lost race, and only another look tells them apart.
    """
    said = f"{error.what}: {error.status} {one_line(error.message)[:400].rstrip('.')}"
    if error.passes or error.status == 409:
        return Busy(f"Cloud Storage cannot serve {said}")
    if error.status == 412 and raced:
        return LostRace(f"{error.what} has changed")
    if error.status not in {400, 401, 403, 412}:
        return None
    return Permanent(f"{said}. {remedies.of_storage(error.status, _told(error))}, {_REPLAY}")


def of_bigquery(what: str, reason: str, message: str) -> HandBack | Permanent:
    """What to raise for a refused call. A spent quota comes as a refusal, too, and passes."""
    said = f"BigQuery refuses {what}: {told(message, _AUDIT_LOG, [reason])}"
    if passes(reason):
        return HandBack(said)
    remedy = remedies.of_project(f"{reason} {message}")
    return Permanent(f"{said.rstrip('.')}. {remedy}, {_REPLAY}" if remedy else said)


def _told(error: ApiError) -> str:
    return " ".join([*error.reasons, error.message])


def passes(reason: str | None) -> bool:
    """Whether a job of BigQuery that failed for this reason may succeed later. None: it did not fail."""
    return reason in _PASSING_REASONS


def code_passes(code: int | None) -> bool:
    """
    Whether a job of BigQuery that failed with this google.rpc.Code may succeed later. The audit log has no reason.

    It is less sure: RESOURCE_EXHAUSTED is a rate limit and a quota, and a load that needs too much memory, which does not pass.
    """
    return code in _PASSING_CODES


def of_postgres(pipeline: Pipeline, code: str | None, message: str) -> Busy | Denied | Permanent:
    """What to raise for an error of the source database: its SQLSTATE and its words."""
    if code == _NO_SUCH_DATABASE:
        return Permanent(f"{pipeline.instance} has no database {pipeline.database}: correct the pipeline's database")
    words = told(message, "the log of the instance", [code or ""])
    said = f"the database {pipeline.database} of {pipeline.instance} says: {words}"
    if code is None or code.startswith(_PASSING_SQLSTATES):
        return Busy(said)
    return Denied(f"{said}. {remedies.of_postgres(pipeline, code, redaction.shape(message))}, {_REPLAY}")


def of_old_postgres(pipeline: Pipeline, version: str) -> Permanent:
    """What to raise for a server that is too old."""
    return Permanent(
        f"{pipeline.instance} runs PostgreSQL {version}, and the mirror supports {OLDEST_POSTGRES} and later: upgrade the instance"
    )


def of_connector(error: ApiError) -> Busy | Denied:
    """What to raise for a call of the Cloud SQL connector that was refused."""
    if error.passes or error.depends_on_state:
        return Busy(error.said)
    return Denied(f"{error.said}. {remedies.of_connector(error.status)}, {_REPLAY}")


def of_connection(pipeline: Pipeline, why: str, settings: str) -> Denied:
    """What to raise if these settings of a pipeline do not lead to its database, for the reason `why`."""
    return Denied(
        f"{pipeline.instance} cannot be reached: {why.rstrip('.')}. Correct the pipeline's {settings}, {_REPLAY}"
    )
