"""What comes between a function and the services that it calls."""

from collections.abc import Callable
from typing import TypeVar

from tests.support.lane.schedules import Trouble
from tests.support.lane.subscriptions import Attempt
from tests.support.lane.virtual_time import VirtualTime

Answer = TypeVar("Answer")


def befall(
    clock: VirtualTime,
    call: str,
    effect: Callable[[], Answer],
    refuse: Callable[[], Answer],
    *,
    writes: bool,
    may_last: bool = True,
) -> Answer:
    """
    Have a call go as the plan of the delivery under way says: `effect` lets it through, `refuse` is the answer if it fails.

    Of a function that has died nothing gets through. Calls of others, such as one stand-in's to another, go well. None takes
    long that may not.
    """
    attempt: Attempt | None = clock.actor
    if attempt is None:
        return effect()
    fault = None if attempt.dead else attempt.next_fault(call, writes=writes)
    if fault is None:
        return refuse() if attempt.dead else effect()
    if fault.trouble is Trouble.SLOW and may_last:
        clock.sleep(fault.seconds)
    attempt.dead = fault.trouble is Trouble.DIES_BEFORE
    if fault.trouble in {Trouble.DIES_BEFORE, Trouble.REFUSED}:
        return refuse()
    answer = effect()
    if fault.trouble is Trouble.ANSWERED_LATE and may_last:
        clock.sleep(fault.seconds)
    attempt.dead = fault.trouble is Trouble.DIES_AFTER
    return refuse() if fault.trouble in {Trouble.DIES_AFTER, Trouble.ANSWER_LOST} else answer
