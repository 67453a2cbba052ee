"""Which shard a view is to show, and whether it may. Pure but for looks at the shards."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from shared.pipelines import Pipeline
from shared.refreshing.views import ShardState, View
from shared.tables import Shard
from shared.times import stamp

SETTLED_AFTER = timedelta(hours=1)
"""Since its last change. A shard that somebody else writes, and that no event has told of, counts as complete by then."""


class Pinning(Enum):
    """What becomes of a view's pin."""

    LEAVE = "it stays, and so does a pinned view"
    PIN = "the view goes to the shard, backwards too, and is pinned there"
    UNPIN = "it is taken away, and the view goes to the newest shard"


@dataclass(frozen=True, slots=True)
class Aim:
    """
    Where a view is to go: to the first of the shards, newest first, that may be shown.

    `trusted`: the shards are known to be complete. `written_by`: their writer was done then. `by_hand`: somebody has asked for
    the view by name, so that a shard of few rows is what they want. `is_released`: whether a shard's run lets it be shown.
    `gets_view`: whether a table that has no view is to get one.
    """

    shards: tuple[Shard, ...]
    pinning: Pinning = Pinning.LEAVE
    trusted: bool = False
    written_by: datetime | None = None
    by_hand: bool = False
    is_released: Callable[[Shard], bool] = lambda _: True
    gets_view: Callable[[str], bool] = lambda _: True

    @property
    def table_id(self) -> str:
        return self.shards[0].table_id

    def pin_of(self, view: View | None) -> str:
        """The pin that the view is to have."""
        if self.pinning is Pinning.LEAVE:
            return view.pin if view else ""
        return stamp(self.shards[0].day) if self.pinning is Pinning.PIN else ""


@dataclass(frozen=True, slots=True)
class Choice:
    """The shard to go to, None if the view stays. `shrunk`: why it is kept from a newer one of too few rows, or empty."""

    shard: Shard | None = None
    shrunk: str = ""


Look = Callable[[Shard], ShardState | None]
"""Looks at a shard. None if it is gone."""


def choose(aim: Aim, view: View | None, shown: Shard | None, pipeline: Pipeline, look: Look, now: datetime) -> Choice:
    """The first shard of the aim that the view may go to. `shown` is what it shows now."""
    shrunk = ""
    for shard in aim.shards:
        if shown and shard.day <= shown.day and not _may_go_back(aim, view, shown):
            break
        state = look(shard) if aim.is_released(shard) else None
        if not state or not _is_filled(state, aim, shown, pipeline, look, now):
            continue
        reason = _shrinkage(shard, state, aim, shown, pipeline, look)
        if not reason:
            return Choice(shard, shrunk)
        shrunk = reason
    return Choice(shrunk=shrunk)


def _may_go_back(aim: Aim, view: View | None, shown: Shard) -> bool:
    """A pin may. So may the end of one whose shard is gone. An unpin that comes late finds no pin."""
    if aim.pinning is Pinning.UNPIN:
        return bool(view and view.pin) and shown not in aim.shards
    return aim.pinning is Pinning.PIN


def _is_filled(state: ShardState, aim: Aim, shown: Shard | None, pipeline: Pipeline, look: Look, now: datetime) -> bool:
    """
    Whether all rows of a shard are there.

    BigQuery's own load makes a shard all at once. Another writer may be halfway, unless an event has said otherwise.
    """
    if pipeline.loader == "bigquery" or _is_vouched_for(state, aim):
        return True
    if state.streaming or now - state.changed_at < SETTLED_AFTER:
        return False
    return not (shown and not state.rows and _rows(shown, look))


def _is_vouched_for(state: ShardState, aim: Aim) -> bool:
    """Whether an event has said that a shard is complete."""
    return aim.trusted or (aim.written_by is not None and state.changed_at <= aim.written_by)


def _shrinkage(
    shard: Shard, state: ShardState, aim: Aim, shown: Shard | None, pipeline: Pipeline, look: Look
) -> str | None:
    """Why a shard has too few rows to be shown, by the pipeline's max_shrink. None if it has enough."""
    if pipeline.max_shrink is None or aim.by_hand or not shown:
        return None
    rows = _rows(shown, look)
    if state.rows >= rows * pipeline.max_shrink:
        return None
    return (
        f"the view {shard.table_id} is kept at {shown.name}: {shard.name} has {state.rows} rows, less than {pipeline.max_shrink:g} of "
        f'its {rows}; where that is right, publish {{"pipeline": "{pipeline.name}", "tables": ["{shard.table_id}"]}} '
        "to view-refreshes"
    )


def _rows(shard: Shard, look: Look) -> int:
    state = look(shard)
    return state.rows if state else 0
