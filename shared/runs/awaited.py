"""
Whether a run still waits for a table, without a list of its folder for each table that comes.

A run is over when none of its tables is open. To know that it is not, one open table is enough: a witness. So an event looks at
one other table, and as a rule that is open. Only where it has come to its end is the folder listed, and another taken.
"""

from collections.abc import Collection, Set
from threading import Lock

from shared.bucket import Bucket
from shared.pipelines import Pipeline
from shared.runs import progress, records
from shared.runs.digests import KnownRuns

_MOST_RUNS = 8


class Awaited:
    """
    The tables of the last runs that were open when this instance saw them last. At first these are all, in the lane's order.

    It never says that a run waits when it does not. Whoever writes the last end of a run sees all others. `runs`: those that it knows.
    """

    def __init__(self) -> None:
        self.runs = KnownRuns()
        self._open: dict[tuple[str, ...], list[str]] = {}
        self._lock = Lock()

    def awaits_another(
        self, bucket: Bucket, pipeline: Pipeline, run_id: str, table_id: str, ends: Collection[str] = records.ENDS
    ) -> bool:
        """Whether a run is known to wait for another table. That costs four looks, or one more for each further end."""
        key = (pipeline.bucket, pipeline.name, run_id, *ends)
        with self._lock:
            found = self._open.get(key)
        if found is None:
            run = self.runs.find(bucket, pipeline, run_id)
            found = list(run.tables) if run else []
        others = [each for each in found if each != table_id]
        self._keep(key, others)
        return bool(others) and not progress.has_come_to(ends, bucket, pipeline, run_id, others[-1])

    def knows(self, bucket: Bucket, pipeline: Pipeline, run_id: str) -> bool:
        """Whether a run is on record."""
        return self.runs.find(bucket, pipeline, run_id) is not None

    def remember(
        self, pipeline: Pipeline, run_id: str, still_open: Set[str], ends: Collection[str] = records.ENDS
    ) -> None:
        """Keep in mind which tables of a run are open, once its folder has been listed."""
        key = (pipeline.bucket, pipeline.name, run_id, *ends)
        with self._lock:
            found = self._open.get(key, sorted(still_open))
        self._keep(key, [each for each in found if each in still_open])

    def _keep(self, key: tuple[str, ...], tables: list[str]) -> None:
        with self._lock:
            self._open.pop(key, None)
            self._open[key] = tables
            for oldest in list(self._open)[:-_MOST_RUNS]:
                del self._open[oldest]
