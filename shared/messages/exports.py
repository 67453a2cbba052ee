"""What the functions tell one another of a run's tables: what to export, what is exported, and that the run is complete."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared import canaries, times
from shared.errors import Permanent
from shared.messages.fields import Fields
from shared.messages.message import Message
from shared.messages.outcome import Subject
from shared.pipelines import Pipeline
from shared.tables import Column, Shard

Pipelines = Mapping[str, Pipeline]
FORMATS = ("csv", "ndjson")
"""Of a data file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOfRun:
    """One table of one run: what every message about it says. `check`: it is no table, but a canary of a check."""

    run_id: str
    requested_at: datetime
    pipeline: Pipeline
    schema: str
    table: str
    table_id: str
    shard_date: date
    replace: bool
    check: bool = False

    @property
    def shard(self) -> Shard:
        return Shard(self.table_id, self.shard_date)

    @property
    def subject(self) -> Subject:
        return Subject(self.pipeline.name, f"{self.schema}.{self.table}", self.shard_date, self.run_id)

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "requested_at": times.rfc3339(self.requested_at),
            "pipeline": self.pipeline.name,
            "schema": self.schema,
            "table": self.table,
            "shard_date": self.shard_date.isoformat(),
            "replace": self.replace,
            **({"check": True} if self.check else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableExport(TableOfRun):
    """
    The wish to export it, with all that this needs, so that nobody has to ask the database again.

    `format`: of its data file, decided when it was listed. `only`: without the rows of tables that inherit from it.
    `server_major`: the version of PostgreSQL that has it. `run_tables`: how many tables the run has. None if the message does not
    say. `replace_asked`: the request itself said `replace`, which otherwise is true because the request was of its own day.
    `snapshot`: the number, in the run, of the snapshot that the table is read in. None if it is exported. `primary_key`: the names of
    its columns, up to the first that is left out. `column_rules`: of messages/columns.py, when it was listed.
    """

    columns: tuple[Column, ...]
    format: str
    comment: str | None = None
    only: bool = False
    server_major: int | None = None
    run_tables: int | None = None
    replace_asked: bool = False
    snapshot: int | None = None
    primary_key: tuple[str, ...] = ()
    column_rules: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The message as `table-exports` carries it, and as a run's manifest records it."""
        return TableOfRun.to_json(self) | {
            "comment": self.comment,
            "format": self.format,
            "only": self.only,
            "server_major": self.server_major,
            "run_tables": self.run_tables,
            "snapshot": self.snapshot,
            "primary_key": list(self.primary_key),
            "columns": [column.to_json() for column in self.columns],
            **({"column_rules": self.column_rules} if self.column_rules else {}),
            **({"replace_asked": True} if self.replace_asked else {}),
        }

    def exported(self, schema_uri: str, data_uri: str, file_format: str, *, replace: bool) -> "TableExported":
        """What loaders are told when its pair is sealed. `replace`: its rows may replace those of a shard."""
        return TableExported(
            run_id=self.run_id,
            requested_at=self.requested_at,
            pipeline=self.pipeline,
            schema=self.schema,
            table=self.table,
            table_id=self.table_id,
            shard_date=self.shard_date,
            replace=replace,
            check=self.check,
            schema_uri=schema_uri,
            data_uri=data_uri,
            format=file_format,
        )

    def relist_request(self) -> dict[str, Any]:
        """The message on `mirror-requests` that has the table described again, in the same run."""
        return {
            "pipeline": self.pipeline.name,
            "tables": [{"schema": self.schema, "table": self.table}],
            "shard_date": self.shard_date.isoformat(),
            "run_id": self.run_id,
            "relist": True,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableExported(TableOfRun):
    """A sealed pair of files: what a loader, ours or anyone's, is told."""

    schema_uri: str
    data_uri: str
    format: str

    def to_json(self) -> dict[str, Any]:
        """The message as `table-exported` carries it."""
        return TableOfRun.to_json(self) | {
            "table_id": self.table_id,
            "schema_uri": self.schema_uri,
            "data_uri": self.data_uri,
            "format": self.format,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RunExported:
    """A complete run: the ids of its tables that were exported, and of those that failed."""

    run_id: str
    pipeline: Pipeline
    shard_date: date
    manifest_uri: str
    tables: tuple[str, ...]
    failed: tuple[str, ...]

    @property
    def subject(self) -> Subject:
        return Subject(self.pipeline.name, shard_date=self.shard_date, run_id=self.run_id)

    def to_json(self) -> dict[str, Any]:
        """The message as `run-exported` carries it."""
        return {
            "run_id": self.run_id,
            "pipeline": self.pipeline.name,
            "shard_date": self.shard_date.isoformat(),
            "manifest_uri": self.manifest_uri,
            "tables": list(self.tables),
            "failed": list(self.failed),
        }


def table_export(message: Message, pipelines: Pipelines) -> TableExport:
    """What a message on `table-exports` asks for."""
    return _table_export(Fields.of(message, "table export"), pipelines)


def listed_export(entry: Mapping[str, Any], pipelines: Pipelines) -> TableExport:
    """What an entry of a run's manifest asks for."""
    return _table_export(Fields(entry, "manifest's table export"), pipelines)


def table_exported(message: Message, pipelines: Pipelines) -> TableExported:
    """What a message on `table-exported` announces."""
    fields = Fields.of(message, "announcement of an export")
    return TableExported(
        **_table_of_run(fields, pipelines),
        table_id=fields.text("table_id"),
        schema_uri=fields.text("schema_uri"),
        data_uri=fields.text("data_uri"),
        format=fields.text("format"),
    )


def run_exported(message: Message, pipelines: Pipelines) -> RunExported:
    """What a message on `run-exported` announces."""
    return _run_exported(Fields.of(message, "announcement of a run"), pipelines)


def announced_run(content: Mapping[str, Any], pipelines: Pipelines) -> RunExported:
    """What the mark of a complete run says that was announced."""
    return _run_exported(Fields(content, "announcement of a run on record"), pipelines)


def _run_exported(fields: Fields, pipelines: Pipelines) -> RunExported:
    return RunExported(
        run_id=fields.run_id(),
        pipeline=fields.pipeline(pipelines),
        shard_date=fields.day("shard_date"),
        manifest_uri=fields.text("manifest_uri"),
        tables=fields.texts("tables"),
        failed=fields.texts("failed"),
    )


def _table_export(fields: Fields, pipelines: Pipelines) -> TableExport:
    of_run = _table_of_run(fields, pipelines)
    return TableExport(
        **of_run,
        table_id=of_run["pipeline"].table_id(of_run["schema"], of_run["table"]),
        columns=tuple(_column(column) for column in fields.objects("columns", "column of a table export")),
        comment=fields.text_or_none("comment"),
        format=_format(fields, of_run["pipeline"]),
        only=fields.flag("only", default=fields.flag("has_children", default=False)),  # as it was called before 0.2
        server_major=fields.number_or_none("server_major"),
        run_tables=fields.number_or_none("run_tables"),
        replace_asked=fields.flag("replace_asked", default=False),
        snapshot=fields.number_or_none("snapshot"),
        primary_key=fields.texts("primary_key"),  # before 0.3 there was none
        column_rules=fields.text_or_none("column_rules"),
    )


def _format(fields: Fields, pipeline: Pipeline) -> str:
    """The message's own. Before 0.2 it was the pipeline's, and CSV where that said nothing. Raises Permanent for another word."""
    found = fields.text_or_none("format") or ("ndjson" if pipeline.format == "ndjson" else "csv")
    if found not in FORMATS:
        raise Permanent(f"format of the table export must be {' or '.join(FORMATS)}, not {found!r}")
    return found


def _table_of_run(fields: Fields, pipelines: Pipelines) -> dict[str, Any]:
    pipeline, check = fields.pipeline(pipelines), fields.flag("check", default=False)
    return {
        "run_id": fields.run_id(),
        "requested_at": fields.moment("requested_at"),
        "pipeline": canaries.seen_by(pipeline) if check else pipeline,
        "schema": fields.text("schema"),
        "table": fields.text("table"),
        "shard_date": fields.day("shard_date"),
        "replace": fields.flag("replace", default=False),
        "check": check,
    }


def _column(fields: Fields) -> Column:
    return Column(
        name=fields.text("name"),
        data_type=fields.text("data_type"),
        nullable=fields.flag("nullable", default=True),
        comment=fields.text_or_none("comment"),
        base_type=fields.text_or_none("base_type"),
        hashed=fields.flag("hashed", default=False),
        number=fields.number_or_none("number"),
    )
