"""One delivery of an export message: take the steps of its table to the end, whatever an earlier delivery left behind."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from shared import times
from shared.bucket import Storage
from shared.errors import Permanent
from shared.exporting import statement, steps, typemap
from shared.exporting.operation import Operation
from shared.exporting.pair import Announcements, Pair, Source
from shared.exporting.patience import Patience
from shared.exporting.staging import CloudSql, Staging
from shared.exporting.steps import Description, Seen
from shared.messages import exports, replacing
from shared.messages.exports import TableExport
from shared.messages.outcome import Outcome
from shared.runs import belief, records
from shared.runs.announcing import RunAnnouncements
from shared.runs.digests import KnownRuns
from shared.tables import Shard
from shared.times import Clock


class Requests(Protocol):
    """The topic that runs are asked for on."""

    def relist(self, export: TableExport, *, is_replay: bool) -> None:
        """
        Have the table described again in the same run, and return when the request is confirmed.

        `is_replay`: the wish for the export was published again, so that the new one is as late as it is.
        """


class Shards(Protocol):
    """The datasets of shards."""

    def has_shard(self, dataset: str, shard: Shard) -> bool:
        """Whether the shard is there."""


@dataclass(frozen=True, slots=True)
class ExportServices:
    """
    What an export works with.

    Without `requests`, a table that has been altered since it was listed is given up. Without `run_announcements`, nobody is
    told that a run is complete.
    """

    cloudsql: CloudSql
    storage: Storage
    announcements: Announcements
    requests: Requests | None
    run_announcements: RunAnnouncements | None
    shards: Shards
    clock: Clock
    wait_budget: timedelta
    runs: KnownRuns = field(default_factory=KnownRuns)


def export_table(
    export: TableExport, published_at: datetime, services: ExportServices, *, is_replay: bool = False
) -> Outcome:
    """
    See a table's pair of files made, sealed and announced. A redelivery takes up the work where it stands.

    `published_at` is when the message was published. `is_replay`: it has failed before. Raises HandBack when the wait budget
    is spent while the export goes on. Raises Permanent when it cannot succeed, once that is written down and cleared up; and
    with nothing done when the run's record does not ask for it.
    """
    delivery = _Delivery(export, published_at, services, is_replay=is_replay)
    delivery.check()
    try:
        outcome, seen = delivery.settle()
    except Permanent as failure:
        with suppress(Permanent):  # such as no access to the bucket: the first reason counts
            delivery.pair.fail(str(failure))
        raise
    if is_replay and outcome.outcome == "exported":
        delivery.pair.clear_failure()
    # Where operations had to be asked for, they have been waited for.
    if seen.operations is None and outcome.outcome in {"exported", "skipped"}:
        with suppress(Permanent):  # it has settled all the same
            delivery.clear_up()
    return outcome


class _Delivery:
    """One delivery's work on one table: on what the message `asked`, as far as it may replace anything now."""

    def __init__(
        self, asked: TableExport, published_at: datetime, services: ExportServices, *, is_replay: bool
    ) -> None:
        export = replacing.judged(asked, services.clock.now(), is_replay=is_replay)
        pipeline = export.pipeline
        self._asked = asked
        self._export = export
        self._is_replay = is_replay
        self._published_at = published_at
        self._services = services
        self._columns = typemap.mapped(export.columns, pipeline.unrepresentable)
        self._bucket = services.storage.bucket(pipeline.bucket)
        self._patience = Patience(services.clock, services.wait_budget)
        self.pair = Pair(
            export,
            self._columns,
            statement.file_format(export, self._columns),
            "export_table",
            self._bucket,
            services.announcements,
            services.run_announcements,
        )
        self._staging = Staging(pipeline, self.pair.staged_uri, services.cloudsql, self._patience)

    def check(self) -> None:
        """Raise Permanent unless the run's record asks for this export."""
        self._patience.retried(partial(belief.check_export, self._asked, self._bucket, self._services.runs))

    def settle(self) -> tuple[Outcome, Seen]:
        """
        Take step after step, and give the outcome with what was seen last.

        Whenever a service was busy or somebody else was faster, everything is looked at again.
        """
        return self._patience.retried(self._settle_at_once)

    def clear_up(self) -> None:
        """
        Wait for an export that another delivery has begun at the same moment, and delete what it leaves in staging.

        It may end long after the table has settled.
        """
        operations = self._patience.retried(self._staging.operations)
        if operations:
            self._patience.retried(partial(self._staging.wait, operations[0]))
            self.pair.delete_staged()

    def _settle_at_once(self) -> tuple[Outcome, Seen]:
        seen = self._look()
        while isinstance(step := self._next_step(seen), steps.Advance):
            seen = self._advance(step, seen)
        return self._end(step, seen), seen

    def _next_step(self, seen: Seen) -> steps.Step:
        return steps.next_step(self._export, seen, self._published_at, self._services.clock.now())

    def _look(self) -> Seen:
        """What the files say. Operations are not asked for: an export may have begun since, though its start was refused."""
        export, pair = self._export, self.pair
        seal, generation = pair.found_seal()
        if seal and seal.run_id == export.run_id:
            pair.delete_staged()  # of a second export, begun by a delivery at the same moment
            return Seen(seal)
        data = pair.data()
        is_ours = data is not None and data.marks.get("run_id") == export.run_id
        return Seen(
            seal=seal,
            seal_generation=generation,
            data=data,
            staged=pair.staged(),
            shard_exists=not export.replace and self._has_shard(),
            # Only a failure has a table described again: where nothing has been begun, this one is the first.
            description=self._description() if is_ours else Description.FIRST,
        )

    def _has_shard(self) -> bool:
        return self._services.shards.has_shard(self._export.pipeline.shards_dataset, self._export.shard)

    def _description(self) -> Description:
        """Which of its run's descriptions of the table the message has."""
        again = records.read_described_again(self._bucket, self._asked)
        if again is None:
            return Description.FIRST
        known = {self._export.pipeline.name: self._export.pipeline}
        # Read, not compared as it was written: an earlier version may have written it.
        is_this = exports.listed_export(again, known) == self._asked
        return Description.AGAIN if is_this else Description.SUPERSEDED

    def _advance(self, step: steps.Advance, seen: Seen) -> Seen:
        """Take a step, and tell what is known after it."""
        match step:
            case steps.AskOperations():
                return self._ask_operations(seen)
            case steps.Clear():
                self.pair.delete_staged()
                return replace(seen, staged=None)
            case steps.Start():
                return self._start(seen)
            case steps.Wait(operation):
                return self._wait(operation, seen)
            case steps.Rest(until, reason, name):
                self._patience.pause(-self._patience.age(until).total_seconds(), reason, name)
                return self._look()
            case steps.Move(operation, staged):
                source = Source(operation.inserted_at, operation.seconds or 0, operation.name)
                return replace(seen, data=self.pair.move(staged, seen.data, source), staged=None)
            case steps.SealPair(data):
                may_replace = self._may_replace(times.moment(data.marks["exported_at"]))
                return replace(seen, seal=self.pair.seal(data, seen.seal_generation, seen.seal, replace=may_replace))

    def _end(self, step: steps.End, seen: Seen) -> Outcome:
        match step:
            case steps.Announce(seal):
                may_replace = self._may_replace(seal.exported_at) if seal.replace is None else seal.replace
                return self.pair.announce(seal, seen.data, replace=may_replace)
            case steps.Skip(reason):
                return self.pair.skip(reason)
            case steps.Leave():
                return self._leave("it has been described again, and that message sees to it")
            case steps.Relist():
                return self._relist(step)
            case steps.GiveUp(reason, operation):
                raise Permanent(reason, operation)

    def _ask_operations(self, seen: Seen) -> Seen:
        operations = self._staging.operations()
        if not operations:
            return replace(seen, operations=())
        # The file may have come since it was looked for.
        return replace(seen, operations=operations, staged=self.pair.staged(), description=self._description())

    def _start(self, seen: Seen) -> Seen:
        started = self._staging.start(statement.extraction(self._export, self._columns))
        self._services.announcements.connect()  # while the operation runs
        return replace(seen, operations=(started, *(seen.operations or ())))

    def _wait(self, operation: Operation, seen: Seen) -> Seen:
        """
        Wait for the operation, and look again.

        The wait was long: another delivery may have finished the work or had the table described again, or a later run begun
        its own.
        """
        ended = self._staging.wait(operation)
        look = self._look()
        description = self._description() if ended.failed else look.description
        return replace(look, operations=(ended, *(seen.operations or ())[1:]), description=description)

    def _relist(self, step: steps.Relist) -> Outcome:
        """Have the table described again, once in a run."""
        if self._services.requests is None:
            raise Permanent(f"{step.reason}. {step.remedy}", step.operation)
        self.pair.delete_staged()
        self._services.requests.relist(self._asked, is_replay=self._is_replay)
        return self._leave(f"it has been altered, and is to be described again: {step.reason}", step.operation)

    def _may_replace(self, exported_at: datetime) -> bool:
        """Whether rows of that moment may replace a shard, however late they are announced."""
        return replacing.judged(self._asked, exported_at, is_replay=self._is_replay).replace

    def _leave(self, reason: str, operation: str | None = None) -> Outcome:
        said = f"not exported by this message: {reason}"
        return Outcome("waiting", said, self._export.subject, "WARNING", operation)
