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


def following(plans: deque[Plan]) -> Plan | None:
    """Take the next plan off a queue that others may be at too; none where nothing is planned."""
    try:
        return plans.popleft()
    except IndexError:
        return None
