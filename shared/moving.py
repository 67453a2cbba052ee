"""Move one view: find where it is to go, whether it may, and go there without losing a race."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared import view_sql, views
from shared.clock import Clock
from shared.errors import NotYet, Outrun
from shared.pipelines import Pipeline
from shared.shards import Shard
from shared.views import Aim, Columns, ShardState, View

_RACES = 5


class Warehouse(Protocol):
    """BigQuery's tables and views."""

    @property
    def project(self) -> str:
        """The project of its datasets."""

    def shard(self, dataset: str, shard: Shard) -> ShardState | None:
        """A shard; None where there is none."""

    def expire(self, dataset: str, shard: Shard, at: datetime | None) -> None:
        """Have a shard expire at that moment, or never."""

    def view(self, dataset: str, name: str) -> View | None:
        """What stands under that name; None where nothing does."""

    def create_view(self, dataset: str, name: str, query: str, shard: ShardState, pin: str) -> None:
        """Create a view that never expires, described as the shard is; raises Outrun where the name has been taken since."""

    def change_view(self, view: View, query: str | None, pin: str) -> View:
        """
        Change a view's SQL (None: leave it) and pin in one go, and give it as it is then.

        Raises Outrun where it has been changed since it was read, or the shard is gone.
        """

    def describe_view(self, view: View, columns: Columns) -> None:
        """Describe a view's columns; raises Outrun where it has been changed since it was read."""


class Services(Protocol):
    """What moving a view works with."""

    @property
    def warehouse(self) -> Warehouse:
        """BigQuery."""

    @property
    def clock(self) -> Clock:
        """The time."""


@dataclass(frozen=True, slots=True)
class Moved:
    """
    The view shows another shard now, or was created.

    `losses`: what its consumers lose, in words; `expired`: what it showed, where that expires from now on; `shrunk`: why it was
    kept from a newer shard of too few rows.
    """

    shown: Shard
    losses: tuple[str, ...] = ()
    expired: Shard | None = None
    shrunk: str = ""


@dataclass(frozen=True, slots=True)
class Stayed:
    """The view shows what it did (None: there is none); `losses` and `shrunk` as of one that moved."""

    shown: Shard | None
    losses: tuple[str, ...] = ()
    shrunk: str = ""


def move(pipeline: Pipeline, aim: Aim, services: Services) -> Moved | Stayed:
    """
    Have a view show the shard that it is to go to.

    At most four calls, and one more for each of the pipeline's guards, max_shrink and keep_days. Raises Permanent where the
    view is not ours to move.
    """
    for _ in range(_RACES):
        try:
            return _Attempt(pipeline, aim, services).move()
        except Outrun:
            continue
    raise NotYet(
        f"the view {pipeline.views_dataset}.{aim.table_id} was changed {_RACES} times while it was to be moved"
    )


class _Attempt:
    """One try, on what stands there at this moment."""

    def __init__(self, pipeline: Pipeline, aim: Aim, services: Services) -> None:
        self._pipeline = pipeline
        self._aim = aim
        self._warehouse = services.warehouse
        self._now = services.clock.now()
        self._shrunk = ""
        self._states: dict[Shard, ShardState | None] = {}

    def move(self) -> Moved | Stayed:
        view = self._warehouse.view(self._pipeline.views_dataset, self._aim.table_id)
        places = views.places(view, self._pipeline, self._warehouse.project) if view else []
        shown = places[0].shard if places else None
        if view and view.pin and self._aim.pin is None:
            return Stayed(shown)
        if view and shown in self._aim.shards[:1]:
            return self._stay(view, self._aim.shards[0])
        chosen = self._choose(view, shown)
        if not chosen:
            self._pin(view)
            return Stayed(shown, shrunk=self._shrunk)
        shard, state = chosen
        cleared = self._clear_expiry(shard, state)
        if not view:
            return self._create(shard, state)
        pin = view.pin if self._aim.pin is None else self._aim.pin
        changed = self._warehouse.change_view(view, view_sql.repointed(view.query or "", places, shard), pin)
        self._describe(changed, view.columns, state.columns)
        # One call for keep_days: where the new shard took it, the reconcile sees to the old one.
        expired = None if cleared else self._expire(shown, shard)
        return Moved(shard, views.losses(view.columns, changed.columns), expired, self._shrunk)

    def _stay(self, view: View, shown: Shard) -> Stayed:
        """Where the view shows it already: its pin, and its columns where the shard has just been written."""
        view = self._pin(view) or view
        state = self._state(shown) if self._aim.trusted else None
        if not state:
            return Stayed(shown)
        self._clear_expiry(shown, state)
        written = self._as_written(view, shown, state)
        self._describe(written, view.columns, state.columns)
        return Stayed(shown, views.losses(view.columns, written.columns))

    def _pin(self, view: View | None) -> View | None:
        """The view with the pin that it is to have, wherever it stays."""
        if not view or self._aim.pin is None or self._aim.pin == view.pin:
            return view
        return self._warehouse.change_view(view, None, self._aim.pin)

    def _as_written(self, view: View, shown: Shard, state: ShardState) -> View:
        """The view with the columns of its shard, which a load in place may have changed; one with SQL of its own as it is."""
        query = self._plain(shown)
        if view.query != query or views.shape(view.columns) == views.shape(state.columns):
            return view
        return self._warehouse.change_view(view, query, view.pin)

    def _create(self, shard: Shard, state: ShardState) -> Moved:
        dataset, pin = self._pipeline.views_dataset, self._aim.pin or ""
        self._warehouse.create_view(dataset, shard.table_id, self._plain(shard), state, pin)
        return Moved(shard)

    def _plain(self, shard: Shard) -> str:
        return view_sql.create(self._warehouse.project, self._pipeline.shards_dataset, shard)

    def _choose(self, view: View | None, shown: Shard | None) -> tuple[Shard, ShardState] | None:
        """The shard to show, None where the view is not to move."""
        backwards = self._may_go_back(view, shown)
        for shard in self._aim.shards:
            if shown and shard.day <= shown.day and not backwards:
                return None
            state = self._state(shard) if self._aim.is_released(shard) else None
            if state and self._may_show(shard, state, shown):
                return shard, state
        return None

    def _may_go_back(self, view: View | None, shown: Shard | None) -> bool:
        """A pin may, and the end of one whose shard is gone; an unpin that comes late finds no pin."""
        unpins = self._aim.pin == ""
        return self._aim.backwards and (not unpins or bool(view and view.pin and shown not in self._aim.shards))

    def _may_show(self, shard: Shard, state: ShardState, shown: Shard | None) -> bool:
        aim, pipeline = self._aim, self._pipeline
        if pipeline.loader != "bigquery":
            if not views.is_whole(state, aim, self._now):
                return False
            if not views.is_vouched_for(state, aim) and shown and not state.rows and self._rows(shown):
                return False
        if pipeline.max_shrink is None or aim.by_hand or not shown:
            return True
        return not self._is_shrunk(shard, state, shown, pipeline.max_shrink)

    def _is_shrunk(self, shard: Shard, state: ShardState, shown: Shard, max_shrink: float) -> bool:
        rows = self._rows(shown)
        if state.rows >= rows * max_shrink:
            return False
        self._shrunk = (
            f"the view {shard.table_id} is kept at {shown.name}: {shard.name} has {state.rows} rows, less than {max_shrink:g} of "
            f'its {rows}; where that is right, publish {{"pipeline": "{self._pipeline.name}", "tables": ["{shard.table_id}"]}} '
            "to view-refreshes"
        )
        return True

    def _rows(self, shard: Shard) -> int:
        state = self._state(shard)
        return state.rows if state else 0

    def _state(self, shard: Shard) -> ShardState | None:
        if shard not in self._states:
            self._states[shard] = self._warehouse.shard(self._pipeline.shards_dataset, shard)
        return self._states[shard]

    def _describe(self, view: View, before: Columns, source: Columns) -> None:
        """Put the columns' descriptions back, which a new query wipes: the shard's, else those that people had written."""
        if columns := views.described(view.columns, before, source):
            self._warehouse.describe_view(view, columns)

    def _clear_expiry(self, shard: Shard, state: ShardState) -> bool:
        """
        What is shown must not vanish; whether it would have.

        Where no days are counted, a date that people have set stands, unless they go back to it.
        """
        if not state.expires_at or not (self._pipeline.keep_days is not None or self._aim.backwards):
            return False
        self._warehouse.expire(self._pipeline.shards_dataset, shard, None)
        return True

    def _expire(self, replaced: Shard | None, shard: Shard) -> Shard | None:
        keep_days = self._pipeline.keep_days
        if keep_days is None or not replaced or replaced.day >= shard.day:
            return None
        at = views.expiry(replaced, keep_days, self._now)
        self._warehouse.expire(self._pipeline.shards_dataset, replaced, at)
        return replaced


def keep_to_days(
    pipeline: Pipeline, result: Moved | Stayed, listed: Mapping[Shard, datetime | None], services: Services
) -> None:
    """Have the shards of one table expire as the pipeline's keep_days, if any, says; `listed` is as it was before the move."""
    if pipeline.keep_days is None or not result.shown:
        return
    seen_to = {result.shown, result.expired} if isinstance(result, Moved) else set()
    for shard, at in views.expiries(result.shown, listed, pipeline.keep_days, services.clock.now()).items():
        if shard not in seen_to:
            services.warehouse.expire(pipeline.shards_dataset, shard, at)
