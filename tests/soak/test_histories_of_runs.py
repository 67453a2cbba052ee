"""
Whatever befalls the functions of a run, in whatever order its events come: it is told to be over, rightly, and never early.

A history is drawn from a seed, which is in the name of its test. SEED=… begins with that one, SCHEDULES=… says how many.
"""

import json
import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from shared import times
from tests.support.cuts import cut_off
from tests.support.days import RECONCILE, Days, tables
from tests.support.stage import Event, Stage
from tests.support.views.steps import load, pass_time, show

MANY = int(os.environ.get("SCHEDULES") or 50)
SEED = int(os.environ["SEED"])
TABLES = ("lines", "log", "orders", "refunds")
TWISTS = ("nothing", "a second request", "a replay", "a stop", "silence")
"""What happens to a run beside. Which of them, the seed says."""


@pytest.mark.parametrize("seed", range(SEED, SEED + MANY))
def test_many_histories_are_told_rightly(stage: Stage, seed: int) -> None:
    _is_told_rightly(stage, Random(seed), TWISTS[seed % len(TWISTS)])


def _is_told_rightly(stage: Stage, random: Random, twist: str) -> None:
    history = History(stage, random)
    lives = (history.live, history.request_again, history.replay, history.stop, history.fall_silent)
    lives[TWISTS.index(twist)]()
    history.check()


class History:
    """
    A run of four tables, each of which is to end in its way; its load and its event come late, twice, after crashes, or never.

    `truth`: how the tables of each run are to end. `mended`: what a replay is to mend.
    """

    def __init__(self, stage: Stage, random: Random) -> None:
        self.random = random
        self.is_together = random.random() < 1 / 3
        self.days = Days(stage, release="together" if self.is_together else "each")
        tables(stage, *TABLES)
        self.ends = {table: random.choice(["shown", "shown", "held", "failed"]) for table in TABLES}
        for table in self.with_end("held"):
            load(stage, f"{table}_20260114")
            show(stage, f"{table}_20260114", {"mirror_pin": "20260114"})
        self.truth = {self.days.run: dict(self.ends)}
        self.mended: list[str] = []
        self.events: list[Event] = []
        self.has_crashed = False

    def with_end(self, end: str) -> list[str]:
        return [table for table in TABLES if self.ends[table] == end]

    def live(self) -> None:
        """Nothing happens beside."""
        self.settle(self.announced(self.days.request()), self.ends)

    def request_again(self) -> None:
        """The day is requested again when some tables are loaded: the others come when the later run has sealed their pairs."""
        announced = self.announced(self.days.request())
        again = self.some_of(TABLES, at_least=1)
        late = self.some_of(TABLES)
        truth = self.truth[self.days.run]
        for table in again:
            waits = self.is_together and late and self.ends[table] == "shown"
            truth[table] = "held" if table in late or waits else truth[table]
        self.settle({table: data for table, data in announced.items() if table not in late}, self.ends)
        self.reconcile()

        self.days.run += "-later"
        self.days.stage.clock.pass_time(minutes=1)
        ends = {
            table: "held" if self.ends[table] == "held" else self.random.choice(["shown", "failed"]) for table in again
        }
        self.truth[self.days.run] = dict(ends)
        later = self.announced(self.days.request(tables=again))
        of_both = [(data, ends[table]) for table, data in later.items()]
        of_both += [(announced[table], "held" if table in again else self.ends[table]) for table in late]
        self.settle_all(of_both)

    def replay(self) -> None:
        """The run is over, and what has failed is published again."""
        announced = self.announced(self.days.request())
        self.settle(announced, self.ends)
        self.hear()
        self.reconcile()
        self.mended = self.with_end("failed")
        self.settle({table: announced[table] for table in self.mended}, dict.fromkeys(self.mended, "shown"))

    def stop(self) -> None:
        """The run is stopped when some tables are exported."""
        messages = self.days.request()
        begun = self.random.randrange(len(TABLES) + 1)
        announced = self.announced(messages[:begun])
        request = {"pipeline": "billing", "stop": self.days.run}
        self.days.function("list_tables").receive(request, message_id="stop", published=self.days.stage.clock.text())
        assert self.announced(messages[begun:]) == {}
        is_cut_short = self.is_together and begun < len(TABLES)
        for table, end in self.ends.items():
            kept = "held" if is_cut_short and end == "shown" else end
            self.truth[self.days.run][table] = kept if table in announced else "skipped"
        self.settle(announced, self.ends)

    def fall_silent(self) -> None:
        """Of some tables nothing comes: no export, or no load."""
        silent = self.some_of(TABLES, at_least=1)
        self.truth[self.days.run] |= dict.fromkeys(silent, "failed")
        messages = self.days.request()
        if self.random.random() < 0.5:
            messages = [each for each in messages if json.loads(each)["table"] not in silent]
        announced = self.announced(messages)
        self.settle({table: data for table, data in announced.items() if table not in silent}, self.ends)
        self.hear()
        self.reconcile()
        assert self.days.told() == []
        pass_time(self.days.stage, timedelta(hours=25))

    def check(self) -> None:
        """Each run was told, once if nothing has crashed, and rightly; the ledger has its tables."""
        self.hear()
        self.reconcile()
        self.reconcile()
        told = self.days.told()
        assert {said["run_id"] for said in told} == self.truth.keys()
        assert self.has_crashed or len(told) == len(self.truth)
        for said in told:
            ends = {table: end for end in ("shown", "held", "failed", "skipped") for table in said[end]}
            assert ends == self.truth[said["run_id"]]
        lines = [(run, table, end) for run, ends in self.truth.items() for table, end in ends.items()]
        lines += [(self.days.run, table, "shown") for table in self.mended]
        found = [(line["run_id"], line["table_id"], line["outcome"]) for line in self.days.ledger()]
        assert sorted(found) == sorted(lines)

    def announced(self, messages: Iterable[bytes]) -> dict[str, bytes]:
        """Have tables exported, and give the announcements of their pairs."""
        return {json.loads(data)["table"]: data for data in self.days.export(*messages)}

    def some_of(self, names: Iterable[str], at_least: int = 0) -> list[str]:
        found = sorted(names)
        return sorted(self.random.sample(found, self.random.randint(at_least, len(found))))

    def settle(self, announced: Mapping[str, bytes], ends: Mapping[str, str]) -> None:
        self.settle_all([(data, ends[table]) for table, data in announced.items()])

    def settle_all(self, announced: list[tuple[bytes, str]]) -> None:
        """Pairs are loaded in any order, and the ends of loads are told meanwhile, or later."""
        for name in ("load_shard", "refresh_views"):
            self.days.function(name)
        for announcement, end in self.random.sample(announced, len(announced)):
            self.load(announcement, end)
            self.events, self.days.events = [*self.events, *self.days.events], []
            if self.random.random() < 0.5:
                self.hear()
            self.check_not_early()

    def load(self, announcement: bytes, end: str) -> None:
        """A pair is loaded, after a crash perhaps; BigQuery refuses the one that is to fail."""
        published = times.rfc3339(datetime.now(UTC))  # BigQuery's time is the machine's
        if end == "failed":
            self.days.stage.bigquery.fail_next_job("invalid")
        elif self.random.random() < 0.3:
            self.has_crashed = True
            with cut_off(self.days.stage, after=self.random.randrange(4)):
                self.days.load(announcement, published=published)
        while set(self.days.load(announcement, published=published)) != {200}:
            pass
        if self.random.random() < 0.2:
            self.days.load(announcement, published=published)

    def hear(self) -> None:
        """Some of the events are told, some twice, some after a crash, in any order. Some are lost, others come again later."""
        refresh_views = self.days.function("refresh_views")
        for event in self.random.sample(self.events, len(self.events)):
            fate = self.random.random()
            if fate < 0.2:
                continue
            if fate < 0.5:
                self.has_crashed = True
                with cut_off(self.days.stage, after=self.random.randrange(6)):
                    refresh_views.hear(*event)
            for _ in range(self.random.choice([1, 1, 2])):
                assert refresh_views.hear(*event) == 200

    def reconcile(self) -> None:
        """All views are looked at, after a crash perhaps."""
        message_id = f"reconcile-{self.random.random()}"
        if self.random.random() < 0.3:
            self.has_crashed = True
            with cut_off(self.days.stage, after=self.random.randrange(8)):
                self.days.function("refresh_views").receive(RECONCILE, message_id=message_id)
        self.days.reconcile(message_id)

    def check_not_early(self) -> None:
        """Whatever is in the mark of a run is in its records, unless a replay has mended it since."""
        files = {*self.days.stage.files()}
        for run, ends in self.truth.items():
            if f"billing/_runs/{run}/run_shown.json" in files:
                records = {f"billing/_runs/{run}/{end}/{table}.json" for table, end in ends.items()}
                assert all(
                    name in files or name.endswith(tuple(f"/{each}.json" for each in self.mended)) for name in records
                )
