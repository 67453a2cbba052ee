"""Which tables are the pipeline's own. Its dataset of shards may hold what others have put there, such as a dated backup."""

from functools import cached_property
from threading import Lock

from shared.bucket import Storage, pipeline_folder, run_folders
from shared.canaries import is_canary
from shared.pipelines import Pipeline
from shared.runs import manifest


class Origins:
    """
    What the pipeline's runs have mirrored, by the records in its bucket. Nothing is looked up before it is asked for.

    At most four calls, however many tables are asked about, and one for each check if no run is on record. `table_id`: only that
    one will be.
    """

    def __init__(self, pipeline: Pipeline, storage: Storage, table_id: str = "") -> None:
        self._pipeline = pipeline
        self._storage = storage
        self._asked_about = table_id
        self._lock = Lock()

    def has(self, table_id: str) -> bool:
        """
        Whether a table is the pipeline's: a run has exported it, or the newest run over the whole database lists it.

        Without a run on record, and where the team's own job loads, all tables are. A canary is while its files are there.
        """
        if self._pipeline.loader != "bigquery":
            return True
        with self._lock:  # several views ask at once
            if table_id in self._exported or is_canary(table_id):
                return table_id in self._exported
            return self._listed is None or table_id in self._listed

    @cached_property
    def _exported(self) -> frozenset[str]:
        """The tables that have files. These are deleted after a while."""
        folder, bucket = pipeline_folder(self._pipeline.name), self._storage.bucket(self._pipeline.bucket)
        if self._asked_about:  # however many tables there are whose names begin so
            return frozenset({self._asked_about} if bucket.names(f"{folder}{self._asked_about}/") else ())
        return frozenset(name.removeprefix(folder).removesuffix("/") for name in bucket.folders(folder))

    @cached_property
    def _listed(self) -> frozenset[str] | None:
        """The tables that the newest run over the whole database lists. None: no run at all is on record."""
        bucket = self._storage.bucket(self._pipeline.bucket)
        if newest := manifest.newest(bucket, self._pipeline):
            return newest.table_ids(self._pipeline)
        folders = bucket.folders(run_folders(self._pipeline.name))
        runs = (manifest.find(bucket, self._pipeline, folder.split("/")[-2]) for folder in folders)
        return None if all(run and run.is_check for run in runs) else frozenset()
