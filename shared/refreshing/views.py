"""What is known of a view and of its shards, and what follows from it. Pure, without a call."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

from shared.errors import Permanent
from shared.pipelines import Pipeline
from shared.refreshing import view_sql
from shared.refreshing.view_sql import Reference
from shared.tables import Shard

PIN = "mirror_pin"
"""The label of a view that somebody has pinned to a day, which is its value: YYYYMMDD."""
_LEAST_EXPIRY = timedelta(days=1)

Columns = Sequence[Mapping[str, Any]]
"""Of a table or a view, as BigQuery's API has them."""


@dataclass(frozen=True, slots=True)
class View:
    """
    What stands under a view's name. `query`: None if that is no view. `legacy`: it is in legacy SQL.

    `pin`: empty where it is not pinned.
    """

    dataset: str
    name: str
    etag: str
    kind: str = "VIEW"
    query: str | None = None
    pin: str = ""
    columns: Columns = ()
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class ShardState:
    """A shard as BigQuery has it."""

    description: str | None
    changed_at: datetime
    rows: int
    streaming: bool
    expires_at: datetime | None = None
    columns: Columns = ()


@dataclass(frozen=True, slots=True)
class ListedShard:
    """What a list of a dataset's tables says of a shard."""

    created_at: datetime
    expires_at: datetime | None


def places(view: View, pipeline: Pipeline, project: str) -> list[Reference]:
    """Where the view names its table's shard. Raises Permanent if it names none or more than one, or is in legacy SQL."""
    name = f"{view.dataset}.{view.name}"
    if view.query is None:
        raise Permanent(f"{name} is a {view.kind}, not a view: rename it, or give the pipeline another views_dataset")
    if view.legacy:  # a comma there is a union, and would become a join
        raise Permanent(f"the view {name} is in legacy SQL, and the mirror moves views in GoogleSQL only: rewrite it")
    found = view_sql.references(view.query, project, pipeline.shards_dataset, view.name)
    named = sorted({place.shard.name for place in found})
    if not named:
        raise Permanent(
            f"the view {name} names no shard of {view.name} in {pipeline.shards_dataset}, so it is not the mirror's to move"
        )
    if len(named) > 1:
        raise Permanent(
            f"the view {name} names more than one shard of its table, {' and '.join(named)}, so there is no saying which is to move"
        )
    return found


def also_named(view: View, pipeline: Pipeline, project: str) -> frozenset[Shard]:
    """The shards of other tables that the view names: no move changes those."""
    found = view_sql.shards(view.query or "", project, pipeline.shards_dataset)
    return frozenset(shard for shard in found if shard.table_id != view.name)


def described(columns: Columns, *sources: Columns) -> Columns | None:
    """The columns of a view with the descriptions that the sources have, the last one first. None if nothing would change."""
    wanted = {
        column["name"]: column["description"] for source in sources for column in source if column.get("description")
    }
    if all(wanted.get(column["name"], column.get("description")) == column.get("description") for column in columns):
        return None
    return [
        {**column, "description": wanted[column["name"]]} if column["name"] in wanted else column for column in columns
    ]


def shape(columns: Columns) -> list[tuple[str, str]]:
    """Names and types, in order."""
    return [(column["name"], _type(column)) for column in columns]


def losses(before: Columns, after: Columns) -> tuple[str, ...]:
    """What those who query a view lose by a move: columns that went or changed their type, a few words for each."""
    types = {column["name"].casefold(): _type(column) for column in after}
    lost = []
    for column in before:
        kind = types.get(column["name"].casefold())
        if kind is None:
            lost.append(f"{column['name']} is gone")
        elif kind != _type(column):
            lost.append(f"{column['name']} is {kind}, was {_type(column)}")
    return tuple(lost)


def _type(column: Mapping[str, Any]) -> str:
    kind: str = column["type"]
    return f"ARRAY<{kind}>" if column.get("mode") == "REPEATED" else kind


def expiry(shard: Shard, keep_days: int, now: datetime) -> datetime:
    """When a shard that is no longer shown expires: so many days after its own, and never less than a day ahead."""
    kept = datetime.combine(shard.day, time(), UTC) + timedelta(days=keep_days)
    return max(kept, now + _LEAST_EXPIRY)


def expiries(
    shown: Shard, listed: Mapping[Shard, datetime | None], keep_days: int, now: datetime
) -> dict[Shard, datetime | None]:
    """Which shards of a table need another expiry: the shown one has none, and all older ones have one."""
    changes: dict[Shard, datetime | None] = {}
    for shard, expires_at in listed.items():
        if shard == shown and expires_at:
            changes[shard] = None
        elif shard.day < shown.day and not expires_at:
            changes[shard] = expiry(shard, keep_days, now)
    return changes
