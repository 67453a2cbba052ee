"""The wish to read the small tables of a run, all at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared import canaries, times
from shared.messages.fields import Fields
from shared.messages.message import Message
from shared.messages.outcome import Subject
from shared.pipelines import Pipeline

_KEYS = ("run_id", "requested_at", "pipeline", "shard_date", "replace", "snapshot", "check")


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotRead:
    """
    The tables of a run whose entries in its manifest have this number as their `snapshot`. The first has 1.

    `replace`: the run may replace what stands at that date. `check`: it is a run of canaries.
    """

    run_id: str
    requested_at: datetime
    pipeline: Pipeline
    shard_date: date
    replace: bool
    snapshot: int
    check: bool = False

    @property
    def subject(self) -> Subject:
        return Subject(self.pipeline.name, shard_date=self.shard_date, run_id=self.run_id)

    def to_json(self) -> dict[str, Any]:
        """The message as `snapshots` carries it."""
        return {
            "run_id": self.run_id,
            "requested_at": times.rfc3339(self.requested_at),
            "pipeline": self.pipeline.name,
            "shard_date": self.shard_date.isoformat(),
            "replace": self.replace,
            "snapshot": self.snapshot,
            **({"check": True} if self.check else {}),
        }


def snapshot_read(message: Message, pipelines: Mapping[str, Pipeline]) -> SnapshotRead:
    """What a message on `snapshots` asks for."""
    fields = Fields.of(message, "wish for a snapshot", known=_KEYS)
    pipeline, check = fields.pipeline(pipelines), fields.flag("check", default=False)
    return SnapshotRead(
        run_id=fields.run_id(),
        requested_at=fields.moment("requested_at"),
        pipeline=canaries.seen_by(pipeline) if check else pipeline,
        shard_date=fields.day("shard_date"),
        replace=fields.flag("replace", default=False),
        snapshot=fields.number("snapshot"),
        check=check,
    )
