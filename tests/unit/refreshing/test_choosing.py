"""Which shard a view goes to, and whether it may."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from shared.pipelines import Pipeline
from shared.refreshing import choosing
from shared.refreshing.choosing import Aim, Choice, Pinning
from shared.refreshing.views import ShardState, View
from shared.tables import Shard
from tests.support.billing import BILLING

SCIO = replace(BILLING, loader="scio")
GUARDED = replace(BILLING, max_shrink=0.5)
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
OLD, MIDDLE, NEW = (Shard("orders", date(2026, 11, day)) for day in (20, 21, 22))
VIEW = View("views", "orders", "etag")
PINNED = replace(VIEW, pin="20261121")


def state(ago: timedelta = 9 * HOUR, rows: int = 1, *, streaming: bool = False) -> ShardState:
    return ShardState(None, NOW - ago, rows, streaming)


def choice(
    aim: Aim,
    shards: dict[Shard, ShardState],
    pipeline: Pipeline = BILLING,
    shown: Shard | None = None,
    view: View | None = VIEW,
) -> Choice:
    return choosing.choose(aim, view, shown, pipeline, shards.get, NOW)


@pytest.mark.parametrize(
    ("shard", "aim", "complete"),
    [
        (state(HOUR), Aim((MIDDLE,)), True),
        (state(HOUR - timedelta(seconds=1)), Aim((MIDDLE,)), False),
        (state(9 * HOUR, streaming=True), Aim((MIDDLE,)), False),
        (state(timedelta(), streaming=True), Aim((MIDDLE,), trusted=True), True),
        (state(timedelta(minutes=5)), Aim((MIDDLE,), written_by=NOW), True),
        (state(timedelta(minutes=5)), Aim((MIDDLE,), written_by=NOW - timedelta(minutes=5)), True),
        (state(timedelta(minutes=5)), Aim((MIDDLE,), written_by=NOW - timedelta(minutes=6)), False),
        (state(HOUR), Aim((MIDDLE,), written_by=NOW - 2 * HOUR), True),
    ],
)
def test_a_shard_of_another_loader_is_complete_when_an_event_says_so_or_an_hour_has_passed(
    shard: ShardState, aim: Aim, complete: bool
) -> None:
    assert choice(aim, {MIDDLE: shard}, SCIO) == Choice(MIDDLE if complete else None)


@pytest.mark.parametrize("pipeline", [SCIO, replace(SCIO, max_shrink=1.0)])
def test_where_the_shard_that_is_shown_is_gone_one_without_rows_may_be_shown(pipeline: Pipeline) -> None:
    assert choice(Aim((NEW,)), {NEW: state(rows=0)}, pipeline, shown=MIDDLE) == Choice(NEW)


def test_a_shard_of_bigquerys_own_load_is_complete_at_once() -> None:
    assert choice(Aim((MIDDLE,)), {MIDDLE: state(timedelta(), streaming=True)}) == Choice(MIDDLE)


@pytest.mark.parametrize(
    ("aim", "moves"),
    [(Aim((NEW,)), False), (Aim((NEW,), trusted=True), True), (Aim((NEW,), written_by=NOW), True)],
)
def test_an_empty_shard_of_another_loader_takes_the_place_of_rows_only_where_an_event_vouches_for_it(
    aim: Aim, moves: bool
) -> None:
    shards = {OLD: state(), NEW: state(rows=0)}

    assert choice(aim, shards, SCIO, shown=OLD) == Choice(NEW if moves else None)
    assert choice(aim, shards | {OLD: state(rows=0)}, SCIO, shown=OLD) == Choice(NEW)


def test_the_newest_shard_that_may_be_shown_is_taken() -> None:
    shards = {NEW: state(timedelta()), MIDDLE: state(), OLD: state()}

    assert choice(Aim((NEW, MIDDLE, OLD)), shards, SCIO, shown=OLD) == Choice(MIDDLE)


def test_a_shard_that_is_gone_or_not_released_is_passed_over() -> None:
    shards = {MIDDLE: state(), OLD: state()}

    assert choice(Aim((NEW, MIDDLE, OLD)), shards) == Choice(MIDDLE)
    assert choice(Aim((NEW, MIDDLE, OLD), is_released=lambda shard: shard == OLD), shards) == Choice(OLD)


@pytest.mark.parametrize("shown", [MIDDLE, NEW])
def test_a_late_shard_never_moves_a_view_back(shown: Shard) -> None:
    assert choice(Aim((MIDDLE,), trusted=True), {MIDDLE: state(), NEW: state()}, shown=shown) == Choice()


def test_a_pin_goes_back() -> None:
    aim = Aim((OLD,), Pinning.PIN, trusted=True)

    assert choice(aim, {OLD: state(), NEW: state()}, shown=NEW) == Choice(OLD)
    assert (aim.pin_of(VIEW), aim.pin_of(PINNED), aim.pin_of(None)) == ("20261120",) * 3


@pytest.mark.parametrize(
    ("view", "shown", "chosen"),
    [
        (PINNED, NEW, MIDDLE),  # the pinned shard is gone
        (PINNED, OLD, MIDDLE),
        (VIEW, NEW, None),  # an unpin that comes late
    ],
)
def test_the_end_of_a_pin_goes_back_only_where_the_pinned_shard_is_gone(
    view: View, shown: Shard, chosen: Shard | None
) -> None:
    aim = Aim((MIDDLE, OLD), Pinning.UNPIN)

    assert choice(aim, {MIDDLE: state(), OLD: state()}, shown=shown, view=view) == Choice(chosen)
    assert (aim.pin_of(view), aim.pin_of(None)) == ("", "")


def test_the_end_of_a_pin_does_not_go_behind_what_it_shows() -> None:
    """The newest may not be shown, and the next is older than the pinned one."""
    aim = Aim((NEW, MIDDLE, OLD), Pinning.UNPIN)

    assert choice(aim, {MIDDLE: state(), OLD: state()}, shown=MIDDLE, view=PINNED) == Choice()


def test_any_other_aim_leaves_the_pin() -> None:
    aim = Aim((NEW,))

    assert (aim.pin_of(PINNED), aim.pin_of(VIEW), aim.pin_of(None)) == ("20261121", "", "")


@pytest.mark.parametrize(("rows", "moves"), [(4, False), (5, True), (11, True)])
def test_a_view_is_kept_from_a_shard_that_has_shrunk_too_far(rows: int, moves: bool) -> None:
    chosen = choice(Aim((NEW,)), {OLD: state(rows=10), NEW: state(rows=rows)}, GUARDED, shown=OLD)

    assert chosen.shard == (NEW if moves else None)
    assert ("orders_20261122 has 4 rows, less than 0.5 of its 10" in chosen.shrunk) is not moves


def test_a_view_that_is_kept_from_the_newest_goes_to_the_next_and_says_so() -> None:
    shards = {OLD: state(rows=10), MIDDLE: state(rows=9), NEW: state(rows=1)}

    chosen = choice(Aim((NEW, MIDDLE, OLD)), shards, GUARDED, shown=OLD)

    assert chosen.shard == MIDDLE
    assert "kept at orders_20261120: orders_20261122" in chosen.shrunk


@pytest.mark.parametrize(
    ("aim", "pipeline", "shown"),
    [(Aim((NEW,), by_hand=True), GUARDED, OLD), (Aim((NEW,)), BILLING, OLD), (Aim((NEW,)), GUARDED, None)],
    ids=["asked for by name", "not guarded", "new"],
)
def test_few_rows_are_shown_where_nobody_minds(aim: Aim, pipeline: Pipeline, shown: Shard | None) -> None:
    assert choice(aim, {OLD: state(rows=10), NEW: state(rows=1)}, pipeline, shown) == Choice(NEW)
