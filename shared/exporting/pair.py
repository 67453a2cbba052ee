"""Settle the pair of one table: from staged data, however it was made, to two sealed files that are announced and recorded."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared import bucket as paths
from shared import times
from shared.bucket import Bucket, File
from shared.exporting.clustering import clustering
from shared.exporting.operation import Operation
from shared.exporting.typemap import MappedColumn
from shared.messages.exports import TableExport, TableExported
from shared.messages.outcome import Outcome
from shared.runs import records, schema_file
from shared.runs.schema_file import Seal


class Announcements(Protocol):
    """The topic that loaders listen to."""

    def announce(self, exported: TableExported) -> None:
        """Publish, and return when it is confirmed."""

    def connect(self) -> None:
        """Get ready to publish."""


@dataclass(frozen=True, slots=True)
class Source:
    """
    What staged data was made by: when that began, how many seconds it took, and the name of the snapshot that it shows.

    `operation`: the one of Cloud SQL that made it, which is a snapshot of its own. None if it was read over a connection.
    """

    began_at: datetime
    seconds: float
    snapshot: str
    operation: str | None = None

    @classmethod
    def of(cls, operation: Operation) -> "Source":
        return cls(operation.inserted_at, operation.seconds or 0, operation.name, operation.name)

    def marks(self, export: TableExport) -> dict[str, str]:
        """The marks of the data file. With them a crash before the seal costs no second export."""
        return {
            "run_id": export.run_id,
            "requested_at": times.rfc3339(export.requested_at),
            "exported_at": times.rfc3339(self.began_at),
            "seconds": str(self.seconds),
            "snapshot": self.snapshot,
            **({"operation": self.operation} if self.operation else {}),
        }


class Pair:
    """
    The files of one table of a run.

    `function` is the one that settles them, for the records. `may_replace`: whether rows of a moment may replace those of a shard.
    """

    def __init__(
        self,
        export: TableExport,
        columns: tuple[MappedColumn, ...],
        file_format: str,
        function: str,
        bucket: Bucket,
        announcements: Announcements,
        may_replace: Callable[[datetime], bool],
    ) -> None:
        pipeline, table_id, day = export.pipeline, export.table_id, export.shard_date
        self._export = export
        self._columns = columns
        self._format = file_format
        self._function = function
        self._bucket = bucket
        self._announcements = announcements
        self._may_replace = may_replace
        self._schema_file = paths.schema_file(pipeline.name, table_id, day)
        self._data_file = paths.data_file(pipeline.name, table_id, day, file_format)
        other_format = "csv" if file_format == "ndjson" else "ndjson"
        self._other_data_file = paths.data_file(pipeline.name, table_id, day, other_format)
        self._staged_file = paths.staged_file(pipeline.name, export.run_id, table_id, day, file_format)

    @property
    def staged_file(self) -> str:
        """The object in which the data is to be staged."""
        return self._staged_file

    @property
    def staged_uri(self) -> str:
        """Where the data is to be staged."""
        return self._uri(self._staged_file)

    def staged(self) -> File | None:
        return self._bucket.stat(self._staged_file)

    def mark_staged(self, source: Source) -> File | None:
        """The staged data, with the marks that it keeps when it is moved."""
        return self._bucket.mark(self._staged_file, source.marks(self._export))

    def data(self) -> File | None:
        return self._bucket.stat(self._data_file)

    def found_seal(self) -> tuple[Seal | None, int]:
        """The seal that stands, and the generation of the schema file (0: none). A file of somebody else seals nothing."""
        found = self._bucket.read(self._schema_file)
        return (schema_file.read(found[0]), found[1]) if found else (None, 0)

    def delete_staged(self) -> None:
        self._bucket.delete(self._staged_file)

    def move(self, staged: File, replaced: File | None, source: Source) -> File:
        """Give the staged data its name and marks, in the place of what was `replaced`."""
        onto = replaced.generation if replaced else 0
        return self._bucket.move(staged, self._data_file, onto, source.marks(self._export))

    def seal(self, data: File, onto: int, replaced: Seal | None) -> Seal:
        """Write the schema file over its generation `onto`, and delete the data that it `replaced` in another format."""
        exported_at = times.moment(data.marks["exported_at"])
        seal = Seal(
            run_id=self._export.run_id,
            requested_at=self._export.requested_at,
            exported_at=exported_at,
            data_uri=self._uri(self._data_file),
            data_generation=data.generation,
            format=self._format,
            columns=tuple(column.to_json() for column in self._columns),
            description=self._export.comment,
            replace=self._may_replace(exported_at),
            clustering=clustering(self._export.primary_key, self._columns),
            column_rules=self._export.column_rules,
            snapshot=data.marks.get("snapshot") or data.marks.get("operation"),  # the version before had no other
        )
        self._bucket.write(self._schema_file, schema_file.write(self._export, seal), onto)
        if replaced and replaced.data_uri == self._uri(self._other_data_file):
            self._bucket.delete(self._other_data_file, replaced.data_generation)  # not what a later run has put there
        return seal

    def announce(self, seal: Seal, sealed: File | None) -> Outcome:
        """Tell loaders of the pair, and write it down. `sealed` is its data, where that is known from the sealing."""
        replace = self._may_replace(seal.exported_at) if seal.replace is None else seal.replace
        export, schema_uri = self._export, self._uri(self._schema_file)
        self._announcements.announce(export.exported(schema_uri, seal.data_uri, seal.format, replace=replace))
        data = sealed or self._bucket.stat(paths.object_name(export.pipeline.bucket, seal.data_uri))
        marks = data.marks if data else {}
        exported = {
            "schema_uri": schema_uri,
            "data_uri": seal.data_uri,
            "bytes": data.size if data else None,
            "seconds": float(marks.get("seconds", 0)),
            "snapshot": seal.snapshot,
        }
        records.record(self._bucket, export, records.EXPORTED, exported)
        return Outcome("exported", f"exported to {seal.data_uri}", export.subject, operation=marks.get("operation"))

    def skip(self, reason: str) -> Outcome:
        """Leave what stands there, and write down why."""
        self.delete_staged()
        self._record_reason(records.SKIPPED, reason)
        return Outcome("skipped", f"not exported: {reason}", self._export.subject, "WARNING")

    def fail(self, reason: str) -> None:
        """Leave nothing half done behind, and write down why the table has no export in this run."""
        self.delete_staged()
        self._record_reason(records.FAILED, reason)

    def clear_failure(self) -> None:
        """Take back what was written down of an earlier delivery's failure."""
        records.clear_failure(self._bucket, self._export)

    def _record_reason(self, settled: str, reason: str) -> None:
        records.record_reason(self._bucket, self._export, settled, self._function, reason)

    def _uri(self, name: str) -> str:
        return paths.uri(self._export.pipeline.bucket, name)
