"""One delivery of an export message: take the steps of its table to the end, whatever an earlier delivery left behind."""

from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

from shared.bucket import Storage
from shared.errors import Permanent
from shared.exporting import statement, steps, typemap
from shared.exporting.look import Looks
from shared.exporting.operation import Operation
from shared.exporting.pair import Announcements, Pair, Source
from shared.exporting.patience import Patience
from shared.exporting.staging import CloudSql, Staging
from shared.exporting.steps import Seen
from shared.messages import replacing
from shared.messages.columns import check_listed
from shared.messages.exports import TableExport
from shared.messages.outcome import Outcome
from shared.runs import announcing, belief
from shared.runs.announcing import Listeners
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

    `threads` carry calls that need not wait for one another. Without `requests`, a table that has been altered since it was
    listed is given up.
    """

    cloudsql: CloudSql
    storage: Storage
    announcements: Announcements
    requests: Requests | None
    listeners: Listeners
    shards: Shards
    clock: Clock
    wait_budget: timedelta
    threads: Executor = field(default_factory=ThreadPoolExecutor)


def export_table(
    export: TableExport,
    published_at: datetime,
    services: ExportServices,
    *,
    is_replay: bool = False,
    is_out_of_order: bool = False,
) -> Outcome:
    """
    See a table's pair of files made, sealed and announced. A redelivery takes up the work where it stands.

    `published_at` is when the message was published. `is_replay`: it has failed before. `is_out_of_order`: it does not come in
    its place among the run's messages. Raises HandBack when the wait budget is spent while the export goes on. Raises Permanent
    when it cannot succeed, once that is written down and cleared up; and with nothing done when the run's record does not ask
    for it.
    """
    delivery = _Delivery(export, published_at, services, is_replay=is_replay)
    is_last = delivery.is_last_of_lane() or is_out_of_order
    try:
        check_listed(export)
        outcome, seen = delivery.settle()
    except Permanent as failure:
        with suppress(Permanent):  # such as no access to the bucket: the first reason counts
            delivery.pair.fail(str(failure))
            if is_last:
                delivery.end_run()
        raise
    if is_replay and outcome.outcome == "exported":
        delivery.pair.clear_failure()
    if outcome.outcome in {"exported", "skipped"}:
        if is_last:
            delivery.end_run()
        with suppress(Permanent):  # it has settled all the same
            delivery.clear_up(seen)
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
            partial(replacing.may_replace, asked, is_replay=is_replay),
        )
        self._staging = Staging(pipeline, self.pair.staged_uri, services.cloudsql, self._patience)
        self._looks = Looks(asked, self._bucket, self.pair, self._staging, self._has_shard, services.threads)

    def is_last_of_lane(self) -> bool:
        """Whether the messages of its run's other tables come before. Raises Permanent unless the run asks for this export."""
        check = partial(belief.check_export, self._asked, self._bucket, self._services.listeners.runs)
        return self._patience.retried(check).last == self._asked.table_id

    def end_run(self) -> None:
        """
        Announce the run, if this was the last that was to become of it.

        Only the last message of its lane asks for that, and one that comes out of order. When the last is handled, each other has
        settled, is to be described again, or is a dead letter: what is left comes out of order, or never. So a run's folder is not
        listed for each of its tables.
        """
        export, listeners = self._export, self._services.listeners
        announce = partial(
            announcing.announce, self._bucket, export.pipeline, export.run_id, export.table_id, listeners
        )
        self._patience.retried(partial(announce, export.run_tables))

    def settle(self) -> tuple[Outcome, Seen]:
        """
        Take step after step, and give the outcome with what was seen last.

        Whenever a service was busy or somebody else was faster, everything is looked at again.
        """
        return self._patience.retried(self._settle_at_once)

    def clear_up(self, seen: Seen) -> None:
        """
        Delete what an export leaves in staging that another delivery has begun at the same moment. It is waited for.

        It may end long after the table has settled.
        """
        if seen.operations is None:
            seen = self._patience.retried(partial(self._looks.with_operations, seen))
        running = [each for each in seen.operations or () if not each.done]
        for operation in running:
            self._patience.retried(partial(self._staging.wait, operation))
        if running or seen.staged:
            self.pair.delete_staged()

    def _settle_at_once(self) -> tuple[Outcome, Seen]:
        seen = self._looks.afresh()
        while isinstance(step := self._next_step(seen), steps.Advance):
            seen = self._advance(step, seen)
        return self._end(step, seen), seen

    def _next_step(self, seen: Seen) -> steps.Step:
        return steps.next_step(self._export, seen, self._published_at, self._services.clock.now())

    def _has_shard(self) -> bool:
        """Whether there is a shard that the export may not replace."""
        export = self._export
        return not export.replace and self._services.shards.has_shard(export.pipeline.shards_dataset, export.shard)

    def _advance(self, step: steps.Advance, seen: Seen) -> Seen:
        """Take a step, and tell what is known after it."""
        match step:
            case steps.AskOperations():
                return self._looks.with_operations(seen)
            case steps.Clear():
                self.pair.delete_staged()
                return replace(seen, staged=None)
            case steps.Start():
                return self._start(seen)
            case steps.Wait(operation):
                return self._wait(operation, seen)
            case steps.Rest(until, reason, name):
                self._patience.pause(-self._patience.age(until).total_seconds(), reason, name)
                return self._looks.afresh()
            case steps.Move(operation, staged):
                return replace(seen, data=self.pair.move(staged, seen.data, Source.of(operation)), staged=None)
            case steps.SealPair(data):  # pragma: no branch - there is no other
                return replace(seen, seal=self.pair.seal(data, seen.seal_generation, seen.seal))

    def _end(self, step: steps.End, seen: Seen) -> Outcome:
        match step:
            case steps.Announce(seal):
                return self.pair.announce(seal, seen.data)
            case steps.Skip(reason):
                return self.pair.skip(reason)
            case steps.Leave():
                return self._leave("it has been described again, and that message sees to it")
            case steps.Relist():
                return self._relist(step)
            case steps.GiveUp(reason, operation):  # pragma: no branch - there is no other
                raise Permanent(reason, operation)

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
        look = self._looks.after(ended)
        description = self._looks.description() if ended.failed else look.description
        return replace(look, operations=(ended, *(seen.operations or ())[1:]), description=description)

    def _relist(self, step: steps.Relist) -> Outcome:
        """Have the table described again, once in a run."""
        if self._services.requests is None or self._asked.check:
            raise Permanent(f"{step.reason}. {step.remedy}", step.operation)
        self.pair.delete_staged()
        self._services.requests.relist(self._asked, is_replay=self._is_replay)
        return self._leave(f"it has been altered, and is to be described again: {step.reason}", step.operation)

    def _leave(self, reason: str, operation: str | None = None) -> Outcome:
        said = f"not exported by this message: {reason}"
        return Outcome("waiting", said, self._export.subject, "WARNING", operation)
