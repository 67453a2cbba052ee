"""The JSON that travels between the functions, read and written. What cannot be read is Permanent, and says what is wrong."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared import names, times
from shared.catalog import Column
from shared.errors import Permanent
from shared.events import RUN_ID, Message
from shared.fields import Fields
from shared.pipelines import Pipeline
from shared.shards import Shard

Pipelines = Mapping[str, Pipeline]


@dataclass(frozen=True, slots=True)
class MirrorRequest:
    """
    A wish to mirror a database on one day.

    `replace`: what stands already at that date gives way. It does on the day of the request itself; of an earlier day,
    whose rows are gone from the source, only where the request says so. `relist`: the run exists, and tables of it that have
    been altered since they were listed are to be described anew.
    """

    run_id: str
    requested_at: datetime
    pipeline: Pipeline
    tables: tuple[str, ...] | None
    shard_date: date
    replace: bool
    relist: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOfRun:
    """One table of one run: what every message about it says."""

    run_id: str
    requested_at: datetime
    pipeline: Pipeline
    schema: str
    table: str
    shard_date: date
    replace: bool

    def to_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "requested_at": times.rfc3339(self.requested_at),
            "pipeline": self.pipeline.name,
            "schema": self.schema,
            "table": self.table,
            "shard_date": self.shard_date.isoformat(),
            "replace": self.replace,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableExport(TableOfRun):
    """
    The wish to export it, with all that this needs, so that nobody has to ask the database again.

    `run_tables`: how many tables the run has, None where the message does not say.
    """

    columns: tuple[Column, ...]
    comment: str | None = None
    has_children: bool = False
    run_tables: int | None = None

    @property
    def table_id(self) -> str:
        return names.table_id(self.schema, self.table, self.pipeline.schemas[0])

    def to_json(self) -> dict[str, Any]:
        """The message as `table-exports` carries it, and as a run's manifest records it."""
        return TableOfRun.to_json(self) | {
            "comment": self.comment,
            "has_children": self.has_children,
            "run_tables": self.run_tables,
            "columns": [column.to_json() for column in self.columns],
        }

    def relist_request(self) -> dict[str, Any]:
        """The message on `mirror-requests` that has the table described anew, in the same run."""
        return {
            "pipeline": self.pipeline.name,
            "tables": [f"{self.schema}.{self.table}"],
            "shard_date": self.shard_date.isoformat(),
            "run_id": self.run_id,
            "relist": True,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class TableExported(TableOfRun):
    """A pair of files that is whole: what a loader, ours or anyone's, is told."""

    table_id: str
    schema_uri: str
    data_uri: str
    format: str

    @property
    def shard(self) -> Shard:
        return Shard(self.table_id, self.shard_date)

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
    """A run that is whole: the ids of its tables that were exported, and of those that failed."""

    run_id: str
    pipeline: Pipeline
    shard_date: date
    manifest_uri: str
    tables: tuple[str, ...]
    failed: tuple[str, ...]

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


@dataclass(frozen=True, slots=True)
class ViewRefresh:
    """A wish that views show their newest shard; with `pin`, that of one day; with `unpin`, the newest again."""

    pipeline: Pipeline
    table_ids: tuple[str, ...] | None = None
    pin: date | None = None
    unpin: bool = False


def mirror_request(message: Message, pipelines: Pipelines) -> MirrorRequest:
    """
    What a message on `mirror-requests` asks for.

    The run's id is the message's, so that a redelivery is the same run; a `relist` names the run that it belongs to.
    """
    known = ("pipeline", "tables", "shard_date", "replace", "run_id", "relist")
    fields = Fields.read(message.data, "mirror request", known=known)
    relist = fields.flag("relist", default=False)
    if relist != fields.has("run_id") or (relist and not fields.has("tables")):
        raise Permanent(
            "run_id, relist and tables go together, to have tables of a run described anew: leave out run_id"
        )
    pipeline = fields.pipeline(pipelines)
    today = _today(message, pipeline)
    day = fields.day("shard_date") if fields.has("shard_date") else today
    if day > today:
        raise Permanent(
            f"shard_date {day} is later than {today}, the day of the request in {pipeline.time_zone}: it would hold the view until then"
        )
    return MirrorRequest(
        run_id=_run_id(fields) if relist else message.origin_id,
        requested_at=message.origin_time,
        pipeline=pipeline,
        tables=fields.names("tables"),
        shard_date=day,
        replace=fields.flag("replace", default=False) or day == today,
        relist=relist,
    )


def table_export(data: bytes, pipelines: Pipelines) -> TableExport:
    """What a message on `table-exports` asks for."""
    fields = Fields.read(data, "table export")
    return TableExport(
        **_table_of_run(fields, pipelines),
        columns=tuple(_column(column) for column in fields.objects("columns", "column of a table export")),
        comment=fields.text_or_none("comment"),
        has_children=fields.flag("has_children", default=False),
        run_tables=fields.number_or_none("run_tables"),
    )


def table_exported(data: bytes, pipelines: Pipelines) -> TableExported:
    """What a message on `table-exported` announces."""
    fields = Fields.read(data, "announcement of an export")
    return TableExported(
        **_table_of_run(fields, pipelines),
        table_id=fields.text("table_id"),
        schema_uri=fields.text("schema_uri"),
        data_uri=fields.text("data_uri"),
        format=fields.text("format"),
    )


def run_exported(data: bytes, pipelines: Pipelines) -> RunExported:
    """What a message on `run-exported` announces."""
    fields = Fields.read(data, "announcement of a run")
    return RunExported(
        run_id=fields.text("run_id"),
        pipeline=fields.pipeline(pipelines),
        shard_date=fields.day("shard_date"),
        manifest_uri=fields.text("manifest_uri"),
        tables=fields.texts("tables"),
        failed=fields.texts("failed"),
    )


def view_refresh(data: bytes, pipelines: Pipelines) -> ViewRefresh:
    """What a message on `view-refreshes` asks for."""
    fields = Fields.read(data, "view refresh", known=("pipeline", "tables", "shard_date"))
    unpin = fields.get("shard_date") == "newest"
    return ViewRefresh(
        pipeline=fields.pipeline(pipelines),
        table_ids=fields.names("tables"),
        pin=fields.day("shard_date") if fields.has("shard_date") and not unpin else None,
        unpin=unpin,
    )


def _run_id(fields: Fields) -> str:
    run_id = fields.text("run_id")
    if not RUN_ID.fullmatch(run_id):
        raise Permanent(f"run_id is {run_id!r}, which is no run's")
    return run_id


def _today(message: Message, pipeline: Pipeline) -> date:
    """The day of the request, where the pipeline is: when it was published, however late it is delivered."""
    try:
        return times.day_in(pipeline.time_zone, message.origin_time)
    except ValueError as error:
        raise Permanent(f"the request has an impossible time: {error}") from error


def _table_of_run(fields: Fields, pipelines: Pipelines) -> dict[str, Any]:
    return {
        "run_id": fields.text("run_id"),
        "requested_at": fields.moment("requested_at"),
        "pipeline": fields.pipeline(pipelines),
        "schema": fields.text("schema"),
        "table": fields.text("table"),
        "shard_date": fields.day("shard_date"),
        "replace": fields.flag("replace", default=False),
    }


def _column(fields: Fields) -> Column:
    return Column(
        name=fields.text("name"),
        data_type=fields.text("data_type"),
        nullable=fields.flag("nullable", default=True),
        comment=fields.text_or_none("comment"),
        base_type=fields.text_or_none("base_type"),
    )
