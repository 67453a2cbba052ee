"""
A run is announced when it is complete, in whatever order its messages come: never early, never missed, and always alike.

Each history is of one run. Its messages come in their lane, crash, come again, are given up, are replayed, and come late and twice.
"""

import json
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.messages.exports import RunExported, TableExport
from shared.messages.requests import MirrorRequest
from shared.runs import announcing, closing, digests, manifest, progress, records
from shared.runs.announcing import Listeners
from shared.runs.lanes import Lane
from tests.support.billing import BILLING, EXPORT, REQUESTED_AT
from tests.support.memory import Memory

NEVER = 99
"""Changes until a crash."""
TABLES = ("lines", "orders", "refunds", "users")


class Crash(Exception):  # noqa: N818 - it is what happens
    """The function is gone."""


class Crashing(Memory):
    """A bucket, and the topic of complete runs, that are out of reach when so many changes have been made."""

    def __init__(self) -> None:
        super().__init__()
        self.left = NEVER
        self.heard: list[RunExported] = []

    def change(self) -> None:
        if not self.left:
            raise Crash
        self.left -= 1

    def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
        self.change()
        super().write(name, content, onto, marks)

    def announce_run(self, exported: RunExported) -> None:
        self.change()
        known = progress.settled(self, BILLING, "9912")
        assert set().union(*(known[each] for each in records.SETTLED)) == set(TABLES), "it is not complete"
        self.heard.append(exported)


class History:
    """A run: `lane` are its messages that are to come, each with its table and whether it is out of order."""

    def __init__(self) -> None:
        self.bucket = Crashing()
        self.listeners = Listeners(self.bucket)
        request = MirrorRequest("9912", REQUESTED_AT, BILLING, None, date(2026, 11, 22), replace=True)
        entries = [export(table).to_json() for table in TABLES]
        run = manifest.write(self.bucket, BILLING, manifest.of_request(request, entries))
        digests.write(self.bucket, BILLING, run, is_new=True)
        records.open_run(self.bucket, BILLING, "9912")
        found = digests.KnownRuns().find(self.bucket, BILLING, "9912")
        assert found
        self.last = found.last
        self.lane: deque[tuple[str, bool]] = deque()
        self.letters: list[tuple[str, bool]] = []
        self.been: list[tuple[str, bool]] = []
        self.list()

    @property
    def is_complete(self) -> bool:
        known = progress.settled(self.bucket, BILLING, "9912")
        return set().union(*(known[each] for each in records.SETTLED)) == set(TABLES)

    def list(self) -> None:
        """The request is delivered."""
        self.lane += [(table, False) for table in TABLES]

    def handle(self, settled: str, crash: int = NEVER) -> None:
        """The next message is handled: acknowledged, if the function does not crash after so many changes."""
        if self.lane and self._handled(self.lane[0], settled, crash):
            self.been.append(self.lane.popleft())

    def alter(self) -> None:
        """The next message leaves it to another that describes its table again."""
        if self.lane and not self.lane[0][1]:
            self.lane.append((self.lane.popleft()[0], True))

    def give_up(self, crash: int) -> None:
        """The next message is a dead letter, however far it came."""
        if self.lane:
            self._handled(self.lane[0], records.EXPORTED, crash)
            self.letters.append(self.lane.popleft())

    def replay(self) -> None:
        """The dead letters are published again."""
        self.lane += [(table, True) for table, _ in self.letters]
        self.letters.clear()

    def repeat(self, which: int, settled: str, crash: int) -> None:
        """A message that was acknowledged, or given up, is delivered once more, late: again and again, if that crashes."""
        gone = self.been + self.letters
        if gone and not self._handled(message := gone[which % len(gone)], settled, crash):
            self.lane.append(message)

    def reconcile(self, crash: int = NEVER, hours: float = 1) -> None:
        self.bucket.left = crash
        with suppress(Crash):
            now = REQUESTED_AT + timedelta(hours=hours)
            closing.see_to_runs(self.bucket, BILLING, "refresh", Lane([BILLING], self.bucket, now), self.listeners)
        self.bucket.left = NEVER

    def drain(self) -> None:
        while self.lane:
            self.handle(records.EXPORTED)

    def _handled(self, message: tuple[str, bool], settled: str, crash: int) -> bool:
        table, is_out_of_order = message
        self.bucket.left = crash
        try:
            records.record(self.bucket, export(table), settled, {})
            if is_out_of_order or table == self.last:
                announcing.announce(self.bucket, BILLING, "9912", table, self.listeners, len(TABLES))
        except Crash:
            return False
        finally:
            self.bucket.left = NEVER
        return True


def export(table: str) -> TableExport:
    return replace(EXPORT, table=table, table_id=table)


SETTLED = st.sampled_from(records.SETTLED)
CRASHES = st.integers(0, 5) | st.just(NEVER)
IN_LANE = st.tuples(st.just("handle"), SETTLED, CRASHES)
EVENTS = st.one_of(
    IN_LANE,
    IN_LANE,
    IN_LANE,
    st.tuples(st.just("alter")),
    st.tuples(st.just("give_up"), CRASHES),
    st.tuples(st.just("replay")),
    st.tuples(st.just("repeat"), st.integers(0, 9), SETTLED, CRASHES),
    st.tuples(st.just("list")),
)
RECONCILES = st.tuples(st.just("reconcile"), CRASHES)


def lived(events: list[tuple[Any, ...]]) -> History:
    history = History()
    for name, *arguments in events:
        getattr(history, name)(*arguments)
    return history


@settings(max_examples=400, deadline=None)
@given(events=st.lists(EVENTS, max_size=20))
@example(
    events=[
        *(("handle", "exported", NEVER), ("alter",), ("handle", "exported", NEVER), ("handle", "exported", NEVER)),
        *(("handle", "exported", 1), ("repeat", 2, "exported", 2)),
    ]
)
def test_the_lane_announces_each_run_when_its_dead_letters_are_replayed(events: list[tuple[Any, ...]]) -> None:
    history = lived(events)
    history.replay()
    history.drain()

    assert history.is_complete
    assert history.bucket.heard
    assert all(said == history.bucket.heard[0] for said in history.bucket.heard)


@settings(max_examples=400, deadline=None)
@given(events=st.lists(EVENTS | RECONCILES, max_size=20))
@example(events=[("give_up", 0), *[("handle", "exported", NEVER)] * 3, ("repeat", 3, "exported", NEVER)])
def test_a_run_that_is_complete_is_announced_by_the_next_reconcile_unless_a_dead_letter_has_claimed_it(
    events: list[tuple[Any, ...]],
) -> None:
    history = lived(events)
    history.drain()
    history.reconcile()

    mark = history.bucket.objects.get("billing/_runs/9912/run_exported.json")
    claimed_by_letter = mark and json.loads(mark)["claimant"] in {table for table, _ in history.letters}
    assert bool(history.bucket.heard) == history.is_complete or claimed_by_letter
    history.reconcile(hours=25)
    assert history.bucket.heard
    assert all(said == history.bucket.heard[0] for said in history.bucket.heard)


@pytest.mark.parametrize("letters", [(), ("orders",)])
def test_in_its_order_a_run_costs_one_list_and_each_table_that_comes_out_of_it_one_more(
    letters: tuple[str, ...],
) -> None:
    history = History()
    history.bucket.calls.clear()
    for table in TABLES:
        history.give_up(0) if table in letters else history.handle(records.EXPORTED)
    history.replay()
    history.drain()

    lists = [call for call in history.bucket.calls if call == "billing/_runs/9912/"]
    assert len(history.bucket.heard) == 1
    # The announcement looks once more, to see that it is not early.
    assert len(lists) == 1 + len(letters) + 1


def test_once_a_run_is_announced_a_message_that_comes_again_lists_nothing() -> None:
    history = History()
    history.drain()
    history.bucket.calls.clear()

    history.list()
    history.drain()

    assert "billing/_runs/9912/" not in history.bucket.calls
    history.reconcile(hours=25)
    assert len(history.bucket.heard) == 1
