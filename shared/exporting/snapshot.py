"""One delivery of the wish for a snapshot: read its tables at one moment, and settle each as soon as it is read."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, partial
from typing import Protocol

from shared import bucket as paths
from shared.bucket import Uploads
from shared.errors import Denied, LostRace, Permanent
from shared.exporting.beside import Beside
from shared.exporting.delivery import Requests
from shared.exporting.order import Order
from shared.exporting.pair import Announcements
from shared.exporting.patience import Patience
from shared.exporting.reading import MOST_BYTES, Bounded, Failed, Moment, Oversized, Reading, Readings, Unreadable
from shared.exporting.settling import Letters, SnapshotTable, Surroundings
from shared.exporting.steps import STOPPED
from shared.exporting.stop import Stop
from shared.failures import OperationFailure
from shared.messages import exports
from shared.messages.outcome import Outcome
from shared.messages.snapshots import SnapshotRead
from shared.runs import announcing, belief, records
from shared.runs.announcing import Listeners
from shared.times import Clock

_LEFT = "tables of the snapshot are left to be read"


class Storage(Protocol):
    """Cloud Storage."""

    def bucket(self, name: str) -> Uploads:
        """The bucket of that name."""


class Datasets(Protocol):
    """BigQuery's datasets."""

    def tables(self, dataset: str) -> frozenset[str]:
        """The names of all tables of a dataset."""


@dataclass(frozen=True, slots=True)
class SnapshotServices:
    """
    What the reading of a snapshot works with.

    Without `requests`, a table that has been altered since it was listed is given up. `most_bytes` may come out of a table.
    """

    database: Readings
    storage: Storage
    announcements: Announcements
    letters: Letters
    requests: Requests | None
    listeners: Listeners
    datasets: Datasets
    clock: Clock
    wait_budget: timedelta
    most_bytes: int = MOST_BYTES


def read_snapshot(
    wish: SnapshotRead, services: SnapshotServices, *, is_replay: bool = False, last_try: bool = False
) -> Outcome:
    """
    See each table of a run's snapshot sealed, or left to another message. A redelivery takes up what is missing.

    A table that fails is a dead letter of its own. Raises HandBack when the wait budget is spent before all are read. Raises
    Permanent, or Denied, if none can be read; that is on record where nobody tries again (`last_try`, or a check). Raises Permanent with
    nothing done when the run's record does not ask for the snapshot.
    """
    delivery = _Delivery(wish, services, is_replay=is_replay)
    delivery.look()
    try:
        delivery.read()
    except (Permanent, Denied) as failure:
        if isinstance(failure, Permanent) or last_try or wish.check:
            delivery.fail(str(failure))
            delivery.announce_run()
        raise
    delivery.announce_run()
    return delivery.outcome()


class _Delivery:
    """One delivery's work. `_unread` are the tables that nothing has been done for yet."""

    def __init__(self, wish: SnapshotRead, services: SnapshotServices, *, is_replay: bool) -> None:
        pipeline = wish.pipeline
        self._wish = wish
        self._services = services
        self._clock = services.clock
        self._bucket = services.storage.bucket(pipeline.bucket)
        self._patience = Patience(services.clock, services.wait_budget)
        self._around = Surroundings(
            bucket=self._bucket,
            announcements=services.announcements,
            letters=services.letters,
            requests=services.requests,
            patience=self._patience,
            now=services.clock.now,
            shards=cache(partial(services.datasets.tables, pipeline.shards_dataset)),
            is_replay=is_replay,
        )
        self._order: Order[SnapshotTable] = Order()
        self._tables: list[SnapshotTable] = []
        self._unread: list[SnapshotTable] = []
        self._run_tables: int | None = None
        self._is_begun = False
        self._stop = Stop(self._bucket, paths.stopped_file(pipeline.name, wish.run_id), services.clock)
        self._sealed = 0

    def look(self) -> None:
        """See what is left to be done. Raises Permanent unless the run's record asks for the snapshot."""
        self._patience.retried(self._look_at_once)

    def read(self) -> None:
        """Settle what an earlier delivery has begun, and read the rest."""
        self._services.announcements.connect()  # before several do at once
        with Beside() as beside:
            self._resume(beside)
            if self._unread and not self._left_out(beside):
                with self._services.database.reading(self._wish.pipeline) as reading:
                    self._read_together(reading, beside)
                    self._read_again(reading, beside)
        self._patience.retried(self._take_failures_back)

    def _take_failures_back(self) -> None:
        """Delete the failures of exported tables, which a second delivery at the same time may have recorded."""
        folder = paths.failed_files(self._wish.pipeline.name, self._wish.run_id)
        failed = frozenset(self._bucket.names(folder))
        for table in self._tables:
            if f"{folder}{table.asked.table_id}.json" in failed:
                table.take_failure_back()

    def fail(self, reason: str) -> None:
        """Write down that what is unread has failed."""
        with Beside() as beside:
            for table in self._unread:
                beside.do(partial(table.fail, reason))

    def announce_run(self) -> None:
        """This may have been its last tables."""
        wish, listeners = self._wish, self._services.listeners
        claimant = f"snapshot {wish.snapshot}"  # no table's id has a blank
        announce = partial(announcing.announce, self._bucket, wish.pipeline, wish.run_id, claimant, listeners)
        self._patience.retried(partial(announce, self._run_tables))

    def outcome(self) -> Outcome:
        said = f"{self._sealed} tables were read in snapshots, and none is left of the snapshot {self._wish.snapshot}"
        return Outcome("exported", said, self._wish.subject)

    def _look_at_once(self) -> None:
        wish, pipeline = self._wish, self._wish.pipeline
        run = belief.check_snapshot(wish, self._bucket)
        names = frozenset(self._bucket.names(paths.run_folder(pipeline.name, wish.run_id)))
        found = (each for each in run.tables if each.get("snapshot") == wish.snapshot)
        asked = [exports.listed_export(each, {pipeline.name: pipeline}) for each in found]
        self._run_tables = asked[0].run_tables
        self._tables = [SnapshotTable(each, self._around) for each in asked]
        self._unread = [each for each in self._tables if not self._is_settled(each.asked.table_id, names)]
        mark = paths.snapshot_file(pipeline.name, wish.run_id, wish.snapshot)
        self._is_begun = mark in names
        if self._unread and not self._is_begun:
            try:
                self._bucket.write(mark, b"{}", onto=0)
            except LostRace:
                self._is_begun = True

    def _is_settled(self, table_id: str, names: frozenset[str]) -> bool:
        """Whether it is settled, or another message sees to it. What has failed is tried again by a replay."""
        pipeline, run_id = self._wish.pipeline.name, self._wish.run_id
        ends = [each for each in records.SETTLED if each != records.FAILED or not self._around.is_replay]
        files = {paths.record_file(pipeline, run_id, end, table_id) for end in ends}
        return not names.isdisjoint({*files, paths.described_again_file(pipeline, run_id, table_id)})

    def _resume(self, beside: Beside) -> None:
        """Settle tables of which something may stand already: an earlier delivery has begun, or they only fill gaps."""
        tables = [each for each in self._unread if self._is_begun or not each.export.replace]
        if any(not each.export.replace for each in tables):
            self._around.shards()  # once, and not by several at once
        begun = {table: beside.do(table.resume) for table in tables}
        self._unread = [each for each in self._unread if each not in begun or not begun[each].result()]

    def _read_together(self, reading: Reading, beside: Beside) -> None:
        moment = reading.begin()
        while self._unread and not self._left_out(beside):
            self._patience.pause(0, _LEFT)
            self._read_table(reading, self._unread.pop(0), moment, beside)
        reading.end()

    def _left_out(self, beside: Beside) -> bool:
        """Whether the run has been stopped: then what is not begun is skipped."""
        if self._stop.has_come():
            while self._unread:
                beside.do(partial(self._unread.pop().skip, STOPPED))
        return not self._unread

    def _read_again(self, reading: Reading, beside: Beside) -> None:
        """Read those, each at a moment of its own, that were replaced or locked at the moment of all."""
        while found := self._order.next(self._clock.now()):
            table, rest = found
            self._patience.pause(rest.total_seconds(), _LEFT)
            began = self._clock.now()
            try:
                moment = reading.begin_locked(table.asked)
            except Unreadable as reason:
                self._judge(table, began, reason, beside)
                continue
            self._read_table(reading, table, moment, beside)

    def _read_table(self, reading: Reading, table: SnapshotTable, moment: Moment, beside: Beside) -> None:
        began = self._clock.now()
        upload = table.upload(moment)
        try:
            reading.copy(table.asked, table.extraction(), Bounded(upload, self._services.most_bytes))
            staged = upload.finish
            if upload.is_long:
                file = upload.finish()
                staged = lambda: file  # noqa: E731
        except Unreadable as reason:
            self._judge(table, began, reason, beside)
            return
        except Oversized as reason:
            beside.do(partial(table.relist, reason))
            return
        except LostRace:  # somebody has staged it
            beside.do(table.take_up)
            return
        except Permanent as failure:
            beside.do(partial(table.give_up, str(failure)))
            return
        finally:
            upload.abandon()
        seconds = (self._clock.now() - began).total_seconds()
        beside.do(partial(table.settle, staged, seconds))
        self._sealed += 1

    def _judge(self, table: SnapshotTable, began: datetime, reason: Unreadable, beside: Beside) -> None:
        """What comes after a try that has failed: another, a new description, or the end."""
        if reason.failure is OperationFailure.ALTERED:
            beside.do(partial(table.relist, reason))
            return
        failed = Failed(began, self._clock.now(), reason.failure, reason.error)
        if reason.failure is OperationFailure.HOPELESS or not self._order.again(table, failed):
            beside.do(partial(table.give_up, f"it cannot be read: {reason}. {reason.remedy}"))
