"""What refreshing works with."""

from dataclasses import dataclass, field
from typing import Protocol

from shared.bucket import Storage
from shared.refreshing import moving
from shared.refreshing.bigquery_events import TableWritten, Truncated
from shared.refreshing.views import ListedShard
from shared.runs.announcing import Listeners
from shared.tables import Shard
from shared.times import Clock


class BigQuery(moving.Views, Protocol):
    """BigQuery's views, shards and jobs."""

    def shards(self, dataset: str) -> dict[Shard, ListedShard]:
        """All shards of a dataset."""

    def table_written(self, job: Truncated) -> TableWritten | None:
        """What a job wrote. None if it is gone, runs, or is neither a load nor a copy."""


@dataclass(frozen=True, slots=True)
class RefreshServices:
    """The services of a refresh, and who is told of runs."""

    bigquery: BigQuery
    storage: Storage
    clock: Clock
    listeners: Listeners = field(default_factory=Listeners)
