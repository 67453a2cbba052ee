"""What is to go wrong, which a test says beforehand."""

from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from local.rest import ApiError
from local.server import HangUp

Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Fault:
    """A call that goes wrong: the error is the answer (with HangUp there is none); it takes effect only if `after`."""

    error: ApiError | HangUp
    after: bool = False


@dataclass(frozen=True)
class Outcome:
    """
    How one export goes. Times are in seconds, beyond the COPY's own; an `error` makes it fail.

    `leaves` is the share of the object that a failed one leaves behind, of which 0.0 is no object.
    """

    pending: float = 0.0
    running: float = 0.0
    error: str | None = None
    leaves: float = 0.0


@dataclass(frozen=True)
class Condition:
    """
    How an instance is. One that its owner has stopped is RUNNABLE, with the activation policy NEVER.

    See https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/instances#SqlInstanceState.
    """

    state: str = "RUNNABLE"
    activation_policy: str = "ALWAYS"

    def check(self) -> None:
        """
        Raises ApiError where no operation can begin, in the service's words.

        They are known for instances that are stopped or being created, and from other methods for the other states:
        https://github.com/turbot/steampipe-plugin-gcp/issues/243, https://github.com/hashicorp/terraform/issues/4557.
        """
        if self.activation_policy == "NEVER" or self.state == "PENDING_CREATE":
            raise ApiError(400, "invalid", "Invalid request: Invalid request since instance is not running.")
        if self.state != "RUNNABLE":
            message = "The instance or operation is not in an appropriate state to handle the request."
            raise ApiError(409, "invalidState", message)


def following(plans: deque[Plan]) -> Plan | None:
    """Take the next plan off a queue that others may be at too; none where nothing is planned."""
    try:
        return plans.popleft()
    except IndexError:
        return None
