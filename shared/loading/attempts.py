"""
The attempts to load one pair: which BigQuery job is whose, and which one decides.

    id       mirror_<pair>_<attempt>    <pair>: the first 32 hex digits of the SHA-256 of <run_id>/<table_id>
    label    mirror_pair                the pair whose rows the job loads

The id of an attempt is the same for each delivery of a message, so that BigQuery itself runs it once. Attempts begin at 1,
and each delivery goes through them in order:

    not begun yet                            begin it, and wait for its end
    begun by an earlier delivery             wait for its end
        failed for a reason that passes      go on with the next attempt
        failed before this message (a replay)     go on with the next attempt
    begun now, failed for a reason that passes    hand back; the next delivery goes on with the next attempt
    anything else                            it decides: the shard has its rows, or BigQuery refuses them

A later run may seal its pair, and load it, before an attempt of an earlier run ends. Then the shard has the earlier rows. The
earlier message puts the later ones back: its next attempt loads the later pair, and bears that pair's label. So each delivery
can tell by its own attempts what earlier deliveries have done to the shard.
"""

from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Protocol

from shared import failures
from shared.errors import HandBack
from shared.messages.exports import TableExported
from shared.pipelines import Pipeline
from shared.runs.schema_file import Seal, pair_of


@dataclass(frozen=True, slots=True)
class LoadJob:
    """
    A load job that has ended.

    `reason`: BigQuery's word for why it failed, which may be empty. None: it succeeded. `error`: its message, which may hold a
    row's value. `pair`: the pair that it loaded, as `pair_of` names it. `existed`: an earlier delivery had begun it.
    """

    job_id: str
    pair: str
    ended_at: datetime
    existed: bool
    rows: int = 0
    reason: str | None = None
    error: str = field(default="", repr=False)

    @property
    def failed(self) -> bool:
        """Whether it has an error, whatever is said of it."""
        return self.reason is not None


class LoadJobs(Protocol):
    """BigQuery's load jobs."""

    def load(self, job_id: str, pair: str, exported: TableExported, seal: Seal) -> LoadJob:
        """
        Run the load job of a pair to its end, or wait for the one that has this id already. Then the shard has its descriptions.

        It replaces the shard as a whole where the export says `replace`. Otherwise it only fills a shard that has no rows.
        Raises HandBack if the job outlasts this invocation.
        """

    def begun(self, job_id: str, pipeline: Pipeline) -> LoadJob | None:
        """The load job that has this id, when it has ended. None if it was never begun. Raises HandBack as `load` does."""


def job_id(run_id: str, table_id: str, attempt: int) -> str:
    """The id of an attempt's load job."""
    return f"mirror_{pair_of(run_id, table_id)}_{attempt}"


def deciding_job(exported: TableExported, seal: Seal, published_at: datetime, jobs: LoadJobs) -> LoadJob:
    """The job that decides about a message, which was published at that moment. Raises HandBack if none does yet."""
    pair = pair_of(exported.run_id, exported.table_id)
    for attempt in count(1):
        job = jobs.load(job_id(exported.run_id, exported.table_id, attempt), pair, exported, seal)
        passes = failures.passes(job.reason)
        if passes and not job.existed:
            raise HandBack(f"BigQuery could not load {exported.data_uri} now: {job.reason}", job.job_id)
        if not passes and not (job.existed and job.failed and job.ended_at < published_at):
            break
    return job


def last_filling(run_id: str, exported: TableExported, jobs: LoadJobs) -> tuple[int, LoadJob | None]:
    """How many attempts a run's message has begun for the table, and the last of them that filled the shard."""
    last = None
    for attempt in count(1):
        job = jobs.begun(job_id(run_id, exported.table_id, attempt), exported.pipeline)
        if not job:
            break
        last = last if job.failed else job
    return attempt - 1, last
