"""One view: where it is to go, whether it may, and going there without losing a race."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared import view_sql
from shared.clock import Clock
from shared.errors import NotYet, Outrun, Permanent
from shared.pipelines import Pipeline
from shared.shards import Shard
from shared.view_sql import Reference

PIN = "mirror_pin"
"""The label of a view that somebody has pinned to a day, which is its value: YYYYMMDD."""

_RACES = 5
_SETTLED_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class View:
    """What stands under a view's name; `query` is None where that is no view, `pin` empty where it is not pinned."""

    dataset: str
    name: str
    etag: str
    kind: str = "VIEW"
    query: str | None = None
    pin: str = ""


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard as BigQuery has it."""

    description: str | None
    changed_at: datetime
    rows: int
    streaming: bool


class Warehouse(Protocol):
    """BigQuery's tables and views."""

    @property
    def project(self) -> str:
        """The project of its datasets."""

    def shard(self, dataset: str, shard: Shard) -> ShardState | None:
        """A shard; None where there is none."""

    def view(self, dataset: str, name: str) -> View | None:
        """What stands under that name; None where nothing does."""

    def create_view(self, dataset: str, name: str, query: str, description: str | None, pin: str) -> None:
        """Create a view that never expires; raises Outrun where the name has been taken since."""

    def change_view(self, view: View, query: str, pin: str) -> None:
        """Change a view's SQL and pin in one go; raises Outrun where it has been changed since it was read."""


class Services(Protocol):
    """What moving a view works with."""

    @property
    def warehouse(self) -> Warehouse:
        """BigQuery."""

    @property
    def clock(self) -> Clock:
        """The time."""


@dataclass(frozen=True, slots=True)
class Aim:
    """
    Where a view is to go: to the first of the shards, newest first, that is complete.

    `trusted`: they are known to be complete. `backwards`: even from a newer one. `pin`: the view's pin from then on, empty
    for none, None to leave a pinned view alone.
    """

    shards: tuple[Shard, ...]
    trusted: bool = False
    backwards: bool = False
    pin: str | None = None

    @property
    def table_id(self) -> str:
        return self.shards[0].table_id


def move(pipeline: Pipeline, aim: Aim, services: Services) -> bool:
    """Whether the view moved, or was created. Raises Permanent where it is not ours to move."""
    for _ in range(_RACES):
        try:
            return _try_to_move(pipeline, aim, services)
        except Outrun:
            continue
    raise NotYet(
        f"the view {pipeline.views_dataset}.{aim.table_id} was changed {_RACES} times while it was to be moved"
    )


def _try_to_move(pipeline: Pipeline, aim: Aim, services: Services) -> bool:
    warehouse = services.warehouse
    view = warehouse.view(pipeline.views_dataset, aim.table_id)
    if view and view.pin and aim.pin is None:
        return False
    places = _places(view, pipeline, warehouse.project) if view else []
    shown = places[0].shard if places else None
    shard = _choose(aim, shown, pipeline, services)
    if not shard:
        return False
    if not view:
        state = warehouse.shard(pipeline.shards_dataset, shard)
        query = view_sql.create(warehouse.project, pipeline.shards_dataset, shard)
        warehouse.create_view(
            pipeline.views_dataset, aim.table_id, query, state.description if state else None, aim.pin or ""
        )
        return True
    pin = view.pin if aim.pin is None else aim.pin
    if shard == shown and pin == view.pin:
        return False
    warehouse.change_view(view, view_sql.repointed(view.query or "", places, shard), pin)
    return True


def _places(view: View, pipeline: Pipeline, project: str) -> list[Reference]:
    """Where the view names its table's shard. Raises Permanent where it names none, or more than one."""
    name = f"{view.dataset}.{view.name}"
    if view.query is None:
        raise Permanent(f"{name} is a {view.kind}, not a view: rename it, or give the pipeline another views_dataset")
    places = view_sql.references(view.query, project, pipeline.shards_dataset, view.name)
    named = sorted({place.shard.name for place in places})
    if not named:
        raise Permanent(
            f"the view {name} names no shard of {view.name} in {pipeline.shards_dataset}, so it is not the mirror's to move"
        )
    if len(named) > 1:
        raise Permanent(
            f"the view {name} names more than one shard of its table, {' and '.join(named)}, so there is no saying which is to move"
        )
    return places


def _choose(aim: Aim, shown: Shard | None, pipeline: Pipeline, services: Services) -> Shard | None:
    """The shard to show, None where the view is not to move."""
    for shard in aim.shards:
        if shown and shard.day <= shown.day and not aim.backwards:
            return None
        if aim.trusted or pipeline.loader == "bigquery" or _is_complete(shard, shown, pipeline, services):
            return shard
    return None


def _is_complete(shard: Shard, shown: Shard | None, pipeline: Pipeline, services: Services) -> bool:
    """
    Whether a shard that somebody else writes may be shown, when no event has said that it is whole.

    BigQuery's own load makes a shard all at once; a writer of streams may be halfway.
    """
    state = services.warehouse.shard(pipeline.shards_dataset, shard)
    if not state or state.streaming or services.clock.now() - state.changed_at < _SETTLED_AFTER:
        return False
    if state.rows or not shown:
        return True
    showing = services.warehouse.shard(pipeline.shards_dataset, shown)
    return not showing or not showing.rows
