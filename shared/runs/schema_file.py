"""The schema file: it describes a table's data file, and seals the pair. Where it stands, both files are complete."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared import times
from shared.messages.exports import TableExport

VERSION = 1
CLUSTERED_TYPES = frozenset({"BIGNUMERIC", "BOOL", "DATE", "DATETIME", "INT64", "NUMERIC", "STRING", "TIMESTAMP"})
"""What BigQuery clusters by (https://cloud.google.com/bigquery/docs/clustered-tables#limitations)."""
_WHOSE = ("pipeline", "schema", "table", "table_id", "shard_date")


@dataclass(frozen=True, slots=True)
class Seal:
    """
    Which run made a pair, when that run was asked for, when the export began, and which generation of the data file it means.

    `columns` are as the file has them: `name`, `bigquery_type`, `mode`, `description` and more. `replace`: its rows may replace
    those of a shard; None if the file does not say. `whose`: of one that was read, which table of which pipeline and day it
    describes, by the same words as in messages. `snapshot`: a name that two pairs have in common if and only if they show one
    moment of the database. None before 0.2. `clustering`: the columns that a shard of it is clustered by, as BigQuery calls them.
    `column_rules`: those of the message that it was exported by.
    """

    run_id: str
    requested_at: datetime
    exported_at: datetime
    data_uri: str
    data_generation: int
    format: str
    columns: tuple[Mapping[str, Any], ...] = ()
    description: str | None = None
    replace: bool | None = None
    whose: Mapping[str, str | None] = field(default_factory=dict)
    snapshot: str | None = None
    clustering: tuple[str, ...] = ()
    column_rules: str | None = None

    def outranks(self, run_id: str, requested_at: datetime) -> bool:
        """Whether the pair belongs to a request that came after this one, so that this one may not replace it."""
        return (self.requested_at, self.run_id) > (requested_at, run_id)

    def can_be_clustered_by(self, names: Iterable[str]) -> bool:
        """Whether all of these are columns of it, and of types that BigQuery clusters by."""
        types = {column["name"]: column["bigquery_type"] for column in self.columns}
        return all(types.get(name) in CLUSTERED_TYPES for name in names)


def pair_of(run_id: str, table_id: str) -> str:
    """A pair's name in ids and labels of jobs, which do not take every character of a run's id and a table's."""
    return hashlib.sha256(f"{run_id}/{table_id}".encode()).hexdigest()[:32]


def write(export: TableExport, seal: Seal) -> bytes:
    """The schema file that seals the pair of a table."""
    content = {
        "version": VERSION,
        "pipeline": export.pipeline.name,
        "database": export.pipeline.database,
        "schema": export.schema,
        "table": export.table,
        "table_id": export.table_id,
        "run_id": seal.run_id,
        "requested_at": times.rfc3339(seal.requested_at),
        "exported_at": times.rfc3339(seal.exported_at),
        "snapshot": seal.snapshot,
        "shard_date": export.shard_date.isoformat(),
        "format": seal.format,
        "replace": seal.replace,
        "description": seal.description,
        "data_uri": seal.data_uri,
        "data_generation": seal.data_generation,
        "clustering": list(seal.clustering),
        "columns": seal.columns,
        **({"column_rules": seal.column_rules} if seal.column_rules else {}),
    }
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def read(content: bytes) -> Seal | None:
    """What a schema file says. None if the content is no schema file of ours, and so seals nothing."""
    try:
        fields = json.loads(content)
        return Seal(
            run_id=fields["run_id"],
            requested_at=times.moment(fields["requested_at"]),
            # A file that does not say when is taken to be as old as its run.
            exported_at=times.moment(fields.get("exported_at", fields["requested_at"])),
            data_uri=fields["data_uri"],
            data_generation=int(fields["data_generation"]),
            format=fields["format"],
            columns=tuple(fields["columns"]),
            description=fields["description"],
            replace=fields.get("replace"),
            whose={key: fields.get(key) for key in _WHOSE},
            snapshot=fields.get("snapshot"),
            clustering=tuple(fields.get("clustering") or ()),
            column_rules=fields.get("column_rules"),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
