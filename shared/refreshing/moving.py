"""Move one view: find where it is to go, and go there without losing a race."""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from shared.errors import HandBack, LostRace, NotThere, Permanent
from shared.pipelines import Pipeline
from shared.refreshing import choosing, view_sql, views
from shared.refreshing.choosing import Aim, Pinning
from shared.refreshing.views import Columns, ShardState, View
from shared.tables import Shard

_RACES = 5


class Views(Protocol):
    """BigQuery's views, and the shards that they show."""

    @property
    def project(self) -> str:
        """The project of its datasets."""

    def shard(self, dataset: str, shard: Shard) -> ShardState | None:
        """A shard. None if there is none."""

    def expire(self, dataset: str, shard: Shard, at: datetime | None) -> None:
        """Have a shard expire at that moment, or never."""

    def view(self, dataset: str, name: str) -> View | None:
        """What stands under that name. None if nothing does."""

    def create_view(self, dataset: str, name: str, query: str, shard: ShardState, pin: str) -> None:
        """
        Create a view that never expires, described as the shard is.

        Raises LostRace if the name has been taken since, and NotThere if a table that it names is missing.
        """

    def change_view(self, view: View, query: str | None, pin: str) -> View:
        """
        Change a view's SQL (None: leave it) and pin in one go, and give it as it is then.

        Raises LostRace if it has been changed since it was read, and NotThere if it is missing, or a table that it names.
        """

    def describe_view(self, view: View, columns: Columns) -> None:
        """Describe a view's columns. Raises LostRace if it has been changed since it was read."""


@dataclass(frozen=True, slots=True)
class Moved:
    """
    The view shows another shard now, or was created.

    `losses`: what its consumers lose, in words. `left`: the older shard that it showed, which may expire now. `shrunk`: why it
    was kept from a newer shard of too few rows. `also_names`: the shards of other tables that its SQL names. `state`: what the
    shard is like that it shows.
    """

    shown: Shard
    state: ShardState | None = None
    losses: tuple[str, ...] = ()
    left: Shard | None = None
    shrunk: str = ""
    also_names: frozenset[Shard] = frozenset()


@dataclass(frozen=True, slots=True)
class Stayed:
    """
    The view shows what it did (None: there is no view). `is_foreign`: nor is there to be one, as the table is not the mirror's.

    `is_pinned`: it is not to move. `state`: None if nobody has looked. All else as of one that moved.
    """

    shown: Shard | None
    state: ShardState | None = None
    is_pinned: bool = False
    losses: tuple[str, ...] = ()
    shrunk: str = ""
    also_names: frozenset[Shard] = frozenset()
    is_foreign: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The view is not ours to move, or BigQuery refuses to have it moved: why. `also_names` as of one that moved."""

    reason: str
    also_names: frozenset[Shard] = frozenset()


Result = Moved | Stayed | Refused


def move(pipeline: Pipeline, aim: Aim, bigquery: Views, now: datetime) -> Result:
    """
    Have a view show the shard that it is to go to.

    At most four calls, and one more for each of the pipeline's guards, max_shrink and keep_days. Raises HandBack if the view
    changes all the time.
    """
    missing = ""
    for _ in range(_RACES):
        attempt = _Attempt(pipeline, aim, bigquery, now)
        try:
            return replace(attempt.move(), also_names=attempt.also_names)
        except Permanent as reason:
            return Refused(str(reason), attempt.also_names)
        except NotThere as reason:
            if str(reason) == missing:  # the view and its shard were there at this look, too
                return Refused(missing, attempt.also_names)
            missing = str(reason)
        except LostRace:
            continue
    raise HandBack(
        f"the view {pipeline.views_dataset}.{aim.table_id} was changed {_RACES} times while it was to be moved"
    )


class _Attempt:
    """One try, on what stands there at this moment."""

    def __init__(self, pipeline: Pipeline, aim: Aim, bigquery: Views, now: datetime) -> None:
        self._pipeline = pipeline
        self._aim = aim
        self._bigquery = bigquery
        self._now = now
        self._looked_at: dict[Shard, ShardState | None] = {}
        self.also_names: frozenset[Shard] = frozenset()

    def move(self) -> Moved | Stayed:
        view = self._bigquery.view(self._pipeline.views_dataset, self._aim.table_id)
        self.also_names = views.also_named(view, self._pipeline, self._bigquery.project) if view else frozenset()
        places = views.places(view, self._pipeline, self._bigquery.project) if view else []
        shown = places[0].shard if places else None
        if not view and not self._aim.gets_view(self._aim.table_id):
            return Stayed(None, is_foreign=True)
        if view and view.pin and self._aim.pinning is Pinning.LEAVE:
            return Stayed(shown, is_pinned=True)
        if view and shown == self._aim.shards[0]:
            return self._stay(view, shown)
        choice = choosing.choose(self._aim, view, shown, self._pipeline, self._look, self._now)
        state = self._look(choice.shard) if choice.shard else None
        if not choice.shard or not state:
            self._pin(view)
            return Stayed(shown, shrunk=choice.shrunk)
        cleared = self._clear_expiry(choice.shard, state)
        if not view:
            return self._create(choice.shard, state)
        query = view_sql.repointed(view.query or "", places, choice.shard)
        changed = self._bigquery.change_view(view, query, self._aim.pin_of(view))
        self._describe(changed, view.columns, state.columns)
        # One call for keep_days: where the new shard took it, the reconcile sees to the old one.
        left = shown if shown and shown < choice.shard and not cleared else None
        losses = views.losses(view.columns, changed.columns)
        return Moved(choice.shard, state, losses, left, choice.shrunk)

    def _stay(self, view: View, shown: Shard) -> Stayed:
        """The view shows its shard already: see to its pin, and to its columns if the shard has just been written."""
        view = self._pin(view) or view
        state = self._look(shown) if self._aim.trusted else None
        if not state:
            return Stayed(shown)
        self._clear_expiry(shown, state)
        written = self._as_written(view, shown, state)
        self._describe(written, view.columns, state.columns)
        return Stayed(shown, state, losses=views.losses(view.columns, written.columns))

    def _pin(self, view: View | None) -> View | None:
        """A view that stays, with the pin that it is to have."""
        pin = self._aim.pin_of(view)
        if not view or pin == view.pin:
            return view
        return self._bigquery.change_view(view, None, pin)

    def _as_written(self, view: View, shown: Shard, state: ShardState) -> View:
        """The view with the columns of its shard, which a load may have changed. One with SQL of its own stays as it is."""
        query = self._plain(shown)
        if view.query != query or views.shape(view.columns) == views.shape(state.columns):
            return view
        return self._bigquery.change_view(view, query, view.pin)

    def _create(self, shard: Shard, state: ShardState) -> Moved:
        dataset, pin = self._pipeline.views_dataset, self._aim.pin_of(None)
        self._bigquery.create_view(dataset, shard.table_id, self._plain(shard), state, pin)
        return Moved(shard, state)

    def _plain(self, shard: Shard) -> str:
        return view_sql.create(self._bigquery.project, self._pipeline.shards_dataset, shard)

    def _look(self, shard: Shard) -> ShardState | None:
        if shard not in self._looked_at:
            self._looked_at[shard] = self._bigquery.shard(self._pipeline.shards_dataset, shard)
        return self._looked_at[shard]

    def _describe(self, view: View, before: Columns, source: Columns) -> None:
        """Put the columns' descriptions back, which a new query wipes: the shard's, else those that people had written."""
        if columns := views.described(view.columns, before, source):
            self._bigquery.describe_view(view, columns)

    def _clear_expiry(self, shard: Shard, state: ShardState) -> bool:
        """
        Have a shard that is shown never expire. Whether it would have.

        Without keep_days, an expiry that people have set stands, unless a pin goes back to the shard.
        """
        ours = self._pipeline.keep_days is not None or self._aim.pinning is not Pinning.LEAVE
        if not state.expires_at or not ours:
            return False
        self._bigquery.expire(self._pipeline.shards_dataset, shard, None)
        return True
