"""Export one table: take its lane to the end, whatever an earlier delivery left behind."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol, TypeVar

from shared import completing, lane, names, outcome, runs, schema_file, select, times, typemap
from shared.clock import Clock
from shared.completing import RunAnnouncements
from shared.errors import NotNow, NotYet, Outrun, Permanent
from shared.lane import Description, File, Operation, Seen
from shared.messages import TableExport, TableExported
from shared.outcome import Outcome
from shared.schema_file import Data, Seal
from shared.select import Extraction
from shared.shards import Shard

_Result = TypeVar("_Result")


class CloudSql(Protocol):
    """The Admin API. Its methods raise NotNow where a later call may succeed, Permanent where none will."""

    def start_export(
        self, instance: str, database: str, uri: str, extraction: Extraction, *, offload: bool
    ) -> Operation:
        """Start an export into a file that does not exist. NotNow, too, while another operation has the instance's slot."""

    def operation(self, instance: str, name: str) -> Operation:
        """The operation as it stands."""

    def operations(self, instance: str) -> list[Operation]:
        """The instance's recent operations, newest first."""


class Bucket(runs.Bucket, Protocol):
    """The bucket of a pipeline. Its methods raise NotNow where a later call may succeed, Permanent where none will."""

    def stat(self, name: str) -> File | None:
        """An object; None where there is none."""

    def move(self, file: File, name: str, onto: int, marks: dict[str, str]) -> File:
        """Give a file its name and its marks, over that name's generation `onto` (0: none); raises Outrun where it is another."""


class Storage(Protocol):
    """Cloud Storage."""

    def bucket(self, name: str) -> Bucket:
        """The bucket of that name."""


class Announcements(Protocol):
    """The topic that loaders listen to."""

    def announce(self, exported: TableExported) -> None:
        """Publish, and return when it is confirmed."""

    def connect(self) -> None:
        """Get ready to publish."""


class Requests(Protocol):
    """The topic that runs are asked for on."""

    def relist(self, export: TableExport) -> None:
        """Have the table described anew in the same run, and return when the request is confirmed."""


class Shards(Protocol):
    """The datasets of shards."""

    def has_shard(self, dataset: str, shard: Shard) -> bool:
        """Whether the shard is there."""


@dataclass(frozen=True, slots=True)
class Services:
    """
    What an export works with.

    Without `requests`, a table that has been altered since it was listed is given up; without `run_announcements`, nobody is
    told that a run is whole.
    """

    cloudsql: CloudSql
    storage: Storage
    announcements: Announcements
    requests: Requests | None
    run_announcements: RunAnnouncements | None
    shards: Shards
    clock: Clock
    wait_budget: timedelta


def export_table(
    export: TableExport, published_at: datetime, services: Services, *, is_replay: bool = False
) -> Outcome:
    """
    See a table's pair of files made, sealed and announced; a redelivery takes up the work where it stands.

    `published_at` is when the message was published; `is_replay`: it has failed before.

    Raises NotYet when the wait budget is spent while the export goes on, and Permanent, once that is written down and cleared
    up, when it cannot succeed.
    """
    work = _Export(export, published_at, services)
    try:
        settled = work.settle()
    except Permanent as failure:
        with suppress(Permanent):  # such as no access to the bucket: the first reason counts
            work.record_failure(failure)
        raise
    if is_replay and settled.outcome == "exported":
        work.clear_failure()
    if settled.outcome in {"exported", "skipped"}:
        with suppress(Permanent):  # it has settled all the same
            work.clear_up()
    return settled


class _Export:
    """One delivery's work on one table."""

    def __init__(self, export: TableExport, published_at: datetime, services: Services) -> None:
        pipeline, day = export.pipeline, export.shard_date
        self._export = export
        self._pipeline = pipeline
        self._published_at = published_at
        self._services = services
        self._bucket = services.storage.bucket(pipeline.bucket)
        self._deadline = services.clock.now() + services.wait_budget
        self._columns = typemap.mapped(export.columns, pipeline.unrepresentable)
        self._format = select.file_format(export, self._columns)
        self._schema_file = names.schema_file(pipeline.name, export.table_id, day)
        self._data_file = names.data_file(pipeline.name, export.table_id, day, self._format)
        self._staged_file = names.staged_file(pipeline.name, export.run_id, export.table_id, day, self._format)
        self._recent: Sequence[Operation] | None = None

    def settle(self) -> Outcome:
        """Take step after step, and look again whenever a service was busy or somebody else was faster."""
        return self._patiently(self._settle_at_once)

    def clear_up(self) -> None:
        """
        Wait for an export that a delivery at the same moment has begun, and delete what it leaves in staging.

        It may end long after the table has settled. Where operations had to be asked for, they have been waited for.
        """
        if self._recent is None:
            for operation in self._patiently(self._operations)[:1]:
                self._patiently(partial(self._wait, operation))
                self._bucket.delete(self._staged_file)

    def _patiently(self, work: Callable[[], _Result]) -> _Result:
        began = self._services.clock.now()
        while True:
            try:
                return work()
            except (NotNow, Outrun) as reason:
                self._pause(lane.pause(self._services.clock.now() - began), str(reason))

    def record_failure(self, failure: Permanent) -> None:
        """Leave nothing half done behind, and write down why the table has no export in this run."""
        self._bucket.delete(self._staged_file)
        self._record_reason("failed", str(failure))

    def clear_failure(self) -> None:
        """Take back what was written down of an earlier delivery's failure."""
        runs.clear_failure(self._bucket, self._export, self._export.table_id)

    def _settle_at_once(self) -> Outcome:
        self._recent = None  # an export may have begun since, though the answer to its start was a refusal
        return self._take_steps(self._look())

    def _look(self) -> Seen:
        export = self._export
        found = self._bucket.read(self._schema_file)
        seal = schema_file.read(found[0]) if found else None
        if seal and seal.run_id == export.run_id:
            self._bucket.delete(self._staged_file)  # of a second export, begun by a delivery at the same moment
            return Seen(seal)
        data = self._bucket.stat(self._data_file)
        return Seen(
            seal=seal,
            seal_generation=found[1] if found else 0,
            data=data,
            staged=self._bucket.stat(self._staged_file),
            shard_exists=not export.replace and self._has_shard(),
            description=self._description()
            if data and data.marks.get("run_id") == export.run_id
            else Description.FIRST,
        )

    def _has_shard(self) -> bool:
        shard = Shard(self._export.table_id, self._export.shard_date)
        return self._services.shards.has_shard(self._pipeline.shards_dataset, shard)

    def _description(self) -> Description:
        """Which one the message has: not asked where nothing has been begun, because only a failure has a table described anew."""
        anew = runs.read_relisted(self._bucket, self._export)
        if anew is None:
            return Description.FIRST
        return Description.ANEW if anew == self._export.to_json() else Description.SUPERSEDED

    def _take_steps(self, seen: Seen) -> Outcome:
        while True:
            step = lane.next_step(self._export, seen, self._published_at)
            match step:
                case lane.Announce(seal):
                    return self._announce(seal, seen.data)
                case lane.Skip(reason):
                    return self._skip(reason)
                case lane.Leave():
                    return self._leave("it has been described anew, and that message sees to it")
                case lane.Relist(reason, operation):
                    return self._relist(reason, operation)
                case lane.GiveUp(reason, operation):
                    raise Permanent(reason, operation)
                case _:
                    seen = self._advance(step, seen)

    def _advance(self, step: lane.Advance, seen: Seen) -> Seen:
        """Take a step, and tell what is known after it."""
        operations = seen.operations or ()
        match step:
            case lane.AskOperations():
                operations = self._operations()
                return replace(
                    seen,
                    operations=operations,
                    # It may have come since it was looked for.
                    staged=self._bucket.stat(self._staged_file) if operations else seen.staged,
                    description=self._description() if operations else seen.description,
                )
            case lane.Clear():
                self._bucket.delete(self._staged_file)
                return replace(seen, staged=None)
            case lane.Start():
                started = self._start()
                self._services.announcements.connect()  # while the operation runs
                return replace(seen, operations=(started, *operations))
            case lane.Wait(operation):
                ended = self._wait(operation)
                # The wait was long: another delivery may have finished the work or had the table described anew, or a
                # later run begun its own.
                look = self._look()
                description = self._description() if ended.error else look.description
                return replace(look, operations=(ended, *operations[1:]), description=description)
            case lane.Move(operation, staged):
                return replace(seen, data=self._move(operation, staged, seen.data), staged=None)
            case lane.SealPair(data):
                return replace(seen, seal=self._seal(data, seen.seal_generation))

    def _operations(self) -> tuple[Operation, ...]:
        self._recent = recent = self._services.cloudsql.operations(self._pipeline.instance)
        return lane.of_file(recent, self._uri(self._staged_file))

    def _start(self) -> Operation:
        return self._services.cloudsql.start_export(
            self._pipeline.instance,
            self._pipeline.database,
            self._uri(self._staged_file),
            select.extraction(self._export, self._columns),
            offload=self._pipeline.offload,
        )

    def _wait(self, operation: Operation) -> Operation:
        """The operation when it has ended."""
        expected = lane.first_pause(self._recent or (), self._uri(self._staged_file))
        pause = max(expected - self._age(operation).total_seconds(), 0)
        while not operation.done:
            self._pause(pause, f"the operation {operation.name} goes on", operation.name)
            operation = self._services.cloudsql.operation(self._pipeline.instance, operation.name)
            pause = lane.pause(self._age(operation))
        return operation

    def _age(self, operation: Operation) -> timedelta:
        return self._services.clock.now() - operation.inserted_at

    def _pause(self, seconds: float, reason: str, operation: str | None = None) -> None:
        left = (self._deadline - self._services.clock.now()).total_seconds()
        if left <= 0:
            raise NotYet(
                f"the wait budget of {self._services.wait_budget.total_seconds():g} s is spent: {reason}", operation
            )
        self._services.clock.sleep(min(seconds, left))

    def _move(self, operation: Operation, staged: File, replaced: File | None) -> File:
        """The data under its own name, marked so that a crash before the seal costs no second export."""
        marks = {
            "run_id": self._export.run_id,
            "exported_at": times.rfc3339(operation.inserted_at),
            "seconds": str(operation.seconds or 0),
            "operation": operation.name,
        }
        return self._bucket.move(staged, self._data_file, replaced.generation if replaced else 0, marks)

    def _seal(self, data: File, onto: int) -> Seal | None:
        described = Data(
            uri=self._uri(self._data_file),
            generation=data.generation,
            exported_at=times.moment(data.marks["exported_at"]),
            format=self._format,
        )
        content = schema_file.write(self._export, self._columns, described)
        self._bucket.write(self._schema_file, content, onto)
        return schema_file.read(content)

    def _announce(self, seal: Seal, sealed: File | None) -> Outcome:
        """Tell loaders of the pair, and write it down; `sealed` is its data, where that is known from the sealing."""
        export = self._export
        self._services.announcements.announce(
            TableExported(
                run_id=export.run_id,
                requested_at=export.requested_at,
                pipeline=export.pipeline,
                schema=export.schema,
                table=export.table,
                shard_date=export.shard_date,
                replace=export.replace,
                table_id=export.table_id,
                schema_uri=self._uri(self._schema_file),
                data_uri=seal.data_uri,
                format=seal.format,
            )
        )
        data = sealed or self._bucket.stat(names.object_name(self._pipeline.bucket, seal.data_uri))
        marks = data.marks if data else {}
        runs.record(
            self._bucket,
            export,
            export.table_id,
            "exported",
            {
                "schema_uri": self._uri(self._schema_file),
                "data_uri": seal.data_uri,
                "bytes": data.size if data else None,
                "seconds": float(marks.get("seconds", 0)),
            },
        )
        self._announce_run()
        return outcome.of_table("exported", f"exported to {seal.data_uri}", export, operation=marks.get("operation"))

    def _skip(self, reason: str) -> Outcome:
        self._bucket.delete(self._staged_file)
        self._record_reason("skipped", reason)
        return outcome.of_table("skipped", f"not exported: {reason}", self._export, severity="WARNING")

    def _relist(self, reason: str, operation: str) -> Outcome:
        """Have the table described anew, once in a run."""
        if self._services.requests is None:
            raise Permanent(reason, operation)
        self._bucket.delete(self._staged_file)
        self._services.requests.relist(self._export)
        return self._leave(f"it has been altered, and is to be described anew: {reason}", operation)

    def _leave(self, reason: str, operation: str | None = None) -> Outcome:
        said = f"not exported by this message: {reason}"
        return outcome.of_table("waiting", said, self._export, severity="WARNING", operation=operation)

    def _record_reason(self, settled: str, reason: str) -> None:
        runs.record_reason(self._bucket, self._export, self._export.table_id, settled, "export_table", reason)
        self._announce_run()

    def _announce_run(self) -> None:
        """This may have been its last table."""
        export, topic = self._export, self._services.run_announcements
        completing.announce_if_whole(
            self._bucket, export.pipeline, export.run_id, export.table_id, topic, export.run_tables
        )

    def _uri(self, name: str) -> str:
        return names.uri(self._pipeline.bucket, name)
