"""What refreshing works with."""

from dataclasses import dataclass
from typing import Protocol

from shared.bucket import Storage
from shared.refreshing import moving
from shared.refreshing.bigquery_events import TableWritten, Truncated
from shared.refreshing.views import ListedShard
from shared.runs.announcing import RunAnnouncements
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
    """The services of a refresh. Without `run_announcements`, nobody is told that a run is complete."""

    bigquery: BigQuery
    storage: Storage
    clock: Clock
    run_announcements: RunAnnouncements | None = None
