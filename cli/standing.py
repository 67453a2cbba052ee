"""How a pipeline stands: what its newest runs and its views say, and the command that mends what is bad. Without a call."""

import re
import shlex
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from cli.following import OVER, TableOfRun
from cli.letters import FUNCTIONS
from shared.errors import REQUEST_AGAIN
from shared.runs.records import FAILED, HELD, SHOWN, SKIPPED

PINNED, STALE = "pinned", "stale"


@dataclass(frozen=True, slots=True)
class SeenRun:
    """A run and its tables as they are now. `is_whole`: it is over the whole database."""

    run_id: str
    requested_at: datetime
    day: date
    is_whole: bool
    tables: Sequence[TableOfRun]


@dataclass(frozen=True, slots=True)
class SeenView:
    """A view, and the day that it shows."""

    name: str
    day: date
    is_pinned: bool = False


@dataclass(frozen=True, slots=True)
class Line:
    """
    One table or view that somebody should know of, or several of one state and reason.

    `state`: of a table, how it ended in the newest run in which it has ended, or else how far it is; of a view, `pinned` or `stale`.
    `under_way`: a newer run in which it has not ended, and how far it is there. `view_day`: the day that the view shows. `command`:
    the one that mends it, None if nothing is to be done.
    """

    state: str
    names: tuple[str, ...]
    table_ids: tuple[str, ...]
    run_id: str | None = None
    day: date | None = None
    reason: str | None = None
    function: str | None = None
    under_way: tuple[str, str] | None = None
    view_day: date | None = None
    command: str | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "table": self.names[0],
            "table_id": self.table_ids[0],
            "run_id": self.run_id,
            "shard_date": self.day.isoformat() if self.day else None,
            "state": self.state,
            "reason": self.reason,
            "under_way": dict(zip(("run_id", "state"), self.under_way, strict=True)) if self.under_way else None,
            "view_day": self.view_day.isoformat() if self.view_day else None,
            "command": self.command,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """
    How a pipeline stands.

    `day`: the newest that at least half of its views show, pinned ones left out. `due`: the newest that it should show, None if
    nothing says so. `not_looked_at`: what could not be seen, and why. `is_seen`: whether its runs could, or its views.
    """

    pipeline: str
    day: date | None
    due: date | None
    tables: tuple[Line, ...]
    views: tuple[Line, ...]
    not_looked_at: tuple[str, ...] = ()
    is_seen: bool = True

    @property
    def is_late(self) -> bool:
        return self.due is not None and (self.day is None or self.day < self.due)

    @property
    def is_bad(self) -> bool:
        return not self.is_seen or self.is_late or any(each.state == FAILED for each in self.tables)

    @property
    def told(self) -> list[Line]:
        """What somebody should know of. What is held or skipped needs no word where the view shows that day or a newer one."""
        tables = [each for each in self.tables if each.state not in {HELD, SKIPPED} or each.command or each.under_way]
        held = {each.table_ids for each in tables if each.state == HELD}
        return [*tables, *(each for each in self.views if each.table_ids not in held)]

    @property
    def sum(self) -> str:
        """How many tables and views there are in each state."""
        tables = f"{len(self.tables)} tables: {_counted(self.tables)}" if self.tables else "no table is on record"
        return f"{tables}; views: {_counted(self.views)}" if self.views else tables

    def to_json(self) -> dict[str, Any]:
        return {
            "pipeline": self.pipeline,
            "day": self.day.isoformat() if self.day else None,
            "due": self.due.isoformat() if self.due else None,
            "late": self.is_late,
            "tables": [each.to_json() for each in self.tables],
            "views": [
                {"view": each.table_ids[0], "state": each.state, "day": str(each.view_day), "command": each.command}
                for each in self.views
            ],
            "not_looked_at": list(self.not_looked_at),
        }


def of(
    pipeline: str,
    runs: Iterable[SeenRun] | None,
    views: Iterable[SeenView] | None,
    due: date | None,
    not_looked_at: Sequence[str] = (),
) -> Standing:
    """How a pipeline stands. `runs` are its newest ones, `due` the newest day that it should show. None: not looked at."""
    known = {each.name: each for each in views} if views is not None else None
    lines = _newest(sorted(runs or (), key=_age, reverse=True))
    tables = [_mended(pipeline, each, known) for each in lines]
    if known is None:
        days = [each.day for each in tables if each.state == SHOWN and each.day]
    else:
        days = [each.day for each in known.values() if not each.is_pinned]
    day = sorted(days, reverse=True)[(len(days) - 1) // 2] if days else None
    is_unknown = not days and (known is None or any(each.is_pinned for each in known.values()))
    told = {each.table_ids[0] for each in tables if each.state != SHOWN or each.under_way}
    stood = tuple(_of_views(pipeline, known or {}, day, told))
    is_seen = runs is not None or views is not None
    due = None if is_unknown else due
    return Standing(pipeline, day, due, tuple(tables), stood, tuple(not_looked_at), is_seen)


def groups(lines: Iterable[Line], pipeline: str) -> list[Line]:
    """Lines of one state, cause and remedy as one line. Those of most tables come first."""
    found: dict[tuple[object, ...], list[Line]] = {}
    for each in lines:
        found.setdefault(
            (each.state, each.function, _cause(each), each.view_day, each.under_way, bool(each.command)), []
        ).append(each)
    joined = [_joined(pipeline, each) for each in found.values()]
    return sorted(joined, key=lambda line: -len(line.names))


def is_settled(runs: Collection[SeenRun]) -> bool:
    """Whether earlier runs have nothing to add: each table has come to its end in one of these, and one is over all tables."""
    lines = _newest(sorted(runs, key=_age, reverse=True))
    return any(run.is_whole for run in runs) and not _is_open(lines)


def _counted(lines: Iterable[Line]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(Counter(each.state for each in lines).items()))


def _is_open(lines: Iterable[Line]) -> bool:
    return any(each.state not in OVER for each in lines)


def _age(run: SeenRun) -> tuple[date, datetime, str]:
    """By its day first: a backfill says nothing of today."""
    return run.day, run.requested_at, run.run_id


def _newest(runs: Sequence[SeenRun]) -> list[Line]:
    """Each table with its newest outcome, or how far it is where there is none. Tables that are gone are left out."""
    found: dict[str, Line] = {}
    has_all = False  # what only earlier runs have is not in the database any more
    for run in runs:
        for table in run.tables:
            known = found.get(table.table)
            if known is None and not has_all:
                found[table.table] = _line(run, table)
            elif known and known.state not in OVER and table.state in OVER:
                found[table.table] = replace(_line(run, table), under_way=known.under_way)
        has_all |= run.is_whole
    return list(found.values())


def _line(run: SeenRun, table: TableOfRun) -> Line:
    line = Line(table.state, (table.table,), (table.table_id,), run.run_id, run.day, table.reason, table.function)
    return line if table.state in OVER else replace(line, under_way=(run.run_id, table.state))


def _mended(pipeline: str, line: Line, views: dict[str, SeenView] | None) -> Line:
    """A table's line with what its view shows, and the command that mends it."""
    view = (views or {}).get(line.table_ids[0])
    is_behind = view is None or line.day is None or view.day < line.day
    line = replace(line, view_day=view.day if view else None)
    is_bad = line.state == FAILED or (line.state in {HELD, SKIPPED} and is_behind)
    return replace(line, command=_command(pipeline, line)) if is_bad and not line.under_way else line


def _command(pipeline: str, line: Line) -> str:
    names = " ".join(map(shlex.quote, line.names))
    if line.state in {HELD, PINNED}:
        return f"mirror unpin {pipeline} {' '.join(map(shlex.quote, line.table_ids))}"
    has_letter = line.function in FUNCTIONS and line.function != "refresh_views"
    if line.state == FAILED and has_letter and REQUEST_AGAIN not in (line.reason or ""):
        return f"mirror replay --function {line.function}" if len(line.names) > 1 else f"mirror replay --table {names}"
    return f"mirror request {pipeline} {names}"  # no message has been dead-lettered, or its replay would fail as well


def _of_views(pipeline: str, views: dict[str, SeenView], day: date | None, told: Collection[str]) -> Iterator[Line]:
    """The views that are pinned, and those that show an older day than most and whose tables say nothing of it."""
    for each in views.values():
        line = Line("", (each.name,), (each.name,), view_day=each.day)
        if each.is_pinned:
            line = replace(line, state=PINNED)
            yield replace(line, command=_command(pipeline, line))
        elif day and each.day < day and each.name not in told:
            yield replace(line, state=STALE)


def _cause(line: Line) -> str:
    """The reason without the names of the table."""
    reason = line.reason or ""
    for name in (line.names[0], line.names[0].partition(".")[2], line.table_ids[0]):
        reason = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "…", reason)
    return reason


def _joined(pipeline: str, lines: Sequence[Line]) -> Line:
    first = lines[0]
    if len(lines) == 1:
        return first
    together = replace(
        first,
        names=tuple(name for each in lines for name in each.names),
        table_ids=tuple(table_id for each in lines for table_id in each.table_ids),
        reason=_cause(first) or None,
    )
    return replace(together, command=_command(pipeline, together)) if first.command else together
