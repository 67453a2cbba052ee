"""
Whether a wish may replace what stands for its day. Its rows are those of now, whatever day they are for.

    the day of the request itself         it may, past midnight too: the message is one of a run in progress
    an earlier day                        it only fills gaps
    a replay, or more than 24 hours late  judged by the day of now: it may where that is the wish's day still
    the request said "replace": true      it may, always
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

from shared.messages.exports import TableExport
from shared.messages.requests import MirrorRequest
from shared.times import day_in

_LATE = timedelta(hours=24)

_Wish = TypeVar("_Wish", MirrorRequest, TableExport)


def may_replace(export: TableExport, exported_at: datetime, *, is_replay: bool) -> bool:
    """Whether rows of that moment may replace a shard, however late they are announced."""
    return judged(export, exported_at, is_replay=is_replay).replace


def judged(wish: _Wish, now: datetime, *, is_replay: bool) -> _Wish:
    """The wish, as it is delivered now, with `replace` only where it may. `replace` itself is judged by the day of the request."""
    is_belated = is_replay or now - wish.requested_at > _LATE
    is_past = wish.shard_date < day_in(wish.pipeline.time_zone, now)
    return replace(wish, replace=False) if is_belated and is_past and not wish.replace_asked else wish
