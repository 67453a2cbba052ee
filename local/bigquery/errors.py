"""The errors of calls and of jobs, with BigQuery's own reasons."""

from typing import Any

from local.rest import ApiError

# https://cloud.google.com/bigquery/docs/error-messages
_STATUS = {
    "accessDenied": 403,
    "backendError": 503,
    "conditionNotMet": 412,
    "duplicate": 409,
    "internalError": 500,
    "invalid": 400,
    "invalidQuery": 400,
    "notFound": 404,
    "notImplemented": 501,
    "quotaExceeded": 403,
    "rateLimitExceeded": 403,
    "resourcesExceeded": 400,
    "stopped": 499,
}


class BigQueryError(Exception):
    """An error with BigQuery's `reason`. `location` says where it happened: a file, "query", or empty."""

    def __init__(self, reason: str, message: str, location: str = "") -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.location = location

    def proto(self) -> dict[str, Any]:
        """The ErrorProto of a failed job."""
        proto = {"reason": self.reason, "message": self.message}
        return proto | ({"location": self.location} if self.location else {})

    def answer(self) -> ApiError:
        """The HTTP error that answers a failed call."""
        return ApiError(_STATUS[self.reason], self.reason, self.message)


def error_of(proto: dict[str, Any]) -> BigQueryError:
    """The error that a job's ErrorProto describes."""
    return BigQueryError(proto["reason"], proto["message"], proto.get("location", ""))


def unhonoured(what: str) -> BigQueryError:
    """The error for something that BigQuery may support and this stand-in does not."""
    return BigQueryError("invalid", f"This stand-in does not honour {what}")


def refuse_others(given: dict[str, Any], honoured: frozenset[str], where: str) -> None:
    """
    Refuse fields that are not honoured, instead of ignoring them.

    Raises BigQueryError if `given` has a field that is set and not in `honoured`. `where` is for the message.
    """
    for name, value in given.items():
        if name not in honoured and value not in (None, False, 0, "0", "", [], {}):
            raise unhonoured(f"{where}.{name} = {value!r}")
