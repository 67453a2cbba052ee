"""One table of a snapshot: from its rows, read just now or by an earlier delivery, to the sealed pair that is announced."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Protocol

from shared import log, times
from shared.bucket import File, Upload, Uploads
from shared.errors import Busy, HandBack, LostRace, Permanent
from shared.exporting import statement, steps, typemap
from shared.exporting.delivery import Requests
from shared.exporting.pair import Announcements, Pair, Source
from shared.exporting.patience import Patience
from shared.exporting.reading import Moment, Oversized, Unreadable
from shared.exporting.statement import Extraction
from shared.exporting.steps import Description, Seen
from shared.messages import replacing
from shared.messages.columns import check_listed
from shared.messages.exports import TableExport
from shared.messages.outcome import Concerning, Outcome
from shared.runs import records
from shared.runs.schema_file import Seal

FUNCTION = "read_snapshot"


class Letters(Protocol):
    """The topic of messages that can never succeed."""

    def give_up(self, export: TableExport, function: str, error: str) -> None:
        """Publish the table's own `table-exports` message with the reason, and return when it is confirmed."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the tables of one delivery have in common. `shards`: the names of the tables that the dataset has, if that matters."""

    bucket: Uploads
    announcements: Announcements
    letters: Letters
    requests: Requests | None
    patience: Patience
    now: Callable[[], datetime]
    shards: Callable[[], frozenset[str]]
    is_replay: bool


class SnapshotTable:
    """A table that the run's manifest `asked` for. Its methods for settling it may be called beside those of other tables."""

    def __init__(self, asked: TableExport, around: Surroundings) -> None:
        self.asked = asked
        self.export = replacing.judged(asked, around.now(), is_replay=around.is_replay)
        self._around = around
        self._columns = typemap.mapped(asked.columns, asked.pipeline.unrepresentable)
        file_format = statement.file_format(asked, self._columns)
        bucket, topic = around.bucket, around.announcements
        may_replace = partial(replacing.may_replace, asked, is_replay=around.is_replay)
        self._pair = Pair(self.export, self._columns, file_format, FUNCTION, bucket, topic, may_replace)

    def extraction(self) -> Extraction:
        """The query that gives its rows."""
        return statement.extraction(self.asked, self._columns)

    def upload(self, moment: Moment) -> Upload:
        """Begin its staged data. The marks say which snapshot the rows are of, whoever comes to seal them."""
        marks = Source(moment.taken_at, 0.0, moment.name).marks(self.export)
        return self._around.bucket.upload(self._pair.staged_file, marks)

    def settle(self, staged: Callable[[], File], seconds: float) -> None:
        """
        See its rows moved, sealed, announced and recorded. `seconds`: how long they took to be read.

        As a rule nothing stands there, and so nothing is looked at before a write has failed for what does.
        """
        with self._failing_alone():
            try:
                self._report(self._settle_at_once(staged, seconds))
            except (LostRace, Busy):
                self._take_up()

    def resume(self) -> bool:
        """Settle it by what stands there already. False if that is not enough: its rows have to be read."""
        with self._failing_alone():
            outcome = self._around.patience.retried(self._resume_at_once)
            if outcome:
                self._report(outcome)
            return outcome is not None
        return True

    def take_up(self) -> None:
        """Settle it by what somebody else has staged."""
        with self._failing_alone():
            self._take_up()

    def skip(self, reason: str) -> None:
        """Leave it out of its run."""
        with self._failing_alone():
            self._report(self._around.patience.retried(partial(self._pair.skip, reason)))

    def relist(self, reason: Unreadable | Oversized) -> None:
        """Have it described again, and so exported: since it was listed it was altered, has grown, or may not be read any more."""
        if self._around.requests is None or self.asked.check:
            self.give_up(f"it cannot be read: {reason}. {reason.remedy}")
            return
        self._around.requests.relist(self.asked, is_replay=self._around.is_replay)
        self._report(self._left(f"it is to be described again, and exported: {reason}"))

    def give_up(self, reason: str) -> None:
        """
        Have it fail for good. Its message is a dead letter before that is on record, so that no crash loses it.

        A canary's failure sets off no alert. Where a delivery beside this one has exported it, it does not fail.
        """
        if self._is_exported():
            self._report(self._left("another delivery has read it, and this one could not"))
            return
        if not self.asked.check:
            self._around.letters.give_up(replace(self.asked, snapshot=None), FUNCTION, reason)
        self.fail(reason)
        outcome, severity = ("skipped", "WARNING") if self.asked.check else ("dead", "ERROR")
        self._report(Outcome(outcome, reason, self.asked.subject, severity))

    def fail(self, reason: str) -> None:
        """Write down why it has no export in this run."""
        with suppress(Permanent):  # such as no access to the bucket: the first reason counts
            self._around.patience.retried(partial(self._pair.fail, reason))
            self._around.patience.retried(self.take_failure_back)

    def take_failure_back(self) -> None:
        """
        Delete the record of its failure if it is exported as well.

        Of two deliveries at once, each writes its own record first, and then looks for the other's.
        """
        bucket, asked = self._around.bucket, self.asked
        failure = records.find(bucket, asked.pipeline, asked.run_id, records.FAILED, asked.table_id)
        if failure and failure["function"] == FUNCTION and records.is_exported(bucket, asked):
            self._pair.clear_failure()

    def _is_exported(self) -> bool:
        with suppress(Permanent):
            return self._around.patience.retried(partial(records.is_exported, self._around.bucket, self.asked))
        return False

    @contextmanager
    def _failing_alone(self) -> Iterator[None]:
        """Have it, and no other table, fail where it cannot succeed."""
        with Concerning(self.asked.subject):
            try:
                yield
            except Permanent as failure:
                self.give_up(str(failure))

    def _take_up(self) -> None:
        outcome = self._around.patience.retried(self._resume_at_once)
        if outcome is None:
            raise HandBack("its rows are gone from staging: it is to be read again")
        self._report(outcome)

    def _settle_at_once(self, staged: Callable[[], File], seconds: float) -> Outcome:
        file = staged()
        if not self.export.replace:
            raise LostRace("something may stand there that is not to be replaced")
        data = self._pair.move(file, None, _source(file))
        seal = self._pair.seal(data, 0, None)
        return self._announce(seal, replace(data, marks={**data.marks, "seconds": f"{seconds:.3f}"}))

    def _resume_at_once(self) -> Outcome | None:
        check_listed(self.asked)
        seen = self._look()
        now = self._around.now()
        match steps.next_step(self.export, seen, now, now):
            case steps.Announce(seal):
                self._clear(seen.staged)
                return self._announce(seal, seen.data)
            case steps.Skip(reason):
                self._clear(seen.data)
                return self._pair.skip(reason)
            case steps.Leave():
                self._clear(seen.staged)
                return self._left("it has been described again, and that message sees to it")
            case steps.SealPair(data):
                self._clear(seen.staged)
                return self._announce(self._pair.seal(data, seen.seal_generation, seen.seal), data)
        if seen.staged is None:
            return None
        if not self._is_ours(seen.staged):
            return self._left("an export of it has begun, whose message sees to it")
        self._pair.move(seen.staged, seen.data, _source(seen.staged))
        return self._resume_at_once()

    def _look(self) -> Seen:
        seal, generation = self._pair.found_seal()
        again = records.read_described_again(self._around.bucket, self.asked)
        return Seen(
            seal=seal,
            seal_generation=generation,
            data=self._pair.data(),
            staged=self._pair.staged(),
            shard_exists=not self.export.replace and self.export.shard.name in self._around.shards(),
            description=Description.SUPERSEDED if again else Description.FIRST,
        )

    def _clear(self, file: File | None) -> None:
        """Delete what a reading of this run has left, and nothing of anybody else."""
        if file and self._is_ours(file):
            self._around.bucket.delete(file.name, file.generation)

    def _is_ours(self, file: File) -> bool:
        is_read = "snapshot" in file.marks and "operation" not in file.marks
        return is_read and file.marks.get("run_id") == self.export.run_id

    def _announce(self, seal: Seal, data: File | None) -> Outcome:
        outcome = self._pair.announce(seal, data)
        if self._around.is_replay:
            self._pair.clear_failure()
        return outcome

    def _left(self, reason: str) -> Outcome:
        return Outcome("waiting", f"not read in a snapshot: {reason}", self.asked.subject, "WARNING")

    def _report(self, outcome: Outcome) -> None:
        log.write(FUNCTION, outcome.to_json())


def _source(staged: File) -> Source:
    """What a reading's staged data says that it is."""
    marks = staged.marks
    return Source(times.moment(marks["exported_at"]), float(marks["seconds"]), marks["snapshot"])
