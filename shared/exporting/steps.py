"""
The steps of one table's export, as a state machine: from what is known of its files and operations to what to do next.

An operation outlives the function that started it. Pub/Sub delivers twice and late. A crash may come between any two steps.
So nothing is remembered: each delivery looks at the files and at the instance's operations, and goes on from there.

    nothing there ──▶ Start ──▶ Wait ──▶ Move ──▶ SealPair ──▶ Announce
                        ▲        │ failed
                        ├─ Clear ◀┤
                        └─ Rest ◀─┤ for a reason that passes
                                 ├ too often ──▶ GiveUp
                                 └ its table has been altered ──▶ Relist

What stands already, of this run or another, ends it at once: Announce or Skip.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from shared import failures, times
from shared.bucket import File
from shared.exporting import tries
from shared.exporting.operation import Operation
from shared.failures import OperationFailure
from shared.messages.exports import TableExport
from shared.runs.schema_file import Seal

MOST_FAILURES = 5
"""
Failed operations of one table since its message was published, after which the failure counts as permanent.

Of a canary it is the first: whoever checks waits, and wants the reason.
"""
STOPPED = "the run has been stopped, and begins no more"
"""Why a table is skipped whose run somebody has stopped."""
_HOW_TO_REPLACE = 'say "replace": true in the request to have the rows of today in their place'


class Description(Enum):
    """Which of its run's descriptions of the table a message has. A table that was altered is described again, once."""

    FIRST = "as it was listed"
    AGAIN = "again"
    SUPERSEDED = "as it was listed, and it has been described again in another message"


@dataclass(frozen=True, slots=True)
class Seen:
    """
    What is known of a table's files and operations.

    `seal_generation` is that of the schema file (0: none). `data` has its final name. `operations` are those that wrote the
    staged data, newest first; None: not asked for yet. `is_stopped`: its run is to begin no more.
    """

    seal: Seal | None = None
    seal_generation: int = 0
    data: File | None = None
    staged: File | None = None
    shard_exists: bool = False
    operations: tuple[Operation, ...] | None = None
    description: Description = Description.FIRST
    is_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Announce:
    """The pair is sealed and this run's: say so. Twice does no harm."""

    seal: Seal


@dataclass(frozen=True, slots=True)
class Skip:
    """What stands there is not to be replaced by this run."""

    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """The message that describes the table again sees to it. What lies there is that one's."""


@dataclass(frozen=True, slots=True)
class SealPair:
    """The data is complete and has its name: write the schema file."""

    data: File


@dataclass(frozen=True, slots=True)
class AskOperations:
    """The files do not settle it: see what the instance did and does."""


@dataclass(frozen=True, slots=True)
class Wait:
    """The export runs: wait for its operation."""

    operation: Operation


@dataclass(frozen=True, slots=True)
class Move:
    """The operation succeeded: give the data its name."""

    operation: Operation
    staged: File


@dataclass(frozen=True, slots=True)
class Clear:
    """Something that no operation vouches for lies where the export is to write: delete it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Nothing stands and nothing runs: export."""


@dataclass(frozen=True, slots=True)
class Rest:
    """It failed for a reason that passes: let time pass until then, and look again."""

    until: datetime
    reason: str
    operation: str


@dataclass(frozen=True, slots=True)
class Relist:
    """The table is not as it was described: have it described again. The remedy is for where nobody can."""

    reason: str
    remedy: str
    operation: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It has failed too often, or for good."""

    reason: str
    operation: str


Advance = AskOperations | Clear | Start | Wait | Rest | Move | SealPair
End = Announce | Skip | Leave | Relist | GiveUp
Step = Advance | End


def next_step(export: TableExport, seen: Seen, published_at: datetime, now: datetime) -> Step:
    """What to do for a table, given what is seen. `published_at` is when the message that asks for it was published."""
    if seen.seal and seen.seal.run_id == export.run_id:
        return Announce(seen.seal)
    is_moved = seen.data is not None and _is_ours(seen.data, export, seen.description)
    if reason := _reason_to_skip(export, seen, is_moved=is_moved):
        return Skip(reason)
    if seen.description is Description.SUPERSEDED:
        return Leave()
    if seen.data and is_moved:
        return SealPair(seen.data)
    if seen.operations is None:
        return AskOperations()
    most = 1 if export.check else MOST_FAILURES
    return _after_operations(seen.operations, seen, published_at, now, most)


def _is_ours(data: File, export: TableExport, description: Description) -> bool:
    """Whether data is this run's, and of this description: in snapshots tables are read as they were listed first."""
    is_read = "operation" not in data.marks and "snapshot" in data.marks
    return data.marks.get("run_id") == export.run_id and not (is_read and description is Description.AGAIN)


def _reason_to_skip(export: TableExport, seen: Seen, *, is_moved: bool) -> str | None:
    requested_at = seen.data.marks.get("requested_at") if seen.data else None
    if seen.data and requested_at and times.moment(requested_at) > export.requested_at and not is_moved:
        return f"the later run {seen.data.marks.get('run_id')} is about to seal it for {export.shard_date}"
    if seen.seal and seen.seal.outranks(export.run_id, export.requested_at):
        return f"the later run {seen.seal.run_id} has exported it for {export.shard_date} already"
    if is_moved or export.replace:  # half of a pair is no gap: what an earlier delivery has begun there is finished
        return None
    if seen.seal:
        return f"the run {seen.seal.run_id} has exported it for {export.shard_date} already; {_HOW_TO_REPLACE}"
    if seen.shard_exists:
        return f"it has a shard for {export.shard_date} already; {_HOW_TO_REPLACE}"
    return None


def _after_operations(
    operations: Sequence[Operation], seen: Seen, published_at: datetime, now: datetime, most: int
) -> Step:
    newest = operations[0] if operations else None
    if newest and not newest.done:
        return Wait(newest)
    if newest and not newest.failed and seen.staged:
        return Move(newest, seen.staged)
    # Success without a file, which something else has deleted, is no success.
    failed = [operation for operation in operations if operation.inserted_at >= published_at]
    next_try: Advance | End = Clear() if seen.staged else Start()
    step = (_after_failures(failed, seen.description, now, most) or next_try) if failed else next_try
    return Skip(STOPPED) if seen.is_stopped and isinstance(step, Clear | Start | Rest) else step


def _after_failures(
    failed: Sequence[Operation], description: Description, now: datetime, most: int
) -> Rest | Relist | GiveUp | None:
    """What comes before the next try, or in its place, after this message's failed operations, newest first."""
    newest = failed[0]
    reason = f"its export failed {len(failed)} times, at last with: {newest.complaint}"
    remedy = failures.remedy_of_operation(newest.error or "")
    kind = failures.of_operation(newest.error or "")
    # Once described again, it may still fail by an operation that a late delivery of the first description has begun.
    if kind is OperationFailure.ALTERED and description is Description.FIRST:
        return Relist(reason, remedy, newest.name)
    if kind is OperationFailure.HOPELESS or tries.counted(failed) >= most:
        return GiveUp(f"{reason}. {remedy}", newest.name)
    until = (newest.ended_at or now) + tries.rest_after(failed)
    return Rest(until, reason, newest.name) if now < until else None
