"""The schema file: it describes a table's data file, and by being there says that the pair is whole, and whose it is."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared import times
from shared.messages import TableExport
from shared.typemap import MappedColumn

VERSION = 1


@dataclass(frozen=True, slots=True)
class Seal:
    """Which run made a pair, when that run was asked for, and which generation of the data file it means."""

    run_id: str
    requested_at: datetime
    data_uri: str
    data_generation: int
    format: str
    columns: tuple[Mapping[str, Any], ...] = ()
    description: str | None = None

    def outranks(self, run_id: str, requested_at: datetime) -> bool:
        """Whether the pair belongs to a request that came after this one, so that this one may not replace it."""
        return (self.requested_at, self.run_id) > (requested_at, run_id)


@dataclass(frozen=True, slots=True)
class Data:
    """A data file that is whole: where it lies, its generation, when its export began, and its format."""

    uri: str
    generation: int
    exported_at: datetime
    format: str


def write(export: TableExport, columns: Sequence[MappedColumn], data: Data) -> bytes:
    """The schema file of a table's data file."""
    content = {
        "version": VERSION,
        "pipeline": export.pipeline.name,
        "database": export.pipeline.database,
        "schema": export.schema,
        "table": export.table,
        "table_id": export.table_id,
        "run_id": export.run_id,
        "requested_at": times.rfc3339(export.requested_at),
        "exported_at": times.rfc3339(data.exported_at),
        "shard_date": export.shard_date.isoformat(),
        "format": data.format,
        "description": export.comment,
        "data_uri": data.uri,
        "data_generation": data.generation,
        "columns": [_described(column) for column in columns],
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def read(content: bytes) -> Seal | None:
    """What a schema file says; None where the content is no schema file of ours, and so seals nothing."""
    try:
        fields = json.loads(content)
        return Seal(
            run_id=fields["run_id"],
            requested_at=times.moment(fields["requested_at"]),
            data_uri=fields["data_uri"],
            data_generation=int(fields["data_generation"]),
            format=fields["format"],
            columns=tuple(fields["columns"]),
            description=fields["description"],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _described(column: MappedColumn) -> dict[str, Any]:
    return {
        "name": column.name,
        "source_name": column.source.name,
        "data_type": column.source.data_type,
        "is_nullable": column.source.nullable,
        "bigquery_type": column.kind.bigquery_type,
        "mode": column.mode,
        "description": column.description,
    }
