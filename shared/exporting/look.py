"""One look at all that is known of a table: its files, and the operations that write its staged data. The calls go together."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from shared import bucket as paths
from shared.bucket import Bucket, File
from shared.errors import Told
from shared.exporting.operation import Operation
from shared.exporting.pair import Pair, Source
from shared.exporting.staging import Staging
from shared.exporting.steps import Description, Seen
from shared.messages import exports
from shared.messages.exports import TableExport
from shared.runs import records
from shared.runs.schema_file import Seal


@dataclass(frozen=True, slots=True)
class _Files:
    """Calls under way."""

    seal: Future[tuple[Seal | None, int]]
    data: Future[File | None]
    has_shard: Future[bool]
    staged: Future[File | None]
    stopped: Future[File | None]


class Looks:
    """
    Looks at one table of a run.

    `asked` is its export, as the message has it. `has_shard`: whether a shard forbids it. `threads` carry the calls that need not
    wait for one another.
    """

    def __init__(
        self,
        asked: TableExport,
        bucket: Bucket,
        pair: Pair,
        staging: Staging,
        has_shard: Callable[[], bool],
        threads: Executor,
    ) -> None:
        self._asked = asked
        self._bucket = bucket
        self._pair = pair
        self._staging = staging
        self._has_shard = has_shard
        self._threads = threads

    def afresh(self) -> Seen:
        """What the files say, and the operations. If the Admin API does not answer, these are not asked for yet."""
        files = self._begun(self._pair.staged)
        operations = None
        with suppress(Told):  # the files may settle it
            operations = self._staging.operations()  # in this thread, which has its client of the Admin API
        seen = self._seen(files)
        return seen if operations is None else self._with(operations, seen)

    def after(self, ended: Operation) -> Seen:
        """What the files say, once an operation has ended. The look at the data that it has staged gives that its marks."""
        marked = partial(self._pair.mark_staged, Source.of(ended))
        return self._seen(self._begun(self._pair.staged if ended.failed else marked))

    def with_operations(self, seen: Seen) -> Seen:
        """What was seen, and the operations."""
        return self._with(self._staging.operations(), seen)

    def description(self) -> Description:
        """Which of its run's descriptions of the table the message has."""
        again = records.read_described_again(self._bucket, self._asked)
        if again is None:
            return Description.FIRST
        known = {self._asked.pipeline.name: self._asked.pipeline}
        # Read, not compared as it was written: an earlier version may have written it.
        is_this = exports.listed_export(again, known) == self._asked
        return Description.AGAIN if is_this else Description.SUPERSEDED

    def _begun(self, staged: Callable[[], File | None]) -> _Files:
        begin = self._threads.submit
        return _Files(
            begin(self._pair.found_seal),
            begin(self._pair.data),
            begin(self._has_shard),
            begin(staged),
            begin(self._bucket.stat, paths.stopped_file(self._asked.pipeline.name, self._asked.run_id)),
        )

    def _seen(self, files: _Files) -> Seen:
        staged = files.staged.result()
        seal, generation = files.seal.result()
        if seal and seal.run_id == self._asked.run_id:
            self._pair.delete_staged()  # of a second export, begun by a delivery at the same moment
            return Seen(seal)
        data = files.data.result()
        is_ours = data is not None and data.marks.get("run_id") == self._asked.run_id
        return Seen(
            seal=seal,
            seal_generation=generation,
            data=data,
            staged=staged,
            shard_exists=files.has_shard.result(),
            # Only a failure has a table described again: where nothing has been begun, this one is the first.
            description=self.description() if is_ours else Description.FIRST,
            is_stopped=files.stopped.result() is not None,
        )

    def _with(self, operations: tuple[Operation, ...], seen: Seen) -> Seen:
        if not operations:
            return replace(seen, operations=operations)
        # The file may have come since it was looked for.
        staged = seen.staged or self._pair.staged()
        return replace(seen, operations=operations, staged=staged, description=self.description())
