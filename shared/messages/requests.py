"""What people and schedules ask for: a mirror of a database, and views at another shard."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from shared import canaries, times
from shared.errors import Permanent
from shared.messages.fields import Fields
from shared.messages.message import Message
from shared.messages.outcome import Subject
from shared.pipelines import Pipeline
from shared.tables import TableName


@dataclass(frozen=True, slots=True)
class MirrorRequest:
    """
    A wish to mirror a database on one day.

    `tables`: None for all, or what each is called, as a text or by schema and table.

    `replace`: the run may replace what stands at that date. It may on the day of the request itself. Of an earlier day the
    rows are gone from the source, so that the request has to say so: `replace_asked`. `relist`: the run exists, and these
    tables of it have been altered since they were listed; they are to be described again. `last_try`: as the message says.
    `check`: a run of canaries, and of no table.
    """

    run_id: str
    requested_at: datetime
    pipeline: Pipeline
    tables: tuple[str | TableName, ...] | None
    shard_date: date
    replace: bool
    relist: bool = False
    last_try: bool = False
    replace_asked: bool = False
    is_replay: bool = False
    check: bool = False

    @property
    def subject(self) -> Subject:
        return Subject(self.pipeline.name, shard_date=self.shard_date, run_id=self.run_id)


@dataclass(frozen=True, slots=True)
class ViewRefresh:
    """
    A wish that views show their newest shard; with `pin`, that of one day; with `unpin`, the newest again.

    `wished_by`: the message or event that says so, by the same name at each delivery.
    """

    pipeline: Pipeline
    table_ids: tuple[str, ...] | None = None
    pin: date | None = None
    unpin: bool = False
    wished_by: str = field(default="refresh", compare=False)

    @property
    def is_by_hand(self) -> bool:
        """Whether it says more than a schedule does, which has all views go to their newest shards."""
        return bool(self.table_ids or self.pin or self.unpin)


@dataclass(frozen=True, slots=True)
class StopRequest:
    """A wish that a run begin no more tables."""

    run_id: str
    requested_at: datetime
    pipeline: Pipeline

    @property
    def subject(self) -> Subject:
        return Subject(self.pipeline.name, run_id=self.run_id)


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """A wish to know what a run would do. `run`: that run, which is not begun; its id is that of the message."""

    run: MirrorRequest

    @property
    def subject(self) -> Subject:
        return Subject(self.run.pipeline.name)


def asked(message: Message, pipelines: Mapping[str, Pipeline]) -> MirrorRequest | StopRequest | PlanRequest:
    """What a message on `mirror-requests` asks for."""
    fields = Fields.of(message, "mirror request")
    if fields.has("plan"):
        return _plan_request(message, pipelines)
    if fields.has("stop"):
        return _stop_request(message, pipelines)
    if fields.has("check"):
        return _check_request(message, pipelines)
    return mirror_request(message, pipelines)


def mirror_request(message: Message, pipelines: Mapping[str, Pipeline]) -> MirrorRequest:
    """
    The run that a message on `mirror-requests` asks for.

    The run's id is the message's, so that a redelivery is the same run. A `relist` names the run that it belongs to.
    """
    known = ("pipeline", "tables", "shard_date", "replace", "run_id", "relist")
    fields = Fields.of(message, "mirror request", known=known)
    relist = fields.flag("relist", default=False)
    if relist != fields.has("run_id") or (relist and not fields.has("tables")):
        raise Permanent(
            "run_id, relist and tables go together, to have tables of a run described again: leave out run_id"
        )
    pipeline = fields.pipeline(pipelines)
    today = _today(message, pipeline)
    asked = fields.flag("replace", default=False)
    day = fields.day("shard_date") if fields.has("shard_date") else today
    if day > today:
        raise Permanent(
            f"shard_date {day} is later than {today}, the day of the request in {pipeline.time_zone}: it would hold the view until then"
        )
    return MirrorRequest(
        run_id=fields.run_id() if relist else message.origin_id,
        requested_at=message.origin_time,
        pipeline=pipeline,
        tables=_tables(fields),
        shard_date=day,
        replace=asked or day == today,
        relist=relist,
        last_try=message.last_try,
        replace_asked=asked,
        is_replay=message.is_replay,
    )


def _plan_request(message: Message, pipelines: Mapping[str, Pipeline]) -> PlanRequest:
    fields = Fields.of(message, "request for a plan", known=("pipeline", "plan"))
    pipeline = fields.pipeline(pipelines)
    if not fields.flag("plan", default=True):
        raise Permanent("plan of the request for a plan must be true: leave it out to have a run")
    day = _today(message, pipeline)
    return PlanRequest(MirrorRequest(message.origin_id, message.origin_time, pipeline, None, day, replace=True))


def _stop_request(message: Message, pipelines: Mapping[str, Pipeline]) -> StopRequest:
    """Whoever checks says that the run is one of canaries: of it, nothing may be left to stop when the message comes."""
    fields = Fields.of(message, "request to stop a run", known=("pipeline", "stop", "check"))
    return StopRequest(fields.run_id("stop"), message.origin_time, fields.pipeline(pipelines))


def _check_request(message: Message, pipelines: Mapping[str, Pipeline]) -> MirrorRequest:
    fields = Fields.of(message, "request for a check", known=("pipeline", "check"))
    if not fields.flag("check", default=True):
        raise Permanent("check of the request for a check must be true: leave it out to have a run")
    pipeline = canaries.seen_by(fields.pipeline(pipelines))
    day = _today(message, pipeline)
    return MirrorRequest(
        message.origin_id, message.origin_time, pipeline, (), day, True, is_replay=message.is_replay, check=True
    )


def view_refresh(message: Message, pipelines: Mapping[str, Pipeline]) -> ViewRefresh:
    """What a message on `view-refreshes` asks for."""
    message.check_origin()
    fields = Fields.of(message, "view refresh", known=("pipeline", "tables", "shard_date"))
    unpin = fields.get("shard_date") == "newest"
    pipeline, table_ids = fields.pipeline(pipelines), fields.names("tables")
    return ViewRefresh(
        pipeline=canaries.seen_by(pipeline) if table_ids and canaries.are_canaries(table_ids) else pipeline,
        table_ids=table_ids,
        pin=fields.day("shard_date") if fields.has("shard_date") and not unpin else None,
        unpin=unpin,
        wished_by=f"refresh {message.message_id}",  # no table's id has a blank
    )


def _tables(fields: Fields) -> tuple[str | TableName, ...] | None:
    wanted = fields.names_or_objects("tables", "table of the mirror request")
    if wanted is None:
        return None
    return tuple(each if isinstance(each, str) else (each.text("schema"), each.text("table")) for each in wanted)


def _today(message: Message, pipeline: Pipeline) -> date:
    """The day of the request in the pipeline's time zone: when it was published, however late it is delivered."""
    try:
        return times.day_in(pipeline.time_zone, message.origin_time)
    except ValueError as error:
        raise Permanent(f"the request has an impossible time: {error}") from error
