"""
A run is told to be over once, and rightly, in whatever order its tables end: never early, never missed.

Each history is of one run. Its tables come to their ends by events, which come twice, late, in any order or never, and crash.
"""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared import bucket as paths
from shared.errors import Busy
from shared.messages.requests import MirrorRequest
from shared.runs import announcing, closing, digests, manifest, records
from shared.runs.announcing import Listeners
from shared.runs.lanes import Lane
from shared.runs.progress import Progress
from tests.support.billing import BILLING, REQUESTED_AT
from tests.support.memory import Memory
from tests.unit.runs.test_announcing import NEVER, Crash, export

TABLES = ("lines", "log", "orders", "refunds", "users")


class Crashing(Memory):
    """A bucket, a topic and a ledger that are out of reach when so many changes have been made."""

    def __init__(self) -> None:
        super().__init__()
        self.left = NEVER
        self.heard: list[Mapping[str, Any]] = []
        self.lines: dict[str, Sequence[Mapping[str, Any]]] = {}
        self.refuses = False
        self.crashed_after_publishing = False

    def change(self) -> None:
        if not self.left:
            raise Crash
        self.left -= 1

    def write(self, name: str, content: bytes, onto: int, marks: Mapping[str, str] | None = None) -> None:
        try:
            self.change()
        except Crash:
            self.crashed_after_publishing |= bool(self.heard) and name.endswith("run_shown.json")
            raise
        super().write(name, content, onto, marks)

    def announce_shown(self, shown: Mapping[str, Any]) -> None:
        self.change()
        on_record = {name.rpartition("/")[2] for name in self.objects if name.split("/")[3] in records.ENDS}
        assert on_record == {f"{table}.json" for table in TABLES}, "it is early"
        assert self.refuses or self.lines, "the ledger does not have it"
        self.heard.append(shown)

    def append(self, job_id: str, lines: Sequence[Mapping[str, Any]]) -> None:
        self.change()
        if self.refuses:
            raise Busy("not now")
        self.lines.setdefault(job_id, lines)


class History:
    """A run whose tables are to come to these ends. `clients` are instances of functions, each with what it remembers."""

    def __init__(self, ends: Mapping[str, str]) -> None:
        self.ends = ends
        self.bucket = Crashing()
        self.instances = [Listeners(shown=self.bucket, ledger=self.bucket) for _ in range(3)]
        request = MirrorRequest("9912", REQUESTED_AT, BILLING, None, date(2026, 11, 22), replace=True)
        entries = [export(table).to_json() for table in TABLES]
        run = manifest.write(self.bucket, BILLING, manifest.of_request(request, entries))
        digests.write(self.bucket, BILLING, run, is_new=True)
        records.open_run(self.bucket, BILLING, "9912")
        self.been: list[str] = []
        self.reconciles = 0

    def end(self, table: str, instance: int, crash: int) -> bool:
        """An event of a table is handled, and comes again if that crashes."""
        self.bucket.left = crash
        try:
            self._record(table)
            announcing.after_end(self.bucket, BILLING, "9912", table, self.ends[table], self.instances[instance])
        except Crash:
            return False
        finally:
            self.bucket.left = NEVER
        return True

    def reconcile(self, crash: int = NEVER, hours: float = 1, *, sees: bool = True) -> None:
        """The views are looked at. `sees`: it finds out how tables have ended whose events were lost."""

        def judge(run: Progress) -> Mapping[str, str]:
            found = sorted(table for table in run.open if sees and table in self.been)
            for table in found:
                self._record(table)
            return {table: self.ends[table] for table in found}

        self.bucket.left = crash
        self.reconciles += 1
        with suppress(Crash):
            now = REQUESTED_AT + timedelta(hours=hours)
            lane, claimant = Lane([BILLING], self.bucket, now), f"refresh {self.reconciles}"
            closing.see_to_runs(self.bucket, BILLING, claimant, lane, self.instances[0], judge)
        self.bucket.left = NEVER

    def _record(self, table: str) -> None:
        self.been.append(table)
        name = paths.record_file("billing", "9912", self.ends[table], table)
        records.write_once(self.bucket, name, {"reason": "so it is"})


CRASHES = st.integers(0, 5) | st.just(NEVER)
ENDS = st.fixed_dictionaries({table: st.sampled_from(records.ENDS) for table in TABLES})
EVENTS = st.tuples(st.just("end"), st.sampled_from(TABLES), st.integers(0, 2), CRASHES)
STEPS = st.lists(EVENTS | EVENTS | st.tuples(st.just("reconcile"), CRASHES) | st.tuples(st.just("refuse")), max_size=20)


def lived(ends: Mapping[str, str], steps: Iterable[tuple[Any, ...]]) -> History:
    history = History(ends)
    for name, *arguments in steps:
        if name == "refuse":
            history.bucket.refuses = not history.bucket.refuses
        else:
            getattr(history, name)(*arguments)
    return history


def told(history: History, ends: Mapping[str, str]) -> None:
    """It was told once, or again where a crash came between the saying and the note of it; and what was told is true."""
    truth = {end: sorted(table for table, its in ends.items() if its == end) for end in records.ENDS}
    heard = history.bucket.heard
    assert heard
    assert all(said == heard[0] for said in heard)
    assert {end: heard[0][end] for end in records.ENDS} == truth
    assert len(heard) == 1 or history.bucket.crashed_after_publishing
    [lines] = history.bucket.lines.values()
    assert {line["table_id"]: line["outcome"] for line in lines} == ends


@settings(max_examples=200, deadline=None)
@given(ends=ENDS, steps=STEPS, order=st.permutations(TABLES))
def test_the_events_tell_it_if_each_comes_again_until_it_is_handled(
    ends: dict[str, str], steps: list[tuple[Any, ...]], order: list[str]
) -> None:
    history = lived(ends, [step for step in steps if step[0] != "reconcile"])
    history.bucket.refuses = False
    for table in order:
        assert history.end(table, 1, NEVER)
    history.reconcile(hours=25)  # for a ledger that refused meanwhile

    told(history, ends)


@settings(max_examples=200, deadline=None)
@given(ends=ENDS, steps=STEPS)
def test_a_reconcile_tells_it_whatever_events_were_lost(ends: dict[str, str], steps: list[tuple[Any, ...]]) -> None:
    history = lived(ends, steps)
    history.bucket.refuses = False
    history.been = [*TABLES]
    history.reconcile()
    history.reconcile(hours=25)

    told(history, ends)
    assert paths.open_run_file("billing", "9912") not in history.bucket.objects


@settings(max_examples=200, deadline=None)
@given(ends=ENDS, silent=st.sets(st.sampled_from(TABLES), min_size=1))
def test_a_table_of_which_nothing_comes_has_failed_a_day_later(ends: dict[str, str], silent: set[str]) -> None:
    history = History(ends)
    for table in TABLES:
        if table not in silent:
            history.end(table, 0, NEVER)
    history.reconcile(hours=23, sees=False)
    assert history.bucket.heard == []

    history.reconcile(hours=25, sees=False)

    told(history, {table: records.FAILED if table in silent else end for table, end in ends.items()})


def test_of_many_tables_few_events_list_the_runs_folder() -> None:
    history = History(dict.fromkeys(TABLES, records.SHOWN))
    history.bucket.calls.clear()
    for table in TABLES[:-1]:
        history.end(table, 0, NEVER)

    assert [call for call in history.bucket.calls if call == "billing/_runs/9912/"] == []
