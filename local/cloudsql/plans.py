"""Failures that a test plans in advance: of exports, and of instances."""

from collections import deque
from dataclasses import dataclass
from typing import TypeVar

from local.rest import ApiError

Plan = TypeVar("Plan")


@dataclass(frozen=True)
class Outcome:
    """
    How one export goes.

    `pending` and `running` are seconds in these states, beyond the COPY's own time. With an `error` it fails. `leaves`
    is the share of the object that a failed export leaves behind. 0.0 means no object.
    """

    pending: float = 0.0
    running: float = 0.0
    error: str | None = None
    leaves: float = 0.0


@dataclass(frozen=True)
class Condition:
    """
    The condition of an instance. If its owner has stopped it, it is RUNNABLE with the activation policy NEVER.

    See https://cloud.google.com/sql/docs/postgres/admin-api/rest/v1/instances#SqlInstanceState.
    """

    state: str = "RUNNABLE"
    activation_policy: str = "ALWAYS"

    def check(self) -> None:
        """
        Raise ApiError if no operation can start in this condition. The messages are the service's.

        For stopped instances and instances in creation the message is known. For other states it is taken from other
        methods. Sources: https://github.com/turbot/steampipe-plugin-gcp/issues/243 and
        https://github.com/hashicorp/terraform/issues/4557.
        """
        if self.activation_policy == "NEVER" or self.state == "PENDING_CREATE":
            raise ApiError(400, "invalid", "Invalid request: Invalid request since instance is not running.")
        if self.state != "RUNNABLE":
            message = "The instance or operation is not in an appropriate state to handle the request."
            raise ApiError(409, "invalidState", message)


def following(plans: deque[Plan]) -> Plan | None:
    """Take the next plan from a queue. None if it is empty. Safe to call from several threads."""
    try:
        return plans.popleft()
    except IndexError:
        return None
