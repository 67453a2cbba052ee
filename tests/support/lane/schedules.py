"""What a schedule is: everything that may come in the way of a few runs, drawn by Hypothesis."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from hypothesis import strategies as st

from local.cloudsql import Outcome


class Trouble(Enum):
    """What befalls one call of a function to a service."""

    SLOW = "is under way for long"
    ANSWERED_LATE = "has its answer under way for long"
    REFUSED = "fails"
    ANSWER_LOST = "takes effect, and seems to fail"
    DIES_BEFORE = "is not made, as the function dies"
    DIES_AFTER = "is the last before the function dies"


@dataclass(frozen=True)
class Fault:
    """A call that goes wrong, or takes so many seconds."""

    trouble: Trouble
    seconds: float


@dataclass(frozen=True)
class Delivery:
    """
    How one delivery of a message goes: how many seconds late it comes, and what befalls the function's calls.

    Calls are named by their numbers, from 0: `call 7` is one of all, `write 2` one of those that change something. `again`:
    so many seconds after it comes, the same message is delivered once more, whatever becomes of this delivery.
    """

    late: float = 0.0
    faults: Mapping[str, Fault] = field(default_factory=lambda: MappingProxyType({}))
    again: float | None = None


@dataclass(frozen=True)
class Schedule:
    """
    One to three runs over the same tables, and what comes in their way. Times are in seconds since the first request.

    Deliveries, by the functions that they are to, and exports beyond those that are listed go well. `backups` are of somebody
    else, each with its moment and duration. `altered`: when the table `orders` loses a column. `broken`: one of the tables
    cannot be exported, ever. `relisting`: export_table knows where to have a table described again.
    """

    deliveries: Mapping[str, tuple[Delivery, ...]]
    exports: tuple[Outcome, ...] = ()
    backups: tuple[tuple[float, float], ...] = ()
    later_runs: tuple[float, ...] = ()
    altered: float | None = None
    broken: bool = False
    relisting: bool = True


_MOMENTS = st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0, 2.0, 4.0, 9.0, 30.0])
_SECONDS = st.sampled_from([1.0, 3.0, 9.0, 40.0])

# What takes long lets others come between.
_TROUBLES = st.sampled_from(Trouble) | st.sampled_from([Trouble.SLOW, Trouble.ANSWERED_LATE])
_FAULTS = st.builds(Fault, _TROUBLES, _SECONDS)


def _deliveries(calls: int, writes: int) -> st.SearchStrategy[tuple[Delivery, ...]]:
    """Deliveries to a function that makes so many calls, of which so many write, where nothing comes in its way."""
    write, call = st.integers(0, writes - 1), st.integers(0, calls - 1)
    named = st.builds("write {}".format, write) | st.builds("call {}".format, call)
    delivery = st.builds(
        Delivery,
        late=st.just(0.0) | _MOMENTS,
        faults=st.dictionaries(named, _FAULTS, max_size=2),
        again=st.none() | _MOMENTS,
    )
    return st.lists(delivery, max_size=10).map(tuple)


_EXPORTS = st.builds(
    Outcome,
    pending=st.sampled_from([0.0, 0.2]),
    running=st.sampled_from([0.0, 0.4, 3.0, 60.0]),
    error=st.sampled_from([None, None, "ERROR:  canceling statement due to user request"]),
    leaves=st.sampled_from([0.0, 0.5, 1.0]),
)
SCHEDULES = st.builds(
    Schedule,
    deliveries=st.fixed_dictionaries(
        {
            "list_tables": _deliveries(calls=7, writes=3),
            "export_table": _deliveries(calls=24, writes=9),
            "load_shard": _deliveries(calls=12, writes=3),
        }
    ),
    exports=st.lists(_EXPORTS, max_size=6).map(tuple),
    backups=st.lists(st.tuples(_MOMENTS, st.sampled_from([0.3, 1.0, 9.0])), max_size=2).map(tuple),
    later_runs=st.lists(st.sampled_from([0.0, 1.0, 2.0, 4.0, 9.0]), max_size=2).map(tuple),
    altered=st.none() | _MOMENTS,
    broken=st.sampled_from([False, False, True]),
    relisting=st.sampled_from([True, True, False]),
)


def _late(name: str, trouble: Trouble, again: float | None = None) -> tuple[Delivery, ...]:
    return (Delivery(faults={name: Fault(trouble, 9.0)}, again=again),)


RACES = {
    "an export is sealed late, when its duplicate has ended and a later run has sealed": Schedule(
        {"export_table": _late("write 3", Trouble.SLOW, again=1.0)}, later_runs=(2.0,)
    ),
    "an export starts late, when its duplicate has ended, and outlasts its delivery": Schedule(
        {"export_table": _late("write 0", Trouble.SLOW, again=1.0)},
        exports=(Outcome(), Outcome(), Outcome(running=60.0)),
    ),
    "an export is moved late, when its duplicate has moved it": Schedule(
        {"export_table": _late("write 2", Trouble.SLOW, again=1.0)}, later_runs=(2.0,)
    ),
    "an export starts late, when its duplicate has ended": Schedule(
        {"export_table": _late("write 0", Trouble.SLOW, again=1.0)}
    ),
    "a table is described again, while a duplicate waits for the export that failed": Schedule(
        {"export_table": (Delivery(late=4.0, again=0.3),), "load_shard": (Delivery(late=9.0), Delivery(late=9.0))},
        altered=1.0,
        later_runs=(6.0,),
    ),
    "a load begins late, when a later run has loaded": Schedule(
        {"load_shard": _late("write 0", Trouble.SLOW)}, later_runs=(1.0,)
    ),
    "a load's look at the data is late, when a later run has loaded": Schedule(
        {"load_shard": _late("call 1", Trouble.ANSWERED_LATE)}, later_runs=(1.0,)
    ),
    "a load's look at the data is late, a later run has loaded, and the load's answer is lost": Schedule(
        {
            "load_shard": (
                Delivery(
                    faults={"call 1": Fault(Trouble.ANSWERED_LATE, 9.0), "write 0": Fault(Trouble.ANSWER_LOST, 1.0)}
                ),
            )
        },
        later_runs=(1.0,),
    ),
    "rows that a load has put back are late, when a third run has loaded, and the load dies": Schedule(
        {
            "load_shard": (
                Delivery(
                    faults={
                        "write 0": Fault(Trouble.SLOW, 3.0),
                        "write 1": Fault(Trouble.SLOW, 9.0),
                        "call 12": Fault(Trouble.DIES_BEFORE, 1.0),
                    }
                ),
            )
        },
        later_runs=(1.0, 5.0),
    ),
    "a load reads what a later run has moved and not yet sealed, of a table that was altered": Schedule(
        {
            "export_table": (Delivery(), Delivery(), Delivery(faults={"write 2": Fault(Trouble.DIES_AFTER, 1.0)})),
            "load_shard": _late("write 0", Trouble.SLOW),
        },
        later_runs=(2.0,),
        altered=1.0,
    ),
    "an altered table's first description fails once more, when it has been described again": Schedule(
        {
            "list_tables": (Delivery(), Delivery(again=2.0), Delivery()),
            "export_table": (
                Delivery(late=0.3, faults={"write 0": Fault(Trouble.SLOW, 1.0)}, again=0.1),
                Delivery(),
                Delivery(),
                Delivery(late=1.0),
            ),
            "load_shard": (Delivery(), Delivery(late=9.0)),
        },
        later_runs=(4.0,),
        altered=0.1,
    ),
}
"""Schedules that chance meets seldom."""
