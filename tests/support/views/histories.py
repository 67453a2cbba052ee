"""What a history of shards and views is: what happens to the shards, what is told of it and when, and what people ask for."""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from itertools import chain

from hypothesis import strategies as st

from shared.tables import Shard

TABLES = ("orders", "refunds")
DAYS = tuple(date(2026, 1, 12) + timedelta(days=after) for after in range(8))


class Form(Enum):
    """How the end of a job is told."""

    AUDIT_LOG = "by Eventarc"
    OLDER_LOG = "by Eventarc, as the older log writes it"
    SINK = "by a log sink"
    TRUNCATED = "by an entry that is too long to say much"


@dataclass(frozen=True)
class Write:
    """A job writes a shard, and its event may be told later; `how`: load, copy, or a load that fails."""

    shard: Shard
    how: str


@dataclass(frozen=True)
class Tell:
    """The event of a job is delivered, perhaps not for the first time: of the last one so far, or of one so many before it."""

    back: int
    form: Form


@dataclass(frozen=True)
class Ask:
    """A message on `view-refreshes`: a reconcile, of one table perhaps, or the end of its pin."""

    table: str | None = None
    unpin: bool = False


@dataclass(frozen=True)
class Pin:
    """A message that pins a view to the shard of the last job so far, or of one so many before it."""

    back: int


@dataclass(frozen=True)
class Delete:
    """A shard is deleted, unless a view shows it."""

    shard: Shard


Delivery = Tell | Ask | Pin


@dataclass(frozen=True)
class Between:
    """While a delivery is handled, just before its n-th call of BigQuery is answered, something else happens."""

    delivery: Delivery
    call: int
    meanwhile: tuple[Write | Delivery | Delete, ...]


@dataclass(frozen=True)
class AtOnce:
    """Two deliveries are handled at the same time."""

    first: Delivery
    second: Delivery


Step = Write | Delivery | Delete | Between | AtOnce


@dataclass(frozen=True)
class History:
    """All that happens. `keep_days`: the pipeline's."""

    steps: tuple[Step, ...]
    keep_days: int | None = None


_TABLES = st.sampled_from([*TABLES, TABLES[0], TABLES[0]])
_SHARDS = st.builds(Shard, _TABLES, st.sampled_from(DAYS[:5]))
_NEWER = st.builds(Shard, _TABLES, st.sampled_from(DAYS))
_HOW = st.sampled_from(["load", "load", "copy", "failing load"])
_WRITES = st.builds(Write, _SHARDS, _HOW)
_TELLS = st.builds(Tell, st.integers(0, 5), st.sampled_from(Form))
_RECONCILES = st.builds(Ask, st.none() | _TABLES)
_PINS = st.builds(Pin, st.integers(0, 5))
_UNPINS = st.builds(Ask, _TABLES, unpin=st.just(value=True))
_DELETES = st.builds(Delete, _SHARDS)
_DELIVERIES = st.one_of(_TELLS, _TELLS, _RECONCILES, _PINS, _UNPINS)
_WRITTEN_AND_TOLD = st.tuples(_WRITES, st.builds(Tell, st.just(0), st.sampled_from(Form)))
_NEWER_AND_TOLD = st.tuples(st.builds(Write, _NEWER, _HOW), st.builds(Tell, st.just(0), st.sampled_from(Form)))
_MEANWHILE = _NEWER_AND_TOLD | st.lists(st.one_of(_WRITES, _DELIVERIES, _DELETES), min_size=1, max_size=3).map(tuple)
_RACES = st.tuples(
    st.builds(Write, _NEWER, _HOW),
    st.builds(
        Between,
        st.one_of(st.builds(Tell, st.just(0), st.sampled_from(Form)), _RECONCILES, _UNPINS),
        st.integers(1, 3),
        _NEWER_AND_TOLD,
    ),
)
_STEPS = st.one_of(
    _WRITTEN_AND_TOLD,
    _RACES,
    st.tuples(
        st.one_of(
            _WRITES,
            _DELIVERIES,
            _DELETES,
            st.builds(Between, _DELIVERIES, st.integers(0, 4), _MEANWHILE),
            st.builds(AtOnce, _DELIVERIES, _DELIVERIES),
        )
    ),
)
HISTORIES = st.builds(
    History,
    st.lists(_STEPS, min_size=4, max_size=14).map(lambda steps: tuple(chain.from_iterable(steps))),
    st.sampled_from([None, None, 30]),
)
