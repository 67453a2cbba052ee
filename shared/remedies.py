"""
What to do about a failure that does not pass by itself, by its status and its words.

A database's words are taken by their shape: see shared/redaction.py.
"""

import re

from shared.pipelines import Pipeline
from shared.redaction import COMPLAINT_BEYOND, COMPLAINT_GUARDED, COMPLAINT_REPLACED

TRUST = 'have the pipeline say "trust_database": true if whoever may create objects in the database may be trusted'
_GRANT_BUCKET = "Grant the Cloud SQL instance's own service account roles/storage.objectAdmin on the pipeline's bucket, which must exist"
EXPORTER = "cloudsqlsuperuser"
TO_THE_EXPORTER = f"to {EXPORTER}, the role that Cloud SQL exports with"
_PRIVILEGES = (
    dict.fromkeys(
        ("table", "foreign table", "relation", "view", "materialized view", "column", "large object"), "SELECT"
    )
    | dict.fromkeys(("schema", "type", "domain", "language", "foreign server", "foreign-data wrapper"), "USAGE")
    | dict.fromkeys(("function", "procedure", "routine", "aggregate"), "EXECUTE")
    | {"sequence": "USAGE and SELECT", "database": "CONNECT", "parameter": "SET"}
)
"""By the kinds of things that PostgreSQL can say "permission denied for", as far as they have privileges."""
_NO_PRIVILEGE = re.compile(rf"\bpermission denied for ({'|'.join(_PRIVILEGES)}) ")
_TIMEOUTS = {
    "statement": "statement_timeout",
    "lock": "lock_timeout",
    "transaction": "transaction_timeout",
    "idle-in-transaction": "idle_in_transaction_session_timeout",
    "idle-session": "idle_session_timeout",
}
_TIMED_OUT = re.compile(rf"\bdue to ({'|'.join(_TIMEOUTS)}) timeout\b")
_OF_COMPLAINT = {
    COMPLAINT_GUARDED: f"Exclude the table, or {TRUST}",
    COMPLAINT_REPLACED: "Request the table at a time when nothing truncates it or makes it again",
    COMPLAINT_BEYOND: 'Correct the rows, or have the pipeline say "unrepresentable": "null" or "string"',
}
_OF_OPERATION = {
    "invalid byte sequence for encoding|has no equivalent in encoding": "Correct the rows: they hold bytes that are no characters",
    "^invalid (input|Unicode|XML|regular|hexadecimal)|out of range|overflow|^division|^malformed|^unsupported Unicode|^Unicode |"
    "^(value|domain|time zone|cannot convert|cannot cast jsonb|key value)": "Find the rows by a SELECT of what it names, and correct them",
    "out of (shared )?memory|memory alloc|memory segment|No space left|Disk quota|temp_file_limit|could not (extend|fork)": (
        "Give the instance more memory or disk, or raise the flag that limits it"
    ),
    "^could not (read block|access status)|^invalid page|^page verification|chunk number|data is corrupt": (
        "Have the table restored from a backup: its pages are damaged"
    ),
    "deadlock detected|could not serialize|could not obtain lock": "Request the table at a quieter time",
    "due to conflict with recovery": "Name the primary instance: a standby ends what stands in the way of its recovery",
    "due to (user request|administrator command)": "See that nobody, and no job that ends long statements, cancels it",
    r'(?<!["\w.])bucket(?![\w"])|storage\.objects|Cloud Storage|Access denied for': _GRANT_BUCKET,
    "read replica": "Name the primary instance: a read replica cannot export CSV files",
    "permission denied": f"Grant what it names {TO_THE_EXPORTER}",
}
"""By patterns of the operation's error. The first that is found counts."""
_OF_ADMIN_API = {
    400: "Correct the pipeline's settings by what it says",
    401: "Give the function's service account access to the Cloud SQL Admin API",
    403: "Grant the function's service account cloudsql.instances.export and .get on it, and enable the Cloud SQL Admin API",
    404: "Correct the pipeline's instance",
}
_OF_DATAFLOW = {
    400: "Correct the pipeline's dataflow setting by what it says",
    401: "Give the function's service account access to the Dataflow API",
    403: (
        "Grant the function's service account roles/dataflow.developer and, on the job's service account, "
        "roles/iam.serviceAccountUser, and enable the Dataflow API"
    ),
    404: "Correct the template and the region of the pipeline's dataflow setting",
}
_OF_STORAGE = {
    "retentionPolicyNotMet|retention policy": "Take the retention off the bucket and its objects, or give the pipeline another bucket",
    r"objectUnderActiveHold|under active \S+ hold": "Release the hold, and switch the bucket's default hold off",
    "cloudKms|Cloud KMS": "Enable the bucket's key, and grant Cloud Storage's agent roles/cloudkms.cryptoKeyEncrypterDecrypter on it",
    "userProjectMissing|requester ?pays": "Switch Requester Pays off: Cloud SQL cannot export into such a bucket",
}
"""By Google's word for the reason, or by words of the message: a download is refused in plain text, and a hold is `forbidden`."""
_OF_STORAGE_BY_STATUS = {
    400: "Mend what it says",
    412: "Nobody else has changed it. Lift the organization's policy that forbids this, or give the pipeline another bucket",
}
_GRANT_OBJECTS = "Grant the function's service account roles/storage.objectUser on the bucket"
_CONNECT = "Grant the function's service account roles/cloudsql.client, and enable the Cloud SQL Admin API"
_OF_CONNECTOR = {401: _CONNECT, 403: _CONNECT}
_PERIMETER = re.compile(
    r"prohibited by organization's policy(?:.*?vpcServiceControlsUniqueIdentifier\W+([\w-]+))?", re.DOTALL
)
"""VPC Service Controls, of any service. Their administrators find the refusal by the identifier."""
_NO_BILLING = re.compile(
    "accountDisabled|UserProjectAccountProblem|billingNotEnabled|billing account|requires billing|billing disabled"
)


def of_admin_api(status: int, told: str) -> str:
    """For a refused call of the Cloud SQL Admin API. `told`: Google's reasons and words."""
    ours = _GRANT_BUCKET if "bucket" in told else _OF_ADMIN_API.get(status, "Correct the request")
    return of_project(told) or ours


def of_connector(status: int) -> str:
    """For a refused call of the Cloud SQL connector."""
    return _OF_CONNECTOR.get(status, "Correct the pipeline's instance")


def of_dataflow(status: int, told: str) -> str:
    """For a refused call of Dataflow."""
    return of_project(told) or _OF_DATAFLOW.get(status, "Correct the request")


def of_storage(status: int, told: str) -> str:
    """For a refused call of Cloud Storage."""
    found = (remedy for words, remedy in _OF_STORAGE.items() if re.search(words, told, re.IGNORECASE))
    return of_project(told) or next(found, _OF_STORAGE_BY_STATUS.get(status, _GRANT_OBJECTS))


def of_project(told: str) -> str | None:
    """For a refusal that each call of the project meets, whatever its roles. None if it is another."""
    if perimeter := _PERIMETER.search(told):
        named = f"the identifier {perimeter[1]}" if perimeter[1] else "what it says"
        return (
            f"Give {named} to the administrators of VPC Service Controls, who can let the function's service account in"
        )
    return "Open the project's billing account" if _NO_BILLING.search(told) else None


def of_operation(error: str) -> str:
    """For an operation of Cloud SQL that has ended with an error of this shape."""
    if error in _OF_COMPLAINT:
        return _OF_COMPLAINT[error]
    if grant := _missing_grant(error):
        return f"{grant} {TO_THE_EXPORTER}"
    if ended := _TIMED_OUT.search(error):
        return f"Raise {_TIMEOUTS[ended[1]]} where the database or the instance's flags set it"
    found = (remedy for words, remedy in _OF_OPERATION.items() if re.search(words, error))
    return next(found, "Mend what it says")


def of_postgres(pipeline: Pipeline, code: str, message: str) -> str:
    """For an error of the source database: its SQLSTATE and its shape."""
    if grant := _missing_grant(message):
        return f"{grant} to {pipeline.user}"
    if code == "55000":
        return "Have it accept connections: ALTER DATABASE … ALLOW_CONNECTIONS true"
    if code in {"22021", "22P05"}:
        return "Correct the name or the comment that holds bytes that are no characters"
    if not code.startswith("28"):
        return "Mend what it says"
    if pipeline.password_file:
        return "Correct the pipeline's user, or the password in its password_file"
    if pipeline.host:
        return "Correct the pipeline's user, or give it a password_file"
    return (
        f"Make {pipeline.user} an IAM user of the instance, set its flag cloudsql.iam_authentication, "
        "and grant the function's service account roles/cloudsql.instanceUser"
    )


def _missing_grant(error: str) -> str | None:
    """What to grant where PostgreSQL says that it is denied. None if it says no such thing."""
    denied = _NO_PRIVILEGE.search(error)
    return f"Grant {_PRIVILEGES[denied[1]]} on the {denied[1]}" if denied else None
